// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the index of a rule set.  A node is for a list of rules and for the
 * fields that were not asked for on the way to it.  It asks for the field
 * that leaves the fewest rules to be looked at; rules that would have to be
 * repeated in many pieces go to its rest.
 */
#include "index.h"
#include "arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As many are faster looked at than searched. */
#define LEAF_MAX	4
/* References that a node may make for each rule, for those that overlap. */
#define REPEAT_MAX	8

#define BIT(field)	(1U << (field))
#define ANY_FIELDS	(BIT(ATTLS_FIELD_LOCAL_PORT) | \
			 BIT(ATTLS_FIELD_REMOTE_PORT) | \
			 BIT(ATTLS_FIELD_LOCAL_ADDR) | \
			 BIT(ATTLS_FIELD_REMOTE_ADDR))
#define ALL_FIELDS	(ANY_FIELDS | BIT(ATTLS_FIELD_UID) | \
			 BIT(ATTLS_FIELD_JOB))

static const struct {
	__u8	direction;
	unsigned int fields;
} roots[__ATTLS_ROOT_MAX] = {
	[ATTLS_ROOT_IN]		= { ATTLS_INBOUND, ALL_FIELDS },
	[ATTLS_ROOT_IN_ANY]	= { ATTLS_INBOUND, ANY_FIELDS },
	[ATTLS_ROOT_OUT]	= { ATTLS_OUTBOUND, ALL_FIELDS },
	[ATTLS_ROOT_OUT_ANY]	= { ATTLS_OUTBOUND, ANY_FIELDS },
	[ATTLS_ROOT_OUT_EARLY]	= { ATTLS_OUTBOUND, ALL_FIELDS &
				    ~BIT(ATTLS_FIELD_LOCAL_PORT) },
	[ATTLS_ROOT_OUT_EARLY_ANY] = { ATTLS_OUTBOUND, ANY_FIELDS &
				       ~BIT(ATTLS_FIELD_LOCAL_PORT) },
};

struct list {
	const __u32 *rule;		/* in order of precedence */
	size_t	n;
};

/* A node that was made, to be used again. */
struct made {
	struct made *next;
	unsigned int fields;
	__u32	node;
	size_t	n;
	__u32	rule[];
};

struct indexer {
	struct policy_index *index;
	const struct attls_set *set;
	struct table *refs;
	struct made **made;		/* by hash */
	size_t	n_buckets;
};

struct range {
	struct attls_key lo;
	struct attls_key hi;		/* inclusive */
};

