// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping: which rule is a socket under?  A connecting socket is looked at
 * when it connects, an accepted one at accept.  Where the answer depends on
 * the process, an accepted socket waits for its first use (poll, send,
 * receive, ioctl, shutdown, socket options that matter), by the program
 * that uses it.  No rule: the native table comes back for good, and the
 * socket has nothing of ours any more.
 *
 * The functions of the hook table also serve listeners and sockets that are
 * not connected: those go straight through.
 */
#include "internal.h"
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/inet_common.h>
#include <net/tcp.h>

static int hook_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);

bool attls_is_hook(const struct proto_ops *ops)
{
	return ops->sendmsg == hook_sendmsg;
}

/* The native table below the hook table @ops. */
const struct proto_ops *attls_map_base(const struct proto_ops *ops)
{
	return container_of(ops, struct attls_ops, hook)->base;
}

/* For sockets that fail before they have a conn; @name: of the rule. */
static void map_log(const struct sock *sk, const char *name, u32 reason,
		    const char *text)
{
	struct attls_tuple t;

	attls_conn_tuple(sk, &t);
	attls_stat_failure(reason);
	pr_info_ratelimited("EZD1286I TTLS Error CONNID: 00000000 LOCAL: %pI6c..%u REMOTE: %pI6c..%u JOBNAME: %s USERID: %u RULE: %s RC: %u Policy Mapping: %s\n",
			    t.local_addr, t.local_port, t.remote_addr,
			    t.remote_port, current->group_leader->comm,
			    from_kuid_munged(&init_user_ns, current_euid()),
			    name, reason, text);
}

static const char *rule_name(const struct attls_policy *policy, int rule)
{
	return attls_set_string(&policy->set, policy->set.rules[rule].name);
}

static bool is_clear(const struct attls_rule *rule)
{
	return !rule || !(rule->flags & (ATTLS_RULE_ENABLED | ATTLS_RULE_DENY));
}

static bool rule_is_clear(const struct attls_policy *policy, int rule)
{
	return rule < 0 || is_clear(&policy->set.rules[rule]);
}

/* The rule of @conn, which keeps its policy, or NULL. */
static const struct attls_rule *look_again(struct attls_conn *conn)
{
	const struct attls_rule *rule;
	int index;

	index = attls_policy_match(conn->policy, conn->sk, &conn->who,
				   conn->paths, conn->direction);
	rule = index < 0 ? attls_secondary_rule(conn) :
			   &conn->policy->set.rules[index];
	conn->secondary = index < 0 && rule;
	return rule;
}

/* A connection that is for nobody.  True: @conn has failed. */
static bool map_denied(struct attls_conn *conn)
{
	return conn->rule->flags & ATTLS_RULE_DENY &&
	       attls_conn_fail(conn, ATTLS_CONN_CONNECTING,
			       ATTLS_REASON_DENIED);
}

/*
 * What a rule cannot protect must not go on.  0: it can be protected.
 * lock_sock is held.
 */
static u32 map_obstacle(const struct sock *sk, const char **text)
{
	if (sk->sk_protocol == IPPROTO_MPTCP) {
		*text = "an MPTCP connection cannot carry kTLS (sysctl net.mptcp.enabled=0 makes it plain TCP)";
		return ATTLS_REASON_MPTCP;
	}
	if (sk->sk_user_data) {
		*text = "a BPF sockmap or a kernel user owns the socket";
		return ATTLS_REASON_SOCKMAP;
	}
	if (inet_csk(sk)->icsk_ulp_ops) {
		*text = "the socket already has a ULP";
		return ATTLS_REASON_ULP;
	}
	return 0;
}

/*
 * The conn for @rule, with what the application wishes, or NULL, logged: the
 * caller makes the socket FAILED without one.  lock_sock is held.
 */
