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
#include <asm/syscall.h>
#include <asm/unistd.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sockios.h>
#include <linux/splice.h>
#include <net/tcp.h>

static __poll_t held_poll(struct file *file, struct socket *sock,
			  struct poll_table_struct *wait);

/*
 * The native table below a held socket.  If the socket is not held any
 * more, the table that it has now: that one knows what to do.
 */
const struct proto_ops *attls_hold_base(const struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	if (ops->poll != held_poll)
		return ops;
	return container_of(ops, struct attls_ops, held)->base;
}

/* Not decided yet; a failure counts as decided once TCP has heard of it. */
static bool pending(const struct attls_conn *conn)
{
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_CONNECTING:
	case ATTLS_CONN_HANDSHAKE:
	case ATTLS_CONN_INSTALLING:
		return true;
	case ATTLS_CONN_FAILED:
		return conn && !smp_load_acquire(&conn->aborted);
	default:
		return false;
	}
}

/*
 * Waits up to @timeo jiffies until the state is decided.  0; -EAGAIN when
 * the time is up; the errno of an interrupted call.  May sleep if @timeo.
 */
int attls_hold_wait(struct sock *sk, struct attls_conn *conn, long timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err = 0;

	if (!pending(conn))
		return 0;
	add_wait_queue(sk_sleep(sk), &wait);
	while (pending(conn)) {
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

/* No rule after all: the native table for good.  Drops the conn. */
static void hold_detach(struct socket *sock)
{
	const struct proto_ops *base = attls_hold_base(sock);
	struct sock *sk = sock->sk;
	struct attls_conn *conn;
	bool mine;

	lock_sock(sk);
	conn = attls_conn_of(sk);
	mine = conn && READ_ONCE(sock->ops)->owner == THIS_MODULE &&
	       attls_conn_move(conn, ATTLS_CONN_NONE, ATTLS_CONN_IDLE);
	if (mine)
		WRITE_ONCE(sock->ops, base);
	release_sock(sk);
	if (!mine)
		return;
	attls_stat_inc(ATTLS_STAT_MAPPED_NONE);
	attls_conn_release(sock, conn);
	module_put(THIS_MODULE);
}

/*
 * Waits for the decision and gives the table to go on with.  ERR_PTR: the
 * wait's error, or -ECONNRESET for a FAILED connection.
 */
static const struct proto_ops *hold_enter(struct socket *sock, long timeo)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	int err;

	if (conn) {
		err = attls_hold_wait(sock->sk, conn, timeo);
		if (err)
			return ERR_PTR(err);
	}
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_SECURE:
		return READ_ONCE(sock->ops);
	case ATTLS_CONN_NONE:
		hold_detach(sock);
		return READ_ONCE(sock->ops);
	case ATTLS_CONN_IDLE:
	case ATTLS_CONN_CLEAR:
		return attls_hold_base(sock);
	default:
		return ERR_PTR(-ECONNRESET);
	}
}

/* What TCP tells a writer after a reset: the error once, then EPIPE. */
static int failed_write(struct sock *sk, int flags)
{
	int err = sock_error(sk) ?: -EPIPE;

	if (err == -EPIPE && !(flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	return err;
}

static int held_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	const struct proto_ops *ops;
	int ret;

	__module_get(THIS_MODULE);
	ops = hold_enter(sock,
			 sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT));
	if (!IS_ERR(ops))
		ret = ops->sendmsg(sock, msg, len);
	else if (PTR_ERR(ops) == -ECONNRESET)
		ret = failed_write(sk, msg->msg_flags);
	else
		ret = PTR_ERR(ops);
	module_put(THIS_MODULE);
	return ret;
}

static int held_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			int flags)
{
	struct sock *sk = sock->sk;
	const struct proto_ops *ops;
	int ret;

	__module_get(THIS_MODULE);
	if (flags & MSG_ERRQUEUE)
		ops = attls_hold_base(sock);
	else
		ops = hold_enter(sock,
				 sock_rcvtimeo(sk, flags & MSG_DONTWAIT));
	if (!IS_ERR(ops))
		ret = ops->recvmsg(sock, msg, len, flags);
	else if (PTR_ERR(ops) == -ECONNRESET)
		ret = sock_error(sk) ?: -ECONNRESET;
	else
		ret = PTR_ERR(ops);
	module_put(THIS_MODULE);
	return ret;
}

