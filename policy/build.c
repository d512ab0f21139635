// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words to objects.  Everything wrong is reported where it stands, and what
 * was probably meant is assumed from there on, so that one mistake gives
 * one message and the rest of the file is still checked.
 */
#include "tree.h"

#include <string.h>

static struct frame *top_frame(struct builder *b)
{
	return b->depth ? &b->frames[b->depth - 1] : NULL;
}

struct word *policy_build_word(struct builder *b, const char *text, size_t len)
{
	struct word *w = policy_arena_alloc(&b->policy->arena, sizeof(*w));

	if (text)
		w->text = policy_arena_strndup(&b->policy->arena, text, len);
	w->file = b->source->file;
	w->line = b->line;
	w->column = b->start_column;
	return w;
}

static struct value *add_value(struct builder *b, struct object *o,
			       const struct param *p, const struct word *at)
{
	struct value *v = policy_arena_alloc(&b->policy->arena, sizeof(*v));

	v->param = p;
	v->file = at->file;
	v->line = at->line;
	v->column = at->column;
	v->text = at->text;
	*o->tail = v;
	o->tail = &v->next;
	return v;
}

static struct object *add_object(struct builder *b, const struct statement *st,
				 const struct word *at, const char *name)
{
	struct policy *policy = b->policy;
	struct object *o = policy_arena_alloc(&policy->arena, sizeof(*o));

	o->st = st;
	o->name = name;
	o->file = at->file;
	o->line = at->line;
	o->column = at->column;
	o->preset = b->source->preset;
	o->tail = &o->values;
	o->seq = policy->n_objects++;
	*policy->tail = o;
	policy->tail = &o->next;
	return o;
}

static const char *object_text(const struct object *o)
{
	return o->name ? o->name : "(no name)";
}

/* What @keyword may have meant inside @st; reports either way. */
static const struct param *unknown_param(struct builder *b,
					 const struct object *o,
					 const struct word *keyword)
{
	const struct param *meant = NULL;
	const char *hint = NULL;
	size_t i;

	if (policy_keyword_is_zos(keyword->text)) {
		policy_error(b, keyword, "delete it if the default will do",
			     "\"%s\" of AT-TLS is not supported yet",
			     keyword->text);
		return NULL;
	}
	for (i = 0; i < N_STATEMENTS; i++)
		if (policy_param_find(&policy_statements[i], keyword->text))
			break;
	if (i == N_STATEMENTS)
		hint = policy_suggest_param(o->st, keyword->text, &meant);
	if (i < N_STATEMENTS)
		policy_error(b, keyword, NULL,
			     "\"%s\" belongs in %s, not in %s \"%s\"",
			     keyword->text, policy_statements[i].name,
			     o->st->name, object_text(o));
	else
		policy_error(b, keyword, hint,
			     "unknown parameter \"%s\" in %s \"%s\"",
			     keyword->text, o->st->name, object_text(o));
	return meant;
}

/* One parameter twice, or two forms of it. */
static bool check_repeat(struct builder *b, const struct object *o,
			 const struct param *p, const struct word *keyword,
			 const char *hint)
{
	const struct value *v;

	if (p->flags & PARAM_REPEAT)
		return true;
	for (v = o->values; v; v = v->next)
		if (v->param->id == p->id)
			break;
	if (!v)
		return true;
	if (v->param == p)
		policy_error(b, keyword, hint,
			     "%s is given twice, first in line %d", p->name,
			     v->line);
	else
		policy_error(b, keyword, hint,
			     "%s conflicts with %s in line %d", p->name,
			     v->param->name, v->line);
	return false;
}

/* The last word that belongs to a value that starts at @word. */
static const struct word *value_end(const struct param *p,
				    const struct word *word)
{
	if ((p->kind == KIND_PORTS || p->kind == KIND_IDS ||
	     p->kind == KIND_SNI) && word->next)
		return word->next;
	return word;
}

