// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SSL_CTX of an action: one for all rules with the same environment and
 * connection action.  What a policy stands for (versions, suites, whom to
 * trust, security level) is set here, whatever openssl.cnf says; groups and
 * signature algorithms that it does not list are the library's, or the
 * system's.
 *
 * No tickets and no session ids yet, so no resumption: a session that
 * survives a handshake would have to be shared by all workers.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#define SECURITY_LEVEL	2

static void fail(struct policy_diags *diags, const struct policy_place *place,
		 const char *what)
{
	char text[128];

	attlsd_openssl_text(text, sizeof(text));
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
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	SSL_CTX_set_dh_auto(ctx, 1);
}

/* One of each type; the client's signature algorithms choose among them. */
static bool has_type(SSL_CTX *ctx, const struct attlsd_pair *pair)
{
	int found = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);

	for (; found; found = SSL_CTX_set_current_cert(ctx,
						       SSL_CERT_SET_NEXT)) {
		EVP_PKEY *key = SSL_CTX_get0_privatekey(ctx);

		if (key && EVP_PKEY_get_id(key) == EVP_PKEY_get_id(pair->key))
			return true;
	}
	return false;
}

/*
 * A chain that stands in the file is sent as it is.  Without one it is made
 * of the CAs of the ring; as far as they reach, and not the root.
 */
static void complete_chain(SSL_CTX *ctx, const struct attlsd_pair *pair)
{
	if (!sk_X509_num(pair->chain))
		SSL_CTX_build_cert_chain(ctx, SSL_BUILD_CHAIN_FLAG_NO_ROOT |
					 SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
					 SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
	ERR_clear_error();
}

int attlsd_context_show(SSL_CTX *ctx, const struct attlsd_pair *pair)
{
	if (SSL_CTX_use_cert_and_key(ctx, pair->cert, pair->key, pair->chain,
				     1) != 1)
		return -EINVAL;
	complete_chain(ctx, pair);
	return 0;
}

static void warn_expired(const struct attlsd_pair *pair,
			 const struct policy_place *place,
			 struct policy_diags *diags)
{
	if (X509_cmp_current_time(X509_get0_notAfter(pair->cert)) < 0)
		policy_diags_add(diags, POLICY_WARNING, place, NULL,
				 "%s: this certificate has expired",
				 pair->file);
}

static int use_ring(SSL_CTX *ctx, const struct attlsd_keyring *ring,
		    const struct policy_action *action,
		    struct policy_diags *diags)
{
	for (size_t i = 0; i < ring->n_pairs; i++) {
		const struct attlsd_pair *pair = &ring->pairs[i];
		char what[ATTLSD_WHY];

		if (has_type(ctx, pair)) {
			attlsd_log(LOG_DEBUG,
				   "%s/%s: there is one of its type already",
				   ring->path, pair->file);
			continue;
		}
		warn_expired(pair, &action->keyring_place, diags);
		if (!attlsd_context_show(ctx, pair))
			continue;
		snprintf(what, sizeof(what), "%s/%s", ring->path, pair->file);
		fail(diags, &action->keyring_place, what);
		return -EINVAL;
	}
	return 0;
}

/* NULL with the reason in @diags. */
const struct attlsd_pair *attlsd_context_find(const struct attlsd_keyring *ring,
					      const char *label,
					      const struct policy_place *place,
					      struct policy_diags *diags)
{
	const struct attlsd_pair *pair = attlsd_keyring_find(ring, label);
	char hint[ATTLSD_WHY];

	if (pair) {
		warn_expired(pair, place, diags);
		return pair;
	}
	if (ring->n_pairs)
		snprintf(hint, sizeof(hint), "the first of the ring is \"%s\"",
			 ring->pairs[0].label);
	policy_diags_add(diags, POLICY_ERROR, place,
			 ring->n_pairs ? hint : NULL,
			 "no certificate with a private key named \"%s\" in %s",
			 label, ring->path);
	return NULL;
}

static int use_label(SSL_CTX *ctx, const struct attlsd_keyring *ring,
		     const struct policy_action *action, const char *label,
		     struct policy_diags *diags)
{
	const struct attlsd_pair *pair;

	pair = attlsd_context_find(ring, label, &action->certificate_place,
				   diags);
	if (!pair)
		return -ENOENT;
	if (has_type(ctx, pair)) {
		policy_diags_add(diags, POLICY_ERROR,
				 &action->certificate_place,
				 "name one of each type of key",
				 "\"%s\" is a second certificate of its type",
				 label);
		return -EEXIST;
	}
	if (!attlsd_context_show(ctx, pair))
		return 0;
	fail(diags, &action->certificate_place, label);
	return -EINVAL;
}

static int use_labels(SSL_CTX *ctx, const struct attlsd_keyring *ring,
		      const struct policy_action *action,
		      struct policy_diags *diags)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < action->certificates.n; i++)
		ret = use_label(ctx, ring, action,
				action->certificates.name[i], diags);
	return ret;
}

