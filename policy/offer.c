// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is offered to a peer: versions, cipher suites, groups of key exchange
 * and signature algorithms, from the lists of the actions or a profile.
 */
#include "tree.h"

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

/* What codes must have to be in lists that are not written out. */
static unsigned int allowed(const struct merged *m)
{
	return policy_merged_number(m, STORE_FIPS) ? POLICY_CODE_FIPS : 0;
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
			list_all(list, codes, POLICY_CODE_ANY | allowed(m));
		for (i = 0; !v->any && i < v->codes.n; i++)
			list_add(list, v->codes.list[i]);
	}
}

static void fill_default(struct policy *policy, struct policy_code_list *list,
			 const struct policy_codes *codes,
			 const struct merged *m)
{
	list->code = policy_arena_alloc(&policy->arena, codes->n *
					sizeof(*list->code));
	list_all(list, codes, POLICY_CODE_DEFAULT | allowed(m));
}

static void fill_suites(struct policy *policy, struct policy_action *a,
			const struct merged *m)
{
	bool tls12 = false, tls13 = false;
	size_t i;

	fill_codes(policy, &a->suites, m, STORE_SUITES);
	if (!m->from[STORE_SUITES].value)
		fill_default(policy, &a->suites, &policy_suites, m);
	for (i = 0; i < a->suites.n; i++) {
		if (a->suites.code[i]->flags & POLICY_CODE_TLS13)
			tls13 = true;
		else
			tls12 = true;
	}
	a->tls12 = a->tls12 && tls12;
	a->tls13 = a->tls13 && tls13;
}

/* The library's would do, but nobody could look them up. */
static void fill_fips(struct policy *policy, struct policy_action *a,
		      const struct merged *m, enum store shares,
		      enum store curves)
{
	if (!m->from[curves].value)
		fill_default(policy, &a->curves, &policy_groups, m);
	if (policy_role_is_server(a->role) && !m->from[shares].value)
		fill_default(policy, &a->key_shares, &policy_groups, m);
}

static void fill_signatures(struct policy *policy, struct policy_action *a,
			    const struct merged *m)
{
	bool client = a->role == ATTLS_ROLE_CLIENT;
	enum store shares = client ? STORE_CLIENT_SHARES : STORE_SERVER_SHARES;
	enum store curves = client ? STORE_CLIENT_CURVES : STORE_SERVER_CURVES;

	fill_codes(policy, &a->key_shares, m, shares);
	fill_codes(policy, &a->curves, m, curves);
	fill_codes(policy, &a->sigalgs, m, STORE_SIGALGS);
	/* A client's shares do not say what else the server may choose. */
	if (client && a->key_shares.n && !a->curves.n)
		fill_default(policy, &a->curves, &policy_groups, m);
	else if (a->fips)
		fill_fips(policy, a, m, shares, curves);
}

static const struct policy_code_list *list_of(const struct policy_action *a,
					      enum store store)
{
	switch (store) {
	case STORE_SIGALGS:
		return &a->sigalgs;
	case STORE_CERT_SIGALGS:
		return &a->cert_sigalgs;
	case STORE_CLIENT_SHARES:
	case STORE_SERVER_SHARES:
		return &a->key_shares;
	default:
		return &a->curves;
	}
}

/* A list of which nothing can be offered would be the library's own. */
static void check_list(struct builder *b, const struct policy_action *a,
		       const struct merged *m, enum store store)
{
	const struct value *v = m->from[store].value;

	if (v && !list_of(a, store)->n)
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

/* RFC 6460: TLS 1.2 with ECDSA, P-256 or P-384, and nothing else. */
static const struct {
	bool	aes128;
	bool	aes256;
} profiles[] = {
	[SUITE_B_128]		= { true, false },
	[SUITE_B_128_MIN]	= { true, true },
	[SUITE_B_192]		= { false, true },
	[SUITE_B_192_MIN]	= { false, true },
	[SUITE_B_ALL]		= { true, true },
};

static void fill_pair(struct policy *policy, struct policy_code_list *list,
		      const struct policy_codes *codes, long profile,
		      unsigned long id128, unsigned long id256)
{
	list->n = 0;
	list->code = policy_arena_alloc(&policy->arena,
					2 * sizeof(*list->code));
	if (profiles[profile].aes128)
		list_add(list, policy_code_numbered(codes, id128));
	if (profiles[profile].aes256)
		list_add(list, policy_code_numbered(codes, id256));
}

static void fill_suite_b(struct policy *policy, struct policy_action *a,
			 long profile)
{
	a->tls13 = false;
	a->key_shares.n = 0;
	fill_pair(policy, &a->suites, &policy_suites, profile, 0xc02b, 0xc02c);
	fill_pair(policy, &a->curves, &policy_groups, profile, 23, 24);
	fill_pair(policy, &a->sigalgs, &policy_sigalgs, profile, 0x0403,
		  0x0503);
}

/* The lists that the profile puts aside, as on z/OS. */
static void check_suite_b(struct builder *b, const struct policy_action *a,
			  const struct merged *m)
{
	const struct value *v = m->from[STORE_SUITE_B].value;
	const struct value *suites = m->from[STORE_SUITES].value;

	if (!a->tls12)
		policy_error(b, v, "leave TLSv1.2 On",
			     "SuiteBProfile is one of TLS 1.2, which is Off in "
			     "TTLSRule \"%s\"", a->rule);
	if (suites)
		policy_warn(b, suites, NULL,
			    "%s does nothing: SuiteBProfile in line %d says "
			    "which", suites->param->name, v->line);
}

static void check_lists(struct builder *b, const struct policy_action *a,
			const struct merged *m)
{
	if (!policy_merged_number(m, STORE_TLS12) &&
	    !policy_merged_number(m, STORE_TLS13))
		policy_error(b, &a->rule_place, "leave TLSv1.2 or TLSv1.3 On",
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
}

/* Where none are given for certificates, those of the handshake count. */
static void fill_cert_signatures(struct builder *b, struct policy_action *a,
				 const struct merged *m)
{
	fill_codes(b->policy, &a->cert_sigalgs, m, STORE_CERT_SIGALGS);
	check_list(b, a, m, STORE_CERT_SIGALGS);
	if (!m->from[STORE_CERT_SIGALGS].value)
		a->cert_sigalgs = a->sigalgs;
}

void policy_offer(struct builder *b, struct policy_action *a,
		  const struct merged *m)
{
	long profile = policy_merged_number(m, STORE_SUITE_B);

	fill_codes(b->policy, &a->revocation.crl_sigalgs, m,
		   STORE_CRL_SIGALGS);
	fill_codes(b->policy, &a->revocation.ocsp_sigalgs, m,
		   STORE_OCSP_SIGALGS);
	if (profile) {
		fill_suite_b(b->policy, a, profile);
		check_suite_b(b, a, m);
	} else {
		fill_suites(b->policy, a, m);
		fill_signatures(b->policy, a, m);
		check_lists(b, a, m);
	}
	fill_cert_signatures(b, a, m);
}
