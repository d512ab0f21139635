// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules in order of precedence, and what each asks for: a parameter of the
 * connection action goes before the environment action's, that before the
 * group action's, that before the default.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

static const struct object *action_of(const struct object *o, enum param_id id)
{
	const struct value *v = o ? policy_object_value(o, id) : NULL;

	return v ? v->object : NULL;
}

static void merge_object(struct merged *m, const struct object *o)
{
	const struct value *v;
	int store;

	for (v = o ? o->values : NULL; v; v = v->next) {
		store = v->param->store;
		/* Of a list, the first; the rest is found from there. */
		if (store == STORE_NONE || m->from[store].object == o)
			continue;
		m->from[store].object = o;
		m->from[store].value = v;
	}
}

void policy_merge_rule(struct merged *m, const struct object *rule)
{
	const struct object *environment = action_of(rule, P_ENVIRONMENT);
	const struct object *connection = action_of(rule, P_CONNECTION);

	memset(m, 0, sizeof(*m));
	merge_object(m, action_of(rule, P_GROUP));
	merge_object(m, environment);
	merge_object(m, action_of(environment, P_KEYRING_PARMS));
	merge_object(m, action_of(environment, P_CIPHER_PARMS));
	merge_object(m, action_of(environment, P_SIGNATURE_PARMS));
	merge_object(m, action_of(environment, P_ADVANCED));
	merge_object(m, connection);
	merge_object(m, action_of(connection, P_CIPHER_PARMS));
	merge_object(m, action_of(connection, P_SIGNATURE_PARMS));
	merge_object(m, action_of(connection, P_ADVANCED));
}

static long default_of(enum store store)
{
	static const enum statement_id tables[] = {
		ST_GROUP, ST_ENVIRONMENT, ST_ENV_ADVANCED,
	};
	const struct statement *st;
	size_t i, j;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		st = &policy_statements[tables[i]];
		for (j = 0; j < st->n_params; j++)
			if (st->params[j].store == (int)store &&
			    st->params[j].flags & PARAM_DEFAULT)
				return st->params[j].def;
	}
	return 0;
}

static long number(const struct merged *m, enum store store)
{
	const struct value *v = m->from[store].value;

	return v ? v->number : default_of(store);
}

static const char *string(const struct merged *m, enum store store)
{
	const struct value *v = m->from[store].value;

	return v ? v->text : NULL;
}

static struct policy_place place_of(const struct merged *m, enum store store)
{
	const struct value *v = m->from[store].value;
	struct policy_place p = { .file = NULL };

	if (v) {
		p.file = v->file;
		p.line = v->line;
		p.column = v->column;
	}
	return p;
}

static enum attls_role role_of(const struct merged *m)
{
	switch (number(m, STORE_ROLE)) {
	case ROLE_CLIENT:
		return ATTLS_ROLE_CLIENT;
	case ROLE_SERVER:
		return ATTLS_ROLE_SERVER;
	}
	return (enum attls_role)number(m, STORE_CLIENT_AUTH);
}

static void fill_tls(const struct policy *policy, struct policy_action *a,
		     const struct merged *m)
{
	a->role = role_of(m);
	a->keyring = string(m, STORE_KEYRING);
	a->certificate = string(m, STORE_CERTIFICATE);
	a->tls12 = number(m, STORE_TLS12);
	a->tls13 = number(m, STORE_TLS13);
	a->hs_timeout = (unsigned int)number(m, STORE_HS_TIMEOUT);
	a->appl_controlled = number(m, STORE_APPL_CONTROLLED);
	a->truncation_check = number(m, STORE_TRUNCATION);
	a->instance = (unsigned int)number(m, STORE_INSTANCE);
	a->host_wildcard = number(m, STORE_HOST_WILDCARD);
	a->min_rsa = (unsigned int)number(m, STORE_MIN_RSA);
	a->min_ec = (unsigned int)number(m, STORE_MIN_EC);
	a->min_v3 = number(m, STORE_MIN_VERSION) == 3;
	a->keyring_place = place_of(m, STORE_KEYRING);
	a->certificate_place = place_of(m, STORE_CERTIFICATE);
}

