// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is asked for a certificate, and what is checked in it.
 *
 * A client checks the server against the ring, always, and its name when
 * the policy gives HostReferenceIdDNS.  What a server asks of a client is
 * the ClientAuthType of the policy, which arrives as the role.
 */
#include "attlsd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

bool attlsd_role_is_server(unsigned int role)
{
	return role >= ATTLS_ROLE_SERVER && role < __ATTLS_ROLE_MAX;
}

/* Needs certificates of CAs in the ring. */
bool attlsd_role_verifies(unsigned int role)
{
	return role == ATTLS_ROLE_CLIENT || role == ATTLS_ROLE_SERVER_FULL ||
	       role == ATTLS_ROLE_SERVER_REQD || role == ATTLS_ROLE_SERVER_SAF;
}

static bool is_address(const char *name)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, name, addr) == 1 ||
	       inet_pton(AF_INET6, name, addr) == 1;
}

/* OpenSSL wants one address and all names, or the certificate has neither. */
static bool add_name(X509_VERIFY_PARAM *param, const char *name, bool alone)
{
	if (!is_address(name))
		return X509_VERIFY_PARAM_add1_host(param, name, 0);
	return alone && X509_VERIFY_PARAM_set1_ip_asc(param, name);
}

int attlsd_verify_names(struct attlsd_context *context,
			const struct policy_action *action,
			struct policy_diags *diags)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context->ctx);
	bool alone = action->n_host_dns == 1;

	X509_VERIFY_PARAM_set_hostflags(param,
					X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < action->n_host_dns; i++) {
		const char *name = action->host_dns[i];

		if (!add_name(param, name, alone)) {
			policy_diags_add(diags, POLICY_ERROR,
					 &action->rule_place, NULL,
					 "HostReferenceIdDNS \"%s\" cannot be checked%s",
					 name, is_address(name) ?
					 ": an address must be the only one" :
					 "");
			return -EINVAL;
		}
		if (!context->sni && !is_address(name))
			context->sni = strdup(name);
	}
	return 0;
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

void attlsd_verify_setup(SSL *ssl, unsigned int role)
{
	switch (role) {
	case ATTLS_ROLE_SERVER:
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		break;
	case ATTLS_ROLE_SERVER_PASS:
		SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
		break;
	case ATTLS_ROLE_CLIENT:
	case ATTLS_ROLE_SERVER_FULL:
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
		break;
	default:
		SSL_set_verify(ssl, SSL_VERIFY_PEER |
			       SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		break;
	}
}
