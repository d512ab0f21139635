// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations of a SECURE socket whose application may stop TLS: those of
 * io.c, below two locks, because kTLS may go away underneath.
 *
 * conn->use is held for reading by whoever is in a function that needs kTLS,
 * and for writing by STOP.  Nobody waits for the peer with it: a receive
 * takes what is there, the waiting is done here, without the lock.
 *
 * conn->sending is held for reading by writers, who may wait for room in it,
 * and tried for writing by STOP: a writer is a reason to refuse.  While the
 * state is STOPPING no writer gets in; it goes on in clear.
 *
 * Both locks are taken before the table is looked at again.  If it is another
 * by then, the call goes on with that one.
 */
#include "internal.h"
#include <linux/poll.h>
#include <linux/splice.h>
#include <net/tcp.h>

static __poll_t stoppable_poll(struct file *file, struct socket *sock,
			       struct poll_table_struct *wait);

/* The functions below ours; NULL: the socket has another table by now. */
static const struct proto_ops *secure_of(const struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	if (ops->poll != stoppable_poll)
		return NULL;
	return &container_of(ops, struct attls_ops, stoppable)->secure;
}

static void use_end(struct attls_conn *conn)
{
	if (conn)
		up_read(&conn->use);
}

/* As secure_of(); kTLS stays until use_end(). */
static const struct proto_ops *use_begin(const struct socket *sock,
					 struct attls_conn *conn)
{
	const struct proto_ops *secure;

	if (conn)
		down_read(&conn->use);
	secure = secure_of(sock);
	if (!secure)
		use_end(conn);
	return secure;
}

static bool is_stopping(const struct attls_conn *conn)
{
	return attls_conn_state(conn) == ATTLS_CONN_STOPPING;
}

static void send_end(struct attls_conn *conn)
{
	if (conn)
		up_read(&conn->sending);
}

/*
 * As secure_of(), for a writer, until send_end().  NULL also while STOPPING:
 * the state is looked at first, as the table is changed first.
 */
static const struct proto_ops *send_begin(const struct socket *sock,
					  struct attls_conn *conn)
{
	const struct proto_ops *secure = NULL;

	if (conn)
		down_read(&conn->sending);
	if (!is_stopping(conn))
		secure = secure_of(sock);
	if (!secure)
		send_end(conn);
	return secure;
}

static int stoppable_sendmsg(struct socket *sock, struct msghdr *msg,
			     size_t len)
{
	struct attls_conn *conn = attls_hold_get(sock);
	long timeo = sock_sndtimeo(sock->sk, msg->msg_flags & MSG_DONTWAIT);
	const struct proto_ops *secure;
	int ret;

	secure = send_begin(sock, conn);
	if (secure) {
		ret = secure->sendmsg(sock, msg, len);
		send_end(conn);
	} else {
		ret = attls_hold_wait(sock->sk, conn, timeo);
		if (!ret)
			ret = READ_ONCE(sock->ops)->sendmsg(sock, msg, len);
	}
	attls_hold_put(conn);
	return ret;
}

static void stoppable_splice_eof(struct socket *sock)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *secure = send_begin(sock, conn);

	if (secure) {
		secure->splice_eof(sock);
		send_end(conn);
	}
	attls_hold_put(conn);
}

/*
 * The peer's close_notify is no end of the data while the application stops
 * TLS: it goes on in clear.
 */
static bool is_end_of_tls(const struct attls_conn *conn, ssize_t ret)
{
	return !ret && is_stopping(conn) && attls_control_closed(conn);
}

/* For attls_recv_wait(). */
static bool is_ready(struct socket *sock, int want)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	bool ready;
	int ret;

	if (!use_begin(sock, conn))
		return true;
	ret = attls_control_peek(sock, conn);
	if (is_end_of_tls(conn, ret))
		ret = -EAGAIN;
	ready = ret != -EAGAIN;
	if (ret == 1 && want > 1)
		ready = attls_recv_has(sock, conn, want);
	use_end(conn);
	return ready;
}

/* A receive of what is there.  False: the table is another by now. */
static bool recv_some(struct socket *sock, struct attls_conn *conn,
		      struct msghdr *msg, size_t len, int flags, int *ret)
{
	const struct proto_ops *secure = use_begin(sock, conn);

