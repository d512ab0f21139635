// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cipher suites that kTLS can carry.  Nothing else is ever offered, so
 * nothing else can be negotiated.  The order is the preference of a server.
 *
 * Left out on purpose: CCM with the short tag and AES-256-CCM (no kTLS),
 * key exchange by RSA encryption (no forward secrecy), everything in CBC.
 */
#include "attlsd.h"

#include <string.h>

#define KTLS(name, type)						\
	{ TLS_CIPHER_##name, TLS_CIPHER_##name##_KEY_SIZE,		\
	  TLS_CIPHER_##name##_SALT_SIZE, TLS_CIPHER_##name##_IV_SIZE,	\
	  sizeof(struct tls12_crypto_info_##type) }

static const struct attlsd_aead aes_128_gcm = KTLS(AES_GCM_128, aes_gcm_128);
static const struct attlsd_aead aes_256_gcm = KTLS(AES_GCM_256, aes_gcm_256);
static const struct attlsd_aead aes_128_ccm = KTLS(AES_CCM_128, aes_ccm_128);
static const struct attlsd_aead chacha20 = KTLS(CHACHA20_POLY1305,
						chacha20_poly1305);

static const struct attlsd_suite suites[] = {
	{ 0x1301, TLS1_3_VERSION, &aes_128_gcm, "TLS_AES_128_GCM_SHA256" },
	{ 0x1302, TLS1_3_VERSION, &aes_256_gcm, "TLS_AES_256_GCM_SHA384" },
	{ 0x1303, TLS1_3_VERSION, &chacha20, "TLS_CHACHA20_POLY1305_SHA256" },
	{ 0x1304, TLS1_3_VERSION, &aes_128_ccm, "TLS_AES_128_CCM_SHA256" },
	{ 0xc02b, TLS1_2_VERSION, &aes_128_gcm,
	  "ECDHE-ECDSA-AES128-GCM-SHA256" },
	{ 0xc02f, TLS1_2_VERSION, &aes_128_gcm,
	  "ECDHE-RSA-AES128-GCM-SHA256" },
	{ 0xc02c, TLS1_2_VERSION, &aes_256_gcm,
	  "ECDHE-ECDSA-AES256-GCM-SHA384" },
	{ 0xc030, TLS1_2_VERSION, &aes_256_gcm,
	  "ECDHE-RSA-AES256-GCM-SHA384" },
	{ 0xcca9, TLS1_2_VERSION, &chacha20, "ECDHE-ECDSA-CHACHA20-POLY1305" },
	{ 0xcca8, TLS1_2_VERSION, &chacha20, "ECDHE-RSA-CHACHA20-POLY1305" },
	{ 0xc0ac, TLS1_2_VERSION, &aes_128_ccm, "ECDHE-ECDSA-AES128-CCM" },
	{ 0x009e, TLS1_2_VERSION, &aes_128_gcm, "DHE-RSA-AES128-GCM-SHA256" },
	{ 0x009f, TLS1_2_VERSION, &aes_256_gcm, "DHE-RSA-AES256-GCM-SHA384" },
	{ 0xccaa, TLS1_2_VERSION, &chacha20, "DHE-RSA-CHACHA20-POLY1305" },
	{ 0xc09e, TLS1_2_VERSION, &aes_128_ccm, "DHE-RSA-AES128-CCM" },
};

#define NR_SUITES	(sizeof(suites) / sizeof(suites[0]))

const struct attlsd_suite *attlsd_suite_find(uint16_t id)
{
	for (size_t i = 0; i < NR_SUITES; i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

/* All suites of a version as OpenSSL wants to read them. */
void attlsd_suite_list(int version, char *buf, size_t size)
{
	char *end = buf + size;
	char *p = buf;

	*p = '\0';
	for (size_t i = 0; i < NR_SUITES; i++) {
		size_t len = strlen(suites[i].name);

		if (suites[i].version != version ||
		    (size_t)(end - p) < len + 2)
			continue;
		if (p != buf)
			*p++ = ':';
		memcpy(p, suites[i].name, len + 1);
		p += len;
	}
}
