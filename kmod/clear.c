// SPDX-License-Identifier: GPL-2.0-only
/*
 * A connection in clear whose application will ask for TLS, or has asked for
 * the end of it: state CLEAR.
 *
 * The data functions are TCP's own, below a gate: conn->gate counts the calls
 * that are in one of them, and one more for as long as it is open.  Who asks
 * for TLS moves the state, which stops new calls, and closes the gate; who
 * leaves last begins the handshake.  So what was written before goes out
 * before it, and what the peer sends for it is read by no application.  For
 * that no call may wait in TCP for data to come: that is done here.
 */
#include "internal.h"
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <net/tcp.h>

/*
 * Lets a caller of TCP's own function in, until attls_clear_leave().  False:
 * not in clear, or no more.  @conn may be NULL.
 */
bool attls_clear_enter(struct attls_conn *conn)
{
	if (attls_conn_state(conn) != ATTLS_CONN_CLEAR ||
	    !atomic_inc_not_zero(&conn->gate))
		return false;
	if (attls_conn_state(conn) == ATTLS_CONN_CLEAR)
		return true;
	attls_clear_leave(conn);
	return false;
}

/* Has the agent shake hands, unless it is over already. */
static void handshake(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	lockdep_assert_held(&conn->sock_lock);
	if (!conn->sock)
		return;
	lock_sock(sk);
	if (attls_conn_state(conn) == ATTLS_CONN_HANDSHAKE) {
		attls_conn_watch(conn);
		attls_conn_mute(sk);
		if (sk->sk_state != TCP_ESTABLISHED)
			attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
					ATTLS_REASON_PEER_RESET);
		else
			attls_conn_shake(conn);
	}
	release_sock(sk);
}

/* The end of a call that has entered, or of the open gate. */
void attls_clear_leave(struct attls_conn *conn)
{
	if (!atomic_dec_and_test(&conn->gate))
		return;
	mutex_lock(&conn->sock_lock);
	handshake(conn);
	mutex_unlock(&conn->sock_lock);
}

/* The gate opens again; the state says CLEAR next. */
void attls_clear_open(struct attls_conn *conn)
{
	atomic_inc(&conn->gate);
}

/*
 * The application asks for TLS.  -EPIPE: TCP does not go both ways any more;
 * -EALREADY: somebody else has asked.  Process context.
 */
int attls_clear_init(struct attls_conn *conn)
{
	int err = 0;

	if (conn->sk->sk_state != TCP_ESTABLISHED)
		return -EPIPE;
	mutex_lock(&conn->sock_lock);
	if (attls_conn_move(conn, ATTLS_CONN_CLEAR, ATTLS_CONN_HANDSHAKE)) {
		conn->initiated = true;
		conn->begun = false;
		conn->agent_has = false;
		if (conn->rule->hs_timeout)
			attls_conn_arm(conn, conn->rule->hs_timeout * HZ);
	} else {
		err = -EALREADY;
	}
	mutex_unlock(&conn->sock_lock);
	if (err)
		return err;
	attls_conn_wake(conn);		/* who waits for clear data */
	attls_clear_leave(conn);
	return 0;
}

/* struct proto_ops' sendmsg in clear.  False: it is not, nothing is done. */
bool attls_clear_sendmsg(struct socket *sock, struct attls_conn *conn,
			 struct msghdr *msg, size_t len, int *ret)
{
	if (!attls_clear_enter(conn))
		return false;
	*ret = attls_hold_base(sock)->sendmsg(sock, msg, len);
	attls_clear_leave(conn);
	return true;
}

/* Would a receive that wants @target bytes have something to say? */
static bool is_readable(const struct sock *sk, int target)
{
	return tcp_epollin_ready(sk, target) || READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN ||
	       READ_ONCE(sk->sk_state) == TCP_CLOSE;
}

/*
 * Waits up to *@timeo jiffies, and leaves the rest there, until there is
 * something to read or the state is another.  0; -EAGAIN: the time is up; the
 * errno of an interrupted call.
 */
static int wait_readable(struct sock *sk, const struct attls_conn *conn,
			 int target, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err = 0;

	add_wait_queue(sk_sleep(sk), &wait);
	while (attls_conn_state(conn) == ATTLS_CONN_CLEAR &&
	       !is_readable(sk, target)) {
		if (!*timeo)
			err = -EAGAIN;
		else if (signal_pending(current))
			err = sock_intr_errno(*timeo);
		if (err)
			break;
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	}
	remove_wait_queue(sk_sleep(sk), &wait);
	return err;
}

/* One receive of what is there.  False: not in clear any more. */
static bool recv_some(struct socket *sock, struct attls_conn *conn,
		      struct msghdr *msg, size_t len, int flags, int *ret)
{
	if (!attls_clear_enter(conn))
		return false;
	*ret = attls_hold_base(sock)->recvmsg(sock, msg, len,
					      flags | MSG_DONTWAIT);
	attls_clear_leave(conn);
	return true;
}

/*
 * struct proto_ops' recvmsg in clear.  False: it is not, and nothing is done;
 * *@timeo is what is left of the time to wait.
 */
bool attls_clear_recvmsg(struct socket *sock, struct attls_conn *conn,
			 struct msghdr *msg, size_t len, int flags,
			 long *timeo, int *ret)
{
	struct sock *sk = sock->sk;
	int target = sock_rcvlowat(sk, flags & MSG_WAITALL, len);
	size_t controllen = msg->msg_controllen;
	void *control = msg->msg_control;
	int copied = 0, n = 0, err;

	if (attls_conn_state(conn) != ATTLS_CONN_CLEAR)
		return false;
	do {
		err = flags & MSG_OOB ? -EAGAIN :
		      wait_readable(sk, conn, target - copied, timeo);
		/* What goes with the data is that of the last receive. */
		msg->msg_control = control;
		msg->msg_controllen = controllen;
		if (!recv_some(sock, conn, msg, len - copied, flags, &n)) {
			*ret = copied;
			return copied;
		}
		copied += max(n, 0);
		/* -EAGAIN without a reason to end: another reader was faster. */
	} while (!err && (n == -EAGAIN || (n > 0 && copied < target &&
					   !(flags & MSG_PEEK))));
	if (copied)
		attls_control_keep_error(sk, n);
	*ret = copied ?: n == -EAGAIN ? err : n;
	return true;
}

/* struct proto_ops' splice_read in clear: TCP's own would wait for data. */
bool attls_clear_splice_read(struct socket *sock, struct attls_conn *conn,
			     loff_t *pos, struct pipe_inode_info *pipe,
			     size_t len, unsigned int flags, ssize_t *ret)
{
	if (attls_conn_state(conn) != ATTLS_CONN_CLEAR)
		return false;
	*ret = copy_splice_read(sock->file, pos, pipe, len, flags);
	return true;
}
