// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SSL_CTX of an action: one for all rules with the same environment and
 * connection action.  What a policy stands for (versions, suites, whom to
 * trust, security level) is set here, whatever openssl.cnf says; groups and
 * signature algorithms that it does not list are the library's, or the
 * system's.
 *
 * The cryptography of a rule with FIPS140 is in a library context of its own.
 * OpenSSL takes that from the SSL_CTX, but for OCSP and some other things that
 * ask the default context: so it is the default for as long as such a rule's
 * connection is worked at.
 *
 * There are no sessions here: what a server resumes is up to tickets.c.
 */
#include "attlsd.h"

#include <errno.h>

#include <openssl/err.h>

static void fail(struct policy_diags *diags, const struct policy_place *place,
		 const char *what)
{
	char text[128];

	keyring_openssl_text(text, sizeof(text));
	policy_diags_add(diags, POLICY_ERROR, place, NULL, "%s: %s", what,
			 text);
}

static int set_versions(SSL_CTX *ctx, const struct policy_action *action)
{
	int min = action->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	int max = action->tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
	char list[1024];

	if (!action->tls12 && !action->tls13)
		return -EINVAL;
	if (!SSL_CTX_set_min_proto_version(ctx, min) ||
	    !SSL_CTX_set_max_proto_version(ctx, max))
		return -EINVAL;
	attlsd_suite_list(action, TLS1_2_VERSION, list, sizeof(list));
	if (action->tls12 && !SSL_CTX_set_cipher_list(ctx, list))
		return -EINVAL;
	attlsd_suite_list(action, TLS1_3_VERSION, list, sizeof(list));
	return SSL_CTX_set_ciphersuites(ctx, list) ? 0 : -EINVAL;
}

static void set_options(SSL_CTX *ctx, const struct policy_action *action)
{
	/* Those of openssl.cnf first: one of them could be kTLS. */
	SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
			    SSL_OP_NO_RENEGOTIATION |
			    SSL_OP_NO_TX_CERTIFICATE_COMPRESSION |
			    SSL_OP_NO_RX_CERTIFICATE_COMPRESSION |
			    SSL_OP_CIPHER_SERVER_PREFERENCE |
			    SSL_OP_SINGLE_DH_USE);
	if (action->middlebox)
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	if (action->ems == POLICY_EMS_OFF)
		SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
			 SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_recv_max_early_data(ctx, 0);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_dh_auto(ctx, 1);
}

/* OpenSSL has one callback for all who look at what a client says. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	attlsd_tickets_hello(ssl);
	if (!attlsd_groups_hello(ssl, arg))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

static int fill(struct attlsd_context *context,
		const struct policy_action *action,
		const struct keyring *ring, struct policy_diags *diags)
{
	SSL_CTX *ctx = context->ctx;
	int ret;

	set_options(ctx, action);
	attlsd_secrets_prepare(ctx);
	attlsd_wishes_prepare(ctx);
	attlsd_resume_prepare(ctx, action);
	if (set_versions(ctx, action)) {
		fail(diags, &action->rule_place, "protocol versions");
		return -EINVAL;
	}
	if (attlsd_groups_set(ctx, action)) {
		fail(diags, &action->rule_place, "TTLSSignatureParms");
		return -EINVAL;
	}
	if (attlsd_fragment_offer(ctx, action)) {
		fail(diags, &action->rule_place, "ClientMaxSSLFragmentLength");
		return -EINVAL;
	}
	attlsd_verify_setup(ctx, action);
	attlsd_tickets_setup(context, action);
	if (policy_role_is_server(action->role))
		SSL_CTX_set_client_hello_cb(ctx, on_client_hello,
					    (void *)action);
	ret = keyring_use(ring, ctx, action, diags);
	/* Refusing what has expired would leave what it protects in clear. */
	keyring_advise(ring, ctx, action, POLICY_WARNING, diags);
	if (!ret)
		ret = attlsd_sni_init(context, action, ring, diags);
	return ret;
}

int attlsd_context_init(struct attlsd_context *context,
			const struct policy_action *action,
			const struct keyring *ring,
			struct policy_diags *diags)
{
	OSSL_LIB_CTX *before;
	int ret;

	ERR_clear_error();
	context->libctx = keyring_context(action);
	context->ctx = keyring_ssl_ctx(action);
	if (!context->ctx) {
		fail(diags, &action->rule_place, "OpenSSL");
		return -ENOMEM;
	}
	context->crls = ring->crls;
	if (action->revocation.signer)
		context->signer = keyring_find(ring, action->revocation.signer);
	before = attlsd_context_enter(context);
	ret = fill(context, action, ring, diags);
	attlsd_context_leave(before);
	if (ret)
		attlsd_context_free(context);
	return ret;
}

/* What was the default before, for attlsd_context_leave(). */
OSSL_LIB_CTX *attlsd_context_enter(const struct attlsd_context *context)
{
	return OSSL_LIB_CTX_set0_default(context->libctx);
}

void attlsd_context_leave(OSSL_LIB_CTX *before)
{
	OSSL_LIB_CTX_set0_default(before);
}

void attlsd_context_free(struct attlsd_context *context)
{
	attlsd_sni_free(context);
	SSL_CTX_free(context->ctx);
	context->ctx = NULL;
}
