// SPDX-License-Identifier: GPL-2.0-only
/* The key rings of a policy. */
#include "keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct keyring *find(const struct keyrings *rings,
				  const char *path)
{
	for (size_t i = 0; i < rings->n; i++)
		if (!strcmp(rings->ring[i]->path, path))
			return rings->ring[i];
	return NULL;
}

const struct keyring *keyrings_get(struct keyrings *rings,
				   const struct policy_action *action,
				   struct keyring_why *why)
{
	const struct keyring *found = find(rings, action->keyring);
	struct keyring **more;

	if (found)
		return found;
	more = reallocarray(rings->ring, rings->n + 1, sizeof(*more));
	if (!more) {
		why->error = -ENOMEM;
		why->hint = NULL;
		snprintf(why->text, sizeof(why->text), "no memory");
		return NULL;
	}
	rings->ring = more;
	more[rings->n] = keyring_load(action->keyring, why);
	return more[rings->n] ? more[rings->n++] : NULL;
}

void keyrings_free(struct keyrings *rings)
{
	for (size_t i = 0; i < rings->n; i++)
		keyring_free(rings->ring[i]);
	free(rings->ring);
	rings->ring = NULL;
	rings->n = 0;
}
