// SPDX-License-Identifier: GPL-2.0-only
/* Names, references, and what every statement must have. */
#include "tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

const struct value *policy_object_value(const struct object *o,
					enum param_id id)
{
	const struct value *v;

	for (v = o->values; v; v = v->next)
		if (v->param->id == id && !v->broken)
			return v;
	return NULL;
}

long policy_object_number(const struct object *o, enum param_id id, long def)
{
	const struct value *v = policy_object_value(o, id);

	return v ? v->number : def;
}

static bool object_has(const struct object *o, enum param_id id)
{
	const struct value *v;

	for (v = o->values; v; v = v->next)
		if (v->param->id == id)
			return true;
	return false;
}

/* By statement, then name; those without a name last. */
static int compare_names(const struct object *a, const struct object *b)
{
	if (!a->name || !b->name)
		return !a->name - !b->name;
	if (a->st != b->st)
		return a->st < b->st ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int compare_objects(const void *a, const void *b)
{
	const struct object *x = *(struct object *const *)a;
	const struct object *y = *(struct object *const *)b;
	int order = compare_names(x, y);

	if (order)
		return order;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void sort_objects(struct policy *policy)
{
	struct object *o;

	if (!policy->sorted)
		policy->sorted = policy_calloc(policy->n_objects,
					       sizeof(*policy->sorted));
	for (o = policy->objects; o; o = o->next)
		policy->sorted[o->seq] = o;
	qsort(policy->sorted, policy->n_objects, sizeof(*policy->sorted),
	      compare_objects);
}

/* In @policy->sorted, the first of that name in the file. */
static struct object *find_object(const struct policy *policy,
				  const struct statement *st, const char *name)
{
	struct object key = { .st = st, .name = name };
	size_t lo = 0, hi = policy->n_objects, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (compare_names(policy->sorted[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == policy->n_objects ||
	    compare_names(policy->sorted[lo], &key))
		return NULL;
	return policy->sorted[lo];
}

static void check_duplicates(struct builder *b)
{
	struct object **sorted = b->policy->sorted;
	const struct object *first;
	char where[PATH_MAX + 32];
	size_t i;

	first = b->policy->n_objects ? sorted[0] : NULL;
	for (i = 1; i < b->policy->n_objects && sorted[i]->name; i++) {
		if (compare_names(first, sorted[i])) {
			first = sorted[i];
			continue;
		}
		if (first->file == sorted[i]->file)
			snprintf(where, sizeof(where), "line %d",
				 first->line);
		else
			snprintf(where, sizeof(where), "line %d of %s",
				 first->line, first->file);
		policy_error(b, sorted[i], "rename one of them",
			     "%s \"%s\" is defined twice, first in %s",
			     first->st->name, first->name, where);
	}
}

static void resolve_ref(struct builder *b, struct value *v)
{
	const struct statement *st = &policy_statements[v->param->target];
	const char *hint;
	char define[160];

	v->object = find_object(b->policy, st, v->text);
	if (v->object) {
		v->object->used = true;
		return;
	}
	v->broken = true;
	snprintf(define, sizeof(define), "define it: %s %.40s { ... }",
		 st->name, v->text);
	hint = policy_suggest_name(b, v->param->target, v->text);
	policy_error(b, v, hint ? hint : define,
		     "%s names %s \"%s\", which is not defined",
		     v->param->name, st->name, v->text);
}

static void resolve_refs(struct builder *b)
{
	struct object *o;
	struct value *v;

	for (o = b->policy->objects; o; o = o->next)
		for (v = o->values; v; v = v->next)
			if (v->param->kind == KIND_REF && !v->broken)
				resolve_ref(b, v);
}

static void make_up_names(struct builder *b)
{
	unsigned int count[N_STATEMENTS] = { 0 };
	struct object *o;
	char name[64];

	for (o = b->policy->objects; o; o = o->next) {
		if (o->name)
			continue;
		do {
			snprintf(name, sizeof(name), "%s~%u", o->st->made_up,
				 ++count[o->st - policy_statements]);
		} while (find_object(b->policy, o->st, name));
		o->name = policy_arena_strndup(&b->policy->arena, name,
					       strlen(name));
	}
}

/* The forms of a parameter: "A", "A or B", "A, B or C". */
static void list_forms(char *text, size_t size, const struct statement *st,
		       enum param_id id)
{
	size_t left = 0, n = 0, i;

	for (i = 0; i < st->n_params; i++)
		left += st->params[i].id == id;
	for (i = 0; i < st->n_params && n < size; i++) {
		if (st->params[i].id != id)
			continue;
		left--;
		n += (size_t)snprintf(text + n, size - n, "%s%s",
				      st->params[i].name,
				      left > 1 ? ", " : left ? " or " : "");
	}
}

static void check_required(struct builder *b, const struct object *o)
{
	const struct param *p;
	char forms[256], hint[280];

	for (p = o->st->params; p < o->st->params + o->st->n_params; p++) {
		if (!(p->flags & PARAM_REQUIRED) || object_has(o, p->id))
			continue;
		/* One row of an either-or stands for both. */
		if (p->kind == KIND_REF)
			continue;
		list_forms(forms, sizeof(forms), o->st, p->id);
		snprintf(hint, sizeof(hint), "add %s", forms);
		policy_error(b, o, hint, "%s \"%s\" has no %s", o->st->name,
			     o->name, p->name);
	}
}

/* All, 0 or * beside another value of the same parameter. */
static void check_any(struct builder *b, const struct object *o)
{
	const struct value *v, *other;

	for (v = o->values; v; v = v->next) {
		if (!v->any || v->broken)
			continue;
		for (other = o->values; other; other = other->next)
			if (other != v && other->param->id == v->param->id)
				break;
		if (other)
			policy_error(b, v, "keep one of them",
				     "%s %s conflicts with %s in line %d",
				     v->param->name, v->text,
				     other->param->name, other->line);
	}
}

/* A time condition alone is none: as on z/OS. */
static bool has_condition(const struct object *rule)
{
	static const enum param_id conditions[] = {
		P_LOCAL_ADDR, P_REMOTE_ADDR, P_LOCAL_PORTS, P_REMOTE_PORTS,
		P_JOB, P_USER, P_GID, P_EXE, P_CGROUP, P_NETNS,
	};
	size_t i;

	for (i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (object_has(rule, conditions[i]))
			return true;
	return false;
}

/* From without To, or the other way round. */
static void check_pairs(struct builder *b, const struct object *o)
{
	static const enum param_id pairs[][2] = {
		{ P_FROM_CLOCK, P_TO_CLOCK },
		{ P_FROM_WEEKDAY, P_TO_WEEKDAY },
		{ P_FROM_DAY, P_TO_DAY },
		{ P_FROM_MONTH, P_TO_MONTH },
	};
	const struct value *v;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (object_has(o, pairs[i][0]) == object_has(o, pairs[i][1]))
			continue;
		for (v = o->values; v; v = v->next)
			if (v->param->id == pairs[i][0] ||
			    v->param->id == pairs[i][1])
				policy_error(b, v, "give both From and To",
					     "%s is half of a range",
					     v->param->name);
	}
	if (object_has(o, P_CLOCK) && object_has(o, P_FROM_CLOCK))
		policy_error(b, o, "keep one of them",
			     "IpTimeCondition \"%s\" has TimeOfDayRange and "
			     "FromTimeOfDay", o->name);
}

static void check_rule(struct builder *b, const struct object *o)
{
	const struct value *group = policy_object_value(o, P_GROUP);

	if (!has_condition(o))
		policy_error(b, o,
			     "add LocalAddr, RemoteAddr, LocalPortRange, "
			     "RemotePortRange, Jobname or Userid",
			     "TTLSRule \"%s\" has no condition", o->name);
	if (group && policy_object_number(group->object, P_ENABLED, 0) &&
	    !object_has(o, P_ENVIRONMENT))
		policy_error(b, o,
			     "add TTLSEnvironmentActionRef or "
			     "TTLSEnvironmentAction",
			     "TTLSRule \"%s\" has no environment action, and "
			     "TTLSGroupAction \"%s\" has TTLSEnabled On",
			     o->name, group->object->name);
}

void policy_resolve(struct builder *b)
{
	const struct object *o;

	sort_objects(b->policy);
	check_duplicates(b);
	/* Before names are made up: those are not for reference. */
	resolve_refs(b);
	make_up_names(b);
	sort_objects(b->policy);
	for (o = b->policy->objects; o; o = o->next) {
		check_required(b, o);
		check_any(b, o);
		if (object_is(o, ST_RULE))
			check_rule(b, o);
		else if (object_is(o, ST_TIME))
			check_pairs(b, o);
	}
}
