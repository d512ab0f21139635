// SPDX-License-Identifier: GPL-2.0-only
/* One PEM file: certificates and private keys, in any order. */
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
	const char *text = ERR_reason_error_string(code);

	if (text)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "error %lx", code);
	ERR_clear_error();
}

/* Keys behind a pass phrase cannot be used: nobody is there to type it. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	*(bool *)arg = true;
	return -1;
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

/* Through a BIO again, for the many forms in which a key may come. */
static int add_key(struct keyring_file *file, const char *name,
		   const char *header, const uint8_t *data, long len,
		   bool *asked)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	EVP_PKEY *key = NULL;

	if (bio && PEM_write_bio(bio, name, header, data, len) > 0)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_password, asked);
	BIO_free(bio);
	if (key && sk_EVP_PKEY_push(file->keys, key))
		return 0;
	EVP_PKEY_free(key);
	return -EBADMSG;
}

static int add_block(struct keyring_file *file, const char *name,
		     const char *header, const uint8_t *data, long len,
		     char *why, size_t size)
{
	bool asked = false;
	char text[128];
	int ret = 0;

	if (is_cert(name))
		ret = add_cert(file, data, len);
	else if (is_key(name))
		ret = add_key(file, name, header, data, len, &asked);
	if (!ret)
		return 0;
	keyring_openssl_text(text, sizeof(text));
	if (asked)
		snprintf(why, size, "the private key is encrypted");
	else
		snprintf(why, size, "%s cannot be read: %s", name, text);
	return ret;
}

static bool at_end(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM &&
	       ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

int keyring_pem_read(BIO *bio, struct keyring_file *file, char *why,
		     size_t size)
{
	char *name, *header;
	uint8_t *data;
	char text[128];
	int ret = 0;
	long len;

	ERR_clear_error();
	while (!ret && PEM_read_bio_ex(bio, &name, &header, &data, &len,
				       PEM_FLAG_SECURE)) {
		ret = add_block(file, name, header, data, len, why, size);
		OPENSSL_secure_clear_free(data, len);
		OPENSSL_secure_free(header);
		OPENSSL_secure_free(name);
	}
	if (!ret && !at_end()) {
		keyring_openssl_text(text, sizeof(text));
		snprintf(why, size, "not valid PEM: %s", text);
		ret = -EBADMSG;
	}
	ERR_clear_error();
	return ret;
}
