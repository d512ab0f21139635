/* SPDX-License-Identifier: GPL-2.0-only */
/* A list of rules, cut into pieces by the values of one field. */
#ifndef ATTLS_CUT_H
#define ATTLS_CUT_H

#include "attls_match.h"
#include "table.h"

struct list {
	const __u32 *rule;		/* in order of precedence */
	size_t	n;
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

static inline struct list policy_list_of(const struct table *t)
{
	return (struct list){ (const void *)t->data, t->n };
}

/*
 * Cuts @list, rules of @set, by @field: rules that would be in too many
 * pieces are in the rest.  For policy_cut_free().
 */
void policy_cut_make(const struct attls_set *set, struct cut *cut,
		     const struct list *list, unsigned int field);
void policy_cut_free(struct cut *cut);

/* Puts the pieces that @rule is in, once each, into @pieces (of __u32). */
void policy_cut_pieces(const struct attls_set *set, const struct cut *cut,
		       __u32 rule, struct table *pieces);

#endif /* ATTLS_CUT_H */