struct attls_conn *attls_map_conn(struct socket *sock,
				  struct attls_policy *policy, int rule,
				  bool secondary,
				  const struct attls_identity *who,
				  u8 direction, gfp_t gfp)
{
	struct attls_wish *wish = attls_wish_take(sock->sk);
	struct attls_conn *conn = NULL;
	const char *text = "no memory";
	u32 reason;

	attls_attach_leave(sock->sk);
	reason = map_obstacle(sock->sk, &text);
	if (!reason)
		conn = attls_conn_create(sock, policy, rule, who, direction,
					 gfp);
	if (conn) {
		conn->secondary = secondary;
		conn->wish = wish;
		attls_secondary_add(conn);
	} else {
		kfree(wish);
		map_log(sock->sk, rule_name(policy, rule),
			reason ?: ATTLS_REASON_NO_MEMORY, text);
	}
	return conn;
}

/*
 * A connection that TCP has made is held from here on, and what its rule
 * asks for begins.  lock_sock is held.
 */
void attls_map_hold(struct socket *sock, struct attls_ops *ops,
		    struct attls_conn *conn)
{
	struct sock *sk = sock->sk;

	attls_conn_watch(conn);
	WRITE_ONCE(sock->ops, &ops->held);
	if (sk->sk_state == TCP_CLOSE) {	/* the peer was faster */
		attls_conn_fail(conn, ATTLS_CONN_CONNECTING,
				ATTLS_REASON_PEER_RESET);
		return;
	}
	if (map_denied(conn))
		return;
	if (sk->sk_state == TCP_SYN_RECV)
		return;		/* Fast Open child, not established yet */
	attls_conn_mute(sk);
	attls_conn_begin(conn);
}

/*
 * Puts an accepted socket under @rule.  lock_sock is held.  False: it is
 * FAILED without a conn and must be reset.
 */
static bool map_protect(struct socket *sock, struct attls_ops *ops,
			struct attls_policy *policy, int rule, bool secondary,
			const struct attls_identity *who)
{
	struct attls_conn *conn;

	conn = attls_map_conn(sock, policy, rule, secondary, who,
			      ATTLS_INBOUND, GFP_KERNEL);
	if (conn)
		attls_map_hold(sock, ops, conn);
	else
		WRITE_ONCE(sock->ops, &ops->held);
	return conn;
}

static int map_match(struct attls_policy **policy, const struct sock *sk,
		     const struct attls_identity *who, bool *secondary)
{
	int rule = attls_secondary_find(policy, sk, who, ATTLS_INBOUND,
					secondary);

	/* What is hooked and not accepted is an MPTCP connect. */
	if (rule == -1 && sk->sk_protocol == IPPROTO_MPTCP)
		rule = attls_secondary_find(policy, sk, who, ATTLS_OUTBOUND,
					    secondary);
	return rule;
}

/*
 * No rule: the socket has nothing of ours any more.  The caller is here with
 * a module reference that is not the socket's, or in the probe.
 */
static void map_native(struct socket *sock, const struct attls_ops *ops)
{
	attls_stat_inc(ATTLS_STAT_MAPPED_NONE);
	kfree(attls_wish_take(sock->sk));
	attls_attach_leave(sock->sk);
	WRITE_ONCE(sock->ops, ops->base);
	module_put(THIS_MODULE);
}

static void map_reset(struct sock *sk)
{
	if (sk->sk_prot->diag_destroy)
		sk->sk_prot->diag_destroy(sk, ECONNRESET);
}

/* Decides about an accepted socket, once, as the current process uses it. */
static void map_inbound(struct socket *sock)
{
	const struct proto_ops *mine = READ_ONCE(sock->ops);
	struct attls_ops *ops = container_of(mine, struct attls_ops, hook);
	struct attls_policy *policy = NULL;
	struct attls_identity who;
	struct sock *sk = sock->sk;
	bool ok = true, secondary;
	int rule;

	if (!attls_is_hook(mine))
		return;				/* another thread did it */
	attls_identity_current(&who);
	lock_sock(sk);
	if (sock->ops != mine)
		goto out;
	rule = map_match(&policy, sk, &who, &secondary);
	if (rule_is_clear(policy, rule))
		map_native(sock, ops);
	else
		ok = map_protect(sock, ops, policy, rule, secondary, &who);
out:
	release_sock(sk);
	if (!ok)
		map_reset(sk);
	attls_policy_put(policy);
}

/* A listener, or a socket that is not connected: nothing to decide yet. */
static bool passes_through(const struct socket *sock)
{
	if (sock->sk->sk_state == TCP_LISTEN)
		return true;
	return sock->state != SS_CONNECTED &&
	       sock->sk->sk_protocol != IPPROTO_MPTCP;
}