static int use_certificates(SSL_CTX *ctx, const struct attlsd_keyring *ring,
			    const struct policy_action *action,
			    struct policy_diags *diags)
{
	if (action->certificates.n)
		return use_labels(ctx, ring, action, diags);
	if (ring->n_pairs || !attlsd_role_is_server(action->role))
		return use_ring(ctx, ring, action, diags);
	policy_diags_add(diags, POLICY_ERROR, &action->keyring_place, NULL,
			 "%s: a server needs a certificate with its private key, and there is none",
			 ring->path);
	return -ENOENT;
}

/*
 * The ring and nothing but the ring.  What the administrator put there is
 * trusted as such, an intermediate CA without its root too.
 */
static int use_anchors(SSL_CTX *ctx, const struct attlsd_keyring *ring,
		       const struct policy_action *action,
		       struct policy_diags *diags)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	int n = sk_X509_num(ring->anchors);

	if (!n && attlsd_role_verifies(action->role)) {
		policy_diags_add(diags, POLICY_ERROR, &action->keyring_place,
				 NULL, "%s: no CA certificate to check the peer against",
				 ring->path);
		return -ENOENT;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	for (int i = 0; i < n; i++) {
		X509 *cert = sk_X509_value(ring->anchors, i);

		if (!X509_STORE_add_cert(store, cert))
			return -ENOMEM;
		/* A hint for clients; where anything goes, none is given. */
		if (attlsd_role_is_server(action->role) &&
		    attlsd_role_verifies(action->role))
			SSL_CTX_add_client_CA(ctx, cert);
	}
	return 0;
}

static int fill(struct attlsd_context *context,
		const struct policy_action *action,
		const struct attlsd_keyring *ring, struct policy_diags *diags)
{
	SSL_CTX *ctx = context->ctx;
	int ret;

	set_options(ctx, action);
	attlsd_secrets_prepare(ctx);
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
	/* First the anchors: chains are completed from them. */
	ret = use_anchors(ctx, ring, action, diags);
	if (!ret)
		ret = use_certificates(ctx, ring, action, diags);
	if (!ret)
		ret = attlsd_sni_init(context, action, ring, diags);
	return ret;
}

int attlsd_context_init(struct attlsd_context *context,
			const struct policy_action *action,
			const struct attlsd_keyring *ring,
			struct policy_diags *diags)
{
	int ret;

	ERR_clear_error();
	context->ctx = SSL_CTX_new(TLS_method());
	if (!context->ctx) {
		fail(diags, &action->rule_place, "OpenSSL");
		return -ENOMEM;
	}
	ret = fill(context, action, ring, diags);
	if (ret)
		attlsd_context_free(context);
	return ret;
}

void attlsd_context_free(struct attlsd_context *context)
{
	attlsd_sni_free(context);
	SSL_CTX_free(context->ctx);
	context->ctx = NULL;
}
