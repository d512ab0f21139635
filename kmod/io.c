// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations of a SECURE socket: kTLS's own, with a thin layer where
 * kTLS and TCP differ in what an application sees.  Sending has no layer.
 *
 * The table is in place a moment before the state says SECURE; all that
 * these functions need is there by then, so they ask for FAILED only.
 */
#include "internal.h"
#include <asm/ioctls.h>
#include <linux/poll.h>
#include <linux/sockios.h>
#include <linux/splice.h>
#include <linux/tcp.h>
#include <net/strparser.h>
#include <net/tcp.h>
#include <net/tls.h>

static const struct proto_ops *ktls_of(const struct socket *sock)
{
	return container_of(sock->ops, struct attls_ops, secure)->base;
}

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
		attls_conn_reset(conn, ATTLS_REASON_RECORD);
		sock_error(sock->sk);
		return -ECONNRESET;
	}
	return ret;
}

/* One receive with no room for a record type: control gives EIO. */
static int data_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			int flags)
{
	void *control = msg->msg_control;
	size_t controllen = msg->msg_controllen;
	unsigned int msg_flags = msg->msg_flags;
	int ret;

	msg->msg_control = NULL;
	msg->msg_controllen = 0;
	ret = ktls_of(sock)->recvmsg(sock, msg, len, flags);
	msg->msg_control = control;
	msg->msg_controllen = controllen;
	/* kTLS says MSG_EOR and MSG_CTRUNC, TCP says neither. */
	msg->msg_flags = msg_flags;
	return ret;
}

static int secure_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			  int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	int ret;

	if (unlikely(flags & MSG_ERRQUEUE))
		return ktls_of(sock)->recvmsg(sock, msg, len, flags);
	if (unlikely(flags & MSG_OOB))
		return -EOPNOTSUPP;
	for (;;) {
		if (unlikely(attls_conn_state(conn) == ATTLS_CONN_FAILED))
			return sock_error(sock->sk) ?: -ECONNRESET;
		if (unlikely(smp_load_acquire(&conn->rx_closed)))
			return 0;
		ret = data_recvmsg(sock, msg, len, flags);
		if (likely(ret > 0) || !len)
			break;
		ret = no_data(sock, conn, ret, -EIO);
		if (ret <= 0)
			return ret;
	}
	if (unlikely(READ_ONCE(conn->nonagle_saved)) && ret > 0)
		attls_ktls_nagle_restore(conn);
	return ret;
}

static ssize_t secure_splice_read(struct socket *sock, loff_t *pos,
				  struct pipe_inode_info *pipe, size_t len,
				  unsigned int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	ssize_t ret;

	/* kTLS looks at the flag only, TCP at the file as well. */
	if (sock->file->f_flags & O_NONBLOCK)
		flags |= SPLICE_F_NONBLOCK;
	for (;;) {
		if (unlikely(attls_conn_state(conn) == ATTLS_CONN_FAILED))
			return sock_error(sock->sk) ?: -ECONNRESET;
		if (unlikely(smp_load_acquire(&conn->rx_closed)))
			return 0;
		ret = ktls_of(sock)->splice_read(sock, pos, pipe, len, flags);
		if (likely(ret > 0) || !len)
			break;
		ret = no_data(sock, conn, ret, -EINVAL);
		if (ret <= 0)
			return ret;
	}
	if (unlikely(READ_ONCE(conn->nonagle_saved)) && ret > 0)
		attls_ktls_nagle_restore(conn);
	return ret;
}

/* Readable only when data, the end or an error can be had. */
static __poll_t readable(struct socket *sock, struct attls_conn *conn,
			 __poll_t mask)
{
	int ret = attls_control_peek(sock, conn);

	if (ret == -EAGAIN)
		return mask & ~(EPOLLIN | EPOLLRDNORM);
	if (!ret)
		mask |= EPOLLRDHUP;
	else if (ret < 0)
		mask |= EPOLLERR;
	return mask;
}

static __poll_t secure_poll(struct file *file, struct socket *sock,
			    struct poll_table_struct *wait)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	__poll_t mask = ktls_of(sock)->poll(file, sock, wait);

	if (unlikely(mask & EPOLLERR) &&
	    is_broken_stream(-READ_ONCE(sock->sk->sk_err)))
		attls_conn_reset(conn, ATTLS_REASON_RECORD);
	if (smp_load_acquire(&conn->rx_closed))
		return mask | EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if ((mask & EPOLLIN) && attls_conn_state(conn) != ATTLS_CONN_FAILED)
		mask = readable(sock, conn, mask);
	return mask;
}

