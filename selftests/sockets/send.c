// SPDX-License-Identifier: GPL-2.0-only
/* Cases: the ways to send. */
#include "calls.h"
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netinet/ip.h>
#include <sys/ioctl.h>
#include <time.h>

static char buf[1 << 20];

/* The next @len bytes of the stream at @from, ready to be sent. */
static char *data(size_t from, size_t len)
{
	fill(buf, from, len);
	return buf;
}

CASE(send, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(send(a, data(0, 100), 100, 0));
	GIVES(write(a, data(100, 100), 100));
	GIVES(sendto(a, data(200, 50), 50, 0, NULL, 0));
	GIVES(send(a, buf, 0, 0));
	get(b, 0, 250);
	put(b, 0, 60000);
	get(a, 0, 60000);
}

CASE(sendto_with_an_address, 0)
{
	struct sockaddr_in sin;
	PAIR(a, b);

	address(&sin, 1);
	GIVES(sendto(a, data(0, 100), 100, 0, (void *)&sin, sizeof(sin)));
	get(b, 0, 100);
}

CASE(writev, 0)
{
	struct iovec iov[3] = { { buf, 10 }, { buf + 10, 0 }, { buf + 10, 40000 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	PAIR(a, b);

	data(0, 40010);
	GIVES(writev(a, iov, 3));
	get(b, 0, 40010);
	GIVES(sendmsg(a, &msg, 0));
	get(b, 0, 40010);
	GIVES(writev(a, iov, 0));
}

CASE(sendmmsg, IN_FOREIGN)
{
	struct iovec iov[4];
	struct mmsghdr m[4] = {};
	PAIR(a, b);
	int i;

	data(0, 4000);
	for (i = 0; i < 4; i++) {
		iov[i] = (struct iovec) { buf + 1000 * i, 1000 };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	GIVES(sendmmsg(a, m, 4, 0));
	for (i = 0; i < 4; i++)
		say("msg_len %d: %u", i, m[i].msg_len);
	get(b, 0, 4000);
	GIVES(sendmmsg(a, m, 1, 0));
	get(b, 0, 1000);
	GIVES(sendmmsg(a, m, 0, 0));
}

CASE(send_megabytes, IN_FOREIGN)
{
	PAIR(a, b);
	pid_t pid = CHILD(put(a, 0, 3 << 20));

	get(b, 0, 3 << 20);
	join(pid);
	pid = CHILD(put(b, 0, 3 << 20));
	get(a, 0, 3 << 20);
	join(pid);
}

/*
 * Sends without blocking until nothing goes any more, also when the other
 * side has taken what it has room for, and TCP has asked it for more (each
 * 200 ms at first); how much went.
 */
static size_t stuff(int fd, int flags)
{
	int full = 0, err = 0;
	size_t sum = 0;
	ssize_t n;

	while (full < 10) {
		n = send(fd, data(sum, 60000), 60000, flags);
		if (n > 0) {
			sum += n;
			full = 0;
			continue;
		}
		err = errno;
		full++;
		nap(50);
	}
	say("at last: %s", error_name(err));
	return sum;
}

CASE(send_until_full, 0)
{
	PAIR(a, b);
	size_t sum = stuff(a, MSG_DONTWAIT);

	GIVES(send(a, buf, 1, MSG_DONTWAIT));
	POLLS(a, POLL_ALL);
	MUST(shutdown(a, SHUT_WR));
	get_quietly(b, 0, sum);
	GIVES(recv(b, buf, sizeof(buf), 0));
}

CASE(send_full_then_room, 0)
{
	PAIR(a, b);
	size_t sum;

	block(a, false);
	sum = stuff(a, 0);
	POLLS(a, POLLOUT);
	get_quietly(b, 0, sum);
	POLLS_SOON(a, POLLOUT);
	GIVES(send(a, data(sum, 100), 100, 0));
	get_quietly(b, sum, 100);
}

CASE(send_blocks_when_full, 0)
{
	PAIR(a, b);
	size_t sum = stuff(a, MSG_DONTWAIT);
	pid_t pid;

	pid = CHILD(GIVES(send(a, data(sum, 60000), 60000, 0)));
	asleep(pid);
	get_quietly(b, 0, sum + 60000);
	join(pid);
}

CASE(send_more_than_fits, 0)
{
	PAIR(a, b);
	ssize_t n;

	set_int(a, SOL_SOCKET, SO_SNDBUF, 65536);
	data(0, sizeof(buf));
	n = send(a, buf, sizeof(buf), MSG_DONTWAIT);
	say("MSG_DONTWAIT: %s", n > 0 && n < sizeof(buf) ? "a part" : "else");
	get_quietly(b, 0, n);
}

CASE(SO_SNDTIMEO, 0)
{
	struct timeval tv = { .tv_usec = 300000 };
	PAIR(a, b);
	size_t sum;

	MUST(setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	sum = stuff(a, 0);
	get_quietly(b, 0, sum);
	GIVES(send(a, data(sum, 100), 100, 0));
	get_quietly(b, sum, 100);
}

CASE(MSG_MORE, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(send(a, data(0, 100), 100, MSG_MORE));
	GIVES(send(a, data(100, 100), 100, MSG_MORE));
	GIVES(send(a, data(200, 100), 100, 0));
	get(b, 0, 300);
	/* TCP waits 200 ms for the rest of the promise, not for ever. */
	GIVES(send(a, data(300, 100), 100, MSG_MORE));
	POLLS_SOON(b, POLLIN);
	get(b, 300, 100);
}

CASE(MSG_MORE_then_shutdown, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(send(a, data(0, 100), 100, MSG_MORE));
	GIVES(shutdown(a, SHUT_WR));
	drain(b, 0);
}

CASE(MSG_MORE_then_close, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(send(a, data(0, 100), 100, MSG_MORE));
	GIVES(close(a));
	drain(b, 0);
}

CASE(TCP_CORK, 0)
{
	PAIR(a, b);

	set_int(a, SOL_TCP, TCP_CORK, 1);
	GIVES(send(a, data(0, 100), 100, 0));
	GIVES(send(a, data(100, 100), 100, 0));
	set_int(a, SOL_TCP, TCP_CORK, 0);
	get(b, 0, 200);
	set_int(a, SOL_TCP, TCP_CORK, 1);
	GIVES(send(a, data(200, 100), 100, 0));
	POLLS_SOON(b, POLLIN);
	get(b, 200, 100);
	GIVES(get_int(a, SOL_TCP, TCP_CORK));
}

CASE(send_odd_flags, 0)
{
	static const int flags[] = {
		MSG_CONFIRM, MSG_DONTROUTE, MSG_EOR, MSG_PROXY, MSG_TRYHARD,
		MSG_NOSIGNAL, MSG_CMSG_CLOEXEC, MSG_PEEK, MSG_TRUNC,
		MSG_WAITALL, MSG_SYN, MSG_RST, MSG_ERRQUEUE, 0x40000, 0x80000,
	};
	PAIR(a, b);
	int i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		say("flag %#x", flags[i]);
		GIVES(send(a, data(100 * i, 100), 100, flags[i]));
		get(b, 100 * i, 100);
	}
}

CASE(MSG_FASTOPEN_when_connected, 0)
{
	struct sockaddr_in sin;
	PAIR(a, b);

	address(&sin, port);
	GIVES(connect_to(a, port));
	GIVES(connect_to(a, port));
	GIVES(send(a, buf, 10, MSG_FASTOPEN));
	GIVES(sendto(a, buf, 10, MSG_FASTOPEN, (void *)&sin, sizeof(sin)));
	put(b, 0, 10);
	get(a, 0, 10);
}

CASE(MSG_OOB_send, 0)
{
	PAIR(a, b);

	DESIGN(send(a, buf, 1, MSG_OOB), EOPNOTSUPP);
	set_int(b, SOL_SOCKET, SO_OOBINLINE, 1);
	put(b, 0, 10);
	get(a, 0, 10);
}

static volatile sig_atomic_t pipes;

static void on_sigpipe(int signo)
{
	pipes++;
}

CASE(SIGPIPE_after_shutdown, 0)
{
	PAIR(a, b);

	signal(SIGPIPE, on_sigpipe);
	GIVES(shutdown(a, SHUT_WR));
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
	say("signals: %d", pipes);
	GIVES(send(a, buf, 10, 0));
	GIVES(write(a, buf, 10));
	say("signals: %d", pipes);
	drain(b, 0);
}

CASE(send_after_peer_close, 0)
{
	PAIR(a, b);

	signal(SIGPIPE, on_sigpipe);
	close(b);
	POLLS_SOON(a, POLLRDHUP);
	GIVES(send(a, buf, 10, 0));
	POLLS_SOON(a, POLLERR);
	GIVES(send(a, buf, 10, 0));
	GIVES(send(a, buf, 10, 0));
	say("signals: %d", pipes);
	GIVES(recv(a, buf, 10, 0));
}

CASE(send_after_reset, 0)
{
	PAIR(a, b);

	signal(SIGPIPE, on_sigpipe);
	reset(b);
	POLLS_SOON(a, POLL_ALL);
	GIVES(send(a, buf, 10, 0));
	say("signals: %d", pipes);
	GIVES(send(a, buf, 10, 0));
	say("signals: %d", pipes);
	GIVES(recv(a, buf, 10, 0));
	POLLS(a, POLL_ALL);
}

/* One byte in one control message. */
static ssize_t send_cmsg(int fd, int level, int type, size_t room, size_t len,
			 const void *value)
{
	union {
		struct cmsghdr	hdr;
		char		room[256];
	} c = {};
	struct iovec iov = { buf, 100 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &c,
		.msg_controllen = CMSG_SPACE(room),
	};

	c.hdr.cmsg_level = level;
	c.hdr.cmsg_type = type;
	c.hdr.cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(&c.hdr), value, len);
	return sendmsg(fd, &msg, 0);
}

/* An application must not be able to send an alert. */
CASE(cmsg_record_type, IN_FOREIGN)
{
	unsigned char alert = 21;
	PAIR(a, b);

	data(0, 100);
	GIVES(send_cmsg(a, 282 /* SOL_TLS */, 1, 1, 1, &alert));
	get(b, 0, 100);
}

CASE(cmsg_on_send, 0)
{
	uint32_t flags = 1 << 4;
	uint64_t when = 0;
	int value = 0, fd = 0;
	PAIR(a, b);

	data(0, 100);
	GIVES(send_cmsg(a, SOL_SOCKET, SO_TIMESTAMPING, 4, 4, &flags));
	GIVES(send_cmsg(a, SOL_SOCKET, SO_TIMESTAMPING, 2, 2, &flags));
	GIVES(send_cmsg(a, SOL_SOCKET, SO_MARK, 4, 4, &flags));
	GIVES(send_cmsg(a, SOL_SOCKET, SCM_TXTIME, 8, 8, &when));
	GIVES(send_cmsg(a, SOL_SOCKET, SCM_RIGHTS, 4, 4, &fd));
	GIVES(send_cmsg(a, SOL_SOCKET, 9999, 4, 4, &value));
	GIVES(send_cmsg(a, SOL_IP, IP_TTL, 4, 4, &value));
	GIVES(send_cmsg(a, SOL_SOCKET, SO_MARK, 4, 200, buf));
	put(b, 0, 10);
	get(a, 0, 10);
}

/* What the error queue says of zero-copy sends: one range, copied or not. */
static void completion(int fd)
{
	union {
		struct cmsghdr	hdr;
		char		room[256];
	} c;
	struct msghdr msg = { .msg_control = &c, .msg_controllen = sizeof(c) };
	struct sock_extended_err *e;

	if (!wait_events(fd, 0)) {
		say("no completion");
		return;
	}
	if (GIVES(recvmsg(fd, &msg, MSG_ERRQUEUE)) < 0)
		return;
	say("msg_flags %#x, level %d type %d", msg.msg_flags, c.hdr.cmsg_level,
	    c.hdr.cmsg_type);
	e = (void *)CMSG_DATA(&c.hdr);
	say("errno %u origin %u code %u range %u-%u", e->ee_errno, e->ee_origin,
	    e->ee_code, e->ee_info, e->ee_data);
}

CASE(MSG_ZEROCOPY, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(send(a, data(0, 100), 100, MSG_ZEROCOPY));
	get(b, 0, 100);
	GIVES(recv(a, buf, 1, MSG_ERRQUEUE));
	set_int(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	GIVES(send(a, data(100, 50000), 50000, MSG_ZEROCOPY));
	get(b, 100, 50000);
	settle(a);
	completion(a);
	GIVES(recv(a, buf, 1, MSG_ERRQUEUE));
	GIVES(send(a, data(0, 10), 10, MSG_ZEROCOPY));
	get(b, 0, 10);
	settle(a);
	completion(a);
	POLLS(a, POLL_ALL);
}

CASE(SIOCOUTQ, 0)
{
	PAIR(a, b);
	int left;

	settle(a);
	GIVES(ioctl(a, SIOCOUTQ, &left));
	say("left: %d", left);
	put(a, 0, 1000);
	get(b, 0, 1000);
	settle(a);
	GIVES(ioctl(a, SIOCOUTQ, &left));
	say("left: %d", left);
	GIVES(ioctl(a, SIOCOUTQNSD, &left));
	say("not sent: %d", left);
	stuff(a, MSG_DONTWAIT);
	MUST(ioctl(a, SIOCOUTQ, &left));
	say("left: %s", left > 0 ? "some" : "none");
}

CASE(send_from_nowhere, IN_FOREIGN)
{
	PAIR(a, b);

	GIVES(send(a, (void *)8, 100, 0));
	GIVES(send(a, data(0, 100), 100, 0));
	get(b, 0, 100);
}

/* The second page of the buffer is not there. */
CASE(send_half_from_nowhere, 0)
{
	PAIR(a, b);
	char *edge = sbrk(8192);

	edge = (char *)(((uintptr_t)edge + 8191) & ~4095ul);
	brk(edge);
	fill(edge - 100, 0, 100);
	say("sends: %s", send(a, edge - 100, 200, 0) < 0 ?
	    error_name(errno) : "a part");
	GIVES(send(a, data(0, 100), 100, 0));
	POLLS_SOON(b, POLLIN);
}
