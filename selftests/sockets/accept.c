// SPDX-License-Identifier: GPL-2.0-only
/* Cases: listeners, accept, and what is inherited. */
#include "calls.h"
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static char buf[65536];

/* A client under way, for a listener to accept. */
static int begin_client(void)
{
	int a = stream_socket(AF_INET);

	block(a, false);
	connect_to(a, port);
	return a;
}

static void check_both(int a, int b)
{
	wait_events(a, POLLOUT);
	block(a, true);
	put(a, 0, 1000);
	get(b, 0, 1000);
	put(b, 0, 1000);
	get(a, 0, 1000);
}

static void accept_with(int flags)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int l = listener(), a = begin_client(), b;

	b = MUST(accept4(l, (void *)&sin, &len, flags));
	say("len %u family %u", len, sin.sin_family);
	say("FD_CLOEXEC %d", (int)MUST(fcntl(b, F_GETFD)));
	say("O_NONBLOCK %d", !!(MUST(fcntl(b, F_GETFL)) & O_NONBLOCK));
	if (flags & SOCK_NONBLOCK) {
		GIVES(recv(b, buf, 10, 0));
		wait_events(b, POLLOUT);
		GIVES(recv(b, buf, 10, 0));
		block(b, true);
	}
	check_both(a, b);
}

CASE(accept, 0)
{
	accept_with(0);
}

CASE(accept4, 0)
{
	accept_with(SOCK_NONBLOCK | SOCK_CLOEXEC);
}

CASE(accept_nonblocking, 0)
{
	int l = listener(), a, b;

	block(l, false);
	GIVES(accept(l, NULL, NULL));
	POLLS(l, POLL_ALL);
	a = begin_client();
	POLLS_SOON(l, POLL_ALL);
	b = MUST(accept(l, NULL, NULL));
	say("O_NONBLOCK %d", !!(MUST(fcntl(b, F_GETFL)) & O_NONBLOCK));
	GIVES(accept4(l, NULL, NULL, 0x7));
	check_both(a, b);
}

/* The server's first call is a read that waits; the client writes first. */
CASE(accept_then_recv, 0)
{
	int l = listener(), a = begin_client(), b = MUST(accept(l, NULL, NULL));
	pid_t pid = CHILD(get(b, 0, 100));

	asleep(pid);
	wait_events(a, POLLOUT);
	put(a, 0, 100);
	join(pid);
}

CASE(accept_then_send, 0)
{
	int l = listener(), a = begin_client(), b = MUST(accept(l, NULL, NULL));
	pid_t pid = CHILD(put(b, 0, 100));

	wait_events(a, POLLOUT);
	block(a, true);
	get(a, 0, 100);
	join(pid);
}

CASE(accept_then_shutdown_WR, 0)
{
	int l = listener(), a = begin_client(), b = MUST(accept(l, NULL, NULL));

	GIVES(shutdown(b, SHUT_WR));
	GIVES(send(b, buf, 10, MSG_NOSIGNAL));
	POLLS(b, POLL_ALL);
	wait_events(a, POLLIN);
	GIVES(recv(a, buf, 10, 0));
	block(a, true);
	put(a, 0, 100);
	get(b, 0, 100);
}

CASE(accept_then_close, 0)
{
	int l = listener(), a = begin_client(), b = MUST(accept(l, NULL, NULL));

	GIVES(close(b));
	wait_events(a, POLLIN);
	GIVES(recv(a, buf, 10, 0));
}

CASE(accept_after_client_reset, 0)
{
	int l = listener(), a = begin_client(), b;

	wait_events(l, POLLIN);
	reset(a);
	b = MUST(accept(l, NULL, NULL));
	GIVES(recv(b, buf, 10, 0));
	GIVES(recv(b, buf, 10, 0));
	GIVES(send(b, buf, 10, MSG_NOSIGNAL));
}

