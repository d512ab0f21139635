// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups of key exchange, and signature algorithms: what of them the policy
 * lets be offered and taken.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX	1024		/* all names that policies know */

/* As IANA numbers it, 0: none; OpenSSL tells only its name. */
uint16_t attlsd_group_id(const SSL *ssl)
{
	const char *name = SSL_get0_group_name((SSL *)ssl);
	const struct policy_code *code = name ? policy_group_named(name) :
					 NULL;

	return code ? code->id : 0;
}

static bool has(const struct policy_code_list *list,
		const struct policy_code *code)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->code[i] == code)
			return true;
	return false;
}

/* Appends to a list as OpenSSL reads it what is not in @but. */
static void append(char *text, const struct policy_code_list *list,
		   const char *mark, const struct policy_code_list *but)
{
	size_t used = strlen(text);

	for (size_t i = 0; i < list->n; i++)
		if (!has(but, list->code[i]))
			used += (size_t)snprintf(text + used, LIST_MAX - used,
						 "%s%s%s", used ? ":" : "",
						 mark, list->code[i]->openssl);
}

static const struct policy_code_list none;

static int set_client_groups(SSL_CTX *ctx, const struct policy_action *action)
{
	char text[LIST_MAX] = "";

	append(text, &action->key_shares, "*", &none);
	append(text, &action->curves, "", &action->key_shares);
	return SSL_CTX_set1_groups_list(ctx, text) ? 0 : -EINVAL;
}

/* Will the version be TLS 1.3?  RFC 8446 section 4.2.1. */
static bool wants_tls13(SSL *ssl, const struct policy_action *action)
{
	const unsigned char *p;
	size_t len;

	if (!action->tls13 ||
	    !SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions,
				       &p, &len))
		return false;
	for (size_t i = 1; i + 1 < len; i += 2)
		if (p[i] == TLS1_3_VERSION >> 8 &&
		    p[i + 1] == (TLS1_3_VERSION & 0xff))
			return true;
	return false;
}

/*
 * For each ClientHello: a server's list depends on the version, which the
 * client decides.
 */
int attlsd_groups_hello(SSL *ssl, const struct policy_action *action)
{
	const struct policy_code_list *list;
	char text[LIST_MAX] = "";

	list = wants_tls13(ssl, action) ? &action->key_shares :
	       &action->curves;
	append(text, list, "", &none);
	return !list->n || SSL_set1_groups_list(ssl, text) ? 0 : -EINVAL;
}

/* Negative: OpenSSL does not know one. */
int attlsd_groups_set(SSL_CTX *ctx, const struct policy_action *action)
{
	char text[LIST_MAX] = "";

	if (action->sigalgs.n) {
		append(text, &action->sigalgs, "", &none);
		if (!SSL_CTX_set1_sigalgs_list(ctx, text))
			return -EINVAL;
	}
	if (!action->key_shares.n && !action->curves.n)
		return 0;
	return policy_role_is_server(action->role) ? 0 :
	       set_client_groups(ctx, action);
}
