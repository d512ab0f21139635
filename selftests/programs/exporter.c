// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer of OpenSSL that says what keying material it exports (RFC 5705,
 * RFC 8446 section 7.5).
 *
 *	exporter client|server FD 1.2|1.3 ems|plain CERT KEY LABEL LENGTH
 *		[CONTEXT...]
 *
 * shakes hands on the socket FD and writes a line in hex without a context,
 * and one with each CONTEXT, which may be empty.  Then it reads until the
 * other side ends the connection.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static void fail(const char *what)
{
	ERR_print_errors_fp(stderr);
	errx(1, "%s", what);
}

static void export(SSL *ssl, const char *label, size_t len,
		   const char *context)
{
	unsigned char out[4096];

	if (len > sizeof(out))
		errx(2, "a length of at most %zu", sizeof(out));
	if (SSL_export_keying_material(ssl, out, len, label, strlen(label),
				       (const unsigned char *)context,
				       context ? strlen(context) : 0,
				       context != NULL) != 1)
		fail("export");
	for (size_t i = 0; i < len; i++)
		printf("%02x", out[i]);
	printf("\n");
}

static SSL *shake_hands(char **argv)
{
	int server = !strcmp(argv[1], "server");
	int version = !strcmp(argv[3], "1.2") ? TLS1_2_VERSION :
		      TLS1_3_VERSION;
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	SSL *ssl;

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, version) ||
	    !SSL_CTX_set_max_proto_version(ctx, version))
		fail("version");
	/* A client that is gone by then would be an error. */
	SSL_CTX_set_num_tickets(ctx, 0);
	if (!strcmp(argv[4], "plain"))
		SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	if (SSL_CTX_use_certificate_file(ctx, argv[5], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, argv[6], SSL_FILETYPE_PEM) != 1)
		fail("certificate");
	ssl = SSL_new(ctx);
	if (!ssl || !SSL_set_fd(ssl, atoi(argv[2])))
		fail("socket");
	if ((server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1)
		fail("handshake");
	return ssl;
}

int main(int argc, char **argv)
{
	char rest[256];
	SSL *ssl;

	if (argc < 9)
		errx(2, "client|server FD 1.2|1.3 ems|plain CERT KEY LABEL LENGTH [CONTEXT...]");
	ssl = shake_hands(argv);
	export(ssl, argv[7], atoi(argv[8]), NULL);
	for (int i = 9; i < argc; i++)
		export(ssl, argv[7], atoi(argv[8]), argv[i]);
	fflush(stdout);
	while (SSL_read(ssl, rest, sizeof(rest)) > 0)
		;
	return 0;
}
