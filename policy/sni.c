// SPDX-License-Identifier: GPL-2.0-only
/*
 * Server names: what a client asks for, and which certificate a server has
 * for each.
 */
#include "tree.h"

#include <strings.h>

/* The parameters of a role. */
static const struct sni_stores {
	enum store sni;
	enum store match;
	enum store list;
} client_stores = {
	STORE_CLIENT_SNI, STORE_CLIENT_SNI_MATCH, STORE_CLIENT_SNI_LIST
}, server_stores = {
	STORE_SERVER_SNI, STORE_SERVER_SNI_MATCH, STORE_SERVER_SNI_LIST
};

static const struct sni_stores *stores_of(const struct policy_action *a)
{
	return a->role == ATTLS_ROLE_CLIENT ? &client_stores : &server_stores;
}

static bool is_on(const struct policy_action *a)
{
	return a->sni >= POLICY_EXTENSION_OPTIONAL;
}

void policy_sni_fill(struct policy_action *a, const struct merged *m)
{
	const struct sni_stores *s = stores_of(a);

	a->sni = (enum policy_extension)policy_merged_number(m, s->sni);
	a->sni_match = is_on(a) && policy_merged_number(m, s->match);
}

/* Of a server, in the order of its names. */
static void fill_labels(struct policy *policy, struct policy_action *a,
			const struct merged *m)
{
	const struct value *v;

	a->sni_labels.name = policy_arena_alloc(&policy->arena,
				a->sni_names.n * sizeof(*a->sni_labels.name));
	for (v = m->from[STORE_SERVER_SNI_LIST].object->values; v; v = v->next)
		if (v->param->store == STORE_SERVER_SNI_LIST)
			a->sni_labels.name[a->sni_labels.n++] = v->label;
}

/* What the syntax of z/OS asks for as well: neither has a default. */
static void check_complete(struct builder *b, const struct policy_action *a,
			   const struct merged *m, const struct sni_stores *s)
{
	const struct value *sni = m->from[s->sni].value;
	bool client = s == &client_stores;

	if (!m->from[s->match].value)
		policy_error(b, sni, "Required: a name that is not known ends "
			     "the handshake; Optional: it does not",
			     "%s needs %sMatch", sni->param->name,
			     sni->param->name);
	if (!a->sni_names.n && !(client && a->host_dns.n))
		policy_error(b, sni, client ? "give the name of the server" :
			     "give names, each with the label of its "
			     "certificate", "%s needs %sList",
			     sni->param->name, sni->param->name);
}

static void check_idle(struct builder *b, const struct merged *m,
		       enum store store, const char *sni)
{
	const struct value *v = m->from[store].value;

	if (v)
		policy_warn(b, v, NULL, "%s does nothing: %s is Off",
			    v->param->name, sni);
}

static void check_other_role(struct builder *b, const struct policy_action *a,
			     const struct merged *m)
{
	bool client = a->role == ATTLS_ROLE_CLIENT;
	const struct value *v = m->from[client ? STORE_SERVER_SNI :
					STORE_CLIENT_SNI].value;

	if (v && v->number != POLICY_EXTENSION_OFF)
		policy_warn(b, v, NULL, "%s does nothing in the %s role that "
			    "TTLSRule \"%s\" has", v->param->name,
			    client ? "client" : "server", a->rule);
}

/* TLS has one name for a client, and one certificate for a name. */
static void check_list(struct builder *b, const struct policy_action *a,
		       const struct merged *m, enum store store)
{
	const struct value *first = m->from[store].value, *v;
	size_t i, j;

	if (a->role == ATTLS_ROLE_CLIENT && a->sni_names.n > 1) {
		policy_warn(b, first, NULL, "%s: only \"%s\" is asked for, as "
			    "TLS has one name", first->param->name,
			    a->sni_names.name[0]);
		return;
	}
	for (i = 0, v = first; v; v = v->next) {
		if (v->param->store != (int)store)
			continue;
		for (j = 0; j < i; j++)
			if (!strcasecmp(a->sni_names.name[j], v->text))
				policy_error(b, v, "keep one of them",
					     "%s has \"%s\" twice",
					     v->param->name, v->text);
		i++;
	}
}

void policy_sni(struct builder *b, struct policy_action *a,
		const struct merged *m)
{
	const struct sni_stores *s = stores_of(a);

	check_other_role(b, a, m);
	if (!is_on(a)) {
		check_idle(b, m, s->match, s == &client_stores ?
			   "ClientHandshakeSNI" : "ServerHandshakeSNI");
		check_idle(b, m, s->list, s == &client_stores ?
			   "ClientHandshakeSNI" : "ServerHandshakeSNI");
		return;
	}
	policy_merged_names(b->policy, &a->sni_names, m, s->list);
	if (s == &server_stores && a->sni_names.n)
		fill_labels(b->policy, a, m);
	check_complete(b, a, m, s);
	check_list(b, a, m, s->list);
}
