// SPDX-License-Identifier: GPL-2.0-only
/* Cases: poll, select and epoll. */
#include "calls.h"
#include <sys/epoll.h>
#include <sys/select.h>

static char buf[65536];

CASE(poll, IN_FOREIGN)
{
	PAIR(a, b);

	POLLS(a, POLL_ALL);
	put(b, 0, 100);
	settle(b);
	POLLS(a, POLL_ALL);
	POLLS(a, POLLIN | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND);
	get(a, 0, 100);
	POLLS(a, POLL_ALL);
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLRDHUP);
	POLLS(a, POLL_ALL);
	GIVES(recv(a, buf, 10, 0));
	POLLS(a, POLL_ALL);
	MUST(shutdown(a, SHUT_WR));
	POLLS_SOON(a, 0);
	POLLS(a, POLL_ALL);
}

CASE(poll_data_then_end, IN_FOREIGN)
{
	PAIR(a, b);

	put(b, 0, 100);
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLRDHUP);
	POLLS(a, POLL_ALL);
	get(a, 0, 100);
	POLLS(a, POLL_ALL);
	GIVES(recv(a, buf, 10, 0));
}

CASE(poll_reset, 0)
{
	PAIR(a, b);

	reset(b);
	POLLS_SOON(a, POLLIN);
	POLLS(a, POLL_ALL);
	GIVES(recv(a, buf, 10, 0));
	POLLS(a, POLL_ALL);
	GIVES(recv(a, buf, 10, 0));
}

CASE(poll_reset_with_data, 0)
{
	PAIR(a, b);

	put(b, 0, 100);
	settle(b);
	reset(b);
	POLLS_SOON(a, POLLHUP);
	POLLS(a, POLL_ALL);
	GIVES(recv(a, buf, 10, 0));
	GIVES(recv(a, buf, 10, 0));
	POLLS(a, POLL_ALL);
}

CASE(poll_own_shutdown, 0)
{
	PAIR(a, b);

	MUST(shutdown(a, SHUT_RD));
	POLLS(a, POLL_ALL);
	MUST(shutdown(a, SHUT_WR));
	POLLS(a, POLL_ALL);
	POLLS_SOON(b, POLLRDHUP);
	POLLS(b, POLL_ALL);
}

CASE(poll_wakes, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(POLLS_SOON(a, POLLIN));

	asleep(pid);
	put(b, 0, 10);
	join(pid);
	get(a, 0, 10);
	pid = CHILD(POLLS_SOON(a, POLLRDHUP));
	asleep(pid);
	put(b, 10, 10);
	asleep(pid);
	close(b);
	join(pid);
	drain(a, 10);
}

static void selects(int fd, bool wait)
{
	struct timeval tv = { .tv_sec = wait ? 20 : 0 };
	fd_set in, out, odd;
	int n;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = in;
	odd = in;
	n = select(fd + 1, &in, wait ? NULL : &out, &odd, &tv);
	say("select: %d: read %d write %d except %d", n, !!FD_ISSET(fd, &in),
	    !!FD_ISSET(fd, &out), !!FD_ISSET(fd, &odd));
}

CASE(select, IN_FOREIGN)
{
	PAIR(a, b);

	selects(a, false);
	put(b, 0, 10);
	selects(a, true);
	get(a, 0, 10);
	selects(a, false);
	MUST(shutdown(b, SHUT_WR));
	selects(a, true);
	GIVES(recv(a, buf, 10, 0));
}

static int epoll_with(int fd, uint32_t events)
{
	struct epoll_event e = { .events = events };
	int ep = MUST(epoll_create1(0));

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	return ep;
}

static void waits(int ep, int timeout)
{
	struct epoll_event e[4];
	int n = MUST(epoll_wait(ep, e, 4, timeout));

	masks("epoll_wait", n ? e[0].events : 0);
}

#define EPOLL_ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI)

CASE(epoll_level, IN_FOREIGN)
{
	PAIR(a, b);
	int ep = epoll_with(a, EPOLLIN | EPOLLRDHUP);

	waits(ep, 0);
	put(b, 0, 100);
	waits(ep, 20000);
	waits(ep, 0);
	GIVES(recv(a, buf, 50, 0));
	waits(ep, 0);
	GIVES(recv(a, buf, 50, 0));
	waits(ep, 0);
	MUST(shutdown(b, SHUT_WR));
	waits(ep, 20000);
	waits(ep, 0);
}

