// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations of a socket that is under a rule and not SECURE.
 *
 * While TCP connects or TLS shakes hands the socket is held: who may block
 * waits, who may not gets EAGAIN, poll says nothing.  Once the state says
 * what the socket is, the call goes on with the operations of that state:
 * kTLS below ours, TCP's own, or the error of a reset connection.
 */
#include "internal.h"
#include <asm/ioctls.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sockios.h>
#include <linux/splice.h>
#include <net/tcp.h>

static __poll_t held_poll(struct file *file, struct socket *sock,
			  struct poll_table_struct *wait);

static bool is_held(const struct proto_ops *ops)
{
	return ops->poll == held_poll;
}

/*
 * The native table below a held socket.  If the socket is not held any
 * more, the table that it has now: that one knows what to do.
 */
const struct proto_ops *attls_hold_base(const struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	return is_held(ops) ? container_of(ops, struct attls_ops, held)->base :
			      ops;
}

/* Not decided yet; a failure counts as decided once TCP has heard of it. */
bool attls_hold_pending(const struct attls_conn *conn)
{
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_CONNECTING:
	case ATTLS_CONN_HANDSHAKE:
	case ATTLS_CONN_INSTALLING:
	case ATTLS_CONN_STOPPING:
		return true;
	case ATTLS_CONN_FAILED:
		return conn && !smp_load_acquire(&conn->aborted);
	default:
		return false;
	}
}

/*
 * As attls_hold_base(), for one of TCP's functions that asks sk_prot, which
 * may be kTLS's by then: STOP does not take it away before unuse().
 */
static const struct proto_ops *use(const struct socket *sock,
				   struct attls_conn *conn)
{
	const struct proto_ops *ops;

	if (conn)
		down_read(&conn->use);
	ops = attls_hold_base(sock);
	if (conn && ops->owner == THIS_MODULE)
		up_read(&conn->use);		/* it does so itself */
	return ops;
}

static void unuse(const struct proto_ops *ops, struct attls_conn *conn)
{
	if (conn && ops->owner != THIS_MODULE)
		up_read(&conn->use);
}

/*
 * A connect may end without a change of state that TCP tells: it found no
 * port or no memory, or was taken back.  Process context.
 */
void attls_hold_settle(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	if (attls_conn_state(conn) != ATTLS_CONN_CONNECTING ||
	    READ_ONCE(sk->sk_state) != TCP_CLOSE)
		return;
	lock_sock(sk);			/* connect() holds it all the way */
	if (sk->sk_state == TCP_CLOSE &&
	    attls_conn_move(conn, ATTLS_CONN_CONNECTING, ATTLS_CONN_IDLE))
		attls_conn_unmute(sk);
	release_sock(sk);
}

/*
 * Has the application shut the socket down in the direction of @shut, one of
 * TCP's SEND_SHUTDOWN and RCV_SHUTDOWN, during the handshake?
 */
static bool is_shut(const struct attls_conn *conn, u8 shut)
{
	return READ_ONCE(conn->shut) & shut;
}

/*
 * Waits up to @timeo jiffies until the state is decided, or the socket is
 * @shut.  0; -ESHUTDOWN; -EAGAIN when the time is up; the errno of an
 * interrupted call.  May sleep if @timeo.
 */
static int hold_wait(struct sock *sk, struct attls_conn *conn, long timeo,
		     u8 shut)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err = 0;

	attls_hold_settle(conn);
	if (!attls_hold_pending(conn))
		return 0;
	add_wait_queue(sk_sleep(sk), &wait);
	while (attls_hold_pending(conn)) {
		if (is_shut(conn, shut)) {
			err = -ESHUTDOWN;
			break;
		}
		if (!timeo) {
			err = -EAGAIN;
			break;
		}
		if (signal_pending(current)) {
			err = sock_intr_errno(timeo);
			break;
		}
		timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, timeo);
	}
	remove_wait_queue(sk_sleep(sk), &wait);
	return err;
}

/* The same for who waits for the state alone. */
int attls_hold_wait(struct sock *sk, struct attls_conn *conn, long timeo)
{
	return hold_wait(sk, conn, timeo, 0);
}

