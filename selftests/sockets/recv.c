// SPDX-License-Identifier: GPL-2.0-only
/* Cases: the ways to receive. */
#include "calls.h"
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

static char buf[1 << 20];

/* @len bytes at @from go out of @fd in records of @part, and arrive. */
static void records(int fd, size_t from, size_t len, size_t part)
{
	size_t done;

	for (done = 0; done < len; done += part) {
		put(fd, from + done, part);
		settle(fd);
	}
}

CASE(recv, IN_FOREIGN)
{
	PAIR(a, b);

	records(b, 0, 300, 300);
	GIVES(recv(a, buf, 100, 0));
	same(buf, 0, 100);
	GIVES(read(a, buf, 50));
	same(buf, 100, 50);
	GIVES(recvfrom(a, buf, 500, 0, NULL, NULL));
	same(buf, 150, 150);
	GIVES(recv(a, buf, 100, MSG_DONTWAIT));
}

CASE(recv_several_records, IN_FOREIGN)
{
	PAIR(a, b);

	records(b, 0, 500, 100);
	GIVES(recv(a, buf, 250, 0));
	same(buf, 0, 250);
	GIVES(recv(a, buf, 1000, 0));
	same(buf, 250, 250);
}

CASE(recv_blocks, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 100, 0)); same(buf, 0, 50));

	asleep(pid);
	put(b, 0, 50);
	join(pid);
}

static void say_flags(const struct msghdr *msg)
{
	say("msg_flags %#x, namelen %u, controllen %zu", msg->msg_flags,
	    msg->msg_namelen, msg->msg_controllen);
}

CASE(recvmsg, IN_FOREIGN)
{
	struct iovec iov[3] = { { buf, 10 }, { buf + 10, 0 }, { buf + 10, 500 } };
	struct sockaddr_in sin;
	char control[256];
	struct msghdr msg = {
		.msg_name = &sin, .msg_namelen = sizeof(sin),
		.msg_iov = iov, .msg_iovlen = 3,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	PAIR(a, b);

	records(b, 0, 400, 100);
	GIVES(recvmsg(a, &msg, 0));
	same(buf, 0, 400);
	say_flags(&msg);
	records(b, 400, 400, 100);
	GIVES(readv(a, iov, 3));
	same(buf, 400, 400);
	GIVES(recvmsg(a, &msg, MSG_DONTWAIT));
	MUST(shutdown(b, SHUT_WR));
	GIVES(recvmsg(a, &msg, 0));
	say_flags(&msg);
}

CASE(recvfrom_address, 0)
{
	struct sockaddr_in sin = {};
	socklen_t len = sizeof(sin);
	PAIR(a, b);

	records(b, 0, 100, 100);
	GIVES(recvfrom(a, buf, 100, 0, (void *)&sin, &len));
	say("len %u family %u", len, sin.sin_family);
}

CASE(recvmmsg, IN_FOREIGN)
{
	struct timespec second = { .tv_sec = 1 };
	struct iovec iov[4];
	struct mmsghdr m[4] = {};
	PAIR(a, b);
	int i;

	for (i = 0; i < 4; i++) {
		iov[i] = (struct iovec) { buf + 100 * i, 100 };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	records(b, 0, 250, 50);
	GIVES(recvmmsg(a, m, 4, MSG_WAITFORONE, NULL));
	for (i = 0; i < 4; i++)
		say("msg_len %d: %u", i, m[i].msg_len);
	same(buf, 0, 250);
	records(b, 250, 400, 200);
	GIVES(recvmmsg(a, m, 4, 0, &second));
	same(buf, 250, 400);
	GIVES(recvmmsg(a, m, 4, MSG_DONTWAIT, NULL));
}

CASE(MSG_PEEK, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(recv(a, buf, 10, MSG_PEEK | MSG_DONTWAIT));
	records(b, 0, 100, 100);
	GIVES(recv(a, buf, 50, MSG_PEEK));
	same(buf, 0, 50);
	GIVES(recv(a, buf, 500, MSG_PEEK));
	same(buf, 0, 100);
	GIVES(recv(a, buf, 60, 0));
	GIVES(recv(a, buf, 500, MSG_PEEK));
	same(buf, 60, 40);
	GIVES(recv(a, buf, 500, 0));
	GIVES(recv(a, buf, 10, MSG_PEEK | MSG_DONTWAIT));
	MUST(shutdown(b, SHUT_WR));
	GIVES(recv(a, buf, 10, MSG_PEEK));
	GIVES(recv(a, buf, 10, MSG_PEEK));
}

CASE(MSG_PEEK_several_records, IN_FOREIGN)
{
	PAIR(a, b);

	records(b, 0, 300, 100);
	GIVES(recv(a, buf, 500, MSG_PEEK));
	same(buf, 0, 300);
	GIVES(recv(a, buf, 150, MSG_PEEK));
	GIVES(recv(a, buf, 500, 0));
	same(buf, 0, 300);
}

CASE(MSG_PEEK_blocks, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 100, MSG_PEEK)); same(buf, 0, 50));

	asleep(pid);
	put(b, 0, 50);
	join(pid);
	GIVES(recv(a, buf, 100, 0));
}

