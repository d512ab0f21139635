// SPDX-License-Identifier: GPL-2.0-only
/*
 * The connection object: lifetime, states, timers, and the socket callbacks
 * that tell it what TCP does while the application is held.
 *
 * Every change of state is one compare-and-exchange in attls_conn_move();
 * whoever wins does what the change asks for, everybody else is told.  The
 * one exception is the last change, to CLOSED, which always wins: the
 * application has let go of the socket.
 */
#include "internal.h"
#include <linux/cred.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <net/ipv6.h>
#include <net/tcp.h>
#include "trace.h"

static DEFINE_XARRAY_FLAGS(conns, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
static u32 next_id;
static struct kmem_cache *conn_cache;
static struct workqueue_struct *conn_wq;

static void conn_work(struct work_struct *work);
static void look_work(struct work_struct *work);

/* The process whose program is at work, as rules name it. */
void attls_identity_current(struct attls_identity *who)
{
	/* In the initial user namespace, where they are what they are. */
	who->uid = __kuid_val(current_euid());
	who->gid = __kgid_val(current_egid());
	who->pid = task_tgid_nr(current);
	get_task_comm(who->comm, current->group_leader);
}

/* Addresses and ports of @sk, IPv4 in v4-mapped form whatever the family. */
void attls_conn_tuple(const struct sock *sk, struct attls_tuple *t)
{
	const struct inet_sock *inet = inet_sk(sk);

	t->local_port = ntohs(inet->inet_sport);	/* survives a reset */
	t->remote_port = ntohs(inet->inet_dport);
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(t->local_addr, &sk->sk_v6_rcv_saddr, ATTLS_ADDR_LEN);
		memcpy(t->remote_addr, &sk->sk_v6_daddr, ATTLS_ADDR_LEN);
		return;
	}
#endif
	ipv6_addr_set_v4mapped(inet->inet_rcv_saddr,
			       (struct in6_addr *)t->local_addr);
	ipv6_addr_set_v4mapped(inet->inet_daddr,
			       (struct in6_addr *)t->remote_addr);
}

static void set_user_data(struct sock *sk, struct attls_conn *conn)
{
	write_lock_bh(&sk->sk_callback_lock);
	__rcu_assign_sk_user_data_with_flags(sk, conn, SK_USER_DATA_NOCOPY);
	write_unlock_bh(&sk->sk_callback_lock);
}

/* The sock knows @conn no more, as callbacks and for operations. */
void attls_conn_unhang(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	attls_conn_unwatch(conn);
	write_lock_bh(&sk->sk_callback_lock);
	if (attls_conn_of(sk) == conn)
		rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
}

/*
 * Makes the conn of @sock for rule @rule of @policy and hangs it on the
 * sock, in state CONNECTING.  @who: its process, as rules and displays name
 * it.  The caller holds lock_sock(sock->sk) and @sock has no conn; sleeps if
 * @gfp says so.  NULL: no memory; the caller makes the socket FAILED.
 */
struct attls_conn *attls_conn_create(struct socket *sock,
				     struct attls_policy *policy, int rule,
				     const struct attls_identity *who,
				     u8 direction, gfp_t gfp)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn;

	conn = kmem_cache_zalloc(conn_cache, gfp);
	if (!conn)
		return NULL;
	/* The rule of a connect is looked for again with its local port. */
	if (policy->set.by_path && direction == ATTLS_OUTBOUND) {
		conn->paths = attls_paths_save();
		if (!conn->paths)
			goto err_free_conn;
	}
	if (xa_alloc_cyclic_bh(&conns, &conn->id, NULL, xa_limit_31b, &next_id,
			       gfp) < 0)
		goto err_free_paths;

	refcount_set(&conn->ref, 1);
	atomic_set(&conn->state, ATTLS_CONN_CONNECTING);
	atomic_set(&conn->gate, 1);
	init_rwsem(&conn->use);
	init_rwsem(&conn->sending);
	mutex_init(&conn->sock_lock);
	mutex_init(&conn->control_lock);
	spin_lock_init(&conn->keeper_lock);
	INIT_HLIST_NODE(&conn->primary);
	INIT_LIST_HEAD(&conn->queue);
	init_waitqueue_head(&conn->agent_wait);
	INIT_DELAYED_WORK(&conn->work, conn_work);
	INIT_WORK(&conn->look, look_work);
	INIT_WORK(&conn->announce, attls_announce_work);
	sock_hold(sk);
	conn->sk = sk;
	conn->sock = sock;
	attls_policy_hold(policy);
	conn->policy = policy;
	conn->rule = &policy->set.rules[rule];
	conn->direction = direction;
	conn->port_known = true;
	conn->who = *who;
	set_user_data(sk, conn);
	/* From here on the dump sees it. */
	xa_lock_bh(&conns);
	__xa_store(&conns, conn->id, conn, 0);
	xa_unlock_bh(&conns);
	return conn;

