/* SPDX-License-Identifier: GPL-2.0-only */
/* Rule sets without a policy: fill the tables, get the set. */
#ifndef MAKE_SET_H
#define MAKE_SET_H

#include "attls_match.h"
#include "table.h"

struct set_tables {
	struct table rules;		/* struct attls_rule */
	struct table addrs;		/* struct attls_addr_range */
	struct table ids;		/* struct attls_id_range */
	struct table ports;		/* struct attls_port_range */
	struct table refs;		/* __u32: begin with none */
};

void set_tables_begin(struct set_tables *t);

/* The set with its index, of *@len bytes, for free().  @t is freed. */
void *set_tables_end(struct set_tables *t, size_t *len);

#endif /* MAKE_SET_H */