/*
 * The conn of a held socket, or NULL, for one operation: another thread may
 * detach it meanwhile.  Keeps the module as well, for the way out.
 */
struct attls_conn *attls_hold_get(const struct socket *sock)
{
	struct attls_conn *conn;

	__module_get(THIS_MODULE);
	rcu_read_lock();
	conn = attls_conn_of(sock->sk);
	if (conn && !attls_conn_get(conn))
		conn = NULL;
	rcu_read_unlock();
	return conn;
}

void attls_hold_put(struct attls_conn *conn)
{
	if (conn)
		attls_conn_put(conn);
	module_put(THIS_MODULE);
}

/* What TCP does at the end of a connect that failed; lock_sock is held. */
static void disconnect(struct socket *sock)
{
	sock->sk->sk_prot->disconnect(sock->sk, 0);
	sock->state = SS_UNCONNECTED;
}

/*
 * TCP could not connect, and has told nobody: the errno.  State IDLE: the
 * socket may connect again.
 */
int attls_hold_refused(struct socket *sock)
{
	struct sock *sk = sock->sk;
	int err;

	lock_sock(sk);
	err = sock_error(sk) ?: -ECONNABORTED;
	if (sk->sk_state == TCP_CLOSE)
		disconnect(sock);
	release_sock(sk);
	return err;
}

/*
 * The table without a conn.  What the application wished is for its next
 * connect, too, if this one failed.  lock_sock is held.  True: the native
 * one.
 */
static bool unhold(struct socket *sock, struct attls_conn *conn, int from)
{
	const struct proto_ops *base = attls_hold_base(sock);
	struct attls_ops *ops = attls_ops_get(base);
	bool native = from != ATTLS_CONN_FAILED || !conn->wish;

	if (!native) {
		attls_wish_give(sock->sk, conn->wish);
		conn->wish = NULL;
	}
	WRITE_ONCE(sock->ops, native ? base : &ops->hook);
	return native;
}

/*
 * No conn any more, and nothing to hold, if the state is still @from: NONE,
 * no rule after all; FAILED, a connect that ended.  Process context; the
 * caller holds a module reference of its own.
 */
static void hold_detach(struct socket *sock, struct attls_conn *conn, int from)
{
	struct sock *sk = sock->sk;
	bool native;

	if (!attls_conn_move(conn, from, ATTLS_CONN_IDLE))
		return;
	if (from == ATTLS_CONN_FAILED)
		attls_ktls_take_off(sk);
	lock_sock(sk);
	if (from == ATTLS_CONN_FAILED)
		disconnect(sock);
	attls_conn_unhang(conn);
	native = unhold(sock, conn, from);
	release_sock(sk);
	attls_conn_release(sock, conn);
	if (native)
		module_put(THIS_MODULE);
}

/*
 * A connect() that failed in its TLS handshake leaves the socket as one that
 * failed in TCP: it may connect again.
 */
void attls_hold_unconnect(struct socket *sock, struct attls_conn *conn)
{
	hold_detach(sock, conn, ATTLS_CONN_FAILED);
}

/*
 * Waits for the decision and gives the table to go on with.  ERR_PTR: the
 * wait's error, or -ECONNRESET for a FAILED connection.  @conn: of the
 * operation; NULL also when another thread has just detached it.  @shut: its
 * direction, or 0.
 */
static const struct proto_ops *hold_enter(struct socket *sock,
					  struct attls_conn *conn, long timeo,
					  u8 shut)
{
	int err;

	if (!conn && !is_held(READ_ONCE(sock->ops)))
		return READ_ONCE(sock->ops);
	if (conn) {
		err = hold_wait(sock->sk, conn, timeo, shut);
		if (err)
			return ERR_PTR(err);
	}
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_NONE:
		attls_stat_inc(ATTLS_STAT_MAPPED_NONE);
		hold_detach(sock, conn, ATTLS_CONN_NONE);
		return attls_hold_base(sock);
	case ATTLS_CONN_SECURE:
	case ATTLS_CONN_IDLE:
	case ATTLS_CONN_CLEAR:
	case ATTLS_CONN_CLOSED:		/* detached: the table is native */
		return attls_hold_base(sock);
	default:
		return ERR_PTR(-ECONNRESET);
	}
}

