// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the fuzzer of rule sets begins with: policies, compiled, and random
 * sets.  Each with a connection of zeros before it.
 *
 *	seeds DIRECTORY POLICY...
 */
#include "asked.h"
#include "policy.h"
#include "random_set.h"

#include <stdlib.h>

#define RANDOM_SETS	20
#define RULES_MAX	20

static void write_seed(const char *dir, int number, const void *blob,
		       size_t len)
{
	static const struct asked connection;
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%d", dir, number);
	f = fopen(path, "wb");
	if (!f || fwrite(&connection, sizeof(connection), 1, f) != 1 ||
	    fwrite(blob, len, 1, f) != 1 || fclose(f)) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct policy_diags diags = { 0 };
	struct policy *policy;
	__u64 seed = 1;
	void *blob;
	size_t len;
	int i;

	for (i = 2; i < argc; i++) {
		policy = policy_load(argv[i], &diags);
		if (!policy || policy_compile(policy, 0, &blob, &len, &diags)) {
			policy_diags_print(stderr, &diags);
			return 1;
		}
		write_seed(argv[1], i, blob, len);
		free(blob);
		policy_free(policy);
	}
	policy_diags_free(&diags);
	for (; i < argc + RANDOM_SETS; i++) {
		blob = random_set(&seed, 1 + random_below(&seed, RULES_MAX),
				  &len);
		write_seed(argv[1], i, blob, len);
		free(blob);
	}
	return 0;
}
