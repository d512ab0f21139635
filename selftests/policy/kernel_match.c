// SPDX-License-Identifier: GPL-2.0-only
/*
 * The matcher in the kernel against the one of attls explain: random rule
 * sets and connections, each answered by both.  Needs the module
 * attls_match_test.  Prints what it compared.
 *
 *	kernel_match [SETS [CONNECTIONS [SEED]]]
 */
#include "argument.h"
#include "random_set.h"
#include "match_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "kernel_match: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* How many answers differ. */
static unsigned long compare(int device, const struct attls_set *set,
			     const struct attls_tuple *tuples,
			     struct match_answer *answers, unsigned int n)
{
	struct match_questions q = {
		.tuples = (uintptr_t)tuples,
		.answers = (uintptr_t)answers,
		.n = n,
	};
	unsigned long wrong = 0;
	unsigned int i;

	if (ioctl(device, MATCH_IOC_ASK, &q))
		die("ask");
	for (i = 0; i < n; i++)
		wrong += answers[i].rule != attls_set_match(set, &tuples[i]) ||
			 answers[i].any != attls_set_match_any(set, &tuples[i]);
	return wrong;
}

int main(int argc, char **argv)
{
	unsigned long sets = argument(argc, argv, 1, 2000), wrong = 0, s;
	unsigned int n = (unsigned int)argument(argc, argv, 2, 500), i;
	__u64 seed = argument(argc, argv, 3, 1);
	struct attls_tuple *tuples = calloc(n, sizeof(*tuples));
	struct match_answer *answers = calloc(n, sizeof(*answers));
	int device = open("/dev/" MATCH_DEVICE, O_RDWR | O_CLOEXEC);
	struct attls_set set;
	size_t len;
	__u32 where;
	void *blob;

	if (device < 0 || !tuples || !answers)
		die("/dev/" MATCH_DEVICE);
	for (s = 0; s < sets; s++) {
		blob = random_set(&seed, random_below(&seed, RANDOM_RULES), &len);
		if (attls_set_parse(&set, blob, (__u32)len, &where) ||
		    write(device, blob, len) != (ssize_t)len)
			die("rule set");
		for (i = 0; i < n; i++)
			random_tuple(&seed, &tuples[i]);
		wrong += compare(device, &set, tuples, answers, n);
		free(blob);
	}
	printf("%lu rule sets, %lu connections, %lu differ\n", sets, sets * n,
	       wrong);
	return wrong != 0;
}
