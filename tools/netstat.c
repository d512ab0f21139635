// SPDX-License-Identifier: GPL-2.0-only
#include "attls.h"
#include "format.h"

#include <json-c/json.h>

static const char *const headers[] = {
	"ConnID", "State", "Local socket", "Remote socket", "Program(pid)",
	"User", "Rule", "Protocol", "Cipher",
	/* with -v */
	"Session", "Group", "Environment", "Connection", "CertUserID", "Netns",
	"Reason",
};

#define PLAIN_COLUMNS	9
#define ALL_COLUMNS	(sizeof(headers) / sizeof(headers[0]))

struct listing {
	const struct options *o;
	struct table table;
	struct json_object *json;
};

/* [addr]:port for IPv6, so that the port can be told. */
static void socket_text(char *text, size_t size, const uint8_t *addr,
			uint16_t port)
{
	char plain[POLICY_ADDR_TEXT];

	policy_format_addr(plain, sizeof(plain), addr);
	snprintf(text, size, policy_addr_is_v4(addr) ? "%s:%u" : "[%s]:%u",
		 plain, port);
}

static void add_row(const struct policy_kernel_conn *c, void *arg)
{
	struct listing *l = arg;
	struct table *t = &l->table;
	char text[POLICY_ADDR_TEXT + 16];

	table_cell(t, "%08x", c->id);
	table_cell(t, "%s", name_of_state(c->state));
	socket_text(text, sizeof(text), c->local_addr, c->local_port);
	table_cell(t, "%s", text);
	socket_text(text, sizeof(text), c->remote_addr, c->remote_port);
	table_cell(t, "%s", text);
	table_cell(t, "%s(%u)", c->comm, c->pid);
	table_cell(t, "%s", name_of_user(c->uid, text, sizeof(text)));
	table_cell(t, "%s", c->rule);
	table_cell(t, "%s", name_of_protocol(c->protocol));
	table_cell(t, "%s", name_of_cipher(c->cipher, text, sizeof(text)));
	if (!l->o->verbose)
		return;
	table_cell(t, "%s", name_of_session(c));
	table_cell(t, "%s", c->group);
	table_cell(t, "%s", c->environment);
	table_cell(t, "%s", c->connection);
	table_cell(t, "%s", c->cert_user);
	table_cell(t, "%llu", (unsigned long long)c->netns);
	table_cell(t, "%s", name_of_reason(c->reason, text, sizeof(text)));
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void add_names(struct json_object *o,
		      const struct policy_kernel_conn *c)
{
	char text[64];

	json_add(o, "state", name_of_state(c->state));
	json_add(o, "direction", name_of_direction(c->direction));
	json_add(o, "map_type", c->secondary ? "Secondary" : "Primary");
	json_add(o, "role", name_of_role(c->role));
	json_add(o, "program", c->comm);
	json_add_number(o, "pid", c->pid);
	json_add_number(o, "uid", c->uid);
	json_add(o, "user", name_of_user(c->uid, text, sizeof(text)));
	json_add(o, "rule", c->rule);
	json_add(o, "group", or_null(c->group));
	json_add(o, "environment", or_null(c->environment));
	json_add(o, "connection", or_null(c->connection));
	json_add(o, "cert_user", or_null(c->cert_user));
	if (*c->cert_user)
		json_add_number(o, "cert_uid", c->cert_uid);
	json_add(o, "protocol", or_null(name_of_protocol(c->protocol)));
	json_add(o, "cipher", or_null(name_of_cipher(c->cipher, text,
						     sizeof(text))));
	json_add_number(o, "cipher_code", c->cipher);
	json_add_number(o, "kex_group", c->kex_group);
	json_add_bool(o, "resumed", c->resumed);
	json_add_number(o, "reason_code", c->reason);
	json_add(o, "reason", or_null(name_of_reason(c->reason, text,
						     sizeof(text))));
}

static void add_object(const struct policy_kernel_conn *c, void *arg)
{
	struct json_object *o = json_object_new_object();
	char text[POLICY_ADDR_TEXT];
	struct listing *l = arg;

	snprintf(text, sizeof(text), "%08x", c->id);
	json_add(o, "conn_id", text);
	json_add_number(o, "cookie", c->cookie);
	json_add_number(o, "netns", c->netns);
	policy_format_addr(text, sizeof(text), c->local_addr);
	json_add(o, "local_addr", text);
	json_add_number(o, "local_port", c->local_port);
	policy_format_addr(text, sizeof(text), c->remote_addr);
	json_add(o, "remote_addr", text);
	json_add_number(o, "remote_port", c->remote_port);
	add_names(o, c);
	json_object_array_add(l->json, o);
}

static int list(const struct options *o, struct policy_kernel *kernel)
{
	struct listing l = { .o = o };
	char err[POLICY_KERNEL_ERR];
	int ret;

	if (o->json) {
		l.json = json_object_new_array();
		ret = policy_kernel_conns(kernel, add_object, &l, err);
		if (!ret)
			return output_json(l.json);
		json_object_put(l.json);
		return output_error(o, EXIT_FAILED, "%s", err);
	}
	table_begin(&l.table, headers, o->verbose ? ALL_COLUMNS :
		    PLAIN_COLUMNS);
	ret = policy_kernel_conns(kernel, add_row, &l, err);
	/* What was listed before a failure is worth seeing too. */
	table_end(&l.table);
	if (ret)
		return output_error(o, EXIT_FAILED, "%s", err);
	return output_finish(EXIT_OK);
}

int netstat_main(const struct options *o, int argc, char **argv)
{
	struct policy_kernel *kernel;
	int code = kernel_open(o, &kernel);

	if (code)
		return code;
	code = list(o, kernel);
	policy_kernel_close(kernel);
	return code;
}
