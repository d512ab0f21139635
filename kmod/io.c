// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations of a SECURE socket: kTLS's own, with a thin layer where
 * kTLS and TCP differ in what an application sees.  Data: send.c, recv.c.
 *
 * The table is in place a moment before the state says SECURE; all that
 * these functions need is there by then, so they ask for FAILED only.
 */
#include "internal.h"
#include <asm/ioctls.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/tcp.h>
#include <net/tls.h>

static int secure_ioctl(struct socket *sock, unsigned int cmd,
			unsigned long arg)
{
	if (cmd == SIOCINQ)
		return put_user(attls_recv_bytes(sock, ATTLS_RECV_BYTES_MAX),
				(int __user *)arg);
	return attls_ktls_of(sock)->ioctl(sock, cmd, arg);
}

static int secure_shutdown(struct socket *sock, int how)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (attls_conn_state(conn) != ATTLS_CONN_FAILED) {
		if (how != SHUT_RD)
			attls_control_close_notify(sock, conn);
		if (how != SHUT_WR)
			WRITE_ONCE(conn->rx_shut, true);
	}
	return attls_ktls_of(sock)->shutdown(sock, how);
}

static int secure_connect(struct socket *sock, struct sockaddr_unsized *addr,
			  int addr_len, int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);

	/* A blocking connect that a signal had interrupted. */
	if (conn && xchg(&conn->connect_again, false))
		return 0;
	if (addr_len >= sizeof(addr->sa_family) &&
	    addr->sa_family == AF_UNSPEC)
		return -EOPNOTSUPP;
	return attls_ktls_of(sock)->connect(sock, addr, addr_len, flags);
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
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (level == SOL_ATTLS)
		return attls_sockopt_set(sock, optname, optval, optlen);
	if (attls_attach_asks(level, optname, optval, optlen))
		return 0;
	if (attls_sockopt_denied(level, optname))
		return -EPERM;
	if (conn && level == SOL_TCP &&
	    (optname == TCP_NODELAY || optname == TCP_CORK))
		attls_ktls_nagle_restore(conn);
	return attls_ktls_of(sock)->setsockopt(sock, level, optname, optval, optlen);
}

/*
 * getsockopt of a socket under a rule, through @ops: the ULP slot looks
 * free, and what must not be read is not.
 */
int attls_io_getsockopt(const struct proto_ops *ops, struct socket *sock,
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
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (level == SOL_ATTLS)
		return attls_sockopt_get(sock, optname, optval, optlen);
	if (conn && level == SOL_TCP &&
	    (optname == TCP_NODELAY || optname == TCP_CORK))
		attls_ktls_nagle_restore(conn);
	return attls_io_getsockopt(attls_ktls_of(sock), sock, level, optname,
				   optval, optlen);
}

static int secure_mmap(struct file *file, struct socket *sock,
		       struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

/*
 * Tickets that nobody read are no data that nobody read: they must not turn
 * the FIN into a RST.  Unread data does, as on TCP, and so does SO_LINGER
 * with no time.
 */
static int secure_release(struct socket *sock)
{
	const struct proto_ops *ktls = attls_ktls_of(sock);
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (conn)	/* an INSTALL that has not said SECURE yet does so */
		attls_conn_part(conn);
	if (attls_conn_state(conn) == ATTLS_CONN_SECURE ||
	    attls_conn_state(conn) == ATTLS_CONN_STOPPING) {
		if (attls_control_peek(sock, conn) == 1)
			tcp_abort(sock->sk, ECONNRESET);
		else if (!sock_flag(sock->sk, SOCK_LINGER) ||
			 sock->sk->sk_lingertime)
			attls_control_close_notify(sock, conn);
	}
	if (conn) {
		attls_ktls_release(conn);
		attls_conn_release(sock, conn);
	}
	return ktls->release(sock);
}

/* Makes the copy @ops of a kTLS table the table of SECURE sockets. */
void attls_io_fill(struct proto_ops *ops)
{
	ops->release = secure_release;
	ops->connect = secure_connect;
	ops->poll = attls_poll;
	ops->ioctl = secure_ioctl;
	ops->shutdown = secure_shutdown;
	ops->setsockopt = secure_setsockopt;
	ops->getsockopt = secure_getsockopt;
	ops->sendmsg = attls_sendmsg;
	ops->recvmsg = attls_recvmsg;
	if (ops->splice_read)
		ops->splice_read = attls_splice_read;
	if (ops->mmap)
		ops->mmap = secure_mmap;
	ops->set_peek_off = NULL;
	/* In-kernel readers would meet control records. */
	ops->read_sock = NULL;
	ops->read_skb = NULL;
	ops->sendmsg_locked = NULL;
}
