// SPDX-License-Identifier: GPL-2.0-only
/*
 * Smaller records, RFC 6066 section 4: a client asks, and both sides keep to
 * what the server grants.  OpenSSL grants it to each client that asks.
 */
#include "attlsd.h"

#include <errno.h>

#define LENGTH_OF(code)	(256U << (code))

int attlsd_fragment_offer(SSL_CTX *ctx, const struct policy_action *action)
{
	uint8_t code = TLSEXT_max_fragment_length_512;

	if (policy_role_is_server(action->role) ||
	    action->fragment < POLICY_EXTENSION_OPTIONAL)
		return 0;
	while (LENGTH_OF(code) < action->fragment_length)
		code++;
	return SSL_CTX_set_tlsext_max_fragment_length(ctx, code) ? 0 : -EINVAL;
}

/* What was agreed on, in bytes; 0: nothing. */
uint16_t attlsd_fragment_agreed(const SSL *ssl)
{
	uint8_t code;

	code = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));
	if (code < TLSEXT_max_fragment_length_512 ||
	    code > TLSEXT_max_fragment_length_4096)
		return 0;
	return LENGTH_OF(code);
}

/* What is missing once the handshake is through; NULL: nothing. */
const char *attlsd_fragment_lacks(const SSL *ssl,
				  const struct policy_action *action)
{
	if (action->fragment != POLICY_EXTENSION_REQUIRED ||
	    attlsd_fragment_agreed(ssl))
		return NULL;
	return policy_role_is_server(action->role) ?
	       "the client does not ask for smaller records, which the policy requires" :
	       "the server does not grant smaller records, which the policy requires";
}
