// SPDX-License-Identifier: GPL-2.0-only
/* Cases: the server takes its time to accept, or never does. */
#include "calls.h"
#include <netinet/in.h>
#include <netinet/ip.h>

static char buf[65536];

/* A client whose connect is done; nobody has accepted it. */
static int early_client(void)
{
	int a = stream_socket(AF_INET);

	block(a, false);
	connect_to(a, port);
	POLLS_SOON(a, POLLOUT);
	block(a, true);
	return a;
}

static void exchange(int a, int b)
{
	put(a, 0, 1000);
	get(b, 0, 1000);
	put(b, 0, 1000);
	get(a, 0, 1000);
}

/* In the order in which they came, with what they have sent meanwhile. */
CASE(accept_late, 0)
{
	int l = listener(), a[4], b, i;

	for (i = 0; i < 4; i++) {
		a[i] = early_client();
		buf[0] = '0' + i;
		MUST(send(a[i], buf, 1, 0));
	}
	for (i = 0; i < 4; i++) {
		b = MUST(accept(l, NULL, NULL));
		GIVES(recv(b, buf, 1, 0));
		say("connection %c", buf[0]);
		exchange(a[i], b);
		close(b);
		GIVES(recv(a[i], buf, 1, 0));
	}
}

CASE(accept_late_nonblocking, 0)
{
	int l = listener(), a, b;

	block(l, false);
	a = early_client();
	nap(100);
	POLLS(l, POLL_ALL);
	b = MUST(accept4(l, NULL, NULL, SOCK_NONBLOCK));
	GIVES(accept(l, NULL, NULL));
	POLLS(l, POLL_ALL);
	wait_events(b, POLLOUT);
	block(b, true);
	exchange(a, b);
}

/* All that the client has to say is said before accept. */
CASE(accept_late_half_closed, 0)
{
	int l = listener(), a = early_client(), b;

	put(a, 0, 1000);
	GIVES(shutdown(a, SHUT_WR));
	nap(100);
	b = MUST(accept(l, NULL, NULL));
	get(b, 0, 1000);
	GIVES(recv(b, buf, 1, 0));
	put(b, 0, 1000);
	get(a, 0, 1000);
	GIVES(close(b));
	GIVES(recv(a, buf, 1, 0));
}

CASE(accept_late_after_reset, 0)
{
	int l = listener(), a = early_client(), b;

	nap(100);
	reset(a);
	b = MUST(accept(l, NULL, NULL));
	GIVES(recv(b, buf, 10, 0));
	GIVES(send(b, buf, 10, MSG_NOSIGNAL));
}

/* A thread that waits in accept has what comes first. */
CASE(accept_waits_and_others_are_late, 0)
{
	int l = listener(), a, b;
	pid_t pid = CHILD(b = MUST(accept(l, NULL, NULL)); get(b, 0, 100);
			  put(b, 0, 100));

	asleep(pid);
	a = early_client();
	early_client();
	nap(100);
	put(a, 0, 100);
	get(a, 0, 100);
	join(pid);
}

static void must_be_reset(int a)
{
	POLLS_SOON(a, POLLIN);
	GIVES(recv(a, buf, 10, 0));
	close(a);
}

/* The port is free again at once: nothing is left of the connection. */
CASE(close_listener_before_accept, 0)
{
	struct sockaddr_in sin;
	int l = listener(), a = early_client(), again;

	nap(100);
	GIVES(close(l));
	again = stream_socket(AF_INET);
	address(&sin, port);
	GIVES(bind(again, (void *)&sin, sizeof(sin)));
	GIVES(listen(again, 5));
	must_be_reset(a);
}

CASE(shutdown_listener_before_accept, 0)
{
	int l = listener(), a = early_client(), b;

	nap(100);
	GIVES(shutdown(l, SHUT_RDWR));
	GIVES(listen(l, 5));
	must_be_reset(a);
	a = early_client();
	b = MUST(accept(l, NULL, NULL));
	exchange(a, b);
}

/* Setting it drops the route of the socket, which kTLS looks at. */
CASE(accept_then_IP_TOS, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b, i;

	for (i = 0; i < 8; i++) {
		close(a);
		a = stream_socket(AF_INET);
		block(a, false);
		connect_to(a, port);
		b = MUST(accept(l, NULL, NULL));
		set_int(b, IPPROTO_IP, IP_TOS, IPTOS_THROUGHPUT);
		wait_events(a, POLLOUT);
		block(a, true);
		exchange(a, b);
		close(b);
	}
}
