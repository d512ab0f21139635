// SPDX-License-Identifier: GPL-2.0-only
/* Cases: io_uring. */
#include "calls.h"
#include <liburing.h>
#include <stdio.h>

static char buf[65536];
static struct io_uring ring;

static void begin_ring(void)
{
	int ret = io_uring_queue_init(64, &ring, 0);

	if (ret) {
		errno = -ret;
		die("io_uring_queue_init");
	}
}

static struct io_uring_sqe *sqe(uint64_t id)
{
	struct io_uring_sqe *e = io_uring_get_sqe(&ring);

	io_uring_sqe_set_data64(e, id);
	return e;
}

static const char *result(int res)
{
	static char number[16];

	if (res < 0)
		return error_name(-res);
	snprintf(number, sizeof(number), "%d", res);
	return number;
}

/* The next completion, 20 s at most; what it says goes to the transcript. */
static int completed(const char *what, unsigned int *flags)
{
	struct __kernel_timespec time = { .tv_sec = 20 };
	struct io_uring_cqe *cqe;
	int res;

	io_uring_submit(&ring);
	if (io_uring_wait_cqe_timeout(&ring, &cqe, &time)) {
		say("%s: nothing", what);
		return -1;
	}
	res = cqe->res;
	if (flags)
		*flags = cqe->flags;
	say("%s: %s%s", what, result(res),
	    cqe->flags & IORING_CQE_F_MORE ? ", more" : "");
	io_uring_cqe_seen(&ring, cqe);
	return res;
}

static void nothing_completed(void)
{
	struct io_uring_cqe *cqe;

	io_uring_submit(&ring);
	nap(200);
	if (!io_uring_peek_cqe(&ring, &cqe)) {
		say("too early: %s", result(cqe->res));
		io_uring_cqe_seen(&ring, cqe);
	}
}

CASE(uring_send_recv, IN_FOREIGN)
{
	PAIR(a, b);

	begin_ring();
	fill(buf, 0, 30000);
	io_uring_prep_send(sqe(1), a, buf, 30000, 0);
	completed("send", NULL);
	get(b, 0, 30000);
	io_uring_prep_recv(sqe(2), a, buf, 1000, 0);
	nothing_completed();
	put(b, 0, 1000);
	completed("recv", NULL);
	same(buf, 0, 1000);
	io_uring_prep_recv(sqe(3), a, buf, 3000, MSG_WAITALL);
	io_uring_submit(&ring);
	put(b, 1000, 1000);
	settle(b);
	put(b, 2000, 1000);
	settle(b);
	put(b, 3000, 1000);
	completed("recv all", NULL);
	same(buf, 1000, 3000);
	io_uring_prep_recv(sqe(4), a, buf, 100, MSG_DONTWAIT);
	completed("recv nothing", NULL);
	io_uring_prep_recv(sqe(5), a, buf, 1000, 0);
	io_uring_submit(&ring);
	MUST(shutdown(b, SHUT_WR));
	completed("recv the end", NULL);
}

