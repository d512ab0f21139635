// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traffic keys out of OpenSSL, by public interfaces only.
 *
 * TLS 1.3: the key log callback shows the traffic secrets; HKDF-Expand-Label
 * makes key and IV of them (RFC 8446, 7.3).  TLS 1.2: the key block is the
 * PRF over master secret and randoms (RFC 5246, 6.3).
 *
 * The layouts of struct tls12_crypto_info_* differ in lengths only: IV, key,
 * salt, sequence, without a gap.  One writer fills them all.
 */
#include "attlsd.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <string.h>

#define IV_LEN		12
#define FIXED_LEN	4	/* implicit nonce of TLS 1.2 GCM, CCM */
#define KEY_MAX		32
#define BLOCK_MAX	(2 * (KEY_MAX + IV_LEN))

struct half {			/* what one direction needs */
	uint8_t key[KEY_MAX];
	uint8_t iv[IV_LEN];
};

static bool has_kdf(const char *name)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);

	EVP_KDF_free(kdf);
	return kdf;
}

/* In the parent: a worker cannot load anything. */
int attlsd_secrets_init(void)
{
	return has_kdf(OSSL_KDF_NAME_TLS1_3_KDF) &&
	       has_kdf(OSSL_KDF_NAME_TLS1_PRF) &&
	       has_kdf(OSSL_KDF_NAME_HKDF) ? 0 : -ENOSYS;
}

/* Of the default context: see context.c. */
static int derive(const char *name, const OSSL_PARAM *params, uint8_t *out,
		  size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ok = ctx && EVP_KDF_derive(ctx, out, len, params) > 0;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? 0 : -EIO;
}

static OSSL_PARAM octets(const char *name, const void *p, size_t len)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)p, len);
}

static OSSL_PARAM digest_name(const EVP_MD *md)
{
	return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
					(char *)EVP_MD_get0_name(md), 0);
}

/* RFC 5869, with SHA-256 and no salt. */
int attlsd_secrets_hkdf(const uint8_t *secret, size_t len, const uint8_t *info,
			size_t info_len, uint8_t *out, size_t out_len)
{
	OSSL_PARAM params[] = {
		digest_name(EVP_sha256()),
		octets(OSSL_KDF_PARAM_KEY, secret, len),
		octets(OSSL_KDF_PARAM_INFO, info, info_len),
		OSSL_PARAM_construct_end(),
	};

	return derive(OSSL_KDF_NAME_HKDF, params, out, out_len);
}

