// SPDX-License-Identifier: GPL-2.0-only
/*
 * How sockets come to us, without a patch to the kernel: a probe on the
 * tracepoint inet_sock_set_state sees each socket begin to listen or to
 * connect, in the context of the caller, with the socket lock held.  There
 * sock->ops becomes one of our tables.  Sockets that listen already when
 * the module is loaded are looked up.
 *
 * A socket with our table holds a reference of this module, because
 * __sock_release() drops one of whatever owns sock->ops by then.
 */
#include "internal.h"
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/task_work.h>
#include <linux/tracepoint.h>
#include <net/inet_hashtables.h>
#include <net/mptcp.h>
#include <net/tcp.h>

/*
 * inet, inet6, mptcp over both, and kTLS's tables over the first two in
 * their software and device forms: more never exist at one time.  Not
 * allocated: a socket must not be left alone for want of memory.
 */
#define OPS_MAX 32
static struct attls_ops ops_tables[OPS_MAX];
static int ops_used;				/* read with acquire */
static DEFINE_SPINLOCK(ops_lock);		/* adding to ops_tables */

static struct tracepoint *state_tp;

static void ops_fill(struct attls_ops *ops, const struct proto_ops *base)
{
	ops->hook = *base;
	ops->held = *base;
	ops->secure = *base;
	ops->hook.owner = THIS_MODULE;
	ops->held.owner = THIS_MODULE;
	ops->secure.owner = THIS_MODULE;
	attls_map_fill(&ops->hook);
	attls_accept_fill(&ops->hook);
	attls_hold_fill(&ops->held);
	attls_io_fill(&ops->secure);
	ops->stoppable = ops->secure;
	attls_stoppable_fill(&ops->stoppable);
	ops->base = base;
}

static struct attls_ops *ops_find(const struct proto_ops *base, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (ops_tables[i].base == base)
			return &ops_tables[i];
	return NULL;
}

/*
 * Our tables for the native table @base, made at its first sight.  Does not
 * sleep.  NULL: more tables than exist; the caller must not let a socket
 * under a rule go on.
 */
struct attls_ops *attls_ops_get(const struct proto_ops *base)
{
	struct attls_ops *ops;

	ops = ops_find(base, smp_load_acquire(&ops_used));
	if (ops)
		return ops;
	spin_lock_bh(&ops_lock);
	ops = ops_find(base, ops_used);
	if (!ops && ops_used < OPS_MAX) {
		ops = &ops_tables[ops_used];
		ops_fill(ops, base);
		smp_store_release(&ops_used, ops_used + 1);
	}
	spin_unlock_bh(&ops_lock);
	return ops;
}

static bool hookable(const struct sock *sk)
{
	if (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP)
		return false;
	if (sk->sk_family != AF_INET && sk->sk_family != AF_INET6)
		return false;
	/* NFS, iSCSI, subflows: the kernel is no application. */
	return !sk->sk_kern_sock && sk->sk_socket;
}

static bool is_subflow(const struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP && sk_is_mptcp(sk);
}

static bool hooked(const struct socket *sock)
{
	return READ_ONCE(sock->ops)->owner == THIS_MODULE;
}

/* A table of ours that does not serve listeners: a connect that failed. */
static bool unhold_listener(struct socket *sock)
{
	struct attls_conn *conn = attls_conn_of(sock->sk);

	if (conn && !attls_conn_drop(sock, conn))
		return false;
	WRITE_ONCE(sock->ops, &attls_ops_get(attls_hold_base(sock))->hook);
	return true;
}

/* lock_sock is held; does not sleep.  Who listens, or NULL: not known. */
static void hook_listener(struct socket *sock, const struct attls_identity *who)
{
	struct attls_ops *ops;

	if (hooked(sock) &&
	    (attls_is_hook(sock->ops) || unhold_listener(sock))) {
		ops = container_of(sock->ops, struct attls_ops, hook);
		attls_accept_listen(sock->sk, ops, who);
		return;
	}
	ops = hooked(sock) ? NULL : attls_ops_get(sock->ops);
	if (!ops) {
		attls_stat_inc(ATTLS_STAT_UNHOOKABLE);
		pr_warn_ratelimited("a listener on port %u could not be hooked: its connections are not covered\n",
				    inet_sk(sock->sk)->inet_num);
		return;
	}
	__module_get(THIS_MODULE);
	WRITE_ONCE(sock->ops, &ops->hook);
	attls_stat_inc(ATTLS_STAT_LISTENERS);
	attls_accept_listen(sock->sk, ops, who);
}