CASE(uring_msg, IN_FOREIGN)
{
	struct iovec iov[2] = { { buf, 500 }, { buf + 500, 500 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	PAIR(a, b);

	begin_ring();
	fill(buf, 0, 1000);
	io_uring_prep_sendmsg(sqe(1), a, &msg, 0);
	completed("sendmsg", NULL);
	get(b, 0, 1000);
	io_uring_prep_recvmsg(sqe(2), a, &msg, 0);
	io_uring_submit(&ring);
	put(b, 0, 700);
	completed("recvmsg", NULL);
	same(buf, 0, 700);
	io_uring_prep_writev(sqe(3), a, iov, 2, 0);
	completed("writev", NULL);
	io_uring_prep_readv(sqe(4), a, iov, 2, 0);
	io_uring_submit(&ring);
	put(b, 700, 100);
	completed("readv", NULL);
	same(buf, 700, 100);
}

CASE(uring_connect_accept, 0)
{
	struct sockaddr_in sin;
	int l = listener(), a = stream_socket(AF_INET), b;

	begin_ring();
	address(&sin, port);
	io_uring_prep_connect(sqe(1), a, (void *)&sin, sizeof(sin));
	io_uring_submit(&ring);
	b = take(l);
	completed("connect", NULL);
	put(a, 0, 100);
	get(b, 0, 100);
	put(b, 0, 100);
	get(a, 0, 100);
}

CASE(uring_connect_refused, 0)
{
	struct sockaddr_in sin;
	int a = stream_socket(AF_INET);

	begin_ring();
	address(&sin, port);
	io_uring_prep_connect(sqe(1), a, (void *)&sin, sizeof(sin));
	completed("connect", NULL);
}

CASE(uring_accept_multishot, 0)
{
	int l = listener(), a[3], b[3], i;

	begin_ring();
	io_uring_prep_multishot_accept(sqe(1), l, NULL, NULL, 0);
	io_uring_submit(&ring);
	for (i = 0; i < 3; i++) {
		struct io_uring_cqe *cqe;

		a[i] = stream_socket(AF_INET);
		block(a[i], false);
		connect_to(a[i], port);
		MUST(-io_uring_wait_cqe(&ring, &cqe));
		b[i] = cqe->res;
		say("accepted%s", cqe->flags & IORING_CQE_F_MORE ?
		    ", more" : "");
		io_uring_cqe_seen(&ring, cqe);
	}
	for (i = 0; i < 3; i++) {
		io_uring_prep_recv(sqe(2), b[i], buf, 1000, 0);
		io_uring_submit(&ring);
		wait_events(a[i], POLLOUT);
		block(a[i], true);
		put(a[i], 0, 100);
		completed("recv", NULL);
		same(buf, 0, 100);
		must_be_protected(b[i]);
	}
}

CASE(uring_send_zc, IN_FOREIGN)
{
	unsigned int flags = 0;
	PAIR(a, b);

	begin_ring();
	fill(buf, 0, 50000);
	io_uring_prep_send_zc(sqe(1), a, buf, 50000, 0, 0);
	completed("send_zc", &flags);
	get(b, 0, 50000);
	if (flags & IORING_CQE_F_MORE)
		completed("notification", &flags);
	say("it is %sa notification",
	    flags & IORING_CQE_F_NOTIF ? "" : "not ");
	put(a, 50000, 10);
	get(b, 50000, 10);
}

#define GROUP	7
#define EACH	1000
#define BUFFERS	16

CASE(uring_recv_multishot, IN_FOREIGN)
{
	static char room[BUFFERS][EACH];
	struct io_uring_buf_ring *br;
	size_t got = 0;
	int ret, i;
	PAIR(a, b);

	begin_ring();
	br = io_uring_setup_buf_ring(&ring, BUFFERS, GROUP, 0, &ret);
	if (!br)
		die("io_uring_setup_buf_ring");
	for (i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(br, room[i], EACH, i, BUFFERS - 1, i);
	io_uring_buf_ring_advance(br, BUFFERS);
	io_uring_prep_recv_multishot(sqe(1), a, NULL, 0, 0);
	{
		struct io_uring_sqe *e = &ring.sq.sqes[0];

		e->flags |= IOSQE_BUFFER_SELECT;
		e->buf_group = GROUP;
	}
	io_uring_submit(&ring);
	for (i = 0; i < 6; i++) {
		unsigned int flags;
		int n;

		put(b, got, 300);
		n = completed("recv", &flags);
		if (n <= 0)
			return;
		same(room[flags >> IORING_CQE_BUFFER_SHIFT], got, n);
		got += n;
	}
	MUST(shutdown(b, SHUT_WR));
	completed("the end", NULL);
}

CASE(uring_poll, IN_FOREIGN)
{
	PAIR(a, b);

	begin_ring();
	io_uring_prep_poll_add(sqe(1), a, POLLIN | POLLRDHUP);
	nothing_completed();
	put(b, 0, 100);
	masks("poll", completed("poll", NULL));
	io_uring_prep_poll_add(sqe(2), a, POLLIN);
	masks("poll", completed("poll", NULL));
	get(a, 0, 100);
	io_uring_prep_poll_add(sqe(3), a, POLLIN | POLLRDHUP);
	nothing_completed();
	MUST(shutdown(b, SHUT_WR));
	completed("poll of the end", NULL);
}

CASE(uring_splice, IN_FOREIGN)
{
	PAIR(a, b);
	int p[2];

	MUST(pipe(p));
	begin_ring();
	fill(buf, 0, 5000);
	MUST(write(p[1], buf, 5000));
	io_uring_prep_splice(sqe(1), p[0], -1, a, -1, 5000, 0);
	completed("splice in", NULL);
	get(b, 0, 5000);
	put(b, 0, 5000);
	settle(b);
	io_uring_prep_splice(sqe(2), a, -1, p[1], -1, 5000, 0);
	completed("splice out", NULL);
	MUST(read(p[0], buf, 5000));
	same(buf, 0, 5000);
}

CASE(uring_cancel_recv, IN_FOREIGN)
{
	PAIR(a, b);

	begin_ring();
	io_uring_prep_recv(sqe(1), a, buf, 1000, 0);
	nothing_completed();
	MUST(io_uring_register_sync_cancel(&ring,
		&(struct io_uring_sync_cancel_reg){ .addr = 1 }));
	completed("the receive", NULL);
	put(b, 0, 100);
	get(a, 0, 100);
}

CASE(uring_shutdown_and_close, IN_FOREIGN)
{
	PAIR(a, b);

	begin_ring();
	put(a, 0, 1000);
	io_uring_prep_shutdown(sqe(1), a, SHUT_WR);
	completed("shutdown", NULL);
	drain(b, 0);
	io_uring_prep_close(sqe(2), a);
	completed("close", NULL);
}

/* Submitted before the handshake, done after it. */
CASE(uring_early, 0)
{
	int l = listener(), a = stream_socket(AF_INET), b;
	static char mine[1000];

	begin_ring();
	block(a, false);
	connect_to(a, port);
	fill(mine, 0, sizeof(mine));
	block(a, true);
	io_uring_prep_send(sqe(1), a, mine, sizeof(mine), 0);
	io_uring_submit(&ring);
	b = MUST(accept(l, NULL, NULL));
	io_uring_prep_recv(sqe(2), b, buf, sizeof(mine), MSG_WAITALL);
	completed("one", NULL);
	completed("two", NULL);
	same(buf, 0, sizeof(mine));
	must_be_protected(a);
}

CASE(uring_sqpoll, IN_FOREIGN)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 100,
	};
	PAIR(a, b);

	if (io_uring_queue_init_params(64, &ring, &params))
		die("io_uring_queue_init_params");
	fill(buf, 0, 1000);
	io_uring_prep_send(sqe(1), a, buf, 1000, 0);
	completed("send", NULL);
	get(b, 0, 1000);
	io_uring_prep_recv(sqe(2), a, buf, 1000, 0);
	io_uring_submit(&ring);
	put(b, 0, 500);
	completed("recv", NULL);
	same(buf, 0, 500);
}

/* A worker thread of the ring does what would block. */
CASE(uring_async, IN_FOREIGN)
{
	struct io_uring_sqe *e;
	PAIR(a, b);

	begin_ring();
	e = sqe(1);
	io_uring_prep_recv(e, a, buf, 1000, 0);
	e->flags |= IOSQE_ASYNC;
	nothing_completed();
	put(b, 0, 500);
	completed("recv", NULL);
	same(buf, 0, 500);
	fill(buf, 0, 500);
	e = sqe(2);
	io_uring_prep_send(e, a, buf, 500, 0);
	e->flags |= IOSQE_ASYNC;
	completed("send", NULL);
	get(b, 0, 500);
}
