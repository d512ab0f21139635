// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of TLS 1.3, encrypted as the peer has encrypted them.
 *
 * The kernel has the keys and gives a NewSessionTicket in clear; OpenSSL takes
 * one only out of a record.  So it is put into a record again, under the same
 * key, with the number that OpenSSL counts.  That record never leaves the
 * process, and the key of it goes when the keeper goes; what could tell later
 * keys, the traffic secret, is not kept.
 */
#include "attlsd.h"

#include <errno.h>
#include <string.h>

#define HEADER_LEN	5
#define NONCE_LEN	12
#define TAG_LEN		16
#define PLAIN_MAX	16384		/* bytes of data in a record */
#define TYPE_HANDSHAKE	22
#define TYPE_DATA	23

struct parts {				/* of struct tls12_crypto_info_* */
	const uint8_t *key;
	uint8_t	nonce[NONCE_LEN];
};

static const char *cipher_name(const struct attlsd_aead *aead)
{
	switch (aead->type) {
	case TLS_CIPHER_AES_GCM_128:
		return "AES-128-GCM";
	case TLS_CIPHER_AES_GCM_256:
		return "AES-256-GCM";
	case TLS_CIPHER_AES_CCM_128:
		return "AES-128-CCM";
	default:
		return "ChaCha20-Poly1305";
	}
}

/* IV, key, salt: see secrets.c. */
static void split(const struct attlsd_seal *seal, struct parts *parts)
{
	const struct attlsd_aead *aead = seal->suite->aead;
	const uint8_t *iv = seal->crypto.bytes + sizeof(seal->crypto.info);

	parts->key = iv + aead->iv_len;
	memcpy(parts->nonce, parts->key + aead->key_len, aead->salt_len);
	memcpy(parts->nonce + aead->salt_len, iv, aead->iv_len);
	/* RFC 8446 section 5.3 */
	for (int i = 0; i < 8; i++)
		parts->nonce[NONCE_LEN - 1 - i] ^= seal->count >> (8 * i);
}

static bool begin(EVP_CIPHER_CTX *ctx, const struct attlsd_aead *aead,
		  const struct parts *parts, const uint8_t *header, int len)
{
	bool ccm = aead->type == TLS_CIPHER_AES_CCM_128;
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(aead), NULL);
	bool ok;
	int n;

	ok = cipher && EVP_EncryptInit_ex2(ctx, cipher, NULL, NULL, NULL) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE_LEN,
				 NULL) > 0;
	/* CCM wants the lengths before it begins. */
	if (ok && ccm)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN,
					 NULL) > 0;
	if (ok)
		ok = EVP_EncryptInit_ex2(ctx, NULL, parts->key, parts->nonce,
					 NULL);
	if (ok && ccm)
		ok = EVP_EncryptUpdate(ctx, NULL, &n, NULL, len);
	if (ok)
		ok = EVP_EncryptUpdate(ctx, NULL, &n, header, HEADER_LEN);
	EVP_CIPHER_free(cipher);
	return ok;
}

/* @data: @len bytes, with room for the tag behind them. */
static bool encrypt(const struct attlsd_seal *seal, const uint8_t *header,
		    uint8_t *data, int len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct parts parts;
	bool ok;
	int n;

	split(seal, &parts);
	ok = ctx && begin(ctx, seal->suite->aead, &parts, header, len) &&
	     EVP_EncryptUpdate(ctx, data, &n, data, len) && n == len &&
	     EVP_EncryptFinal_ex(ctx, data + len, &n) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN,
				 data + len) > 0;
	EVP_CIPHER_CTX_free(ctx);
	OPENSSL_cleanse(&parts, sizeof(parts));
	return ok;
}

static int write_record(struct attlsd_seal *seal, BIO *bio,
			const uint8_t *message, size_t len)
{
	uint8_t record[HEADER_LEN + PLAIN_MAX + 1 + TAG_LEN];
	size_t body = len + 1 + TAG_LEN;
	bool ok;

	record[0] = TYPE_DATA;
	record[1] = TLS1_2_VERSION >> 8;
	record[2] = TLS1_2_VERSION & 0xff;
	record[3] = body >> 8;
	record[4] = body & 0xff;
	memcpy(record + HEADER_LEN, message, len);
	record[HEADER_LEN + len] = TYPE_HANDSHAKE;
	ok = encrypt(seal, record, record + HEADER_LEN, len + 1) &&
	     BIO_write(bio, record, HEADER_LEN + body) ==
	     (int)(HEADER_LEN + body);
	seal->count++;
	return ok ? 0 : -EIO;
}

/* The key under which records of the peer arrive, from @keys. */
void attlsd_seal_init(struct attlsd_seal *seal, const struct attlsd_keys *keys,
		      const struct attlsd_secrets *sec, uint16_t max_fragment)
{
	seal->suite = keys->suite;
	seal->crypto = keys->rx;
	seal->count = sec->rec.rx.count;
	seal->max = max_fragment ? max_fragment : PLAIN_MAX;
}

/* A handshake message to @bio, in as many records as it takes. */
int attlsd_seal_write(struct attlsd_seal *seal, BIO *bio,
		      const uint8_t *message, size_t len)
{
	size_t n;
	int ret;

	for (size_t at = 0; at < len; at += n) {
		n = len - at < seal->max ? len - at : seal->max;
		ret = write_record(seal, bio, message + at, n);
		if (ret)
			return ret;
	}
	return 0;
}

void attlsd_seal_wipe(struct attlsd_seal *seal)
{
	OPENSSL_cleanse(seal, sizeof(*seal));
}
