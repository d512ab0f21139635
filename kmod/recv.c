// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving on a SECURE socket, and what tells an application that it can:
 * one thin layer over kTLS, for where kTLS and TCP differ.
 *
 * kTLS ends a receive at a control record and at each other thing that is
 * no data; TCP knows of none.  So a receive that kept its promise (the low
 * water mark, or all of MSG_WAITALL) is done, and any other looks at what
 * stopped it.
 */
#include "internal.h"
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/splice.h>
#include <net/strparser.h>
#include <net/tcp.h>
#include <net/tls.h>

/* How long a wait looks away: another reader may have left data to us. */
#define WAIT_SLICE	(HZ / 10)

/* Errors by which kTLS says that the stream is broken (it sets sk_err). */
static bool is_broken_stream(int err)
{
	return err == -EBADMSG || err == -EMSGSIZE || err == -EINVAL ||
	       err == -EKEYEXPIRED;
}

/* A FIN that no close_notify announced: data may be missing at the end. */
static int end_of_stream(struct attls_conn *conn)
{
	if (smp_load_acquire(&conn->rx_closed) ||
	    (conn->rule->flags & ATTLS_RULE_TRUNC_OK))
		return 0;
	if (conn->sk->sk_shutdown & RCV_SHUTDOWN &&
	    !sock_flag(conn->sk, SOCK_DONE))
		return 0;	/* the application shut it down itself */
	attls_conn_reset(conn, ATTLS_REASON_TRUNCATED);
	return -ECONNRESET;
}

/*
 * What a receive that gave no data means.  1: try again; else what to give
 * to the application.
 */
static int no_data(struct socket *sock, struct attls_conn *conn, int ret,
		   int control_errno)
{
	if (ret == control_errno) {
		ret = attls_control_consume(sock, conn);
		return ret ? ret : 1;
	}
	if (!ret)
		return end_of_stream(conn);
	if (is_broken_stream(ret)) {
		attls_control_bad_record(sock, conn);
		sock_error(sock->sk);
		return -ECONNRESET;
	}
	return ret;
}

/* 1: there may be data to read; else what to give to the application. */
static int recv_begin(struct sock *sk, struct attls_conn *conn)
{
	if (unlikely(attls_conn_state(conn) == ATTLS_CONN_FAILED))
		return sock_error(sk) ?: -ECONNRESET;
	return likely(!smp_load_acquire(&conn->rx_closed));
}

static void recv_end(struct attls_conn *conn, int ret)
{
	if (unlikely(READ_ONCE(conn->nonagle_saved)) && ret > 0)
		attls_ktls_nagle_restore(conn);
}

/* One receive with no room for a record type: control gives EIO. */
static int recv_data(struct socket *sock, struct msghdr *msg, size_t len,
		     int flags)
{
	void *control = msg->msg_control;
	size_t controllen = msg->msg_controllen;
	unsigned int msg_flags = msg->msg_flags;
	int ret;

	msg->msg_control = NULL;
	msg->msg_controllen = 0;
	ret = attls_ktls_of(sock)->recvmsg(sock, msg, len, flags);
	msg->msg_control = control;
	msg->msg_controllen = controllen;
	/* kTLS says MSG_EOR and MSG_CTRUNC, TCP says neither. */
	msg->msg_flags = msg_flags;
	return ret;
}

/* Waits for data until @end, in jiffies.  False: time is up, or a signal. */
static bool wait_data(struct socket *sock, struct attls_conn *conn,
		      unsigned long end)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	bool there = false;

	add_wait_queue(sk_sleep(sock->sk), &wait);
	while (time_before(jiffies, end) && !signal_pending(current)) {
		there = attls_control_peek(sock, conn) != -EAGAIN;
		if (there)
			break;
		wait_woken(&wait, TASK_INTERRUPTIBLE,
			   min_t(unsigned long, end - jiffies, WAIT_SLICE));
	}
	remove_wait_queue(sk_sleep(sock->sk), &wait);
	return there;
}

/* An error that came after data is for the next call to tell. */
static void keep_error(struct sock *sk, int err)
{
	bool of_socket = err <= -EPIPE && err > -ERESTARTSYS;

	if (of_socket)
		cmpxchg(&sk->sk_err, 0, -err);
}

/*
 * Goes on after a receive that gave @ret, less than it should.  Without a
 * timeout kTLS may wait as it likes; with one, what a control record has
 * used up of the time until @end must not be given again.
 */
static int recv_rest(struct socket *sock, struct msghdr *msg, size_t len,
		     int flags, int ret, unsigned long end)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	int target = sock_rcvlowat(sock->sk, flags & MSG_WAITALL, len);
	long timeo = sock_rcvtimeo(sock->sk, flags & MSG_DONTWAIT);
	int copied = 0;

	if (timeo != MAX_SCHEDULE_TIMEOUT)
		flags |= MSG_DONTWAIT;
	for (;;) {
		if (ret > 0) {
			copied += ret;
			if (copied >= target || flags & MSG_PEEK)
				return copied;
		} else {
			ret = no_data(sock, conn, ret, -EIO);
			if (ret == -EAGAIN && timeo && wait_data(sock, conn, end))
				ret = 1;
			if (ret <= 0)
				break;
		}
		ret = recv_begin(sock->sk, conn);
		if (ret <= 0)
			break;
		ret = recv_data(sock, msg, len - copied, flags);
	}
	if (!copied)
		return ret;
	keep_error(sock->sk, ret);
	return copied;
}

