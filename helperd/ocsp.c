// SPDX-License-Identifier: GPL-2.0-only
/* Requests of OCSP (RFC 6960), and what responses say of a certificate. */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#define SKEW		300		/* seconds that clocks may differ */
#define GET_MAX		255		/* bytes of a path, RFC 6960 A.1 */

static int add_nonce(OCSP_REQUEST *request,
		     const struct policy_revocation *want)
{
	return !want->nonce ||
	       OCSP_request_add1_nonce(request, NULL, want->nonce_size) == 1;
}

static const EVP_MD *hash_of(unsigned int code)
{
	switch (code >> 8) {
	case 3:
		return EVP_sha224();
	case 5:
		return EVP_sha384();
	case 6:
		return EVP_sha512();
	}
	return EVP_sha256();
}

static bool add_signature(OCSP_REQUEST *request,
			  const struct policy_revocation *want,
			  const struct keyring_pair *signer)
{
	return !signer ||
	       OCSP_request_sign(request, signer->cert, signer->key,
				 hash_of(want->sign_alg), signer->chain,
				 0) == 1;
}

/* NULL: no memory. */
OCSP_REQUEST *attlsd_ocsp_request(X509 *cert, X509 *issuer,
				  const struct policy_revocation *want,
				  const struct keyring_pair *signer)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, issuer);

	if (request && id && OCSP_request_add0_id(request, id)) {
		id = NULL;
		if (add_nonce(request, want) &&
		    add_signature(request, want, signer))
			return request;
	}
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(request);
	return NULL;
}

/* Base64 with what has a meaning in a URL escaped, behind @url. */
static bool put_get(char *url, size_t size, const uint8_t *der, int len)
{
	uint8_t text[2 * ATTLSD_FETCH_BODY];
	size_t n = strlen(url), from = n;

	EVP_EncodeBlock(text, der, len);
	n += snprintf(url + n, size - n, "%s", url[n - 1] == '/' ? "" : "/");
	for (const uint8_t *c = text; *c && n + 4 < size; c++)
		n += snprintf(url + n, size - n,
			      strchr("+/=", *c) ? "%%%02X" : "%c", *c);
	if (n + 4 < size && n - from <= GET_MAX)
		return true;
	url[from] = '\0';
	return false;
}

/* A GET of more than 255 bytes is a POST, as RFC 6960 has it. */
static int fill(struct attlsd_fetch_request *fetch, const char *url,
		OCSP_REQUEST *request, const struct policy_revocation *want)
{
	uint8_t *to = fetch->body;
	int len = i2d_OCSP_REQUEST(request, NULL);

	if (len <= 0 || len > (int)sizeof(fetch->body))
		return -EMSGSIZE;
	i2d_OCSP_REQUEST(request, &to);
	snprintf(fetch->url, sizeof(fetch->url), "%s", url);
	snprintf(fetch->content_type, sizeof(fetch->content_type),
		 "application/ocsp-response");
	fetch->body_len = len;
	if (want->ocsp_get && put_get(fetch->url, sizeof(fetch->url),
				      fetch->body, len))
		fetch->body_len = 0;
	return 0;
}

/* The URL and what is asked there: answers that are the same are shared. */
static char *key_of(OCSP_REQUEST *request, const char *url)
{
	OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(request,
								       0));
	uint8_t *der = NULL;
	int len = i2d_OCSP_CERTID(id, &der);
	char *hex = len > 0 ? OPENSSL_buf2hexstr(der, len) : NULL;
	char *key = NULL;

	if (hex && asprintf(&key, "%s %s", url, hex) < 0)
		key = NULL;
	OPENSSL_free(hex);
	OPENSSL_free(der);
	return key;
}

/* See attlsd_answers_get(). */
int attlsd_ocsp_ask(struct attlsd_waiter *waiter, OCSP_REQUEST *request,
		    const char *url, const struct policy_revocation *want,
		    bool fresh)
{
	struct attlsd_fetch_request fetch = { 0 };
	char *key = key_of(request, url);
	int ret = key ? fill(&fetch, url, request, want) : -ENOMEM;

	if (!ret)
		ret = attlsd_answers_get(waiter, ATTLSD_ANSWER_OCSP, key,
					 &fetch, &want->ocsp, fresh);
	free(key);
	return ret;
}

/* Signed by the CA itself, or by somebody whom it has made a responder. */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();
	bool ok = false;

	if (certs && store && sk_X509_push(certs, issuer) &&
	    X509_STORE_add_cert(store, issuer)) {
		X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		ok = OCSP_basic_verify(basic, certs, store, 0) == 1;
	}
	sk_X509_free(certs);
	X509_STORE_free(store);
	return ok;
}

/* Equal; or none in the response, which is not to be checked for one. */
static bool has_nonce(OCSP_REQUEST *request, OCSP_BASICRESP *basic,
		      const struct policy_revocation *want)
{
	int ret = want->nonce ? OCSP_check_nonce(request, basic) : 1;

	return ret == 1 || (ret == -1 && !want->nonce_check);
}

static enum attlsd_verdict read_status(OCSP_BASICRESP *basic,
				       OCSP_CERTID *id, time_t *until,
				       const char **text)
{
	ASN1_GENERALIZEDTIME *this, *next;
	int status, reason;

	*text = "the response is about another certificate";
	if (!OCSP_resp_find_status(basic, id, &status, &reason, NULL, &this,
				   &next))
		return ATTLSD_NO_STATUS;
	*text = "the response is not of this time";
	if (!OCSP_check_validity(this, next, SKEW, -1))
		return ATTLSD_NO_STATUS;
	*until = attlsd_time(next);
	switch (status) {
	case V_OCSP_CERTSTATUS_GOOD:
		return ATTLSD_GOOD;
	case V_OCSP_CERTSTATUS_REVOKED:
		*text = reason < 0 ? "certificate revoked" :
			OCSP_crl_reason_str(reason);
		return ATTLSD_REVOKED;
	}
	*text = "the responder does not know the certificate";
	return ATTLSD_NO_STATUS;
}

/* @why has ATTLSD_WHY bytes; @until: when the response is over. */
enum attlsd_verdict attlsd_ocsp_judge(OCSP_RESPONSE *response,
				      OCSP_REQUEST *request, X509 *issuer,
				      const struct policy_revocation *want,
				      time_t *until, char *why)
{
	enum attlsd_verdict verdict = ATTLSD_NO_STATUS;
	int status = OCSP_response_status(response);
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
	OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(request,
								       0));
	const char *text;

	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		text = OCSP_response_status_str(status);
	else if (!basic)
		text = "the response is of an unknown type";
	else if (!has_nonce(request, basic, want))
		text = "the nonce of the response is not that of the request";
	else if (!attlsd_sigalg_listed(&want->ocsp_sigalgs,
				       OCSP_resp_get0_tbs_sigalg(basic)))
		text = "its signature algorithm is not in OcspResponseSigAlgPairs";
	else if (!is_signed(basic, issuer))
		text = "the CA did not sign the response, nor a responder of it";
	else
		verdict = read_status(basic, id, until, &text);
	snprintf(why, ATTLSD_WHY, "%s", text);
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
	return verdict;
}
