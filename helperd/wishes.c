// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program wishes of its handshake: whom a client means, and protocols
 * for ALPN.  See uapi/linux/attls_sockopt.h.
 *
 * An SSL_CTX is one for all connections of a rule, so the wishes hang on the
 * SSL, where the callbacks find them.
 */
#include "attlsd.h"
#include "format.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wishes {
	struct attls_wishes said;
	char	why[ATTLSD_WHY];	/* one was not fulfilled; or "" */
};

/* NULL: the program has none. */
static struct wishes *wishes_of(const SSL *ssl)
{
	return attlsd_ours(ssl)->wishes;
}

static bool is_list(const uint8_t *list, uint32_t len)
{
	uint32_t at = 0;

	if (len > ATTLS_ALPN_MAX)
		return false;
	while (at < len) {
		if (!list[at])
			return false;
		at += 1 + list[at];
	}
	return at == len;
}

/* The dot at the end, of the root, is not sent, nor is it in certificates. */
static void cut_root(char *name)
{
	size_t len = strlen(name);

	if (len > 1 && name[len - 1] == '.')
		name[len - 1] = '\0';
}

/* NULL, or what is wrong; the kernel has looked at it, less closely. */
static const char *peer_wrong(char *name, uint8_t role)
{
	uint8_t addr[ATTLS_ADDR_LEN];

	if (strnlen(name, ATTLS_PEER_NAME_MAX) == ATTLS_PEER_NAME_MAX)
		return "it has no end";
	if (!*name)
		return NULL;
	if (policy_role_is_server(role))
		return "a server expects nobody";
	cut_root(name);
	return policy_parse_addr(name, addr) ? NULL : policy_dns_wrong(name);
}

static bool are_good(struct attls_wishes *said, uint8_t role,
		     struct attlsd_failure *failure)
{
	const char *wrong = peer_wrong(said->peer_name, role);

	attlsd_failure_set(failure, ATTLS_REASON_HANDSHAKE, 3, "");
	if (wrong)
		snprintf(failure->text, sizeof(failure->text),
			 "the program expects a partner named \"%.*s\": %s",
			 ATTLS_PEER_NAME_MAX, said->peer_name, wrong);
	else if (!is_list(said->alpn, said->alpn_len))
		snprintf(failure->text, sizeof(failure->text),
			 "the program's protocols for ALPN are no list of them (%u bytes)",
			 said->alpn_len);
	return !failure->text[0];
}

static bool read_wishes(struct wishes *wishes, const struct attls_request *req,
			struct attlsd_failure *failure)
{
	int ret = attlsd_agent_wishes(req->fd, &wishes->said);

	if (!ret)
		return are_good(&wishes->said, req->role, failure);
	attlsd_failure_set(failure, ATTLS_REASON_HANDSHAKE, 3, "");
	snprintf(failure->text, sizeof(failure->text),
		 "what the program wishes cannot be read: %s", strerror(-ret));
	return false;
}

/* False: they cannot be fulfilled, and @failure says why. */
bool attlsd_wishes_take(SSL *ssl, const struct attls_request *req,
			struct attlsd_failure *failure)
{
	struct wishes *wishes;

	if (!(req->flags & ATTLS_REQUEST_WISHES))
		return true;
	wishes = calloc(1, sizeof(*wishes));
	attlsd_ours(ssl)->wishes = wishes;
	if (wishes)
		return read_wishes(wishes, req, failure);
	attlsd_failure_set(failure, ATTLS_REASON_NO_MEMORY, 4, "no memory");
	return false;
}

/* All of them, or NULL. */
const struct attls_wishes *attlsd_wishes_said(const SSL *ssl)
{
	const struct wishes *wishes = wishes_of(ssl);

	return wishes ? &wishes->said : NULL;
}

/* The host that a client means, a name or an address in text, or NULL. */
const char *attlsd_wishes_peer(const SSL *ssl)
{
	const struct wishes *wishes = wishes_of(ssl);

	return wishes && wishes->said.peer_name[0] ? wishes->said.peer_name :
	       NULL;
}

/* OpenSSL has found that @cert is not for the host that is expected. */
void attlsd_wishes_mismatch(SSL *ssl, const X509 *cert)
{
	struct wishes *wishes = wishes_of(ssl);
	char names[160];

	if (!attlsd_wishes_peer(ssl))
		return;
	attlsd_peer_text(cert, names, sizeof(names));
	snprintf(wishes->why, sizeof(wishes->why),
		 "certificate of the partner is not for %s, which the program expects, but for %s",
		 wishes->said.peer_name, names);
}

/* Why a wish was not fulfilled, or NULL. */
const char *attlsd_wishes_why(const SSL *ssl)
{
	const struct wishes *wishes = wishes_of(ssl);

	return wishes && wishes->why[0] ? wishes->why : NULL;
}

/* The protocols of a client. */
int attlsd_wishes_offer(SSL *ssl)
{
	const struct wishes *wishes = wishes_of(ssl);

	if (!wishes || !wishes->said.alpn_len)
		return 0;
	/* Unlike its neighbours it returns 0 when it has worked. */
	return SSL_set_alpn_protos(ssl, wishes->said.alpn,
				   wishes->said.alpn_len) ? -ENOMEM : 0;
}

/* Protocols for people, as many as fit; they need not be text. */
static void list_text(char *text, size_t size, const uint8_t *list, size_t len)
{
	size_t left = 0, n = 0;

	for (size_t i = 0; i < len && n < size - 1; i++) {
		if (left) {
			text[n++] = isgraph(list[i]) ? list[i] : '?';
			left--;
			continue;
		}
		left = list[i];
		if (i)
			text[n++] = ' ';
	}
	text[n] = '\0';
}

static void note_no_protocol(SSL *ssl, struct wishes *wishes,
			     const uint8_t *offer, size_t len)
{
	char ours[ATTLS_ALPN_MAX + 1], theirs[ATTLS_ALPN_MAX + 1];

	list_text(ours, sizeof(ours), wishes->said.alpn, wishes->said.alpn_len);
	list_text(theirs, sizeof(theirs), offer, len);
	snprintf(wishes->why, sizeof(wishes->why),
		 "the client offers the protocols %.200s, and the program has only %.200s",
		 theirs, ours);
	attlsd_records_refused(ssl, wishes->why);
}

static bool has(const uint8_t *list, size_t len, const uint8_t *protocol)
{
	for (size_t at = 0; at < len; at += 1 + list[at])
		if (list[at] == *protocol && len - at > *protocol &&
		    !memcmp(list + at, protocol, 1 + *protocol))
			return true;
	return false;
}

/* The first of ours that the client offers: a server knows what it is for. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *offer, unsigned int offer_len,
		   void *arg)
{
	struct wishes *wishes = wishes_of(ssl);
	const struct attls_wishes *said;

	if (!wishes || !wishes->said.alpn_len)
		return SSL_TLSEXT_ERR_NOACK;
	said = &wishes->said;
	for (size_t at = 0; at < said->alpn_len; at += 1 + said->alpn[at]) {
		if (!has(offer, offer_len, said->alpn + at))
			continue;
		*out = said->alpn + at + 1;
		*out_len = said->alpn[at];
		return SSL_TLSEXT_ERR_OK;
	}
	note_no_protocol(ssl, wishes, offer, offer_len);
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void attlsd_wishes_prepare(SSL_CTX *ctx)
{
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}