/* Who connects @sk, by @ssk, may not yet: the start-up window is closed. */
static void refuse(struct sock *sk, struct sock *ssk)
{
	if (attls_map_refuse(sk, ssk, -EAGAIN))
		attls_permit_refused(ssk);
}

static void hook_connect(struct sock *sk)
{
	if (sk->sk_protocol == IPPROTO_MPTCP)
		/* Addresses come with its first subflow. */
		hook_listener(sk->sk_socket, NULL);
	else if (tcp_sk(sk)->repair)
		attls_stat_inc(ATTLS_STAT_REPAIR_SKIPPED);
	else if (attls_permit_denied())
		refuse(sk, sk);
	else
		attls_map_outbound(sk->sk_socket);
}

/* The first subflow of a connecting MPTCP socket, whose lock is held too. */
static void hook_subflow(struct sock *ssk)
{
	struct socket *sock = ssk->sk_socket;

	if (!sock || !sock->sk || sock->sk == ssk ||
	    sock->sk->sk_protocol != IPPROTO_MPTCP)
		return;
	if (sock->sk->sk_state == TCP_SYN_SENT && hookable(sock->sk) &&
	    attls_permit_denied())
		refuse(sock->sk, ssk);
	else if (attls_is_hook(READ_ONCE(sock->ops)))
		attls_map_subflow(sock, ssk);
}

static noinline_for_stack void hook_listen(struct sock *sk)
{
	struct attls_identity who;

	attls_identity_current(&who);
	hook_listener(sk->sk_socket, &who);
}

static noinline_for_stack void hook_begin(struct sock *sk, int to)
{
	if (!in_task())
		return;
	if (to == TCP_SYN_SENT && is_subflow(sk))
		hook_subflow(sk);
	else if (!hookable(sk))
		return;
	else if (to == TCP_LISTEN)
		hook_listen(sk);
	else
		hook_connect(sk);
}

#define STATES_OF_INTEREST \
	(TCPF_CLOSE | TCPF_SYN_RECV | TCPF_SYN_SENT | TCPF_LISTEN)

/*
 * Atomic on 6.12 (preemption off); the caller's context otherwise.  Each
 * connection of the machine is here a dozen times, and seldom for us.
 */
static void state_probe(void *data, const struct sock *csk, const int from,
			const int to)
{
	struct sock *sk = (struct sock *)csk;

	if (likely(!(BIT(from) & STATES_OF_INTEREST)))
		return;
	switch (from) {
	case TCP_CLOSE:
		if (to == TCP_LISTEN || to == TCP_SYN_SENT)
			hook_begin(sk, to);
		break;
	case TCP_SYN_RECV:
		if (to == TCP_ESTABLISHED)
			attls_accept_expect();
		break;
	case TCP_SYN_SENT:
		if (to == TCP_CLOSE && sk->sk_protocol == IPPROTO_TCP)
			attls_permit_settle(sk);
		break;
	case TCP_LISTEN:
		/* A child begins as a copy of its listener. */
		if (to == TCP_CLOSE)
			attls_accept_unlisten(sk);
		break;
	}
}

static void find_state_tp(struct tracepoint *tp, void *priv)
{
	if (!strcmp(tp->name, "inet_sock_set_state"))
		state_tp = tp;
}

typedef void (*listener_fn)(struct sock *sk);

static void again_work(struct callback_head *cb)
{
	kfree(cb);
	module_put(THIS_MODULE);
}

/* Has @task leave its system call, and begin it anew. */
static bool task_again(struct task_struct *task)
{
	struct callback_head *cb = kmalloc(sizeof(*cb), GFP_ATOMIC);

	if (!cb)
		return false;
	init_task_work(cb, again_work);
	__module_get(THIS_MODULE);
	if (!task_work_add(task, cb, TWA_SIGNAL))
		return true;
	kfree(cb);			/* it exits */
	module_put(THIS_MODULE);
	return true;
}

/*
 * Threads that wait in accept() took the table of before with them, for the
 * socket that they will return: have them look again.  False: no memory.
 */
