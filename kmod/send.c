// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending on a SECURE socket: kTLS's own function, unless the call asks for
 * something that TCP does and kTLS refuses.
 */
#include "internal.h"
#include <linux/tcp.h>
#include <linux/unaligned.h>
#include <net/inet_common.h>
#include <net/tcp.h>
#include <net/tls.h>

/* What kTLS's sendmsg takes; TCP's takes any flag. */
#define KTLS_SEND_FLAGS (MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL | \
			 MSG_CMSG_COMPAT | MSG_SPLICE_PAGES | MSG_EOR)
#define PLAIN_SEND_FLAGS (KTLS_SEND_FLAGS & ~MSG_MORE)

static bool key_is_used_up(const struct sock *sk, const struct attls_conn *conn)
{
	return get_unaligned_be64(tls_get_ctx(sk)->tx.rec_seq) >=
	       READ_ONCE(conn->tx_limit);
}

static bool is_new_key_due(const struct sock *sk, const struct attls_conn *conn)
{
	return key_is_used_up(sk, conn) || attls_rekey_is_time(conn);
}

/* Is there anything to be sent before data? */
static bool is_something_due(const struct sock *sk,
			     const struct attls_conn *conn)
{
	return is_new_key_due(sk, conn) || READ_ONCE(conn->tickets);
}

/*
 * kTLS keeps a record open for as long as MSG_MORE promises more, for ever
 * if need be; TCP for 200 ms.
 */
static void flush_later(struct attls_conn *conn)
{
	if (READ_ONCE(conn->more))
		return;
	WRITE_ONCE(conn->more, true);
	attls_conn_arm(conn, ATTLS_MORE_DELAY);
}

/*
 * A call that gives kTLS no more than the peer takes in a record makes one
 * record, which ends with the call: more would go into it.
 */
static int send_small_records(struct socket *sock,
			      const struct attls_conn *conn,
			      struct msghdr *msg, size_t len)
{
	size_t sent = 0, n;
	int ret;

	msg->msg_flags &= ~MSG_MORE;
	do {
		n = min_t(size_t, len - sent, conn->max_fragment);
		iov_iter_truncate(&msg->msg_iter, n);
		ret = inet_sendmsg(sock, msg, n);
		iov_iter_reexpand(&msg->msg_iter,
				  len - sent - max(ret, 0));
		if (ret <= 0)
			break;
		sent += ret;
		/* What was sent counts, not what becomes of the rest. */
		msg->msg_flags |= MSG_NOSIGNAL;
	} while (ret == n && sent < len);
	return sent ?: ret;
}

static int send_records(struct socket *sock, const struct attls_conn *conn,
			struct msghdr *msg, size_t len)
{
	if (!ATTLS_TX_MAX_PAYLOAD_LEN && unlikely(conn->max_fragment))
		return send_small_records(sock, conn, msg, len);
	return inet_sendmsg(sock, msg, len);
}

/*
 * kTLS wants memory where TCP waits for it, for as long as the socket's
 * timeout says.  If a record was lost for that, so is the connection.
 */
static int send_again(struct socket *sock, struct attls_conn *conn,
		      struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	long timeo = sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT);
	int ret;

	do {
		lock_sock(sk);
		ret = sk_stream_wait_memory(sk, &timeo);
		release_sock(sk);
		if (READ_ONCE(sk->sk_err))
			attls_conn_reset(conn, ATTLS_REASON_NO_MEMORY);
		if (ret)
			return sk_stream_error(sk, msg->msg_flags, ret);
		ret = send_records(sock, conn, msg, len);
	} while (ret == -ENOMEM);
	return ret;
}

/*
 * The error once, then EPIPE, as TCP does; kTLS would queue a record that
 * nothing can send, or tell the error for ever.
 */
static int send_failed(struct socket *sock, struct attls_conn *conn,
		       int flags)
{
	if (!conn)
		return -ECONNRESET;
	attls_control_bad_record(sock, conn, 0);
	if (READ_ONCE(sock->sk->sk_err))
		WRITE_ONCE(conn->rx_told, true);
	return sk_stream_error(sock->sk, flags, -EPIPE);
}

