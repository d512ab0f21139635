// SPDX-License-Identifier: GPL-2.0-only
/*
 * How certificates, CRLs and OCSP responses may be signed, as a policy lists
 * it.  As in TLS 1.2, hash and kind of key count, not the curve.
 *
 * OpenSSL looks at the signature algorithms of a peer's handshake, not at
 * those of its chain, which is looked at when it has been found valid.
 */
#include "attlsd.h"

#include <openssl/objects.h>
#include <openssl/rsa.h>

#define PSS_RSAE	0x0804		/* with SHA-256; SHA-384 is next */
#define PSS_PSS		0x0809		/* the same, another kind of key */

static const struct {
	int	nid;
	uint16_t code;
} whole[] = {
	{ NID_ED25519, 0x0807 }, { NID_ED448, 0x0808 },
	{ NID_ML_DSA_44, 0x0904 }, { NID_ML_DSA_65, 0x0905 },
	{ NID_ML_DSA_87, 0x0906 },
};

/* As RFC 5246 numbers hashes; 0: none of them. */
static unsigned int hash_of(int nid)
{
	static const int hashes[] = {
		NID_undef, NID_md5, NID_sha1, NID_sha224, NID_sha256,
		NID_sha384, NID_sha512,
	};
	unsigned int i = sizeof(hashes) / sizeof(*hashes) - 1;

	while (i && hashes[i] != nid)
		i--;
	return i;
}

static unsigned int key_of(int nid)
{
	return nid == NID_rsaEncryption ? 1 : nid == NID_dsa ? 2 :
	       nid == NID_X9_62_id_ecPublicKey ? 3 : 0;
}

/* NULL has none. */
static int nid_of(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *object = NULL;

	if (alg)
		X509_ALGOR_get0(&object, NULL, NULL, alg);
	return OBJ_obj2nid(object);
}

/* The hash that MGF1 of @mask is made with. */
static int mask_hash(const X509_ALGOR *mask)
{
	X509_ALGOR *alg;
	int nid;

	if (nid_of(mask) != NID_mgf1)
		return NID_undef;
	alg = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR),
					mask->parameter);
	nid = nid_of(alg);
	X509_ALGOR_free(alg);
	return nid;
}

/* TLS has no codes for two hashes, nor for SHA-1, which is the default. */
static uint16_t pss_code(const X509_ALGOR *alg)
{
	RSA_PSS_PARAMS *params;
	unsigned int hash = 0;

	params = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS),
					   alg->parameter);
	if (params && nid_of(params->hashAlgorithm) ==
	    mask_hash(params->maskGenAlgorithm))
		hash = hash_of(nid_of(params->hashAlgorithm));
	RSA_PSS_PARAMS_free(params);
	return hash < 4 ? 0 : PSS_RSAE + hash - 4;
}

/* The code that TLS has for it, 0: none. */
static uint16_t code_of(const X509_ALGOR *alg)
{
	int nid = nid_of(alg), hash, key;

	if (nid == NID_rsassaPss)
		return pss_code(alg);
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (whole[i].nid == nid)
			return whole[i].code;
	if (!OBJ_find_sigid_algs(nid, &hash, &key) || !hash_of(hash) ||
	    !key_of(key))
		return 0;
	return hash_of(hash) << 8 | key_of(key);
}

/* An empty list has all. */
bool attlsd_sigalg_listed(const struct policy_code_list *list,
			  const X509_ALGOR *alg)
{
	uint16_t code = code_of(alg);
	uint16_t other = code >= PSS_RSAE && code < PSS_RSAE + 3 ?
			 code - PSS_RSAE + PSS_PSS : code;

	for (size_t i = 0; i < list->n; i++)
		if (list->code[i]->id == code || list->code[i]->id == other)
			return true;
	return !list->n;
}

/* The last of @chain is of the key ring: nobody relies on how it is signed. */
bool attlsd_sigalg_chain(const struct policy_code_list *list,
			 const STACK_OF(X509) *chain)
{
	for (int i = 0; i < sk_X509_num(chain) - 1; i++)
		if (!attlsd_sigalg_listed(list,
				X509_get0_tbs_sigalg(sk_X509_value(chain, i))))
			return false;
	return true;
}