/* Decided, but not for data: clear.c has to let it through. */
static bool is_clear(struct attls_conn *conn, const struct proto_ops *ops)
{
	return !IS_ERR(ops) && attls_conn_state(conn) == ATTLS_CONN_CLEAR;
}

/* What TCP tells a writer after a reset: the error once, then EPIPE. */
static int failed_write(struct sock *sk, struct attls_conn *conn, int flags)
{
	int err = sock_error(sk) ?: -EPIPE;

	if (conn && err != -EPIPE)
		WRITE_ONCE(conn->rx_told, true);
	if (err == -EPIPE && !(flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	return err;
}

/* What poll says of a socket that was shut down, as TCP's. */
static __poll_t shut_mask(const struct attls_conn *conn)
{
	u8 shut = READ_ONCE(conn->shut);
	__poll_t mask = 0;

	if (shut == SHUTDOWN_MASK)
		mask |= EPOLLHUP;
	if (shut & RCV_SHUTDOWN)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (shut & SEND_SHUTDOWN)
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static int held_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *ops;
	int ret;

	if (conn)
		attls_fastopen_taken(conn, msg);
	do {
		if (attls_clear_sendmsg(sock, conn, msg, len, &ret))
			goto out;
		ops = hold_enter(sock, conn,
				 sock_sndtimeo(sk,
					       msg->msg_flags & MSG_DONTWAIT),
				 SEND_SHUTDOWN);
	} while (is_clear(conn, ops));
	if (!IS_ERR(ops))
		ret = ops->sendmsg(sock, msg, len);
	else if (PTR_ERR(ops) == -ECONNRESET || PTR_ERR(ops) == -ESHUTDOWN)
		ret = failed_write(sk, conn, msg->msg_flags);
	else
		ret = PTR_ERR(ops);
out:
	attls_hold_put(conn);
	return ret;
}

static int held_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			int flags)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn = attls_hold_get(sock);
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	const struct proto_ops *ops = attls_hold_base(sock);
	int ret;

	if (flags & MSG_ERRQUEUE)
		goto decided;
	do {
		if (attls_clear_recvmsg(sock, conn, msg, len, flags, &timeo,
					&ret))
			goto out;
		ops = hold_enter(sock, conn, timeo, RCV_SHUTDOWN);
	} while (is_clear(conn, ops));
decided:
	if (!IS_ERR(ops))
		ret = ops->recvmsg(sock, msg, len, flags);
	else if (PTR_ERR(ops) == -ESHUTDOWN)
		ret = 0;
	else if (PTR_ERR(ops) == -ECONNRESET)
		ret = attls_conn_error(sk, conn);
	else
		ret = PTR_ERR(ops);
out:
	attls_hold_put(conn);
	return ret;
}

static ssize_t held_splice_read(struct socket *sock, loff_t *pos,
				struct pipe_inode_info *pipe, size_t len,
				unsigned int flags)
{
	bool nonblock = (sock->file->f_flags & O_NONBLOCK) ||
			(flags & SPLICE_F_NONBLOCK);
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *ops;
	ssize_t ret;

	do {
		if (attls_clear_splice_read(sock, conn, pos, pipe, len, flags,
					    &ret))
			goto out;
		ops = hold_enter(sock, conn, sock_rcvtimeo(sock->sk, nonblock),
				 RCV_SHUTDOWN);
	} while (is_clear(conn, ops));
	if (!IS_ERR(ops))
		ret = ops->splice_read(sock, pos, pipe, len, flags);
	else
		ret = PTR_ERR(ops) == -ESHUTDOWN ? 0 : PTR_ERR(ops);
out:
	attls_hold_put(conn);
	return ret;
}

static __poll_t held_poll(struct file *file, struct socket *sock,
			  struct poll_table_struct *wait)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *ops;
	__poll_t mask;

	if (conn)
		attls_hold_settle(conn);
	if (attls_hold_pending(conn)) {
		sock_poll_wait(file, sock, wait);
		/* Decided in between: nobody would wake us for that. */
		mask = shut_mask(conn);
		if (attls_hold_pending(conn))
			goto out;
	}
	ops = hold_enter(sock, conn, 0, 0);
	if (!IS_ERR(ops)) {
		ops = use(sock, conn);
		mask = ops->poll(file, sock, wait);
		unuse(ops, conn);
	} else if (PTR_ERR(ops) == -EAGAIN) {
		mask = 0;
	} else {
		mask = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM |
		       EPOLLERR | EPOLLHUP | EPOLLRDHUP;
	}
