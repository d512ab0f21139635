// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules without attlsd: what matches is held until attlsd comes, or
 * reset when its timer ends.  For the time of a boot in which programs may
 * start before attlsd does.
 */
#include "attls.h"
#include "kernel.h"
#include "policy.h"

#include <stdlib.h>
#include <time.h>

static int install(const struct options *o, const void *blob, size_t len,
		   size_t rules)
{
	struct policy_kernel *kernel;
	char err[POLICY_KERNEL_ERR];
	uint32_t generation;
	size_t old_len;
	void *old = NULL;
	int code = kernel_open(o, &kernel);

	if (code)
		return code;
	if (policy_kernel_read(kernel, &old, &old_len, &generation, err) ||
	    policy_kernel_install(kernel, blob, len, generation + 1, err))
		code = output_error(o, EXIT_FAILED, "%s", err);
	else if (!o->json)
		printf("generation %u, %zu rules held for attlsd\n",
		       generation + 1, rules);
	free(old);
	policy_kernel_close(kernel);
	return output_finish(code);
}

int hold_main(const struct options *o, int argc, char **argv)
{
	struct policy_diags diags = { 0 };
	struct policy *policy = policy_load(argv[0], &diags);
	int code = EXIT_FAILED;
	void *blob = NULL;
	size_t len;

	if (policy && !policy_compile(policy, time(NULL), &blob, &len, &diags))
		code = install(o, blob, len, policy_rule_count(policy));
	policy_diags_print(stderr, &diags);
	free(blob);
	policy_free(policy);
	policy_diags_free(&diags);
	return code;
}
