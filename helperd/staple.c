// SPDX-License-Identifier: GPL-2.0-only
/*
 * OcspServerStapling: responses of OCSP that a server shows for its own
 * certificates to who asks for them (RFC 6066 section 8).
 *
 * A worker gets them when it starts and anew when half of their time is
 * over, so that no handshake waits for one.  Without one a handshake goes on:
 * whether that will do is for the client to say.
 */
#include "attlsd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#define RETRY		60		/* seconds, after a failure */
#define NO_TIME		300		/* seconds, without a nextUpdate */

struct staple {
	struct staple *next;
	const struct attlsd_context *context;
	X509	*cert;
	X509	*issuer;
	char	*url;
	struct policy_revocation want;
	struct attlsd_waiter waiter;
	OCSP_REQUEST *request;
	time_t	ask_at;
	time_t	until;
	uint8_t	*der;			/* or NULL: there is none */
	int	len;
};

static struct staple *attlsd_staples;

bool attlsd_staple_wanted(const struct policy_action *action)
{
	return action->enabled && action->revocation.staple &&
	       policy_role_is_server(action->role);
}

static const struct staple *find(const SSL_CTX *ctx, const X509 *cert)
{
	const struct staple *staple = attlsd_staples;

	while (staple && (staple->context->ctx != ctx ||
			  X509_cmp(staple->cert, cert)))
		staple = staple->next;
	return staple;
}

static int show(SSL *ssl, void *arg)
{
	const struct staple *staple = find(SSL_get_SSL_CTX(ssl),
					   SSL_get_certificate(ssl));
	uint8_t *copy;

	if (!staple || !staple->der || staple->until <= time(NULL))
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(staple->der, staple->len);
	if (!copy)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, staple->len);
	return SSL_TLSEXT_ERR_OK;
}

/* In the chain that is sent, or an authority of the ring; NULL: not known. */
static X509 *issuer_of(SSL_CTX *ctx, X509 *cert)
{
	X509_STORE_CTX *search = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = NULL;
	X509 *issuer = NULL;

	SSL_CTX_get0_chain_certs(ctx, &chain);
	for (int i = 0; !issuer && i < sk_X509_num(chain); i++)
		if (X509_check_issued(sk_X509_value(chain, i), cert) ==
		    X509_V_OK)
			issuer = sk_X509_value(chain, i);
	if (issuer)
		X509_up_ref(issuer);
	else if (search && X509_STORE_CTX_init(search,
					       SSL_CTX_get_cert_store(ctx),
					       cert, NULL) &&
		 X509_STORE_CTX_get1_issuer(&issuer, search, cert) != 1)
		issuer = NULL;
	X509_STORE_CTX_free(search);
	return issuer;
}

/* The responder of the policy, or the first that the certificate names. */
static char *url_of(X509 *cert, const struct policy_revocation *want)
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(cert);
	const char *first = NULL;
	char *url = NULL;

	for (int i = 0; !first && i < sk_OPENSSL_STRING_num(urls); i++)
		if (policy_url_is_http(sk_OPENSSL_STRING_value(urls, i)))
			first = sk_OPENSSL_STRING_value(urls, i);
	if (want->ocsp_url && (want->ocsp_url_first || !want->aia || !first))
		url = strdup(want->ocsp_url);
	else if (want->aia && first)
		url = strdup(first);
	X509_email_free(urls);
	return url;
}

static void warn(const struct staple *staple, const char *why)
{
	char name[160];

	X509_NAME_oneline(X509_get_subject_name(staple->cert), name,
			  sizeof(name));
	attlsd_log(LOG_WARNING, "no OCSP response to staple for %s: %s: %s",
		   name, staple->url ? staple->url : "OcspServerStapling",
		   why);
}

