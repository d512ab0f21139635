/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random rule sets and random connections, of few values, so that they meet.
 * Of one seed: always the same.
 */
#ifndef RANDOM_SET_H
#define RANDOM_SET_H

#include "attls_match.h"
#include <stddef.h>

/* Sets of fewer have all forms of the index. */
#define RANDOM_RULES	120

/* A number below @n, from 1; @seed is any state, and changes. */
unsigned int random_below(__u64 *seed, unsigned int n);

/*
 * A rule set of @n_rules, with its index, of *@len bytes: for free().  Its
 * rules have no names.
 */
void *random_set(__u64 *seed, unsigned int n_rules, size_t *len);

void random_tuple(__u64 *seed, struct attls_tuple *t);

#endif /* RANDOM_SET_H */