static int expand_label(const EVP_MD *md, const struct attlsd_secret *secret,
			const char *label, uint8_t *out, size_t len)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = {
		digest_name(md),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		octets(OSSL_KDF_PARAM_KEY, secret->bytes, secret->len),
		octets(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
		octets(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	return derive(OSSL_KDF_NAME_TLS1_3_KDF, params, out, len);
}

static int half13(const struct attlsd_aead *aead, const EVP_MD *md,
		  const struct attlsd_secret *secret, struct half *half)
{
	int ret;

	if (secret->len != (size_t)EVP_MD_get_size(md))
		return -EPROTO;
	ret = expand_label(md, secret, "key", half->key, aead->key_len);
	if (!ret)
		ret = expand_label(md, secret, "iv", half->iv, IV_LEN);
	return ret;
}

static int key_block(const struct attls_master *master, const EVP_MD *md,
		     uint8_t *block, size_t len)
{
	OSSL_PARAM params[] = {
		digest_name(md),
		octets(OSSL_KDF_PARAM_SECRET, master->secret,
		       sizeof(master->secret)),
		octets(OSSL_KDF_PARAM_SEED, "key expansion", 13),
		octets(OSSL_KDF_PARAM_SEED, master->server_random,
		       sizeof(master->server_random)),
		octets(OSSL_KDF_PARAM_SEED, master->client_random,
		       sizeof(master->client_random)),
		OSSL_PARAM_construct_end(),
	};

	return derive(OSSL_KDF_NAME_TLS1_PRF, params, block, len);
}

static int read_master(SSL *ssl, struct attls_master *master)
{
	size_t n = SSL_SESSION_get_master_key(SSL_get0_session(ssl),
					      master->secret,
					      sizeof(master->secret));

	SSL_get_client_random(ssl, master->client_random,
			      sizeof(master->client_random));
	SSL_get_server_random(ssl, master->server_random,
			      sizeof(master->server_random));
	return n == sizeof(master->secret) ? 0 : -EPROTO;
}

/*
 * The explicit nonce of the next record follows the last one that OpenSSL
 * put on the wire under this key: a nonce used twice gives the key away.
 */
static void next_nonce(const struct attlsd_flow *flow, uint8_t *nonce)
{
	memcpy(nonce, flow->nonce, 8);
	for (int i = 7; i >= 0 && !++nonce[i]; i--)
		;
}

static void slice(const struct attlsd_aead *aead, const uint8_t *block,
		  bool server, const struct attlsd_flow *flow,
		  struct half *half)
{
	size_t iv_len = aead->salt_len ? FIXED_LEN : IV_LEN;
	const uint8_t *ivs = block + 2 * aead->key_len;

	memcpy(half->key, block + server * aead->key_len, aead->key_len);
	memcpy(half->iv, ivs + server * iv_len, iv_len);
	if (aead->salt_len)
		next_nonce(flow, half->iv + FIXED_LEN);
}

/*
 * RFC 7627 section 5.4: without extended_master_secret two connections can
 * have the same, and what is made of it names neither.
 */
static void export12(SSL *ssl, const struct attls_master *master,
		     struct attlsd_exporter *exporter)
{
	if (SSL_get_extms_support(ssl) != 1)
		return;
	memcpy(exporter->bytes, master, sizeof(*master));
	exporter->len = sizeof(*master);
}

static int halves12(SSL *ssl, const struct attlsd_aead *aead, const EVP_MD *md,
		    const struct attlsd_records *rec, struct half *tx,
		    struct half *rx, struct attlsd_exporter *exporter)
{
	size_t iv_len = aead->salt_len ? FIXED_LEN : IV_LEN;
	bool server = SSL_is_server(ssl);
	struct attls_master master;
	uint8_t block[BLOCK_MAX];
	int ret;

	/* Two ways to count that must agree, or the nonce is not the last. */
	if (!rec->tx.ccs || !rec->rx.ccs || rec->tx.passed != rec->tx.count ||
	    rec->rx.passed != rec->rx.count || !rec->tx.count)
		return -EPROTO;
	ret = read_master(ssl, &master);
	if (!ret)
		ret = key_block(&master, md, block,
				2 * (aead->key_len + iv_len));
	if (!ret) {
		slice(aead, block, server, &rec->tx, tx);
		slice(aead, block, !server, &rec->rx, rx);
		export12(ssl, &master, exporter);
	}
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(&master, sizeof(master));
	return ret;
}

static int export13(const struct attlsd_secret *secret, const EVP_MD *md,
		    struct attlsd_exporter *exporter)
{
	if (secret->len != (size_t)EVP_MD_get_size(md))
		return -EPROTO;
	memcpy(exporter->bytes, secret->bytes, secret->len);
	exporter->len = secret->len;
	return 0;
}

/* The kernel gets the secrets too: it follows key updates by itself. */
static int halves13(SSL *ssl, const struct attlsd_aead *aead, const EVP_MD *md,
		    const struct attlsd_secrets *sec, struct half *tx,
		    struct half *rx, struct attlsd_keys *keys)
{
	bool server = SSL_is_server(ssl);
	int ret;

	keys->tx_secret = server ? sec->server : sec->client;
	keys->rx_secret = server ? sec->client : sec->server;
	ret = half13(aead, md, &keys->tx_secret, tx);
	if (!ret)
		ret = half13(aead, md, &keys->rx_secret, rx);
	if (!ret)
		ret = export13(&sec->exporter, md, &keys->exporter);
	return ret;
}

static void fill(const struct attlsd_suite *suite, const struct half *half,
		 uint64_t seq, union attlsd_crypto *out)
{
	const struct attlsd_aead *aead = suite->aead;
	uint8_t *p = out->bytes + sizeof(out->info);

	out->info.version = suite->version;
	out->info.cipher_type = aead->type;
	memcpy(p, half->iv + aead->salt_len, aead->iv_len);
	p += aead->iv_len;
	memcpy(p, half->key, aead->key_len);
	p += aead->key_len;
	memcpy(p, half->iv, aead->salt_len);
	p += aead->salt_len;
	for (int i = 0; i < 8; i++)
		p[i] = seq >> (56 - 8 * i);
}

int attlsd_secrets_export(const struct attlsd_secrets *sec, SSL *ssl,
			  struct attlsd_keys *keys)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const struct attlsd_suite *suite;
	struct half tx, rx;
	const EVP_MD *md;
	int ret;

	suite = cipher ? attlsd_suite_find(SSL_CIPHER_get_protocol_id(cipher))
		       : NULL;
	md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
	if (!suite || !md || SSL_version(ssl) != suite->version)
		return -EPROTO;
	keys->tx_secret.len = keys->rx_secret.len = keys->exporter.len = 0;
	if (suite->version == TLS1_3_VERSION)
		ret = halves13(ssl, suite->aead, md, sec, &tx, &rx, keys);
	else
		ret = halves12(ssl, suite->aead, md, &sec->rec, &tx, &rx,
			       &keys->exporter);
	if (!ret) {
		keys->suite = suite;
		fill(suite, &tx, sec->rec.tx.count, &keys->tx);
		fill(suite, &rx, sec->rec.rx.count, &keys->rx);
	}
	OPENSSL_cleanse(&tx, sizeof(tx));
	OPENSSL_cleanse(&rx, sizeof(rx));
	return ret;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unhex(const char *hex, struct attlsd_secret *secret)
{
	secret->len = 0;
	while (secret->len < sizeof(secret->bytes)) {
		int hi = nibble(hex[0]);
		int lo = hi < 0 ? -1 : nibble(hex[1]);

		if (lo < 0)
			break;
		secret->bytes[secret->len++] = hi << 4 | lo;
		hex += 2;
	}
}

/* LABEL, client random and secret; those of the data phase are ours. */
static void on_keylog(const SSL *ssl, const char *line)
{
	struct attlsd_secrets *sec = attlsd_ours(ssl)->secrets;
	const char *hex = strrchr(line, ' ');
	bool from_server;

	if (!sec || !hex)
		return;
	if (!strncmp(line, "EXPORTER_SECRET ", 16)) {
		unhex(hex + 1, &sec->exporter);
		return;
	}
	if (!strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24))
		from_server = false;
	else if (!strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24))
		from_server = true;
	else
		return;
	unhex(hex + 1, from_server ? &sec->server : &sec->client);
	attlsd_records_keyed(from_server == !!SSL_is_server(ssl) ?
			     &sec->rec.tx : &sec->rec.rx);
}

void attlsd_secrets_prepare(SSL_CTX *ctx)
{
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
}

void attlsd_secrets_watch(struct attlsd_secrets *sec, SSL *ssl, BIO *bio)
{
	memset(sec, 0, sizeof(*sec));
	attlsd_records_watch(&sec->rec, ssl, bio);
	attlsd_ours(ssl)->secrets = sec;
}

void attlsd_secrets_wipe(struct attlsd_secrets *sec)
{
	OPENSSL_cleanse(&sec->client, sizeof(sec->client));
	OPENSSL_cleanse(&sec->server, sizeof(sec->server));
	OPENSSL_cleanse(&sec->exporter, sizeof(sec->exporter));
}

void attlsd_keys_wipe(struct attlsd_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}
