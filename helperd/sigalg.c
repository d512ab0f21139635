// SPDX-License-Identifier: GPL-2.0-only
/* Signature algorithms of CRLs and OCSP responses, as a policy lists them. */
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

static uint16_t pss_code(const X509_ALGOR *alg)
{
	RSA_PSS_PARAMS *params;
	const ASN1_OBJECT *object = NULL;
	unsigned int hash;

	params = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS),
					   alg->parameter);
	if (params && params->hashAlgorithm)
		X509_ALGOR_get0(&object, NULL, NULL, params->hashAlgorithm);
	hash = hash_of(OBJ_obj2nid(object));
	RSA_PSS_PARAMS_free(params);
	return hash < 4 ? 0 : PSS_RSAE + hash - 4;
}

/* The code that TLS has for it, 0: none. */
static uint16_t code_of(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *object;
	int nid, hash, key;

	X509_ALGOR_get0(&object, NULL, NULL, alg);
	nid = OBJ_obj2nid(object);
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