CASE(MSG_WAITALL, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 350, MSG_WAITALL));
			  same(buf, 0, 350));

	records(b, 0, 200, 100);
	asleep(pid);
	records(b, 200, 200, 100);
	join(pid);
	GIVES(recv(a, buf, 500, 0));
	same(buf, 350, 50);
}

CASE(MSG_WAITALL_until_the_end, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 350, MSG_WAITALL)));

	records(b, 0, 200, 100);
	asleep(pid);
	MUST(shutdown(b, SHUT_WR));
	join(pid);
	GIVES(recv(a, buf, 350, MSG_WAITALL));
}

CASE(MSG_WAITALL_and_reset, 0)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 350, MSG_WAITALL));
			  GIVES(recv(a, buf, 350, MSG_WAITALL));
			  GIVES(recv(a, buf, 350, MSG_WAITALL)));

	records(b, 0, 200, 100);
	asleep(pid);
	reset(b);
	join(pid);
}

/* Again and again: what stands between the records may go at any time. */
CASE(MSG_WAITALL_with_MSG_PEEK, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid;
	int i;

	for (i = 0; i < 8; i++) {
		records(b, 0, 300, 300);
		GIVES(recv(a, buf, 200, MSG_WAITALL | MSG_PEEK));
		GIVES(recv(a, buf, 300, MSG_WAITALL | MSG_PEEK));
		same(buf, 0, 300);
		pid = CHILD(GIVES(recv(a, buf, 400, MSG_WAITALL | MSG_PEEK));
			    same(buf, 0, 400));
		asleep(pid);
		records(b, 300, 100, 100);
		join(pid);
		GIVES(recv(a, buf, 500, 0));
		same(buf, 0, 400);
	}
}

CASE(MSG_WAITALL_with_MSG_DONTWAIT, IN_FOREIGN)
{
	PAIR(a, b);

	records(b, 0, 200, 100);
	GIVES(recv(a, buf, 350, MSG_WAITALL | MSG_DONTWAIT));
	GIVES(recv(a, buf, 350, MSG_WAITALL | MSG_DONTWAIT));
}

CASE(MSG_TRUNC, IN_FOREIGN)
{
	PAIR(a, b);

	records(b, 0, 500, 100);
	memset(buf, '#', 1000);
	GIVES(recv(a, buf, 150, MSG_TRUNC));
	say("buffer: %s", buf[0] == '#' ? "untouched" : "touched");
	GIVES(recv(a, NULL, 100, MSG_TRUNC));
	GIVES(recv(a, NULL, 100, MSG_TRUNC | MSG_PEEK));
	GIVES(recv(a, buf, 100, 0));
	same(buf, 250, 100);
	GIVES(recv(a, NULL, 1000, MSG_TRUNC));
	GIVES(recv(a, NULL, 1000, MSG_TRUNC | MSG_DONTWAIT));
	records(b, 500, 200, 100);
	GIVES(recv(a, NULL, 200, MSG_TRUNC | MSG_WAITALL));
	MUST(shutdown(b, SHUT_WR));
	GIVES(recv(a, NULL, 100, MSG_TRUNC));
}

CASE(MSG_TRUNC_megabyte, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(put(b, 0, 1000100));

	GIVES(recv(a, NULL, 1000000, MSG_TRUNC | MSG_WAITALL));
	get(a, 1000000, 100);
	join(pid);
}