CASE(accept_inherits, 0)
{
	int l = listener(), a, b;

	set_int(l, SOL_TCP, TCP_NODELAY, 1);
	set_int(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(l, SOL_SOCKET, SO_RCVLOWAT, 50);
	set_int(l, SOL_SOCKET, SO_OOBINLINE, 1);
	set_int(l, SOL_TCP, TCP_KEEPIDLE, 77);
	set_int(l, SOL_TCP, TCP_USER_TIMEOUT, 7777);
	set_int(l, SOL_SOCKET, SO_RCVBUF, 20000);
	set_int(l, SOL_SOCKET, SO_SNDBUF, 20000);
	set_int(l, SOL_IP, 1 /* IP_TOS */, 0x10);
	a = begin_client();
	b = take(l);
	GIVES(get_int(b, SOL_TCP, TCP_NODELAY));
	check_both(a, b);
	GIVES(get_int(b, SOL_TCP, TCP_NODELAY));
	GIVES(get_int(b, SOL_SOCKET, SO_KEEPALIVE));
	GIVES(get_int(b, SOL_SOCKET, SO_RCVLOWAT));
	GIVES(get_int(b, SOL_SOCKET, SO_OOBINLINE));
	GIVES(get_int(b, SOL_TCP, TCP_KEEPIDLE));
	GIVES(get_int(b, SOL_TCP, TCP_USER_TIMEOUT));
	GIVES(get_int(b, SOL_SOCKET, SO_RCVBUF));
	GIVES(get_int(b, SOL_SOCKET, SO_SNDBUF));
	GIVES(get_int(b, SOL_IP, 1));
}

CASE(calls_on_a_listener, 0)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int l = listener(), n;

	GIVES(send(l, buf, 10, MSG_NOSIGNAL));
	GIVES(recv(l, buf, 10, 0));
	GIVES(recv(l, buf, 10, MSG_ERRQUEUE));
	GIVES(ioctl(l, FIONREAD, &n));
	GIVES(ioctl(l, SIOCOUTQ, &n));
	GIVES(connect_to(l, port));
	GIVES(getpeername(l, (void *)&sin, &len));
	GIVES(getsockname(l, (void *)&sin, &len));
	GIVES(get_int(l, SOL_SOCKET, SO_ACCEPTCONN));
	GIVES(get_int(l, SOL_SOCKET, SO_ERROR));
	GIVES(shutdown(l, SHUT_WR));
	GIVES(listen(l, 5));
	POLLS(l, POLL_ALL);
	GIVES(setsockopt(l, SOL_TCP, TCP_ULP, "none", 4));
	GIVES(shutdown(l, SHUT_RDWR));
	POLLS(l, POLL_ALL);
	GIVES(accept(l, NULL, NULL));
	GIVES(listen(l, 5));
}

CASE(calls_on_an_unconnected_socket, 0)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int s = stream_socket(AF_INET), n;

	GIVES(send(s, buf, 10, MSG_NOSIGNAL));
	GIVES(recv(s, buf, 10, 0));
	GIVES(ioctl(s, FIONREAD, &n));
	GIVES(getpeername(s, (void *)&sin, &len));
	GIVES(shutdown(s, SHUT_WR));
	POLLS(s, POLL_ALL);
	GIVES(accept(s, NULL, NULL));
}

/* A listener that becomes a client. */
CASE(listener_connects, 0)
{
	int l = listener(), s = listener_on(AF_INET, port + 5000 - 1), b;
	pid_t pid;

	GIVES(shutdown(s, SHUT_RD));
	pid = CHILD(GIVES(connect_to(s, port)));
	b = take(l);
	join(pid);
	must_be_protected(s);
	check_both(s, b);
}

CASE(close_wakes_accept, 0)
{
	int l = listener();
	pid_t pid = CHILD(GIVES(accept(l, NULL, NULL)));

	asleep(pid);
	MUST(shutdown(l, SHUT_RD));
	join(pid);
}

CASE(MPTCP_listener, 0)
{
	struct sockaddr_in sin;
	int l = MUST(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)), a, b;

	address(&sin, port);
	MUST(bind(l, (void *)&sin, sizeof(sin)));
	MUST(listen(l, 16));
	pair_from(l, &a, &b);
	check_both(a, b);
	GIVES(get_int(b, SOL_SOCKET, SO_PROTOCOL));
	GIVES(shutdown(b, SHUT_WR));
	drain(a, 1000);
}

/* kTLS cannot go under MPTCP: no data may pass. */
CASE(MPTCP_connection, 0)
{
	struct sockaddr_in sin;
	int l = MUST(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)), b;
	int a = MUST(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));

	address(&sin, port);
	MUST(bind(l, (void *)&sin, sizeof(sin)));
	MUST(listen(l, 16));
	block(a, false);
	connect_to(a, port);
	wait_events(l, POLLIN);
	b = MUST(accept(l, NULL, NULL));
	fill(buf, 0, 1000);
	wait_events(a, POLLOUT);
	DESIGN(send(a, buf, 1000, MSG_NOSIGNAL), ECONNRESET);
	DESIGN(recv(b, buf, 1000, 0), ECONNRESET);
}

CASE(IPv6, 0)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int l = listener_on(AF_INET6, port), a = stream_socket(AF_INET6), b;

	block(a, false);
	connect(a, (void *)&sin6, sizeof(sin6));
	b = take(l);
	check_both(a, b);
	must_be_protected(a);
	must_be_protected(b);
	GIVES(shutdown(a, SHUT_WR));
	drain(b, 1000);
}

CASE(IPV6_ADDRFORM, 0)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr.s6_addr = { [10] = 255, 255, 127, 0, 0, 1 },
	};
	int l = listener_on(AF_INET6, port), a = stream_socket(AF_INET6), b;
	int family = AF_INET;

	block(a, false);
	connect(a, (void *)&sin6, sizeof(sin6));
	b = take(l);
	check_both(a, b);
	must_be_protected(a);
	DESIGN(setsockopt(a, SOL_IPV6, IPV6_ADDRFORM, &family, sizeof(family)),
	       EPERM);
	DESIGN(setsockopt(b, SOL_IPV6, IPV6_ADDRFORM, &family, sizeof(family)),
	       EPERM);
	check_both(a, b);
}
