// SPDX-License-Identifier: GPL-2.0-only
#include "attls.h"

#include <json-c/json.h>

static void add_row(const char *name, uint64_t value, void *arg)
{
	table_cell(arg, "%s", name);
	table_cell(arg, "%llu", (unsigned long long)value);
}

static void add_member(const char *name, uint64_t value, void *arg)
{
	json_add_number(arg, name, value);
}

static int list(const struct options *o, struct policy_kernel *kernel)
{
	static const char *const headers[] = { "Counter", "Value" };
	struct json_object *object;
	char err[POLICY_KERNEL_ERR];
	struct table t;
	int ret;

	if (o->json) {
		object = json_object_new_object();
		ret = policy_kernel_stats(kernel, add_member, object, err);
		if (!ret)
			return output_json(object);
		json_object_put(object);
		return output_error(o, EXIT_FAILED, "%s", err);
	}
	table_begin(&t, headers, 2);
	ret = policy_kernel_stats(kernel, add_row, &t, err);
	table_end(&t);
	if (ret)
		return output_error(o, EXIT_FAILED, "%s", err);
	return output_finish(EXIT_OK);
}

int stats_main(const struct options *o, int argc, char **argv)
{
	struct policy_kernel *kernel;
	int code = kernel_open(o, &kernel);

	if (code)
		return code;
	code = list(o, kernel);
	policy_kernel_close(kernel);
	return code;
}
