// SPDX-License-Identifier: GPL-2.0-only
/* The key rings of a policy. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct keyrings_entry {
	struct keyring *ring;			/* NULL: cannot be read */
	struct keyring_why why;
	const struct policy_action *action;	/* that led to it */
};

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/*
 * With another password it is to be opened again, and to fail; and one of
 * FIPS140 is of no use to others.
 */
static bool is_of(const struct keyrings_entry *entry,
		  const struct policy_action *action)
{
	return entry->action->fips == action->fips &&
	       same(entry->action->keyring, action->keyring) &&
	       same(entry->action->keyring_pw, action->keyring_pw) &&
	       same(entry->action->keyring_stash, action->keyring_stash);
}

const struct keyring *keyrings_get(struct keyrings *rings,
				   const struct policy_action *action,
				   struct keyring_why *why)
{
	struct keyrings_entry *entry;
	struct keyring *ring;

	for (size_t i = 0; i < rings->n; i++)
		if (is_of(&rings->entry[i], action)) {
			*why = rings->entry[i].why;
			return rings->entry[i].ring;
		}
	entry = reallocarray(rings->entry, rings->n + 1, sizeof(*entry));
	if (!entry) {
		keyring_explain(why, -ENOMEM, NULL, "no memory");
		return NULL;
	}
	rings->entry = entry;
	/* Not twice: a token counts wrong PINs. */
	ring = keyring_load(action, why);
	entry[rings->n++] = (struct keyrings_entry) { ring, *why, action };
	return ring;
}

int keyrings_each(const struct keyrings *rings,
		  int (*fn)(const struct keyring *ring, void *arg), void *arg)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < rings->n; i++)
		if (rings->entry[i].ring)
			ret = fn(rings->entry[i].ring, arg);
	return ret;
}

void keyrings_free(struct keyrings *rings)
{
	for (size_t i = 0; i < rings->n; i++)
		keyring_free(rings->entry[i].ring);
	free(rings->entry);
	rings->entry = NULL;
	rings->n = 0;
}
