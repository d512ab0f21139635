/* SPDX-License-Identifier: GPL-2.0-only */
/* Rule sets without a policy: policy_set_begin(), fill the tables, and: */
#ifndef MAKE_SET_H
#define MAKE_SET_H

#include "set.h"

/* The set with its index, of *@len bytes, for free().  @t is freed. */
void *make_set(struct set_tables *t, size_t *len);

#endif /* MAKE_SET_H */