static ssize_t held_splice_read(struct socket *sock, loff_t *pos,
				struct pipe_inode_info *pipe, size_t len,
				unsigned int flags)
{
	bool nonblock = (sock->file->f_flags & O_NONBLOCK) ||
			(flags & SPLICE_F_NONBLOCK);
	const struct proto_ops *ops;
	ssize_t ret;

	__module_get(THIS_MODULE);
	ops = hold_enter(sock, sock_rcvtimeo(sock->sk, nonblock));
	if (!IS_ERR(ops))
		ret = ops->splice_read(sock, pos, pipe, len, flags);
	else
		ret = PTR_ERR(ops);
	module_put(THIS_MODULE);
	return ret;
}

static __poll_t held_poll(struct file *file, struct socket *sock,
			  struct poll_table_struct *wait)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	const struct proto_ops *ops;
	__poll_t mask;

	__module_get(THIS_MODULE);
	if (pending(conn)) {
		sock_poll_wait(file, sock, wait);
		/* Decided in between: nobody would wake us for that. */
		mask = 0;
		if (pending(conn))
			goto out;
	}
	ops = hold_enter(sock, 0);
	if (!IS_ERR(ops))
		mask = ops->poll(file, sock, wait);
	else if (PTR_ERR(ops) == -EAGAIN)
		mask = 0;
	else
		mask = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM |
		       EPOLLERR | EPOLLHUP | EPOLLRDHUP;
out:
	module_put(THIS_MODULE);
	return mask;
}

static int held_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);

	/* What the peer has sent so far is not the application's. */
	if (cmd == SIOCINQ && (pending(conn) ||
	    attls_conn_state(conn) == ATTLS_CONN_FAILED))
		return put_user(0, (int __user *)arg);
	return attls_hold_base(sock)->ioctl(sock, cmd, arg);
}

/* Nobody can shut down half of a handshake: the connection is reset. */
static int held_shutdown(struct socket *sock, int how)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	const struct proto_ops *ops;
	int ret;

	__module_get(THIS_MODULE);
	if (conn && attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
				    ATTLS_REASON_NONE)) {
		attls_stat_inc(ATTLS_STAT_CANCELED);
		ret = 0;
		goto out;
	}
	if (attls_conn_state(conn) == ATTLS_CONN_CONNECTING)
		ops = attls_hold_base(sock);
	else
		ops = hold_enter(sock, MAX_SCHEDULE_TIMEOUT);
	if (!IS_ERR(ops))
		ret = ops->shutdown(sock, how);
	else
		ret = PTR_ERR(ops) == -ECONNRESET ? -ENOTCONN : PTR_ERR(ops);
out:
	module_put(THIS_MODULE);
	return ret;
}

/* connect() again while the first is not done, or to hear how it ended. */
static int connect_again(struct socket *sock, struct attls_conn *conn,
			 int flags)
{
	struct sock *sk = sock->sk;
	int err;

	if (pending(conn) && (flags & O_NONBLOCK))
		return -EALREADY;
	err = attls_hold_wait(sk, conn, sock_sndtimeo(sk, flags & O_NONBLOCK));
	if (err)
		return err == -EAGAIN ? -EINPROGRESS : err;
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return sock_error(sk) ?: -ECONNRESET;
	conn->connect_again = false;
	return 0;
}

static int held_connect(struct socket *sock, struct sockaddr_unsized *addr,
			int addr_len, int flags)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);
	int state = attls_conn_state(conn);
	bool unspec = addr && addr_len >= sizeof(addr->sa_family) &&
		      addr->sa_family == AF_UNSPEC;
	int ret;

	__module_get(THIS_MODULE);
	if (unspec && (state == ATTLS_CONN_HANDSHAKE ||
		       state == ATTLS_CONN_INSTALLING)) {
		ret = -EOPNOTSUPP;
		goto out;
	}
	if (conn && !unspec && (state == ATTLS_CONN_HANDSHAKE ||
				state == ATTLS_CONN_INSTALLING ||
				conn->connect_again)) {
		ret = connect_again(sock, conn, flags);
		goto out;
	}
	ret = attls_hold_base(sock)->connect(sock, addr, addr_len, flags);
	if (conn && unspec && !ret)
		attls_conn_move(conn, ATTLS_CONN_CONNECTING, ATTLS_CONN_IDLE);
	/* TCP is up; connect is done when TLS is. */
	if (conn && !ret && !unspec && pending(conn))
		ret = (flags & O_NONBLOCK) ? -EALREADY :
		      connect_again(sock, conn, flags);