/*
 * The table to go on with.  The caller holds a module reference of its own:
 * the socket's may be gone when this returns.
 */
static const struct proto_ops *map_now(struct socket *sock,
				       const struct proto_ops *ops)
{
	if (passes_through(sock))
		return attls_map_base(ops);
	map_inbound(sock);
	return READ_ONCE(sock->ops);
}

/* The first use of @sock, if it has not been; the same for the caller. */
void attls_map_use(struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	if (attls_is_hook(ops))
		map_now(sock, ops);
}

/* The table to use for an operation that is worth a mapping. */
static const struct proto_ops *enter(struct socket *sock)
{
	const struct proto_ops *ops;

	__module_get(THIS_MODULE);
	ops = READ_ONCE(sock->ops);
	return attls_is_hook(ops) ? map_now(sock, ops) : ops;
}

#define leave() module_put(THIS_MODULE)

__poll_t attls_map_poll(struct file *file, struct socket *sock,
			struct poll_table_struct *wait)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);
	__poll_t mask;

	/* Servers poll their listeners all the time; this does not sleep. */
	if (attls_is_hook(ops) && passes_through(sock))
		return attls_map_base(ops)->poll(file, sock, wait);
	ops = enter(sock);
	mask = ops->poll(file, sock, wait);
	leave();
	return mask;
}

static int hook_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	const struct proto_ops *ops = enter(sock);
	int ret = ops->sendmsg(sock, msg, len);

	leave();
	return ret;
}

static int hook_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			int flags)
{
	const struct proto_ops *ops = enter(sock);
	int ret = ops->recvmsg(sock, msg, len, flags);

	leave();
	return ret;
}

static ssize_t hook_splice_read(struct socket *sock, loff_t *pos,
				struct pipe_inode_info *pipe, size_t len,
				unsigned int flags)
{
	const struct proto_ops *ops = enter(sock);
	ssize_t ret = ops->splice_read(sock, pos, pipe, len, flags);

	leave();
	return ret;
}

static int hook_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	const struct proto_ops *ops = enter(sock);
	int ret = ops->ioctl(sock, cmd, arg);

	leave();
	return ret;
}

static int hook_shutdown(struct socket *sock, int how)
{
	const struct proto_ops *ops = enter(sock);
	int ret = ops->shutdown(sock, how);

	leave();
	return ret;
}

static int hook_mmap(struct file *file, struct socket *sock,
		     struct vm_area_struct *vma)
{
	const struct proto_ops *ops = enter(sock);
	int ret = ops->mmap(file, sock, vma);

	leave();
	return ret;
}

static int hook_connect(struct socket *sock, struct sockaddr_unsized *addr,
			int addr_len, int flags)
{
	const struct proto_ops *ops = enter(sock);
	int ret = ops->connect(sock, addr, addr_len, flags);

	leave();
	return ret;
}

/* It has our table, attached before or not. */
static int attach_again(const struct socket *sock)
{
	return sock->sk->sk_state == TCP_LISTEN ? -EINVAL : 0;
}

static int hook_setsockopt(struct socket *sock, int level, int optname,
			   sockptr_t optval, unsigned int optlen)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);
	int ret;

	if (level == SOL_ATTLS)
		return attls_sockopt_set(sock, optname, optval, optlen);
	if (!attls_sockopt_denied(level, optname) && attls_is_hook(ops))
		return attls_map_base(ops)->setsockopt(sock, level, optname,
						       optval, optlen);
	/*
	 * kTLS would take our table for TCP's, for all sockets to come.  It
	 * refuses a socket that is not connected, but only after that.
	 */
	if (level == SOL_TCP && optname == TCP_ULP && attls_is_hook(ops) &&
	    passes_through(sock))
		return attls_attach_asks(level, optname, optval, optlen) ?
		       attach_again(sock) : -ENOTCONN;
	ops = enter(sock);
	ret = ops->setsockopt(sock, level, optname, optval, optlen);
	leave();
	return ret;
}