out:
	attls_hold_put(conn);
	return mask;
}

static int held_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct attls_conn *conn = attls_hold_get(sock);
	int ret;

	/* What the peer has sent so far is not the application's. */
	if (cmd == SIOCINQ && (attls_hold_pending(conn) ||
	    attls_conn_state(conn) == ATTLS_CONN_FAILED))
		ret = put_user(0, (int __user *)arg);
	else
		ret = attls_hold_base(sock)->ioctl(sock, cmd, arg);
	attls_hold_put(conn);
	return ret;
}

/*
 * An accepted socket is shut down when TLS is up, as far as the peer can
 * see, and at once for the application.  False: there is no handshake.
 */
static bool shut_later(struct attls_conn *conn, int how)
{
	bool later;

	if (conn->direction != ATTLS_INBOUND)
		return false;
	mutex_lock(&conn->sock_lock);
	later = attls_conn_state(conn) == ATTLS_CONN_HANDSHAKE;
	if (later)
		WRITE_ONCE(conn->shut, conn->shut | (how + 1));
	mutex_unlock(&conn->sock_lock);
	if (later)
		attls_conn_wake(conn);
	return later;
}

/* A connect that is not done is taken back, as TCP does with its own. */
static int held_shutdown(struct socket *sock, int how)
{
	struct attls_conn *conn = attls_hold_get(sock);
	const struct proto_ops *ops;
	int ret;

	ret = -EINVAL;
	if (how < SHUT_RD || how > SHUT_RDWR)
		goto out;
	ret = 0;
	if (conn && (shut_later(conn, how) || attls_conn_cancel(conn)))
		goto out;
	if (attls_clear_enter(conn)) {
		ret = attls_hold_base(sock)->shutdown(sock, how);
		attls_clear_leave(conn);
		goto out;
	}
	if (attls_conn_state(conn) == ATTLS_CONN_CONNECTING)
		ops = attls_hold_base(sock);
	else
		ops = hold_enter(sock, conn, MAX_SCHEDULE_TIMEOUT, 0);
	if (!IS_ERR(ops))
		ret = ops->shutdown(sock, how);
	else
		ret = PTR_ERR(ops) == -ECONNRESET ? -ENOTCONN : PTR_ERR(ops);
out:
	attls_hold_put(conn);
	return ret;
}

/*
 * An option that our own setting hides during the handshake: the call sees
 * what the application had set.  sock_lock keeps the agent from setting it
 * meanwhile.
 */
static bool nagle_show(const struct proto_ops *ops, struct attls_conn *conn,
		       int level, int optname)
{
	/* What is not held any more sees to it itself. */
	if (!conn || ops->owner == THIS_MODULE || level != SOL_TCP ||
	    (optname != TCP_NODELAY && optname != TCP_CORK))
		return false;
	mutex_lock(&conn->sock_lock);
	attls_ktls_nagle_restore(conn);
	return true;
}

static void nagle_hide(struct attls_conn *conn)
{
	if (attls_conn_state(conn) == ATTLS_CONN_HANDSHAKE && conn->shadow)
		attls_ktls_nagle_off(conn);
	mutex_unlock(&conn->sock_lock);
}

static int held_setsockopt(struct socket *sock, int level, int optname,
			   sockptr_t optval, unsigned int optlen)
{
	bool denied = attls_sockopt_denied(level, optname);
	const struct proto_ops *ops;
	struct attls_conn *conn;
	bool shown;
	int ret = -EPERM;

	if (level == SOL_ATTLS)
		return attls_sockopt_set(sock, optname, optval, optlen);
	conn = attls_hold_get(sock);
	/* What changes the tables must find TCP's own. */
	if (denied && conn && attls_conn_state(conn) == ATTLS_CONN_NONE)
		hold_detach(sock, conn, ATTLS_CONN_NONE);
	else if (attls_attach_asks(level, optname, optval, optlen))
		ret = 0;
	else if (denied && level == SOL_TCP && optname == TCP_ULP &&
		 attls_conn_state(conn) == ATTLS_CONN_IDLE)
		ret = -ENOTCONN;
	if (denied && is_held(READ_ONCE(sock->ops)) &&
	    (ret != -EPERM || attls_conn_state(conn) != ATTLS_CONN_IDLE))
		goto out;
	ops = use(sock, conn);
	shown = nagle_show(ops, conn, level, optname);
	ret = ops->setsockopt(sock, level, optname, optval, optlen);
	if (shown)
		nagle_hide(conn);
	unuse(ops, conn);
out:
	attls_hold_put(conn);
	return ret;
}

