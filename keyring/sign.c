// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signatures of keys that only the signer has.  The hash is made here, the
 * rest there.  Who asks waits; the socket has the limit of that, and whoever
 * has waited in vain once asks no more.
 */
#include "remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static int attls_client = -1;
static bool attls_silent;
static int attls_errors;		/* our library, as OpenSSL counts */

struct signing {
	const struct remote_key *key;
	EVP_MD	*md;
	bool	pss;
	int	salt;			/* bytes, -1: as many as the hash */
};

bool keyring_remote_strings(void)
{
	static ERR_STRING_DATA strings[SIGNER_NO_LIST + 1];

	attls_errors = ERR_get_next_error_library();
	for (int i = SIGNER_GONE; i < SIGNER_NO_LIST; i++)
		strings[i - 1] = (ERR_STRING_DATA) {
			ERR_PACK(attls_errors, 0, i), keyring_signer_text(i)
		};
	return ERR_load_strings(attls_errors, strings) == 1;
}

void keyring_remote_use(int client)
{
	if (attls_client >= 0)
		close(attls_client);
	attls_client = client;
}

bool keyring_remote_silent(void)
{
	return attls_silent;
}

static enum signer_wrong lose(enum signer_wrong wrong)
{
	attls_silent = wrong == SIGNER_SILENT;
	keyring_remote_use(-1);
	return wrong;
}

/* One that is for an earlier request came too late for it. */
static enum signer_wrong ask(const struct signer_request *req,
			     struct signer_reply *reply)
{
	ssize_t n;

	if (attls_client < 0)
		return SIGNER_GONE;
	do {
		n = write(attls_client, req, sizeof(*req));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(*req))
		return lose(errno == EAGAIN ? SIGNER_SILENT : SIGNER_GONE);
	do {
		n = read(attls_client, reply, sizeof(*reply));
	} while ((n < 0 && errno == EINTR) ||
		 (n == sizeof(*reply) && reply->id != req->id));
	if (n < 0 && errno == EAGAIN)
		return lose(SIGNER_SILENT);
	if (n != sizeof(*reply) || reply->version != SIGNER_VERSION ||
	    reply->len > sizeof(reply->data) ||
	    reply->wrong > SIGNER_NO_LIST)
		return lose(SIGNER_GONE);
	return reply->wrong;
}

static void *sign_new(void *provctx, const char *propq)
{
	return OPENSSL_zalloc(sizeof(struct signing));
}

static void sign_free(void *ctx)
{
	struct signing *s = ctx;

	if (s)
		EVP_MD_free(s->md);
	OPENSSL_free(s);
}

static bool set_padding(struct signing *s, const OSSL_PARAM *p)
{
	int mode = 0;

	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		mode = !strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) ?
		       RSA_PKCS1_PSS_PADDING :
		       !strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) ?
		       RSA_PKCS1_PADDING : 0;
	else if (!OSSL_PARAM_get_int(p, &mode))
		return false;
	s->pss = mode == RSA_PKCS1_PSS_PADDING;
	return s->pss || mode == RSA_PKCS1_PADDING;
}

static bool set_salt(struct signing *s, const OSSL_PARAM *p)
{
	char *end;

	if (p->data_type != OSSL_PARAM_UTF8_STRING)
		return OSSL_PARAM_get_int(p, &s->salt) && s->salt >= -1;
	s->salt = -1;
	if (!strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST))
		return true;
	s->salt = (int)strtol(p->data, &end, 10);
	return s->salt >= 0 && !*end && end != p->data;
}

static int sign_set(void *ctx, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p;
	struct signing *s = ctx;

	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p && !set_padding(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return !p || set_salt(s, p);
}

static const OSSL_PARAM *sign_settable(void *ctx, void *provctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN,
				       NULL, 0),
		OSSL_PARAM_END
	};

	return params;
}

/* The same as in a certificate, but for PSS, which only TLS asks for. */
static int sign_get(void *ctx, OSSL_PARAM params[])
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params,
					  OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
	const struct signing *s = ctx;
	int base = EVP_PKEY_get_base_id(s->key->public), nid, n;
	uint8_t *der = NULL;
	X509_ALGOR *alg;
	int ok = 0;

	if (!p)
		return 1;
	alg = X509_ALGOR_new();
	if (alg && !s->pss &&
	    OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(s->md), base) &&
	    X509_ALGOR_set0(alg, OBJ_nid2obj(nid), base == EVP_PKEY_RSA ?
			    V_ASN1_NULL : V_ASN1_UNDEF, NULL)) {
		n = i2d_X509_ALGOR(alg, &der);
		ok = n > 0 && OSSL_PARAM_set_octet_string(p, der, (size_t)n);
	}
	OPENSSL_free(der);
	X509_ALGOR_free(alg);
	return ok;
}

static const OSSL_PARAM *sign_gettable(void *ctx, void *provctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID,
					NULL, 0),
		OSSL_PARAM_END
	};

	return params;
}

