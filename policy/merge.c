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

void policy_merge_rule(struct merged *m, const struct policy *policy,
		       const struct object *rule)
{
	const struct object *group = action_of(rule, P_GROUP);
	const struct object *environment = action_of(rule, P_ENVIRONMENT);
	const struct object *connection = action_of(rule, P_CONNECTION);
	const struct object *gsk = action_of(environment, P_GSK);

	memset(m, 0, sizeof(*m));
	m->zos = policy_is_zos(policy);
	merge_object(m, group);
	merge_object(m, action_of(group, P_ADVANCED));
	merge_object(m, environment);
	merge_object(m, action_of(environment, P_KEYRING_PARMS));
	merge_object(m, action_of(environment, P_CIPHER_PARMS));
	merge_object(m, action_of(environment, P_SIGNATURE_PARMS));
	merge_object(m, action_of(environment, P_ADVANCED));
	merge_object(m, gsk);
	merge_object(m, action_of(gsk, P_OCSP_PARMS));
	merge_object(m, action_of(gsk, P_CDP_PARMS));
	merge_object(m, action_of(gsk, P_LDAP_PARMS));
	merge_object(m, connection);
	merge_object(m, action_of(connection, P_CIPHER_PARMS));
	merge_object(m, action_of(connection, P_SIGNATURE_PARMS));
	merge_object(m, action_of(connection, P_ADVANCED));
}

/* Where z/OS has another default than we have, @zos asks for it. */
long policy_default(const struct param *param, bool zos)
{
	return zos && (param->id == P_TLSV1_2 || param->id == P_TLSV1_3) ? 0 :
	       param->def;
}

static long default_of(enum store store, bool zos)
{
	static const enum statement_id tables[] = {
		ST_GROUP, ST_GROUP_ADVANCED, ST_ENVIRONMENT, ST_ENV_ADVANCED,
		ST_GSK, ST_OCSP, ST_CDP, ST_LDAP,
	};
	const struct statement *st;
	size_t i, j;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		st = &policy_statements[tables[i]];
		for (j = 0; j < st->n_params; j++)
			if (st->params[j].store == (int)store &&
			    st->params[j].flags & PARAM_DEFAULT)
				return policy_default(&st->params[j], zos);
	}
	return 0;
}

long policy_merged_number(const struct merged *m, enum store store)
{
	const struct value *v = m->from[store].value;

	return v ? v->number : default_of(store, m->zos);
}

const char *policy_merged_text(const struct merged *m, enum store store)
{
	const struct value *v = m->from[store].value;

	return v ? v->text : NULL;
}

static struct policy_place place_of(const struct value *v)
{
	return (struct policy_place) { v->file, v->line, v->column };
}

/* Nowhere, if it is not given. */
struct policy_place policy_merged_place(const struct merged *m,
					enum store store)
{
	const struct value *v = m->from[store].value;

	return v ? place_of(v) : (struct policy_place) { NULL, 0, 0 };
}

static enum attls_role role_of(const struct merged *m)
{
	switch (policy_merged_number(m, STORE_ROLE)) {
	case ROLE_CLIENT:
		return ATTLS_ROLE_CLIENT;
	case ROLE_SERVER:
		return ATTLS_ROLE_SERVER;
	}
	return (enum attls_role)policy_merged_number(m, STORE_CLIENT_AUTH);
}

static void fill_tls(struct policy *policy, struct policy_action *a,
		     const struct merged *m)
{
	a->role = role_of(m);
	a->keyring = policy_keyring_path(policy,
				policy_merged_text(m, STORE_KEYRING));
	a->keyring_pw = policy_merged_text(m, STORE_KEYRING_PW);
	a->keyring_stash = policy_merged_text(m, STORE_KEYRING_STASH);
	a->tls12 = policy_merged_number(m, STORE_TLS12);
	a->tls13 = policy_merged_number(m, STORE_TLS13);
	a->hs_timeout = (unsigned int)policy_merged_number(m, STORE_HS_TIMEOUT);
	a->reset_timer = (unsigned int)policy_merged_number(m,
							STORE_RESET_TIMER);
	a->appl_controlled = policy_merged_number(m, STORE_APPL_CONTROLLED);
	a->truncation_check = policy_merged_number(m, STORE_TRUNCATION);
	a->secondary_map = policy_merged_number(m, STORE_SECONDARY);
	a->instance = (unsigned int)policy_merged_number(m, STORE_INSTANCE);
	a->fragment = (enum policy_extension)policy_merged_number(m,
			a->role == ATTLS_ROLE_CLIENT ? STORE_CLIENT_FRAGMENT :
			STORE_SERVER_FRAGMENT);
	a->fragment_length = (unsigned int)policy_merged_number(m,
						STORE_CLIENT_FRAGMENT_LENGTH);
	policy_sni_fill(a, m);
	a->host_wildcard = policy_merged_number(m, STORE_HOST_WILDCARD);
	a->min_rsa = (unsigned int)policy_merged_number(m, STORE_MIN_RSA);
	a->min_ec = (unsigned int)policy_merged_number(m, STORE_MIN_EC);
	a->min_v3 = policy_merged_number(m, STORE_MIN_VERSION) == 3;
	a->middlebox = policy_merged_number(m, STORE_MIDDLEBOX);
	a->ems = (enum policy_ems)policy_merged_number(m,
			a->role == ATTLS_ROLE_CLIENT ? STORE_CLIENT_EMS :
			STORE_SERVER_EMS);
	policy_fips_fill(a, m);
	policy_revocation_fill(&a->revocation, m);
	policy_sessions_fill(&a->sessions, m);
	a->keyring_place = place_of(m->from[STORE_KEYRING].value);
}

