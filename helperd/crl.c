// SPDX-License-Identifier: GPL-2.0-only
/*
 * What CRLs say of a certificate.  OpenSSL's own path validation is asked,
 * which knows of signatures, times, distribution points and extensions.
 */
#include "attlsd.h"

#include <stdio.h>

#include <openssl/err.h>

static STACK_OF(X509) *just(X509 *cert)
{
	STACK_OF(X509) *certs = sk_X509_new_null();

	if (certs && sk_X509_push(certs, cert))
		return certs;
	sk_X509_free(certs);
	return NULL;
}

static int error_of(X509_STORE_CTX *ctx, X509_STORE *empty, X509 *cert,
		    STACK_OF(X509) *issuer, STACK_OF(X509_CRL) *crls)
{
	if (!X509_STORE_CTX_init(ctx, empty, cert, NULL))
		return X509_V_ERR_OUT_OF_MEM;
	X509_STORE_CTX_set0_trusted_stack(ctx, issuer);
	X509_STORE_CTX_set0_crls(ctx, crls);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN |
				 X509_V_FLAG_CRL_CHECK);
	if (X509_verify_cert(ctx) == 1)
		return X509_V_OK;
	return X509_STORE_CTX_get_error(ctx);
}

static bool all_listed(STACK_OF(X509_CRL) *crls,
		       const struct policy_code_list *list)
{
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		const X509_ALGOR *alg;

		X509_CRL_get0_signature(sk_X509_CRL_value(crls, i), NULL, &alg);
		if (!attlsd_sigalg_listed(list, alg))
			return false;
	}
	return true;
}

/* The reason for people goes into @why, which has ATTLSD_WHY bytes. */
enum attlsd_verdict attlsd_crl_judge(STACK_OF(X509_CRL) *crls, X509 *cert,
				     X509 *issuer,
				     const struct policy_revocation *want,
				     char *why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *empty = X509_STORE_new();
	STACK_OF(X509) *issuers = just(issuer);
	int error = X509_V_ERR_OUT_OF_MEM;

	if (!all_listed(crls, &want->crl_sigalgs))
		error = X509_V_ERR_CA_MD_TOO_WEAK;
	else if (ctx && empty && issuers)
		error = error_of(ctx, empty, cert, issuers, crls);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(empty);
	sk_X509_free(issuers);
	ERR_clear_error();
	snprintf(why, ATTLSD_WHY, "%s", error == X509_V_ERR_CA_MD_TOO_WEAK ?
		 "its signature algorithm is not in CrlSigAlgPairs" :
		 X509_verify_cert_error_string(error));
	switch (error) {
	case X509_V_OK:
		return ATTLSD_GOOD;
	case X509_V_ERR_CERT_REVOKED:
		return ATTLSD_REVOKED;
	default:
		return ATTLSD_NO_STATUS;
	}
}
