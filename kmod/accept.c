// SPDX-License-Identifier: GPL-2.0-only
/*
 * accept() of a hooked listener, and the connections that wait for it.
 *
 * A handshake begins at accept.  A server that accepts a connection only
 * when its client says so on another one (FTP in passive mode) would never
 * come to it: that client's connect() is not done before TLS is up.  So a
 * connection under a rule that nobody accepts for a while is accepted here,
 * into a socket of our own, and handed on when the server comes for it.
 */
#include "internal.h"
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <net/tcp.h>

/* How long a server may take before we accept for it. */
#define SERVER_TIME	(HZ / 50)
/* While connections wait, rules that they match may come to the front. */
#define AGAIN_TIME	HZ
/* So many of one listener at once, then the next. */
#define BATCH		64

/* A connection that we have accepted and the server has not. */
struct waiting {
	struct list_head	list;
	struct socket		*sock;		/* our own */
	unsigned int		life;		/* of its listener */
};

/* A listener that is hooked. */
struct listener {
	struct hlist_node	node;		/* listeners_lock */
	struct list_head	list;		/* both to delete, one to add */
	struct sock		*sk;		/* reference */
	struct attls_ops	*ops;
	struct attls_identity	who;		/* called listen() */
	/* listeners_lock: */
	struct list_head	queue;		/* the oldest first */
	unsigned int		queued;
	unsigned int		life;		/* it has stopped so often */
	bool			closed;		/* and not begun again */
	bool			busy;		/* one is on its way to queue */
};

static DEFINE_HASHTABLE(by_sock, 8);		/* listeners_lock */
static LIST_HEAD(listeners);
static DEFINE_SPINLOCK(listeners_lock);
static DEFINE_MUTEX(listeners_mutex);		/* deleting from the list */
static atomic_t n_waiting;
static atomic_t expected;			/* the work is on its way */

static void accept_for_servers(struct work_struct *work);
static DECLARE_DELAYED_WORK(accept_work, accept_for_servers);
static DECLARE_WAIT_QUEUE_HEAD(idle);		/* no listener is busy */
static struct workqueue_struct *accept_wq;

static struct listener *find(const struct sock *sk)
{
	struct listener *l;

	lockdep_assert_held(&listeners_lock);
	hash_for_each_possible(by_sock, l, node, (unsigned long)sk)
		if (l->sk == sk)
			return l;
	return NULL;
}

/*
 * @sk has the hook table of @ops and listens.  @who: listens, or NULL where
 * that was before our time.  Does not sleep.  Without memory its server must
 * come for connections itself.
 */
void attls_accept_listen(struct sock *sk, struct attls_ops *ops,
			 const struct attls_identity *who)
{
	struct listener *l, *old;

	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	l = kzalloc(sizeof(*l), GFP_ATOMIC);
	if (!l)
		return;
	l->sk = sk;
	l->ops = ops;
	if (who)
		l->who = *who;
	else
		l->who.uid = from_kuid_munged(&init_user_ns,
					      sock_net_uid(sock_net(sk), sk));
	INIT_LIST_HEAD(&l->queue);
	spin_lock_bh(&listeners_lock);
	old = find(sk);
	if (old) {
		old->closed = false;
		kfree(l);
	} else {
		sock_hold(sk);
		hash_add(by_sock, &l->node, (unsigned long)sk);
		list_add_tail(&l->list, &listeners);
	}
	spin_unlock_bh(&listeners_lock);
}

/* A connection was established: give its server some time.  Softirq. */
void attls_accept_expect(void)
{
	if (atomic_read(&expected) || attls_policy_empty())
		return;
	if (!atomic_xchg(&expected, 1))
		mod_delayed_work(accept_wq, &accept_work, SERVER_TIME);
}

/* @sk stops to listen.  Any context. */
void attls_accept_unlisten(const struct sock *sk)
{
	struct listener *l;

	spin_lock_bh(&listeners_lock);
	l = find(sk);
	if (l) {
		l->closed = true;
		l->life++;
	}
	spin_unlock_bh(&listeners_lock);
	if (l)
		mod_delayed_work(accept_wq, &accept_work, 0);
}

/* The oldest of this life of @l, or NULL. */
static struct waiting *first(const struct listener *l)
{
	struct waiting *w;

	lockdep_assert_held(&listeners_lock);
	list_for_each_entry(w, &l->queue, list)
		if (w->life == l->life)
			return w;
	return NULL;
}

/* One of an earlier life of @l, or NULL. */
static struct waiting *outlived(struct listener *l)
{
	struct waiting *w;

	lockdep_assert_held(&listeners_lock);
	w = list_first_entry_or_null(&l->queue, struct waiting, list);
	return w && w->life != l->life ? w : NULL;
}

