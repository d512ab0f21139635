// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is asked for a certificate, and what is checked in it.
 *
 * A client checks the server against the ring, always, and its name, which
 * the policy gives with HostReferenceIdDNS or HostReferenceIdCN, or the
 * program, or both; without, its address, unless the policy says Compat zOS.
 * What a server asks of a client is the ClientAuthType of the policy, which
 * arrives as the role.
 */
#include "attlsd.h"
#include "format.h"

#include <errno.h>
#include <string.h>

#include <openssl/x509v3.h>

static bool has_dns_name(X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name,
						NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		found |= sk_GENERAL_NAME_value(names, i)->type == GEN_DNS;
	GENERAL_NAMES_free(names);
	return found;
}

/* RFC 6125: the CN counts only where no subjectAltName has a DNS name. */
static bool has_name(X509 *cert, const struct policy_action *action)
{
	unsigned int flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

	if (!action->host_wildcard)
		flags |= X509_CHECK_FLAG_NO_WILDCARDS;
	for (size_t i = 0; i < action->host_dns.n; i++)
		if (X509_check_host(cert, action->host_dns.name[i], 0, flags |
				    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
				    NULL) == 1)
			return true;
	if (!action->host_cn.n || has_dns_name(cert))
		return false;
	for (size_t i = 0; i < action->host_cn.n; i++)
		if (X509_check_host(cert, action->host_cn.name[i], 0, flags,
				    NULL) == 1)
			return true;
	return false;
}

static bool has_size(X509 *cert, const struct policy_action *action)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	unsigned int bits = key ? (unsigned int)EVP_PKEY_get_bits(key) : 0;

	switch (key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return bits >= action->min_rsa;
	case EVP_PKEY_EC:
		return bits >= action->min_ec;
	}
	return true;
}

/* What is wrong with the peer's own certificate, X509_V_OK: nothing. */
static int wrong_with(X509 *cert, const struct policy_action *action)
{
	bool named = action->host_dns.n || action->host_cn.n;

	if (action->role == ATTLS_ROLE_CLIENT && named &&
	    !has_name(cert, action))
		return X509_V_ERR_HOSTNAME_MISMATCH;
	if (!has_size(cert, action))
		return X509_V_ERR_EE_KEY_TOO_SMALL;
	if (action->min_v3 && X509_get_version(cert) < X509_VERSION_3)
		return X509_V_ERR_APPLICATION_VERIFICATION;
	return X509_V_OK;
}

/* Whether @cert is for whom @ssl expects, if for anybody. */
static bool is_expected(SSL *ssl, X509 *cert)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
	char *ip = X509_VERIFY_PARAM_get1_ip_asc(param);
	bool ok = true;

	if (host)
		ok = X509_check_host(cert, host, 0,
				     X509_VERIFY_PARAM_get_hostflags(param),
				     NULL) == 1;
	if (ip && ok)
		ok = X509_check_ip_asc(cert, ip, 0) == 1;
	OPENSSL_free(ip);
	return ok;
}

/*
 * A client's look at the certificate of a session that was valid when it was
 * new: whether it still is for whom the handshake is meant.
 */
bool attlsd_verify_again(SSL *ssl, const struct policy_action *action,
			 X509 *cert)
{
	return wrong_with(cert, action) == X509_V_OK && is_expected(ssl, cert);
}

/* An error that OpenSSL has for profiles that we do not ask it for. */
#define WRONG_SIGNATURE	X509_V_ERR_SUITE_B_INVALID_SIGNATURE_ALGORITHM

/* In words; the errors are OpenSSL's but for these. */
const char *attlsd_verify_text(long error)
{
	if (error == X509_V_ERR_APPLICATION_VERIFICATION)
		return "less than PeerMinCertVersion";
	if (error == WRONG_SIGNATURE)
		return "signed in a way that SignaturePairsCert, or SignaturePairs without it, does not have";
	return X509_verify_cert_error_string(error);
}

/* @error is of the peer's own certificate. */
static void note_mismatch(int error, X509_STORE_CTX *ctx, SSL *ssl)
{
	if (error == X509_V_ERR_HOSTNAME_MISMATCH ||
	    error == X509_V_ERR_IP_ADDRESS_MISMATCH)
		attlsd_wishes_mismatch(ssl,
				       X509_STORE_CTX_get_current_cert(ctx));
}

/* After OpenSSL has found a certificate valid, the peer's own being last. */
static int check_peer(int ok, X509_STORE_CTX *ctx)
{
	const struct policy_action *action;
	X509 *cert;
	int error;
	SSL *ssl;

	if (X509_STORE_CTX_get_error_depth(ctx))
		return ok;
	ssl = X509_STORE_CTX_get_ex_data(ctx,
				SSL_get_ex_data_X509_STORE_CTX_idx());
	if (!ok) {
		note_mismatch(X509_STORE_CTX_get_error(ctx), ctx, ssl);
		return 0;
	}
	action = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	cert = X509_STORE_CTX_get_current_cert(ctx);
	error = wrong_with(cert, action);
	if (error == X509_V_OK &&
	    !attlsd_sigalg_chain(&action->cert_sigalgs,
				 X509_STORE_CTX_get0_chain(ctx)))
		error = WRONG_SIGNATURE;
	if (error == X509_V_OK && !attlsd_certmap_admits(ssl, action, cert))
		error = ATTLSD_V_NO_USER;
	if (error == X509_V_OK)
		return 1;
	X509_STORE_CTX_set_error(ctx, error);
	return 0;
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

/* @action must live as long as @ctx. */
void attlsd_verify_setup(SSL_CTX *ctx, const struct policy_action *action)
{
	int mode = SSL_VERIFY_PEER;

	SSL_CTX_set_app_data(ctx, (void *)action);
	switch (action->role) {
	case ATTLS_ROLE_SERVER:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		break;
	case ATTLS_ROLE_SERVER_PASS:
		SSL_CTX_set_verify(ctx, mode, accept_any);
		break;
	case ATTLS_ROLE_CLIENT:
	case ATTLS_ROLE_SERVER_FULL:
		SSL_CTX_set_verify(ctx, mode, check_peer);
		break;
	default:
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
		SSL_CTX_set_verify(ctx, mode, check_peer);
		break;
	}
}

static int expect_address(SSL *ssl, const uint8_t *addr)
{
	size_t len = policy_addr_is_v4(addr) ? 4 : ATTLS_ADDR_LEN;

	return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl),
				addr + ATTLS_ADDR_LEN - len, len) ?
	       0 : -ENOMEM;
}

/* RFC 9525: no common name, and "*" is the whole first label or nothing. */
static int expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
				X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
				X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) ? 0 : -ENOMEM;
}

/*
 * Whom a client expects, besides the names of the policy: whom the program
 * does.  Where nobody has a name for it, the peer of @req itself.
 */
int attlsd_verify_expect(SSL *ssl, const struct policy_action *action,
			 const struct attls_request *req)
{
	const char *name = attlsd_wishes_peer(ssl);
	uint8_t addr[ATTLS_ADDR_LEN];

	if (!name)
		return action->host_address ?
		       expect_address(ssl, req->remote_addr) : 0;
	return policy_parse_addr(name, addr) ? expect_address(ssl, addr) :
	       expect_name(ssl, name);
}
