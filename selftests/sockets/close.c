// SPDX-License-Identifier: GPL-2.0-only
/* Cases: shutdown, half-close, close, and what the other side hears. */
#include "calls.h"
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>

static char buf[65536];

CASE(half_close, IN_FOREIGN)
{
	PAIR(a, b);

	put(a, 0, 1000);
	GIVES(shutdown(a, SHUT_WR));
	drain(b, 0);
	put(b, 0, 50000);
	get(a, 0, 50000);
	put(b, 50000, 1000);
	MUST(shutdown(b, SHUT_WR));
	drain(a, 50000);
	GIVES(close(a));
	GIVES(close(b));
}

CASE(half_close_by_the_peer, IN_FOREIGN)
{
	PAIR(a, b);

	put(b, 0, 1000);
	MUST(shutdown(b, SHUT_WR));
	drain(a, 0);
	GIVES(send(a, buf, 0, 0));
	put(a, 0, 30000);
	get(b, 0, 30000);
	GIVES(shutdown(a, SHUT_WR));
	drain(b, 30000);
}

CASE(shutdown_RD, IN_FOREIGN)
{
	PAIR(a, b);

	put(b, 0, 100);
	settle(b);
	GIVES(shutdown(a, SHUT_RD));
	GIVES(recv(a, buf, 50, 0));
	same(buf, 0, 50);
	GIVES(recv(a, buf, 500, 0));
	GIVES(recv(a, buf, 500, 0));
	put(a, 0, 100);
	get(b, 0, 100);
}

CASE(shutdown_RD_then_data, 0)
{
	PAIR(a, b);

	GIVES(shutdown(a, SHUT_RD));
	GIVES(recv(a, buf, 50, 0));
	put(b, 0, 100);
	settle(b);
	GIVES(recv(a, buf, 50, 0));
	GIVES(recv(a, buf, 500, 0));
	put(a, 0, 100);
	get(b, 0, 100);
}

CASE(shutdown_RDWR, IN_FOREIGN)
{
	PAIR(a, b);

	put(b, 0, 100);
	settle(b);
	GIVES(shutdown(a, SHUT_RDWR));
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
	GIVES(recv(a, buf, 50, 0));
	drain(b, 0);
	GIVES(shutdown(a, SHUT_RDWR));
}

CASE(shutdown_twice, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(shutdown(a, SHUT_WR));
	GIVES(shutdown(a, SHUT_WR));
	drain(b, 0);
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLHUP);
	GIVES(shutdown(a, SHUT_WR));
	GIVES(shutdown(a, SHUT_RD));
	GIVES(shutdown(a, 7));
}

CASE(shutdown_wakes_a_reader, 0)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 100, 0)));

	asleep(pid);
	MUST(shutdown(a, SHUT_RD));
	join(pid);
	put(a, 0, 10);
	get(b, 0, 10);
}

