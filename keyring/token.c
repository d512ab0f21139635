// SPDX-License-Identifier: GPL-2.0-only
/*
 * A token of PKCS#11 as key ring: its certificates, and keys that sign there.
 * A certificate has the private key with its CKA_ID.  Each key signs once:
 * so it is the one of the certificate, and the token lets us use it.
 *
 * A private key without a certificate is somebody else's.
 */
#include "internal.h"
#include "signer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

static const uint8_t trial[] = "attls";	/* what keys sign */

struct reading {
	struct keyring_signer signer;
	struct keyring_file *file;
	struct keyring_why *why;
	struct signer_object object;
};

static const char *hint_of(enum signer_wrong wrong)
{
	switch (wrong) {
	case SIGNER_NO_MODULES:
		return "name a module in a file of /etc/pkcs11/modules, see pkcs11.conf(5)";
	case SIGNER_NO_TOKEN:
		return "p11-kit list-modules shows those there are; the user attls-sign, or root, must be able to use it";
	case SIGNER_TWO_TOKENS:
		return "give one of them another label";
	case SIGNER_NEEDS_PIN:
		return KEYRING_GIVE_PASSWORD;
	case SIGNER_WRONG_PIN:
		return "mend it first: each try counts, and tokens lock";
	case SIGNER_LAST_TRY:
		return "log in with the right one, p11tool --login for example, and try again";
	case SIGNER_LOCKED:
		return "unlock it as its security officer";
	default:
		return NULL;
	}
}

/* Only root may use some tokens; without root that says nothing. */
static int explain(struct keyring_why *why, enum signer_wrong wrong)
{
	return keyring_explain(why, geteuid() ? -EACCES : -EBADMSG,
			       hint_of(wrong), "%s",
			       keyring_signer_text(wrong));
}

static int no_memory(const struct reading *r)
{
	return keyring_explain(r->why, -ENOMEM, NULL, "no memory");
}

/* It goes to terminals. */
static void clean(char *label)
{
	for (; *label; label++)
		if ((unsigned char)*label < ' ' || *label == 0x7f)
			*label = '?';
}

static int add_key(struct reading *r, X509 *cert)
{
	const struct signer_object *o = &r->object;
	EVP_PKEY *key;

	key = keyring_remote_key(X509_get0_pubkey(cert), o->id, o->id_len);
	ERR_clear_error();
	if (!key)
		return keyring_explain(r->why, -EBADMSG,
				       "take a key of RSA or of EC",
				       "the key of \"%s\" is of a kind that cannot sign here",
				       o->label);
	if (sk_EVP_PKEY_push(r->file->keys, key))
		return 0;
	EVP_PKEY_free(key);
	return no_memory(r);
}

static int add_cert(struct reading *r, X509 *cert)
{
	const struct signer_object *o = &r->object;

	if (!X509_alias_set1(cert, (const unsigned char *)o->label, -1))
		return no_memory(r);
	if (o->has_key)
		return add_key(r, cert);
	if (keyring_is_anchor(cert))
		return 0;
	return keyring_explain(r->why, -EBADMSG,
			       "give both the same CKA_ID, or remove it",
			       "\"%s\" has no private key on the token and is not of a CA",
			       o->label);
}

static int add_object(struct reading *r, const char *token)
{
	struct signer_object *o = &r->object;
	const uint8_t *der = o->cert;
	X509 *cert = d2i_X509(NULL, &der, (long)o->cert_len);
	int ret;

	clean(o->label);
	if (!*o->label)
		strcpy(o->label, token);
	if (!cert) {
		ERR_clear_error();
		return keyring_explain(r->why, -EBADMSG, "remove it",
				       "\"%s\" is no certificate", o->label);
	}
	ret = add_cert(r, cert);
	if (!ret && sk_X509_push(r->file->certs, cert))
		return 0;
	X509_free(cert);
	return ret ? ret : no_memory(r);
}

static int list(struct reading *r, const struct keyring *ring)
{
	int n = 0, ret = 0;

	if (keyring_signer_token(&r->signer, ring) ||
	    keyring_signer_list(&r->signer))
		return explain(r->why, SIGNER_GONE);
	while (!ret && keyring_signer_object(&r->signer, &r->object) &&
	       !r->object.last) {
		ret = add_object(r, ring->token);
		n++;
	}
	if (ret)
		return ret;
	if (r->object.wrong)
		return explain(r->why, r->object.wrong);
	return n ? 0 : keyring_explain(r->why, -EBADMSG,
				       "put certificates there, as public objects",
				       "no certificate is on the token");
}