CASE(epoll_edge, IN_FOREIGN)
{
	PAIR(a, b);
	int ep = epoll_with(a, EPOLL_ALL | EPOLLET);

	waits(ep, 0);
	waits(ep, 0);
	put(b, 0, 100);
	settle(b);
	waits(ep, 20000);
	waits(ep, 0);
	put(b, 100, 100);
	settle(b);
	waits(ep, 20000);
	waits(ep, 0);
	get(a, 0, 200);
	put(b, 200, 100);
	settle(b);
	waits(ep, 20000);
	get(a, 200, 100);
	MUST(shutdown(b, SHUT_WR));
	waits(ep, 20000);
	waits(ep, 0);
}

/* What every edge-triggered server does: read until EAGAIN, wait again. */
CASE(epoll_edge_until_EAGAIN, IN_FOREIGN)
{
	PAIR(a, b);
	int ep = epoll_with(a, EPOLLIN | EPOLLET);
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	block(a, false);
	pid = CHILD(put(b, 0, 500000));
	while (got < 500000) {
		struct epoll_event e;

		if (MUST(epoll_wait(ep, &e, 1, 20000)) != 1) {
			say("no event after %zu bytes", got);
			break;
		}
		while ((n = recv(a, buf, 1000, 0)) > 0) {
			if (!is_same(buf, got, n))
				say("data from %zu on: WRONG", got);
			got += n;
		}
		if (errno != EAGAIN)
			say("%s", error_name(errno));
	}
	join(pid);
	say("got %zu", got);
}

CASE(epoll_edge_writable_again, 0)
{
	PAIR(a, b);
	int ep = epoll_with(a, EPOLLOUT | EPOLLET);
	size_t sum = 0;
	ssize_t n;

	waits(ep, 0);
	block(a, false);
	fill(buf, 0, sizeof(buf));
	while ((n = send(a, buf, sizeof(buf), 0)) > 0)
		sum += n;
	waits(ep, 0);
	while (sum) {
		n = MUST(recv(b, buf, sizeof(buf), 0));
		sum -= n;
	}
	waits(ep, 20000);
	waits(ep, 0);
}

CASE(epoll_oneshot, IN_FOREIGN)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT };
	PAIR(a, b);
	int ep = epoll_with(a, EPOLLIN | EPOLLONESHOT);

	put(b, 0, 100);
	waits(ep, 20000);
	waits(ep, 0);
	settle(b);
	put(b, 100, 100);
	settle(b);
	waits(ep, 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, a, &e));
	waits(ep, 0);
	get(a, 0, 200);
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, a, &e));
	waits(ep, 0);
	MUST(shutdown(b, SHUT_WR));
	waits(ep, 20000);
}

CASE(epoll_exclusive, IN_FOREIGN)
{
	PAIR(a, b);
	int one = epoll_with(a, EPOLLIN | EPOLLEXCLUSIVE);
	int two = epoll_with(a, EPOLLIN | EPOLLEXCLUSIVE);
	pid_t pid = CHILD(waits(one, 20000); get(a, 0, 100));

	asleep(pid);
	put(b, 0, 100);
	join(pid);
	waits(two, 0);
	MUST(shutdown(b, SHUT_WR));
	waits(one, 20000);
	waits(two, 20000);
}

CASE(epoll_reset, 0)
{
	PAIR(a, b);
	int ep = epoll_with(a, EPOLL_ALL | EPOLLET);

	waits(ep, 0);
	reset(b);
	waits(ep, 20000);
	waits(ep, 0);
	GIVES(recv(a, buf, 10, 0));
}

CASE(epoll_accepted, 0)
{
	struct epoll_event e = { .events = EPOLLIN };
	int l = listener(), ep = epoll_with(l, EPOLLIN), a, b;

	pair_from(l, &a, &b);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, b, &e));
	waits(ep, 0);
	put(a, 0, 10);
	waits(ep, 20000);
	get(b, 0, 10);
}