static int hook_getsockopt(struct socket *sock, int level, int optname,
			   char __user *optval, int __user *optlen)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);
	int ret;

	if (level == SOL_ATTLS)
		return attls_sockopt_get(sock, optname, optval, optlen);
	if (!attls_sockopt_denied(level, optname) && attls_is_hook(ops))
		return attls_map_base(ops)->getsockopt(sock, level, optname,
						       optval, optlen);
	ops = enter(sock);
	ret = ops->getsockopt(sock, level, optname, optval, optlen);
	leave();
	return ret;
}

static noinline_for_stack void
map_protect_accepted(struct socket *sock, struct attls_policy *policy,
		     int rule, bool secondary,
		     const struct attls_identity *who)
{
	struct attls_ops *ops = container_of(sock->ops, struct attls_ops, hook);
	struct attls_identity current_one;
	bool ok;

	if (!who) {
		attls_identity_current(&current_one);
		who = &current_one;
	}
	lock_sock(sock->sk);
	ok = map_protect(sock, ops, policy, rule, secondary, who);
	release_sock(sock->sk);
	if (!ok)
		map_reset(sock->sk);
}

/*
 * Decides about a socket as it is accepted, where any process gives the same
 * answer: inetd and its like hand the socket on.  Nobody else has it yet, so
 * its addresses stay, and a look needs no lock.  @who: accepts it, NULL for
 * the current process.  May sleep.
 */
void attls_map_accepted(struct socket *sock, const struct attls_identity *who)
{
	const struct proto_ops *mine = READ_ONCE(sock->ops);
	struct attls_policy *policy;
	bool secondary;
	int rule;

	if (!attls_is_hook(mine))
		return;
	rule = attls_secondary_find(&policy, sock->sk, NULL, ATTLS_INBOUND,
				    &secondary);
	if (rule == ATTLS_MATCH_PROCESS)
		return;
	if (rule_is_clear(policy, rule))
		map_native(sock, container_of(mine, struct attls_ops, hook));
	else
		map_protect_accepted(sock, policy, rule, secondary, who);
	attls_policy_put(policy);
}

/* Makes the copy @ops of a native table a hook table. */
void attls_map_fill(struct proto_ops *ops)
{
	ops->poll = attls_map_poll;
	ops->sendmsg = hook_sendmsg;
	ops->recvmsg = hook_recvmsg;
	if (ops->splice_read)
		ops->splice_read = hook_splice_read;
	ops->ioctl = hook_ioctl;
	ops->shutdown = hook_shutdown;
	if (ops->mmap)
		ops->mmap = hook_mmap;
	ops->connect = hook_connect;
	ops->setsockopt = hook_setsockopt;
	ops->getsockopt = hook_getsockopt;
}

/*
 * Fast Open would put application data into the SYN.  Under a rule the
 * connect becomes a plain one: TCP_FASTOPEN_CONNECT simply connects, and
 * MSG_FASTOPEN gets EINPROGRESS, as it does for want of a cookie; a zero
 * send timeout makes TCP give up before it queues the data, and is taken
 * back when the state changes.  lock_sock is held.
 */
bool attls_map_drop_fastopen(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	bool with_data = tp->fastopen_req;

	if (!with_data && !tp->fastopen_connect)
		return false;
	attls_stat_inc(ATTLS_STAT_FASTOPEN_HELD);
	tp->fastopen_connect = 0;
	kfree(tp->fastopen_req);
	tp->fastopen_req = NULL;
	return with_data;
}

/*
 * Nothing that the caller brings is sent on @sk, whose own data or, with
 * MPTCP, whose subflow's @ssk may wait for the SYN.  Both locks are held.
 */
static void map_silence(struct sock *sk, struct sock *ssk)
{
	attls_map_drop_fastopen(ssk);
	attls_conn_mute(sk);
}

/* The same for want of tables: it connects, and nothing is sent. */
static void map_unhookable(struct sock *sk, struct sock *ssk)
{
	attls_stat_inc(ATTLS_STAT_UNHOOKABLE);
	map_silence(sk, ssk);
}

/*
 * The connect of @sk, by @ssk, fails with @err, a negative errno, before the
 * SYN.  False: it connects, and nothing is sent.  Both locks are held.
 */
