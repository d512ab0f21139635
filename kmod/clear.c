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

/* The gate opens again; the state says CLEAR next. */
void attls_clear_open(struct attls_conn *conn)
{
	atomic_inc(&conn->gate);
}

#define HEADER_BYTES	3	/* content type and version */

/* The first bytes that nobody has read; how many there are. */
static int first_bytes(struct sock *sk, u8 *to)
{
	u32 seq = tcp_sk(sk)->copied_seq, offset;
	struct sk_buff *skb;
	int have = 0, n;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		offset = seq - TCP_SKB_CB(skb)->seq;
		if (offset >= skb->len)
			continue;
		n = min_t(u32, HEADER_BYTES - have, skb->len - offset);
		if (skb_copy_bits(skb, offset, to + have, n))
			break;
		have += n;
		seq += n;
		if (have == HEADER_BYTES)
			break;
	}
	return have;
}

enum first { FIRST_NONE, FIRST_SOME, FIRST_TLS, FIRST_CLEAR };

/* Does the peer begin with the record of a handshake? */
static enum first look(struct sock *sk)
{
	static const u8 lowest[HEADER_BYTES] = { ATTLS_RECORD_HANDSHAKE, 3, 0 };
	static const u8 highest[HEADER_BYTES] = {
		ATTLS_RECORD_HANDSHAKE, 3, 4
	};
	u8 bytes[HEADER_BYTES];
	int have = first_bytes(sk, bytes), i;

	for (i = 0; i < have; i++)
		if (bytes[i] < lowest[i] || bytes[i] > highest[i])
			return FIRST_CLEAR;
	if (have == HEADER_BYTES)
		return FIRST_TLS;
	if (sk->sk_shutdown & RCV_SHUTDOWN)
		return FIRST_CLEAR;
	return have ? FIRST_SOME : FIRST_NONE;
}

/* No TLS after all, and nothing of it has been done. */
static void back(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	attls_clear_open(conn);
	if (!attls_conn_move(conn, ATTLS_CONN_HANDSHAKE, ATTLS_CONN_CLEAR)) {
		atomic_dec(&conn->gate);	/* it has failed meanwhile */
		return;
	}
	attls_stat_inc(ATTLS_STAT_LEFT_CLEAR);
	attls_conn_disarm(conn);
	attls_conn_unwatch(conn);
	attls_conn_unmute(sk);
	WRITE_ONCE(conn->undecided, false);
}

/* Whether there will be TLS is the peer's to say. */
static void decide(struct attls_conn *conn)
{
	bool late = time_after_eq(jiffies, conn->decide_by);
	enum first first = look(conn->sk);

	if (first == FIRST_TLS && conn->started) {
		WRITE_ONCE(conn->undecided, false);
		attls_conn_shake(conn);
	} else if (first == FIRST_CLEAR || (first == FIRST_NONE && late)) {
		back(conn);
	} else if (late) {
		attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
				ATTLS_REASON_TIMEOUT2);
	}
}

/* Has the agent shake hands, once nobody is below the gate. */
static void handshake(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	/* Another INIT may have come before us, and gone back. */
	if (conn->started || atomic_read(&conn->gate))
		return;
	conn->started = true;
	attls_conn_watch(conn);
	attls_conn_mute(sk);
	if (conn->undecided)
		decide(conn);
	else if (sk->sk_state == TCP_ESTABLISHED)
		attls_conn_shake(conn);
	else
		attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
				ATTLS_REASON_PEER_RESET);
}

