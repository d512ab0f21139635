// SPDX-License-Identifier: GPL-2.0-only
#include "make_set.h"

#include <stdlib.h>

void *make_set(struct set_tables *t, size_t *len)
{
	void *blob;

	policy_set_index(t);
	*len = policy_set_size(t);
	blob = policy_set_assemble(t);
	if (!blob)
		abort();
	policy_set_free(t);
	return blob;
}
