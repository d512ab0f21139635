// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may open connections while the start-up window is closed (window.c),
 * and how a connect() is refused.
 *
 * A connect comes to us when TCP has begun with it, and cannot be told to
 * stop.  But before TCP makes the SYN it has the socket's address family look
 * at the route once more (icsk_af_ops): to who is refused there is none.  So
 * TCP itself takes the connect back, and the socket may connect again.
 *
 * TCP's errno for that is EHOSTUNREACH.  Of a connect()'s, the one that is
 * meant is made on its way back to user space.  While the window is closed
 * that is EAGAIN, which to a send with MSG_FASTOPEN and to io_uring would mean
 * to poll and to try again at once, and so for ever.
 */
#include "internal.h"
#include <asm/syscall.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <net/inet_connection_sock.h>

#define PERMITTED_MAX	64

static unsigned int uids[PERMITTED_MAX], n_uids;
module_param_array_named(startup_uids, uids, uint, &n_uids, 0444);
MODULE_PARM_DESC(startup_uids, "users for whom startup=closed is open");

static unsigned int gids[PERMITTED_MAX], n_gids;
module_param_array_named(startup_gids, gids, uint, &n_gids, 0444);
MODULE_PARM_DESC(startup_gids, "groups for whom startup=closed is open");

DEFINE_STATIC_KEY_FALSE(attls_permit_few);

static int refused_route(struct sock *sk);

/* Native operations of an address family, but for the route. */
struct refusal {
	const struct inet_connection_sock_af_ops *base;	/* NULL: free */
	struct inet_connection_sock_af_ops	ops;
};

/* IPv4, IPv6, IPv4 by IPv6, and those of MPTCP over them. */
static struct refusal refusals[6];
static DEFINE_SPINLOCK(refusals_lock);		/* adding to refusals */
static atomic_t refusing;		/* sockets with such ops, and works */

/* By effective ids, as in rules, and by all the groups that it is in. */
bool attls_permit_current(void)
{
	unsigned int i;

	for (i = 0; i < n_uids; i++)
		if (uid_eq(make_kuid(&init_user_ns, uids[i]), current_euid()))
			return true;
	for (i = 0; i < n_gids; i++)
		if (in_egroup_p(make_kgid(&init_user_ns, gids[i])))
			return true;
	return false;
}

/* NULL: more address families than there are. */
static struct refusal *
refusal_of(const struct inet_connection_sock_af_ops *base)
{
	struct refusal *r = refusals;

	lockdep_assert_held(&refusals_lock);
	while (r->base && r->base != base)
		if (++r == refusals + ARRAY_SIZE(refusals))
			return NULL;
	if (!r->base) {
		r->ops = *base;
		r->ops.rebuild_header = refused_route;
		r->base = base;
	}
	return r;
}

static void refused(void)
{
	if (atomic_dec_and_test(&refusing))
		wake_up_var(&refusing);
}

/*
 * @sk leaves SYN_SENT, or is about to, as TCP takes its connect back: it has
 * its own operations again, if it had those of a refusal.  lock_sock is held.
 */
void attls_permit_settle(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	const struct refusal *r;

	if (!atomic_read(&refusing) ||
	    icsk->icsk_af_ops->rebuild_header != refused_route)
		return;
	r = container_of(icsk->icsk_af_ops, struct refusal, ops);
	WRITE_ONCE(icsk->icsk_af_ops, r->base);
	refused();
}

static int refused_route(struct sock *sk)
{
	attls_permit_settle(sk);
	return -EAGAIN;
}

/* What the call is to say, for TCP says that there is no route. */
struct answer {
	struct callback_head	work;
	int			err;
};

/* In the task of the call, when it is over. */
static void refused_work(struct callback_head *cb)
{
	struct answer *answer = container_of(cb, struct answer, work);
	struct pt_regs *regs = current_pt_regs();

	if (syscall_get_error(current, regs) == -EHOSTUNREACH)
		syscall_set_return_value(current, regs, answer->err, 0);
	kfree(answer);
	refused();
}

/* Without memory TCP's errno has to do. */
static void say(int err)
{
	struct answer *answer;

	if (!attls_in_syscall() ||
	    !attls_nr_is_connect(syscall_get_nr(current, current_pt_regs())))
		return;
	answer = kmalloc(sizeof(*answer), GFP_ATOMIC);
	if (!answer)
		return;
	answer->err = err;
	init_task_work(&answer->work, refused_work);
	atomic_inc(&refusing);
	if (task_work_add(current, &answer->work, TWA_RESUME)) {
		kfree(answer);		/* it exits */
		refused();
	}
}

/* The start-up window refused the connect of @sk: counts and logs it. */
void attls_permit_refused(const struct sock *sk)
{
	struct attls_identity who;
	struct attls_tuple t;

	attls_stat_inc(ATTLS_STAT_STARTUP_REFUSED);
	attls_identity_current(&who);
	attls_conn_tuple(sk, &t);
	pr_info_ratelimited("start-up window closed: connect refused REMOTE: %pI6c..%u JOBNAME: %s USERID: %u; see startup_uids and startup_gids\n",
			    t.remote_addr, t.remote_port, who.comm, who.uid);
}

/*
 * Has the connect of @sk, on its way to SYN_SENT, end before the SYN, with
 * @err.  Seen by the probe: lock_sock is held, nothing may sleep.  Fast Open
 * must have been dropped, for its sender does not end so.  False: it cannot
 * be done.
 */
bool attls_permit_refuse(struct sock *sk, int err)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct refusal *r;

	spin_lock_bh(&refusals_lock);
	r = refusal_of(icsk->icsk_af_ops);
	spin_unlock_bh(&refusals_lock);
	if (!r || !atomic_inc_unless_negative(&refusing))
		return false;
	WRITE_ONCE(icsk->icsk_af_ops, &r->ops);
	say(err);
	return true;
}

/*
 * Everybody may: nobody is refused any more when this returns.  The probe is
 * still there, to see the last ones settle.  May sleep.
 */
void attls_permit_drain(void)
{
	static_branch_disable(&attls_permit_few);
	wait_var_event(&refusing, !atomic_read(&refusing));
}

/* Before the probe is there: connects can be refused. */
void attls_permit_begin(void)
{
	atomic_set(&refusing, 0);
}

/*
 * Before the probe goes, which sees refused ones settle: nobody is refused
 * any more when this returns.  May sleep.
 */
void attls_permit_end(void)
{
	do {
		attls_permit_drain();
	} while (atomic_cmpxchg(&refusing, 0, INT_MIN) != 0);
}