bool attls_map_refuse(struct sock *sk, struct sock *ssk, int err)
{
	attls_map_drop_fastopen(ssk);
	if (attls_permit_refuse(ssk, err))
		return true;
	map_unhookable(sk, ssk);
	return false;
}

static void hold_fastopen(struct attls_conn *conn)
{
	if (!attls_map_drop_fastopen(conn->sk))
		return;
	conn->sndtimeo = conn->sk->sk_sndtimeo;
	conn->sndtimeo_saved = true;
	WRITE_ONCE(conn->sk->sk_sndtimeo, 0);
}

/* False: no memory. */
static bool paths_again(struct attls_conn *conn)
{
	struct attls_paths *paths;

	if (!conn->policy->set.by_path)
		return true;
	paths = attls_paths_save();
	if (!paths)
		return false;
	kfree(conn->paths);
	conn->paths = paths;
	return true;
}

/*
 * A socket whose connect failed connects again, perhaps to somebody else.
 * It keeps the policy of its first connect.
 */
static void outbound_again(struct socket *sock, struct attls_conn *conn)
{
	bool port_known = inet_sk(sock->sk)->inet_num;
	const struct attls_rule *rule;

	attls_conn_mute(sock->sk);
	if (attls_conn_state(conn) != ATTLS_CONN_IDLE)
		return;		/* threads that fight over it: nobody wins */
	attls_handshake_forget(conn);
	attls_secondary_del(conn);
	attls_identity_current(&conn->who);
	if (!paths_again(conn)) {
		attls_conn_fail(conn, ATTLS_CONN_IDLE, ATTLS_REASON_NO_MEMORY);
		return;
	}
	rule = look_again(conn);
	if (!rule || (port_known && is_clear(rule))) {
		if (attls_wish_insists(conn->wish))
			attls_conn_fail(conn, ATTLS_CONN_IDLE,
					ATTLS_REASON_UNPROTECTED);
		else if (attls_conn_move(conn, ATTLS_CONN_IDLE, ATTLS_CONN_NONE))
			attls_conn_unmute(sock->sk);
		return;
	}
	WRITE_ONCE(conn->rule, rule);
	conn->port_known = port_known || conn->secondary;
	conn->aborted = false;
	conn->canceled = false;
	conn->begun = false;
	conn->agent_has = false;
	conn->reason = ATTLS_REASON_NONE;
	if (!attls_conn_move(conn, ATTLS_CONN_IDLE, ATTLS_CONN_CONNECTING))
		return;
	attls_secondary_add(conn);
	attls_conn_watch(conn);
	hold_fastopen(conn);
	attls_hold_connect(conn);
	map_denied(conn);
}

/* The rule for a socket that could be protected, or one that cannot. */
static void outbound_first(struct socket *sock, struct attls_ops *ops,
			   struct attls_policy *policy, int rule,
			   bool secondary, const struct attls_identity *who)
{
	struct sock *sk = sock->sk;
	struct attls_conn *conn;

	conn = attls_map_conn(sock, policy, rule, secondary, who,
			      ATTLS_OUTBOUND, GFP_ATOMIC);
	if (sock->ops->owner != THIS_MODULE)
		__module_get(THIS_MODULE);
	WRITE_ONCE(sock->ops, &ops->held);
	attls_conn_mute(sk);
	if (!conn) {
		map_silence(sk, sk);	/* the sender is past us */
		return;
	}
	/* A primary's rule is for all ports. */
	conn->port_known = secondary || inet_sk(sk)->inet_num;
	attls_conn_watch(conn);
	hold_fastopen(conn);
	attls_hold_connect(conn);
	map_denied(conn);
}

/* Who has named its peer is not to meet another in clear. */
static noinline_for_stack void outbound_refuse(struct sock *sk)
{
	map_log(sk, "", ATTLS_REASON_UNPROTECTED,
		"no rule, and the application has named its peer or session");
	attls_map_refuse(sk, sk, -ECONNRESET);
}

/* No rule can match: the socket is TCP's, also if it listened before. */
static void outbound_none(struct socket *sock)
{
	if (!attls_is_hook(sock->ops))
		attls_stat_inc(ATTLS_STAT_MAPPED_NONE);
	else if (attls_wish_is_firm(sock->sk))
		outbound_refuse(sock->sk);
	else
		map_native(sock, container_of(sock->ops, struct attls_ops,
					      hook));
}