/* Does the next thing of a handshake that the agent does not know of yet. */
static void proceed(struct attls_conn *conn,
		    void (*next)(struct attls_conn *conn))
{
	struct sock *sk = conn->sk;
	struct socket *sock;
	bool clear = false;

	mutex_lock(&conn->sock_lock);
	sock = conn->sock;
	if (!sock)
		goto out;
	lock_sock(sk);
	if (attls_conn_state(conn) == ATTLS_CONN_HANDSHAKE) {
		next(conn);
		clear = attls_conn_state(conn) == ATTLS_CONN_CLEAR;
	}
	release_sock(sk);
	if (clear && conn->shut)
		attls_hold_base(sock)->shutdown(sock, conn->shut - 1);
	if (clear)
		attls_conn_wake(conn);
out:
	mutex_unlock(&conn->sock_lock);
}

/* The peer has sent something, or the time is up.  Process context. */
void attls_clear_decide(struct attls_conn *conn)
{
	proceed(conn, decide);
}

static void decide_now(struct attls_conn *conn)
{
	conn->decide_by = jiffies;
	decide(conn);
}

/* The application closes the socket: it has waited long enough. */
void attls_clear_close(struct attls_conn *conn)
{
	if (READ_ONCE(conn->undecided))
		proceed(conn, decide_now);
}

/* The end of a call that has entered, or of the open gate. */
void attls_clear_leave(struct attls_conn *conn)
{
	if (!atomic_dec_and_test(&conn->gate))
		return;
	proceed(conn, handshake);
}

/*
 * The application asks for TLS; @allow: if the peer wants it, too, else the
 * connection stays in clear.  -EPIPE: TCP does not go both ways any more;
 * -EALREADY: somebody else has asked.  Process context.
 */
int attls_clear_init(struct attls_conn *conn, bool allow)
{
	unsigned long timeout = conn->rule->hs_timeout * HZ;
	int err = 0;

	if (attls_conn_state(conn) != ATTLS_CONN_CLEAR)
		return -EALREADY;
	if (conn->sk->sk_state != TCP_ESTABLISHED)
		return -EPIPE;
	mutex_lock(&conn->sock_lock);
	if (attls_conn_move(conn, ATTLS_CONN_CLEAR, ATTLS_CONN_HANDSHAKE)) {
		conn->initiated = true;
		conn->started = false;
		conn->begun = false;
		conn->agent_has = false;
		conn->decide_by = jiffies + timeout;
		WRITE_ONCE(conn->undecided, allow);
		if (timeout)
			attls_conn_arm(conn, timeout);
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

/* Is the next byte an urgent one, which is passed over? */
static bool is_at_urgent(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return READ_ONCE(tp->urg_data) && !sock_flag(sk, SOCK_URGINLINE) &&
	       READ_ONCE(tp->urg_seq) == READ_ONCE(tp->copied_seq);
}

/* Would a receive that wants @target bytes have something to say? */
static bool is_readable(const struct sock *sk, int target)
{
	if (unlikely(is_at_urgent(sk)))
		target++;
	return tcp_epollin_ready(sk, target) || READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN ||
	       READ_ONCE(sk->sk_state) == TCP_CLOSE;
}

/*
 * Waits up to *@timeo jiffies, and leaves the rest there, until there is
 * something to read or the state is another; @again: a moment at least, for
 * what seemed to be there was not.  0; -EAGAIN: the time is up; the errno of
 * an interrupted call.
 */
static int wait_readable(struct sock *sk, const struct attls_conn *conn,
			 int target, bool again, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	long slice, left;
	int err = 0;

	add_wait_queue(sk_sleep(sk), &wait);
	while (attls_conn_state(conn) == ATTLS_CONN_CLEAR &&
	       (again || !is_readable(sk, target))) {
		if (!*timeo)
			err = -EAGAIN;
		else if (signal_pending(current))
			err = sock_intr_errno(*timeo);
		if (err)
			break;
		slice = again ? 1 : *timeo;
		left = wait_woken(&wait, TASK_INTERRUPTIBLE, slice);
		if (*timeo != MAX_SCHEDULE_TIMEOUT)
			*timeo -= slice - left;
		again = false;
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
		      wait_readable(sk, conn, target - copied, n == -EAGAIN,
				    timeo);
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
