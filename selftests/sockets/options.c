// SPDX-License-Identifier: GPL-2.0-only
/* Cases: socket options, signals, and who else wants the socket. */
#include "calls.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/tls.h>
#include <sys/ioctl.h>

static char buf[65536];

#define GET(fd, level, name) say(#name " %d", get_int(fd, level, name))

CASE(getsockopt, 0)
{
	PAIR(a, b);

	GET(a, SOL_SOCKET, SO_TYPE);
	GET(a, SOL_SOCKET, SO_PROTOCOL);
	GET(a, SOL_SOCKET, SO_DOMAIN);
	GET(a, SOL_SOCKET, SO_ACCEPTCONN);
	GET(a, SOL_SOCKET, SO_ERROR);
	GET(a, SOL_SOCKET, SO_RCVLOWAT);
	GET(a, SOL_SOCKET, SO_SNDLOWAT);
	GET(a, SOL_SOCKET, SO_KEEPALIVE);
	GET(a, SOL_SOCKET, SO_PRIORITY);
	GET(a, SOL_SOCKET, SO_MARK);
	GET(a, SOL_SOCKET, SO_ZEROCOPY);
	GET(a, SOL_TCP, TCP_NODELAY);
	GET(a, SOL_TCP, TCP_CORK);
	GET(a, SOL_TCP, TCP_KEEPIDLE);
	GET(a, SOL_TCP, TCP_SYNCNT);
	GET(a, SOL_TCP, TCP_LINGER2);
	GET(a, SOL_TCP, TCP_DEFER_ACCEPT);
	GET(a, SOL_TCP, TCP_USER_TIMEOUT);
	GET(a, SOL_TCP, TCP_FASTOPEN_CONNECT);
	GET(a, SOL_TCP, TCP_INQ);
	GET(b, SOL_TCP, TCP_NODELAY);
	GET(b, SOL_TCP, TCP_CORK);
	GET(b, SOL_SOCKET, SO_KEEPALIVE);
}

#define SET(fd, level, name, value) ({					\
	int value_ = value, err_ = 0;					\
	if (setsockopt(fd, level, name, &value_, sizeof(value_)))	\
		err_ = errno;						\
	say("set " #name ": %s, then %d", err_ ? error_name(err_) : "0",	\
	    get_int(fd, level, name));					\
})

CASE(setsockopt, 0)
{
	PAIR(a, b);

	SET(a, SOL_SOCKET, SO_KEEPALIVE, 1);
	SET(a, SOL_SOCKET, SO_RCVBUF, 50000);
	SET(a, SOL_SOCKET, SO_SNDBUF, 50000);
	SET(a, SOL_SOCKET, SO_PRIORITY, 3);
	SET(a, SOL_SOCKET, SO_MARK, 7);
	SET(a, SOL_SOCKET, SO_REUSEADDR, 1);
	SET(a, SOL_SOCKET, SO_ZEROCOPY, 1);
	SET(a, SOL_SOCKET, SO_OOBINLINE, 1);
	SET(a, SOL_TCP, TCP_NODELAY, 1);
	SET(a, SOL_TCP, TCP_NODELAY, 0);
	SET(a, SOL_TCP, TCP_KEEPIDLE, 33);
	SET(a, SOL_TCP, TCP_KEEPINTVL, 3);
	SET(a, SOL_TCP, TCP_KEEPCNT, 3);
	SET(a, SOL_TCP, TCP_USER_TIMEOUT, 12345);
	SET(a, SOL_TCP, TCP_QUICKACK, 0);
	SET(a, SOL_TCP, TCP_QUICKACK, 1);
	SET(a, SOL_TCP, TCP_NOTSENT_LOWAT, 20000);
	SET(a, SOL_TCP, TCP_INQ, 1);
	SET(a, SOL_TCP, TCP_DEFER_ACCEPT, 1);
	SET(a, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
	SET(a, SOL_IP, 1 /* IP_TOS */, 0x10);
	SET(a, SOL_IP, 2 /* IP_TTL */, 55);
	SET(a, SOL_TCP, 9999, 1);
	SET(a, 9999, 1, 1);
	put(a, 0, 100);
	get(b, 0, 100);
}

/* Nagle and cork are ours during the handshake; nobody may notice. */
CASE(TCP_NODELAY, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;

	SET(a, SOL_TCP, TCP_NODELAY, 1);
	SET(l, SOL_TCP, TCP_NODELAY, 1);
	block(a, false);
	connect_to(a, port);
	GET(a, SOL_TCP, TCP_NODELAY);
	b = take(l);
	GET(b, SOL_TCP, TCP_NODELAY);
	wait_events(a, POLLOUT);
	wait_events(b, POLLOUT);
	GET(a, SOL_TCP, TCP_NODELAY);
	GET(b, SOL_TCP, TCP_NODELAY);
	SET(a, SOL_TCP, TCP_NODELAY, 0);
	put(b, 0, 10);
	block(a, true);
	get(a, 0, 10);
	GET(a, SOL_TCP, TCP_NODELAY);
	GET(b, SOL_TCP, TCP_NODELAY);
}

CASE(TCP_NODELAY_in_progress, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;

	block(a, false);
	connect_to(a, port);
	GET(a, SOL_TCP, TCP_NODELAY);
	GET(a, SOL_TCP, TCP_CORK);
	SET(a, SOL_TCP, TCP_NODELAY, 1);
	b = MUST(accept(l, NULL, NULL));
	GET(b, SOL_TCP, TCP_NODELAY);
	SET(b, SOL_TCP, TCP_CORK, 1);
	poll(&(struct pollfd){ .fd = b }, 1, 0);
	wait_events(a, POLLOUT);
	wait_events(b, POLLOUT);
	GET(a, SOL_TCP, TCP_NODELAY);
	GET(b, SOL_TCP, TCP_CORK);
	SET(b, SOL_TCP, TCP_CORK, 0);
	put(b, 0, 10);
	block(a, true);
	get(a, 0, 10);
}

CASE(TCP_INFO, 0)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	PAIR(a, b);

	GIVES(getsockopt(a, SOL_TCP, TCP_INFO, &info, &len));
	say("state %u", info.tcpi_state);
	MUST(shutdown(b, SHUT_WR));
	POLLS_SOON(a, POLLRDHUP);
	len = sizeof(info);
	GIVES(getsockopt(a, SOL_TCP, TCP_INFO, &info, &len));
	say("state %u", info.tcpi_state);
}

