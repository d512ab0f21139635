// SPDX-License-Identifier: GPL-2.0-only
#include "cut.h"
#include "arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* References that a node may make for each rule, for those that overlap. */
#define REPEAT_MAX	8

struct range {
	struct attls_key lo;
	struct attls_key hi;		/* inclusive */
};

static struct attls_key number(__u64 n)
{
	return (struct attls_key){ .lo = n };
}

static int compare_keys(const void *a, const void *b)
{
	const struct attls_key *x = a, *y = b;

	return attls_key_above(x, y) - attls_key_above(y, x);
}

static void add_addrs(struct table *t, const struct attls_set *set,
		      const struct attls_slice *s)
{
	const struct attls_addr_range *a = set->addrs + s->first;
	struct range *r = policy_table_add(t, s->count);
	__u32 i;

	for (i = 0; i < s->count; i++) {
		r[i].lo = attls_key_of(a[i].lo);
		r[i].hi = attls_key_of(a[i].hi);
	}
}

static void add_ports(struct table *t, const struct attls_set *set,
		      const struct attls_slice *s)
{
	const struct attls_port_range *p = set->ports + s->first;
	struct range *r = policy_table_add(t, s->count);
	__u32 i;

	for (i = 0; i < s->count; i++) {
		r[i].lo = number(p[i].lo);
		r[i].hi = number(p[i].hi);
	}
}

static void add_ids(struct table *t, const struct attls_set *set,
		    const struct attls_slice *s)
{
	const struct attls_id_range *id = set->ids + s->first;
	struct range *r = policy_table_add(t, s->count);
	__u32 i;

	for (i = 0; i < s->count; i++) {
		r[i].lo = number(id[i].lo);
		r[i].hi = number(id[i].hi);
	}
}

static void add_job(struct table *t, const struct attls_rule *rule)
{
	char lo[ATTLS_COMM_LEN] = "", hi[ATTLS_COMM_LEN] = "";
	struct range *r;

	if (!rule->job_len)
		return;
	if (rule->flags & ATTLS_RULE_JOB_PREFIX)
		memset(hi, 0xff, sizeof(hi));
	memcpy(lo, rule->job, rule->job_len);
	memcpy(hi, rule->job, rule->job_len);
	r = policy_table_add(t, 1);
	r->lo = attls_key_of(lo);
	r->hi = attls_key_of(hi);
}

/* Puts the ranges of @field that the rule has into @t: none for all. */
static void get_ranges(const struct attls_set *set, __u32 rule,
		       unsigned int field, struct table *t)
{
	const struct attls_rule *r = &set->rules[rule];

	t->n = 0;
	switch (field) {
	case ATTLS_FIELD_LOCAL_PORT:
		add_ports(t, set, &r->local_ports);
		break;
	case ATTLS_FIELD_REMOTE_PORT:
		add_ports(t, set, &r->remote_ports);
		break;
	case ATTLS_FIELD_LOCAL_ADDR:
		add_addrs(t, set, &r->local_addrs);
		break;
	case ATTLS_FIELD_REMOTE_ADDR:
		add_addrs(t, set, &r->remote_addrs);
		break;
	case ATTLS_FIELD_UID:
		add_ids(t, set, &r->uids);
		break;
	case ATTLS_FIELD_JOB:
		add_job(t, r);
		break;
	}
}

static void sort_keys(struct table *t)
{
	struct attls_key *k = (void *)t->data;
	size_t n = 0, i;

	if (t->n)
		qsort(k, t->n, sizeof(*k), compare_keys);
	for (i = 0; i < t->n; i++)
		if (!n || compare_keys(&k[n - 1], &k[i]))
			k[n++] = k[i];
	t->n = n;
}

/* The keys at which pieces begin and end for the rules of @list. */
static void find_keys(const struct attls_set *set, struct cut *cut,
		      const struct list *list)
{
	struct table ranges = { .size = sizeof(struct range) };
	const struct range *r;
	struct attls_key *key;
	size_t i, j;

	cut->keys.n = 0;
	for (i = 0; i < list->n; i++) {
		get_ranges(set, list->rule[i], cut->field, &ranges);
		r = (void *)ranges.data;
		for (j = 0; j < ranges.n; j++) {
			key = policy_table_add(&cut->keys, 2);
			key[0] = r[j].lo;
			key[1] = r[j].hi;
			key[1].hi += !++key[1].lo;
			/* Nothing is above the highest of all. */
			if (!key[1].lo && !key[1].hi)
				cut->keys.n--;
		}
	}
	sort_keys(&cut->keys);
	free(ranges.data);
}

