// SPDX-License-Identifier: GPL-2.0-only
/*
 * Server names, RFC 6066 section 3: the one that a client asks for, and the
 * certificate that a server shows for each.
 *
 * All is made when the policy is read.  A name's certificate waits, with key
 * and chain, in an SSL_CTX that no connection is made from.
 */
#include "attlsd.h"
#include "format.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

struct attlsd_sni {
	const char *name;
	SSL_CTX	*shown;
};

static const struct attlsd_sni *find(const struct attlsd_context *context,
				     const char *name)
{
	for (size_t i = 0; i < context->n_names; i++)
		if (!strcasecmp(context->names[i].name, name))
			return &context->names[i];
	return NULL;
}

/* The client's algorithms have no other certificate to choose from. */
static bool show(SSL *ssl, const struct attlsd_sni *sni)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(sni->shown, &chain);
	SSL_certs_clear(ssl);
	return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(sni->shown),
				    SSL_CTX_get0_privatekey(sni->shown), chain,
				    1) == 1;
}

static int refuse(SSL *ssl, int *alert, int with, const char *why)
{
	attlsd_records_refused(ssl, why);
	*alert = with;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* For each ClientHello, with a name in it or without. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	const struct attlsd_context *context = arg;
	const struct policy_action *action;
	const struct attlsd_sni *sni;
	const char *name;

	action = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	/* What OpenSSL says is of the session, when one is resumed. */
	name = attlsd_tickets_name(ssl);
	if (!name && action->sni == POLICY_EXTENSION_REQUIRED)
		return refuse(ssl, alert, SSL_AD_MISSING_EXTENSION,
			      "no server name from the client, which the policy requires");
	sni = name ? find(context, name) : NULL;
	if (name && !sni && action->sni_match)
		return refuse(ssl, alert, SSL_AD_UNRECOGNIZED_NAME,
			      "the client asks for a server name that the policy does not list");
	if (!sni)
		return SSL_TLSEXT_ERR_NOACK;
	if (show(ssl, sni))
		return SSL_TLSEXT_ERR_OK;
	return refuse(ssl, alert, SSL_AD_INTERNAL_ERROR,
		      "the certificate for the server name cannot be used");
}

static int add_names(struct attlsd_context *context,
		     const struct policy_action *action,
		     const struct keyring *ring, struct policy_diags *diags)
{
	for (size_t i = 0; i < action->sni_names.n; i++) {
		SSL_CTX *shown = keyring_show(ring, context->ctx, action, i,
					      diags);

		if (!shown)
			return -EINVAL;
		context->names[context->n_names++] = (struct attlsd_sni) {
			.name = action->sni_names.name[i],
			.shown = shown,
		};
		keyring_advise_shown(ring, shown, action, POLICY_WARNING,
				     diags);
	}
	return 0;
}

/* The rest of @context is complete, and stays where it is. */
int attlsd_sni_init(struct attlsd_context *context,
		    const struct policy_action *action,
		    const struct keyring *ring, struct policy_diags *diags)
{
	if (!policy_role_is_server(action->role) ||
	    action->sni < POLICY_EXTENSION_OPTIONAL)
		return 0;
	context->names = calloc(action->sni_names.n, sizeof(*context->names));
	if (!context->names)
		return -ENOMEM;
	SSL_CTX_set_tlsext_servername_callback(context->ctx, on_client_hello);
	SSL_CTX_set_tlsext_servername_arg(context->ctx, context);
	return add_names(context, action, ring, diags);
}

void attlsd_sni_free(struct attlsd_context *context)
{
	for (size_t i = 0; i < context->n_names; i++)
		SSL_CTX_free(context->names[i].shown);
	free(context->names);
	context->names = NULL;
	context->n_names = 0;
}

/* What has the certificate of name @i. */
SSL_CTX *attlsd_sni_shown(const struct attlsd_context *context, size_t i)
{
	return context->names[i].shown;
}

/*
 * The name that a client asks for, or NULL: that of the program, which knows
 * whom it means, before that of the policy.
 */
const char *attlsd_sni_name(const SSL *ssl, const struct policy_action *action)
{
	const char *name = attlsd_wishes_peer(ssl);
	uint8_t addr[ATTLS_ADDR_LEN];

	if (name && !policy_parse_addr(name, addr))
		return name;
	if (action->sni == POLICY_EXTENSION_OFF)
		return NULL;
	if (action->sni_names.n)
		return action->sni_names.name[0];
	return action->host_dns.n ? action->host_dns.name[0] : NULL;
}

/* What a client misses once it is through; NULL: nothing. */
const char *attlsd_sni_lacks(const SSL *ssl, const struct policy_action *action,
			     const struct attlsd_records *rec)
{
	if (policy_role_is_server(action->role))
		return NULL;
	/* A warning, which OpenSSL passes over. */
	if (action->sni_match &&
	    rec->alert_received == SSL_AD_UNRECOGNIZED_NAME)
		return "the server does not know the name that it was asked for";
	if (action->sni == POLICY_EXTENSION_REQUIRED &&
	    !SSL_SESSION_get0_hostname(SSL_get_session(ssl)))
		return "the server ignores the name that it was asked for, which the policy requires";
	return NULL;
}