err_free_paths:
	kfree(conn->paths);
err_free_conn:
	kmem_cache_free(conn_cache, conn);
	return NULL;
}

/* False: it is going away. */
bool attls_conn_get(struct attls_conn *conn)
{
	return refcount_inc_not_zero(&conn->ref);
}

/* Any context. */
void attls_conn_put(struct attls_conn *conn)
{
	if (!refcount_dec_and_test(&conn->ref))
		return;
	WARN_ON_ONCE(conn->shadow);
	WARN_ON_ONCE(conn->keeper);
	attls_keeper_cancel(conn);
	attls_tickets_free(conn->tickets);
	attls_rekey_end(conn);
	memzero_explicit(conn->cert_user, sizeof(conn->cert_user));
	attls_ends_put(&conn->ends);
	kfree(conn->wish);
	attls_policy_put(conn->policy);
	sock_put(conn->sk);
	kfree(conn->paths);
	kfree_rcu(conn, rcu);
}

/*
 * The first conn with an id above *@id, with a reference for the caller,
 * and its id in *@id; NULL at the end.  May be called in any order of time:
 * a dump survives conns that come and go.
 */
struct attls_conn *attls_conn_next(unsigned long *id)
{
	struct attls_conn *conn;

	rcu_read_lock();
	do {
		conn = xa_find_after(&conns, id, ULONG_MAX, XA_PRESENT);
	} while (conn && !attls_conn_get(conn));
	rcu_read_unlock();
	return conn;
}

/* The only way from one state to the next; true for the winner. */
bool attls_conn_move(struct attls_conn *conn, int from, int to)
{
	if (atomic_cmpxchg(&conn->state, from, to) != from)
		return false;
	attls_handshake_account(from, to);
	trace_attls_conn_state(conn->id, from, to, conn->reason);
	return true;
}

/* Wakes everybody who waits for the socket: poll, calls, SIGIO. */
void attls_conn_wake(struct attls_conn *conn)
{
	const __poll_t events = EPOLLIN | EPOLLRDNORM | EPOLLOUT |
				EPOLLWRNORM | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
	struct sock *sk = conn->sk;
	struct socket_wq *wq;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(wq))
		__wake_up(&wq->wait, TASK_INTERRUPTIBLE, 0,
			  poll_to_key(events));
	sk_wake_async(sk, SOCK_WAKE_WAITD, POLL_IN);
	sk_wake_async(sk, SOCK_WAKE_SPACE, POLL_OUT);
	rcu_read_unlock();
	wake_up_interruptible_poll(&conn->agent_wait, events);
	attls_conn_settle(conn);
}

/* Runs conn_work() after @delay jiffies; the timer holds a reference. */
void attls_conn_arm(struct attls_conn *conn, unsigned long delay)
{
	if (!attls_conn_get(conn))
		return;
	if (mod_delayed_work(conn_wq, &conn->work, delay))
		attls_conn_put(conn);	/* it was armed: one is enough */
	/* A release that came between found nothing to disarm. */
	if (attls_conn_state(conn) == ATTLS_CONN_CLOSED)
		attls_conn_disarm(conn);
}

void attls_conn_disarm(struct attls_conn *conn)
{
	if (cancel_delayed_work(&conn->work))
		attls_conn_put(conn);
}

static bool lingers_no_more(const struct attls_conn *conn)
{
	int state = attls_conn_state(conn);

	return READ_ONCE(conn->own) && state != ATTLS_CONN_HANDSHAKE &&
	       state != ATTLS_CONN_INSTALLING;
}

/* What goes on without the application ends when it is decided. */
void attls_conn_settle(struct attls_conn *conn)
{
	if (unlikely(lingers_no_more(conn)))
		attls_conn_arm(conn, 0);
}

