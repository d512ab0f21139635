// SPDX-License-Identifier: GPL-2.0-only
/* The active rules, read back from the kernel and taken apart again. */
#include "attls.h"
#include "attls_match.h"
#include "format.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/*
 * The compiler splits an IPv6 range around the IPv4 addresses; the halves
 * are one range to the reader.
 */
static bool joins(const struct attls_addr_range *a,
		  const struct attls_addr_range *b)
{
	static const uint8_t below[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
		0xfe, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t above[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
		0, 0, 0, 0 };

	return !memcmp(a->hi, below, sizeof(below)) &&
	       !memcmp(b->lo, above, sizeof(above));
}

static void add_text(struct json_object *list, const char *text)
{
	json_object_array_add(list, json_object_new_string(text));
}

static struct json_object *addrs(const struct attls_set *set,
				 const struct attls_slice *s)
{
	struct json_object *list = json_object_new_array();
	const struct attls_addr_range *r = set->addrs + s->first;
	char text[POLICY_ADDR_TEXT];
	struct attls_addr_range range;
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		range = r[i];
		if (i + 1 < s->count && joins(&r[i], &r[i + 1]))
			memcpy(range.hi, r[++i].hi, sizeof(range.hi));
		policy_format_addr_range(text, sizeof(text), &range);
		add_text(list, text);
	}
	return list;
}

static struct json_object *ports(const struct attls_set *set,
				 const struct attls_slice *s)
{
	struct json_object *list = json_object_new_array();
	const struct attls_port_range *r = set->ports + s->first;
	char text[32];
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		if (r[i].lo == r[i].hi)
			snprintf(text, sizeof(text), "%u", r[i].lo);
		else
			snprintf(text, sizeof(text), "%u-%u", r[i].lo,
				 r[i].hi);
		add_text(list, text);
	}
	return list;
}

static struct json_object *users(const struct attls_set *set,
				 const struct attls_slice *s)
{
	struct json_object *list = json_object_new_array();
	const struct attls_id_range *r = set->ids + s->first;
	char text[64];
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		if (r[i].lo == r[i].hi)
			name_of_user(r[i].lo, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%u-%u", r[i].lo,
				 r[i].hi);
		add_text(list, text);
	}
	return list;
}

static void add_name(struct json_object *o, const char *key,
		     const struct attls_set *set, uint32_t offset)
{
	json_add(o, key, offset ? attls_set_string(set, offset) : NULL);
}

static void add_job(struct json_object *o, const struct attls_rule *r)
{
	char text[ATTLS_COMM_LEN + 1];

	snprintf(text, sizeof(text), "%.*s%s", r->job_len, r->job,
		 r->flags & ATTLS_RULE_JOB_PREFIX ? "*" : "");
	json_add(o, "job", *text ? text : NULL);
}

static struct json_object *rule_json(const struct attls_set *set,
				     const struct attls_rule *r)
{
	struct json_object *o = json_object_new_object();

	add_name(o, "name", set, r->name);
	json_add_number(o, "priority", r->priority);
	json_add(o, "direction", name_of_direction(r->direction));
	json_object_object_add(o, "local_addrs", addrs(set, &r->local_addrs));
	json_object_object_add(o, "local_ports", ports(set, &r->local_ports));
	json_object_object_add(o, "remote_addrs",
			       addrs(set, &r->remote_addrs));
	json_object_object_add(o, "remote_ports",
			       ports(set, &r->remote_ports));
	json_object_object_add(o, "users", users(set, &r->uids));
	add_job(o, r);
	json_add_bool(o, "enabled", r->flags & ATTLS_RULE_ENABLED);
	json_add(o, "role", name_of_role(r->role));
	json_add_number(o, "handshake_timeout", r->hs_timeout);
	json_add_bool(o, "application_controlled",
		      r->flags & ATTLS_RULE_APPLCNTRL);
	json_add_bool(o, "truncation_check",
		      !(r->flags & ATTLS_RULE_TRUNC_OK));
	add_name(o, "group", set, r->group);
	add_name(o, "environment", set, r->environment);
	add_name(o, "connection", set, r->connection);
	return o;
}

static const char *text_of(struct json_object *rule, const char *key)
{
	struct json_object *value = json_object_object_get(rule, key);

	return value ? json_object_get_string(value) : "";
}

/* "a,b,c"; "any" without a condition. */
static void list_cell(struct table *t, struct json_object *rule,
		      const char *key)
{
	struct json_object *list = json_object_object_get(rule, key);
	size_t n = json_object_array_length(list), i;
	size_t len = 0;
	char *text;
	FILE *out = n ? open_memstream(&text, &len) : NULL;

	if (!out) {
		table_cell(t, "any");
		return;
	}
	for (i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? "," : "", json_object_get_string(
				json_object_array_get_idx(list, i)));
	fclose(out);
	table_cell(t, "%s", text);
	free(text);
}

static void rule_cells(struct table *t, struct json_object *rule,
		       const struct attls_rule *r)
{
	table_cell(t, "%u", r->priority);
	table_cell(t, "%s", text_of(rule, "name"));
	table_cell(t, "%s", text_of(rule, "direction"));
	list_cell(t, rule, "local_addrs");
	list_cell(t, rule, "local_ports");
	list_cell(t, rule, "remote_addrs");
	list_cell(t, rule, "remote_ports");
	list_cell(t, rule, "users");
	table_cell(t, "%s", *text_of(rule, "job") ? text_of(rule, "job") :
		   "any");
	table_cell(t, "%s", r->flags & ATTLS_RULE_ENABLED ? "On" : "Off");
	table_cell(t, "%s", text_of(rule, "role"));
	table_cell(t, "%u", r->hs_timeout);
	table_cell(t, "%s%s", r->flags & ATTLS_RULE_APPLCNTRL ? "A" : "",
		   r->flags & ATTLS_RULE_TRUNC_OK ? "T" : "");
	table_cell(t, "%s", text_of(rule, "group"));
	table_cell(t, "%s", text_of(rule, "environment"));
	table_cell(t, "%s", text_of(rule, "connection"));
}

static void print_table(const struct attls_set *set, uint32_t n,
			uint32_t generation)
{
	static const char *const headers[] = {
		"Priority", "Rule", "Direction", "Local", "Ports", "Remote",
		"Ports", "User", "Job", "TLS", "Role", "Timeout", "Flags",
		"Group", "Environment", "Connection"
	};
	struct json_object *rule;
	struct table t;
	uint32_t i;

	printf("generation %u, %u rule%s\n", generation, n, n == 1 ? "" : "s");
	table_begin(&t, headers, sizeof(headers) / sizeof(headers[0]));
	for (i = 0; i < n; i++) {
		rule = rule_json(set, &set->rules[i]);
		rule_cells(&t, rule, &set->rules[i]);
		json_object_put(rule);
	}
	table_end(&t);
}

static int print_json(const struct attls_set *set, uint32_t n,
		      uint32_t generation)
{
	struct json_object *o = json_object_new_object();
	struct json_object *rules = json_object_new_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(rules, rule_json(set, &set->rules[i]));
	json_add_number(o, "generation", generation);
	json_object_object_add(o, "rules", rules);
	return output_json(o);
}

static int print(const struct options *o, const void *blob, size_t len,
		 uint32_t generation)
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
		return print_json(&set, n, generation);
	print_table(&set, n, generation);
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
		code = print(o, blob, len, generation);
	free(blob);
	policy_kernel_close(kernel);
	return code;
}
