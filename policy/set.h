/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of a rule set (uapi/attls_rule.h) while it is made. */
#ifndef ATTLS_SET_H
#define ATTLS_SET_H

#include "index.h"
#include "table.h"

struct set_tables {
	struct table times;		/* struct attls_time_range */
	struct table rules;		/* struct attls_rule */
	struct table addrs;		/* struct attls_addr_range */
	struct table ids;		/* struct attls_id_range */
	struct table refs;		/* __u32: of paths; then the index's */
	struct table ports;		/* struct attls_port_range */
	struct table strings;		/* char; begins with the empty one */
	struct policy_index index;
};

void policy_set_begin(struct set_tables *t);

/* Makes the index, when all else is there. */
void policy_set_index(struct set_tables *t);

/* The bytes of the set. */
size_t policy_set_size(const struct set_tables *t);

/* The set, for free(), but for its times; NULL: no memory. */
struct attls_set_header *policy_set_assemble(const struct set_tables *t);
void policy_set_free(struct set_tables *t);

#endif /* ATTLS_SET_H */
