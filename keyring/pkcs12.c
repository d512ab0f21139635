// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PKCS#12 file: certificates with names, private keys and CRLs.  It is
 * walked bag by bag, since PKCS12_parse() stops at the first key.
 *
 * Old files of GSKit and Java are encrypted with 40-bit RC2, which only
 * OpenSSL's legacy provider has.  It is loaded for the reading of one such
 * file, in a library context that ends with it; what comes out belongs to the
 * usual context, which never sees the provider.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>

struct opening {
	struct keyring_file *file;
	const char *password;
	OSSL_LIB_CTX *ctx;		/* of ciphers; NULL: the usual */
};

static int add_key(const struct opening *o, const PKCS8_PRIV_KEY_INFO *info)
{
	EVP_PKEY *key = info ? EVP_PKCS82PKEY(info) : NULL;

	if (key && sk_EVP_PKEY_push(o->file->keys, key))
		return 0;
	EVP_PKEY_free(key);
	return -EBADMSG;
}

static int add_shrouded(const struct opening *o, const PKCS12_SAFEBAG *bag)
{
	PKCS8_PRIV_KEY_INFO *info;
	int ret;

	info = PKCS12_decrypt_skey_ex(bag, o->password, -1, o->ctx, NULL);
	ret = add_key(o, info);

	PKCS8_PRIV_KEY_INFO_free(info);
	return ret;
}

/* What the file calls it stays with the certificate, as its alias. */
static int add_cert(const struct opening *o, PKCS12_SAFEBAG *bag)
{
	char *name = PKCS12_get_friendlyname(bag);
	X509 *cert = PKCS12_SAFEBAG_get1_cert(bag);
	bool good = cert && (!name || !*name ||
			     X509_alias_set1(cert, (unsigned char *)name, -1));

	OPENSSL_free(name);
	if (good && sk_X509_push(o->file->certs, cert))
		return 0;
	X509_free(cert);
	return -EBADMSG;
}

static int add_crl(const struct opening *o, const PKCS12_SAFEBAG *bag)
{
	X509_CRL *crl = PKCS12_SAFEBAG_get1_crl(bag);

	if (crl && sk_X509_CRL_push(o->file->crls, crl))
		return 0;
	X509_CRL_free(crl);
	return -EBADMSG;
}

static int add_bags(const struct opening *o,
		    const STACK_OF(PKCS12_SAFEBAG) *bags);

static int add_bag(const struct opening *o, PKCS12_SAFEBAG *bag)
{
	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag:
		return add_key(o, PKCS12_SAFEBAG_get0_p8inf(bag));
	case NID_pkcs8ShroudedKeyBag:
		return add_shrouded(o, bag);
	case NID_certBag:
		if (PKCS12_SAFEBAG_get_bag_nid(bag) == NID_x509Certificate)
			return add_cert(o, bag);
		return 0;
	case NID_crlBag:
		if (PKCS12_SAFEBAG_get_bag_nid(bag) == NID_x509Crl)
			return add_crl(o, bag);
		return 0;
	case NID_safeContentsBag:
		return add_bags(o, PKCS12_SAFEBAG_get0_safes(bag));
	}
	return 0;
}

static int add_bags(const struct opening *o,
		    const STACK_OF(PKCS12_SAFEBAG) *bags)
{
	int ret = 0;

	for (int i = 0; !ret && i < sk_PKCS12_SAFEBAG_num(bags); i++)
		ret = add_bag(o, sk_PKCS12_SAFEBAG_value(bags, i));
	return ret;
}

static int add_safe(const struct opening *o, PKCS7 *safe)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	int ret;

	if (PKCS7_type_is_data(safe))
		bags = PKCS12_unpack_p7data(safe);
	else if (PKCS7_type_is_encrypted(safe))
		bags = PKCS12_unpack_p7encdata(safe, o->password, -1);
	ret = bags ? add_bags(o, bags) : -EBADMSG;
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	return ret;
}

