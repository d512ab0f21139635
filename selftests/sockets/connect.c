// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cases: connect, in each state.  To an application a connection whose TLS
 * handshake is not done looks like one whose TCP handshake is not done, and
 * that is what it is compared with.
 */
#include "calls.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>

static char buf[65536];

/* A process of its own connects: it does not hold the listener. */
#define CLIENT(statement) PROCESS(close(l); statement)

/* A client in the middle of its handshake. */
static int stuck_client(void)
{
	int a = stream_socket(AF_INET);

	block(a, false);
	GIVES(connect_to(a, port));
	/* So that a SYN that is answered has been answered. */
	nap(50);
	return a;
}

static void exchange(int a, int b)
{
	block(a, true);
	put(a, 0, 1000);
	get(b, 0, 1000);
	put(b, 0, 1000);
	get(a, 0, 1000);
}

CASE(connect, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;
	pid_t pid = CLIENT(GIVES(connect_to(a, port)));

	b = take(l);
	join(pid);
	GIVES(connect_to(a, port));
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	exchange(a, b);
}

/* One thread is both client and server: connect must not wait for it. */
CASE(connect_to_own_listener, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;

	GIVES(connect_to(a, port));
	b = MUST(accept(l, NULL, NULL));
	exchange(a, b);
	must_be_protected(a);
	must_be_protected(b);
}

CASE(connect_nonblocking, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;

	block(a, false);
	GIVES(connect_to(a, port));
	b = take(l);
	POLLS_SOON(a, POLLOUT);
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	GIVES(connect_to(a, port));
	GIVES(connect_to(a, port));
	exchange(a, b);
}

CASE(connect_in_progress, 0)
{
	int l = stuck_listener(), a = stuck_client(), b, n;

	POLLS(a, POLL_ALL);
	GIVES(connect_to(a, port));
	GIVES(send(a, buf, 10, 0));
	GIVES(send(a, buf, 10, MSG_DONTWAIT | MSG_ZEROCOPY));
	GIVES(recv(a, buf, 10, 0));
	GIVES(recv(a, buf, 10, MSG_PEEK));
	GIVES(recv(a, NULL, 10, MSG_TRUNC));
	GIVES(recv(a, buf, 10, MSG_ERRQUEUE));
	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	POLLS(a, POLL_ALL);
	b = unstick(l);
	POLLS_SOON(a, POLLOUT);
	exchange(a, b);
}

CASE(getpeername_in_progress, 0)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int l = stuck_listener(), a = stuck_client();

	GIVES(getsockname(a, (void *)&sin, &len));
	GIVES(getpeername(a, (void *)&sin, &len));
	unstick(l);
	POLLS_SOON(a, POLLOUT);
	GIVES(getpeername(a, (void *)&sin, &len));
}

CASE(SIOCOUTQ_in_progress, 0)
{
	int l = stuck_listener(), a = stuck_client(), n;

	nap(200);
	GIVES(ioctl(a, SIOCOUTQ, &n));
	say("%d", n);
	unstick(l);
}

CASE(send_waits_for_connect, 0)
{
	int l = stuck_listener(), a = stuck_client(), b;
	pid_t pid;

	block(a, true);
	fill(buf, 0, 100);
	pid = CLIENT(GIVES(send(a, buf, 100, 0)));
	asleep(pid);
	b = unstick(l);
	join(pid);
	get(b, 0, 100);
}

CASE(recv_waits_for_connect, 0)
{
	int l = stuck_listener(), a = stuck_client(), b;
	pid_t pid;

	block(a, true);
	pid = CHILD(GIVES(recv(a, buf, 100, 0)); same(buf, 0, 10));
	asleep(pid);
	b = unstick(l);
	put(b, 0, 10);
	join(pid);
}