CASE(names, 0)
{
	struct sockaddr_in me, peer;
	socklen_t len = sizeof(me);
	PAIR(a, b);

	GIVES(getpeername(a, (void *)&peer, &len));
	say("port %s", ntohs(peer.sin_port) == port ? "right" : "wrong");
	GIVES(getsockname(b, (void *)&me, &len));
	say("port %s", ntohs(me.sin_port) == port ? "right" : "wrong");
	MUST(shutdown(a, SHUT_WR));
	drain(b, 0);
	GIVES(getpeername(a, (void *)&peer, &len));
	GIVES(getpeername(b, (void *)&peer, &len));
}

/* Keys and what is on the wire are nobody's business. */
CASE(TCP_ULP_and_SOL_TLS, 0)
{
	char info[128] = {}, name[16];
	socklen_t len = sizeof(info), name_len = sizeof(name);
	int one = 1;
	PAIR(a, b);

	GIVES(getsockopt(a, SOL_TCP, TCP_ULP, name, &name_len));
	say("len %u", name_len);
	DESIGN(getsockopt(a, SOL_TLS, TLS_TX, info, &len), EPERM);
	DESIGN(getsockopt(a, SOL_TLS, TLS_RX, info, &len), EPERM);
	DESIGN(setsockopt(a, SOL_TLS, TLS_TX, info, 40), EPERM);
	DESIGN(setsockopt(a, SOL_TLS, TLS_TX_ZEROCOPY_RO, &one, 4), EPERM);
	DESIGN(setsockopt(a, SOL_TCP, TCP_REPAIR, &one, 4), EPERM);
	DESIGN(setsockopt(a, SOL_TCP, TCP_ULP, "none", 4), EPERM);
	put(b, 0, 100);
	if (mode != MODE_PLAIN)
		get(a, 0, 100);
	else
		say("got [0, 100)");
}

CASE(small_buffers, IN_FOREIGN)
{
	int l = listener(), a = stream_socket(AF_INET), b;
	pid_t pid;

	set_int(a, SOL_SOCKET, SO_RCVBUF, 1);
	set_int(a, SOL_SOCKET, SO_SNDBUF, 1);
	set_int(l, SOL_SOCKET, SO_RCVBUF, 1);
	set_int(l, SOL_SOCKET, SO_SNDBUF, 1);
	b = pair_with(l, a);
	pid = CHILD(put(b, 0, 100000));
	get(a, 0, 100000);
	join(pid);
	/*
	 * Little, as TCP can fall into a window of less than a segment, so
	 * much each 200 ms, if a record is acknowledged before it is read.
	 */
	pid = CHILD(put(a, 0, 10000));
	get(b, 0, 10000);
	join(pid);
}