static int held_getsockopt(struct socket *sock, int level, int optname,
			   char __user *optval, int __user *optlen)
{
	const struct proto_ops *ops;
	struct attls_conn *conn;
	bool shown;
	int ret;

	if (level == SOL_ATTLS)
		return attls_sockopt_get(sock, optname, optval, optlen);
	conn = attls_hold_get(sock);
	ops = use(sock, conn);
	shown = nagle_show(ops, conn, level, optname);
	ret = attls_io_getsockopt(ops, sock, level, optname, optval, optlen);
	if (shown)
		nagle_hide(conn);
	unuse(ops, conn);
	attls_hold_put(conn);
	return ret;
}

/* lock_sock is held.  Ours is in the place of it during the handshake. */
static int held_set_rcvlowat(struct sock *sk, int val)
{
	struct attls_conn *conn = attls_conn_of(sk);

	if (!conn || !conn->rcvlowat)
		return attls_hold_base(sk->sk_socket)->set_rcvlowat(sk, val);
	conn->rcvlowat = val ?: 1;
	return 0;
}

/* A connect that is not done has no peer yet: programs ask for that. */
static int held_getname(struct socket *sock, struct sockaddr *addr, int peer)
{
	struct attls_conn *conn = attls_hold_get(sock);
	int ret = -ENOTCONN;

	if (!peer || !conn || conn->direction != ATTLS_OUTBOUND ||
	    conn->initiated ||
	    !(attls_hold_pending(conn) ||
	      attls_conn_state(conn) == ATTLS_CONN_FAILED))
		ret = attls_hold_base(sock)->getname(sock, addr, peer);
	attls_hold_put(conn);
	return ret;
}

static int held_mmap(struct file *file, struct socket *sock,
		     struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

/* An INSTALL that is under way ends first: then the table is another. */
static int held_release(struct socket *sock)
{
	struct attls_conn *conn = sock->sk ? attls_conn_of(sock->sk) : NULL;
	const struct proto_ops *ops;

	if (conn)
		attls_clear_close(conn);
	if (conn && attls_own_linger(sock, conn))
		return 0;
	if (conn) {
		mutex_lock(&conn->sock_lock);
		conn->sock = NULL;
		mutex_unlock(&conn->sock_lock);
	}
	ops = READ_ONCE(sock->ops);
	if (!is_held(ops))
		return ops->release(sock);
	if (conn)
		attls_conn_release(sock, conn);
	return attls_hold_base(sock)->release(sock);
}

/* Makes the copy @ops of a native table the table of held sockets. */
void attls_hold_fill(struct proto_ops *ops)
{
	ops->release = held_release;
	ops->connect = attls_held_connect;
	ops->poll = held_poll;
	ops->ioctl = held_ioctl;
	ops->shutdown = held_shutdown;
	ops->setsockopt = held_setsockopt;
	ops->getsockopt = held_getsockopt;
	ops->getname = held_getname;
	if (ops->set_rcvlowat)
		ops->set_rcvlowat = held_set_rcvlowat;
	ops->sendmsg = held_sendmsg;
	ops->recvmsg = held_recvmsg;
	if (ops->splice_read)
		ops->splice_read = held_splice_read;
	if (ops->mmap)
		ops->mmap = held_mmap;
	ops->set_peek_off = NULL;	/* nor when SECURE: kTLS has none */
	/* In-kernel readers and writers know nothing of a handshake. */
	ops->read_sock = NULL;
	ops->read_skb = NULL;
	ops->sendmsg_locked = NULL;
}