static void unqueue(struct listener *l, struct waiting *w)
{
	lockdep_assert_held(&listeners_lock);
	list_del(&w->list);
	l->queued--;
	atomic_dec(&n_waiting);
}

#define WAITING	1	/* one has been accepted for the server */
#define BUSY	2	/* one is between TCP's queue and ours */

/* What there is of @sk, a listener or not: WAITING, BUSY, both or none. */
static unsigned int look(const struct sock *sk)
{
	unsigned int there = 0;
	struct listener *l;

	/* Counts both. */
	if (likely(!atomic_read(&n_waiting)))
		return 0;
	spin_lock_bh(&listeners_lock);
	l = find(sk);
	if (l)
		there = (first(l) ? WAITING : 0) | (l->busy ? BUSY : 0);
	spin_unlock_bh(&listeners_lock);
	return there;
}

/* Nobody will ever accept it: TCP resets such a connection. */
static void refuse(struct waiting *w)
{
	struct sock *sk = w->sock->sk;
	struct attls_conn *conn = attls_conn_of(sk);

	if (conn)
		attls_conn_cancel(conn);
	if (sk->sk_prot->diag_destroy)
		sk->sk_prot->diag_destroy(sk, ECONNRESET);
	sock_release(w->sock);
	kfree(w);
}

static void refuse_outlived(struct listener *l)
{
	struct waiting *w;

	spin_lock_bh(&listeners_lock);
	while ((w = outlived(l))) {
		unqueue(l, w);
		spin_unlock_bh(&listeners_lock);
		refuse(w);
		spin_lock_bh(&listeners_lock);
	}
	spin_unlock_bh(&listeners_lock);
}

/* With @by_force also one that listens.  False: it does, and stays. */
static bool forget(struct listener *l, bool by_force)
{
	bool gone;

	lockdep_assert_held(&listeners_mutex);
	spin_lock_bh(&listeners_lock);
	gone = l->closed || by_force;
	if (gone) {
		hash_del(&l->node);
		list_del(&l->list);
		l->life++;
	}
	spin_unlock_bh(&listeners_lock);
	if (!gone)
		return false;
	refuse_outlived(l);
	sock_put(l->sk);
	kfree(l);
	return true;
}

/* Is the next connection of @l under a rule, whoever accepts it? */
static bool next_is_ours(const struct listener *l)
{
	struct request_sock_queue *queue = &inet_csk(l->sk)->icsk_accept_queue;
	struct attls_policy *policy = NULL;
	struct request_sock *req;
	bool ours, secondary;
	int rule = -1;

	spin_lock_bh(&queue->rskq_lock);
	req = queue->rskq_accept_head;
	if (req && req->sk)
		rule = attls_secondary_find(&policy, req->sk, NULL,
					    ATTLS_INBOUND, &secondary);
	spin_unlock_bh(&queue->rskq_lock);
	ours = attls_policy_protects(policy, rule);
	attls_policy_put(policy);
	return ours;
}

/* False: there is none, or no memory. */
static bool accept_into(struct listener *l, struct socket *own)
{
	struct proto_accept_arg arg = { .flags = O_NONBLOCK };
	struct sock *sk;

	sk = READ_ONCE(l->sk->sk_prot)->accept(l->sk, &arg);
	if (!sk)
		return false;
	lock_sock(sk);
	own->ops = &l->ops->hook;
	own->state = SS_CONNECTED;
	sock_graft(sk, own);
	release_sock(sk);
	__module_get(THIS_MODULE);
	attls_map_accepted(own, &l->who);
	return true;
}

/* False: @l takes no more, or it has stopped. */
static bool accept_begin(struct listener *l, struct waiting *w)
{
	bool may;

	spin_lock_bh(&listeners_lock);
	may = !l->closed && l->queued <= READ_ONCE(l->sk->sk_max_ack_backlog);
	if (may) {
		w->life = l->life;
		l->busy = true;
		atomic_inc(&n_waiting);
	}
	spin_unlock_bh(&listeners_lock);
	return may;
}

static void accept_end(struct listener *l, struct waiting *w, bool ok)
{
	spin_lock_bh(&listeners_lock);
	l->busy = false;
	if (ok) {
		list_add_tail(&w->list, &l->queue);
		l->queued++;
	} else {
		atomic_dec(&n_waiting);
	}
	spin_unlock_bh(&listeners_lock);
	wake_up(&idle);
}