/* No receive until poll says so: poll alone must see it come. */
CASE(small_buffers_and_poll, IN_FOREIGN)
{
	int l = listener(), a = stream_socket(AF_INET), b;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	set_int(a, SOL_SOCKET, SO_RCVBUF, 1);
	b = pair_with(l, a);
	block(a, false);
	pid = CHILD(put(b, 0, 100000));
	while (got < 100000) {
		if (!wait_events(a, POLLIN)) {
			say("no event after %zu", got);
			break;
		}
		n = MUST(recv(a, buf, sizeof(buf), 0));
		if (!is_same(buf, got, n))
			say("data from %zu on: WRONG", got);
		got += n;
	}
	say("got %zu", got);
	join(pid);
}

static volatile sig_atomic_t signals, band, signal_fd;

static void on_sigio(int signo, siginfo_t *info, void *context)
{
	signals++;
	band = info->si_band;
	signal_fd = info->si_fd;
}

/* Waits until another signal has come. */
static void wait_signal(const char *what, int before)
{
	int i;

	for (i = 0; i < 400 && signals == before; i++)
		nap(10);
	say("%s: %s", what, signals > before ? "a signal" : "no signal");
}

CASE(SIGIO, IN_FOREIGN)
{
	struct sigaction action = {
		.sa_sigaction = on_sigio,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	PAIR(a, b);
	int before;

	MUST(sigaction(SIGRTMIN, &action, NULL));
	GIVES(fcntl(a, F_SETOWN, getpid()));
	GIVES(fcntl(a, F_SETSIG, SIGRTMIN));
	GIVES(fcntl(a, F_SETFL, O_ASYNC));
	GIVES(fcntl(a, F_GETOWN) == getpid());
	before = signals;
	put(b, 0, 100);
	wait_signal("data", before);
	masks("band", band & ~POLLOUT);
	say("fd %s", signal_fd == a ? "right" : "wrong");
	get(a, 0, 100);
	before = signals;
	MUST(shutdown(b, SHUT_WR));
	wait_signal("end", before);
	drain(a, 100);
}

CASE(SIGIO_at_connect, 0)
{
	struct sigaction action = {
		.sa_sigaction = on_sigio,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	int l = listener(), a = stream_socket(AF_INET);

	MUST(sigaction(SIGRTMIN, &action, NULL));
	MUST(fcntl(a, F_SETOWN, getpid()));
	MUST(fcntl(a, F_SETSIG, SIGRTMIN));
	MUST(fcntl(a, F_SETFL, O_ASYNC | O_NONBLOCK));
	GIVES(connect_to(a, port));
	take(l);
	wait_signal("connect", 0);
	POLLS_SOON(a, POLLOUT);
}

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int sockmap(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4,
		.value_size = 4, .max_entries = 4,
	};

	return MUST(bpf(BPF_MAP_CREATE, &attr));
}

static long into_sockmap(int map, int fd)
{
	static uint32_t key, value;
	union bpf_attr attr = {
		.map_fd = map, .key = (uintptr_t)&key,
		.value = (uintptr_t)&value, .flags = BPF_ANY,
	};

	value = fd;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* A map that got the socket would read and write below TLS. */
CASE(sockmap_of_a_connection, 0)
{
	int map = sockmap();
	PAIR(a, b);
	long ret;

	errno = 0;
	ret = into_sockmap(map, a);
	if (mode == MODE_PLAIN)
		say("refused");
	else
		say("%s", ret ? "refused" : "taken");
	put(a, 0, 100);
	get(b, 0, 100);
	put(b, 0, 100);
	get(a, 0, 100);
}

CASE(sockmap_before_connect, 0)
{
	int map = sockmap(), l = listener(), a = stream_socket(AF_INET), b;

	/* An unconnected socket is refused; a listener may be taken. */
	GIVES(into_sockmap(map, a));
	GIVES(into_sockmap(map, l));
	pair_from(l, &a, &b);
	put(a, 0, 100);
	get(b, 0, 100);
}

CASE(filters, 0)
{
	/* BPF_RET that lets everything pass */
	struct { uint16_t code; uint8_t jt, jf; uint32_t k; } insn = {
		.code = 6, .k = 0xffffffff,
	};
	struct { unsigned short len; void *filter; } prog = { 1, &insn };
	PAIR(a, b);

	GIVES(setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	put(b, 0, 1000);
	get(a, 0, 1000);
	GIVES(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &prog, sizeof(prog)));
}
