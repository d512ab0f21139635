// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the application asks of a SECURE connection: the end of TLS (STOP),
 * or new keys (RESET_CIPHER).
 *
 * STOP is SECURE > STOPPING > CLEAR.  The first step is one section with
 * conn->use held for writing: nothing is to be read, no writer is at work,
 * nothing waits for room in TCP, and our close_notify is behind all that was
 * written.  From then on who writes is held, who reads gets what the peer
 * sent before its own close_notify.  When that has come and ours is with TCP,
 * conn->work takes the second step, in the same way: kTLS goes, and what the
 * peer sent behind its close_notify, which kTLS has left with TCP, is clear
 * data.  Only the work does that, and it is armed only with conn->use or from
 * kTLS: what comes next on the connection has it for itself, as its timer.
 */
#include "internal.h"
#include <linux/sched/signal.h>
#include <linux/ttls.h>
#include <net/tcp.h>
#include <net/tls.h>

/* How often we look for room in TCP, or for its end, of which none tells. */
#define LOOK_AGAIN	(HZ / 5)

static int refuse(u32 *reason, u32 why, int err)
{
	*reason = why;
	return err;
}

static void timer_set(struct attls_conn *conn)
{
	unsigned long time = conn->rule->hs_timeout * HZ;

	conn->stop_until = time ? (jiffies + time) ?: 1 : 0;
}

/*
 * SECURE > STOPPING, with our close_notify.  No writer is at work, nor begins
 * while conn->sending is held.
 */
static int begin_locked(struct socket *sock, struct attls_conn *conn,
			u32 *reason)
{
	int err;

	lockdep_assert_held_write(&conn->sending);
	if (attls_ktls_is_sending(sock->sk))
		return refuse(reason, TTLS_JrTTLSStopWriteDataPending,
			      -EPROTO);
	if (!attls_conn_move(conn, ATTLS_CONN_SECURE, ATTLS_CONN_STOPPING))
		return -EPIPE;
	err = attls_control_stop(sock, conn);
	if (err) {
		attls_conn_move(conn, ATTLS_CONN_STOPPING, ATTLS_CONN_SECURE);
		return err;
	}
	conn->stop_again = false;
	timer_set(conn);
	attls_conn_arm(conn, 0);
	return 0;
}

/* Both directions of TCP are open, as far as we are concerned. */
static bool is_established(const struct attls_conn *conn)
{
	return conn->sk->sk_state == TCP_ESTABLISHED &&
	       !((conn->sk->sk_shutdown | conn->shut) & SHUTDOWN_MASK);
}

/* The same, if there is nothing to read and kTLS can be taken off. */
static int begin_secure(struct socket *sock, struct attls_conn *conn,
			u32 *reason)
{
	const struct tls_context *tls = tls_get_ctx(sock->sk);
	int err;

	if (!is_established(conn))
		return -EPIPE;
	if (tls->tx_conf != TLS_SW || tls->rx_conf != TLS_SW)
		return refuse(reason, TTLS_JrNotClear, -EPROTO);
	err = attls_control_peek(sock, conn);
	if (err == 1)
		return refuse(reason, TTLS_JrTTLSStopReadDataPending, -EPROTO);
	if (err != -EAGAIN && !conn->rx_closed)
		return -EPIPE;
	if (conn->rx_kept) {
		attls_conn_reset(conn, ATTLS_REASON_STOP_DATA);
		return refuse(reason, TTLS_JrNotClear, -EPROTO);
	}
	if (!down_write_trylock(&conn->sending))
		return refuse(reason, TTLS_JrTTLSStopWriteDataPending,
			      -EPROTO);
	err = begin_locked(sock, conn, reason);
	up_write(&conn->sending);
	return err;
}

/* conn->use is held for writing. */
static int begin(struct socket *sock, struct attls_conn *conn, bool nonblock,
		 u32 *reason)
{
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_SECURE:
		return begin_secure(sock, conn, reason);
	case ATTLS_CONN_STOPPING:	/* who can wait does so again */
		return nonblock ? refuse(reason, TTLS_JrAlreadyActive,
					 -EALREADY) : 0;
	case ATTLS_CONN_CLEAR:		/* what it waits for has come */
		if (conn->stop_again && !nonblock)
			return 0;
		return refuse(reason, TTLS_JrAlreadyActive, -EALREADY);
	default:
		return -EPIPE;
	}
}

/* The session is as if it had never been. */
static void forget(struct attls_conn *conn)
{
	lockdep_assert_held(&conn->sock_lock);
	attls_rekey_end(conn);
	attls_tickets_free(conn->tickets);
	conn->tickets = NULL;
	conn->protocol = 0;
	conn->cipher = 0;
	conn->kex_group = 0;
	conn->resumed = false;
	memset(conn->session, 0, sizeof(conn->session));
	conn->exporter_len = 0;
	attls_ends_put(&conn->ends);
	conn->max_fragment = 0;
	conn->cert_uid = 0;
	memzero_explicit(conn->cert_user, sizeof(conn->cert_user));
	conn->more = false;
	conn->first = false;
	conn->stamp = 0;
	conn->control_run = 0;
	conn->control_seq = 0;
	conn->hs_have = 0;
	conn->hs_left = 0;
	conn->rx_shut = false;
	conn->rx_told = false;
	conn->rx_closed = false;
	conn->tx_closed = false;
}

