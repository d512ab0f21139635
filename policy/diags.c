// SPDX-License-Identifier: GPL-2.0-only
#include "tree.h"
#include "utf8.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE_MAX	80		/* bytes between quotes, then "..." */

static char *copy(const char *text)
{
	size_t len = strlen(text);

	/* Messages quote the file, which may hold anything. */
	return utf8_clean(memcpy(policy_calloc(1, len + 1), text, len), len);
}

/*
 * Messages quote words of the file, which can be megabytes long; words have
 * no quotes of their own.
 */
static char *shorten_quotes(char *text)
{
	char *from = text, *to = text, *end;
	size_t len;
	bool inside = false;

	for (;; from = end, inside = !inside) {
		end = strchrnul(from, '"');
		len = (size_t)(end - from);
		if (inside && len > QUOTE_MAX + 3) {
			memmove(to, from, QUOTE_MAX);
			memcpy(to + QUOTE_MAX, "...", 3);
			to += QUOTE_MAX + 3;
		} else {
			memmove(to, from, len);
			to += len;
		}
		if (!*end)
			break;
		*to++ = *end++;
	}
	*to = '\0';
	return text;
}

static struct policy_diag *add_row(struct policy_diags *diags)
{
	struct policy_diag *d;

	/* Room grows by doubling: n is a power of two when it is full. */
	if (!(diags->n & (diags->n - 1)))
		diags->diag = policy_realloc(diags->diag,
					     diags->n ? diags->n * 2 : 1,
					     sizeof(*diags->diag));
	d = &diags->diag[diags->n++];
	memset(d, 0, sizeof(*d));
	return d;
}

static void count(struct policy_diags *diags, enum policy_severity severity,
		  int by)
{
	if (severity == POLICY_ERROR)
		diags->errors += (size_t)by;
	else if (severity == POLICY_WARNING)
		diags->warnings += (size_t)by;
}

static void add(struct policy_diags *diags, enum policy_severity severity,
		const struct policy_place *place, const char *suggestion,
		const char *format, va_list args)
{
	struct policy_diag *d;
	char *message;

	count(diags, severity, 1);
	if (diags->n >= POLICY_DIAGS_MAX) {
		diags->dropped++;
		return;
	}
	d = add_row(diags);
	d->severity = severity;
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	d->message = copy(message ? shorten_quotes(message) : "no memory");
	free(message);
	if (place) {
		d->file = place->file ? copy(place->file) : NULL;
		d->line = place->line;
		d->column = place->column;
	}
	if (suggestion)
		d->suggestion = copy(suggestion);
}

void policy_diags_add(struct policy_diags *diags, enum policy_severity severity,
		      const struct policy_place *place, const char *suggestion,
		      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(diags, severity, place, suggestion, format, args);
	va_end(args);
}

static int compare(const void *a, const void *b)
{
	const struct policy_diag *x = a, *y = b;
	int order = strcmp(x->file ? x->file : "", y->file ? y->file : "");

	if (order)
		return order;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	order = strcmp(x->message, y->message);
	return order ? order : (int)x->severity - (int)y->severity;
}

static void free_row(struct policy_diag *d)
{
	free(d->file);
	free(d->message);
	free(d->suggestion);
}

/* Rules with the same environment find the same wrong with it. */
static void drop_repeats(struct policy_diags *diags)
{
	struct policy_diag *d = diags->diag;
	size_t n = 1, i;

	for (i = 1; i < diags->n; i++) {
		if (compare(&d[i], &d[n - 1])) {
			d[n++] = d[i];
			continue;
		}
		count(diags, d[i].severity, -1);
		free_row(&d[i]);
	}
	diags->n = n;
}

void policy_diags_sort(struct policy_diags *diags)
{
	if (!diags->n)
		return;
	qsort(diags->diag, diags->n, sizeof(*diags->diag), compare);
	drop_repeats(diags);
}

static const char *severity_name(const struct policy_diag *d)
{
	static const char *const names[] = {
		[POLICY_ERROR] = "error",
		[POLICY_WARNING] = "warning",
		[POLICY_NOTE] = "note",
	};

	return names[d->severity];
}

void policy_diags_print(FILE *out, const struct policy_diags *diags)
{
	const struct policy_diag *d;
	size_t i;

	for (i = 0; i < diags->n; i++) {
		d = &diags->diag[i];
		if (d->file)
			fprintf(out, "%s:", d->file);
		if (d->line)
			fprintf(out, "%d:%d:", d->line, d->column);
		fprintf(out, "%s%s: %s\n", d->file ? " " : "",
			severity_name(d), d->message);
		if (d->suggestion)
			fprintf(out, "    %s\n", d->suggestion);
	}
	if (diags->dropped)
		fprintf(out, "and %zu more\n", diags->dropped);
}

static struct json_object *diag_json(const struct policy_diag *d)
{
	struct json_object *o = json_object_new_object();

	if (d->file)
		json_object_object_add(o, "file",
				       json_object_new_string(d->file));
	if (d->line) {
		json_object_object_add(o, "line",
				       json_object_new_int(d->line));
		json_object_object_add(o, "column",
				       json_object_new_int(d->column));
	}
	json_object_object_add(o, "severity",
			       json_object_new_string(severity_name(d)));
	json_object_object_add(o, "message",
			       json_object_new_string(d->message));
	if (d->suggestion)
		json_object_object_add(o, "suggestion",
				       json_object_new_string(d->suggestion));
	return o;
}

struct json_object *policy_diags_json(const struct policy_diags *diags)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < diags->n; i++)
		json_object_array_add(array, diag_json(&diags->diag[i]));
	return array;
}

void policy_diags_free(struct policy_diags *diags)
{
	size_t i;

	for (i = 0; i < diags->n; i++)
		free_row(&diags->diag[i]);
	free(diags->diag);
	memset(diags, 0, sizeof(*diags));
}
