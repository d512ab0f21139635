// SPDX-License-Identifier: GPL-2.0-only
/* Cases: the server takes its time to accept, or never does. */
#include "calls.h"
#include <netinet/in.h>
#include <netinet/ip.h>
#include <signal.h>

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

static void on_signal(int signo)
{
}

/* accept() with a limit in time waits for it, and is not restarted. */
CASE(accept_times_out, 0)
{
	struct timeval tv = { .tv_usec = 300000 };
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_RESTART };
	int l = listener();
	pid_t pid;

	MUST(sigaction(SIGUSR1, &action, NULL));
	MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	GIVES(accept(l, NULL, NULL));
	tv.tv_sec = 60;
	MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	pid = CHILD(GIVES(accept(l, NULL, NULL)));
	asleep(pid);
	kill(pid, SIGUSR1);
	join(pid);
}

static void accept_and_signal(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	int l = listener(), a = stream_socket(AF_INET);
	pid_t pid;

	MUST(sigaction(SIGUSR1, &action, NULL));
	pid = CHILD(GIVES(accept(l, NULL, NULL) > 0 ? 0 : -1));
	asleep(pid);
	kill(pid, SIGUSR1);
	if (flags) {
		asleep(pid);
		block(a, false);
		connect_to(a, port);
	}
	join(pid);
	close(a);
}

CASE(accept_interrupted, 0)
{
	accept_and_signal(0);
}

CASE(accept_interrupted_and_restarted, 0)
{
	accept_and_signal(SA_RESTART);
}

/* Each of two threads in accept() gets one, in whatever order they wait. */
CASE(accept_in_two_threads, 0)
{
	int l = listener(), a, b;
	pid_t one = CHILD(b = MUST(accept(l, NULL, NULL)); put(b, 0, 100));
	pid_t two = CHILD(b = MUST(accept(l, NULL, NULL)); put(b, 0, 100));

	asleep(one);
	asleep(two);
	a = early_client();
	b = early_client();
	get(a, 0, 100);
	get(b, 0, 100);
	join(one);
	join(two);
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
