// SPDX-License-Identifier: GPL-2.0-only
#include "arena.h"
#include "table.h"

#include <string.h>

void *policy_table_add(struct table *t, size_t n)
{
	void *added;

	if (t->n + n >= t->room) {
		t->room = (t->n + n + 1) * 2;
		t->data = policy_realloc(t->data, t->room, t->size);
	}
	added = t->data + t->n * t->size;
	memset(added, 0, n * t->size);
	t->n += n;
	return added;
}