static void fill(const struct policy *policy, struct policy_action *a,
		 const struct object *rule, const struct merged *m)
{
	const struct object *connection = action_of(rule, P_CONNECTION);

	a->rule = rule->name;
	a->rule_place.file = rule->file;
	a->rule_place.line = rule->line;
	a->rule_place.column = rule->column;
	a->group = action_of(rule, P_GROUP)->name;
	a->enabled = number(m, STORE_ENABLED);
	a->trace = (unsigned int)number(m, STORE_TRACE);
	a->context = POLICY_NO_CONTEXT;
	if (!a->enabled)
		return;
	a->environment = action_of(rule, P_ENVIRONMENT)->name;
	a->connection = connection ? connection->name : NULL;
	fill_tls(policy, a, m);
}

/* All values of @store, of the object that has the first. */
static void fill_names(struct policy *policy, struct policy_names *names,
		       const struct merged *m, enum store store)
{
	const struct object *o = m->from[store].object;
	const struct value *v;
	size_t n = 0;

	for (v = o ? o->values : NULL; v; v = v->next)
		n += v->param->store == (int)store;
	if (!n)
		return;
	names->name = policy_arena_alloc(&policy->arena,
					 n * sizeof(*names->name));
	for (v = o->values; v; v = v->next)
		if (v->param->store == (int)store)
			names->name[names->n++] = v->text;
}

static void list_add(struct policy_code_list *list,
		     const struct policy_code *code)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (list->code[i] == code)
			return;
	if (!code->never)
		list->code[list->n++] = code;
}

static void list_all(struct policy_code_list *list,
		     const struct policy_codes *codes, unsigned int flags)
{
	size_t i;

	for (i = 0; i < codes->n; i++)
		if ((codes->code[i].flags & flags) == flags)
			list_add(list, &codes->code[i]);
}

/* What is given for @store, without repeats and what is never offered. */
static void fill_codes(struct policy *policy, struct policy_code_list *list,
		       const struct merged *m, enum store store)
{
	const struct object *o = m->from[store].object;
	const struct value *v = m->from[store].value;
	const struct policy_codes *codes;
	size_t i;

	if (!v)
		return;
	codes = v->param->codes;
	list->code = policy_arena_alloc(&policy->arena, codes->n *
					sizeof(*list->code));
	for (v = o->values; v; v = v->next) {
		if (v->param->store != (int)store)
			continue;
		if (v->any)
			list_all(list, codes, POLICY_CODE_ANY);
		for (i = 0; !v->any && i < v->codes.n; i++)
			list_add(list, v->codes.list[i]);
	}
}

static void fill_default(struct policy *policy, struct policy_code_list *list,
			 const struct policy_codes *codes)
{
	list->code = policy_arena_alloc(&policy->arena, codes->n *
					sizeof(*list->code));
	list_all(list, codes, POLICY_CODE_DEFAULT);
}

static void fill_suites(struct policy *policy, struct policy_action *a,
			const struct merged *m)
{
	bool tls12 = false, tls13 = false;
	size_t i;

	fill_codes(policy, &a->suites, m, STORE_SUITES);
	if (!m->from[STORE_SUITES].value)
		fill_default(policy, &a->suites, &policy_suites);
	for (i = 0; i < a->suites.n; i++) {
		if (a->suites.code[i]->flags & POLICY_CODE_TLS13)
			tls13 = true;
		else
			tls12 = true;
	}
	a->tls12 = a->tls12 && tls12;
	a->tls13 = a->tls13 && tls13;
}

