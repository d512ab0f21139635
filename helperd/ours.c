// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of ours hangs on an SSL, where callbacks of OpenSSL find it.
 *
 * OpenSSL numbers what is hung on its objects in each library context anew,
 * and a rule with FIPS140 has one of its own: two things could get the same
 * number.  The one place that has no number, app data, holds all of them.
 */
#include "attlsd.h"

#include <stdlib.h>

/* To be freed by attlsd_ssl_free(); NULL: no memory. */
SSL *attlsd_ssl_new(SSL_CTX *ctx)
{
	struct attlsd_ours *ours = calloc(1, sizeof(*ours));
	SSL *ssl = ours ? SSL_new(ctx) : NULL;

	if (ssl && SSL_set_app_data(ssl, ours))
		return ssl;
	SSL_free(ssl);
	free(ours);
	return NULL;
}

/* NULL is taken. */
void attlsd_ssl_free(SSL *ssl)
{
	struct attlsd_ours *ours = ssl ? attlsd_ours(ssl) : NULL;

	SSL_free(ssl);
	if (!ours)
		return;
	free(ours->wishes);
	free(ours->tickets);
	free(ours->refused);
	free(ours);
}