CASE(SO_RCVLOWAT, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid;

	set_int(a, SOL_SOCKET, SO_RCVLOWAT, 100);
	records(b, 0, 60, 60);
	POLLS(a, POLLIN);
	GIVES(recv(a, buf, 500, MSG_DONTWAIT));
	records(b, 60, 60, 60);
	POLLS(a, POLLIN);
	records(b, 120, 60, 60);
	POLLS_SOON(a, POLLIN);
	GIVES(recv(a, buf, 500, 0));
	same(buf, 60, 120);
	/* Who sleeps with 60 bytes taken is not woken by 60 more, on TCP. */
	pid = CHILD(GIVES(recv(a, buf, 500, 0)));
	asleep(pid);
	records(b, 180, 60, 60);
	records(b, 240, 60, 60);
	join(pid);
	records(b, 300, 60, 60);
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLIN);
	GIVES(recv(a, buf, 500, 0));
	GIVES(recv(a, buf, 500, 0));
	GIVES(get_int(a, SOL_SOCKET, SO_RCVLOWAT));
}

/* A look behind the data must not take the end for all that is left. */
CASE(MSG_PEEK_at_the_end, IN_FOREIGN)
{
	PAIR(a, b);
	int n;

	records(b, 0, 180, 60);
	MUST(shutdown(b, SHUT_WR));
	nap(200);
	GIVES(recv(a, buf, 500, MSG_PEEK));
	same(buf, 0, 180);
	POLLS(a, POLL_ALL);
	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
	GIVES(recv(a, buf, 100, 0));
	same(buf, 0, 100);
	GIVES(recv(a, buf, 500, MSG_PEEK));
	GIVES(recv(a, buf, 500, MSG_WAITALL));
	same(buf, 100, 80);
	GIVES(recv(a, buf, 500, MSG_PEEK));
	GIVES(recv(a, buf, 500, 0));
	POLLS(a, POLL_ALL);
}

CASE(close_after_MSG_PEEK_at_the_end, 0)
{
	PAIR(a, b);

	records(b, 0, 60, 60);
	MUST(shutdown(b, SHUT_WR));
	nap(200);
	GIVES(recv(a, buf, 500, MSG_PEEK));
	GIVES(close(a));
	POLLS_SOON(b, POLLIN);
	GIVES(recv(b, buf, 1, 0));
}

CASE(SO_RCVTIMEO, IN_FOREIGN)
{
	struct timeval tv = { .tv_usec = 300000 };
	PAIR(a, b);

	MUST(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	GIVES(recv(a, buf, 100, 0));
	records(b, 0, 200, 100);
	GIVES(recv(a, buf, 300, MSG_WAITALL));
	GIVES(recv(a, buf, 300, MSG_PEEK));
	records(b, 200, 10, 10);
	GIVES(recv(a, buf, 300, 0));
}

/* Never more than can be read; what TCP says when one record is there. */
CASE(FIONREAD, IN_FOREIGN)
{
	PAIR(a, b);
	int n;

	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
	records(b, 0, 100, 100);
	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
	GIVES(recv(a, buf, 40, 0));
	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
	GIVES(recv(a, buf, 100, 0));
	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLIN);
	GIVES(ioctl(a, FIONREAD, &n));
	say("%d", n);
}

CASE(FIONREAD_several_records, IN_FOREIGN)
{
	PAIR(a, b);
	int n;

	records(b, 0, 300, 100);
	GIVES(ioctl(a, FIONREAD, &n));
	say("%s", n > 0 && n <= 300 ? "can be read" : "cannot be read");
	GIVES(recv(a, buf, 500, 0));
	GIVES(ioctl(a, SIOCATMARK, &n));
}

/* Types of the control messages that come with data. */
static void recv_cmsgs(int fd)
{
	struct iovec iov = { buf, 100 };
	char control[512];
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	GIVES(recvmsg(fd, &msg, 0));
	say("msg_flags %#x", msg.msg_flags);
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		say("cmsg level %d type %d len %zu", c->cmsg_level,
		    c->cmsg_type, (size_t)c->cmsg_len);
}

static void timestamps(int option, int value)
{
	PAIR(a, b);

	set_int(a, SOL_SOCKET, option, value);
	/* The first packets may come before time stamps are switched on. */
	nap(100);
	records(b, 0, 100, 100);
	recv_cmsgs(a);
	records(b, 100, 100, 50);
	recv_cmsgs(a);
}