static int by_label(const X509 *const *a, const X509 *const *b)
{
	const char *x = (const char *)X509_alias_get0((X509 *)*a, NULL);
	const char *y = (const char *)X509_alias_get0((X509 *)*b, NULL);
	int order = x && y ? strcmp(x, y) : 0;

	return order ? order : X509_cmp(*a, *b);
}

/* Tokens have no order of their own. */
static void sort(STACK_OF(X509) *certs)
{
	sk_X509_set_cmp_func(certs, by_label);
	sk_X509_sort(certs);
}

static bool set_pss(EVP_PKEY_CTX *ctx, bool pss)
{
	if (!pss)
		return true;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx,
						RSA_PSS_SALTLEN_DIGEST) > 0;
}

/* Bytes of @sig, of which there are SIGNER_OUTPUT; 0: none. */
static size_t sign(EVP_PKEY *key, bool pss, uint8_t *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = SIGNER_OUTPUT;
	EVP_PKEY_CTX *pkey;

	if (!ctx || EVP_DigestSignInit_ex(ctx, &pkey, "SHA256", NULL, NULL,
					  key, NULL) != 1 ||
	    !set_pss(pkey, pss) ||
	    EVP_DigestSign(ctx, sig, &len, trial, sizeof(trial)) != 1)
		len = 0;
	EVP_MD_CTX_free(ctx);
	return len;
}

static bool verify(EVP_PKEY *public, bool pss, const uint8_t *sig, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pkey;
	bool ok;

	ok = ctx && EVP_DigestVerifyInit_ex(ctx, &pkey, "SHA256", NULL, NULL,
					    public, NULL) == 1 &&
	     set_pss(pkey, pss) &&
	     EVP_DigestVerify(ctx, sig, len, trial, sizeof(trial)) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static int try_way(const struct reading *r, X509 *cert, EVP_PKEY *key,
		   const char *way, bool pss)
{
	const char *label = (const char *)X509_alias_get0(cert, NULL);
	uint8_t sig[SIGNER_OUTPUT];
	size_t len = sign(key, pss, sig);
	char text[128];

	if (!len) {
		keyring_openssl_text(text, sizeof(text));
		return keyring_explain(r->why, -EBADMSG, NULL,
				       "the private key of \"%s\" does not sign with %s: %s",
				       label, way, text);
	}
	if (verify(X509_get0_pubkey(cert), pss, sig, len))
		return 0;
	return keyring_explain(r->why, -EBADMSG,
			       "give each pair a CKA_ID of its own",
			       "the private key of \"%s\" is another than its certificate's",
			       label);
}

static EVP_PKEY *key_of(const struct reading *r, const EVP_PKEY *public)
{
	EVP_PKEY *found = NULL;

	for (int i = 0; !found && i < sk_EVP_PKEY_num(r->file->keys); i++) {
		EVP_PKEY *key = sk_EVP_PKEY_value(r->file->keys, i);

		if (EVP_PKEY_eq(public, key) == 1)
			found = key;
	}
	ERR_clear_error();
	return found;
}

static int try_cert(const struct reading *r, X509 *cert)
{
	EVP_PKEY *key = key_of(r, X509_get0_pubkey(cert));
	int ret;

	if (!key)
		return 0;
	if (!EVP_PKEY_is_a(key, "RSA"))
		return try_way(r, cert, key, "ECDSA", false);
	ret = try_way(r, cert, key, "RSA", false);
	return ret ? ret : try_way(r, cert, key, "RSA-PSS, as TLS 1.3 needs",
				   true);
}

static int try_keys(struct reading *r)
{
	int ret = 0, client;

	for (int i = 0; !ret && i < sk_EVP_PKEY_num(r->file->keys); i++)
		ret = keyring_signer_key(&r->signer,
					 sk_EVP_PKEY_value(r->file->keys, i));
	client = ret ? ret : keyring_signer_client(&r->signer);
	if (client < 0)
		return explain(r->why, SIGNER_GONE);
	keyring_remote_use(client);
	for (int i = 0; !ret && i < sk_X509_num(r->file->certs); i++)
		ret = try_cert(r, sk_X509_value(r->file->certs, i));
	keyring_remote_use(-1);
	return ret;
}

int keyring_token_read(const struct keyring *ring, struct keyring_file *file,
		       struct keyring_why *why)
{
	struct reading r = { .file = file, .why = why };
	int ret = keyring_signer_start(&r.signer);

	if (ret)
		return keyring_explain(why, ret, NULL, "%s: %s",
				       keyring_signer_text(SIGNER_GONE),
				       strerror(-ret));
	ret = list(&r, ring);
	if (!ret) {
		sort(file->certs);
		ret = try_keys(&r);
	}
	keyring_signer_end(&r.signer);
	return ret;
}