static void fill(struct policy *policy, struct policy_action *a,
		 const struct object *rule, const struct merged *m)
{
	const struct object *connection = action_of(rule, P_CONNECTION);

	a->rule = rule->name;
	a->rule_place.file = rule->file;
	a->rule_place.line = rule->line;
	a->rule_place.column = rule->column;
	a->group = action_of(rule, P_GROUP)->name;
	a->enabled = policy_merged_number(m, STORE_ENABLED);
	a->trace = (unsigned int)policy_merged_number(m, STORE_TRACE);
	a->facility = (int)policy_merged_number(m, STORE_FACILITY);
	a->context = POLICY_NO_CONTEXT;
	if (!a->enabled)
		return;
	a->environment = action_of(rule, P_ENVIRONMENT)->name;
	a->connection = connection ? connection->name : NULL;
	fill_tls(policy, a, m);
}

/* All values of @store, of the object that has the first. */
void policy_merged_names(struct policy *policy, struct policy_names *names,
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
	names->place = policy_arena_alloc(&policy->arena,
					  n * sizeof(*names->place));
	for (v = o->values; v; v = v->next) {
		if (v->param->store != (int)store)
			continue;
		names->name[names->n] = v->text;
		names->place[names->n++] = place_of(v);
	}
}

/*
 * A client that no name is given for: the certificate must have the address
 * that it connects to.  On z/OS any will do, which is hardly ever meant.
 */
static void check_pinned(struct builder *b, struct policy_action *a)
{
	if (a->role != ATTLS_ROLE_CLIENT || a->host_dns.n || a->host_cn.n)
		return;
	a->host_address = !policy_is_zos(b->policy);
	if (a->host_address)
		policy_warn(b, &a->rule_place,
			    "add HostReferenceIdDNS with the name of the server",
			    "TTLSRule \"%s\" takes only servers whose "
			    "certificate has the IP address it connects to",
			    a->rule);
	else
		policy_warn(b, &a->rule_place, "add HostReferenceIdDNS",
			    "TTLSRule \"%s\" takes any server with a "
			    "certificate of an authority in the ring",
			    a->rule);
}

/* PassThru takes any certificate, and a mere server sees none. */
static void check_pairs(struct builder *b, const struct policy_action *a,
			const struct value *pairs)
{
	if (pairs && !policy_role_verifies(a->role))
		policy_warn(b, pairs, NULL,
			    "%s does nothing in the role that TTLSRule \"%s\" "
			    "has", pairs->param->name, a->rule);
}

static void check_host(struct builder *b, const struct policy_action *a,
		       const struct value *host)
{
	if (host && a->role != ATTLS_ROLE_CLIENT)
		policy_warn(b, host, NULL,
			    "%s does nothing in the server role that TTLSRule "
			    "\"%s\" has", host->param->name, a->rule);
}

/* One for all clients, or several to choose from. */
static void check_certificates(struct builder *b, const struct merged *m)
{
	const struct value *one = m->from[STORE_CERTIFICATE].value;
	const struct value *several = m->from[STORE_CERTIFICATES].value;

	if (one && several)
		policy_error(b, several, "keep one of them",
			     "ServerCertificateLabel conflicts with "
			     "CertificateLabel in line %d", one->line);
}

/* TLS 1.2 has no new keys without a new handshake. */
static void check_timer(struct builder *b, const struct policy_action *a,
			const struct value *timer)
{
	if (timer && timer->number && !a->tls13)
		policy_warn(b, timer, "leave TLSv1.3 On",
			    "ResetCipherTimer does nothing in TLS 1.2, and "
			    "TTLSRule \"%s\" has nothing else", a->rule);
}

