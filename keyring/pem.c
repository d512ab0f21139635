// SPDX-License-Identifier: GPL-2.0-only
/* One PEM file: certificates, private keys and CRLs, in any order. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

/* The first text that OpenSSL has left, without its file and function. */
void keyring_openssl_text(char *buf, size_t size)
{
	unsigned long code = ERR_peek_error();
	const char *text = ERR_SYSTEM_ERROR(code) ?
			   strerror(ERR_GET_REASON(code)) :
			   ERR_reason_error_string(code);

	if (text)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "error %lx", code);
	ERR_clear_error();
}

struct asking {
	const struct keyring_password *pw;
	bool	asked;
};

/* That of the policy: nobody is there to type one. */
static int give_password(char *buf, int size, int rwflag, void *arg)
{
	struct asking *a = arg;
	size_t len = strlen(a->pw->text);

	a->asked = true;
	if (!a->pw->given || len > (size_t)size)
		return -1;
	memcpy(buf, a->pw->text, len);
	return (int)len;
}

static bool is_key(const char *name)
{
	size_t len = strlen(name);

	return len >= 11 && !strcmp(name + len - 11, "PRIVATE KEY");
}

static bool is_cert(const char *name)
{
	return !strcmp(name, PEM_STRING_X509) ||
	       !strcmp(name, PEM_STRING_X509_OLD) ||
	       !strcmp(name, PEM_STRING_X509_TRUSTED);
}

static int add_cert(struct keyring_file *file, const uint8_t *data, long len)
{
	X509 *cert = d2i_X509(NULL, &data, len);

	if (cert && sk_X509_push(file->certs, cert))
		return 0;
	X509_free(cert);
	return -EBADMSG;
}

static int add_crl(struct keyring_file *file, const uint8_t *data, long len)
{
	X509_CRL *crl = d2i_X509_CRL(NULL, &data, len);

	if (crl && sk_X509_CRL_push(file->crls, crl))
		return 0;
	X509_CRL_free(crl);
	return -EBADMSG;
}

/* Through a BIO again, for the many forms in which a key may come. */
static int add_key(struct keyring_file *file, const char *name,
		   const char *header, const uint8_t *data, long len,
		   struct asking *asking)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	EVP_PKEY *key = NULL;

	if (bio && PEM_write_bio(bio, name, header, data, len) > 0)
		key = PEM_read_bio_PrivateKey(bio, NULL, give_password,
					      asking);
	BIO_free(bio);
	if (key && sk_EVP_PKEY_push(file->keys, key))
		return 0;
	EVP_PKEY_free(key);
	return -EBADMSG;
}

static int explain_block(struct keyring_why *why, const char *name,
			 const struct asking *asking)
{
	char text[128];

	keyring_openssl_text(text, sizeof(text));
	if (asking->asked && !asking->pw->given)
		return keyring_explain(why, -EBADMSG, KEYRING_GIVE_PASSWORD,
				       "the private key is encrypted");
	if (asking->asked)
		return keyring_explain(why, -EBADMSG, NULL,
				       "the password does not open the private key: %s",
				       text);
	return keyring_explain(why, -EBADMSG, NULL, "%s cannot be read: %s",
			       name, text);
}

static int add_block(struct keyring_file *file, const char *name,
		     const char *header, const uint8_t *data, long len,
		     struct asking *asking)
{
	if (is_cert(name))
		return add_cert(file, data, len);
	if (is_key(name))
		return add_key(file, name, header, data, len, asking);
	if (!strcmp(name, PEM_STRING_X509_CRL))
		return add_crl(file, data, len);
	return 0;
}

static bool at_end(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM &&
	       ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

int keyring_pem_read(BIO *bio, const struct keyring_password *pw,
		     struct keyring_file *file, struct keyring_why *why)
{
	struct asking asking = { .pw = pw };
	char *name, *header;
	uint8_t *data;
	char text[128];
	int ret = 0;
	long len;

	ERR_clear_error();
	while (!ret && PEM_read_bio_ex(bio, &name, &header, &data, &len,
				       PEM_FLAG_SECURE)) {
		ret = add_block(file, name, header, data, len, &asking);
		if (ret)
			explain_block(why, name, &asking);
		OPENSSL_secure_clear_free(data, len);
		OPENSSL_secure_free(header);
		OPENSSL_secure_free(name);
	}
	if (!ret && !at_end()) {
		keyring_openssl_text(text, sizeof(text));
		ret = keyring_explain(why, -EBADMSG, NULL, "not valid PEM: %s",
				      text);
	}
	ERR_clear_error();
	return ret;
}