static const char *reason_text(u32 reason)
{
	switch (reason) {
	case ATTLS_REASON_PEER_RESET:
		return "Initial Handshake: connection ended by the peer";
	case ATTLS_REASON_AGENT_GONE:
		return "Initial Handshake: attlsd died";
	case ATTLS_REASON_QUEUE_FULL:
		return "Policy Mapping: too many pending handshakes";
	case ATTLS_REASON_DENIED:
		return "Policy Mapping: no rule, and DefaultAction is Deny";
	case ATTLS_REASON_UNPROTECTED:
		return "Policy Mapping: no rule, and the application has named its peer or session";
	case ATTLS_REASON_NO_MEMORY:
		return "Connection Init: no memory";
	case ATTLS_REASON_INSTALL:
		return "Connection Init: kTLS refused the keys";
	case ATTLS_REASON_ULP:
		return "Connection Init: the socket already has a ULP";
	case ATTLS_REASON_TRUNCATED:
		return "Data Decryption: FIN without close_notify";
	case ATTLS_REASON_ALERT:
		return "Data Decryption: fatal alert from the peer";
	case ATTLS_REASON_RECORD:
		return "Data Decryption: bad record";
	case ATTLS_REASON_PROTOCOL:
		return "Data Decryption: control record refused";
	case ATTLS_REASON_KEY_UPDATE:
		return "Data Decryption: key update failed";
	case ATTLS_REASON_FLOOD:
		return "Data Decryption: flood of control records";
	case ATTLS_REASON_STOP_TIMEOUT:
		return "Connection Stop: timer expired, no close_notify";
	case ATTLS_REASON_STOP_DATA:
		return "Connection Stop: kTLS does not give clear data back";
	case ATTLS_REASON_TIMEOUT:
		return "Initial Handshake: timer expired, no secure data";
	case ATTLS_REASON_TIMEOUT2:
		return "Initial Handshake: timer expired, not complete";
	default:
		return "Initial Handshake";
	}
}

/* A worker that has the handshake writes the line itself. */
static void log_failure(const struct attls_conn *conn)
{
	struct attls_tuple t;

	if (conn->reason == ATTLS_REASON_NONE ||
	    (conn->agent_has && conn->reason != ATTLS_REASON_AGENT_GONE))
		return;
	attls_conn_tuple(conn->sk, &t);
	pr_info_ratelimited("EZD1286I TTLS Error CONNID: %08x LOCAL: %pI6c..%u REMOTE: %pI6c..%u JOBNAME: %s USERID: %u RULE: %s RC: %u %s\n",
			    conn->id, t.local_addr, t.local_port,
			    t.remote_addr, t.remote_port, conn->who.comm,
			    conn->who.uid,
			    attls_set_string(&conn->policy->set,
					     conn->rule->name),
			    conn->reason, reason_text(conn->reason));
}

/*
 * Fails the connection if it is still in state @from: counts, logs, and has
 * TCP reset it from a work item.  Any context.  True for the winner.  Who is
 * held wakes up when TCP knows, so that SO_ERROR tells the same story.
 */
bool attls_conn_fail(struct attls_conn *conn, int from, u32 reason)
{
	if (!attls_conn_move(conn, from, ATTLS_CONN_FAILED))
		return false;
	WRITE_ONCE(conn->reason, reason);
	attls_stat_failure(reason);
	log_failure(conn);
	attls_conn_arm(conn, 0);
	return true;
}

/*
 * What a receive on a FAILED connection says, as TCP after a reset: the
 * error once, by whatever call, then the end.  @conn may be NULL.
 */
int attls_conn_error(struct sock *sk, struct attls_conn *conn)
{
	int err = sock_error(sk);

	if (err == -EBADMSG)		/* kTLS's word for it, not TCP's */
		err = -ECONNRESET;
	if (!conn)
		return err ?: -ECONNRESET;
	/* Its connect was taken back by shutdown(). */
	if (!err && READ_ONCE(conn->canceled))
		return -ENOTCONN;
	if (!err && !READ_ONCE(conn->rx_told))
		err = -ECONNRESET;
	WRITE_ONCE(conn->rx_told, true);
	return err;
}

/*
 * A RST that follows a FIN is EPIPE to TCP; a connection that TLS ends is
 * ECONNRESET.  Who has taken the error has been told.
 */
