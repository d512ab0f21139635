// SPDX-License-Identifier: GPL-2.0-only
/*
 * connect() of a socket under a rule: done when TLS is up.
 *
 * TCP's own function connects; what is ours is the wait for TLS, which a
 * blocking connect does on its way back to user space, and the answers to
 * connect() while TLS is not up yet, or will never be.
 */
#include "internal.h"
#include <asm/syscall.h>
#include <asm/unistd.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <net/tcp.h>

/*
 * The errno of a connect that failed, as TCP would have it; @told, if
 * SO_ERROR has told already.  The socket may connect again.
 */
static int connect_failed(struct socket *sock, struct attls_conn *conn,
			  int told)
{
	int err = sock_error(sock->sk) ?: told;

	attls_hold_unconnect(sock, conn);
	return err;
}

/* connect() again while the first is not done, or to hear how it ended. */
static int connect_again(struct socket *sock, struct attls_conn *conn,
			 int flags)
{
	struct sock *sk = sock->sk;
	int err;

	if (attls_hold_pending(conn) && (flags & O_NONBLOCK))
		return -EALREADY;
	err = attls_hold_wait(sk, conn, sock_sndtimeo(sk, flags & O_NONBLOCK));
	if (err)
		return err == -EAGAIN ? -EALREADY : err;
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return connect_failed(sock, conn, -ECONNABORTED);
	conn->connect_again = false;
	return 0;
}

int attls_held_connect(struct socket *sock, struct sockaddr_unsized *addr,
			int addr_len, int flags)
{
	struct attls_conn *conn = attls_hold_get(sock);
	int state = attls_conn_state(conn);
	bool failed = state == ATTLS_CONN_FAILED && conn &&
		      conn->direction == ATTLS_OUTBOUND;
	bool unspec = addr && addr_len >= sizeof(addr->sa_family) &&
		      addr->sa_family == AF_UNSPEC;
	int ret;

	if (unspec && (state == ATTLS_CONN_HANDSHAKE ||
		       state == ATTLS_CONN_INSTALLING ||
		       state == ATTLS_CONN_CLEAR)) {
		ret = -EOPNOTSUPP;
		goto out;
	}
	if (conn && !unspec && (state == ATTLS_CONN_HANDSHAKE ||
				state == ATTLS_CONN_INSTALLING ||
				failed || conn->connect_again)) {
		ret = connect_again(sock, conn, flags);
		goto out;
	}
	ret = attls_hold_base(sock)->connect(sock, addr, addr_len, flags);
	if (conn)
		attls_hold_settle(conn);
	/* TCP is up; connect is done when TLS is. */
	if (conn && !ret && !unspec && attls_hold_pending(conn))
		ret = (flags & O_NONBLOCK) ? -EALREADY :
		      connect_again(sock, conn, flags);
out:
	attls_hold_put(conn);
	return ret;
}

/* Is the file a listener that takes connections for @priv, a sock? */
static int is_listener_for(const void *priv, struct file *file, unsigned int fd)
{
	const struct sock *sk = priv, *listener;
	struct socket *sock = sock_from_file(file);

	if (!sock || !sock->sk || sock->type != SOCK_STREAM)
		return 0;
	listener = sock->sk;
	return listener->sk_state == TCP_LISTEN &&
	       (listener->sk_family == AF_INET ||
		listener->sk_family == AF_INET6) &&
	       net_eq(sock_net(listener), sock_net(sk)) &&
	       inet_sk(listener)->inet_num == ntohs(inet_sk(sk)->inet_dport);
}

static bool is_local_peer(const struct sock *sk)
{
	struct dst_entry *dst;
	bool local;

	rcu_read_lock();
	dst = __sk_dst_get((struct sock *)sk);
	local = dst && dst->dev->flags & IFF_LOOPBACK;
	rcu_read_unlock();
	return local;
}

/*
 * A program of one thread that connects to itself accepts after connect()
 * has returned.  If nobody accepts for it before (accept.c), to wait for TLS
 * in there would be to wait for ever: such a connect is done when TCP is,
 * and the socket is held at its first use.
 */
static bool is_own_listener(const struct sock *sk)
{
	return thread_group_empty(current) && is_local_peer(sk) &&
	       iterate_fd(current->files, 0, is_listener_for, sk) &&
	       !attls_policy_serves_peer(sk);
}

/*
 * What is left to do of one call on its way back to user space.  The file
 * keeps the socket, and with it the module, until then; close() by another
 * thread waits as it does for TCP.
 */
struct connect_wait {
	struct callback_head	work;
	struct attls_conn	*conn;		/* reference */
	struct file		*file;		/* reference */
};

static void wait_free(struct connect_wait *wait)
{
	fput(wait->file);
	attls_conn_put(wait->conn);
	kfree(wait);
	module_put(THIS_MODULE);
}

/* What has failed already keeps nobody waiting. */
static bool worth_a_wait(const struct attls_conn *conn)
{
	return attls_conn_state(conn) == ATTLS_CONN_FAILED ||
	       !is_own_listener(conn->sk);
}