/* For the current certificate of @shown. */
static void add(const struct attlsd_context *context, SSL_CTX *shown,
		const struct policy_action *action)
{
	struct staple *staple = calloc(1, sizeof(*staple));

	if (!staple)
		return;
	staple->context = context;
	staple->cert = SSL_CTX_get0_certificate(shown);
	staple->issuer = issuer_of(shown, staple->cert);
	staple->want = action->revocation;
	staple->want.nonce = false;	/* it would be ours, not the client's */
	staple->url = url_of(staple->cert, &staple->want);
	if (!staple->issuer || !staple->url) {
		warn(staple, staple->url ? "its authority is not in the ring" :
		     "the certificate names no responder");
		X509_free(staple->issuer);
		free(staple->url);
		free(staple);
		return;
	}
	staple->next = attlsd_staples;
	attlsd_staples = staple;
}

static void add_shown(const struct attlsd_context *context, SSL_CTX *shown,
		      const struct policy_action *action)
{
	int ok = SSL_CTX_set_current_cert(shown, SSL_CERT_SET_FIRST);

	for (; ok; ok = SSL_CTX_set_current_cert(shown, SSL_CERT_SET_NEXT))
		if (!find(context->ctx, SSL_CTX_get0_certificate(shown)))
			add(context, shown, action);
}

/* What all clients are shown, and who asks for one of several names. */
static void add_context(const struct attlsd_context *context,
			const struct policy_action *action)
{
	add_shown(context, context->ctx, action);
	for (size_t i = 0; i < context->n_names; i++)
		add_shown(context, attlsd_sni_shown(context, i), action);
	SSL_CTX_set_tlsext_status_cb(context->ctx, show);
}

static void add_all(const struct attlsd_set *set)
{
	size_t n = set ? policy_rule_count(set->policy) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct policy_action *action;

		action = policy_action(set->policy, i);
		if (attlsd_staple_wanted(action))
			add_context(&set->contexts[action->context], action);
	}
}

void attlsd_staples_open(const struct attlsd_sets *sets)
{
	add_all(sets->current);
	add_all(sets->previous);
}

static void ask(struct staple *staple)
{
	OSSL_LIB_CTX *before = attlsd_context_enter(staple->context);

	staple->ask_at = time(NULL) + RETRY;
	OCSP_REQUEST_free(staple->request);
	staple->request = attlsd_ocsp_request(staple->cert, staple->issuer,
					      &staple->want,
					      staple->context->signer);
	if (!staple->request ||
	    attlsd_ocsp_ask(&staple->waiter, staple->request, staple->url,
			    &staple->want, true))
		warn(staple, "cannot ask now");
	attlsd_context_leave(before);
}

static void keep(struct staple *staple, OCSP_RESPONSE *response, time_t until)
{
	time_t now = time(NULL);

	free(staple->der);
	staple->der = NULL;
	staple->len = i2d_OCSP_RESPONSE(response, NULL);
	if (staple->len <= 0)
		return;
	staple->der = malloc(staple->len);
	if (staple->der) {
		uint8_t *to = staple->der;

		i2d_OCSP_RESPONSE(response, &to);
	}
	staple->until = until ? until : now + NO_TIME;
	staple->ask_at = now + (staple->until - now) / 2 + 1;
}

/* What was shown so far stays until it is over, unless it is refuted. */
static void take(struct staple *staple)
{
	struct attlsd_answer *answer = staple->waiter.answer;
	enum attlsd_verdict verdict = ATTLSD_NO_STATUS;
	OSSL_LIB_CTX *before = attlsd_context_enter(staple->context);
	char why[ATTLSD_WHY];
	time_t until = 0;

	snprintf(why, sizeof(why), "%s", answer->why);
	if (answer->ocsp)
		verdict = attlsd_ocsp_judge(answer->ocsp, staple->request,
					    staple->issuer, &staple->want,
					    &until, why);
	if (verdict == ATTLSD_GOOD)
		keep(staple, answer->ocsp, until);
	else
		warn(staple, why);
	if (verdict == ATTLSD_REVOKED)
		staple->until = 0;
	attlsd_answers_leave(&staple->waiter);
	attlsd_context_leave(before);
}

/* About once a second, and whenever an answer has come. */
void attlsd_staples_tick(void)
{
	time_t now = time(NULL);

	for (struct staple *s = attlsd_staples; s; s = s->next) {
		if (s->waiter.answer && s->waiter.ready)
			take(s);
		else if (!s->waiter.answer && s->ask_at <= now)
			ask(s);
	}
}