static bool accept_again(struct sock *sk)
{
	struct wait_queue_head *wq = sk_sleep(sk);
	struct wait_queue_entry *entry;
	bool ok = true;

	spin_lock_bh(&wq->lock);
	list_for_each_entry(entry, &wq->head, entry)
		if (entry->func == autoremove_wake_function)
			ok &= task_again(entry->private);
	spin_unlock_bh(&wq->lock);
	return ok;
}

static void listener_hook(struct sock *sk)
{
	if (sk->sk_state != TCP_LISTEN || !hookable(sk))
		return;
	hook_listener(sk->sk_socket, NULL);
	if (!accept_again(sk))
		pr_warn("no memory: the next connection of a listener on port %u may not be covered\n",
			inet_sk(sk)->inet_num);
}

/* Gives a listener its native table back; see attls_hook_exit(). */
static void listener_unhook(struct sock *sk)
{
	struct socket *sock = sk->sk_socket;

	if (sk->sk_state != TCP_LISTEN || !hookable(sk) ||
	    !attls_is_hook(READ_ONCE(sock->ops)))
		return;
	WRITE_ONCE(sock->ops,
		   container_of(sock->ops, struct attls_ops, hook)->base);
	kfree(attls_wish_take(sk));
	if (!accept_again(sk))
		pr_notice("no memory: in use until a listener on port %u has had a connection\n",
			  inet_sk(sk)->inet_num);
	module_put(THIS_MODULE);
}

/*
 * A listener of @head that is (@want) or is not one of ours, with a ref; the
 * first @skip of them are passed over.
 */
static struct sock *bucket_find(struct inet_listen_hashbucket *head,
				bool want, int skip)
{
	struct hlist_nulls_node *node;
	struct sock *sk, *found = NULL;

	spin_lock_bh(&head->lock);
	sk_nulls_for_each(sk, node, &head->nulls_head) {
		/* In the table, so not orphaned: sk_socket stays. */
		if (!hookable(sk) || hooked(sk->sk_socket) != want)
			continue;
		if (skip-- > 0 || !refcount_inc_not_zero(&sk->sk_refcnt))
			continue;
		found = sk;
		break;
	}
	spin_unlock_bh(&head->lock);
	return found;
}

/*
 * Calls @fn, with lock_sock held, on each TCP listener of every network
 * namespace (they share one table) that is as @want says, until it is not.
 */
static void each_tcp_listener(listener_fn fn, bool want)
{
	struct inet_hashinfo *h = init_net.ipv4.tcp_death_row.hashinfo;
	struct sock *sk;
	unsigned int i;
	int skip;

	for (i = 0; i <= h->lhash2_mask; i++) {
		skip = 0;
		while ((sk = bucket_find(&h->lhash2[i], want, skip))) {
			lock_sock(sk);
			fn(sk);
			if (sk->sk_socket && hooked(sk->sk_socket) == want)
				skip++;	/* it would not: go on behind it */
			release_sock(sk);
			sock_put(sk);
		}
		cond_resched();
	}
}

struct fd_walk {
	struct file	*found;
	unsigned int	from;
	bool		want;
};

/* Under files->file_lock. */
static int fd_is_mptcp_listener(const void *priv, struct file *file,
				unsigned int fd)
{
	struct fd_walk *walk = (struct fd_walk *)priv;
	struct socket *sock = sock_from_file(file);

	if (!sock || !sock->sk || sock->sk->sk_protocol != IPPROTO_MPTCP ||
	    sock->sk->sk_state != TCP_LISTEN || hooked(sock) != walk->want)
		return 0;
	walk->found = get_file(file);
	walk->from = fd + 1;
	return 1;
}

static void task_mptcp_listeners(struct task_struct *task, listener_fn fn,
				 bool want)
{
	struct fd_walk walk = { .want = want };
	struct sock *sk;

	for (;;) {
		walk.found = NULL;
		task_lock(task);
		if (task->files)
			iterate_fd(task->files, walk.from,
				   fd_is_mptcp_listener, &walk);
		task_unlock(task);
		if (!walk.found)
			return;
		sk = sock_from_file(walk.found)->sk;
		lock_sock(sk);
		fn(sk);
		release_sock(sk);
		fput(walk.found);
	}
}

static struct task_struct *next_process(struct task_struct *prev)
{
	struct task_struct *task;