/* STOPPING > CLEAR. */
static void end_locked(struct attls_conn *conn)
{
	mutex_lock(&conn->sock_lock);
	attls_keeper_end(conn, NULL);
	attls_ktls_remove(conn);
	attls_conn_disarm(conn);
	forget(conn);
	attls_clear_open(conn);
	if (attls_conn_move(conn, ATTLS_CONN_STOPPING, ATTLS_CONN_CLEAR))
		attls_stat_inc(ATTLS_STAT_STOPPED);
	mutex_unlock(&conn->sock_lock);
}

/* True: the state is another now. */
static bool advance_locked(struct attls_conn *conn)
{
	int ret = attls_control_peek(conn->sock, conn);

	/* While the application has data to read, the peer has time. */
	if (ret == 1 && conn->stop_until)
		timer_set(conn);
	if (ret == 1 || ret == -EAGAIN)
		return false;
	if (conn->sk->sk_state == TCP_CLOSE)
		attls_conn_reset(conn, ATTLS_REASON_PEER_RESET);
	else if (!conn->rx_closed)
		attls_conn_reset(conn, ATTLS_REASON_TRUNCATED);
	else if (conn->rx_kept)
		attls_conn_reset(conn, ATTLS_REASON_STOP_DATA);
	else if (attls_ktls_is_sending(conn->sk))
		return false;
	else
		end_locked(conn);
	return true;
}

/* conn->work while STOPPING. */
void attls_stop_work(struct attls_conn *conn)
{
	down_write(&conn->use);
	if (!conn->sock || attls_conn_state(conn) != ATTLS_CONN_STOPPING ||
	    advance_locked(conn))
		goto out;
	if (conn->stop_until && time_after_eq(jiffies, conn->stop_until))
		attls_conn_reset(conn, ATTLS_REASON_STOP_TIMEOUT);
	else
		attls_conn_arm(conn, LOOK_AGAIN);
out:
	up_write(&conn->use);
	if (attls_conn_state(conn) != ATTLS_CONN_STOPPING)
		attls_conn_wake(conn);
}

/*
 * Has the work look.  0: the state is another now; 1: the peer sent data
 * first, which is to be read; -EAGAIN: wait.
 */
static int look(struct attls_conn *conn)
{
	int ret = 0;

	down_read(&conn->use);
	if (conn->sock && attls_conn_state(conn) == ATTLS_CONN_STOPPING) {
		ret = attls_control_peek(conn->sock, conn);
		if (ret != 1) {
			attls_conn_arm(conn, 0);
			ret = -EAGAIN;
		}
	}
	up_read(&conn->use);
	return ret;
}

/* As look(), but waits for the peer; the errno of an interrupted call. */
static int wait_end(struct attls_conn *conn)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct sock *sk = conn->sk;
	int ret;

	add_wait_queue(sk_sleep(sk), &wait);
	while ((ret = look(conn)) == -EAGAIN) {
		if (signal_pending(current)) {
			ret = sock_intr_errno(MAX_SCHEDULE_TIMEOUT);
			break;
		}
		wait_woken(&wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	}
	remove_wait_queue(sk_sleep(sk), &wait);
	return ret;
}

/*
 * STOP on @sock, a socket under a rule with ApplicationControlled On.  0: it
 * is in clear.  -EINPROGRESS: it will be, @nonblock.  -EPROTO, with *@reason:
 * nothing has happened, but for data that the peer sent after our
 * close_notify: then it is to be read, and STOP called again.  -EALREADY: in
 * clear, or with @nonblock, on its way.  -EPIPE: no longer established.
 * Process context.
 */
int attls_stop(struct socket *sock, struct attls_conn *conn, bool nonblock,
	       u32 *reason)
{
	int ret;

	ret = down_write_killable(&conn->use);
	if (ret)
		return ret;
	ret = begin(sock, conn, nonblock, reason);
	up_write(&conn->use);
	if (ret)
		return ret;
	if (nonblock)
		return -EINPROGRESS;
	ret = wait_end(conn);
	WRITE_ONCE(conn->stop_again, ret);
	if (ret == 1)
		return refuse(reason, TTLS_JrTTLSStopReadDataPending, -EPROTO);
	if (!ret && attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return -EPIPE;
	return ret;
}

/*
 * New keys for what we send and, unless @write_only, for what the peer sends;
 * data goes on.  -EPROTO: there is no TLS, or *@reason: TLS 1.2 has no such
 * thing.  -EPIPE: no longer established.  Process context.
 */
int attls_reset_cipher(struct attls_conn *conn, bool write_only, u32 *reason)
{
	int err = -EPROTO;

	/* STOP does not come in between. */
	down_read(&conn->sending);
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		err = -EPIPE;
	else if (attls_conn_state(conn) != ATTLS_CONN_SECURE)
		err = -EPROTO;
	else if (!is_established(conn))
		err = -EPIPE;
	else if (conn->protocol < TLS_1_3_VERSION)
		refuse(reason, TTLS_JrRenegotiation, err);
	else
		err = attls_rekey_ask(conn, !write_only);
	up_read(&conn->sending);
	return err == -ECONNRESET ? -EPIPE : err;
}
