// SPDX-License-Identifier: GPL-2.0-only
/* Values that are names or codes of TLS, several codes in one word. */
#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct policy_code *policy_code_named(const struct policy_codes *codes,
					    const char *name)
{
	size_t i;

	for (i = 0; i < codes->n; i++)
		if (codes->is_named(&codes->code[i], name))
			return &codes->code[i];
	return NULL;
}

const struct policy_code *policy_code_numbered(const struct policy_codes *codes,
					       unsigned long id)
{
	size_t i;

	for (i = 0; i < codes->n; i++)
		if (codes->code[i].id == id)
			return &codes->code[i];
	return NULL;
}

/* As a policy writes it. */
static void format_code(char *text, size_t size,
			const struct policy_codes *codes,
			const struct policy_code *code)
{
	snprintf(text, size, codes->base == 10 ? "%04u" : "%04X", code->id);
}

static void add_code(struct builder *b, struct value *v,
		     const struct policy_code *code, const struct word *word)
{
	char text[8];

	v->codes.list[v->codes.n++] = code;
	format_code(text, sizeof(text), v->param->codes, code);
	if (code->never)
		policy_warn(b, word, NULL, "%s %s (%s) is never offered: %s",
			    v->param->name, code->name, text, code->never);
	else if (code->flags & POLICY_CODE_WEAK && !b->source->preset)
		policy_warn(b, word, "prefer suites with ECDHE",
			    "%s %s (%s): who gets hold of the server's key "
			    "can read what was recorded before",
			    v->param->name, code->name, text);
}

static bool is_codes(const char *text, const struct param *p)
{
	const char *digits = p->codes->base == 10 ? "0123456789" :
			     "0123456789abcdefABCDEF";
	size_t len = strspn(text, digits);

	return len && !text[len] && len % (size_t)p->min == 0;
}

static bool read_codes(struct builder *b, struct value *v,
		       const struct word *word)
{
	const struct policy_codes *codes = v->param->codes;
	size_t digits = (size_t)v->param->min;
	const struct policy_code *code;
	const char *p = word->text;
	char text[8];

	for (; *p; p += digits) {
		memcpy(text, p, digits);
		text[digits] = '\0';
		code = policy_code_numbered(codes, strtoul(text, NULL,
							   codes->base));
		if (!code) {
			policy_error(b, word, "delete it",
				     "%s: no %s has the code %s",
				     v->param->name, codes->what, text);
			return false;
		}
		add_code(b, v, code, word);
	}
	return true;
}

bool policy_value_codes(struct builder *b, struct value *v,
			const struct word *word)
{
	const struct policy_codes *codes = v->param->codes;
	const struct policy_code *code;
	size_t n = strlen(word->text) / (size_t)v->param->min + 1;
	char hint[64];
	const char *meant;

	if (v->param->any && !strcasecmp(word->text, v->param->any)) {
		v->any = true;
		return true;
	}
	v->codes.list = policy_arena_alloc(&b->policy->arena,
					   n * sizeof(*v->codes.list));
	code = policy_code_named(codes, word->text);
	if (code) {
		add_code(b, v, code, word);
		return true;
	}
	if (is_codes(word->text, v->param))
		return read_codes(b, v, word);
	meant = policy_suggest_code(codes, word->text);
	snprintf(hint, sizeof(hint), "give names or codes such as %s",
		 v->param->min == 2 ? "9C" : codes->example);
	policy_error(b, word, meant ? meant : hint, "%s \"%s\" is no %s",
		     v->param->name, word->text, codes->what);
	return false;
}