/* Once for all of them: a policy of z/OS may have it a hundred times. */
static void warn_idle(struct builder *b, const struct value *v,
		      const struct word *keyword)
{
	const struct param *p = v->param;

	if (!p->idle || v->broken || b->told[p->id] ||
	    (p->flags & PARAM_DEFAULT && v->number == p->def))
		return;
	b->told[p->id] = true;
	policy_warn(b, keyword, NULL, "%s has no effect: %s", p->name,
		    p->idle);
}

static void read_values(struct builder *b, struct object *o,
			const struct param *p, const struct word *keyword)
{
	const struct word *word = keyword->next, *end;
	struct value *v;

	if (!check_repeat(b, o, p, keyword, "keep one of them"))
		return;
	do {
		v = add_value(b, o, p, word);
		v->broken = !policy_value_read(b, v, word);
		warn_idle(b, v, keyword);
		end = value_end(p, word);
		word = end->next;
	} while (p->flags & PARAM_LIST && word);
	if (word)
		policy_error(b, word,
			     "one parameter a line; quote a value with spaces",
			     "\"%s\" after the value of %s",
			     p->kind == KIND_PASSWORD ? POLICY_MASK :
			     word->text, p->name);
}

static void take_param(struct builder *b, struct object *o,
		       const struct param *p, const struct word *words)
{
	char hint[128];

	if (p->kind == KIND_INLINE) {
		snprintf(hint, sizeof(hint),
			 "write { and } after it, or %sRef with a name",
			 p->name);
		policy_error(b, words, hint, "%s without a block", p->name);
		add_value(b, o, p, words)->broken = true;
	} else if (!words->next) {
		policy_error(b, words, NULL, "%s without a value", p->name);
		add_value(b, o, p, words)->broken = true;
	} else {
		read_values(b, o, p, words);
	}
}

static void param_at_top(struct builder *b, const struct word *keyword)
{
	const struct statement *st = policy_statement_find(keyword->text);
	const struct param *setting;
	const char *hint = NULL;

	setting = policy_param_find(&policy_statements[ST_POLICY],
				    keyword->text);
	if (setting) {
		take_param(b, &b->policy->settings, setting, keyword);
	} else if (st) {
		policy_error(b, keyword, "write its parameters between { and }",
			     "%s without a block", st->name);
	} else if (policy_keyword_is_zos(keyword->text)) {
		policy_error(b, keyword, NULL,
			     "\"%s\" of AT-TLS is not supported yet",
			     keyword->text);
	} else {
		hint = policy_suggest_param(&policy_statements[ST_POLICY],
					    keyword->text, &setting);
		if (!hint)
			hint = policy_suggest_statement(keyword->text, &st);
		policy_error(b, keyword, hint,
			     "\"%s\" outside of a statement", keyword->text);
	}
}

void policy_build_param(struct builder *b, const struct word *words)
{
	struct frame *f = top_frame(b);
	const struct param *p;

	if (!f) {
		if (!policy_include(b, words))
			param_at_top(b, words);
		return;
	}
	if (!f->object)
		return;
	p = policy_param_find(f->object->st, words->text);
	if (!p) {
		p = unknown_param(b, f->object, words);
		if (p)
			add_value(b, f->object, p, words)->broken = true;
		return;
	}
	take_param(b, f->object, p, words);
}

static const char *read_name(struct builder *b, const struct statement *st,
			     const struct word *keyword)
{
	const struct word *name = keyword->next;

	if (!name)
		return NULL;
	if (name->next)
		policy_error(b, name->next,
			     "write the parameters between { and }",
			     "\"%s\" after the name of a %s", name->next->text,
			     st->name);
	if (!*name->text || strpbrk(name->text, " \t\r\f\v#{}"))
		policy_error(b, name, "choose a name without them",
			     "name \"%s\" is empty or has spaces, '#' or braces",
			     name->text);
	else if (strlen(name->text) > POLICY_NAME_MAX)
		policy_error(b, name, "choose a shorter name",
			     "name \"%s\" is longer than %d bytes",
			     name->text, POLICY_NAME_MAX);
	return name->text;
}

