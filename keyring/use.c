// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an action needs of its key ring: certificates to show, authorities to
 * trust, the key that signs requests of OCSP.
 */
#include "keyring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#define MIN_STRENGTH	112		/* bits, see KEYRING_SECURITY_LEVEL */

struct use {
	const struct keyring *ring;
	SSL_CTX	*ctx;
	const struct policy_action *action;
	struct policy_diags *diags;
};

/* One of each type; the client's signature algorithms choose among them. */
static bool has_type(SSL_CTX *ctx, const struct keyring_pair *pair)
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
static void complete_chain(SSL_CTX *ctx, const struct keyring_pair *pair)
{
	if (!sk_X509_num(pair->chain))
		SSL_CTX_build_cert_chain(ctx, SSL_BUILD_CHAIN_FLAG_NO_ROOT |
					 SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
					 SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
	ERR_clear_error();
}

static int use_pair(const struct use *u, const struct keyring_pair *pair,
		    const struct policy_place *place)
{
	bool small = EVP_PKEY_get_security_bits(pair->key) < MIN_STRENGTH;
	char text[128];

	if (SSL_CTX_use_cert_and_key(u->ctx, pair->cert, pair->key,
				     pair->chain, 1) == 1) {
		complete_chain(u->ctx, pair);
		return 0;
	}
	keyring_openssl_text(text, sizeof(text));
	policy_diags_add(u->diags, POLICY_ERROR, place, small ?
			 "make an RSA key of 2048 bits or an EC key of 256" :
			 NULL, "%s: the certificate \"%s\": %s",
			 u->ring->path, pair->label, text);
	return -EINVAL;
}

static void leave_out(const struct use *u, const struct keyring_pair *pair)
{
	policy_diags_add(u->diags, POLICY_WARNING, &u->action->keyring_place,
			 "choose one with CertificateLabel",
			 "%s: the certificate \"%s\" is not shown: one before it has the same type of key",
			 u->ring->path, pair->label);
}

/* In the order of the ring, the first of each type. */
static int use_ring(const struct use *u)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < u->ring->n_pairs; i++)
		if (has_type(u->ctx, &u->ring->pairs[i]))
			leave_out(u, &u->ring->pairs[i]);
		else
			ret = use_pair(u, &u->ring->pairs[i],
				       &u->action->keyring_place);
	return ret;
}

static int no_such_label(const struct use *u, const char *label,
			 const struct policy_place *place)
{
	struct policy_names labels = {
		.name = calloc(u->ring->n_pairs + 1, sizeof(*labels.name)),
	};
	const char *hint = NULL;
	char first[512];

	for (size_t i = 0; labels.name && i < u->ring->n_pairs; i++)
		labels.name[labels.n++] = u->ring->pairs[i].label;
	if (labels.n)
		hint = policy_suggest(&labels, label);
	if (labels.n && !hint) {
		snprintf(first, sizeof(first),
			 "the first of the ring is \"%s\"", labels.name[0]);
		hint = first;
	}
	policy_diags_add(u->diags, POLICY_ERROR, place, hint,
			 "no certificate with a private key named \"%s\" in %s",
			 label, u->ring->path);
	free(labels.name);
	return -ENOENT;
}

static int use_label(const struct use *u, const char *label,
		     const struct policy_place *place)
{
	const struct keyring_pair *pair = keyring_find(u->ring, label);

	if (!pair)
		return no_such_label(u, label, place);
	if (!has_type(u->ctx, pair))
		return use_pair(u, pair, place);
	policy_diags_add(u->diags, POLICY_ERROR, place,
			 "name one of each type of key",
			 "\"%s\" is a second certificate of its type", label);
	return -EEXIST;
}

static int use_labels(const struct use *u)
{
	const struct policy_names *labels = &u->action->certificates;
	int ret = 0, error;

	for (size_t i = 0; i < labels->n; i++) {
		error = use_label(u, labels->name[i], &labels->place[i]);
		if (error)
			ret = error;
	}
	return ret;
}