CASE(SO_TIMESTAMP, IN_FOREIGN)
{
	timestamps(SO_TIMESTAMP, 1);
}

CASE(SO_TIMESTAMPNS, IN_FOREIGN)
{
	timestamps(SO_TIMESTAMPNS, 1);
}

CASE(SO_TIMESTAMPING_receive, IN_FOREIGN)
{
	timestamps(SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE |
		   SOF_TIMESTAMPING_SOFTWARE);
}

CASE(SO_TIMESTAMPING_send, 0)
{
	int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |
		    SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
	PAIR(a, b);

	set_int(a, SOL_SOCKET, SO_TIMESTAMPING, flags);
	put(a, 0, 100);
	get(b, 0, 100);
	settle(a);
	POLLS_SOON(a, 0);
	GIVES(recv(a, buf, 100, MSG_ERRQUEUE));
}

CASE(TCP_INQ, 0)
{
	PAIR(a, b);

	set_int(a, SOL_TCP, TCP_INQ, 1);
	records(b, 0, 100, 100);
	recv_cmsgs(a);
}

CASE(MSG_OOB_recv, 0)
{
	PAIR(a, b);

	DESIGN(recv(a, buf, 1, MSG_OOB), EOPNOTSUPP);
	set_int(a, SOL_SOCKET, SO_OOBINLINE, 1);
	records(b, 0, 100, 100);
	get(a, 0, 100);
}

CASE(MSG_ERRQUEUE_empty, 0)
{
	PAIR(a, b);

	GIVES(recv(a, buf, 100, MSG_ERRQUEUE));
	records(b, 0, 100, 100);
	GIVES(recv(a, buf, 100, MSG_ERRQUEUE));
	get(a, 0, 100);
	GIVES(recv(b, buf, 100, MSG_ERRQUEUE));
}

CASE(recv_odd_flags, 0)
{
	static const int flags[] = {
		MSG_DONTROUTE, MSG_CTRUNC, MSG_PROXY, MSG_EOR, MSG_CONFIRM,
		MSG_NOSIGNAL, MSG_MORE, MSG_CMSG_CLOEXEC, MSG_FASTOPEN,
		MSG_ZEROCOPY, MSG_WAITFORONE, 0x400000,
	};
	PAIR(a, b);
	int i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		records(b, 100 * i, 100, 50);
		say("flag %#x", flags[i]);
		GIVES(recv(a, buf, 100, flags[i]));
		same(buf, 100 * i, 100);
	}
}

CASE(recv_of_nothing, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(recv(a, buf, 0, MSG_DONTWAIT));
	records(b, 0, 100, 100);
	GIVES(recv(a, buf, 0, 0));
	GIVES(recv(a, buf, 100, 0));
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLIN);
	GIVES(recv(a, buf, 0, 0));
}

/* A buffer that cannot be written must not cost the connection its data. */
CASE(recv_to_nowhere, IN_FOREIGN)
{
	PAIR(a, b);

	records(b, 0, 30000, 10000);
	GIVES(recv(a, (void *)8, 30000, 0));
	GIVES(recv(a, (void *)8, 100, MSG_PEEK));
	get(a, 0, 30000);
}

CASE(SO_PEEK_OFF, 0)
{
	int off = 20;
	PAIR(a, b);

	records(b, 0, 300, 100);
	DESIGN(setsockopt(a, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)),
	       EOPNOTSUPP);
	get(a, 0, 300);
}

CASE(recv_what_was_sent_before_the_end, IN_FOREIGN)
{
	PAIR(a, b);

	put(b, 0, 50000);
	close(b);
	drain(a, 0);
	GIVES(recv(a, buf, 100, 0));
	GIVES(recv(a, buf, 100, MSG_PEEK));
	GIVES(recv(a, buf, 100, MSG_DONTWAIT));
}

CASE(TCP_ZEROCOPY_RECEIVE, 0)
{
	struct tcp_zerocopy_receive zc = {};
	socklen_t len = sizeof(zc);
	PAIR(a, b);
	void *map;

	records(b, 0, 100, 100);
	DESIGN(getsockopt(a, SOL_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len), EPERM);
	errno = 0;
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, a, 0);
	by_design("mmap", map == MAP_FAILED ? -1 : 0, errno, EOPNOTSUPP);
	get(a, 0, 100);
}
