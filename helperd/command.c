// SPDX-License-Identifier: GPL-2.0-only
/* What the attls command can ask of attlsd; control.h has the protocol. */
#include "attlsd.h"
#include "control.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#ifndef CONTROL_CMD_STATUS
#define CONTROL_CMD_STATUS	"status"
#endif

static void add(struct json_object *o, const char *key, struct json_object *v)
{
	json_object_object_add(o, key, v);
}

static void add_policy(struct json_object *answer)
{
	const struct attlsd_set *set = attlsd_reload_current();

	add(answer, CONTROL_KEY_GENERATION,
	    json_object_new_int64(set ? set->generation : 0));
	add(answer, CONTROL_KEY_RULES,
	    json_object_new_int64(set ? policy_rule_count(set->policy) : 0));
}

static struct json_object *failed(const char *error)
{
	struct json_object *answer = json_object_new_object();

	add(answer, CONTROL_KEY_OK, json_object_new_boolean(0));
	add(answer, CONTROL_KEY_ERROR, json_object_new_string(error));
	return answer;
}

static struct json_object *succeeded(void)
{
	struct json_object *answer = json_object_new_object();

	add(answer, CONTROL_KEY_OK, json_object_new_boolean(1));
	add_policy(answer);
	return answer;
}

static struct json_object *load(const char *file)
{
	struct policy_diags diags = { 0 };
	struct json_object *answer;
	char error[ATTLSD_WHY];
	int ret;

	attlsd_proc_reloading();
	ret = attlsd_reload(file, &diags, error);
	attlsd_proc_ready();
	answer = ret ? failed(error) : succeeded();
	add(answer, CONTROL_KEY_DIAGS, policy_diags_json(&diags));
	policy_diags_free(&diags);
	return answer;
}

static const char *text_of(struct json_object *request, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(request, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static struct json_object *do_load(struct json_object *request)
{
	const char *file = text_of(request, CONTROL_KEY_FILE);

	if (!file || *file != '/')
		return failed("load needs the absolute name of a file");
	return load(file);
}

static struct json_object *do_reload(struct json_object *request)
{
	return load(NULL);
}

static struct json_object *do_status(struct json_object *request)
{
	struct json_object *answer = succeeded();
	const char *file = attlsd_reload_file();

	add(answer, CONTROL_KEY_FILE, json_object_new_string(file ? file : ""));
	add(answer, "workers", json_object_new_int64(attlsd_team_alive()));
	add(answer, "attlsd", json_object_new_string(ATTLS_VERSION));
	add(answer, CONTROL_KEY_DIAGS, json_object_new_array());
	return answer;
}

static const struct {
	const char *name;
	struct json_object *(*run)(struct json_object *request);
} commands[] = {
	{ CONTROL_CMD_LOAD,	do_load },
	{ CONTROL_CMD_RELOAD,	do_reload },
	{ CONTROL_CMD_STATUS,	do_status },
};

static struct json_object *run(struct json_object *request)
{
	const char *name = text_of(request, CONTROL_KEY_COMMAND);
	struct json_object *version;

	if (!json_object_object_get_ex(request, CONTROL_KEY_VERSION,
				       &version) ||
	    json_object_get_int(version) != CONTROL_VERSION)
		return failed("unknown version of the control protocol");
	for (size_t i = 0; name && i < sizeof(commands) / sizeof(*commands);
	     i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].run(request);
	return failed("unknown command");
}

/* The answer to a line, for json_object_put(). */
struct json_object *attlsd_command(const char *line)
{
	struct json_object *request = json_tokener_parse(line);
	struct json_object *answer;

	if (json_object_is_type(request, json_type_object))
		answer = run(request);
	else
		answer = failed("the request is not a JSON object");
	json_object_put(request);
	return answer;
}
