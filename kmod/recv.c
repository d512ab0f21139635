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
#include <linux/net_tstamp.h>
#include <linux/poll.h>
#include <linux/splice.h>
#include <net/strparser.h>
#include <net/tcp.h>
#include <net/tls.h>

/* How long a wait looks away: another reader may have left data to us. */
#define WAIT_SLICE	(HZ / 10)

/* A FIN that no close_notify announced: data may be missing at the end. */
static int end_of_stream(struct attls_conn *conn)
{
	if (smp_load_acquire(&conn->rx_closed) || READ_ONCE(conn->rx_shut) ||
	    READ_ONCE(conn->rx_told))
		return 0;
	if (conn->rule->flags & ATTLS_RULE_TRUNC_OK &&
	    sock_flag(conn->sk, SOCK_DONE))
		return 0;
	WRITE_ONCE(conn->rx_told, true);
	attls_conn_reset(conn, ATTLS_REASON_TRUNCATED);
	sock_error(conn->sk);
	return -ECONNRESET;
}

/*
 * What a receive that gave no data means.  1: try again; else what to give
 * to the application.
 */
static int no_data(struct socket *sock, struct attls_conn *conn, int ret,
		   int control_errno)
{
	struct sock *sk = sock->sk;
	int err;

	err = attls_control_consume(sock, conn);
	if (err > 0 || attls_control_closed(conn))
		return 1;
	if (ret == -ENOMEM)		/* kTLS has given the record up */
		attls_conn_reset(conn, ATTLS_REASON_NO_MEMORY);
	ret = attls_control_bad_record(sock, conn, ret);
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return attls_conn_error(sk, conn);
	if (ret == control_errno)
		return 1;		/* another thread has taken it */
	if (!ret)
		return attls_control_at_end(sk) ? end_of_stream(conn) : 1;
	if (attls_is_socket_error(ret))
		WRITE_ONCE(conn->rx_told, true);
	return ret;
}

/* 1: there may be data to read; else what to give to the application. */
static int recv_begin(struct sock *sk, struct attls_conn *conn)
{
	if (unlikely(attls_rekey_is_time(conn)))
		attls_rekey_tx(conn, false);
	if (unlikely(attls_conn_state(conn) == ATTLS_CONN_FAILED))
		return attls_conn_error(sk, conn);
	if (likely(!READ_ONCE(conn->rx_closed)) || !attls_control_closed(conn))
		return 1;
	return sock_flag(sk, SOCK_DONE) ? 0 : sock_error(sk);
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

/* As many bytes as @want, at most 64 KiB, or the end or an error behind less. */
bool attls_recv_has(struct socket *sock, struct attls_conn *conn, int want)
{
	want = min(want, ATTLS_RECV_BYTES_MAX);
	return attls_recv_bytes(sock, want) >= want ||
	       READ_ONCE(conn->rx_closed) || READ_ONCE(sock->sk->sk_err) ||
	       READ_ONCE(sock->sk->sk_shutdown) & RCV_SHUTDOWN;
}

/* There is data, or an end, or an error. */
static bool is_ready(struct socket *sock, int want)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	int ret = attls_control_peek(sock, conn);

	return ret == 1 && want > 1 ? attls_recv_has(sock, conn, want) :
				      ret != -EAGAIN;
}

/*
 * Waits until @ready says so of @want bytes, @timeo jiffies from @start.  1: it
 * does; -EAGAIN: time is up; the errno of an interrupted call.
 */
int attls_recv_wait(struct socket *sock, unsigned long start, long timeo,
		    bool (*ready)(struct socket *sock, int want), int want)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	unsigned long past;
	int ret = 0;

	add_wait_queue(sk_sleep(sock->sk), &wait);
	while (!ret) {
		past = jiffies - start;
		if (ready(sock, want))
			ret = 1;
		else if (past >= timeo)
			ret = -EAGAIN;
		else if (signal_pending(current))
			ret = sock_intr_errno(timeo);
		else
			wait_woken(&wait, TASK_INTERRUPTIBLE,
				   min_t(unsigned long, timeo - past,
					 WAIT_SLICE));
	}
	remove_wait_queue(sk_sleep(sock->sk), &wait);
	return ret;
}

/* Is a receive that gave @ret of @len as good as one of TCP's? */
static bool is_enough(struct sock *sk, int ret, size_t len, int flags)
{
	if (ret >= (ssize_t)len)
		return true;
	return ret >= sock_rcvlowat(sk, flags & MSG_WAITALL, len) &&
	       skb_queue_empty_lockless(
			&tls_sw_ctx_rx(tls_get_ctx(sk))->rx_list);
}

/*
 * Goes on after a receive that gave @ret, less than it should or could: the
 * time that it has from @start on must not be given to it again.  kTLS would
 * also take the low water mark anew, so the waiting is done here.
 */
