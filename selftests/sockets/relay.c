// SPDX-License-Identifier: GPL-2.0-only
/*
 * The foreign peer: a server by OpenSSL that sends a session ticket before
 * each piece of data.  The case gets a local socket; what it does there, the
 * relay does on the wire.
 */
#include "calls.h"
#include <linux/sockios.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>

struct relay {
	SSL	*ssl;
	int	wire;
	int	local;
};

/* One relay a case is enough. */
static struct relay the;
static atomic_bool idle;

/* The certificate comes from the test: CALLS_CERT, CALLS_KEY. */
static SSL_CTX *context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx ||
	    SSL_CTX_use_certificate_chain_file(ctx, getenv("CALLS_CERT")) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, getenv("CALLS_KEY"),
					SSL_FILETYPE_PEM) != 1)
		die("relay: certificate");
	SSL_CTX_set_num_tickets(ctx, 2);
	return ctx;
}

static void write_wire(const char *buf, int len)
{
	if (SSL_version(the.ssl) == TLS1_3_VERSION)
		SSL_new_session_ticket(the.ssl);
	SSL_write(the.ssl, buf, len);
}

/* Local data, or its end, to the wire.  False: that direction is done. */
static bool from_local(void)
{
	static char buf[16384];
	ssize_t n = recv(the.local, buf, sizeof(buf), 0);

	if (n > 0) {
		write_wire(buf, n);
		return true;
	}
	if (SSL_version(the.ssl) == TLS1_3_VERSION) {
		SSL_new_session_ticket(the.ssl);
		SSL_do_handshake(the.ssl);
	}
	SSL_shutdown(the.ssl);
	shutdown(the.wire, SHUT_WR);
	return false;
}

static bool from_wire(void)
{
	static char buf[16384];
	int n;

	do {
		n = SSL_read(the.ssl, buf, sizeof(buf));
		if (n <= 0) {
			shutdown(the.local, SHUT_WR);
			return false;
		}
		send(the.local, buf, n, MSG_NOSIGNAL);
	} while (SSL_has_pending(the.ssl));
	return true;
}

static void *relay_work(void *arg)
{
	struct pollfd p[2] = {
		{ .fd = the.local, .events = POLLIN },
		{ .fd = the.wire, .events = POLLIN },
	};

	sigset_t pipe;

	/* OpenSSL writes to whoever has gone. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	if (SSL_accept(the.ssl) != 1)
		die("relay: handshake");
	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (!poll(p, 2, 0)) {
			atomic_store(&idle, true);
			poll(p, 2, -1);
			atomic_store(&idle, false);
		}
		if (p[0].revents && !from_local())
			p[0].fd = -1;
		if (p[1].revents && !from_wire())
			p[1].fd = -1;
	}
	close(the.wire);
	close(the.local);
	atomic_store(&idle, true);
	return arg;
}

/* Accepts from @l; the local side of the connection. */
int relay(int l)
{
	pthread_t thread;
	int ends[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	the.wire = MUST(accept(l, NULL, NULL));
	the.local = ends[1];
	the.ssl = SSL_new(context());
	SSL_set_fd(the.ssl, the.wire);
	if (pthread_create(&thread, NULL, relay_work, NULL))
		die("relay: thread");
	return ends[0];
}

/* Nothing under way inside, nor on the wire. */
void relay_settle(void)
{
	int left, tries;

	for (tries = 0; tries < 2000; tries++) {
		nap(5);
		if (!atomic_load(&idle))
			continue;
		if (ioctl(the.wire, SIOCOUTQ, &left) || !left)
			return;
	}
}