static void fill_signatures(struct policy *policy, struct policy_action *a,
			    const struct merged *m)
{
	bool client = a->role == ATTLS_ROLE_CLIENT;

	fill_codes(policy, &a->key_shares, m, client ? STORE_CLIENT_SHARES :
		   STORE_SERVER_SHARES);
	fill_codes(policy, &a->curves, m, client ? STORE_CLIENT_CURVES :
		   STORE_SERVER_CURVES);
	fill_codes(policy, &a->sigalgs, m, STORE_SIGALGS);
	/* A client's shares do not say what else the server may choose. */
	if (client && a->key_shares.n && !a->curves.n)
		fill_default(policy, &a->curves, &policy_groups);
}

/* A list of which nothing can be offered would be the library's own. */
static void check_list(struct builder *b, const struct policy_action *a,
		       const struct merged *m, enum store store)
{
	const struct policy_code_list *list = store == STORE_SIGALGS ?
		&a->sigalgs : store == STORE_CLIENT_SHARES ||
		store == STORE_SERVER_SHARES ? &a->key_shares : &a->curves;
	const struct value *v = m->from[store].value;

	if (v && !list->n)
		policy_error(b, v, "name one that is, or none at all",
			     "%s: nothing of it is ever offered",
			     v->param->name);
}

static void check_signatures(struct builder *b, const struct policy_action *a,
			     const struct merged *m)
{
	bool client = a->role == ATTLS_ROLE_CLIENT;

	check_list(b, a, m, client ? STORE_CLIENT_SHARES :
		   STORE_SERVER_SHARES);
	check_list(b, a, m, client ? STORE_CLIENT_CURVES :
		   STORE_SERVER_CURVES);
	check_list(b, a, m, STORE_SIGALGS);
}

/* A version that is On without a suite, and was not to be. */
static void check_version(struct builder *b, const struct policy_action *a,
			  const struct value *on, bool has)
{
	if (on && on->number && !has)
		policy_warn(b, on, "list a cipher suite of it",
			    "%s On does nothing: TTLSRule \"%s\" has no "
			    "cipher suite of it", on->param->name, a->rule);
}

static void check_host(struct builder *b, const struct policy_action *a,
		       const struct value *host)
{
	if (host && a->role != ATTLS_ROLE_CLIENT)
		policy_warn(b, host, NULL,
			    "%s does nothing in the server role that TTLSRule "
			    "\"%s\" has", host->param->name, a->rule);
}

/* What can be wrong with an environment and a connection action together. */
static void check_context(struct builder *b, const struct policy_action *a,
			  const struct merged *m)
{
	const struct value *auth = m->from[STORE_CLIENT_AUTH].value;
	const struct policy_place *at = &a->rule_place;

	if (!number(m, STORE_TLS12) && !number(m, STORE_TLS13))
		policy_error(b, at, "leave TLSv1.2 or TLSv1.3 On",
			     "TTLSRule \"%s\" ends up with no protocol: "
			     "TLSv1.2 and TLSv1.3 are Off", a->rule);
	else if (!a->tls12 && !a->tls13)
		policy_error(b, m->from[STORE_SUITES].value,
			     "list suites with GCM, or no suites at all",
			     "TTLSRule \"%s\" ends up with no cipher suite "
			     "that could be offered", a->rule);
	check_signatures(b, a, m);
	check_version(b, a, m->from[STORE_TLS12].value, a->tls12);
	check_version(b, a, m->from[STORE_TLS13].value, a->tls13);
	check_host(b, a, m->from[STORE_HOST_DNS].value);
	check_host(b, a, m->from[STORE_HOST_CN].value);
	if (auth && a->role < ATTLS_ROLE_SERVER_PASS)
		policy_warn(b, auth, "use HandshakeRole ServerWithClientAuth",
			    "ClientAuthType does nothing in the role that "
			    "TTLSRule \"%s\" has", a->rule);
}

/* Accepting as a client is right for few, and silent when it is wrong. */
static void check_direction(struct builder *b, const struct object *rule,
			    const struct policy_action *a)
{
	const struct value *v = policy_object_value(rule, P_DIRECTION);

	if (a->role == ATTLS_ROLE_CLIENT &&
	    v->number == (ATTLS_INBOUND | ATTLS_OUTBOUND))
		policy_warn(b, v, "use Outbound, or two rules",
			    "Direction Both with HandshakeRole Client: "
			    "connections that TTLSRule \"%s\" finds accepted "
			    "also take the client role", a->rule);
}