static bool accept_one(struct listener *l)
{
	struct waiting *w;
	bool ok = false;

	if (attls_handshake_is_busy() || !next_is_ours(l))
		return false;
	w = kmalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return false;
	w->sock = attls_own_create(l->sk);
	if (w->sock && accept_begin(l, w)) {
		ok = accept_into(l, w->sock);
		accept_end(l, w, ok);
	}
	if (!ok) {
		if (w->sock)
			sock_release(w->sock);
		kfree(w);
		return false;
	}
	attls_stat_inc(ATTLS_STAT_ACCEPTED_EARLY);
	/* A server that came in between has found nothing, and sleeps. */
	l->sk->sk_data_ready(l->sk);
	return true;
}

/* When to look again: 0, at once; MAX_SCHEDULE_TIMEOUT, when asked to. */
static unsigned long serve(struct listener *l)
{
	int i;

	for (i = 0; i < BATCH; i++)
		if (!accept_one(l))
			return reqsk_queue_empty(
					&inet_csk(l->sk)->icsk_accept_queue) ?
			       MAX_SCHEDULE_TIMEOUT : AGAIN_TIME;
	return 0;
}

static void accept_for_servers(struct work_struct *work)
{
	unsigned long again = MAX_SCHEDULE_TIMEOUT;
	struct listener *l, *next;

	atomic_set(&expected, 0);
	mutex_lock(&listeners_mutex);
	/* Who adds adds at the end; nobody else deletes. */
	list_for_each_entry_safe(l, next, &listeners, list) {
		refuse_outlived(l);
		if (!forget(l, false))
			again = min(again, serve(l));
		cond_resched();
	}
	mutex_unlock(&listeners_mutex);
	if (again != MAX_SCHEDULE_TIMEOUT)
		queue_delayed_work(accept_wq, &accept_work, again);
}

/* Listeners are given back, and with them what they have not accepted. */
void attls_accept_unhook(void)
{
	struct listener *l, *next;

	mutex_lock(&listeners_mutex);
	list_for_each_entry_safe(l, next, &listeners, list)
		forget(l, true);
	mutex_unlock(&listeners_mutex);
}

/* Waits until @sk may have a connection, at most *@timeo jiffies. */
static noinline_for_stack int
wait_for_connection(struct sock *sk, long *timeo)
{
	DEFINE_WAIT(wait);
	int err = 0;

	if (signal_pending(current))
		return sock_intr_errno(*timeo);
	prepare_to_wait_exclusive(sk_sleep(sk), &wait, TASK_INTERRUPTIBLE);
	if (READ_ONCE(sk->sk_state) == TCP_LISTEN && !(look(sk) & WAITING) &&
	    reqsk_queue_empty(&inet_csk(sk)->icsk_accept_queue)) {
		if (*timeo)
			*timeo = schedule_timeout(*timeo);
		else
			err = -EAGAIN;
	}
	finish_wait(sk_sleep(sk), &wait);
	return err;
}

/* Hands @own on to the server, whose new socket is @newsock. */
static void hand_on(struct socket *own, struct socket *newsock)
{
	struct attls_conn *conn = attls_conn_of(own->sk);

	if (conn) {
		mutex_lock(&conn->sock_lock);
		attls_identity_current(&conn->who);
	}
	WRITE_ONCE(newsock->ops, READ_ONCE(own->ops));
	attls_own_move(own, newsock);
	if (conn)
		mutex_unlock(&conn->sock_lock);
	own->ops = NULL;
	sock_release(own);
	/* Both sockets had one; a native table needs none. */
	module_put(THIS_MODULE);
}

static bool accept_waiting(struct sock *sk, struct socket *newsock,
			   struct proto_accept_arg *arg)
{
	struct waiting *w = NULL;
	struct listener *l;

	if (likely(!atomic_read(&n_waiting)))
		return false;
	spin_lock_bh(&listeners_lock);
	l = find(sk);
	if (l)
		w = first(l);
	if (w) {
		unqueue(l, w);
		arg->is_empty = !first(l) &&
			reqsk_queue_empty(&inet_csk(sk)->icsk_accept_queue);
	}
	spin_unlock_bh(&listeners_lock);
	if (!w)
		return false;
	hand_on(w->sock, newsock);
	kfree(w);
	return true;
}

/*
 * While the start-up window is closed there are no connections for the
 * current process: as if none had come.  *@timeo: as above.
 */
static noinline_for_stack int
wait_for_startup(struct sock *sk, long *timeo)
{
	DEFINE_WAIT(wait);
	int err = 0;

	attls_stat_inc(ATTLS_STAT_STARTUP_HELD);
	for (;;) {
		prepare_to_wait(sk_sleep(sk), &wait, TASK_INTERRUPTIBLE);
		if (!attls_permit_denied() ||
		    READ_ONCE(sk->sk_state) != TCP_LISTEN)
			break;
		if (!*timeo)
			err = -EAGAIN;
		else if (signal_pending(current))
			err = sock_intr_errno(*timeo);
		if (err)
			break;
		*timeo = schedule_timeout(*timeo);
	}
	finish_wait(sk_sleep(sk), &wait);
	return err;
}