static int add_safes(const struct opening *o, PKCS12 *p12)
{
	STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(p12);
	int ret = safes ? 0 : -EBADMSG;

	for (int i = 0; !ret && i < sk_PKCS7_num(safes); i++)
		ret = add_safe(o, sk_PKCS7_value(safes, i));
	sk_PKCS7_pop_free(safes, PKCS7_free);
	return ret;
}

/* No password is written in two ways; *@password becomes the right one. */
static bool is_password(PKCS12 *p12, const char **password)
{
	if (!PKCS12_mac_present(p12))
		return true;
	if (PKCS12_verify_mac(p12, *password, -1) == 1)
		return true;
	if (*password || PKCS12_verify_mac(p12, "", 0) != 1)
		return false;
	*password = "";
	return true;
}

/* -ENOTSUP: encrypted in a way that this context does not know. */
static int explain_contents(struct keyring_why *why)
{
	unsigned long code = ERR_peek_error();
	int error = ERR_GET_LIB(code) == ERR_LIB_EVP &&
		    ERR_GET_REASON(code) == ERR_R_UNSUPPORTED ? -ENOTSUP :
		    -EBADMSG;
	char text[128];

	keyring_openssl_text(text, sizeof(text));
	return keyring_explain(why, error,
			       "make it anew with openssl pkcs12 -export",
			       "its contents cannot be read: %s", text);
}

static PKCS12 *parse(BIO *bio, OSSL_LIB_CTX *ctx)
{
	PKCS12 *p12 = PKCS12_init_ex(NID_pkcs7_data, ctx, NULL);

	return p12 ? d2i_PKCS12_bio(bio, &p12) : NULL;
}

static int read_in(OSSL_LIB_CTX *ctx, BIO *bio,
		   const struct keyring_password *pw,
		   struct keyring_file *file, struct keyring_why *why)
{
	struct opening o = { file, pw->given ? pw->text : NULL, ctx };
	PKCS12 *p12 = parse(bio, ctx);
	bool right = p12 && is_password(p12, &o.password);
	int ret;

	ERR_clear_error();
	if (!p12)
		ret = keyring_explain(why, -EBADMSG,
				      "give a PKCS#12 file, or a directory of PEM files",
				      "is no PKCS#12 file");
	else if (right)
		ret = add_safes(&o, p12) ? explain_contents(why) : 0;
	else if (pw->given)
		ret = keyring_explain(why, -EBADMSG, NULL,
				      "the password is wrong");
	else
		ret = keyring_explain(why, -EBADMSG, KEYRING_GIVE_PASSWORD,
				      "it has a password");
	PKCS12_free(p12);
	ERR_clear_error();
	return ret;
}

/* What came out before the reading failed. */
static void empty(struct keyring_file *file)
{
	while (sk_X509_num(file->certs))
		X509_free(sk_X509_pop(file->certs));
	while (sk_EVP_PKEY_num(file->keys))
		EVP_PKEY_free(sk_EVP_PKEY_pop(file->keys));
}

static int read_weak(BIO *bio, const struct keyring_password *pw,
		     struct keyring_file *file, struct keyring_why *why)
{
	OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
	OSSL_PROVIDER *usual = NULL, *legacy = NULL;
	int ret;

	if (ctx) {
		usual = OSSL_PROVIDER_load(ctx, "default");
		legacy = OSSL_PROVIDER_load(ctx, "legacy");
	}
	empty(file);
	if (usual && legacy && !BIO_reset(bio))
		ret = read_in(ctx, bio, pw, file, why);
	else
		ret = keyring_explain(why, -ENOTSUP,
				      "install OpenSSL's legacy provider, or where it is: "
				      KEYRING_CONVERT,
				      "is encrypted weakly, as once with 40-bit RC2");
	file->weak = true;
	if (usual)
		OSSL_PROVIDER_unload(usual);
	if (legacy)
		OSSL_PROVIDER_unload(legacy);
	OSSL_LIB_CTX_free(ctx);
	ERR_clear_error();
	return ret;
}

int keyring_pkcs12_read(BIO *bio, const struct keyring_password *pw,
			struct keyring_file *file, struct keyring_why *why)
{
	int ret = read_in(NULL, bio, pw, file, why);

	return ret == -ENOTSUP ? read_weak(bio, pw, file, why) : ret;
}