/* True when a rule protects, or could once the local port is known. */
static bool outbound_may_match(const struct sock *sk,
			       const struct attls_policy *policy, int rule)
{
	if (rule < 0)
		return false;
	return !rule_is_clear(policy, rule) || !inet_sk(sk)->inet_num;
}

/*
 * @rule, not -1, is that for a connect whoever it is that connects; the rule
 * for the current process, and the process.
 */
static int outbound_rule(struct attls_policy **policy, const struct sock *sk,
			 int rule, bool *secondary, struct attls_identity *who)
{
	attls_identity_current(who);
	if (rule == ATTLS_MATCH_PROCESS)
		rule = attls_secondary_find(policy, sk, who, ATTLS_OUTBOUND,
					    secondary);
	return rule;
}

/* Our tables for @sock; NULL: no place for them, see attls_ops_get(). */
static struct attls_ops *outbound_ops(const struct socket *sock)
{
	if (attls_is_hook(sock->ops))
		return container_of(sock->ops, struct attls_ops, hook);
	return attls_ops_get(sock->ops);
}

/* Takes the reference of @policy over. */
static noinline_for_stack void
outbound_by_rule(struct socket *sock, struct attls_policy *policy, int rule,
		 bool secondary)
{
	struct attls_identity who;
	struct attls_ops *ops;

	rule = outbound_rule(&policy, sock->sk, rule, &secondary, &who);
	if (!outbound_may_match(sock->sk, policy, rule)) {
		outbound_none(sock);
	} else {
		ops = outbound_ops(sock);
		if (ops)
			outbound_first(sock, ops, policy, rule, secondary,
				       &who);
		else
			map_unhookable(sock->sk, sock->sk);
	}
	attls_policy_put(policy);
}

/*
 * A socket is on its way to SYN_SENT, seen by the probe: lock_sock is held,
 * nothing may sleep, the local port may not be chosen yet.  Most have no
 * rule, whoever connects: who that is, is looked at for the others alone.
 */
void attls_map_outbound(struct socket *sock)
{
	struct attls_policy *policy;
	bool secondary;
	int rule;

	if (attls_has_conn(sock)) {
		if (attls_conn_of(sock->sk))
			outbound_again(sock, attls_conn_of(sock->sk));
		return;				/* FAILED stays so */
	}
	rule = attls_secondary_find(&policy, sock->sk, NULL, ATTLS_OUTBOUND,
				    &secondary);
	if (rule == -1)
		outbound_none(sock);
	else
		outbound_by_rule(sock, policy, rule, secondary);
}

/*
 * An MPTCP socket connects, by its subflow @ssk: under a rule it fails, as
 * it cannot carry kTLS.  Both locks are held, nothing may sleep.
 */
void attls_map_subflow(struct socket *sock, struct sock *ssk)
{
	struct attls_ops *ops = container_of(sock->ops, struct attls_ops, hook);
	struct attls_policy *policy;
	struct attls_identity who;
	const char *text = "";
	bool secondary;
	u32 reason;
	int rule;

	rule = attls_secondary_find(&policy, ssk, NULL, ATTLS_OUTBOUND,
				    &secondary);
	if (rule == -1)
		return;
	rule = outbound_rule(&policy, ssk, rule, &secondary, &who);
	if (outbound_may_match(ssk, policy, rule)) {
		reason = map_obstacle(sock->sk, &text);
		map_log(ssk, rule_name(policy, rule), reason, text);
		WRITE_ONCE(sock->ops, &ops->held);
		map_silence(sock->sk, ssk);
		WRITE_ONCE(sock->sk->sk_err, ECONNRESET);
	}
	attls_policy_put(policy);
}

/*
 * The rule of a connect that began without a local port, now that there is
 * one.  False: none that protects.  Called below lock_sock, atomic.
 */
bool attls_map_final(struct attls_conn *conn)
{
	const struct attls_rule *rule;

	if (conn->port_known)
		return true;
	rule = look_again(conn);
	conn->port_known = true;
	if (is_clear(rule))
		return false;
	WRITE_ONCE(conn->rule, rule);
	map_denied(conn);
	return true;
}
