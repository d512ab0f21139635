// SPDX-License-Identifier: GPL-2.0-only
/*
 * Levels of security of the rules that come with attls: `Preset NAME LEVEL`
 * has the rule name the environment action of another level than the one
 * that stands in its file.
 */
#include "tree.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char * const levels[] = {
	"modern", "intermediate", "fips", "quantum", "zos",
};

/* As it is spelled in names of actions, or NULL with an error at @word. */
const char *policy_level_read(struct builder *b, const struct word *word)
{
	char list[80] = "";
	size_t i, n = 0;

	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcasecmp(levels[i], word->text))
			return levels[i];
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
				      n ? ", " : "", levels[i]);
	}
	policy_error(b, word, NULL, "level \"%s\" is none of %s", word->text,
		     list);
	return NULL;
}

/* @name is LEVEL-ROLE-DATE. */
static const char *at_level(struct builder *b, const char *level,
			    const char *name)
{
	const char *rest = name + strcspn(name, "-");
	size_t len = strlen(level) + strlen(rest) + 1;
	char *other = policy_arena_alloc(&b->policy->arena, len);

	snprintf(other, len, "%s%s", level, rest);
	return other;
}

/* For a reference that stands in the file of a preset. */
void policy_level_apply(struct builder *b, struct value *v)
{
	if (b->source->level && v->param->id == P_ENVIRONMENT)
		v->text = at_level(b, b->source->level, v->text);
}
