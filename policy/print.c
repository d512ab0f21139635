// SPDX-License-Identifier: GPL-2.0-only
#include "format.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

static void print_choice(FILE *out, const struct value *v)
{
	const struct choice *c;

	for (c = v->param->choices; c->name; c++)
		if (!c->refused && c->value == v->number)
			fputs(c->name, out);
}

static void print_addr(FILE *out, const struct value *v)
{
	char text[POLICY_ADDR_TEXT], end[POLICY_ADDR_TEXT];

	if (v->any) {
		fputs("All", out);
		return;
	}
	/* In the form that the parameter takes, whatever the numbers are. */
	policy_format_addr_range(text, sizeof(text), &v->addr);
	if (v->param->min == ADDR_RANGE) {
		policy_format_addr(text, sizeof(text), v->addr.lo);
		policy_format_addr(end, sizeof(end), v->addr.hi);
		fprintf(out, "%s-%s", text, end);
	} else if (v->param->min == ADDR_PREFIX && !strchr(text, '/')) {
		fprintf(out, "%s/%d", text,
			policy_addr_is_v4(v->addr.lo) ? 32 : 128);
	} else {
		fputs(text, out);
	}
}

static void print_ports(FILE *out, const struct value *v)
{
	if (v->any)
		fputs("0", out);
	else if (v->ports.lo == v->ports.hi)
		fprintf(out, "%u", v->ports.lo);
	else
		fprintf(out, "%u %u", v->ports.lo, v->ports.hi);
}

static void print_text(FILE *out, const char *text)
{
	bool quote = !*text || strpbrk(text, " \t\r\f\v#{}");

	fprintf(out, quote ? "\"%s\"" : "%s", text);
}

void policy_print_value(const struct value *v, FILE *out)
{
	switch (v->param->kind) {
	case KIND_CHOICE:
		print_choice(out, v);
		break;
	case KIND_NUMBER:
		fprintf(out, "%ld", v->number);
		break;
	case KIND_ADDR:
		print_addr(out, v);
		break;
	case KIND_PORTS:
		print_ports(out, v);
		break;
	case KIND_IDS:
		fprintf(out, "%u %u", v->ids.range->lo, v->ids.range->hi);
		break;
	case KIND_SNI:
		print_text(out, v->text);
		fputc(' ', out);
		print_text(out, v->label);
		break;
	case KIND_REF:
	case KIND_INLINE:
		print_text(out, v->object->name);
		break;
	case KIND_PASSWORD:
		fputs(POLICY_MASK, out);
		break;
	default:
		print_text(out, v->text);
	}
}

static void print_value(FILE *out, const struct value *v)
{
	char name[64];

	/* Every statement is printed at top level, so blocks become refs. */
	snprintf(name, sizeof(name), "%s%s", v->param->name,
		 v->param->kind == KIND_INLINE ? "Ref" : "");
	fprintf(out, "\t%-30s ", name);
	policy_print_value(v, out);
	fputc('\n', out);
}

/* Values in the order of the table; several of one id in file order. */
static void print_object(FILE *out, const struct object *o)
{
	const struct statement *st = o->st;
	const struct value *v;
	size_t i;

	fprintf(out, "%s %s\n{\n", st->name, o->name);
	for (i = 0; i < st->n_params; i++) {
		if (i && st->params[i].id == st->params[i - 1].id)
			continue;
		for (v = o->values; v; v = v->next)
			if (v->param->id == st->params[i].id)
				print_value(out, v);
	}
	fputs("}\n", out);
}

/* What is outside of statements.  True: there is some. */
static bool print_settings(FILE *out, const struct object *settings)
{
	const struct value *v;

	for (v = settings->values; v; v = v->next) {
		fprintf(out, "%s ", v->param->name);
		policy_print_value(v, out);
		fputc('\n', out);
	}
	return settings->values;
}

int policy_print(const struct policy *policy, FILE *out)
{
	const char *between = "";
	size_t i;

	if (print_settings(out, &policy->settings))
		between = "\n";

	for (i = 0; i < policy->n_rules; i++) {
		fputs(between, out);
		print_object(out, policy->rules[i]);
		between = "\n";
	}
	for (i = 0; i < policy->n_objects; i++) {
		if (object_is(policy->sorted[i], ST_RULE))
			continue;
		fputs(between, out);
		print_object(out, policy->sorted[i]);
		between = "\n";
	}
	return fflush(out) || ferror(out) ? -EIO : 0;
}