/* TCP's own function has heard of the failure before us, and told of it. */
static void taken_back(struct socket *sock, struct attls_conn *conn)
{
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED &&
	    READ_ONCE(sock->state) == SS_UNCONNECTED)
		attls_hold_unconnect(sock, conn);
}

/*
 * Runs in the connecting task on its way back to user space: a blocking
 * connect that TCP completed waits here for TLS, and fails with it.
 */
static void connect_work(struct callback_head *cb)
{
	struct connect_wait *wait = container_of(cb, struct connect_wait, work);
	struct attls_conn *conn = wait->conn;
	struct pt_regs *regs = current_pt_regs();
	struct sock *sk = conn->sk;
	int err;

	if (syscall_get_error(current, regs)) {
		taken_back(sock_from_file(wait->file), conn);
	} else if (worth_a_wait(conn)) {
		err = attls_hold_wait(sk, conn, sock_sndtimeo(sk, 0));
		if (err == -EAGAIN)
			err = -EINPROGRESS;
		if (err)
			conn->connect_again = true;
		else if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
			err = connect_failed(sock_from_file(wait->file),
					     conn, -ECONNRESET);
		if (err)
			syscall_set_return_value(current, regs, err, 0);
	}
	wait_free(wait);
}

/* TCP's own wait for the connection would have left it so. */
static void set_connected(struct socket *sock)
{
	struct sock *sk = sock->sk;

	lock_sock(sk);
	if (sock->state == SS_CONNECTING && sk->sk_state != TCP_CLOSE)
		sock->state = SS_CONNECTED;
	release_sock(sk);
}

/*
 * The same for a send with MSG_FASTOPEN, which TCP has let go with
 * EINPROGRESS: when TLS is up the call begins anew, to send its data.
 */
static void fastopen_work(struct callback_head *cb)
{
	struct connect_wait *wait = container_of(cb, struct connect_wait, work);
	struct attls_conn *conn = wait->conn;
	struct pt_regs *regs = current_pt_regs();
	struct sock *sk = conn->sk;
	int err;

	if (syscall_get_error(current, regs) == -EINPROGRESS) {
		err = attls_hold_wait(sk, conn, conn->sndtimeo);
		if (err == -EAGAIN)
			err = -EINPROGRESS;
		else if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
			err = connect_failed(sock_from_file(wait->file),
					     conn, -ECONNRESET);
		else if (attls_conn_state(conn) == ATTLS_CONN_IDLE)
			err = attls_hold_refused(sock_from_file(wait->file));
		if (!err)
			set_connected(sock_from_file(wait->file));
		WRITE_ONCE(conn->fastopen, !err || err == -ERESTARTSYS);
		syscall_set_return_value(current, regs,
					 err ?: -ERESTARTNOINTR, 0);
	}
	wait_free(wait);
}

/* MSG_FASTOPEN of the send that connected: connected it is. */
void attls_fastopen_taken(struct attls_conn *conn, struct msghdr *msg)
{
	if (msg->msg_flags & MSG_FASTOPEN && xchg(&conn->fastopen, false))
		msg->msg_flags &= ~MSG_FASTOPEN;
}

static bool in_blocking_call(const struct socket *sock)
{
	/* An io_uring worker has no system call to wait in. */
	return attls_in_syscall() && sock->file &&
	       !(sock->file->f_flags & O_NONBLOCK);
}

static bool in_connect(void)
{
	return attls_nr_is_connect(syscall_get_nr(current, current_pt_regs()));
}

/* Programs of 32 bits get EINPROGRESS, as for want of a cookie. */
static bool in_blocking_send(void)
{
	struct pt_regs *regs = current_pt_regs();
	unsigned long args[6];
	int nr = syscall_get_nr(current, regs);

	if (in_compat_syscall() || (nr != __NR_sendto && nr != __NR_sendmsg &&
				    nr != __NR_sendmmsg))
		return false;
	syscall_get_arguments(current, regs, args);
	return !(args[nr == __NR_sendmsg ? 2 : 3] & MSG_DONTWAIT);
}

/*
 * Has a blocking connect(), or send with MSG_FASTOPEN, wait for TLS before
 * it returns.  Called from the probe: the socket is in SYN_SENT, nothing may
 * sleep.  False: no such call; the socket is held at its first use.
 */
bool attls_hold_connect(struct attls_conn *conn)
{
	struct socket *sock = conn->sk->sk_socket;
	enum task_work_notify_mode how = TWA_RESUME;
	task_work_func_t work = connect_work;
	struct connect_wait *wait;

	if (!in_blocking_call(sock))
		return false;
	if (conn->sndtimeo_saved && in_blocking_send()) {
		work = fastopen_work;
		how = TWA_SIGNAL;	/* system calls restart after those */
	} else if (!in_connect()) {
		return false;
	}
	wait = kmalloc(sizeof(*wait), GFP_ATOMIC);
	if (!wait)
		return false;
	if (!attls_conn_get(conn)) {
		kfree(wait);
		return false;
	}
	init_task_work(&wait->work, work);
	wait->conn = conn;
	wait->file = get_file(sock->file);
	__module_get(THIS_MODULE);
	if (task_work_add(current, &wait->work, how)) {
		/* Exiting: nobody will see what the call returns. */
		wait_free(wait);
		return false;
	}
	return true;
}