CASE(shutdown_wakes_a_writer, 0)
{
	PAIR(a, b);
	pid_t pid;

	while (send(a, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	/* How much of it went before is a matter of time. */
	pid = CHILD(send(a, buf, sizeof(buf), MSG_NOSIGNAL); say("it ended"));
	asleep(pid);
	MUST(shutdown(a, SHUT_WR));
	join(pid);
}

/* Both at once: each hears the end of the other. */
CASE(both_shut_down, 0)
{
	PAIR(a, b);

	put(a, 0, 100);
	put(b, 0, 200);
	GIVES(shutdown(a, SHUT_WR));
	GIVES(shutdown(b, SHUT_WR));
	drain(a, 0);
	drain(b, 0);
	GIVES(close(b));
	GIVES(close(a));
}

CASE(close_then_drain, IN_FOREIGN)
{
	PAIR(a, b);

	put(a, 0, 200000);
	GIVES(close(a));
	drain(b, 0);
}

/* OpenSSL may have answered something by then, and so been reset. */
CASE(close_then_drain_and_send, 0)
{
	PAIR(a, b);

	put(a, 0, 200000);
	GIVES(close(a));
	drain(b, 0);
	put(b, 0, 1);
}

CASE(close_with_unread_data, 0)
{
	PAIR(a, b);

	put(b, 0, 100);
	settle(b);
	GIVES(close(a));
	POLLS_SOON(b, POLLIN);
	GIVES(recv(b, buf, 10, 0));
	GIVES(recv(b, buf, 10, 0));
}

/* Half of a record read: the rest is unread data. */
CASE(close_with_data_half_read, 0)
{
	PAIR(a, b);

	put(b, 0, 100);
	get(a, 0, 50);
	GIVES(close(a));
	POLLS_SOON(b, POLLIN);
	GIVES(recv(b, buf, 10, 0));
}

CASE(close_with_unread_data_of_mine, 0)
{
	PAIR(a, b);

	put(a, 0, 100);
	put(b, 0, 100);
	settle(a);
	settle(b);
	GIVES(close(a));
	POLLS_SOON(b, POLLHUP);
	drain(b, 0);
}

CASE(close_when_all_was_read, IN_FOREIGN)
{
	PAIR(a, b);

	put(b, 0, 100);
	get(a, 0, 100);
	settle(b);
	GIVES(close(a));
	drain(b, 0);
}

CASE(SO_LINGER_0, 0)
{
	struct linger linger = { .l_onoff = 1 };
	PAIR(a, b);

	put(a, 0, 100);
	settle(a);
	MUST(setsockopt(a, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	GIVES(close(a));
	POLLS_SOON(b, POLLERR);
	POLLS(b, POLL_ALL);
	drain(b, 0);
	GIVES(recv(b, buf, 10, 0));
	GIVES(send(b, buf, 10, MSG_NOSIGNAL));
}

CASE(SO_LINGER, 0)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 30 };
	socklen_t len = sizeof(linger);
	PAIR(a, b);
	pid_t pid;

	MUST(setsockopt(a, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	MUST(getsockopt(a, SOL_SOCKET, SO_LINGER, &linger, &len));
	say("linger %d %d", linger.l_onoff, linger.l_linger);
	/* What is acknowledged may not have been read yet. */
	pid = CHILD(put(a, 0, 2000000); MUST(close(a)));
	asleep(pid);
	get(b, 0, 2000000);
	join(pid);
	drain(b, 2000000);
}

/* The data that close leaves behind goes out, and the end after it. */
CASE(close_with_a_full_buffer, 0)
{
	PAIR(a, b);
	size_t sum = 0;
	ssize_t n;

	for (;;) {
		fill(buf, sum, 10000);
		n = send(a, buf, 10000, MSG_DONTWAIT);
		if (n <= 0)
			break;
		sum += n;
	}
	GIVES(close(a));
	get_quietly(b, 0, sum);
	GIVES(recv(b, buf, 10, 0));
}

CASE(shutdown_with_a_full_buffer, 0)
{
	PAIR(a, b);
	size_t sum = 0;
	ssize_t n;

	for (;;) {
		fill(buf, sum, 10000);
		n = send(a, buf, 10000, MSG_DONTWAIT);
		if (n <= 0)
			break;
		sum += n;
	}
	GIVES(shutdown(a, SHUT_WR));
	get_quietly(b, 0, sum);
	GIVES(recv(b, buf, 10, 0));
	put(b, 0, 100);
	get(a, 0, 100);
}

CASE(reset_wakes_a_reader, 0)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 100, 0)));

	asleep(pid);
	reset(b);
	join(pid);
	GIVES(recv(a, buf, 100, 0));
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
}

/*
 * TCP gives the end of the data to who has asked for the error before.  A
 * protected connection has no end without close_notify.
 */
CASE(SO_ERROR_after_reset, 0)
{
	PAIR(a, b);

	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	reset(b);
	POLLS_SOON(a, POLLERR);
	say("%s", error_name(get_int(a, SOL_SOCKET, SO_ERROR)));
	say("%s", error_name(get_int(a, SOL_SOCKET, SO_ERROR)));
	DESIGN(recv(a, buf, 10, 0), ECONNRESET);
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
}

CASE(calls_after_shutdown_and_end, 0)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	PAIR(a, b);
	int n;

	MUST(shutdown(a, SHUT_WR));
	MUST(shutdown(b, SHUT_WR));
	drain(a, 0);
	drain(b, 0);
	/* One side is in TIME_WAIT, the other is closed. */
	nap(200);
	GIVES(getpeername(b, (void *)&sin, &len));
	GIVES(getsockname(b, (void *)&sin, &len));
	GIVES(send(b, buf, 10, MSG_NOSIGNAL));
	GIVES(recv(b, buf, 10, 0));
	GIVES(ioctl(b, FIONREAD, &n));
	GIVES(shutdown(b, SHUT_RDWR));
	POLLS(b, POLL_ALL);
	GIVES(recv(a, buf, 10, MSG_PEEK));
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
}

CASE(calls_after_reset, 0)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	PAIR(a, b);
	int n;

	reset(b);
	POLLS_SOON(a, POLLERR);
	GIVES(getpeername(a, (void *)&sin, &len));
	GIVES(getsockname(a, (void *)&sin, &len));
	GIVES(shutdown(a, SHUT_WR));
	GIVES(ioctl(a, FIONREAD, &n));
	GIVES(ioctl(a, SIOCOUTQ, &n));
	GIVES(recv(a, buf, 10, MSG_PEEK));
	GIVES(recv(a, buf, 10, MSG_ERRQUEUE));
	GIVES(close(a));
}

/* Threads: the file goes away under a call that is blocked. */
static int victim;

static void *read_victim(void *arg)
{
	*(ssize_t *)arg = recv(victim, buf, 100, 0);
	return arg;
}

CASE(close_while_another_thread_reads, 0)
{
	pthread_t thread;
	ssize_t got = -2;
	PAIR(a, b);

	victim = a;
	pthread_create(&thread, NULL, read_victim, &got);
	nap(300);
	GIVES(close(a));
	nap(100);
	say("the reader: %zd", got);
	put(b, 0, 50);
	pthread_join(thread, NULL);
	say("the reader: %zd", got);
	same(buf, 0, 50);
	/* The last reference went with the reader's call. */
	drain(b, 0);
}
