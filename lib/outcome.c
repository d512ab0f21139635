// SPDX-License-Identifier: GPL-2.0-only
/* What a handshake has come to, beside what SIOCTTLSCTL says. */
#include "internal.h"

#include <errno.h>
#include <linux/attls_sockopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Enough for most chains; more is asked for when the kernel says how much. */
#define ROOM	8192

/* A level that nobody knows is EOPNOTSUPP to get, and ENOPROTOOPT to set. */
static bool has_options(int fd)
{
	socklen_t none = 0;

	return !getsockopt(fd, SOL_ATTLS, ATTLS_SO_ALPN, "", &none) ||
	       errno != EOPNOTSUPP;
}

static int get_option(int fd, int option, void *value, socklen_t *len,
		      unsigned int reason)
{
	int ret = getsockopt(fd, SOL_ATTLS, option, value, len);

	if (ret && errno == EOPNOTSUPP)
		errno = has_options(fd) ? EOPNOTSUPP : ENOPROTOOPT;
	return attls_option(ret, reason);
}

char *attls_alpn(int fd)
{
	char protocol[ATTLS_ALPN_MAX], *copy;
	socklen_t len = sizeof(protocol);

	if (get_option(fd, ATTLS_SO_ALPN, protocol, &len, TTLS_JrOK))
		return NULL;
	copy = strndup(protocol, len);
	if (!copy)
		attls_fail(ENOMEM);
	return copy;
}

int attls_session(int fd, unsigned char *token)
{
	struct attls_session session;
	socklen_t len = sizeof(session);

	if (get_option(fd, ATTLS_SO_SESSION, &session, &len, TTLS_JrOK))
		return -1;
	if (!len)
		return 0;
	memcpy(token, session.token, sizeof(session.token));
	return 1;
}

/* Of what has failed, errno stays. */
static void drop(void *data)
{
	int error = errno;

	free(data);
	errno = error;
}

static unsigned char *get_once(int fd, int option, socklen_t *len)
{
	unsigned char *data = malloc(*len);

	if (!data) {
		attls_fail(ENOMEM);
		return NULL;
	}
	if (!get_option(fd, option, data, len, TTLS_JrOK))
		return data;
	drop(data);
	return NULL;
}

static unsigned char *get(int fd, int option, socklen_t *len)
{
	socklen_t room = ROOM;
	unsigned char *data;

	for (int i = 0; i < ATTLS_TRIES; i++) {
		*len = room;
		data = get_once(fd, option, len);
		if (data || errno != ERANGE || *len <= room)
			return data;
		room = *len;
	}
	return NULL;
}

/*
 * The bytes of the certificate at @der, a SEQUENCE whose length is in at most
 * three bytes more, X.690 section 8.1.3; 0: it is none.
 */
static size_t size_of(const unsigned char *der, size_t left)
{
	size_t head = 2, len;

	if (left < head || der[0] != 0x30)
		return 0;
	len = der[1];
	if (len >= 0x80) {
		head += len - 0x80;
		if (head < 3 || head > 5 || left < head)
			return 0;
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | der[i];
	}
	return len <= left - head ? head + len : 0;
}

/* How many certificates these are, noted in @certs unless it is NULL. */
static int split(const unsigned char *der, size_t left,
		 struct attls_der *certs, size_t *count)
{
	size_t len;

	for (*count = 0; left; ++*count, der += len, left -= len) {
		len = size_of(der, left);
		if (!len)
			return attls_fail(EBADMSG);
		if (certs)
			certs[*count] = (struct attls_der){ der, len };
	}
	return 0;
}

/* All in one piece: the chain, its list, the bytes. */
static struct attls_chain *chain_of(const unsigned char *der, size_t len)
{
	struct attls_chain *chain;
	struct attls_der *certs;
	size_t count;

	if (split(der, len, NULL, &count))
		return NULL;
	chain = malloc(sizeof(*chain) + count * sizeof(*certs) + len);
	if (!chain) {
		attls_fail(ENOMEM);
		return NULL;
	}
	certs = (struct attls_der *)(chain + 1);
	*chain = (struct attls_chain){ .certs = certs };
	split(memcpy(certs + count, der, len), len, certs, &chain->count);
	return chain;
}

static struct attls_chain *get_chain(int fd, int option)
{
	struct attls_chain *chain;
	unsigned char *der;
	socklen_t len;

	der = get(fd, option, &len);
	if (!der)
		return NULL;
	chain = chain_of(der, len);
	drop(der);
	return chain;
}

struct attls_chain *attls_peer_chain(int fd)
{
	return get_chain(fd, ATTLS_SO_PEER_CHAIN);
}

struct attls_chain *attls_own_chain(int fd)
{
	return get_chain(fd, ATTLS_SO_OWN_CHAIN);
}

int attls_export(int fd, const char *label, const void *context,
		 size_t context_len, void *out, size_t len)
{
	struct attls_exporter ask = {
		.flags = context ? ATTLS_EXPORTER_CONTEXT : 0,
		.label_len = strnlen(label, ATTLS_LABEL_MAX + 1),
		.context_len = context_len,
		.len = len,
		.label = (uintptr_t)label,
		.context = (uintptr_t)context,
		.out = (uintptr_t)out,
	};
	socklen_t size = sizeof(ask);

	/* The option has smaller integers, which would cut these off. */
	if (context_len > (context ? ATTLS_CONTEXT_MAX : 0) ||
	    len > ATTLS_EXPORT_MAX)
		return attls_refuse(ATTLS_JrExport);
	return get_option(fd, ATTLS_SO_EXPORTER, &ask, &size, ATTLS_JrExport);
}
