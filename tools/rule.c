// SPDX-License-Identifier: GPL-2.0-only
/* A compiled rule taken apart again, as people write it. */
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

/* @name: writes one of them. */
static struct json_object *ids(const struct attls_set *set,
			       const struct attls_slice *s,
			       const char *(*name)(uint32_t id, char *text,
						   size_t size))
{
	struct json_object *list = json_object_new_array();
	const struct attls_id_range *r = set->ids + s->first;
	char text[64];
	uint32_t i;

	for (i = 0; i < s->count; i++) {
		if (r[i].lo == r[i].hi)
			name(r[i].lo, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%u-%u", r[i].lo,
				 r[i].hi);
		add_text(list, text);
	}
	return list;
}

static const char *name_of_number(uint32_t n, char *text, size_t size)
{
	snprintf(text, size, "%u", n);
	return text;
}

static struct json_object *paths(const struct attls_set *set,
				 const struct attls_slice *s)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; i < s->count; i++)
		add_text(list, attls_set_string(set, set->refs[s->first + i]));
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

struct json_object *rule_json(const struct attls_set *set,
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
	json_object_object_add(o, "users", ids(set, &r->uids, name_of_user));
	json_object_object_add(o, "groups",
			       ids(set, &r->gids, name_of_group));
	json_object_object_add(o, "netns",
			       ids(set, &r->netns, name_of_number));
	json_object_object_add(o, "exes", paths(set, &r->exes));
	json_object_object_add(o, "cgroups", paths(set, &r->cgroups));
	add_job(o, r);
	json_add_bool(o, "timed", r->times.count);
	json_add_bool(o, "enabled", r->flags & ATTLS_RULE_ENABLED);
	json_add_bool(o, "denied", r->flags & ATTLS_RULE_DENY);
	json_add(o, "role", name_of_role(r->role));
	json_add_number(o, "handshake_timeout", r->hs_timeout);
	json_add_number(o, "reset_cipher_timer", r->reset_timer);
	json_add_bool(o, "application_controlled",
		      r->flags & ATTLS_RULE_APPLCNTRL);
	json_add_bool(o, "secondary_map", r->flags & ATTLS_RULE_SECONDARY);
	json_add_bool(o, "fips140", r->flags & ATTLS_RULE_FIPS);
	json_add_bool(o, "truncation_check",
		      !(r->flags & ATTLS_RULE_TRUNC_OK));
	add_name(o, "group", set, r->group);
	add_name(o, "environment", set, r->environment);
	add_name(o, "connection", set, r->connection);
	return o;
}

char *rule_list(struct json_object *rule, const char *key)
{
	struct json_object *list = json_object_object_get(rule, key);
	size_t n = json_object_array_length(list), i;
	size_t len = 0;
	char *text;
	FILE *out = n ? open_memstream(&text, &len) : NULL;

	if (!out)
		return strdup("any");
	for (i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? "," : "", json_object_get_string(
				json_object_array_get_idx(list, i)));
	fclose(out);
	return text;
}
