/* SPDX-License-Identifier: GPL-2.0-only */
/* An array that grows.  Initialise with { .size = sizeof(element) }. */
#ifndef ATTLS_TABLE_H
#define ATTLS_TABLE_H

#include <stddef.h>

struct table {
	char	*data;			/* for free() */
	size_t	n;			/* elements */
	size_t	room;
	size_t	size;			/* of an element */
};

/*
 * Adds @n zeroed elements and returns the first: good until more are added.
 * Never NULL, see policy.h.
 */
void *policy_table_add(struct table *t, size_t n);

#endif /* ATTLS_TABLE_H */