	if (!secure)
		return false;
	*ret = secure->recvmsg(sock, msg, len, flags | MSG_DONTWAIT);
	if (len && is_end_of_tls(conn, *ret))
		*ret = -EAGAIN;
	use_end(conn);
	return true;
}

/* As recvmsg; *@again: with the table of now. */
static int recv_wait(struct socket *sock, struct attls_conn *conn,
		     struct msghdr *msg, size_t len, int flags, bool *again)
{
	int target = sock_rcvlowat(sock->sk, flags & MSG_WAITALL, len);
	long timeo = sock_rcvtimeo(sock->sk, flags & MSG_DONTWAIT);
	int want = flags & MSG_PEEK ? target : 1;
	size_t controllen = msg->msg_controllen;
	struct iov_iter iter = msg->msg_iter;
	void *control = msg->msg_control;
	unsigned long start = jiffies;
	int copied = 0, peeked = 0, ret = 0;

	do {
		if (flags & MSG_PEEK) {		/* from the head each time */
			msg->msg_iter = iter;
			peeked = copied;
			copied = 0;
		}
		/* What goes with the data is that of the last receive. */
		msg->msg_control = control;
		msg->msg_controllen = controllen;
		*again = !recv_some(sock, conn, msg, len - copied, flags,
				    &ret);
		if (*again)
			break;
		copied += max(ret, 0);
		if (ret > 0 ? copied >= target || copied == peeked :
			      ret != -EAGAIN || flags & MSG_ERRQUEUE)
			break;
		if (timeo)
			ret = attls_recv_wait(sock, start, timeo, is_ready,
					      want);
	} while (timeo && ret > 0);
	if (!copied)
		return ret;
	*again = false;
	if (ret < 0)
		attls_control_keep_error(sock->sk, ret);
	return copied;
}

static int stoppable_recvmsg(struct socket *sock, struct msghdr *msg,
			     size_t len, int flags)
{
	struct attls_conn *conn = attls_hold_get(sock);
	bool again;
	int ret;

	ret = recv_wait(sock, conn, msg, len, flags, &again);
	if (again)
		ret = READ_ONCE(sock->ops)->recvmsg(sock, msg, len, flags);
	attls_hold_put(conn);
	return ret;
}

/* As splice_read; *@again: with the table of now. */
static ssize_t splice_wait(struct socket *sock, struct attls_conn *conn,
			   loff_t *pos, struct pipe_inode_info *pipe,
			   size_t len, unsigned int flags, bool *again)
{
	bool nonblock = sock->file->f_flags & O_NONBLOCK ||
			flags & SPLICE_F_NONBLOCK;
	long timeo = sock_rcvtimeo(sock->sk, nonblock);
	const struct proto_ops *secure;
	unsigned long start = jiffies;
	ssize_t ret;

	do {
		secure = use_begin(sock, conn);
		*again = !secure;
		if (*again)
			return 0;
		ret = secure->splice_read(sock, pos, pipe, len,
					  flags | SPLICE_F_NONBLOCK);
		if (len && is_end_of_tls(conn, ret))
			ret = -EAGAIN;
		use_end(conn);
		if (ret != -EAGAIN || !timeo)
			break;
		ret = attls_recv_wait(sock, start, timeo, is_ready, 1);
	} while (ret > 0);
	return ret;
}

static ssize_t stoppable_splice_read(struct socket *sock, loff_t *pos,
				     struct pipe_inode_info *pipe, size_t len,
				     unsigned int flags)
{
	struct attls_conn *conn = attls_hold_get(sock);
	bool again;
	ssize_t ret;

	ret = splice_wait(sock, conn, pos, pipe, len, flags, &again);
	if (again)
		ret = READ_ONCE(sock->ops)->splice_read(sock, pos, pipe, len,
							flags);
	attls_hold_put(conn);
	return ret;
}

/* While STOPPING: what was sent under TLS is to be read, nothing to write. */
static __poll_t stopping_mask(struct socket *sock, struct attls_conn *conn,
			      __poll_t mask)
{
	mask &= EPOLLERR | EPOLLHUP;
	if (attls_control_peek(sock, conn) == 1)
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static __poll_t stoppable_poll(struct file *file, struct socket *sock,
			       struct poll_table_struct *wait)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *secure = use_begin(sock, conn);
	__poll_t mask;

	if (secure) {
		mask = secure->poll(file, sock, wait);
		/* That was an error for kTLS only: clear bytes. */
		if (mask & EPOLLERR && conn && READ_ONCE(conn->rx_closed))
			mask = secure->poll(file, sock, NULL);
		if (is_stopping(conn))
			mask = stopping_mask(sock, conn, mask);
		use_end(conn);
	} else {
		mask = READ_ONCE(sock->ops)->poll(file, sock, wait);
	}
	attls_hold_put(conn);
	return mask;
}