static void say_reset(struct sock *sk)
{
	cmpxchg(&sk->sk_err, EPIPE, ECONNRESET);
}

static void conn_abort(struct attls_conn *conn)
{
	tcp_abort(conn->sk, ECONNRESET);
	say_reset(conn->sk);
	smp_store_release(&conn->aborted, true);
	attls_conn_wake(conn);
}

/*
 * The application ends its handshake: TCP knows when this returns.  Process
 * context without lock_sock.  False: there is no handshake.
 */
bool attls_conn_cancel(struct attls_conn *conn)
{
	if (!attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE, ATTLS_REASON_NONE))
		return false;
	attls_stat_inc(ATTLS_STAT_CANCELED);
	WRITE_ONCE(conn->canceled, true);
	conn_abort(conn);
	return true;
}

/* An INSTALL that has not said SECURE yet does so.  As attls_conn_reset(). */
void attls_conn_settle_install(struct attls_conn *conn)
{
	mutex_lock(&conn->sock_lock);
	mutex_unlock(&conn->sock_lock);
}

/*
 * Resets a connection that has TLS now: a broken record, a fatal alert, a
 * truncation.  Process context without lock_sock.
 */
void attls_conn_reset(struct attls_conn *conn, u32 reason)
{
	attls_conn_settle_install(conn);
	conn->agent_has = false;
	if (!attls_conn_move(conn, ATTLS_CONN_SECURE, ATTLS_CONN_FAILED) &&
	    !attls_conn_move(conn, ATTLS_CONN_STOPPING, ATTLS_CONN_FAILED))
		return;
	WRITE_ONCE(conn->reason, reason);
	attls_stat_failure(reason);
	log_failure(conn);
	conn_abort(conn);
}

/*
 * The handshake timer; the reset that a failure asked for; data that
 * MSG_MORE holds back; a STOP that waits for the peer; or the end of a socket
 * that the application has closed before.
 */
static void conn_work(struct work_struct *work)
{
	struct attls_conn *conn;

	conn = container_of(to_delayed_work(work), struct attls_conn, work);
	if (atomic_read(&conn->state) == ATTLS_CONN_HANDSHAKE &&
	    READ_ONCE(conn->undecided))
		attls_clear_decide(conn);
	else if (atomic_read(&conn->state) == ATTLS_CONN_HANDSHAKE)
		attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
				READ_ONCE(conn->begun) ?
				ATTLS_REASON_TIMEOUT2 : ATTLS_REASON_TIMEOUT);
	if (atomic_read(&conn->state) == ATTLS_CONN_FAILED)
		conn_abort(conn);
	if (READ_ONCE(conn->more) && !attls_ktls_flush(conn))
		attls_conn_arm(conn, ATTLS_MORE_DELAY);
	if (atomic_read(&conn->state) == ATTLS_CONN_STOPPING)
		attls_stop_work(conn);
	if (lingers_no_more(conn))
		attls_own_close(conn);
	attls_conn_put(conn);
}

/* Runs @work, one of @conn's, which drops the reference.  Any context. */
void attls_conn_queue(struct attls_conn *conn, struct work_struct *work)
{
	if (attls_conn_get(conn) && !queue_work(conn_wq, work))
		attls_conn_put(conn);
}

static void look_work(struct work_struct *work)
{
	struct attls_conn *conn = container_of(work, struct attls_conn, look);

	attls_clear_decide(conn);
	attls_conn_put(conn);
}

/*
 * While the application is held, TCP itself refuses to send for it: a call
 * that was past sock->ops before we changed it, or that never came through
 * there, gets EPIPE.  Only hs_write_iter() goes around.  With lock_sock or
 * the spinlock below it; not in SYN_RECV, where TCP would make a FIN of it.
 */
void attls_conn_mute(struct sock *sk)
{
	WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | SEND_SHUTDOWN);
}

void attls_conn_unmute(struct sock *sk)
{
	WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown & ~SEND_SHUTDOWN);
}

/* The state says HANDSHAKE: the timer runs, and the agent is told. */
void attls_conn_shake(struct attls_conn *conn)
{
	if (conn->rule->hs_timeout)
		attls_conn_arm(conn, conn->rule->hs_timeout * HZ);
	if (!attls_handshake_queue(conn))
		attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
				ATTLS_REASON_QUEUE_FULL);
}