/* Bytes that a receive would give now: of records decrypted already. */
static int readable_bytes(struct socket *sock, struct attls_conn *conn)
{
	struct sock *sk = sock->sk;
	struct tls_sw_context_rx *rx;
	struct sk_buff *skb;
	int sum = 0;

	if (attls_control_peek(sock, conn) != 1)
		return 0;
	lock_sock(sk);
	rx = tls_sw_ctx_rx(tls_get_ctx(sk));
	skb_queue_walk(&rx->rx_list, skb) {
		if (((struct sk_skb_cb *)skb->cb)->tls.control !=
		    ATTLS_RECORD_DATA)
			break;
		sum += strp_msg(skb)->full_len;
	}
	release_sock(sk);
	return sum;
}

static int secure_ioctl(struct socket *sock, unsigned int cmd,
			unsigned long arg)
{
	if (cmd == SIOCINQ)
		return put_user(readable_bytes(sock, attls_conn_of(sock->sk)),
				(int __user *)arg);
	return ktls_of(sock)->ioctl(sock, cmd, arg);
}

static int secure_shutdown(struct socket *sock, int how)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (how != SHUT_RD && attls_conn_state(conn) != ATTLS_CONN_FAILED)
		attls_control_close_notify(sock, conn);
	return ktls_of(sock)->shutdown(sock, how);
}

static int secure_connect(struct socket *sock, struct sockaddr_unsized *addr,
			  int addr_len, int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);

	/* A blocking connect that a signal had interrupted. */
	if (xchg(&conn->connect_again, false))
		return 0;
	return ktls_of(sock)->connect(sock, addr, addr_len, flags);
}

/*
 * Options that would take the keys, change what is below us, or hand out
 * what is on the wire.
 */
bool attls_sockopt_denied(int level, int optname)
{
	switch (level) {
	case SOL_TLS:
		return true;
	case SOL_TCP:
		return optname == TCP_ULP || optname == TCP_REPAIR ||
		       optname == TCP_ZEROCOPY_RECEIVE;
	case SOL_IPV6:
		return optname == IPV6_ADDRFORM;
	default:
		return false;
	}
}

static int secure_setsockopt(struct socket *sock, int level, int optname,
			     sockptr_t optval, unsigned int optlen)
{
	if (attls_sockopt_denied(level, optname))
		return -EPERM;
	if (level == SOL_TCP && (optname == TCP_NODELAY || optname == TCP_CORK))
		attls_ktls_nagle_restore(attls_conn_of(sock->sk));
	return ktls_of(sock)->setsockopt(sock, level, optname, optval, optlen);
}

/*
 * getsockopt of a socket under a rule, through @ops: the ULP slot looks
 * free, and what must not be read is not.
 */
int attls_sockopt_get(const struct proto_ops *ops, struct socket *sock,
		      int level, int optname, char __user *optval,
		      int __user *optlen)
{
	if (level == SOL_TCP && optname == TCP_ULP)
		return put_user(0, optlen);
	if (attls_sockopt_denied(level, optname))
		return -EPERM;
	return ops->getsockopt(sock, level, optname, optval, optlen);
}

static int secure_getsockopt(struct socket *sock, int level, int optname,
			     char __user *optval, int __user *optlen)
{
	if (level == SOL_TCP && optname == TCP_NODELAY)
		attls_ktls_nagle_restore(attls_conn_of(sock->sk));
	return attls_sockopt_get(ktls_of(sock), sock, level, optname, optval,
				 optlen);
}

static int secure_mmap(struct file *file, struct socket *sock,
		       struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

/*
 * Tickets that nobody read are no data that nobody read: they must not turn
 * the FIN into a RST.  Unread data does, as on TCP.
 */
static int secure_release(struct socket *sock)
{
	const struct proto_ops *ktls = ktls_of(sock);
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (attls_conn_state(conn) == ATTLS_CONN_SECURE) {
		if (attls_control_peek(sock, conn) == 1)
			tcp_abort(sock->sk, ECONNRESET);
		else
			attls_control_close_notify(sock, conn);
	}
	attls_conn_release(sock, conn);
	return ktls->release(sock);
}

/* Makes the copy @ops of a kTLS table the table of SECURE sockets. */
void attls_io_fill(struct proto_ops *ops)
{
	ops->release = secure_release;
	ops->connect = secure_connect;
	ops->poll = secure_poll;
	ops->ioctl = secure_ioctl;
	ops->shutdown = secure_shutdown;
	ops->setsockopt = secure_setsockopt;
	ops->getsockopt = secure_getsockopt;
	ops->recvmsg = secure_recvmsg;
	if (ops->splice_read)
		ops->splice_read = secure_splice_read;
	if (ops->mmap)
		ops->mmap = secure_mmap;
	/* In-kernel readers would meet control records. */
	ops->read_sock = NULL;
	ops->read_skb = NULL;
	ops->sendmsg_locked = NULL;
}