/* A server cannot say no; a client must say how small. */
static void check_fragment(struct builder *b, const struct policy_action *a,
			   const struct merged *m)
{
	const struct value *server = m->from[STORE_SERVER_FRAGMENT].value;
	const struct value *length;
	bool on = a->fragment >= POLICY_EXTENSION_OPTIONAL;

	length = m->from[STORE_CLIENT_FRAGMENT_LENGTH].value;
	if (a->role == ATTLS_ROLE_CLIENT && on && !length)
		policy_error(b, m->from[STORE_CLIENT_FRAGMENT].value,
			     "give 512, 1024, 2048 or 4096",
			     "ClientMaxSSLFragment needs "
			     "ClientMaxSSLFragmentLength");
	else if (a->role == ATTLS_ROLE_CLIENT && !on && length)
		policy_warn(b, length, NULL, "ClientMaxSSLFragmentLength does "
			    "nothing: ClientMaxSSLFragment is Off");
	if (a->role == ATTLS_ROLE_CLIENT || on || b->told[P_SERVER_FRAGMENT])
		return;
	b->told[P_SERVER_FRAGMENT] = true;
	policy_warn(b, server, NULL, "ServerMaxSSLFragment Off has no effect: "
		    "OpenSSL grants smaller records to each client that asks");
}

/* What can be wrong with an environment and a connection action together. */
static void check_context(struct builder *b, struct policy_action *a,
			  const struct merged *m)
{
	const struct value *auth = m->from[STORE_CLIENT_AUTH].value;

	check_certificates(b, m);
	policy_fips_check(b, a, m);
	policy_revocation_check(b, a, m);
	policy_sessions_check(b, m);
	check_pinned(b, a);
	check_fragment(b, a, m);
	check_timer(b, a, m->from[STORE_RESET_TIMER].value);
	check_host(b, a, m->from[STORE_HOST_DNS].value);
	check_host(b, a, m->from[STORE_HOST_CN].value);
	check_pairs(b, a, m->from[STORE_CERT_SIGALGS].value);
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
	bool	fips;
	size_t	rule;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->environment != y->environment)
		return x->environment < y->environment ? -1 : 1;
	if (x->connection != y->connection)
		return x->connection < y->connection ? -1 : 1;
	if (x->fips != y->fips)
		return x->fips ? 1 : -1;
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
		pairs[n].fips = policy->actions[i].fips;
		pairs[n++].rule = i;
	}
	qsort(pairs, n, sizeof(*pairs), compare_pairs);
	return n;
}

/* What is the same in all rules of a context. */
static void share_context(struct policy_action *a,
			  const struct policy_action *first)
{
	a->context = first->context;
	a->host_dns = first->host_dns;
	a->host_cn = first->host_cn;
	a->host_address = first->host_address;
	a->certificates = first->certificates;
	a->sni_names = first->sni_names;
	a->sni_labels = first->sni_labels;
	a->certmap = first->certmap;
	a->tls12 = first->tls12;
	a->tls13 = first->tls13;
	a->suites = first->suites;
	a->key_shares = first->key_shares;
	a->curves = first->curves;
	a->sigalgs = first->sigalgs;
	a->cert_sigalgs = first->cert_sigalgs;
	a->revocation = first->revocation;
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
		    pairs[i].connection == pairs[i - 1].connection &&
		    pairs[i].fips == pairs[i - 1].fips) {
			share_context(a, last);
			continue;
		}
		policy_merge_rule(&m, policy, policy->rules[pairs[i].rule]);
		a->context = policy->n_contexts++;
		policy_merged_names(policy, &a->host_dns, &m, STORE_HOST_DNS);
		policy_merged_names(policy, &a->host_cn, &m, STORE_HOST_CN);
		policy_merged_names(policy, &a->certificates, &m,
				    m.from[STORE_CERTIFICATE].value ?
				    STORE_CERTIFICATE : STORE_CERTIFICATES);
		policy_sni(b, a, &m);
		policy_offer(b, a, &m);
		policy_certmap_merge(b, a, &m);
		policy_ldap(b, a, &m);
		check_context(b, a, &m);
		last = a;
	}
	free(pairs);
}

/* One that stands alone and that nobody names, in a policy without errors. */
static void check_used(struct builder *b, const struct object *o)
{
	if (!o->used && !o->inside && !o->preset && !object_is(o, ST_RULE))
		policy_warn(b, o, "delete it, or name it where it belongs",
			    "%s \"%s\" is not used", o->st->name, o->name);
}

void policy_merge(struct builder *b)
{
	struct policy *policy = b->policy;
	const struct object *o;
	struct merged m;
	size_t i;

	sort_rules(policy);
	policy_certmaps(b);
	policy->actions = policy_calloc(policy->n_rules,
					sizeof(*policy->actions));
	for (i = 0; i < policy->n_rules; i++) {
		policy_merge_rule(&m, policy, policy->rules[i]);
		fill(policy, &policy->actions[i], policy->rules[i], &m);
		check_direction(b, policy->rules[i], &policy->actions[i]);
	}
	number_contexts(b);
	policy_startup_check(b);
	for (o = policy->objects; o; o = o->next)
		check_used(b, o);
}