/*
 * TCP is up and the rule is final: start what the rule asks for.  Called
 * with lock_sock or the spinlock below it; does not sleep.
 */
void attls_conn_begin(struct attls_conn *conn)
{
	const struct attls_rule *rule = conn->rule;
	int from = atomic_read(&conn->state);

	if (rule->flags & ATTLS_RULE_APPLCNTRL) {
		attls_stat_inc(ATTLS_STAT_MAPPED_CLEAR);
		attls_conn_unmute(conn->sk);
		attls_conn_move(conn, from, ATTLS_CONN_CLEAR);
		attls_conn_unwatch(conn);	/* its data is its own */
		return;
	}
	attls_stat_inc(ATTLS_STAT_MAPPED_TLS);
	if (attls_conn_move(conn, from, ATTLS_CONN_HANDSHAKE))
		attls_conn_shake(conn);
}

/* TCP connect ended well: now the local port is known. */
static void conn_established(struct attls_conn *conn)
{
	if (atomic_read(&conn->state) != ATTLS_CONN_CONNECTING)
		return;
	if (!attls_map_final(conn)) {
		if (attls_wish_insists(conn->wish) &&
		    attls_conn_fail(conn, ATTLS_CONN_CONNECTING,
				    ATTLS_REASON_UNPROTECTED))
			return;
		attls_conn_unmute(conn->sk);
		attls_conn_move(conn, ATTLS_CONN_CONNECTING, ATTLS_CONN_NONE);
		return;
	}
	attls_conn_begin(conn);
}

/* TCP is gone: RST, timeout, ss -K, or a connect that was refused. */
static void conn_gone(struct attls_conn *conn)
{
	if (attls_conn_move(conn, ATTLS_CONN_CONNECTING, ATTLS_CONN_IDLE))
		return;
	if (!attls_conn_move(conn, ATTLS_CONN_HANDSHAKE, ATTLS_CONN_FAILED))
		return;
	WRITE_ONCE(conn->reason, ATTLS_REASON_PEER_RESET);
	attls_stat_failure(ATTLS_REASON_PEER_RESET);
	log_failure(conn);
	/* sk_err says why already: nothing to reset. */
	say_reset(conn->sk);
	smp_store_release(&conn->aborted, true);
	attls_conn_disarm(conn);
	attls_conn_wake(conn);
}

/* Something has come: is it for the agent?  Any context. */
static void conn_look(struct attls_conn *conn)
{
	if (READ_ONCE(conn->undecided))
		attls_conn_queue(conn, &conn->look);
}

