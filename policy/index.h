/* SPDX-License-Identifier: GPL-2.0-only */
/* The index of a rule set; uapi/attls_rule.h says what it is. */
#ifndef ATTLS_INDEX_H
#define ATTLS_INDEX_H

#include "attls_match.h"
#include "table.h"

struct policy_index {
	struct table keys;		/* struct attls_key */
	struct table nodes;		/* struct attls_node */
	__u32	roots[__ATTLS_ROOT_MAX];
};

/*
 * Makes the index of the rules of @set, of which nothing else than rules,
 * addrs, ids, ports and the number of rules is looked at.  Adds to @refs (of
 * __u32) what nodes refer to.  For policy_index_free().
 */
void policy_index_make(struct policy_index *index,
		       const struct attls_set *set, struct table *refs);
void policy_index_free(struct policy_index *index);

#endif /* ATTLS_INDEX_H */
