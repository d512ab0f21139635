// SPDX-License-Identifier: GPL-2.0-only
/*
 * The signature algorithms of TLS, a hash and a kind of key: by IANA's name
 * or by their code.
 */
#include "codes.h"

#include <strings.h>

#define SHA1	"signatures with SHA-1 can be forged"
#define MD5	"signatures with MD5 can be forged"
#define DSA	"OpenSSL takes no DSA certificate any more"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

#define SIGALG(i, n)		{ i, n, n, NULL, 0 }
#define NEVER(i, n, why)	{ i, n, NULL, why, 0 }

static const struct policy_code codes[] = {
	SIGALG(0x0403, "ecdsa_secp256r1_sha256"),
	SIGALG(0x0503, "ecdsa_secp384r1_sha384"),
	SIGALG(0x0603, "ecdsa_secp521r1_sha512"),
	SIGALG(0x0804, "rsa_pss_rsae_sha256"),
	SIGALG(0x0805, "rsa_pss_rsae_sha384"),
	SIGALG(0x0806, "rsa_pss_rsae_sha512"),
	SIGALG(0x0807, "ed25519"),
	SIGALG(0x0808, "ed448"),
	SIGALG(0x0809, "rsa_pss_pss_sha256"),
	SIGALG(0x080a, "rsa_pss_pss_sha384"),
	SIGALG(0x080b, "rsa_pss_pss_sha512"),
	SIGALG(0x0401, "rsa_pkcs1_sha256"),
	SIGALG(0x0501, "rsa_pkcs1_sha384"),
	SIGALG(0x0601, "rsa_pkcs1_sha512"),
	{ 0x0301, "rsa_pkcs1_sha224", "RSA+SHA224", NULL, 0 },
	{ 0x0303, "ecdsa_sha224", "ECDSA+SHA224", NULL, 0 },
	SIGALG(0x0904, "mldsa44"),
	SIGALG(0x0905, "mldsa65"),
	SIGALG(0x0906, "mldsa87"),
	NEVER(0x0101, "rsa_pkcs1_md5", MD5),
	NEVER(0x0201, "rsa_pkcs1_sha1", SHA1),
	NEVER(0x0203, "ecdsa_sha1", SHA1),
	NEVER(0x0202, "dsa_sha1", DSA),
	NEVER(0x0302, "dsa_sha224", DSA),
	NEVER(0x0402, "dsa_sha256", DSA),
	NEVER(0x0502, "dsa_sha384", DSA),
	NEVER(0x0602, "dsa_sha512", DSA),
};

static bool is_named(const struct policy_code *code, const char *name)
{
	return !strcasecmp(code->name, name);
}

const struct policy_codes policy_sigalgs = {
	"signature algorithm", codes, COUNT(codes), 16, "0804", is_named
};