static int recv_rest(struct socket *sock, struct msghdr *msg, size_t len,
		     int flags, int ret, unsigned long start)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	int target = sock_rcvlowat(sock->sk, flags & MSG_WAITALL, len);
	long timeo = sock_rcvtimeo(sock->sk, flags & MSG_DONTWAIT);
	int copied = 0;

	for (;;) {
		if (ret > 0) {
			copied += ret;
			if (copied >= len)
				return copied;
			attls_control_consume(sock, conn);
		} else {
			ret = no_data(sock, conn, ret, -EIO);
			if (ret == -EAGAIN && copied < target && timeo)
				ret = attls_recv_wait(sock, start, timeo,
						      is_ready, 1);
			if (ret <= 0)
				break;
		}
		ret = recv_begin(sock->sk, conn);
		if (ret <= 0)
			break;
		ret = recv_data(sock, msg, len - copied, flags | MSG_DONTWAIT);
	}
	if (!copied)
		return ret;
	attls_control_keep_error(sock->sk, ret);
	return copied;
}

/* MSG_PEEK begins at the head each time: what is in its way goes. */
static int peek_some(struct socket *sock, struct msghdr *msg, size_t len,
		     int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	struct iov_iter iter = msg->msg_iter;
	int ret;

	for (;;) {
		ret = recv_begin(sock->sk, conn);
		if (ret <= 0)
			return ret;
		msg->msg_iter = iter;
		ret = recv_data(sock, msg, len, flags);
		if (ret <= 0)
			ret = no_data(sock, conn, ret, -EIO);
		else if (ret == len ||
			 attls_control_consume(sock, conn) <= 0)
			return ret;
		if (ret <= 0)
			return ret;
	}
}

/*
 * kTLS would wait for what is missing, and end at a control record that
 * somebody else may have taken when we look: so the waiting is done here,
 * but for more than we can count.
 */
static int recv_peek(struct socket *sock, struct msghdr *msg, size_t len,
		     int flags, unsigned long start)
{
	int target = sock_rcvlowat(sock->sk, flags & MSG_WAITALL, len);
	long timeo = sock_rcvtimeo(sock->sk, flags & MSG_DONTWAIT);
	struct iov_iter iter = msg->msg_iter;
	int peeked = 0, ret, err;

	if (target <= ATTLS_RECV_BYTES_MAX)
		flags |= MSG_DONTWAIT;
	for (;;) {
		msg->msg_iter = iter;
		ret = peek_some(sock, msg, len, flags);
		if (!timeo || ret >= target || (ret > 0 && ret == peeked) ||
		    (ret <= 0 && ret != -EAGAIN))
			return ret;
		peeked = max(ret, 0);
		err = attls_recv_wait(sock, start, timeo, is_ready, target);
		if (err <= 0)
			return peeked ?: err;
	}
}

/* A receive of nothing: TCP waits for data all the same. */
static int recv_none(struct socket *sock, int flags, unsigned long start)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	long timeo = sock_rcvtimeo(sock->sk, flags & MSG_DONTWAIT);
	int ret = attls_control_peek(sock, conn);

	if (ret == -EAGAIN && timeo)
		ret = attls_recv_wait(sock, start, timeo, is_ready, 1);
	return min(ret, 0);
}