/* The piece that has @value: keys that are not above it. */
static __u32 piece(const struct cut *cut, const struct attls_key *value)
{
	const struct attls_key *k = (void *)cut->keys.data;
	size_t lo = 0, hi = cut->keys.n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (attls_key_above(&k[mid], value))
			hi = mid;
		else
			lo = mid + 1;
	}
	return (__u32)lo;
}

static int compare_pieces(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Puts the pieces that the rule has something of into @pieces, once each. */
void policy_cut_pieces(const struct attls_set *set, const struct cut *cut,
		       __u32 rule, struct table *pieces)
{
	struct table ranges = { .size = sizeof(struct range) };
	const struct range *r;
	__u32 *p, at, last;
	size_t n = 0, i;

	pieces->n = 0;
	get_ranges(set, rule, cut->field, &ranges);
	r = (void *)ranges.data;
	for (i = 0; i < ranges.n; i++) {
		last = piece(cut, &r[i].hi);
		for (at = piece(cut, &r[i].lo); at <= last; at++) {
			p = policy_table_add(pieces, 1);
			*p = at;
		}
	}
	p = (void *)pieces->data;
	if (ranges.n > 1)
		qsort(p, pieces->n, sizeof(*p), compare_pieces);
	for (i = 0; i < pieces->n; i++)
		if (!n || p[n - 1] != p[i])
			p[n++] = p[i];
	pieces->n = n;
	free(ranges.data);
}

/* In how many pieces the rule has something, those of each range. */
static size_t count_pieces(const struct attls_set *set, const struct cut *cut,
			   __u32 rule, struct table *ranges)
{
	const struct range *r;
	size_t n = 0, i;

	get_ranges(set, rule, cut->field, ranges);
	r = (void *)ranges->data;
	for (i = 0; i < ranges->n; i++)
		n += piece(cut, &r[i].hi) - piece(cut, &r[i].lo) + 1;
	return n;
}

/* The most pieces that a rule may be in, so that all fit. */
static size_t widest(const size_t *covers, size_t n)
{
	size_t limit = SIZE_MAX, sum, i;

	do {
		limit /= 2;
		sum = 0;
		for (i = 0; i < n && sum <= n * REPEAT_MAX; i++)
			if (covers[i] <= limit)
				sum += covers[i];
	} while (sum > n * REPEAT_MAX);
	return limit;
}

/* Divides @list: into what pieces are made for, and the rest. */
static void divide(const struct attls_set *set, struct cut *cut,
		   const struct list *list)
{
	struct table ranges = { .size = sizeof(struct range) };
	size_t *covers = policy_calloc(list->n, sizeof(*covers));
	size_t limit, i;
	__u32 *rule;

	find_keys(set, cut, list);
	for (i = 0; i < list->n; i++)
		covers[i] = count_pieces(set, cut, list->rule[i], &ranges);
	limit = widest(covers, list->n);
	for (i = 0; i < list->n; i++) {
		rule = policy_table_add(covers[i] && covers[i] <= limit ?
					&cut->narrow : &cut->rest, 1);
		*rule = list->rule[i];
	}
	free(covers);
	free(ranges.data);
}

void policy_cut_free(struct cut *cut)
{
	free(cut->keys.data);
	free(cut->rest.data);
	free(cut->narrow.data);
	free(cut->count);
}

/* Cuts @list by @field; cost: the rules that are left in the worst case. */
void policy_cut_make(const struct attls_set *set, struct cut *cut,
		      const struct list *list, unsigned int field)
{
	struct table pieces = { .size = sizeof(__u32) };
	struct list narrow;
	size_t i, j, most = 0;
	const __u32 *p;

	*cut = (struct cut){
		.field = field,
		.keys.size = sizeof(struct attls_key),
		.rest.size = sizeof(__u32),
		.narrow.size = sizeof(__u32),
	};
	divide(set, cut, list);
	narrow = policy_list_of(&cut->narrow);
	find_keys(set, cut, &narrow);
	cut->count = policy_calloc(cut->keys.n + 1, sizeof(*cut->count));
	for (i = 0; i < narrow.n; i++) {
		policy_cut_pieces(set, cut, narrow.rule[i], &pieces);
		p = (void *)pieces.data;
		for (j = 0; j < pieces.n; j++)
			if (++cut->count[p[j]] > most)
				most = cut->count[p[j]];
	}
	cut->cost = cut->rest.n + most;
	free(pieces.data);
}
