// SPDX-License-Identifier: GPL-2.0-only
/*
 * StartupWindow: whether connections wait for the first policy after the
 * module is loaded, and whose do not.
 */
#include "tree.h"

static void add(uint32_t *ids, size_t *n, const struct value *v)
{
	uint32_t id;
	size_t i;

	for (i = 0; i < v->ids.n; i++)
		for (id = v->ids.range[i].lo;
		     id <= v->ids.range[i].hi && *n <= POLICY_STARTUP_MAX;
		     id++) {
			if (*n < POLICY_STARTUP_MAX)
				ids[*n] = id;
			++*n;
		}
}

/* How many there are, one more than the module takes at most. */
static size_t collect(const struct policy *policy, enum param_id id,
		      uint32_t *ids)
{
	const struct value *v;
	size_t n = 0;

	for (v = policy->settings.values; v; v = v->next)
		if (v->param->id == id && !v->any)
			add(ids, &n, v);
	return n;
}

void policy_startup(const struct policy *policy, struct policy_startup *s)
{
	s->closed = policy_object_number(&policy->settings, P_STARTUP, 0);
	s->n_uids = collect(policy, P_STARTUP_USER, s->uids);
	s->n_gids = collect(policy, P_STARTUP_GROUP, s->gids);
}

static void check_number(struct builder *b, const struct value *first,
			 size_t n)
{
	if (n > POLICY_STARTUP_MAX)
		policy_error(b, first, "name a group that all of them have",
			     "%s: the module takes %d of them at most",
			     first->param->name, POLICY_STARTUP_MAX);
}

static void check_any(struct builder *b, const struct value *v)
{
	if (v->any)
		policy_error(b, v, "write StartupWindow Open",
			     "%s %s: everybody could open connections",
			     v->param->name, v->text);
}

void policy_startup_check(struct builder *b)
{
	const struct object *settings = &b->policy->settings;
	const struct value *window = policy_object_value(settings, P_STARTUP);
	const struct value *user = policy_object_value(settings,
						       P_STARTUP_USER);
	const struct value *group = policy_object_value(settings,
							P_STARTUP_GROUP);
	const struct value *first = user ? user : group, *v;
	struct policy_startup s;

	policy_startup(b->policy, &s);
	for (v = settings->values; v; v = v->next)
		if (v->param->id == P_STARTUP_USER)
			check_any(b, v);
	check_number(b, user, s.n_uids);
	check_number(b, group, s.n_gids);
	if (first && !s.closed)
		policy_warn(b, first, "write StartupWindow Closed",
			    "%s does nothing: StartupWindow is Open",
			    first->param->name);
	if (!first && s.closed)
		policy_warn(b, window,
			    "name a group with StartupGroupid, and give it to sshd",
			    "StartupWindow Closed keeps everybody out while there is no policy, sshd too");
}
