// SPDX-License-Identifier: GPL-2.0-only
/* The active rules, read back from the kernel and taken apart again. */
#include "attls.h"
#include "attls_match.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void list_cell(struct table *t, struct json_object *rule,
		      const char *key)
{
	char *text = rule_list(rule, key);

	table_cell(t, "%s", text);
	free(text);
}

/* Conditions that few rules have. */
static void more_cell(struct table *t, struct json_object *rule,
		      const struct attls_rule *r)
{
	static const char *const keys[] = {
		"groups", "netns", "exes", "cgroups",
	};
	char text[512] = "", *list;
	size_t n = 0, i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		list = rule_list(rule, keys[i]);
		if (strcmp(list, "any") && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "%s%s %s", n ? ", " : "",
					      keys[i], list);
		free(list);
	}
	if (r->times.count && n < sizeof(text))
		snprintf(text + n, sizeof(text) - n, "%stimes",
			 n ? ", " : "");
	table_cell(t, "%s", text);
}

static const char *tls_of(const struct attls_rule *r)
{
	if (r->flags & ATTLS_RULE_DENY)
		return "Deny";
	return r->flags & ATTLS_RULE_ENABLED ? "On" : "Off";
}

static void rule_cells(struct table *t, struct json_object *rule,
		       const struct attls_rule *r)
{
	table_cell(t, "%u", r->priority);
	table_cell(t, "%s", json_text(rule, "name"));
	table_cell(t, "%s", json_text(rule, "direction"));
	list_cell(t, rule, "local_addrs");
	list_cell(t, rule, "local_ports");
	list_cell(t, rule, "remote_addrs");
	list_cell(t, rule, "remote_ports");
	list_cell(t, rule, "users");
	table_cell(t, "%s", *json_text(rule, "job") ? json_text(rule, "job") :
		   "any");
	more_cell(t, rule, r);
	table_cell(t, "%s", tls_of(r));
	table_cell(t, "%s", json_text(rule, "role"));
	table_cell(t, "%u", r->hs_timeout);
	table_cell(t, "%s%s%s", r->flags & ATTLS_RULE_APPLCNTRL ? "A" : "",
		   r->flags & ATTLS_RULE_SECONDARY ? "S" : "",
		   r->flags & ATTLS_RULE_TRUNC_OK ? "T" : "");
	table_cell(t, "%s", json_text(rule, "group"));
	table_cell(t, "%s", json_text(rule, "environment"));
	table_cell(t, "%s", json_text(rule, "connection"));
}

static void print_table(const struct attls_set *set, uint32_t n, size_t len,
			uint32_t generation)
{
	static const char *const headers[] = {
		"Priority", "Rule", "Direction", "Local", "Ports", "Remote",
		"Ports", "User", "Job", "More", "TLS", "Role", "Timeout", "Flags",
		"Group", "Environment", "Connection"
	};
	struct json_object *rule;
	struct table t;
	uint32_t i;

	printf("generation %u, %u rule%s, %zu KiB\n", generation, n,
	       n == 1 ? "" : "s", (len + 1023) / 1024);
	table_begin(&t, headers, sizeof(headers) / sizeof(headers[0]));
	for (i = 0; i < n; i++) {
		rule = rule_json(set, &set->rules[i]);
		rule_cells(&t, rule, &set->rules[i]);
		json_object_put(rule);
	}
	table_end(&t);
}

/* What attlsd has written for the next time that the module is loaded. */
static bool closes_again(void)
{
	return !access(POLICY_STARTUP_FILE, F_OK);
}

static int print_json(const struct attls_set *set, uint32_t n, size_t len,
		      uint32_t generation, bool closed)
{
	struct json_object *o = json_object_new_object();
	struct json_object *rules = json_object_new_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(rules, rule_json(set, &set->rules[i]));
	json_add_number(o, "generation", generation);
	json_add_number(o, "bytes", len);
	json_add_bool(o, "startup_closed", closed);
	json_add_bool(o, "startup_closes_again", closes_again());
	json_object_object_add(o, "rules", rules);
	return output_json(o);
}

static int print(const struct options *o, const void *blob, size_t len,
		 uint32_t generation, bool closed)
{
	struct attls_set set = { 0 };
	const char *wrong = NULL;
	uint32_t n = 0;
	__u32 where;

	if (len)
		wrong = attls_set_parse(&set, blob, (__u32)len, &where);
	if (wrong)
		return output_error(o, EXIT_FAILED,
				    "the kernel's rule set does not fit this "
				    "program: %s (rule %u)", wrong, where);
	if (len)
		n = set.header->n_rules;
	if (o->json)
		return print_json(&set, n, len, generation, closed);
	if (closed)
		puts("start-up window closed: no connections until a policy is loaded");
	else if (closes_again())
		puts("start-up window closed when the module is loaded again");
	print_table(&set, n, len, generation);
	return output_finish(EXIT_OK);
}

int show_main(const struct options *o, int argc, char **argv)
{
	struct policy_kernel *kernel;
	char err[POLICY_KERNEL_ERR];
	uint32_t generation;
	void *blob;
	size_t len;
	int code = kernel_open(o, &kernel);

	if (code)
		return code;
	if (policy_kernel_read(kernel, &blob, &len, &generation, err))
		code = output_error(o, EXIT_FAILED, "%s", err);
	else
		code = print(o, blob, len, generation,
			     policy_kernel_startup_closed(kernel));
	free(blob);
	policy_kernel_close(kernel);
	return code;
}