static int use_certificates(const struct use *u)
{
	if (u->action->certificates.n)
		return use_labels(u);
	if (u->ring->n_pairs || !policy_role_is_server(u->action->role))
		return use_ring(u);
	policy_diags_add(u->diags, POLICY_ERROR, &u->action->keyring_place,
			 "put them there",
			 "%s: a server needs a certificate with its private key, and there is none",
			 u->ring->path);
	return -ENOENT;
}

/* What signs requests of OCSP. */
static int check_signer(const struct use *u)
{
	const struct policy_revocation *want = &u->action->revocation;
	bool rsa = (want->sign_alg & 0xff) == 1;
	const struct keyring_pair *pair;

	if (!want->signer)
		return 0;
	pair = keyring_find(u->ring, want->signer);
	if (!pair)
		return no_such_label(u, want->signer, &want->signer_place);
	if (EVP_PKEY_is_a(pair->key, rsa ? "RSA" : "EC"))
		return 0;
	policy_diags_add(u->diags, POLICY_ERROR, &want->signer_place,
			 "name another, or change OcspRequestSigalg",
			 "OcspRequestSigkeylabel \"%s\", in %s: OcspRequestSigalg wants an %s key",
			 want->signer, u->ring->path, rsa ? "RSA" : "ECDSA");
	return -EINVAL;
}

static int no_store(const struct use *u)
{
	char text[128];

	keyring_openssl_text(text, sizeof(text));
	policy_diags_add(u->diags, POLICY_ERROR, &u->action->keyring_place,
			 NULL, "%s: %s", u->ring->path, text);
	return -ENOMEM;
}

/*
 * The ring and nothing but the ring.  What the administrator put there is
 * trusted as such, an intermediate CA without its root too.
 */
static int use_anchors(const struct use *u)
{
	X509_STORE *store = SSL_CTX_get_cert_store(u->ctx);
	int n = sk_X509_num(u->ring->anchors);

	if (!n && policy_role_verifies(u->action->role)) {
		policy_diags_add(u->diags, POLICY_ERROR,
				 &u->action->keyring_place,
				 "put the certificate of its authority there",
				 "%s: no CA certificate to check the peer against",
				 u->ring->path);
		return -ENOENT;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	for (int i = 0; i < n; i++) {
		X509 *cert = sk_X509_value(u->ring->anchors, i);

		if (!X509_STORE_add_cert(store, cert))
			return no_store(u);
		/* A hint for clients; where anything goes, none is given. */
		if (policy_role_is_server(u->action->role) &&
		    policy_role_verifies(u->action->role))
			SSL_CTX_add_client_CA(u->ctx, cert);
	}
	return 0;
}

int keyring_use(const struct keyring *ring, SSL_CTX *ctx,
		const struct policy_action *action,
		struct policy_diags *diags)
{
	const struct use u = { ring, ctx, action, diags };
	/* First the anchors: chains are completed from them. */
	int ret = use_anchors(&u);
	int error = use_certificates(&u);

	if (!ret)
		ret = error;
	error = check_signer(&u);
	return ret ? ret : error;
}

SSL_CTX *keyring_show(const struct keyring *ring, SSL_CTX *ctx,
		      const struct policy_action *action, size_t i,
		      struct policy_diags *diags)
{
	const struct use u = {
		.ring = ring,
		.ctx = keyring_ssl_ctx(action),
		.diags = diags,
	};
	const struct policy_place *place = &action->sni_names.place[i];

	if (!u.ctx) {
		policy_diags_add(diags, POLICY_ERROR, place, NULL, "no memory");
		return NULL;
	}
	/* Chains are completed from the ring. */
	SSL_CTX_set1_cert_store(u.ctx, SSL_CTX_get_cert_store(ctx));
	if (!use_label(&u, action->sni_labels.name[i], place))
		return u.ctx;
	SSL_CTX_free(u.ctx);
	return NULL;
}