/* Up to 64 KiB into one page, again and again: nobody looks at it. */
static int recv_nowhere(struct socket *sock, size_t len, int flags)
{
	struct kvec iov[ATTLS_RECV_BYTES_MAX / PAGE_SIZE];
	struct msghdr msg = {};
	void *page;
	size_t i;
	int ret;

	page = (void *)__get_free_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = (struct kvec) { page, PAGE_SIZE };
	len = min_t(size_t, len, ATTLS_RECV_BYTES_MAX);
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

/* The control messages that TCP gives with data, when asked for. */
#define RX_STAMPS (SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE)

static bool wants_stamp(const struct sock *sk)
{
	return sock_flag(sk, SOCK_RCVTSTAMP) ||
	       READ_ONCE(sk->sk_tsflags) & RX_STAMPS;
}

/*
 * When the data came: as the last record was complete, or now, if a reader
 * was there to take it.  TCP has the same of the last segment.
 */
static void put_stamp(struct sock *sk, struct attls_conn *conn,
		      struct msghdr *msg)
{
	struct sk_buff *skb = alloc_skb(0, GFP_KERNEL);

	if (!skb)
		return;
	skb->tstamp = xchg(&conn->stamp, 0) ?: ktime_get_real();
	sock_recv_timestamp(msg, sk, skb);
	kfree_skb(skb);
}

/* TCP counts the end as a byte to come. */
static void put_inq(struct socket *sock, struct msghdr *msg)
{
	int inq = attls_recv_bytes(sock, ATTLS_RECV_BYTES_MAX);

	if (!inq && attls_control_at_end(sock->sk))
		inq = 1;
	put_cmsg(msg, SOL_TCP, TCP_CM_INQ, sizeof(inq), &inq);
}

static void recv_end(struct socket *sock, struct attls_conn *conn,
		     struct msghdr *msg, int ret)
{
	struct sock *sk = sock->sk;

	if (unlikely(READ_ONCE(conn->first)) && ret > 0)
		attls_ktls_first_data(conn);
	if (unlikely(wants_stamp(sk)) && ret > 0)
		put_stamp(sk, conn, msg);
	if (unlikely(tcp_sk(sk)->recvmsg_inq) && ret >= 0)
		put_inq(sock, msg);
}

/* Receives that are no plain ones. */
static int recv_other(struct socket *sock, struct msghdr *msg, size_t len,
		      int flags, unsigned long start)
{
	if (flags & MSG_ERRQUEUE)
		return attls_ktls_of(sock)->recvmsg(sock, msg, len, flags);
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (!len)
		return recv_none(sock, flags, start);
	if (flags & MSG_TRUNC)
		return recv_drop(sock, len, flags & ~MSG_TRUNC);
	return recv_peek(sock, msg, len, flags, start);
}

#define OTHER_RECV_FLAGS (MSG_ERRQUEUE | MSG_OOB | MSG_TRUNC | MSG_PEEK)

/* struct proto_ops' recvmsg of SECURE sockets. */
int attls_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		  int flags)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn = attls_conn_of(sk);
	unsigned long start = jiffies;
	int ret;

	ret = recv_begin(sk, conn);
	if (unlikely(ret <= 0 && !(flags & MSG_ERRQUEUE)))
		return ret;
	if (unlikely(flags & OTHER_RECV_FLAGS || !len))
		return recv_other(sock, msg, len, flags, start);
	if (unlikely(READ_ONCE(conn->rx_closed)))
		flags |= MSG_DONTWAIT;		/* what is there is all */
	ret = recv_data(sock, msg, len, flags);
	if (unlikely(!is_enough(sk, ret, len, flags)))
		ret = recv_rest(sock, msg, len, flags, ret, start);
	recv_end(sock, conn, msg, ret);
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
	if (unlikely(READ_ONCE(conn->first)) && ret > 0)
		attls_ktls_first_data(conn);
	return ret;
}

/*
 * Bytes that a receive would give now, up to @most, at most 64 KiB; 0 also
 * at the end and for an error.
 */
int attls_recv_bytes(struct socket *sock, size_t most)
{
	/* A peek leaves an error to who asks for it. */
	if (attls_control_peek(sock, attls_conn_of(sock->sk)) != 1)
		return 0;
	return max(recv_nowhere(sock, most, MSG_PEEK | MSG_DONTWAIT), 0);
}

/*
 * Is there less than the low water mark asks for?  Like TCP, do not wait
 * for what the receive buffer has no room for.
 */
static bool below_mark(struct socket *sock)
{
	int mark = READ_ONCE(sock->sk->sk_rcvlowat);

	mark = min3(mark, READ_ONCE(sock->sk->sk_rcvbuf) / 2,
		    (int)ATTLS_RECV_BYTES_MAX);
	return mark > 1 && attls_recv_bytes(sock, mark) < mark;
}

/* Readable only when data, the end or an error can be had. */
static __poll_t readable(struct socket *sock, struct attls_conn *conn,
			 __poll_t mask)
{
	struct tls_sw_context_rx *rx = tls_sw_ctx_rx(tls_get_ctx(sock->sk));
	int ret = attls_control_peek(sock, conn);

	if (ret == 1)
		attls_announce_now(conn);
	if (ret == 1 && !(mask & EPOLLRDHUP) && below_mark(sock))
		ret = -EAGAIN;
	/* A reader in kTLS has it: whether it leaves some is not known. */
	if (ret == -EAGAIN && !READ_ONCE(rx->reader_present))
		return mask & ~(EPOLLIN | EPOLLRDNORM);
	if (!ret)
		mask |= EPOLLRDHUP;
	else if (ret < 0 && ret != -EAGAIN)
		mask |= EPOLLERR;
	return mask;
}

/* struct proto_ops' poll of SECURE sockets. */
__poll_t attls_poll(struct file *file, struct socket *sock,
		    struct poll_table_struct *wait)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	__poll_t mask = attls_ktls_of(sock)->poll(file, sock, wait);
	struct sock *sk = sock->sk;

	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return mask;
	if (unlikely(mask & EPOLLERR))
		attls_control_bad_record(sock, conn, 0);
	if (smp_load_acquire(&conn->rx_closed))
		return mask | EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	/* kTLS keeps silent behind a KeyUpdate that nobody has read. */
	if (attls_ktls_waits(tls_sw_ctx_rx(tls_get_ctx(sk))))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (mask & EPOLLIN)
		mask = readable(sock, conn, mask);
	return mask;
}
