// SPDX-License-Identifier: GPL-2.0-only
/* Values that are names or codes of TLS, several codes in one word. */
#include "tree.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void add_code(struct builder *b, struct value *v,
		     const struct policy_code *code, const struct word *word)
{
	v->codes.list[v->codes.n++] = code;
	if (code->never)
		policy_warn(b, word, NULL, "%s %s (%04X) is never offered: %s",
			    v->param->name, code->name, code->id, code->never);
	else if (code->flags & POLICY_CODE_WEAK)
		policy_warn(b, word, "prefer suites with ECDHE",
			    "%s %s (%04X): who gets hold of the server's key "
			    "can read what was recorded before",
			    v->param->name, code->name, code->id);
}

static bool is_codes(const char *text, size_t digits)
{
	size_t len = strspn(text, "0123456789abcdefABCDEF");

	return len && !text[len] && len % digits == 0;
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
		code = codes->numbered(strtoul(text, NULL, 16));
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
	const struct policy_code *code = codes->named(word->text);
	size_t n = strlen(word->text) / (size_t)v->param->min + 1;
	const char *hint;

	v->codes.list = policy_arena_alloc(&b->policy->arena,
					   n * sizeof(*v->codes.list));
	if (code) {
		add_code(b, v, code, word);
		return true;
	}
	if (is_codes(word->text, (size_t)v->param->min))
		return read_codes(b, v, word);
	hint = policy_suggest_code(codes, word->text);
	policy_error(b, word, hint ? hint :
		     v->param->min == 2 ? "give names or codes such as 9C" :
		     "give names or codes such as C02F",
		     "%s \"%s\" is no %s", v->param->name, word->text,
		     codes->what);
	return false;
}
