// SPDX-License-Identifier: GPL-2.0-only
/*
 * How kTLS carries each of the suites that a policy can offer; their names
 * and their order are the policy's (policy/suites.c).
 */
#include "attlsd.h"

#include <stdio.h>
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
	{ 0x1301, TLS1_3_VERSION, &aes_128_gcm },
	{ 0x1302, TLS1_3_VERSION, &aes_256_gcm },
	{ 0x1303, TLS1_3_VERSION, &chacha20 },
	{ 0x1304, TLS1_3_VERSION, &aes_128_ccm },
	{ 0xc02b, TLS1_2_VERSION, &aes_128_gcm },
	{ 0xc02f, TLS1_2_VERSION, &aes_128_gcm },
	{ 0xc02c, TLS1_2_VERSION, &aes_256_gcm },
	{ 0xc030, TLS1_2_VERSION, &aes_256_gcm },
	{ 0xcca9, TLS1_2_VERSION, &chacha20 },
	{ 0xcca8, TLS1_2_VERSION, &chacha20 },
	{ 0xc0ac, TLS1_2_VERSION, &aes_128_ccm },
	{ 0x009e, TLS1_2_VERSION, &aes_128_gcm },
	{ 0x009f, TLS1_2_VERSION, &aes_256_gcm },
	{ 0xccaa, TLS1_2_VERSION, &chacha20 },
	{ 0xc09e, TLS1_2_VERSION, &aes_128_ccm },
	{ 0x009c, TLS1_2_VERSION, &aes_128_gcm },
	{ 0x009d, TLS1_2_VERSION, &aes_256_gcm },
	{ 0xc09c, TLS1_2_VERSION, &aes_128_ccm },
};

#define NR_SUITES	(sizeof(suites) / sizeof(suites[0]))

const struct attlsd_suite *attlsd_suite_find(uint16_t id)
{
	for (size_t i = 0; i < NR_SUITES; i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

/* The suites of a version that @action offers, as OpenSSL reads them. */
void attlsd_suite_list(const struct policy_action *action, int version,
		       char *buf, size_t size)
{
	const struct attlsd_suite *suite;
	size_t used = 0;

	*buf = '\0';
	for (size_t i = 0; i < action->suites.n; i++) {
		const struct policy_code *code = action->suites.code[i];

		suite = attlsd_suite_find(code->id);
		if (!suite || suite->version != version ||
		    used + strlen(code->openssl) + 2 > size)
			continue;
		used += (size_t)sprintf(buf + used, "%s%s", used ? ":" : "",
					code->openssl);
	}
}
