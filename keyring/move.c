// SPDX-License-Identifier: GPL-2.0-only
/*
 * A key ring for another library context.  What was read belongs to the usual
 * one, whose providers OpenSSL would ask whenever it is used.
 */
#include "internal.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/x509.h>

static X509 *move_cert(X509 *cert, OSSL_LIB_CTX *ctx)
{
	X509 *moved = X509_new_ex(ctx, NULL);
	unsigned char *der = NULL;
	const unsigned char *p;
	int len = i2d_X509(cert, &der);

	p = der;
	if (len <= 0 || !moved || !d2i_X509(&moved, &p, len)) {
		X509_free(moved);
		moved = NULL;
	}
	OPENSSL_free(der);
	return moved;
}

static X509_CRL *move_crl(X509_CRL *crl, OSSL_LIB_CTX *ctx)
{
	X509_CRL *moved = X509_CRL_new_ex(ctx, NULL);
	unsigned char *der = NULL;
	const unsigned char *p;
	int len = i2d_X509_CRL(crl, &der);

	p = der;
	if (len <= 0 || !moved || !d2i_X509_CRL(&moved, &p, len)) {
		X509_CRL_free(moved);
		moved = NULL;
	}
	OPENSSL_free(der);
	return moved;
}

/* One that no provider of @ctx takes, OpenSSL keeps without a provider. */
static EVP_PKEY *move_key(EVP_PKEY *key, OSSL_LIB_CTX *ctx)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	EVP_PKEY *moved = info ? EVP_PKCS82PKEY_ex(info, ctx, NULL) : NULL;

	PKCS8_PRIV_KEY_INFO_free(info);
	if (moved && EVP_PKEY_get0_provider(moved))
		return moved;
	EVP_PKEY_free(moved);
	return NULL;
}

static bool move_certs(STACK_OF(X509) *certs, OSSL_LIB_CTX *ctx)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *moved = move_cert(sk_X509_value(certs, i), ctx);

		if (!moved)
			return false;
		X509_free(sk_X509_value(certs, i));
		sk_X509_set(certs, i, moved);
	}
	return true;
}

static bool move_crls(STACK_OF(X509_CRL) *crls, OSSL_LIB_CTX *ctx)
{
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_CRL *moved = move_crl(sk_X509_CRL_value(crls, i), ctx);

		if (!moved)
			return false;
		X509_CRL_free(sk_X509_CRL_value(crls, i));
		sk_X509_CRL_set(crls, i, moved);
	}
	return true;
}

static bool move_pair(struct keyring_pair *pair, OSSL_LIB_CTX *ctx)
{
	X509 *cert = move_cert(pair->cert, ctx);
	EVP_PKEY *key = move_key(pair->key, ctx);

	if (!cert || !key) {
		X509_free(cert);
		EVP_PKEY_free(key);
		return false;
	}
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
	pair->cert = cert;
	pair->key = key;
	return move_certs(pair->chain, ctx);
}

/* False: @ring is half here and half there. */
int keyring_move(struct keyring *ring, OSSL_LIB_CTX *ctx,
		 struct keyring_why *why)
{
	char text[128];

	ERR_clear_error();
	for (size_t i = 0; i < ring->n_pairs; i++) {
		if (move_pair(&ring->pairs[i], ctx))
			continue;
		keyring_openssl_text(text, sizeof(text));
		return keyring_explain(why, -EKEYREJECTED,
				       "make an RSA key of 2048 bits or an EC key of 256",
				       "%s: FIPS140 does not take the private key of \"%s\": %s",
				       ring->path, ring->pairs[i].label, text);
	}
	if (move_certs(ring->anchors, ctx) && move_crls(ring->crls, ctx))
		return 0;
	keyring_openssl_text(text, sizeof(text));
	return keyring_explain(why, -EBADMSG, NULL, "%s: %s", ring->path, text);
}