static int stoppable_ioctl(struct socket *sock, unsigned int cmd,
			   unsigned long arg)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *secure = use_begin(sock, conn);
	int ret;

	if (secure) {
		ret = secure->ioctl(sock, cmd, arg);
		use_end(conn);
	} else {
		ret = READ_ONCE(sock->ops)->ioctl(sock, cmd, arg);
	}
	attls_hold_put(conn);
	return ret;
}

static int stoppable_shutdown(struct socket *sock, int how)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *secure = use_begin(sock, conn);
	int ret;

	if (secure) {
		ret = secure->shutdown(sock, how);
		use_end(conn);
	} else {
		ret = READ_ONCE(sock->ops)->shutdown(sock, how);
	}
	attls_hold_put(conn);
	return ret;
}

static int stoppable_connect(struct socket *sock,
			     struct sockaddr_unsized *addr, int addr_len,
			     int flags)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *secure = use_begin(sock, conn);
	int ret;

	if (secure) {
		ret = secure->connect(sock, addr, addr_len, flags);
		use_end(conn);
	} else {
		ret = READ_ONCE(sock->ops)->connect(sock, addr, addr_len,
						    flags);
	}
	attls_hold_put(conn);
	return ret;
}

static int stoppable_setsockopt(struct socket *sock, int level, int optname,
				sockptr_t optval, unsigned int optlen)
{
	const struct proto_ops *secure;
	struct attls_conn *conn;
	int ret;

	if (level == SOL_ATTLS)		/* it may STOP */
		return attls_sockopt_set(sock, optname, optval, optlen);
	conn = attls_hold_get(sock);
	secure = use_begin(sock, conn);
	if (secure) {
		ret = secure->setsockopt(sock, level, optname, optval, optlen);
		use_end(conn);
	} else {
		ret = READ_ONCE(sock->ops)->setsockopt(sock, level, optname,
						       optval, optlen);
	}
	attls_hold_put(conn);
	return ret;
}

static int stoppable_getsockopt(struct socket *sock, int level, int optname,
				char __user *optval, int __user *optlen)
{
	const struct proto_ops *secure;
	struct attls_conn *conn;
	int ret;

	if (level == SOL_ATTLS)		/* it may STOP */
		return attls_sockopt_get(sock, optname, optval, optlen);
	conn = attls_hold_get(sock);
	secure = use_begin(sock, conn);
	if (secure) {
		ret = secure->getsockopt(sock, level, optname, optval, optlen);
		use_end(conn);
	} else {
		ret = READ_ONCE(sock->ops)->getsockopt(sock, level, optname,
						       optval, optlen);
	}
	attls_hold_put(conn);
	return ret;
}

/* A STOP that waits for the peer is no more: it finds no socket. */
static int stoppable_release(struct socket *sock)
{
	struct attls_conn *conn = sock->sk ? attls_conn_of(sock->sk) : NULL;
	const struct proto_ops *secure;

	if (conn)
		attls_conn_part(conn);
	secure = secure_of(sock);
	return (secure ?: READ_ONCE(sock->ops))->release(sock);
}

/* Makes the copy @ops of the table of SECURE sockets one that can go. */
void attls_stoppable_fill(struct proto_ops *ops)
{
	ops->release = stoppable_release;
	ops->connect = stoppable_connect;
	ops->poll = stoppable_poll;
	ops->ioctl = stoppable_ioctl;
	ops->shutdown = stoppable_shutdown;
	ops->setsockopt = stoppable_setsockopt;
	ops->getsockopt = stoppable_getsockopt;
	ops->sendmsg = stoppable_sendmsg;
	ops->recvmsg = stoppable_recvmsg;
	if (ops->splice_read)
		ops->splice_read = stoppable_splice_read;
	if (ops->splice_eof)
		ops->splice_eof = stoppable_splice_eof;
}