/* Up to 64 KiB into one page, again and again: nobody looks at it. */
static int recv_nowhere(struct socket *sock, size_t len, int flags)
{
	struct kvec iov[16];
	struct msghdr msg = {};
	void *page;
	size_t i;
	int ret;

	page = (void *)__get_free_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = (struct kvec) { page, PAGE_SIZE };
	len = min_t(size_t, len, ARRAY_SIZE(iov) * PAGE_SIZE);
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, iov, ARRAY_SIZE(iov), len);
	ret = attls_recvmsg(sock, &msg, len, flags);
	memzero_explicit(page, PAGE_SIZE);
	free_page((unsigned long)page);
	return ret;
}

/* MSG_TRUNC on TCP: the data is dropped, the buffer not touched. */
static int recv_drop(struct socket *sock, size_t len, int flags)
{
	size_t done = 0;
	int ret;

	do {
		ret = recv_nowhere(sock, len - done, flags);
		if (ret <= 0)
			break;
		done += ret;
		if (!(flags & MSG_WAITALL))
			flags |= MSG_DONTWAIT;
	} while (done < len && !(flags & MSG_PEEK));
	return done ?: ret;
}

/* struct proto_ops' recvmsg of SECURE sockets. */
int attls_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		  int flags)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn = attls_conn_of(sk);
	unsigned long start = jiffies;
	int ret;

	if (unlikely(flags & (MSG_ERRQUEUE | MSG_OOB | MSG_TRUNC))) {
		if (flags & MSG_ERRQUEUE)
			return attls_ktls_of(sock)->recvmsg(sock, msg, len, flags);
		if (flags & MSG_OOB)
			return -EOPNOTSUPP;
		return recv_drop(sock, len, flags & ~MSG_TRUNC);
	}
	ret = recv_begin(sk, conn);
	if (unlikely(ret <= 0))
		return ret;
	ret = recv_data(sock, msg, len, flags);
	if (unlikely(ret < sock_rcvlowat(sk, flags & MSG_WAITALL, len)) && len)
		ret = recv_rest(sock, msg, len, flags, ret,
				start + READ_ONCE(sk->sk_rcvtimeo));
	recv_end(conn, ret);
	return ret;
}

/* struct proto_ops' splice_read of SECURE sockets. */
ssize_t attls_splice_read(struct socket *sock, loff_t *pos,
			  struct pipe_inode_info *pipe, size_t len,
			  unsigned int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	ssize_t ret;

	/* kTLS looks at the flag only, TCP at the file as well. */
	if (sock->file->f_flags & O_NONBLOCK)
		flags |= SPLICE_F_NONBLOCK;
	do {
		ret = recv_begin(sock->sk, conn);
		if (unlikely(ret <= 0))
			return ret;
		ret = attls_ktls_of(sock)->splice_read(sock, pos, pipe, len, flags);
		if (likely(ret > 0) || !len)
			break;
		ret = no_data(sock, conn, ret, -EINVAL);
	} while (ret > 0);
	recv_end(conn, ret);
	return ret;
}

/* The decrypted records: their bytes of data, and whether control follows. */
static int decrypted_bytes(struct sock *sk, bool *control)
{
	struct tls_sw_context_rx *rx = tls_sw_ctx_rx(tls_get_ctx(sk));
	struct sk_buff *skb;
	int sum = 0;

	*control = false;
	lock_sock(sk);
	skb_queue_walk(&rx->rx_list, skb) {
		*control = ((struct sk_skb_cb *)skb->cb)->tls.control !=
			   ATTLS_RECORD_DATA;
		if (*control)
			break;
		sum += strp_msg(skb)->full_len;
	}
	release_sock(sk);
	return sum;
}

/* Bytes that a receive would give now: of records decrypted already. */
int attls_recv_bytes(struct socket *sock, struct attls_conn *conn)
{
	bool control;

	if (attls_control_peek(sock, conn) != 1)
		return 0;
	return decrypted_bytes(sock->sk, &control);
}

/*
 * Is there less than the low water mark asks for?  Only a receive can look
 * behind a control record that comes after data.
 */
static bool below_mark(struct socket *sock)
{
	int mark = READ_ONCE(sock->sk->sk_rcvlowat);
	bool control;

	if (mark <= 1)
		return false;
	recv_nowhere(sock, mark, MSG_PEEK | MSG_DONTWAIT);
	mark = min_t(int, mark, READ_ONCE(sock->sk->sk_rcvbuf) / 2);
	return decrypted_bytes(sock->sk, &control) < mark && !control;
}

/* Readable only when data, the end or an error can be had. */
static __poll_t readable(struct socket *sock, struct attls_conn *conn,
			 __poll_t mask)
{
	int ret = attls_control_peek(sock, conn);

	if (ret == 1 && !(mask & EPOLLRDHUP) && below_mark(sock))
		ret = -EAGAIN;
	if (ret == -EAGAIN)
		return mask & ~(EPOLLIN | EPOLLRDNORM);
	if (!ret)
		mask |= EPOLLRDHUP;
	else if (ret < 0)
		mask |= EPOLLERR;
	return mask;
}

/* struct proto_ops' poll of SECURE sockets. */
__poll_t attls_poll(struct file *file, struct socket *sock,
		    struct poll_table_struct *wait)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	__poll_t mask = attls_ktls_of(sock)->poll(file, sock, wait);

	if (unlikely(mask & EPOLLERR) &&
	    is_broken_stream(-READ_ONCE(sock->sk->sk_err)))
		attls_control_bad_record(sock, conn);
	if (smp_load_acquire(&conn->rx_closed))
		return mask | EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if ((mask & EPOLLIN) && attls_conn_state(conn) != ATTLS_CONN_FAILED)
		mask = readable(sock, conn, mask);
	return mask;
}
