// SPDX-License-Identifier: GPL-2.0-only
/*
 * The certificates that were sent, by the peer and by us, for programs that
 * ask.
 *
 * OpenSSL keeps the encoding of a certificate that it has read, so this
 * copies more than it encodes.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of @first, which may be NULL, and @rest; written unless @at is NULL. */
static int encode(const X509 *first, const STACK_OF(X509) *rest, int from,
		  unsigned char **at)
{
	int total = first ? i2d_X509(first, at) : 0;
	int len = total;

	for (int i = from; len >= 0 && i < sk_X509_num(rest); i++) {
		len = i2d_X509(sk_X509_value(rest, i), at);
		total += len;
	}
	return len < 0 ? len : total;
}

/* More than the kernel takes is left out; a peer cannot have sent it. */
static int fill(struct attlsd_chain *chain, const X509 *first,
		const STACK_OF(X509) *rest, int from)
{
	int len = encode(first, rest, from, NULL);
	unsigned char *at;

	if (len < 0)
		return -ENOMEM;
	if (!len || len > ATTLS_CERT_MAX)
		return 0;
	chain->der = at = malloc(len);
	if (!at)
		return -ENOMEM;
	chain->len = len;
	return encode(first, rest, from, &at) == len ? 0 : -ENOMEM;
}

/*
 * What came behind the peer's own certificate.  OpenSSL has taken that out of
 * the chain of a client, but not of a server.  Even after an error
 * attlsd_chain_free() is due.
 */
int attlsd_chain_peer(struct attlsd_chain *chain, SSL *ssl)
{
	return fill(chain, NULL, SSL_get_peer_cert_chain(ssl),
		    SSL_is_server(ssl) ? 0 : 1);
}

/* What we have sent, our own certificate first; freed as the peer's. */
int attlsd_chain_own(struct attlsd_chain *chain, SSL *ssl,
		     const struct attlsd_records *rec)
{
	STACK_OF(X509) *rest = NULL;

	if (!rec->shown)
		return 0;
	SSL_get0_chain_certs(ssl, &rest);
	return fill(chain, SSL_get_certificate(ssl), rest, 0);
}

int attlsd_chain_set(struct attlsd_chain *chain, const uint8_t *der,
		     size_t len)
{
	if (!len)
		return 0;
	chain->der = malloc(len);
	if (!chain->der)
		return -ENOMEM;
	memcpy(chain->der, der, len);
	chain->len = len;
	return 0;
}

void attlsd_chain_free(struct attlsd_chain *chain)
{
	free(chain->der);
	chain->der = NULL;
	chain->len = 0;
}
