// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the index of a rule set.  A node is for a list of rules and for the
 * fields that were not asked for on the way to it.  It asks for the field
 * that leaves the fewest rules to be looked at; rules that would have to be
 * repeated in many pieces go to its rest.
 */
#include "index.h"
#include "arena.h"
#include "cut.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As many are faster looked at than searched. */
#define LEAF_MAX	4

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
		policy_cut_make(x->set, &cut, list, field);
		if (cut.cost < (any ? best->cost : list->n)) {
			if (any)
				policy_cut_free(best);
			*best = cut;
			any = true;
		} else {
			policy_cut_free(&cut);
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
	const struct list narrow = policy_list_of(&cut->narrow);
	size_t n = cut->keys.n + 1, sum = 0, i, j;
	const __u32 *p;
	__u32 *dealt;

	for (i = 0; i < n; i++) {
		end[i] = sum;
		sum += cut->count[i];
	}
	dealt = policy_calloc(sum, sizeof(*dealt));
	for (i = 0; i < narrow.n; i++) {
		policy_cut_pieces(x->set, cut, narrow.rule[i], &pieces);
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
	const struct list rest = policy_list_of(&cut->rest);
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
		policy_cut_free(&cut);
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