out:
	module_put(THIS_MODULE);
	return ret;
}

static int held_setsockopt(struct socket *sock, int level, int optname,
			   sockptr_t optval, unsigned int optlen)
{
	int state = attls_conn_state(attls_conn_of(sock->sk));

	if (attls_sockopt_denied(level, optname) &&
	    state != ATTLS_CONN_IDLE && state != ATTLS_CONN_NONE)
		return -EPERM;
	return attls_hold_base(sock)->setsockopt(sock, level, optname, optval, optlen);
}

static int held_getsockopt(struct socket *sock, int level, int optname,
			   char __user *optval, int __user *optlen)
{
	return attls_sockopt_get(attls_hold_base(sock), sock, level, optname,
				 optval, optlen);
}

static int held_mmap(struct file *file, struct socket *sock,
		     struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

static int held_release(struct socket *sock)
{
	const struct proto_ops *base = attls_hold_base(sock);
	struct attls_conn *conn = sock->sk ? attls_conn_of(sock->sk) : NULL;

	if (conn)
		attls_conn_release(sock, conn);
	return base->release(sock);
}

/* Makes the copy @ops of a native table the table of held sockets. */
void attls_hold_fill(struct proto_ops *ops)
{
	ops->release = held_release;
	ops->connect = held_connect;
	ops->poll = held_poll;
	ops->ioctl = held_ioctl;
	ops->shutdown = held_shutdown;
	ops->setsockopt = held_setsockopt;
	ops->getsockopt = held_getsockopt;
	ops->sendmsg = held_sendmsg;
	ops->recvmsg = held_recvmsg;
	if (ops->splice_read)
		ops->splice_read = held_splice_read;
	if (ops->mmap)
		ops->mmap = held_mmap;
	/* In-kernel readers and writers know nothing of a handshake. */
	ops->read_sock = NULL;
	ops->read_skb = NULL;
	ops->sendmsg_locked = NULL;
}

/*
 * Runs in the connecting task on its way back to user space: a blocking
 * connect that TCP completed waits here for TLS, and fails with it.
 */
static void connect_work(struct callback_head *cb)
{
	struct attls_conn *conn = container_of(cb, struct attls_conn,
					       connect_cb);
	struct pt_regs *regs = current_pt_regs();
	struct sock *sk = conn->sk;
	int err;

	if (!syscall_get_error(current, regs)) {
		err = attls_hold_wait(sk, conn, sock_sndtimeo(sk, 0));
		if (err == -EAGAIN)
			err = -EINPROGRESS;
		if (err)
			conn->connect_again = true;
		else if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
			err = sock_error(sk) ?: -ECONNRESET;
		if (err)
			syscall_set_return_value(current, regs, err, 0);
	}
	fput(conn->connect_file);
	attls_conn_put(conn);
	module_put(THIS_MODULE);
}

static bool in_blocking_connect(const struct socket *sock)
{
	int nr;

	/* An io_uring worker has no system call to wait in. */
	if (current->flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER))
		return false;
	if (!sock->file || (sock->file->f_flags & O_NONBLOCK))
		return false;
	nr = syscall_get_nr(current, current_pt_regs());
	return attls_nr_is_connect(nr);
}

/*
 * Has a blocking connect() wait for TLS before it returns.  Called from the
 * probe: the socket is in SYN_SENT, nothing may sleep.  False: not a
 * blocking connect; the socket is held at its first use.
 */
bool attls_hold_connect(struct attls_conn *conn)
{
	struct socket *sock = conn->sk->sk_socket;

	if (!in_blocking_connect(sock) || !attls_conn_get(conn))
		return false;
	/*
	 * The file keeps the socket, and with it the module, until the work
	 * is done; close() by another thread waits as it does for TCP.
	 */
	conn->connect_file = get_file(sock->file);
	init_task_work(&conn->connect_cb, connect_work);
	__module_get(THIS_MODULE);
	if (task_work_add(current, &conn->connect_cb, TWA_RESUME)) {
		/* Exiting: nobody will see what connect returns. */
		module_put(THIS_MODULE);
		fput(conn->connect_file);
		attls_conn_put(conn);
		return false;
	}
	return true;
}
