// SPDX-License-Identifier: GPL-2.0-only
/* TTLSGskAdvancedParms: whom to ask whether a certificate was revoked. */
#include "tree.h"

static unsigned int number(const struct merged *m, enum store store)
{
	return (unsigned int)policy_merged_number(m, store);
}

static void fill_ocsp(struct policy_revocation *r, const struct merged *m)
{
	r->ocsp_url = policy_merged_text(m, STORE_OCSP_URL);
	r->aia = number(m, STORE_OCSP_AIA);
	r->ocsp_url_first = number(m, STORE_OCSP_URL_FIRST);
	r->ocsp_get = number(m, STORE_OCSP_GET);
	r->signer = policy_merged_text(m, STORE_OCSP_SIGNER);
	r->sign_alg = number(m, STORE_OCSP_SIGN_ALG);
	r->signer_place = policy_merged_place(m, STORE_OCSP_SIGNER);
	r->nonce = number(m, STORE_OCSP_NONCE);
	r->nonce_check = number(m, STORE_OCSP_NONCE_CHECK);
	r->nonce_size = number(m, STORE_OCSP_NONCE_SIZE);
	r->staple = number(m, STORE_OCSP_STAPLING);
	r->ocsp.proxy = policy_merged_text(m, STORE_OCSP_PROXY);
	r->ocsp.proxy_port = number(m, STORE_OCSP_PROXY_PORT);
	r->ocsp.timeout = number(m, STORE_OCSP_TIMEOUT);
	r->ocsp.max_size = number(m, STORE_OCSP_MAX_SIZE);
	r->ocsp.cache_size = number(m, STORE_OCSP_CACHE);
	r->ocsp.cache_entry = number(m, STORE_OCSP_CACHE_ENTRY);
}

void policy_revocation_fill(struct policy_revocation *r,
			    const struct merged *m)
{
	r->level = (enum policy_level)number(m, STORE_LEVEL);
	r->level_given = m->from[STORE_LEVEL].value;
	r->aia_first = number(m, STORE_AIA_FIRST);
	r->max_source = number(m, STORE_MAX_SOURCE);
	r->max_total = number(m, STORE_MAX_VALID);
	r->cdp = number(m, STORE_CDP);
	r->http.proxy = policy_merged_text(m, STORE_CDP_PROXY);
	r->http.proxy_port = number(m, STORE_CDP_PROXY_PORT);
	r->http.timeout = number(m, STORE_CDP_TIMEOUT);
	r->http.max_size = number(m, STORE_CDP_MAX_SIZE);
	r->http.cache_size = number(m, STORE_CDP_CACHE);
	r->http.cache_entry = number(m, STORE_CDP_CACHE_ENTRY);
	fill_ocsp(r, m);
}

bool policy_revocation_given(const struct policy_revocation *r)
{
	return r->level_given || r->ocsp_url || r->aia || r->cdp ||
	       r->ldap.servers;
}

/* Whoever writes one of these wants certificates to be checked. */
static const struct value *wish(const struct merged *m)
{
	const struct value *v = NULL;
	int store;

	for (store = STORE_LEVEL; !v && store <= STORE_LDAP_TIMEOUT; store++)
		v = m->from[store].value;
	return v;
}

/* A list of which nothing can be taken would be one without limits. */
static void check_list(struct builder *b, const struct policy_code_list *list,
		       const struct value *v)
{
	if (v && !list->n)
		policy_error(b, v, "name one that is safe, or none at all",
			     "%s: nothing of it is ever taken", v->param->name);
}

static void check_nonce(struct builder *b, const struct policy_revocation *r,
			const struct merged *m)
{
	if (r->nonce_check && !r->nonce)
		policy_error(b, m->from[STORE_OCSP_NONCE_CHECK].value,
			     "add OcspNonceGenEnable On",
			     "OcspNonceCheckEnable On: no response has a nonce "
			     "that no request had");
}

static void check_staple(struct builder *b, const struct policy_action *a,
			 const struct merged *m)
{
	const struct value *v = m->from[STORE_OCSP_STAPLING].value;

	if (!a->revocation.staple)
		return;
	if (!a->revocation.ocsp_url && !a->revocation.aia)
		policy_error(b, v, "add OcspUrl or OcspAiaEnable On",
			     "OcspServerStapling: there is no responder to ask");
	if (a->role == ATTLS_ROLE_CLIENT)
		policy_warn(b, v, NULL,
			    "OcspServerStapling does nothing in the client "
			    "role that TTLSRule \"%s\" has", a->rule);
}

/* What is given, and asks for nothing. */
static void check_use(struct builder *b, const struct policy_action *a,
		      const struct value *v)
{
	const struct policy_revocation *r = &a->revocation;

	if (!policy_role_verifies(a->role)) {
		if (!r->staple)
			policy_warn(b, v, NULL,
				    "%s does nothing in the role that TTLSRule "
				    "\"%s\" has: it checks no certificates",
				    v->param->name, a->rule);
	} else if (!r->ocsp_url && !r->aia && !r->cdp && !r->ldap.servers) {
		policy_warn(b, v, "add OcspUrl, OcspAiaEnable On, "
			    "HttpCdpEnable On or GSK_LDAP_SERVER",
			    "%s: TTLSRule \"%s\" asks nobody whether a "
			    "certificate was revoked; only CRLs in the key "
			    "ring count", v->param->name, a->rule);
	}
}

void policy_revocation_check(struct builder *b, const struct policy_action *a,
			     const struct merged *m)
{
	const struct value *v = wish(m);

	if (!v)
		return;
	check_list(b, &a->revocation.crl_sigalgs,
		   m->from[STORE_CRL_SIGALGS].value);
	check_list(b, &a->revocation.ocsp_sigalgs,
		   m->from[STORE_OCSP_SIGALGS].value);
	check_nonce(b, &a->revocation, m);
	check_staple(b, a, m);
	check_use(b, a, v);
}