CASE(send_times_out_in_connect, 0)
{
	struct timeval tv = { .tv_usec = 300000 };
	int l = stuck_listener(), a = stuck_client(), b;

	block(a, true);
	MUST(setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	MUST(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	GIVES(send(a, buf, 10, 0));
	GIVES(recv(a, buf, 10, 0));
	b = unstick(l);
	POLLS_SOON(a, POLLOUT);
	exchange(a, b);
}

CASE(connect_times_out, 0)
{
	struct timeval tv = { .tv_usec = 300000 };
	int l = stuck_listener(), a = stream_socket(AF_INET), b;
	pid_t pid;

	MUST(setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	pid = CLIENT(GIVES(connect_to(a, port)); GIVES(connect_to(a, port)));
	join(pid);
	b = unstick(l);
	POLLS_SOON(a, POLLOUT);
	GIVES(connect_to(a, port));
	exchange(a, b);
}

static void on_signal(int signo)
{
}

static void connect_and_signal(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	int l = stuck_listener(), a = stream_socket(AF_INET), b;
	pid_t pid;

	MUST(sigaction(SIGUSR1, &action, NULL));
	pid = CLIENT(GIVES(connect_to(a, port)));
	asleep(pid);
	kill(pid, SIGUSR1);
	asleep(pid);
	b = unstick(l);
	join(pid);
	POLLS_SOON(a, POLLOUT);
	GIVES(connect_to(a, port));
	exchange(a, b);
}

CASE(connect_interrupted, 0)
{
	connect_and_signal(0);
}

CASE(connect_interrupted_and_restarted, 0)
{
	connect_and_signal(SA_RESTART);
}

/* Who was interrupted connects again, and waits again. */
CASE(connect_again_after_EINTR, 0)
{
	struct sigaction action = { .sa_handler = on_signal };
	int l = stuck_listener(), a = stream_socket(AF_INET), b;
	pid_t pid;

	MUST(sigaction(SIGUSR1, &action, NULL));
	pid = CLIENT(GIVES(connect_to(a, port)); GIVES(connect_to(a, port));
		    GIVES(connect_to(a, port)));
	asleep(pid);
	kill(pid, SIGUSR1);
	asleep(pid);
	b = unstick(l);
	join(pid);
	exchange(a, b);
}

CASE(connect_killed, 0)
{
	int l = stuck_listener(), a = stream_socket(AF_INET), b;
	pid_t pid = CLIENT(GIVES(connect_to(a, port)));

	asleep(pid);
	kill(pid, SIGKILL);
	join(pid);
	b = unstick(l);
	POLLS_SOON(a, POLLOUT);
	exchange(a, b);
}

CASE(shutdown_in_progress, 0)
{
	int l = stuck_listener(), a = stuck_client();

	GIVES(shutdown(a, SHUT_RDWR));
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
	GIVES(recv(a, buf, 10, 0));
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
	close(l);
}

CASE(close_in_progress, 0)
{
	int l = stuck_listener(), a = stuck_client();

	GIVES(close(a));
	close(l);
}

CASE(connect_refused, 0)
{
	int a = stream_socket(AF_INET), l, b;
	pid_t pid;

	GIVES(connect_to(a, port));
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	POLLS(a, POLL_ALL);
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
	GIVES(recv(a, buf, 10, 0));
	GIVES(connect_to(a, port));
	l = listener();
	pid = CLIENT(GIVES(connect_to(a, port)));
	b = take(l);
	join(pid);
	must_be_protected(a);
	exchange(a, b);
}

CASE(connect_refused_nonblocking, 0)
{
	int a = stream_socket(AF_INET), l, b;

	block(a, false);
	GIVES(connect_to(a, port));
	POLLS_SOON(a, POLL_ALL);
	say("%s", error_name(get_int(a, SOL_SOCKET, SO_ERROR)));
	POLLS(a, POLL_ALL);
	GIVES(connect_to(a, port));
	l = listener();
	GIVES(connect_to(a, port));
	b = take(l);
	POLLS_SOON(a, POLLOUT);
	must_be_protected(a);
	exchange(a, b);
}

CASE(connect_bad_address, 0)
{
	struct sockaddr_in sin;
	int a = stream_socket(AF_INET), l = listener(), b;
	pid_t pid;

	address(&sin, port);
	GIVES(connect(a, (void *)&sin, 1));
	GIVES(connect(a, (void *)8, sizeof(sin)));
	sin.sin_family = AF_INET6;
	GIVES(connect(a, (void *)&sin, sizeof(sin)));
	pid = CLIENT(GIVES(connect_to(a, port)));
	b = take(l);
	join(pid);
	GIVES(connect(a, (void *)8, sizeof(sin)));
	exchange(a, b);
}

static int disconnect(int fd)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };

	return connect(fd, &sa, sizeof(sa));
}

CASE(connect_AF_UNSPEC, 0)
{
	int a = stream_socket(AF_INET);

	GIVES(disconnect(a));
	GIVES(connect_to(a, port));
	GIVES(disconnect(a));
	close(a);
	pair(&a, &(int){ 0 });
	DESIGN(disconnect(a), EOPNOTSUPP);
}

CASE(connect_AF_UNSPEC_in_progress, 0)
{
	int l = stuck_listener(), a = stuck_client();

	DESIGN(disconnect(a), EOPNOTSUPP);
	close(l);
}

/*
 * Nobody is a TLS server to himself: which side would it be?  TCP takes
 * back what fails so.
 */
CASE(connect_to_self, 0)
{
	struct sockaddr_in sin;
	int a = stream_socket(AF_INET);

	address(&sin, port);
	MUST(bind(a, (void *)&sin, sizeof(sin)));
	DESIGN(connect_to(a, port), ECONNABORTED);
}

static ssize_t fastopen(int fd, size_t len, int flags)
{
	struct sockaddr_in sin;

	address(&sin, port);
	fill(buf, 0, len);
	return sendto(fd, buf, len, MSG_FASTOPEN | flags, (void *)&sin,
		      sizeof(sin));
}

CASE(MSG_FASTOPEN, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;
	pid_t pid;

	set_int(l, SOL_TCP, TCP_FASTOPEN, 16);
	pid = CLIENT(GIVES(fastopen(a, 1000, 0)));
	b = take(l);
	join(pid);
	get(b, 0, 1000);
	GIVES(fastopen(a, 1000, 0));
	put(b, 0, 10);
	get(a, 0, 10);
}

CASE(MSG_FASTOPEN_nonblocking, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;

	block(a, false);
	GIVES(fastopen(a, 1000, 0));
	b = take(l);
	POLLS_SOON(a, POLLOUT);
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	block(a, true);
	put(a, 0, 1000);
	get(b, 0, 1000);
}

CASE(MSG_FASTOPEN_refused, 0)
{
	int a = stream_socket(AF_INET);

	GIVES(fastopen(a, 1000, MSG_NOSIGNAL));
	GIVES(fastopen(a, 1000, MSG_NOSIGNAL | MSG_DONTWAIT));
	POLLS_SOON(a, POLL_ALL);
	say("%s", error_name(get_int(a, SOL_SOCKET, SO_ERROR)));
}

CASE(TCP_FASTOPEN_CONNECT, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;
	pid_t pid;

	set_int(l, SOL_TCP, TCP_FASTOPEN, 16);
	set_int(a, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
	fill(buf, 0, 1000);
	pid = CLIENT(GIVES(connect_to(a, port)); GIVES(send(a, buf, 1000, 0)));
	b = take(l);
	join(pid);
	get(b, 0, 1000);
	exchange(a, b);
}

CASE(TCP_FASTOPEN_CONNECT_nonblocking, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;

	set_int(a, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
	block(a, false);
	connect_to(a, port);
	b = take(l);
	POLLS_SOON(a, POLLOUT);
	exchange(a, b);
}