static int send_ktls(struct socket *sock, struct attls_conn *conn,
		     struct msghdr *msg, size_t len)
{
	int ret = send_records(sock, conn, msg, len);

	if (unlikely(ret == -ENOMEM))
		ret = send_again(sock, conn, msg, len);
	/* A record was lost, here or there, and we were the first to hear. */
	if (unlikely(ret == -EBADMSG)) {
		attls_control_bad_record(sock, conn, ret);
		ret = send_failed(sock, conn, msg->msg_flags);
	}
	return ret;
}

/* Every socket that asks is told the data was copied, as it was. */
static int send_zerocopy(struct socket *sock, struct attls_conn *conn,
			 struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	struct ubuf_info *uarg;
	int ret;

	lock_sock(sk);
	uarg = attls_zerocopy_alloc(sk, len);
	release_sock(sk);
	if (!uarg)
		return -ENOBUFS;
	uarg_to_msgzc(uarg)->zerocopy = 0;
	ret = send_ktls(sock, conn, msg, len);
	if (ret < 0)
		net_zcopy_put_abort(uarg, true);
	else
		net_zcopy_put(uarg);
	return ret;
}

/*
 * The new key waits for records that wait for room in TCP: so does a writer
 * who may not wait, and it will hear of room.
 */
static bool must_wait(struct sock *sk, const struct attls_conn *conn)
{
	if (!key_is_used_up(sk, conn) || sk_stream_is_writeable(sk))
		return false;
	set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	smp_mb__after_atomic();		/* room may have come just now */
	return !sk_stream_is_writeable(sk);
}

/* 0, or the error of the call. */
static int send_due(struct socket *sock, struct attls_conn *conn,
		    unsigned int flags)
{
	bool wait = !(flags & MSG_DONTWAIT);
	int err = 0;

	if (is_new_key_due(sock->sk, conn)) {
		err = attls_rekey_tx(conn, wait);
		if (!err && !wait && must_wait(sock->sk, conn))
			err = -EAGAIN;
	}
	if (!err && READ_ONCE(conn->tickets))
		err = attls_tickets_first(conn, wait);
	return err;
}

/*
 * Sends what is no plain send to kTLS, or what comes when a new key is due.
 * Control messages are checked as TCP does, and not shown to kTLS: they
 * could make the data a record of another type.
 */
static int send_other(struct socket *sock, struct attls_conn *conn,
		      struct msghdr *msg, size_t len)
{
	struct sockcm_cookie sockc;
	unsigned int flags;
	int err;

	attls_fastopen_taken(conn, msg);
	flags = msg->msg_flags;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (flags & MSG_FASTOPEN)
		return -EISCONN;
	if (msg->msg_controllen) {
		sockcm_init(&sockc, sock->sk);
		err = sock_cmsg_send(sock->sk, msg, &sockc);
		if (err)
			return -EINVAL;
		msg->msg_control = NULL;
		msg->msg_controllen = 0;
	}
	err = len ? send_due(sock, conn, flags) : 0;
	if (err)
		return err;
	if (flags & MSG_MORE)
		flush_later(conn);
	/* io_uring's own completion needs nothing: it counts references. */
	msg->msg_ubuf = NULL;
	msg->msg_flags = flags & KTLS_SEND_FLAGS;
	if (flags & MSG_ZEROCOPY && len && sock_flag(sock->sk, SOCK_ZEROCOPY))
		return send_zerocopy(sock, conn, msg, len);
	return send_ktls(sock, conn, msg, len);
}

/*
 * In the place of inet_sendmsg(), which has kTLS's function called: no layer
 * more than native kTLS has, for what kTLS can send as it is.
 */
int attls_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn = attls_conn_of(sk);

	if (unlikely(!conn || READ_ONCE(sk->sk_err) ||
		     (READ_ONCE(sk->sk_shutdown) | READ_ONCE(conn->shut)) &
		     SEND_SHUTDOWN))
		return send_failed(sock, conn, msg->msg_flags);
	if (unlikely(msg->msg_flags & ~PLAIN_SEND_FLAGS ||
		     msg->msg_controllen || is_something_due(sk, conn)))
		return send_other(sock, conn, msg, len);
	return send_ktls(sock, conn, msg, len);
}