	rcu_read_lock();
	task = next_task(prev);
	while (task != &init_task && !refcount_inc_not_zero(&task->usage))
		task = next_task(task);
	rcu_read_unlock();
	if (prev != &init_task)
		put_task_struct(prev);
	return task;
}

/*
 * MPTCP listeners are in no table that we can reach (what is hashed is a
 * subflow of the kernel's own), so they are looked up where applications
 * keep them.
 */
static void each_mptcp_listener(listener_fn fn, bool want)
{
	struct task_struct *task = next_process(&init_task);

	while (task != &init_task) {
		task_mptcp_listeners(task, fn, want);
		task = next_process(task);
		cond_resched();
	}
}

/*
 * Who waits for a connection looks again: the start-up window is over.  A
 * listener of MPTCP is told by its subflow.
 */
void attls_hook_wake(void)
{
	struct inet_hashinfo *h = init_net.ipv4.tcp_death_row.hashinfo;
	struct hlist_nulls_node *node;
	struct sock *sk;
	unsigned int i;

	for (i = 0; i <= h->lhash2_mask; i++) {
		spin_lock_bh(&h->lhash2[i].lock);
		sk_nulls_for_each(sk, node, &h->lhash2[i].nulls_head)
			if (hookable(sk) || is_subflow(sk))
				READ_ONCE(sk->sk_data_ready)(sk);
		spin_unlock_bh(&h->lhash2[i].lock);
		cond_resched();
	}
	attls_accept_expect();
}

static int hook_on(void)
{
	int err;

	attls_permit_begin();
	err = tracepoint_probe_register(state_tp, state_probe, NULL);
	if (err)
		return err;
	each_tcp_listener(listener_hook, false);
	if (IS_ENABLED(CONFIG_MPTCP))
		each_mptcp_listener(listener_hook, false);
	return 0;
}

static void hook_off(void)
{
	attls_permit_end();
	tracepoint_probe_unregister(state_tp, state_probe, NULL);
	tracepoint_synchronize_unregister();
	attls_accept_unhook();
	each_tcp_listener(listener_unhook, true);
	if (IS_ENABLED(CONFIG_MPTCP))
		each_mptcp_listener(listener_unhook, true);
}

/*
 * Listeners keep the module in use for as long as they listen.  Writing 0
 * to /sys/module/attls/parameters/hook gives all of them back, so that the
 * module can be unloaded.  Refused while a policy has rules, or may still
 * come: connections that it protects would come up in clear.
 */
static bool hook_active;
static DEFINE_MUTEX(hook_lock);			/* hook_active */

static int hook_param_set(const char *val, const struct kernel_param *kp)
{
	bool want;
	int err = kstrtobool(val, &want);

	if (err)
		return err;
	guard(mutex)(&hook_lock);
	if (!state_tp || want == hook_active)
		return 0;
	if (!want && attls_permit_is_limited()) {
		pr_notice("hook: the start-up window is closed; write open to the parameter startup before\n");
		return -EBUSY;
	}
	if (!want && !attls_policy_empty()) {
		pr_notice("hook: install an empty policy before it is switched off\n");
		return -EBUSY;
	}
	if (want)
		err = hook_on();
	else
		hook_off();
	if (!err)
		hook_active = want;
	return err;
}

static const struct kernel_param_ops hook_param_ops = {
	.set = hook_param_set,
	.get = param_get_bool,
};
module_param_cb(hook, &hook_param_ops, &hook_active, 0600);
MODULE_PARM_DESC(hook, "hook sockets; 0 gives listeners back before rmmod");

int attls_hook_init(void)
{
	int err;

	guard(mutex)(&hook_lock);
	for_each_kernel_tracepoint(find_state_tp, NULL);
	if (!state_tp) {
		pr_err("this kernel has no tracepoint inet_sock_set_state\n");
		return -ENODEV;
	}
	err = hook_on();
	hook_active = !err;
	return err;
}

void attls_hook_exit(void)
{
	mutex_lock(&hook_lock);
	if (hook_active)
		hook_off();
	hook_active = false;
	state_tp = NULL;
	mutex_unlock(&hook_lock);

	/*
	 * No socket has a table of ours, but a task may have read one from
	 * sock->ops, or be at the end of one of our functions, where nothing
	 * sleeps any more: wait until each task has been elsewhere.
	 */
	synchronize_rcu_tasks();
}