static bool is_hash(const EVP_MD *md)
{
	switch (EVP_MD_get_type(md)) {
	case NID_sha224:
	case NID_sha256:
	case NID_sha384:
	case NID_sha512:
		return true;
	}
	return false;
}

static int sign_init(void *ctx, const char *name, void *key,
		     const OSSL_PARAM params[])
{
	struct signing *s = ctx;

	if (key)
		s->key = key;
	s->pss = false;
	s->salt = -1;
	EVP_MD_free(s->md);
	s->md = EVP_MD_fetch(NULL, name ? name : "SHA256", NULL);
	return s->key && s->md && is_hash(s->md) &&
	       (!params || sign_set(s, params));
}

static bool put(struct signer_request *req, const uint8_t *data, int len)
{
	if (len <= 0 || len > (int)sizeof(req->data))
		return false;
	memcpy(req->data, data, (size_t)len);
	req->len = (uint32_t)len;
	return true;
}

/* RFC 8017, 9.2: what PKCS#1 pads. */
static bool put_info(struct signer_request *req, const EVP_MD *md,
		     const uint8_t *hash, int len)
{
	X509_SIG *info = X509_SIG_new();
	ASN1_OCTET_STRING *string;
	X509_ALGOR *alg;
	uint8_t *der = NULL;
	int n = -1;
	bool ok;

	if (info) {
		X509_SIG_getm(info, &alg, &string);
		if (X509_ALGOR_set0(alg, OBJ_nid2obj(EVP_MD_get_type(md)),
				    V_ASN1_NULL, NULL) &&
		    ASN1_OCTET_STRING_set(string, hash, len))
			n = i2d_X509_SIG(info, &der);
	}
	ok = put(req, der, n);
	OPENSSL_free(der);
	X509_SIG_free(info);
	return ok;
}

static bool prepare(const struct signing *s, struct signer_request *req,
		    const uint8_t *data, size_t len)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int n;

	memset(req, 0, sizeof(*req));
	if (!EVP_Digest(data, len, hash, &n, s->md, NULL) ||
	    RAND_bytes((uint8_t *)&req->id, sizeof(req->id)) != 1)
		return false;
	req->version = SIGNER_VERSION;
	req->key = (uint32_t)s->key->number;
	req->hash = 8 * n;
	req->salt = s->salt < 0 ? n : (unsigned int)s->salt;
	if (!EVP_PKEY_is_a(s->key->public, "RSA"))
		req->way = SIGNER_ECDSA;
	else
		req->way = s->pss ? SIGNER_RSA_PSS : SIGNER_RSA_PKCS1;
	return req->way == SIGNER_RSA_PKCS1 ?
	       put_info(req, s->md, hash, (int)n) : put(req, hash, (int)n);
}

/* r and s, each half of what came, as SEQUENCE. */
static bool encode_ec(const struct signer_reply *reply, uint8_t *out,
		      size_t *len, size_t room)
{
	int half = (int)reply->len / 2;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(reply->data, half, NULL);
	BIGNUM *s = BN_bin2bn(reply->data + half, half, NULL);
	int n = -1;

	if (sig && r && s && half && ECDSA_SIG_set0(sig, r, s)) {
		r = s = NULL;		/* are its own now */
		n = i2d_ECDSA_SIG(sig, NULL);
		if (n > 0 && (size_t)n <= room)
			i2d_ECDSA_SIG(sig, &out);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	if (n <= 0 || (size_t)n > room)
		return false;
	*len = (size_t)n;
	return true;
}

static bool encode(const struct signing *s, const struct signer_reply *reply,
		   uint8_t *out, size_t *len, size_t room)
{
	if (!EVP_PKEY_is_a(s->key->public, "RSA"))
		return encode_ec(reply, out, len, room);
	if (reply->len != (size_t)EVP_PKEY_get_size(s->key->public) ||
	    reply->len > room)
		return false;
	memcpy(out, reply->data, reply->len);
	*len = reply->len;
	return true;
}

static int sign(void *ctx, uint8_t *out, size_t *len, size_t room,
		const uint8_t *data, size_t data_len)
{
	const struct signing *s = ctx;
	struct signer_request req;
	struct signer_reply reply;
	enum signer_wrong wrong;

	*len = (size_t)EVP_PKEY_get_size(s->key->public);
	if (!out)
		return 1;
	if (!prepare(s, &req, data, data_len))
		return 0;
	wrong = ask(&req, &reply);
	if (wrong == SIGNER_GOOD && encode(s, &reply, out, len, room))
		return 1;
	ERR_raise(attls_errors, wrong == SIGNER_GOOD ? SIGNER_NO_SIGNATURE :
		  (int)wrong);
	return 0;
}

const OSSL_DISPATCH keyring_remote_signature[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))sign_new },
	{ OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))sign_free },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))sign_init },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))sign },
	{ OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))sign_get },
	{ OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS,
	  (void (*)(void))sign_gettable },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))sign_set },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS,
	  (void (*)(void))sign_settable },
	OSSL_DISPATCH_END
};