static void conn_state_change(struct sock *sk)
{
	void (*state_change)(struct sock *sk) = NULL;
	struct attls_conn *conn;

	rcu_read_lock();
	conn = attls_conn_of(sk);
	if (conn) {
		state_change = READ_ONCE(conn->state_change);
		if (conn->sndtimeo_saved) {
			WRITE_ONCE(sk->sk_sndtimeo, conn->sndtimeo);
			conn->sndtimeo_saved = false;
		}
		if (sk->sk_state == TCP_ESTABLISHED)
			conn_established(conn);
		else if (sk->sk_state == TCP_CLOSE)
			conn_gone(conn);
		else
			conn_look(conn);	/* at a FIN */
		wake_up_interruptible_poll(&conn->agent_wait,
					   EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	}
	if (state_change)
		state_change(sk);
	rcu_read_unlock();
}

/* The peer's handshake bytes are the agent's business alone. */
static void conn_data_ready(struct sock *sk)
{
	struct attls_conn *conn;

	rcu_read_lock();
	conn = attls_conn_of(sk);
	if (conn)
		conn_look(conn);
	if (conn)
		wake_up_interruptible_poll(&conn->agent_wait,
					   EPOLLIN | EPOLLRDNORM);
	rcu_read_unlock();
}

static void conn_write_space(struct sock *sk)
{
	void (*write_space)(struct sock *sk) = NULL;
	struct attls_conn *conn;

	rcu_read_lock();
	conn = attls_conn_of(sk);
	if (conn) {
		write_space = READ_ONCE(conn->write_space);
		wake_up_interruptible_poll(&conn->agent_wait,
					   EPOLLOUT | EPOLLWRNORM);
	}
	if (write_space)
		write_space(sk);
	rcu_read_unlock();
}

/* Puts our socket callbacks in, from the connect or the mapping. */
void attls_conn_watch(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (!conn->callbacks) {
		conn->data_ready = sk->sk_data_ready;
		conn->write_space = sk->sk_write_space;
		conn->state_change = sk->sk_state_change;
		WRITE_ONCE(sk->sk_data_ready, conn_data_ready);
		WRITE_ONCE(sk->sk_write_space, conn_write_space);
		WRITE_ONCE(sk->sk_state_change, conn_state_change);
		conn->callbacks = true;
	}
	write_unlock_bh(&sk->sk_callback_lock);
}

/* Takes them off again: the handshake is over, or the socket is released. */
void attls_conn_unwatch(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (conn->callbacks) {
		WRITE_ONCE(sk->sk_data_ready, conn->data_ready);
		WRITE_ONCE(sk->sk_write_space, conn->write_space);
		WRITE_ONCE(sk->sk_state_change, conn->state_change);
		conn->callbacks = false;
	}
	write_unlock_bh(&sk->sk_callback_lock);
}

/* Nothing here sleeps but tcp_abort(), which an IDLE conn does not need. */
static void conn_close(struct sock *sk, struct attls_conn *conn)
{
	int old = atomic_xchg(&conn->state, ATTLS_CONN_CLOSED);

	attls_handshake_account(old, ATTLS_CONN_CLOSED);
	trace_attls_conn_state(conn->id, old, ATTLS_CONN_CLOSED, conn->reason);
	attls_handshake_forget(conn);
	attls_conn_disarm(conn);
	attls_secondary_del(conn);
	attls_conn_unhang(conn);
	if (old == ATTLS_CONN_HANDSHAKE)
		attls_stat_inc(ATTLS_STAT_CANCELED);
	else if (old == ATTLS_CONN_SECURE || old == ATTLS_CONN_STOPPING)
		attls_stat_inc(ATTLS_STAT_CLOSED);
	/* What has been promised to be reset does not end in a polite FIN. */
	if (old == ATTLS_CONN_HANDSHAKE ||
	    (old == ATTLS_CONN_FAILED && !READ_ONCE(conn->aborted)))
		tcp_abort(sk, ECONNRESET);

	xa_erase_bh(&conns, conn->id);
	wake_up_interruptible_poll(&conn->agent_wait, EPOLLERR | EPOLLHUP);
	attls_conn_put(conn);
}

/*
 * The application closes the socket: who is at work on it with conn->use or
 * conn->sock_lock ends, nobody begins.  Process context.
 */
void attls_conn_part(struct attls_conn *conn)
{
	down_write(&conn->use);
	mutex_lock(&conn->sock_lock);
	conn->sock = NULL;
	mutex_unlock(&conn->sock_lock);
	up_write(&conn->use);
}

/*
 * The socket lets go of its conn: close, or no rule after all.  Whoever
 * still holds the conn (a worker, the timer) finds it CLOSED.  Process
 * context; drops the socket's reference.
 */
void attls_conn_release(struct socket *sock, struct attls_conn *conn)
{
	mutex_lock(&conn->sock_lock);
	conn->sock = NULL;
	mutex_unlock(&conn->sock_lock);
	conn_close(sock->sk, conn);
}

/*
 * The same for a conn in state IDLE, which no agent has, from where nothing
 * may sleep.  False: somebody is at it nevertheless.
 */
bool attls_conn_drop(struct socket *sock, struct attls_conn *conn)
{
	if (attls_conn_state(conn) != ATTLS_CONN_IDLE ||
	    !mutex_trylock(&conn->sock_lock))
		return false;
	conn->sock = NULL;
	mutex_unlock(&conn->sock_lock);
	conn_close(sock->sk, conn);
	return true;
}

int attls_conn_init(void)
{
	conn_cache = KMEM_CACHE_USERCOPY(attls_conn, SLAB_ACCOUNT, secrets);
	if (!conn_cache)
		return -ENOMEM;
	conn_wq = alloc_workqueue("attls", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!conn_wq) {
		kmem_cache_destroy(conn_cache);
		return -ENOMEM;
	}
	return 0;
}

void attls_conn_exit(void)
{
	destroy_workqueue(conn_wq);
	rcu_barrier();
	WARN_ON(!xa_empty(&conns));
	kmem_cache_destroy(conn_cache);
}
