// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Did you mean": the nearest of the words that are right at a place, by
 * Damerau-Levenshtein distance (the form that does not edit a swapped pair
 * again), without regard to case.
 */
#include "tree.h"

#include <ctype.h>
#include <pwd.h>
#include <string.h>

#define LONGEST		64
/* Bounds the work that a file full of wrong references can cause. */
#define COMPARE_MAX	2000000UL

struct search {
	const char *word;
	size_t	len;
	const char *best;
	int	distance;		/* of best; at first: too far */
};

static int min3(int a, int b, int c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static int distance(const char *a, size_t na, const char *b, size_t nb)
{
	int rows[3][LONGEST + 1];
	int *before = rows[0], *above = rows[1], *row = rows[2], *spare;
	size_t i, j;

	for (j = 0; j <= nb; j++)
		row[j] = (int)j;
	for (i = 1; i <= na; i++) {
		spare = before;
		before = above;
		above = row;
		row = spare;
		row[0] = (int)i;
		for (j = 1; j <= nb; j++) {
			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				      above[j - 1] +
				      !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
			    same(a[i - 2], b[j - 1]) &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
	}
	return row[nb];
}

static void search_begin(struct search *s, const char *word)
{
	s->word = word;
	s->len = strlen(word);
	s->best = NULL;
	/* A third of the letters may be wrong; two letters in a short word. */
	s->distance = (int)(s->len / 3 > 2 ? s->len / 3 : 2) + 1;
	if (s->len <= 3)
		s->distance = 2;
	if (s->len > LONGEST)
		s->distance = 0;
}

static bool search_try(struct search *s, const char *candidate)
{
	size_t len = strlen(candidate);
	size_t apart = len > s->len ? len - s->len : s->len - len;
	int d;

	if (len > LONGEST || (long)apart >= s->distance)
		return false;
	d = distance(s->word, s->len, candidate, len);
	if (d >= s->distance)
		return false;
	s->distance = d;
	s->best = candidate;
	return true;
}

/* Valid until the next suggestion: it is copied into the diagnostic. */
static const char *sentence(const struct search *s)
{
	static char text[LONGEST + 32];

	if (!s->best)
		return NULL;
	snprintf(text, sizeof(text), "did you mean \"%s\"?", s->best);
	return text;
}

const char *policy_suggest_param(const struct statement *st, const char *word,
				 const struct param **param)
{
	struct search s;
	size_t i;

	search_begin(&s, word);
	for (i = 0; i < st->n_params; i++)
		if (search_try(&s, st->params[i].name))
			*param = &st->params[i];
	return sentence(&s);
}

const char *policy_suggest_statement(const char *word,
				     const struct statement **st)
{
	struct search s;
	size_t i;

	search_begin(&s, word);
	for (i = 0; i < ST_POLICY; i++)
		if (search_try(&s, policy_statements[i].name))
			*st = &policy_statements[i];
	return sentence(&s);
}

const char *policy_suggest_choice(const struct choice *choices,
				  const char *word)
{
	struct search s;

	search_begin(&s, word);
	for (; choices->name; choices++)
		if (!choices->refused)
			search_try(&s, choices->name);
	return sentence(&s);
}

const char *policy_suggest_code(const struct policy_codes *codes,
				const char *word)
{
	struct search s;
	size_t i;

	search_begin(&s, word);
	for (i = 0; i < codes->n; i++)
		if (!codes->code[i].never)
			search_try(&s, codes->code[i].name);
	return sentence(&s);
}

const char *policy_suggest_user(const char *word)
{
	const struct passwd *pw;
	char best[LONGEST + 1];
	struct search s;

	search_begin(&s, word);
	setpwent();
	/* The next entry overwrites the last. */
	while ((pw = getpwent()))
		if (search_try(&s, pw->pw_name))
			s.best = strcpy(best, pw->pw_name);
	endpwent();
	return sentence(&s);
}

const char *policy_suggest_name(struct builder *b, enum statement_id id,
				const char *word)
{
	const struct object *o;
	struct search s;

	search_begin(&s, word);
	for (o = b->policy->objects; o; o = o->next) {
		if (++b->compared > COMPARE_MAX)
			return NULL;
		if (object_is(o, id) && o->name)
			search_try(&s, o->name);
	}
	return sentence(&s);
}

const char *policy_suggest(const struct policy_names *names, const char *word)
{
	struct search s;
	size_t i;

	search_begin(&s, word);
	for (i = 0; i < names->n; i++)
		search_try(&s, names->name[i]);
	return sentence(&s);
}
