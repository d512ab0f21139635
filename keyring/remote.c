// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private keys that are on a token, for OpenSSL: a provider that has the
 * public half and asks the signer for signatures (sign.c).
 *
 * The provider lives in a library context of its own, so that nothing else is
 * ever fetched from it; OpenSSL finds it through the key.  No private half is
 * given to whoever asks to have the key exported, so OpenSSL uses it here.
 */
#include "remote.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#define PROVIDER	"attls-signer"
#define PARAM_PUBLIC	"attls-public"	/* SubjectPublicKeyInfo */
#define PARAM_ID	"attls-id"
#define PARAM_NUMBER	"attls-number"

static OSSL_LIB_CTX *attls_remote;

static void *key_new(void *provctx)
{
	return OPENSSL_zalloc(sizeof(struct remote_key));
}

static void key_free(void *keydata)
{
	struct remote_key *key = keydata;

	if (key)
		EVP_PKEY_free(key->public);
	OPENSSL_free(key);
}

static int key_has(const void *keydata, int selection)
{
	const struct remote_key *key = keydata;

	return key && key->public;
}

static int key_match(const void *a, const void *b, int selection)
{
	const struct remote_key *x = a, *y = b;

	return x->public && y->public && EVP_PKEY_eq(x->public, y->public) == 1;
}

static int key_import(void *keydata, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *public = OSSL_PARAM_locate_const(params,
							   PARAM_PUBLIC);
	const OSSL_PARAM *id = OSSL_PARAM_locate_const(params, PARAM_ID);
	struct remote_key *key = keydata;
	const void *der, *bytes;
	const uint8_t *p;
	size_t len;

	if (!public || !id ||
	    !OSSL_PARAM_get_octet_string_ptr(public, &der, &len) ||
	    !OSSL_PARAM_get_octet_string_ptr(id, &bytes, &key->id_len) ||
	    !key->id_len || key->id_len > sizeof(key->id))
		return 0;
	memcpy(key->id, bytes, key->id_len);
	p = der;
	key->public = d2i_PUBKEY(NULL, &p, (long)len);
	return !!key->public;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(PARAM_PUBLIC, NULL, 0),
		OSSL_PARAM_octet_string(PARAM_ID, NULL, 0),
		OSSL_PARAM_END
	};

	return types;
}

/* The public half, to whoever wants no more than that. */
static int key_export(void *keydata, int selection, OSSL_CALLBACK *cb,
		      void *arg)
{
	const struct remote_key *key = keydata;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	return EVP_PKEY_export(key->public, selection, cb, arg);
}

static const OSSL_PARAM *key_export_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END
	};

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static int key_get_params(void *keydata, OSSL_PARAM params[])
{
	const struct remote_key *key = keydata;
	OSSL_PARAM *p = OSSL_PARAM_locate(params, PARAM_ID);

	if (p)
		return OSSL_PARAM_set_octet_string(p, key->id, key->id_len);
	return EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *key_gettable(void *provctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(PARAM_ID, NULL, 0),
		OSSL_PARAM_END
	};

	return params;
}

static int key_set_params(void *keydata, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_NUMBER);
	struct remote_key *key = keydata;

	return !p || OSSL_PARAM_get_size_t(p, &key->number);
}

static const OSSL_PARAM *key_settable(void *provctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_size_t(PARAM_NUMBER, NULL),
		OSSL_PARAM_END
	};

	return params;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define KEY_FUNCTIONS \
	{ OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))key_new }, \
	{ OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free }, \
	{ OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))key_has }, \
	{ OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))key_match }, \
	{ OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))key_import }, \
	{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, \
	  (void (*)(void))key_import_types }, \
	{ OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))key_export }, \
	{ OSSL_FUNC_KEYMGMT_EXPORT_TYPES, \
	  (void (*)(void))key_export_types }, \
	{ OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))key_get_params }, \
	{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))key_gettable }, \
	{ OSSL_FUNC_KEYMGMT_SET_PARAMS, (void (*)(void))key_set_params }, \
	{ OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (void (*)(void))key_settable }

static const OSSL_DISPATCH rsa_functions[] = {
	KEY_FUNCTIONS,
	OSSL_DISPATCH_END
};

static const OSSL_DISPATCH ec_functions[] = {
	KEY_FUNCTIONS,
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME,
	  (void (*)(void))ec_operation },
	OSSL_DISPATCH_END
};

static const OSSL_ALGORITHM keys[] = {
	{ "RSA:rsaEncryption", "provider=" PROVIDER, rsa_functions, NULL },
	{ "EC:id-ecPublicKey", "provider=" PROVIDER, ec_functions, NULL },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM signatures[] = {
	{ "RSA:rsaEncryption", "provider=" PROVIDER,
	  keyring_remote_signature, NULL },
	{ "ECDSA", "provider=" PROVIDER, keyring_remote_signature, NULL },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keys;
	case OSSL_OP_SIGNATURE:
		return signatures;
	}
	return NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle,
			 const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
			 void **provctx)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION,
		  (void (*)(void))query },
		OSSL_DISPATCH_END
	};

	*out = functions;
	*provctx = (void *)handle;
	return 1;
}

static bool have_provider(void)
{
	OSSL_LIB_CTX *ctx;

	if (attls_remote)
		return true;
	ctx = OSSL_LIB_CTX_new();
	if (ctx && keyring_remote_strings() &&
	    OSSL_PROVIDER_add_builtin(ctx, PROVIDER, provider_init) &&
	    OSSL_PROVIDER_load(ctx, PROVIDER)) {
		attls_remote = ctx;
		return true;
	}
	OSSL_LIB_CTX_free(ctx);
	return false;
}

static EVP_PKEY *make(const char *kind, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(attls_remote, kind,
						       NULL);
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_fromdata_init(ctx) > 0)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *keyring_remote_key(EVP_PKEY *public, const uint8_t *id, size_t len)
{
	const char *kind = EVP_PKEY_is_a(public, "RSA") ? "RSA" :
			   EVP_PKEY_is_a(public, "EC") ? "EC" : NULL;
	uint8_t *der = NULL;
	EVP_PKEY *key = NULL;
	int n;

	if (!kind || !have_provider())
		return NULL;
	n = i2d_PUBKEY(public, &der);
	if (n > 0) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_octet_string(PARAM_PUBLIC, der,
							  (size_t)n),
			OSSL_PARAM_construct_octet_string(PARAM_ID,
							  (void *)id, len),
			OSSL_PARAM_construct_end(),
		};

		key = make(kind, params);
	}
	OPENSSL_free(der);
	return key;
}

bool keyring_remote_number(EVP_PKEY *key, size_t number)
{
	return EVP_PKEY_set_size_t_param(key, PARAM_NUMBER, number) == 1;
}

size_t keyring_remote_id(EVP_PKEY *key, uint8_t id[SIGNER_ID])
{
	size_t len = 0;

	if (EVP_PKEY_get_octet_string_param(key, PARAM_ID, id, SIGNER_ID,
					    &len) != 1)
		return 0;
	return len;
}
