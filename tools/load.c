// SPDX-License-Identifier: GPL-2.0-only
/* load and reload: one question to attlsd, see control.h. */
#include "attls.h"
#include "control.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = CONTROL_TIMEOUT };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

static int send_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The object of one line, or NULL with errno; EPROTO: not that. */
static struct json_object *receive(int fd)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object = NULL;
	size_t total = 0;
	char buf[4096];
	ssize_t n = 0;
	int saved;

	while (tokener && !object && total < CONTROL_ANSWER_MAX) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		total += (size_t)n;
		object = json_tokener_parse_ex(tokener, buf, (int)n);
		if (!object && json_tokener_get_error(tokener) !=
		    json_tokener_continue)
			break;
	}
	saved = n < 0 ? errno : EPROTO;
	if (tokener)
		json_tokener_free(tokener);
	errno = saved;
	return object;
}

static const char *get_string(struct json_object *o, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(o, key, &value))
		return NULL;
	return json_object_get_string(value);
}

static int get_int(struct json_object *o, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(o, key, &value))
		return 0;
	return json_object_get_int(value);
}

static void add_diag(struct policy_diags *diags, struct json_object *o)
{
	const char *severity = get_string(o, "severity");
	const char *message = get_string(o, "message");
	struct policy_place at = {
		.file = get_string(o, "file"),
		.line = get_int(o, "line"),
		.column = get_int(o, "column"),
	};

	policy_diags_add(diags, severity && !strcmp(severity, "warning") ?
			 POLICY_WARNING : POLICY_ERROR, &at,
			 get_string(o, "suggestion"), "%s",
			 message ? message : "?");
}

static void print_diags(struct json_object *answer)
{
	struct policy_diags diags = { 0 };
	struct json_object *list;
	size_t i;

	if (!json_object_object_get_ex(answer, CONTROL_KEY_DIAGS, &list) ||
	    !json_object_is_type(list, json_type_array))
		return;
	for (i = 0; i < json_object_array_length(list); i++)
		add_diag(&diags, json_object_array_get_idx(list, i));
	policy_diags_print(stderr, &diags);
	policy_diags_free(&diags);
}

static int print_answer(const struct options *o, struct json_object *answer)
{
	const char *error = get_string(answer, CONTROL_KEY_ERROR);
	struct json_object *ok;
	int code = EXIT_FAILED;

	if (json_object_object_get_ex(answer, CONTROL_KEY_OK, &ok) &&
	    json_object_get_boolean(ok))
		code = EXIT_OK;
	if (!o->json)
		print_diags(answer);
	if (o->json)
		output_json(json_object_get(answer));
	else if (code == EXIT_OK)
		printf("generation %d, %d rules\n",
		       get_int(answer, CONTROL_KEY_GENERATION),
		       get_int(answer, CONTROL_KEY_RULES));
	else
		fprintf(stderr, "attls: %s\n",
			error ? error : "attlsd did not say why");
	return output_finish(code);
}

static const char *connect_hint(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return " (is it running? systemctl status attlsd)";
	case EACCES:
	case EPERM:
		return " (this needs root)";
	}
	return "";
}

static const char *receive_text(int error)
{
	switch (error) {
	case EPROTO:
		return "what it sent is not JSON, or it ended";
	case EAGAIN:
		return "it took too long";
	}
	return strerror(error);
}

static int ask(const struct options *o, struct json_object *question)
{
	const char *line = json_object_to_json_string_ext(question,
			JSON_C_TO_STRING_PLAIN |
			JSON_C_TO_STRING_NOSLASHESCAPE);
	struct json_object *answer = NULL;
	int fd = connect_to(o->socket), code;

	if (fd < 0)
		return output_error(o, EXIT_NO_PEER,
				    "cannot reach attlsd at %s: %s%s",
				    o->socket, strerror(errno),
				    connect_hint(errno));
	/* A server that refuses may answer before it has read it all. */
	if (!send_all(fd, line, strlen(line)))
		send_all(fd, "\n", 1);
	answer = receive(fd);
	if (!answer)
		code = output_error(o, EXIT_NO_PEER,
				    "attlsd at %s gave no answer: %s",
				    o->socket, receive_text(errno));
	else
		code = print_answer(o, answer);
	json_object_put(answer);
	close(fd);
	return code;
}

static int run(const struct options *o, const char *command, const char *file)
{
	struct json_object *question = json_object_new_object();
	int code;

	json_add_number(question, CONTROL_KEY_VERSION, CONTROL_VERSION);
	json_add(question, CONTROL_KEY_COMMAND, command);
	if (file)
		json_object_object_add(question, CONTROL_KEY_FILE,
				       json_object_new_string(file));
	code = ask(o, question);
	json_object_put(question);
	return code;
}

int load_main(const struct options *o, int argc, char **argv)
{
	char path[PATH_MAX];

	/* attlsd has another working directory. */
	if (!realpath(argv[0], path))
		return output_error(o, EXIT_FAILED, "%s: %s", argv[0],
				    strerror(errno));
	return run(o, CONTROL_CMD_LOAD, path);
}

int reload_main(const struct options *o, int argc, char **argv)
{
	return run(o, CONTROL_CMD_RELOAD, NULL);
}
