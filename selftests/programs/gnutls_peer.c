// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer of GnuTLS that begins TLS and ends it as it is told, and goes on in
 * clear on the same connection, which is its standard input.
 *
 *	gnutls_peer client PRIORITY CA HOST
 *	gnutls_peer server PRIORITY CERTIFICATE KEY
 *
 * It echoes lines, and does what some of them say.  In clear: "tls", TLS
 * begins.  Under TLS: "bye", it sends close_notify and waits for ours; "bye
 * hello", the same, but hello is behind close_notify in clear, and both leave
 * in one segment.  To a close_notify it answers with its own.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char **args;		/* ROLE and what is behind it */
static gnutls_certificate_credentials_t credentials;
static char line[1024];

static void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static int check(int ret, const char *what)
{
	if (ret < 0)
		die(what, gnutls_strerror(ret));
	return ret;
}

static int is_server(void)
{
	return !strcmp(args[0], "server");
}

static void load_credentials(void)
{
	check(gnutls_certificate_allocate_credentials(&credentials), "memory");
	if (is_server())
		check(gnutls_certificate_set_x509_key_file(
			credentials, args[2], args[3], GNUTLS_X509_FMT_PEM),
		      args[2]);
	else
		check(gnutls_certificate_set_x509_trust_file(
			credentials, args[2], GNUTLS_X509_FMT_PEM), args[2]);
}

static gnutls_session_t begin(void)
{
	gnutls_session_t tls;
	int ret;

	check(gnutls_init(&tls, is_server() ? GNUTLS_SERVER : GNUTLS_CLIENT),
	      "session");
	check(gnutls_priority_set_direct(tls, args[1], NULL), args[1]);
	check(gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials),
	      "credentials");
	if (!is_server())
		gnutls_session_set_verify_cert(tls, args[3], 0);
	gnutls_transport_set_int(tls, 0);
	do
		ret = gnutls_handshake(tls);
	while (ret < 0 && !gnutls_error_is_fatal(ret));
	check(ret, "handshake");
	return tls;
}

static void put(const char *text)
{
	if (write(0, text, strlen(text)) != (ssize_t)strlen(text))
		die("write", strerror(errno));
}

/* A line in clear, byte by byte: what is behind it may be TLS. */
static int read_line(void)
{
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(0, line + n, 1) == 1)
		if (line[n++] == '\n')
			break;
	line[n] = 0;
	return n > 0;
}

static ssize_t receive(gnutls_session_t tls)
{
	ssize_t n;

	do
		n = gnutls_record_recv(tls, line, sizeof(line) - 1);
	while (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_AGAIN ||
	       n == GNUTLS_E_REHANDSHAKE);
	line[check(n, "record")] = 0;
	return n;
}

static void cork(int on)
{
	if (setsockopt(0, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)))
		die("TCP_CORK", strerror(errno));
}

/* close_notify and clear bytes, and then until the other's close_notify. */
static void stop_in_one_segment(gnutls_session_t tls, const char *clear)
{
	cork(1);
	check(gnutls_bye(tls, GNUTLS_SHUT_WR), "close_notify");
	put(clear);
	cork(0);
	if (receive(tls))
		die("data behind close_notify", line);
}

/* Until it is over, which one of both says. */
static void under_tls(gnutls_session_t tls)
{
	while (receive(tls)) {
		if (!strncmp(line, "bye ", 4)) {
			stop_in_one_segment(tls, line + 4);
			return;
		}
		if (!strcmp(line, "bye\n"))
			break;
		check(gnutls_record_send(tls, line, strlen(line)), "send");
	}
	check(gnutls_bye(tls, GNUTLS_SHUT_RDWR), "bye");
}

int main(int argc, char **argv)
{
	gnutls_session_t tls;

	if (argc != 5)
		die(argv[0], "see its source");
	args = argv + 1;
	load_credentials();
	while (read_line()) {
		if (strcmp(line, "tls\n")) {
			put(line);
			continue;
		}
		tls = begin();
		under_tls(tls);
		gnutls_deinit(tls);
	}
	gnutls_certificate_free_credentials(credentials);
	return 0;
}