/*
 * TCP's own accept, but the wait is ours: what ends it may be a connection
 * that TCP does not know as waiting.
 */
static int accept_tcp(struct socket *sock, struct socket *newsock,
		      struct proto_accept_arg *arg,
		      const struct proto_ops *base, long timeo)
{
	struct sock *sk = sock->sk;
	struct proto_accept_arg now = *arg;
	int err;

	now.flags |= O_NONBLOCK;
	for (;;) {
		wait_event(idle, !(look(sk) & BUSY));
		if (accept_waiting(sk, newsock, arg))
			return 0;
		err = base->accept(sock, newsock, &now);
		arg->is_empty = now.is_empty;
		if (!err) {
			attls_map_accepted(newsock, NULL);
			return 0;
		}
		if (err == -EAGAIN && look(sk))
			continue;
		if (err != -EAGAIN || !timeo)
			return err;
		err = wait_for_connection(sk, &timeo);
		if (err)
			return err;
	}
}

/*
 * mptcp_stream_accept() gives a plain TCP child the table of TCP, past the
 * one that it inherited from the listener: put ours on top again.
 */
static int hook_child(struct socket *newsock)
{
	struct attls_ops *ops = attls_ops_get(newsock->ops);

	if (!ops) {
		attls_stat_inc(ATTLS_STAT_UNHOOKABLE);
		tcp_abort(newsock->sk, ECONNRESET);
		module_put(THIS_MODULE);	/* the table is TCP's now */
		return -ECONNABORTED;
	}
	/* The reference that came with the listener's table is for this. */
	WRITE_ONCE(newsock->ops, &ops->hook);
	return 0;
}

static int accept_mptcp(struct socket *sock, struct socket *newsock,
			struct proto_accept_arg *arg,
			const struct proto_ops *base)
{
	const struct proto_ops *mine = newsock->ops;
	int err;

	err = base->accept(sock, newsock, arg);
	if (!err && newsock->ops != mine)
		err = hook_child(newsock);
	if (!err && newsock->sk->sk_protocol == IPPROTO_TCP)
		attls_map_accepted(newsock, NULL);
	return err;
}

/* do_accept() has copied the table of the listener to the new socket. */
static int hook_accept(struct socket *sock, struct socket *newsock,
		       struct proto_accept_arg *arg)
{
	const struct proto_ops *base = attls_map_base(newsock->ops);
	long timeo = sock_rcvtimeo(sock->sk, arg->flags & O_NONBLOCK);
	int err = 0;

	__module_get(THIS_MODULE);
	if (attls_permit_denied())
		err = wait_for_startup(sock->sk, &timeo);
	if (!err && sock->sk->sk_protocol == IPPROTO_TCP)
		err = accept_tcp(sock, newsock, arg, base, timeo);
	else if (!err)
		err = accept_mptcp(sock, newsock, arg, base);
	module_put(THIS_MODULE);
	return err;
}

static __poll_t hook_poll(struct file *file, struct socket *sock,
			  struct poll_table_struct *wait)
{
	__poll_t mask = attls_map_poll(file, sock, wait);

	if (look(sock->sk) & WAITING)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (attls_permit_denied() &&
	    READ_ONCE(sock->sk->sk_state) == TCP_LISTEN)
		mask &= ~(EPOLLIN | EPOLLRDNORM);
	return mask;
}

/*
 * What has been closed is gone when close() returns, so that a server can
 * have its port again.
 */
static int hook_release(struct socket *sock)
{
	const struct proto_ops *base = attls_map_base(sock->ops);
	bool there = sock->sk && look(sock->sk);
	int err;

	if (sock->sk)
		kfree(attls_wish_take(sock->sk));
	err = base->release(sock);
	if (there)
		flush_delayed_work(&accept_work);
	return err;
}

/* Goes on where attls_map_fill() has been. */
void attls_accept_fill(struct proto_ops *ops)
{
	ops->accept = hook_accept;
	ops->poll = hook_poll;
	ops->release = hook_release;
}

int attls_accept_init(void)
{
	accept_wq = alloc_workqueue("attls_accept", WQ_UNBOUND, 1);
	return accept_wq ? 0 : -ENOMEM;
}

void attls_accept_exit(void)
{
	cancel_delayed_work_sync(&accept_work);
	destroy_workqueue(accept_wq);
}
