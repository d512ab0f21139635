// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy with everything that is needed to serve it: key rings read once
 * each, and the SSL_CTX of every context.  All of it is made before the
 * workers are forked, who can open no file; so a policy whose keys are not
 * there is refused as a whole, before anything depends on it.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct loading {
	struct attlsd_set *set;
	struct policy_diags *diags;
};

static int add_context(const struct policy_action *action, void *arg)
{
	const struct loading *l = arg;
	const struct keyring *ring;
	struct keyring_why why;
	int ret;

	ret = keyring_fips_init(action, l->diags);
	if (ret)
		return ret;
	ring = keyrings_get(&l->set->rings, action, &why);
	if (ring)
		return attlsd_context_init(&l->set->contexts[action->context],
					   action, ring, l->diags);
	policy_diags_add(l->diags, POLICY_ERROR, &action->keyring_place,
			 why.hint, "%s", why.text);
	return why.error;
}

static int fill(struct attlsd_set *set, const char *path,
		struct policy_diags *diags)
{
	struct loading l = { set, diags };
	int ret;

	set->policy = policy_load(path, diags);
	if (!set->policy)
		return -EINVAL;
	set->n_contexts = policy_context_count(set->policy);
	set->contexts = calloc(set->n_contexts + 1, sizeof(*set->contexts));
	if (!set->contexts)
		return -ENOMEM;
	ret = policy_each_context(set->policy, add_context, &l);
	/* Workers have no use for them. */
	policy_forget(set->policy);
	return ret;
}

/* NULL with the reasons in @diags. */
struct attlsd_set *attlsd_set_load(const char *path,
				   struct policy_diags *diags)
{
	struct attlsd_set *set = calloc(1, sizeof(*set));

	int ret = set ? fill(set, path, diags) : -ENOMEM;

	policy_diags_sort(diags);
	if (!ret)
		return set;
	attlsd_set_free(set);
	return NULL;
}

void attlsd_set_free(struct attlsd_set *set)
{
	if (!set)
		return;
	for (unsigned int i = 0; set->contexts && i < set->n_contexts; i++)
		attlsd_context_free(&set->contexts[i]);
	keyrings_free(&set->rings);
	free(set->contexts);
	policy_free(set->policy);
	free(set);
}

static const struct policy_action *by_name(const struct attlsd_set *set,
					   const char *name)
{
	size_t n = policy_rule_count(set->policy);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(policy_action(set->policy, i)->rule, name))
			return policy_action(set->policy, i);
	return NULL;
}

/*
 * The rule as its generation meant it.  A generation from before attlsd was
 * restarted is known to nobody any more; the rule of that name in today's
 * policy is what the administrator wants.  One that is newer than ours
 * belongs to somebody else.
 */
static const struct policy_action *lookup(const struct attlsd_sets *sets,
					  const struct attls_request *req,
					  const struct attlsd_set **set)
{
	*set = sets->current;
	if (req->generation == sets->current->generation)
		return policy_action(sets->current->policy, req->rule);
	if (sets->previous &&
	    req->generation == sets->previous->generation) {
		*set = sets->previous;
		return policy_action(sets->previous->policy, req->rule);
	}
	if (req->generation > sets->current->generation)
		return NULL;
	return by_name(sets->current, req->rule_name);
}

/* NULL when the rule is not known or asks for no TLS. */
const struct policy_action *attlsd_sets_find(const struct attlsd_sets *sets,
					const struct attls_request *req,
					const struct attlsd_context **context)
{
	const struct policy_action *action;
	const struct attlsd_set *set;

	action = lookup(sets, req, &set);
	if (!action || !action->enabled || action->context >= set->n_contexts)
		return NULL;
	*context = &set->contexts[action->context];
	return (*context)->ctx ? action : NULL;
}

/* Not so: what was found is a rule of that name in another policy. */
bool attlsd_sets_have(const struct attlsd_sets *sets, uint32_t generation)
{
	return sets->current->generation == generation ||
	       (sets->previous && sets->previous->generation == generation);
}

static int prepare(const struct attlsd_set *set)
{
	int ret = 0;

	for (unsigned int i = 0; set && i < set->n_contexts && !ret; i++)
		if (set->contexts[i].ctx)
			ret = attlsd_tickets_prepare(&set->contexts[i],
						     set->generation, i);
	return ret;
}

int attlsd_sets_prepare(const struct attlsd_sets *sets)
{
	int ret = prepare(sets->current);

	return ret ? ret : prepare(sets->previous);
}

static bool asks(const struct attlsd_set *set)
{
	size_t n = set ? policy_rule_count(set->policy) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct policy_action *action;

		action = policy_action(set->policy, i);
		if (attlsd_revocation_asks(action) ||
		    attlsd_staple_wanted(action))
			return true;
	}
	return false;
}

bool attlsd_sets_ask(const struct attlsd_sets *sets)
{
	return asks(sets->current) || asks(sets->previous);
}
