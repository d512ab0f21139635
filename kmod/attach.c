// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP_ULP "attls": an application gives a socket to us.  Before it connects,
 * so that it can say what it wishes; or on a connection that no rule has
 * seen: it is older than the module, or than the policy.
 *
 * The slot is kTLS's when there is TLS, and nobody's when there is no rule:
 * we give it up then.
 */
#include "internal.h"
#include <linux/module.h>
#include <linux/tcp.h>
#include <net/inet_hashtables.h>
#include <net/mptcp.h>
#include <net/tcp.h>

static int ulp_init(struct sock *sk);

static struct tcp_ulp_ops ulp = {
	.name	= ATTLS_ULP_NAME,
	.owner	= THIS_MODULE,
	.init	= ulp_init,
};
MODULE_ALIAS_TCP_ULP(ATTLS_ULP_NAME);

/* Is it the option that gives a socket to us? */
bool attls_attach_asks(int level, int optname, sockptr_t optval,
		       unsigned int optlen)
{
	char name[TCP_ULP_NAME_MAX] = {};

	return level == SOL_TCP && optname == TCP_ULP &&
	       !copy_from_sockptr(name, optval,
				  min_t(u32, optlen, sizeof(name) - 1)) &&
	       !strcmp(name, ATTLS_ULP_NAME);
}

static bool has_slot(const struct sock *sk)
{
	return inet_csk(sk)->icsk_ulp_ops == &ulp;
}

/* The slot is free, if it was ours.  lock_sock is held; does not sleep. */
void attls_attach_leave(struct sock *sk)
{
	if (!has_slot(sk))
		return;
	inet_csk(sk)->icsk_ulp_ops = NULL;
	if (sk->sk_socket)		/* no ULP: as it was */
		set_bit(SOCK_SUPPORT_ZC, &sk->sk_socket->flags);
	module_put(THIS_MODULE);
}

/*
 * The hook table for a socket that is not connected, if it has none of ours
 * yet.  lock_sock is held.
 */
int attls_attach_unconnected(struct socket *sock)
{
	struct attls_ops *ops;

	if (READ_ONCE(sock->ops)->owner == THIS_MODULE)
		return 0;
	ops = attls_ops_get(sock->ops);
	if (!ops)
		return -ENOBUFS;
	__module_get(THIS_MODULE);
	WRITE_ONCE(sock->ops, &ops->hook);
	return 0;
}

/*
 * Is another thread in one of TCP's functions?  It would go on with what is
 * TLS now.  Who is on the way in finds a socket that is mute, and reads what
 * the handshake then misses.
 */
static bool is_busy(struct sock *sk)
{
	struct wait_queue_head *wq = sk_sleep(sk);
	struct wait_queue_entry *entry;
	bool busy = sk->sk_write_pending || waitqueue_active(&sk->sk_lock.wq);

	spin_lock_bh(&wq->lock);
	list_for_each_entry(entry, &wq->head, entry)
		busy |= entry->func == woken_wake_function;
	spin_unlock_bh(&wq->lock);
	return busy;
}

/*
 * Who began?  What connects has the port for itself: by bind(), or from a
 * bucket of ports that are chosen so; what was accepted shares that of its
 * listener.
 */
static u8 direction_of(const struct sock *sk)
{
	const struct inet_bind_bucket *tb = inet_csk(sk)->icsk_bind_hash;

	return sk->sk_userlocks & SOCK_BINDPORT_LOCK || !tb ||
	       tb->fastreuse < 0 ? ATTLS_OUTBOUND : ATTLS_INBOUND;
}

/* Takes the reference of @policy over. */
static int protect(struct socket *sock, struct attls_policy *policy, int rule,
		   bool secondary, const struct attls_identity *who,
		   u8 direction)
{
	struct attls_ops *ops = attls_ops_get(sock->ops);
	struct attls_conn *conn = NULL;

	if (ops)
		conn = attls_map_conn(sock, policy, rule, secondary, who,
				      direction, GFP_KERNEL);
	if (conn) {
		__module_get(THIS_MODULE);
		attls_map_hold(sock, ops, conn);
		attls_conn_wake(conn);
	}
	attls_policy_put(policy);
	return conn ? 0 : -ENOMEM;
}

static int attach_connected(struct socket *sock)
{
	struct sock *sk = sock->sk;
	u8 direction = direction_of(sk);
	struct attls_policy *policy;
	struct attls_identity who;
	bool secondary;
	int rule;

	if (sk->sk_state != TCP_ESTABLISHED)
		return -ENOTCONN;
	if (is_busy(sk))
		return -EBUSY;
	attls_identity_current(&who);
	rule = attls_secondary_find(&policy, sk, &who, direction, &secondary);
	if (rule >= 0 && policy->set.rules[rule].flags & ATTLS_RULE_ENABLED)
		return protect(sock, policy, rule, secondary, &who, direction);
	attls_policy_put(policy);
	return -EOPNOTSUPP;
}

/* lock_sock is held.  A table of ours has not let the call through. */
static int ulp_init(struct sock *sk)
{
	struct socket *sock = sk->sk_socket;

	if (!in_task() || !sock || sock->sk != sk || sk->sk_kern_sock ||
	    sk->sk_protocol != IPPROTO_TCP || sk_is_mptcp(sk) ||
	    sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	if (sock->state == SS_CONNECTED)
		return attach_connected(sock);
	if (sk->sk_state != TCP_CLOSE)
		return -EINVAL;
	return attls_attach_unconnected(sock);
}

int attls_attach_init(void)
{
	return tcp_register_ulp(&ulp);
}

/* No socket has the slot: each would keep the module. */
void attls_attach_exit(void)
{
	tcp_unregister_ulp(&ulp);
}
