// SPDX-License-Identifier: GPL-2.0-only
/* Which rule a connection gets, and why; with the matcher of the kernel. */
#include "attls.h"
#include "attls_match.h"
#include "format.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WHY	256			/* bytes of a reason */

/* Fills @addr and @port from ADDR, ADDR:PORT or [ADDR]:PORT. */
static bool read_endpoint(const char *text, uint8_t *addr, uint16_t *port)
{
	bool bracket = *text == '[';
	const char *end = strchr(text, bracket ? ']' : ':');
	char host[POLICY_ADDR_TEXT];
	char *rest = "";
	unsigned long n;

	if (bracket && !end)
		return false;
	/* Two colons without brackets: an IPv6 address alone. */
	if (!end || (!bracket && strchr(end + 1, ':')))
		end = text + strlen(text);
	text += bracket;
	if ((size_t)(end - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	end += bracket && *end;
	if (*end == ':') {
		n = strtoul(end + 1, &rest, 10);
		if (!end[1] || *rest || !n || n > UINT16_MAX)
			return false;
		*port = (uint16_t)n;
	} else if (*end) {
		return false;
	}
	return policy_parse_addr(host, addr);
}

/* YYYY-MM-DDThh:mm[:ss], then Z for UTC. */
static bool read_time(const char *text, __s64 *at)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M", &tm);

	if (end && *end == ':')
		end = strptime(end, ":%S", &tm);
	if (!end || (strcmp(end, "") && strcmp(end, "Z")))
		return false;
	*at = *end ? timegm(&tm) : mktime(&tm);
	return true;
}

/* NULL, or what is wrong with the addresses of the command line. */
static const char *read_endpoints(const struct options *o,
				  struct attls_tuple *t)
{
	if (o->direction != ATTLS_INBOUND && o->direction != ATTLS_OUTBOUND)
		return "say --in or --out";
	t->direction = o->direction;
	if (!o->local || !read_endpoint(o->local, t->local_addr,
					&t->local_port))
		return "say --local ADDRESS or --local ADDRESS:PORT";
	if (!o->remote || !read_endpoint(o->remote, t->remote_addr,
					 &t->remote_port))
		return "say --remote ADDRESS or --remote ADDRESS:PORT";
	if (t->direction == ATTLS_INBOUND && !t->local_port)
		return "with --in, say --local ADDRESS:PORT";
	return NULL;
}

/* NULL, or what is wrong with the rest of it. */
static const char *read_circumstances(const struct options *o,
				      struct attls_tuple *t)
{
	t->uid = getuid();
	t->gid = getgid();
	t->now = time(NULL);
	t->exe = o->exe;
	t->cgroup = o->cgroup;
	if (o->user && !policy_find_user(o->user, &t->uid))
		return "--user is nobody that this machine knows";
	if (o->group && !policy_find_group(o->group, &t->gid))
		return "--group is none that this machine knows";
	if (!policy_find_netns(o->netns ? o->netns : "/proc/self/ns/net",
			       &t->netns))
		return "--netns is none that this machine knows";
	if (o->at && !read_time(o->at, &t->now))
		return "--at wants YYYY-MM-DDThh:mm, with a Z for UTC";
	/* As the kernel keeps it. */
	snprintf(t->job, sizeof(t->job), "%s", o->job ? o->job : "");
	return NULL;
}

static bool says(char *why, struct json_object *rule, const char *key,
		 const char *what, const char *got)
{
	char *list = rule_list(rule, key);

	snprintf(why, WHY, "%s %s is not in %s", what, got, list);
	free(list);
	return true;
}

static bool why_not_netns(const struct attls_set *set,
			  const struct attls_rule *r,
			  const struct attls_tuple *t,
			  struct json_object *rule, char *why)
{
	char text[64];
	time_t now = t->now;

	snprintf(text, sizeof(text), "%u", t->netns);
	if (!attls_match_ids(set, &r->netns, t->netns))
		return says(why, rule, "netns", "network namespace", text);
	if (attls_match_times(set, r, t->now))
		return false;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", localtime(&now));
	snprintf(why, WHY, "IpTimeCondition does not hold at %s", text);
	return true;
}

static bool why_not_who(const struct attls_set *set,
			const struct attls_rule *r,
			const struct attls_tuple *t,
			struct json_object *rule, char *why)
{
	char name[64];

	name_of_user(t->uid, name, sizeof(name));
	if (!attls_match_ids(set, &r->uids, t->uid))
		return says(why, rule, "users", "user", name);
	name_of_group(t->gid, name, sizeof(name));
	if (!attls_match_ids(set, &r->gids, t->gid))
		return says(why, rule, "groups", "group", name);
	if (!attls_match_exe(set, r, t->exe))
		return says(why, rule, "exes", "program",
			    t->exe ? t->exe : "(none)");
	if (!attls_match_cgroup(set, r, t->cgroup))
		return says(why, rule, "cgroups", "control group",
			    t->cgroup ? t->cgroup : "(none)");
	if (attls_match_job(r, t->job))
		return false;
	snprintf(why, WHY, "job %s is not %.*s%s", *t->job ? t->job : "(none)",
		 r->job_len, r->job,
		 r->flags & ATTLS_RULE_JOB_PREFIX ? "*" : "");
	return true;
}

/* The first condition that keeps @r from matching.  False: none does. */
static bool why_not(const struct attls_set *set, const struct attls_rule *r,
		    const struct attls_tuple *t, struct json_object *rule,
		    char *why)
{
	char local[POLICY_ADDR_TEXT], remote[POLICY_ADDR_TEXT], number[64];

	policy_format_addr(local, sizeof(local), t->local_addr);
	policy_format_addr(remote, sizeof(remote), t->remote_addr);
	if (!(r->direction & t->direction)) {
		snprintf(why, WHY, "Direction is %s",
			 name_of_direction(r->direction));
		return true;
	}
	snprintf(number, sizeof(number), "%u", t->local_port);
	if (t->local_port &&
	    !attls_match_ports(set, &r->local_ports, t->local_port))
		return says(why, rule, "local_ports", "local port", number);
	snprintf(number, sizeof(number), "%u", t->remote_port);
	if (!attls_match_ports(set, &r->remote_ports, t->remote_port))
		return says(why, rule, "remote_ports", "remote port", number);
	if (!attls_match_addrs(set, &r->local_addrs, t->local_addr))
		return says(why, rule, "local_addrs", "local address", local);
	if (!attls_match_addrs(set, &r->remote_addrs, t->remote_addr))
		return says(why, rule, "remote_addrs", "remote address",
			    remote);
	return why_not_netns(set, r, t, rule, why) ||
	       why_not_who(set, r, t, rule, why);
}

/* The rules before the one that matches, each with its reason. */
static struct json_object *passed_over(const struct attls_set *set,
				       const struct attls_tuple *t, int found)
{
	struct json_object *list = json_object_new_array();
	uint32_t n = found < 0 ? set->header->n_rules : (uint32_t)found;
	struct json_object *rule, *o;
	char why[WHY];
	uint32_t i;

	for (i = 0; i < n; i++) {
		rule = rule_json(set, &set->rules[i]);
		o = json_object_new_object();
		json_add(o, "rule", attls_set_string(set, set->rules[i].name));
		json_add_number(o, "priority", set->rules[i].priority);
		why_not(set, &set->rules[i], t, rule, why);
		json_add(o, "why_not", why);
		json_object_array_add(list, o);
		json_object_put(rule);
	}
	return list;
}

static void add_parameter(const struct policy_parameter *p, void *arg)
{
	struct json_object *o = json_object_new_object();

	json_add(o, "name", p->name);
	json_add(o, "value", p->value);
	json_add(o, "statement", p->statement);
	if (p->statement) {
		json_add(o, "object", p->object);
		json_add(o, "file", p->place.file);
		json_add_number(o, "line", (uint64_t)p->place.line);
	}
	json_object_array_add(arg, o);
}

static struct json_object *explain(const struct policy *policy,
				   const struct attls_set *set,
				   const struct attls_tuple *t)
{
	struct json_object *o = json_object_new_object();
	struct json_object *parameters = json_object_new_array();
	int found = attls_set_match(set, t);
	const struct policy_action *a;

	a = found < 0 ? NULL : policy_action(policy, (size_t)found);
	json_add(o, "rule", a ? a->rule : NULL);
	json_add_bool(o, "protected", a && a->enabled);
	json_add_bool(o, "denied", found >= 0 &&
		      set->rules[found].flags & ATTLS_RULE_DENY);
	json_object_object_add(o, "passed_over", passed_over(set, t, found));
	if (a)
		policy_parameters(policy, (size_t)found, add_parameter,
				  parameters);
	json_object_object_add(o, "parameters", parameters);
	return o;
}

static void print_passed_over(struct json_object *list)
{
	static const char *const headers[] = {
		"Rule", "Priority", "Does not match, as"
	};
	size_t n = json_object_array_length(list), i;
	struct json_object *o;
	struct table t;

	if (!n)
		return;
	table_begin(&t, headers, 3);
	for (i = 0; i < n; i++) {
		o = json_object_array_get_idx(list, i);
		table_cell(&t, "%s", json_text(o, "rule"));
		table_cell(&t, "%s", json_text(o, "priority"));
		table_cell(&t, "%s", json_text(o, "why_not"));
	}
	table_end(&t);
	putchar('\n');
}

static void print_parameters(struct json_object *list)
{
	static const char *const headers[] = { "Parameter", "From", "Value" };
	size_t n = json_object_array_length(list), i;
	struct json_object *o;
	struct table t;

	table_begin(&t, headers, 3);
	for (i = 0; i < n; i++) {
		o = json_object_array_get_idx(list, i);
		table_cell(&t, "%s", json_text(o, "name"));
		if (*json_text(o, "statement"))
			table_cell(&t, "%s %s, %s:%s", json_text(o, "statement"),
				   json_text(o, "object"), json_text(o, "file"),
				   json_text(o, "line"));
		else
			table_cell(&t, "default");
		table_cell(&t, "%s", json_text(o, "value"));
	}
	putchar('\n');
	table_end(&t);
}

static int print(const struct options *options, struct json_object *o)
{
	const char *rule = json_text(o, "rule");
	bool denied = !strcmp(json_text(o, "denied"), "true");

	if (options->json)
		return output_json(o);
	print_passed_over(json_object_object_get(o, "passed_over"));
	if (*rule) {
		printf("TTLSRule %s matches: %s\n", rule,
		       !strcmp(json_text(o, "protected"), "true") ? "TLS" :
		       "clear, TTLSEnabled is Off");
		print_parameters(json_object_object_get(o, "parameters"));
	} else {
		printf("No rule matches: %s\n", denied ?
		       "denied, DefaultAction is Deny" : "clear");
	}
	json_object_put(o);
	return output_finish(EXIT_OK);
}

static int explain_policy(const struct options *o,
			  const struct policy *policy,
			  const struct attls_tuple *t,
			  struct policy_diags *diags)
{
	struct attls_set set;
	int code = EXIT_FAILED;
	void *blob = NULL;
	size_t len;
	__u32 where;

	if (policy && !policy_compile(policy, t->now, &blob, &len, diags) &&
	    !attls_set_parse(&set, blob, (__u32)len, &where))
		code = print(o, explain(policy, &set, t));
	else
		policy_diags_print(stderr, diags);
	free(blob);
	return code;
}

int explain_main(const struct options *o, int argc, char **argv)
{
	struct policy_diags diags = { 0 };
	struct policy *policy;
	struct attls_tuple t;
	const char *wrong;
	int code;

	memset(&t, 0, sizeof(t));
	wrong = read_endpoints(o, &t);
	if (!wrong)
		wrong = read_circumstances(o, &t);
	if (wrong)
		return output_error(o, EXIT_USAGE, "explain: %s", wrong);
	policy = policy_load(argv[0], &diags);
	code = explain_policy(o, policy, &t, &diags);
	policy_free(policy);
	policy_diags_free(&diags);
	return code;
}
