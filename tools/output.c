// SPDX-License-Identifier: GPL-2.0-only
#include "attls.h"
#include "arena.h"
#include "utf8.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *formatted(const char *format, va_list args)
{
	char *text;
	int n = vasprintf(&text, format, args);

	if (n < 0)
		return strdup("?");
	return utf8_clean(text, (size_t)n);
}

/* Characters, as far as a terminal gives each one column. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

void table_begin(struct table *t, const char *const *headers, size_t columns)
{
	memset(t, 0, sizeof(*t));
	t->headers = headers;
	t->columns = columns;
}

void table_cell(struct table *t, const char *format, ...)
{
	va_list args;

	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->cells = policy_realloc(t->cells, t->room,
					  sizeof(*t->cells));
	}
	va_start(args, format);
	t->cells[t->n++] = formatted(format, args);
	va_end(args);
}

/* An empty cell would make columns look shifted. */
static const char *shown(const char *cell)
{
	return *cell ? cell : "-";
}

static void print_cell(const char *text, size_t width, bool last)
{
	fputs(text, stdout);
	if (last)
		putchar('\n');
	else
		printf("%*s", (int)(width - width_of(text) + 2), "");
}

void table_end(struct table *t)
{
	size_t *width = policy_calloc(t->columns, sizeof(*width));
	size_t i, column, n;

	for (i = 0; i < t->columns; i++)
		width[i] = width_of(t->headers[i]);
	for (i = 0; i < t->n; i++) {
		n = width_of(shown(t->cells[i]));
		column = i % t->columns;
		if (n > width[column])
			width[column] = n;
	}
	for (i = 0; i < t->columns; i++)
		print_cell(t->headers[i], width[i], i == t->columns - 1);
	for (i = 0; i < t->n; i++) {
		column = i % t->columns;
		print_cell(shown(t->cells[i]), width[column],
			   column == t->columns - 1);
		free(t->cells[i]);
	}
	free(t->cells);
	free(width);
}

int output_finish(int code)
{
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	perror("attls: cannot write to standard output");
	return EXIT_FAILED;
}

const char *json_text(struct json_object *o, const char *key)
{
	struct json_object *value = json_object_object_get(o, key);

	return value ? json_object_get_string(value) : "";
}

int output_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_SPACED |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return output_finish(EXIT_OK);
}

void json_add(struct json_object *o, const char *key, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	json_object_object_add(o, key, copy ?
		json_object_new_string(utf8_clean(copy, strlen(copy))) : NULL);
	free(copy);
}

void json_add_number(struct json_object *o, const char *key, uint64_t number)
{
	json_object_object_add(o, key, json_object_new_uint64(number));
}

void json_add_bool(struct json_object *o, const char *key, bool on)
{
	json_object_object_add(o, key, json_object_new_boolean(on));
}

int output_error(const struct options *o, int code, const char *format, ...)
{
	struct json_object *object;
	va_list args;
	char *text;

	va_start(args, format);
	text = formatted(format, args);
	va_end(args);
	fprintf(stderr, "attls: %s\n", text);
	if (o->json) {
		object = json_object_new_object();
		json_add_bool(object, "ok", false);
		json_add(object, "error", text);
		output_json(object);
	}
	free(text);
	return code;
}

int kernel_open(const struct options *o, struct policy_kernel **kernel)
{
	char err[POLICY_KERNEL_ERR];

	*kernel = policy_kernel_open(err);
	return *kernel ? EXIT_OK : output_error(o, EXIT_NO_PEER, "%s", err);
}
