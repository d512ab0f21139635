// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom a record wakes, and when.
 *
 * kTLS announces a record before it is decrypted, often in softirq.  In TLS
 * 1.3 nobody can tell then whether it is data or a ticket, of which TCP has
 * no notion.  Who sleeps in a receive looks and sleeps on.  But epoll, where
 * it is edge-triggered, reports what poll says at each wake-up: to who waits
 * for EPOLLOUT as well, a ticket is an edge that TCP would not have given.
 *
 * So what may be no data wakes only receives at once.  Pollers wait for a work
 * item that has kTLS decrypt it, as their own poll would, and wakes them if
 * there is data, the end or an error.  That is a pass through a workqueue,
 * which a loaded server would feel at each request.  It is for those records
 * only that have the length of an alert, of a KeyUpdate, or of a ticket that
 * came before, and for all that a client gets before its first data.
 */
#include "internal.h"
#include <linux/poll.h>
#include <net/tls.h>

#define ALERT_LEN	2
#define KEY_UPDATE_LEN	5

/* What a poll takes that is in kTLS, and a FIN behind close_notify: jiffies. */
#define SOON		2

/* Tickets of a server differ by a block of the cipher that they are under. */
#define TICKET_SPREAD	16

enum {
	TOLD,
	UNTOLD,		/* the work is queued, unless nobody waits */
	LOOKING,	/* the work is at it, and nothing has come since */
};

/* Who waits must ask poll: io_uring would believe an event that we name. */
static void wake(struct sock *sk)
{
	struct socket_wq *wq;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(wq))
		wake_up_interruptible(&wq->wait);
	sk_wake_async(sk, SOCK_WAKE_WAITD, POLL_IN);
	rcu_read_unlock();
}

/*
 * Wakes all but pollers, who pass over an event that they did not ask for,
 * and nobody asks for this one.  False: nobody at all waits.
 */
static bool wake_receives(struct sock *sk)
{
	struct socket_wq *wq;
	bool sleeper;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	sleeper = skwq_has_sleeper(wq);
	if (sleeper)
		wake_up_interruptible_poll(&wq->wait, EPOLLMSG);
	rcu_read_unlock();
	return sleeper || sock_flag(sk, SOCK_FASYNC);
}

/* There is data: pollers are to know, if they do not.  Any context. */
void attls_announce_now(struct attls_conn *conn)
{
	if (READ_ONCE(conn->untold) && xchg(&conn->untold, TOLD))
		wake(conn->sk);
}

/* There may be a record, at which the work looks first.  Any context. */
void attls_announce_later(struct attls_conn *conn)
{
	WRITE_ONCE(conn->untold, UNTOLD);
	if (wake_receives(conn->sk))
		attls_conn_queue(conn, &conn->announce);
}

static bool is_before_data(const struct attls_conn *conn)
{
	return READ_ONCE(conn->first) &&
	       conn->rule->role == ATTLS_ROLE_CLIENT;
}

/* The record that kTLS has next; the socket is locked. */
static bool may_be_control(const struct attls_conn *conn)
{
	const struct tls_context *tls = tls_get_ctx(conn->sk);
	const struct tls_strparser *strp = &tls_sw_ctx_rx(tls)->strp;
	int len = strp->stm.full_len - tls->prot_info.overhead_size;
	int ticket_len = READ_ONCE(conn->ticket_len);

	if (conn->protocol < TLS_1_3_VERSION)
		return strp->mark != ATTLS_RECORD_DATA;
	return len == ALERT_LEN || len == KEY_UPDATE_LEN ||
	       (ticket_len && abs(len - ticket_len) <= TICKET_SPREAD) ||
	       is_before_data(conn);
}

/* Are we called by kTLS for the work, which goes on until all is read? */
static bool is_looker(const struct attls_conn *conn)
{
	return READ_ONCE(conn->looker) == current && !in_serving_softirq();
}

/* kTLS has a record, of which it does not say the type.  Any context. */
void attls_announce_record(struct sock *sk)
{
	struct attls_conn *conn;
	bool stopping;

	rcu_read_lock();
	conn = attls_conn_of(sk);
	stopping = attls_conn_state(conn) == ATTLS_CONN_STOPPING;
	if (conn && sock_flag(sk, SOCK_TIMESTAMP))
		WRITE_ONCE(conn->stamp, ktime_get_real());
	if (stopping)
		attls_conn_arm(conn, 0);	/* it may be close_notify */
	if (conn && !stopping &&
	    unlikely(may_be_control(conn) || is_looker(conn))) {
		attls_announce_later(conn);
	} else {
		if (conn && unlikely(READ_ONCE(conn->untold)))
			WRITE_ONCE(conn->untold, TOLD);
		wake(sk);
	}
	rcu_read_unlock();
}

/*
 * 1: pollers are to be told; -EAGAIN: there is nothing to tell; -EBUSY: that
 * will be known soon.
 */
static int look_secure(struct attls_conn *conn)
{
	const struct tls_context *tls = tls_get_ctx(conn->sk);
	int ret;

	WRITE_ONCE(conn->looker, current);
	ret = attls_control_peek(conn->sock, conn);
	WRITE_ONCE(conn->looker, NULL);
	if (ret == -EAGAIN)	/* unless a reader has it in hand */
		return READ_ONCE(tls_sw_ctx_rx(tls)->reader_present) ?
		       -EBUSY : -EAGAIN;
	if (!ret)		/* TCP wakes everybody for a FIN */
		return READ_ONCE(conn->sk->sk_shutdown) & RCV_SHUTDOWN ?
		       -EAGAIN : -EBUSY;
	return 1;
}

/* The same.  In other states who changes them wakes everybody. */
static int look(struct attls_conn *conn)
{
	int ret = -EAGAIN;

	/* Neither a release nor a STOP comes in between. */
	down_read(&conn->use);
	if (!conn->sock || !READ_ONCE(conn->untold))
		goto out;
	cmpxchg(&conn->untold, UNTOLD, LOOKING);
	if (attls_conn_state(conn) == ATTLS_CONN_SECURE)
		ret = look_secure(conn);
	else if (attls_conn_state(conn) == ATTLS_CONN_STOPPING)
		ret = 1;
out:
	up_read(&conn->use);
	return ret;
}

/* conn->announce. */
void attls_announce_work(struct work_struct *work)
{
	struct attls_conn *conn;
	int ret;

	conn = container_of(work, struct attls_conn, announce);
	ret = look(conn);
	if (ret == -EBUSY) {
		schedule_timeout_uninterruptible(SOON);
		ret = look(conn);
	}
	if (ret == -EAGAIN)
		cmpxchg(&conn->untold, LOOKING, TOLD);
	else
		attls_announce_now(conn);
	attls_conn_put(conn);
}