static struct object *open_top(struct builder *b, const struct word *words)
{
	const struct statement *st = policy_statement_find(words->text);
	const char *hint = NULL;
	const char *name;

	if (!st && policy_keyword_is_zos(words->text)) {
		policy_error(b, words, "delete the block",
			     "\"%s\" of AT-TLS is not supported yet",
			     words->text);
	} else if (!st) {
		hint = policy_suggest_statement(words->text, &st);
		policy_error(b, words, hint, "unknown statement \"%s\"",
			     words->text);
	}
	if (!st)
		return NULL;
	name = read_name(b, st, words);
	if (!name)
		policy_error(b, words, "write a name after it",
			     "%s without a name", st->name);
	return add_object(b, st, words, name);
}

static struct object *open_inline(struct builder *b, struct object *parent,
				  const struct param *p,
				  const struct word *words)
{
	const struct statement *st = &policy_statements[p->target];
	struct object *o = add_object(b, st, words, read_name(b, st, words));
	struct value *v;
	char hint[128];

	o->inside = true;

	/* It may have been meant for top level. */
	snprintf(hint, sizeof(hint),
		 "keep one of them, or add the '}' that the block of line %d "
		 "lacks", parent->line);
	if (check_repeat(b, parent, p, words, hint)) {
		v = add_value(b, parent, p, words);
		v->object = o;
	}
	return o;
}

/* A statement where it cannot stand: most likely a '}' is missing above. */
static struct object *open_misplaced(struct builder *b, struct frame *f,
				     const struct word *words)
{
	char hint[128];

	if (!f->reported) {
		snprintf(hint, sizeof(hint),
			 "is the '}' missing of the block of line %d?",
			 f->at->line);
		policy_error(b, words, hint,
			     "%s cannot stand inside %s \"%s\"", words->text,
			     f->object->st->name, object_text(f->object));
	}
	f->reported = true;
	return open_top(b, words);
}

static struct object *open_nested(struct builder *b, struct frame *f,
				  const struct word *words)
{
	const struct param *p = policy_param_find(f->object->st, words->text);

	if (!p && policy_statement_find(words->text))
		return open_misplaced(b, f, words);
	if (!p)
		p = unknown_param(b, f->object, words);
	if (!p)
		return NULL;
	if (p->kind == KIND_INLINE)
		return open_inline(b, f->object, p, words);
	if (p->kind == KIND_REF)
		policy_error(b, words, "write the block without \"Ref\"",
			     "%s takes a name, not a block", p->name);
	else
		policy_error(b, words, NULL, "%s takes a value, not a block",
			     p->name);
	add_value(b, f->object, p, words)->broken = true;
	return NULL;
}

/* False when reading on makes no sense. */
bool policy_build_open(struct builder *b, const struct word *words,
		       const struct word *brace)
{
	struct frame *f = top_frame(b);
	struct object *o = NULL;

	if (b->depth == POLICY_DEPTH_MAX) {
		policy_error(b, brace, "the language needs 4 levels",
			     "blocks nested deeper than %d levels, stopped here",
			     POLICY_DEPTH_MAX);
		return false;
	}
	if (!words)
		policy_error(b, brace, "write its statement before it",
			     "'{' that belongs to no statement");
	else if (!f)
		o = open_top(b, words);
	else if (f->object)
		o = open_nested(b, f, words);

	f = &b->frames[b->depth++];
	f->object = o;
	f->at = words ? words : brace;
	f->reported = false;
	return true;
}

void policy_build_close(struct builder *b, const struct word *brace)
{
	struct frame *f = top_frame(b);

	if (!brace->text && !f->reported)
		policy_error(b, f->at, "add a '}' at its end",
			     "the block of \"%s\" is never closed",
			     f->at->text);
	b->depth--;
}

void policy_build_stray(struct builder *b, const struct word *brace)
{
	policy_error(b, brace, "remove it, or add the '{' before it",
		     "'}' that closes nothing");
}
