// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index against the rules themselves: random rule sets and connections,
 * each answered by a search of the index and by looking at rule after rule;
 * and the filter before it, which may not hold back what a rule matches.
 *
 *	index_test [SETS [CONNECTIONS [SEED]]]	KTAP
 */
#include "argument.h"
#include "attls_filter.h"
#include "random_set.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int by_hand(const struct attls_set *set, const struct attls_tuple *t,
		   bool any)
{
	const struct attls_rule *r;
	__u32 i;

	for (i = 0; i < set->header->n_rules; i++) {
		r = &set->rules[i];
		if (!attls_match_conn(set, r, t))
			continue;
		if (any)
			return attls_rule_asks_who(r) ?
			       ATTLS_MATCH_PROCESS : (int)i;
		if (attls_match_who(set, r, t))
			return (int)i;
	}
	return -1;
}

static int passes(const struct attls_filter *f, const struct attls_tuple *t)
{
	static const __u8 mapped[12] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
	};
	const __u8 *here = t->local_addr, *there = t->remote_addr;

	here += memcmp(here, mapped, sizeof(mapped)) ? 0 : sizeof(mapped);
	there += memcmp(there, mapped, sizeof(mapped)) ? 0 : sizeof(mapped);
	return attls_filter_may(f, t->direction, attls_filter_16(here),
				t->local_port, attls_filter_16(there),
				t->remote_port);
}

static struct attls_filter *filter_of(const struct attls_set *set)
{
	struct attls_filter *f = calloc(1, sizeof(*f));
	__u32 i;

	if (!f)
		abort();
	attls_filter_begin(f);
	for (i = 0; i < set->header->n_rules; i++)
		attls_filter_add(f, set, &set->rules[i]);
	return f;
}

struct count {
	unsigned long wrong;
	unsigned long matches;
	unsigned long lost;		/* the filter holds a match back */
	unsigned long filtered;
};

static void compare(const struct attls_set *set, unsigned long n, __u64 *seed,
		    struct count *count)
{
	struct attls_filter *f = filter_of(set);
	struct attls_tuple t;
	int found, any;

	while (n--) {
		random_tuple(seed, &t);
		found = attls_set_match(set, &t);
		any = attls_set_match_any(set, &t);
		count->wrong += found != by_hand(set, &t, false) ||
				any != by_hand(set, &t, true);
		count->matches += found >= 0;
		if (passes(f, &t))
			continue;
		count->filtered++;
		count->lost += any != -1;
	}
	free(f);
}

int main(int argc, char **argv)
{
	unsigned long sets = argument(argc, argv, 1, 2000), i;
	unsigned long tuples = argument(argc, argv, 2, 500);
	__u64 seed = argument(argc, argv, 3, 1);
	unsigned long refused = 0;
	struct count count = { 0 };
	struct attls_set set;
	size_t len;
	__u32 where;
	void *blob;

	printf("KTAP version 1\n1..4\n# %lu rule sets, %lu connections each\n",
	       sets, tuples);
	for (i = 0; i < sets; i++) {
		blob = random_set(&seed, random_below(&seed, RANDOM_RULES), &len);
		if (attls_set_parse(&set, blob, (__u32)len, &where))
			refused++;
		else
			compare(&set, tuples, &seed, &count);
		free(blob);
	}
	printf("# %lu connections match a rule\n", count.matches);
	printf("%sok 1 the validator takes what we compile\n",
	       refused ? "not " : "");
	printf("%sok 2 the index finds the rule\n", count.wrong ? "not " : "");
	printf("%sok 3 there is something to find\n",
	       count.matches > sets * tuples / 10 ? "" : "not ");
	printf("# the filter holds back %lu\n", count.filtered);
	printf("%sok 4 the filter holds back what has no rule, and nothing else\n",
	       count.lost || !count.filtered ? "not " : "");
	return refused || count.wrong || count.lost || !count.filtered ||
	       count.matches <= sets * tuples / 10;
}