static int compare_precedence(const void *a, const void *b)
{
	const struct object *x = *(struct object *const *)a;
	const struct object *y = *(struct object *const *)b;
	long px = policy_object_number(x, P_PRIORITY, 1);
	long py = policy_object_number(y, P_PRIORITY, 1);

	if (px != py)
		return px > py ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort_rules(struct policy *policy)
{
	struct object *o;

	policy->rules = policy_calloc(policy->n_objects,
				      sizeof(*policy->rules));
	for (o = policy->objects; o; o = o->next)
		if (object_is(o, ST_RULE))
			policy->rules[policy->n_rules++] = o;
	qsort(policy->rules, policy->n_rules, sizeof(*policy->rules),
	      compare_precedence);
}

struct pair {
	size_t	environment;		/* numbers of the objects */
	size_t	connection;		/* 0: none, which comes first */
	size_t	rule;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->environment != y->environment)
		return x->environment < y->environment ? -1 : 1;
	if (x->connection != y->connection)
		return x->connection < y->connection ? -1 : 1;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static size_t collect_pairs(const struct policy *policy, struct pair *pairs)
{
	const struct object *connection;
	size_t n = 0, i;

	for (i = 0; i < policy->n_rules; i++) {
		if (!policy->actions[i].enabled)
			continue;
		connection = action_of(policy->rules[i], P_CONNECTION);
		pairs[n].environment = action_of(policy->rules[i],
						 P_ENVIRONMENT)->seq;
		pairs[n].connection = connection ? connection->seq + 1 : 0;
		pairs[n++].rule = i;
	}
	qsort(pairs, n, sizeof(*pairs), compare_pairs);
	return n;
}

/* What depends on the environment and the connection action alone. */
static void share_context(struct policy_action *a,
			  const struct policy_action *first)
{
	a->context = first->context;
	a->host_dns = first->host_dns;
	a->host_cn = first->host_cn;
	a->tls12 = first->tls12;
	a->tls13 = first->tls13;
	a->suites = first->suites;
	a->key_shares = first->key_shares;
	a->curves = first->curves;
	a->sigalgs = first->sigalgs;
}

static void number_contexts(struct builder *b)
{
	struct policy *policy = b->policy;
	struct pair *pairs = policy_calloc(policy->n_rules, sizeof(*pairs));
	size_t n = collect_pairs(policy, pairs), i;
	const struct policy_action *last = NULL;
	struct policy_action *a;
	struct merged m;

	for (i = 0; i < n; i++) {
		a = &policy->actions[pairs[i].rule];
		if (last && pairs[i].environment == pairs[i - 1].environment &&
		    pairs[i].connection == pairs[i - 1].connection) {
			share_context(a, last);
			continue;
		}
		policy_merge_rule(&m, policy->rules[pairs[i].rule]);
		a->context = policy->n_contexts++;
		fill_names(policy, &a->host_dns, &m, STORE_HOST_DNS);
		fill_names(policy, &a->host_cn, &m, STORE_HOST_CN);
		fill_suites(policy, a, &m);
		fill_signatures(policy, a, &m);
		check_context(b, a, &m);
		last = a;
	}
	free(pairs);
}

void policy_merge(struct builder *b)
{
	struct policy *policy = b->policy;
	struct merged m;
	size_t i;

	sort_rules(policy);
	policy->actions = policy_calloc(policy->n_rules,
					sizeof(*policy->actions));
	for (i = 0; i < policy->n_rules; i++) {
		policy_merge_rule(&m, policy->rules[i]);
		fill(policy, &policy->actions[i], policy->rules[i], &m);
		check_direction(b, policy->rules[i], &policy->actions[i]);
	}
	number_contexts(b);
}