/* A list of rules cut at the keys of a field. */
struct cut {
	unsigned int field;
	struct table keys;		/* struct attls_key, ascending */
	struct table rest;		/* __u32 rules */
	struct table narrow;		/* __u32 rules */
	__u32	*count;			/* of rules by piece */
	size_t	cost;
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
static void get_ranges(const struct indexer *x, __u32 rule,
		       unsigned int field, struct table *t)
{
	const struct attls_rule *r = &x->set->rules[rule];

	t->n = 0;
	switch (field) {
	case ATTLS_FIELD_LOCAL_PORT:
		add_ports(t, x->set, &r->local_ports);
		break;
	case ATTLS_FIELD_REMOTE_PORT:
		add_ports(t, x->set, &r->remote_ports);
		break;
	case ATTLS_FIELD_LOCAL_ADDR:
		add_addrs(t, x->set, &r->local_addrs);
		break;
	case ATTLS_FIELD_REMOTE_ADDR:
		add_addrs(t, x->set, &r->remote_addrs);
		break;
	case ATTLS_FIELD_UID:
		add_ids(t, x->set, &r->uids);
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
static void find_keys(const struct indexer *x, struct cut *cut,
		      const struct list *list)
{
	struct table ranges = { .size = sizeof(struct range) };
	const struct range *r;
	struct attls_key *key;
	size_t i, j;

	cut->keys.n = 0;
	for (i = 0; i < list->n; i++) {
		get_ranges(x, list->rule[i], cut->field, &ranges);
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
static void get_pieces(const struct indexer *x, const struct cut *cut,
		       __u32 rule, struct table *pieces)
{
	struct table ranges = { .size = sizeof(struct range) };
	const struct range *r;
	__u32 *p, at, last;
	size_t n = 0, i;

	pieces->n = 0;
	get_ranges(x, rule, cut->field, &ranges);
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
static size_t count_pieces(const struct indexer *x, const struct cut *cut,
			   __u32 rule, struct table *ranges)
{
	const struct range *r;
	size_t n = 0, i;

	get_ranges(x, rule, cut->field, ranges);
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
static void divide(const struct indexer *x, struct cut *cut,
		   const struct list *list)
{
	struct table ranges = { .size = sizeof(struct range) };
	size_t *covers = policy_calloc(list->n, sizeof(*covers));
	size_t limit, i;
	__u32 *rule;

	find_keys(x, cut, list);
	for (i = 0; i < list->n; i++)
		covers[i] = count_pieces(x, cut, list->rule[i], &ranges);
	limit = widest(covers, list->n);
	for (i = 0; i < list->n; i++) {
		rule = policy_table_add(covers[i] && covers[i] <= limit ?
					&cut->narrow : &cut->rest, 1);
		*rule = list->rule[i];
	}
	free(covers);
	free(ranges.data);
}

static struct list list_of(const struct table *t)
{
	return (struct list){ (const void *)t->data, t->n };
}

static void cut_end(struct cut *cut)
{
	free(cut->keys.data);
	free(cut->rest.data);
	free(cut->narrow.data);
	free(cut->count);
}

/* Cuts @list by @field; cost: the rules that are left in the worst case. */
static void cut_begin(const struct indexer *x, struct cut *cut,
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
	divide(x, cut, list);
	narrow = list_of(&cut->narrow);
	find_keys(x, cut, &narrow);
	cut->count = policy_calloc(cut->keys.n + 1, sizeof(*cut->count));
	for (i = 0; i < narrow.n; i++) {
		get_pieces(x, cut, narrow.rule[i], &pieces);
		p = (void *)pieces.data;
		for (j = 0; j < pieces.n; j++)
			if (++cut->count[p[j]] > most)
				most = cut->count[p[j]];
	}
	cut->cost = cut->rest.n + most;
	free(pieces.data);
}

/* False: no field helps, @list is to be looked at as it is. */
static bool best_cut(const struct indexer *x, struct cut *best,
		     const struct list *list, unsigned int fields)
{
	unsigned int field;
	struct cut cut;
	bool any = false;

	for (field = 1; field < __ATTLS_FIELD_MAX; field++) {
		if (!(fields & BIT(field)))
			continue;
		cut_begin(x, &cut, list, field);
		if (cut.cost < (any ? best->cost : list->n)) {
			if (any)
				cut_end(best);
			*best = cut;
			any = true;
		} else {
			cut_end(&cut);
		}
	}
	return any;
}

/* Those of @fields that a rule of @list has a condition on. */
static unsigned int fields_of(const struct indexer *x,
			      const struct list *list, unsigned int fields)
{
	unsigned int used = 0;
	const struct attls_rule *r;
	size_t i;

	for (i = 0; i < list->n; i++) {
		r = &x->set->rules[list->rule[i]];
		used |= r->local_ports.count ?
			BIT(ATTLS_FIELD_LOCAL_PORT) : 0;
		used |= r->remote_ports.count ?
			BIT(ATTLS_FIELD_REMOTE_PORT) : 0;
		used |= r->local_addrs.count ?
			BIT(ATTLS_FIELD_LOCAL_ADDR) : 0;
		used |= r->remote_addrs.count ?
			BIT(ATTLS_FIELD_REMOTE_ADDR) : 0;
		used |= r->uids.count ? BIT(ATTLS_FIELD_UID) : 0;
		used |= r->job_len ? BIT(ATTLS_FIELD_JOB) : 0;
	}
	return used & fields;
}

static struct made **bucket(const struct indexer *x, const struct list *list,
			    unsigned int fields)
{
	__u64 hash = fields;
	size_t i;

	for (i = 0; i < list->n; i++)
		hash = (hash ^ list->rule[i]) * 0x100000001b3ULL;
	hash ^= hash >> 32;
	return &x->made[hash % x->n_buckets];
}

static const struct made *find_made(struct made *m, const struct list *list,
				    unsigned int fields)
{
	for (; m; m = m->next)
		if (m->fields == fields && m->n == list->n &&
		    !memcmp(m->rule, list->rule, m->n * sizeof(*m->rule)))
			break;
	return m;
}

static void keep_made(struct made **bucket, const struct list *list,
		      unsigned int fields, __u32 node)
{
	size_t size = list->n * sizeof(*list->rule);
	struct made *m = policy_calloc(1, sizeof(*m) + size);

	m->fields = fields;
	m->node = node;
	m->n = list->n;
	memcpy(m->rule, list->rule, size);
	m->next = *bucket;
	*bucket = m;
}

static __u32 add_node(struct policy_index *index, const struct attls_node *n)
{
	struct attls_node *added = policy_table_add(&index->nodes, 1);

	*added = *n;
	return (__u32)index->nodes.n - 1;
}

static __u32 add_refs(struct table *t, const __u32 *refs, size_t n)
{
	__u32 *added = policy_table_add(t, n);

	memcpy(added, refs, n * sizeof(*refs));
	return (__u32)(t->n - n);
}

static __u32 make_leaf(const struct indexer *x, const struct list *list)
{
	struct attls_node leaf = { .count = (__u32)list->n };

	leaf.first = add_refs(x->refs, list->rule, list->n);
	return add_node(x->index, &leaf);
}

static __u32 make(const struct indexer *x, const struct list *list,
		  unsigned int fields);

/* The rules of each piece of @cut in a row; @end: where each ends. */
static __u32 *deal(const struct indexer *x, const struct cut *cut,
		   size_t *end)
{
	struct table pieces = { .size = sizeof(__u32) };
	const struct list narrow = list_of(&cut->narrow);
	size_t n = cut->keys.n + 1, sum = 0, i, j;
	const __u32 *p;
	__u32 *dealt;

	for (i = 0; i < n; i++) {
		end[i] = sum;
		sum += cut->count[i];
	}
	dealt = policy_calloc(sum, sizeof(*dealt));
	for (i = 0; i < narrow.n; i++) {
		get_pieces(x, cut, narrow.rule[i], &pieces);
		p = (void *)pieces.data;
		for (j = 0; j < pieces.n; j++)
			dealt[end[p[j]]++] = narrow.rule[i];
	}
	free(pieces.data);
	return dealt;
}

/* A node for each piece of @cut, into @kids. */
static void make_kids(const struct indexer *x, const struct cut *cut,
		      unsigned int fields, __u32 *kids)
{
	size_t n = cut->keys.n + 1, i;
	size_t *end = policy_calloc(n, sizeof(*end));
	__u32 *dealt = deal(x, cut, end);
	struct list list;

	for (i = 0; i < n; i++) {
		list.rule = dealt + end[i] - cut->count[i];
		list.n = cut->count[i];
		kids[i] = make(x, &list, fields);
	}
	free(dealt);
	free(end);
}

static __u8 level_of(const struct policy_index *index, __u32 node)
{
	return ((const struct attls_node *)(void *)index->nodes.data)[node]
		.level;
}

static __u32 make_node(const struct indexer *x, const struct cut *cut,
		       unsigned int fields)
{
	const struct list rest = list_of(&cut->rest);
	size_t n = cut->keys.n + 1, i;
	__u32 *kids = policy_calloc(n, sizeof(*kids));
	struct attls_node node = {
		.field = (__u8)cut->field,
		.count = (__u32)cut->keys.n,
	};
	struct attls_key *keys;

	fields &= ~BIT(cut->field);
	make_kids(x, cut, fields, kids);
	node.rest = make(x, &rest, fields);
	node.level = level_of(x->index, node.rest);
	for (i = 0; i < n; i++)
		if (level_of(x->index, kids[i]) > node.level)
			node.level = level_of(x->index, kids[i]);
	node.level++;
	node.first = (__u32)x->index->keys.n;
	keys = policy_table_add(&x->index->keys, cut->keys.n);
	memcpy(keys, cut->keys.data, cut->keys.n * sizeof(*keys));
	node.kids = add_refs(x->refs, kids, n);
	free(kids);
	return add_node(x->index, &node);
}

/* The node for @list, with @fields to ask for.  It exists once. */
static __u32 make(const struct indexer *x, const struct list *list,
		  unsigned int fields)
{
	const struct made *old;
	struct made **at;
	struct cut cut;
	__u32 node;

	if (!list->n)
		return 0;
	fields = list->n > LEAF_MAX ? fields_of(x, list, fields) : 0;
	at = bucket(x, list, fields);
	old = find_made(*at, list, fields);
	if (old)
		return old->node;
	if (fields && best_cut(x, &cut, list, fields)) {
		node = make_node(x, &cut, fields);
		cut_end(&cut);
	} else {
		node = make_leaf(x, list);
	}
	keep_made(at, list, fields, node);
	return node;
}

static __u32 make_root(const struct indexer *x, __u8 direction,
		       unsigned int fields)
{
	size_t n_rules = x->set->header->n_rules;
	__u32 *rule = policy_calloc(n_rules + 1, sizeof(*rule));
	struct list list = { rule, 0 };
	__u32 node, i;

	for (i = 0; i < n_rules; i++)
		if (x->set->rules[i].direction & direction)
			rule[list.n++] = i;
	node = make(x, &list, fields);
	free(rule);
	return node;
}

static void forget(struct indexer *x)
{
	struct made *m, *next;
	size_t i;

	for (i = 0; i < x->n_buckets; i++) {
		for (m = x->made[i]; m; m = next) {
			next = m->next;
			free(m);
		}
	}
	free(x->made);
}

void policy_index_make(struct policy_index *index,
		       const struct attls_set *set, struct table *refs)
{
	struct indexer x = {
		.index = index,
		.set = set,
		.refs = refs,
		.n_buckets = set->header->n_rules * 4UL + 1,
	};
	int i;

	*index = (struct policy_index){
		.keys.size = sizeof(struct attls_key),
		.nodes.size = sizeof(struct attls_node),
	};
	x.made = policy_calloc(x.n_buckets, sizeof(*x.made));
	policy_table_add(&index->nodes, 1);	/* the one without rules */
	for (i = 0; i < __ATTLS_ROOT_MAX; i++)
		index->roots[i] = make_root(&x, roots[i].direction,
					    roots[i].fields);
	forget(&x);
}

void policy_index_free(struct policy_index *index)
{
	free(index->keys.data);
	free(index->nodes.data);
}
