// SPDX-License-Identifier: GPL-2.0-only
/*
 * SignaturePairsCert: how the certificates of a peer may be signed.
 *
 * OpenSSL sends no signature_algorithms_cert and has nothing to set it by, so
 * the peer is not told; what it shows is looked at when it has been found
 * valid.  As in TLS 1.2, hash and kind of key count, not the curve.
 */
#include "attlsd.h"

#include <openssl/objects.h>

static const struct {
	uint16_t id;			/* IANA */
	int	hash;
	int	key;
} algorithms[] = {
	{ 0x0301, NID_sha224,	EVP_PKEY_RSA },
	{ 0x0401, NID_sha256,	EVP_PKEY_RSA },
	{ 0x0501, NID_sha384,	EVP_PKEY_RSA },
	{ 0x0601, NID_sha512,	EVP_PKEY_RSA },
	{ 0x0303, NID_sha224,	EVP_PKEY_EC },
	{ 0x0403, NID_sha256,	EVP_PKEY_EC },
	{ 0x0503, NID_sha384,	EVP_PKEY_EC },
	{ 0x0603, NID_sha512,	EVP_PKEY_EC },
	{ 0x0804, NID_sha256,	EVP_PKEY_RSA_PSS },
	{ 0x0805, NID_sha384,	EVP_PKEY_RSA_PSS },
	{ 0x0806, NID_sha512,	EVP_PKEY_RSA_PSS },
	{ 0x0809, NID_sha256,	EVP_PKEY_RSA_PSS },
	{ 0x080a, NID_sha384,	EVP_PKEY_RSA_PSS },
	{ 0x080b, NID_sha512,	EVP_PKEY_RSA_PSS },
	{ 0x0807, NID_undef,	EVP_PKEY_ED25519 },
	{ 0x0808, NID_undef,	EVP_PKEY_ED448 },
	{ 0x0904, NID_undef,	NID_ML_DSA_44 },
	{ 0x0905, NID_undef,	NID_ML_DSA_65 },
	{ 0x0906, NID_undef,	NID_ML_DSA_87 },
};

static bool is_signed_with(X509 *cert, unsigned int id)
{
	int hash, key;

	if (!X509_get_signature_info(cert, &hash, &key, NULL, NULL))
		return false;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++)
		if (algorithms[i].id == id && algorithms[i].hash == hash &&
		    algorithms[i].key == key)
			return true;
	return false;
}

static bool is_allowed(X509 *cert, const struct policy_code_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (is_signed_with(cert, list->code[i]->id))
			return true;
	return false;
}

/* The last of @chain is of the key ring: nobody relies on how it is signed. */
bool attlsd_sigalgs_allow(const struct policy_action *action,
			  const STACK_OF(X509) *chain)
{
	const struct policy_code_list *list = &action->cert_sigalgs;

	for (int i = 0; list->n && i < sk_X509_num(chain) - 1; i++)
		if (!is_allowed(sk_X509_value(chain, i), list))
			return false;
	return true;
}
