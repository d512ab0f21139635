// SPDX-License-Identifier: GPL-2.0-only
/* What a program wants of a handshake that is to come. */
#include "internal.h"

#include <linux/attls_sockopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(sizeof(((struct attls_session *)NULL)->token) ==
	       ATTLS_TOKEN_LEN, "a token of the kernel");

int attls_attach(int fd)
{
	return attls_option(setsockopt(fd, IPPROTO_TCP, TCP_ULP,
				       ATTLS_ULP_NAME, strlen(ATTLS_ULP_NAME)),
			    ATTLS_JrAttach);
}

int attls_set_peer_name(int fd, const char *host)
{
	size_t len = strlen(host);

	if (len >= ATTLS_PEER_NAME_MAX)
		return attls_refuse(ATTLS_JrPeerName);
	return attls_option(setsockopt(fd, SOL_ATTLS, ATTLS_SO_PEER_NAME,
				       host, len),
			    ATTLS_JrPeerName);
}

/* RFC 7301 section 3.1; the number of bytes, or -1. */
static int encode(const char *const *protocols, unsigned char *list)
{
	size_t at = 0, len;

	for (; *protocols; protocols++) {
		len = strlen(*protocols);
		if (!len || len >= ATTLS_ALPN_MAX - at)
			return -1;
		list[at++] = len;
		memcpy(list + at, *protocols, len);
		at += len;
	}
	return at;
}

int attls_set_alpn(int fd, const char *const *protocols)
{
	unsigned char list[ATTLS_ALPN_MAX];
	int len = encode(protocols, list);

	if (len < 0)
		return attls_refuse(ATTLS_JrAlpn);
	return attls_option(setsockopt(fd, SOL_ATTLS, ATTLS_SO_ALPN, list,
				       len),
			    ATTLS_JrAlpn);
}

int attls_set_session(int fd, const unsigned char *token, bool required)
{
	struct attls_session wish = {
		.flags = required ? ATTLS_SESSION_REQUIRED : 0,
	};

	if (required && !token)
		return attls_refuse(ATTLS_JrSession);
	if (token)
		memcpy(wish.token, token, sizeof(wish.token));
	return attls_option(setsockopt(fd, SOL_ATTLS, ATTLS_SO_SESSION, &wish,
				       sizeof(wish)),
			    ATTLS_JrSession);
}
