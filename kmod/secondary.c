// SPDX-License-Identifier: GPL-2.0-only
/*
 * The secondary map.  A connection under a rule with SecondaryMap On is a
 * primary; other connections of the same process between the same two
 * addresses, whatever their ports, are under the primary's rule, unless
 * they have one of at least its priority.  So the data connections of FTP
 * are protected as the session that asked for them.
 *
 * Primaries are looked for without a lock; they go when their socket does.
 */
#include "internal.h"
#include <linux/hashtable.h>
#include <linux/jhash.h>

static DEFINE_HASHTABLE(primaries, 8);
static DEFINE_SPINLOCK(primaries_lock);		/* writers */
static atomic_t n_primaries;

static u32 hash(const struct attls_tuple *t)
{
	return jhash(t->local_addr, ATTLS_ADDR_LEN,
		     jhash(t->remote_addr, ATTLS_ADDR_LEN, t->netns));
}

static void addresses(const struct sock *sk, struct attls_tuple *t)
{
	memset(t, 0, sizeof(*t));
	t->netns = sock_net(sk)->ns.inum;
	attls_conn_tuple(sk, t);
}

/* @conn has been mapped: is it a primary?  Any context. */
void attls_secondary_add(struct attls_conn *conn)
{
	struct attls_tuple t;

	if (!(READ_ONCE(conn->rule)->flags & ATTLS_RULE_SECONDARY) ||
	    conn->secondary)
		return;
	addresses(conn->sk, &t);
	spin_lock_bh(&primaries_lock);
	if (hlist_unhashed(&conn->primary)) {
		hash_add_rcu(primaries, &conn->primary, hash(&t));
		atomic_inc(&n_primaries);
	}
	spin_unlock_bh(&primaries_lock);
}

/* @conn goes away, or connects to somebody else.  Any context. */
void attls_secondary_del(struct attls_conn *conn)
{
	if (hlist_unhashed_lockless(&conn->primary))
		return;
	spin_lock_bh(&primaries_lock);
	if (!hlist_unhashed(&conn->primary)) {
		hlist_del_init_rcu(&conn->primary);
		atomic_dec(&n_primaries);
	}
	spin_unlock_bh(&primaries_lock);
}

/* One that was reset counts: its program may not know yet. */
static bool is_connected(const struct attls_conn *conn)
{
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_IDLE:
	case ATTLS_CONN_NONE:
	case ATTLS_CONN_CLOSED:
		return false;
	}
	return true;
}

static bool is_primary_for(const struct attls_conn *conn,
			   const struct attls_tuple *t,
			   const struct attls_identity *who)
{
	struct attls_tuple has;

	if (!is_connected(conn) ||
	    (who && READ_ONCE(conn->who.pid) != who->pid) ||
	    !(READ_ONCE(conn->rule)->flags & ATTLS_RULE_SECONDARY))
		return false;
	addresses(conn->sk, &has);
	return has.netns == t->netns &&
	       !memcmp(has.local_addr, t->local_addr, ATTLS_ADDR_LEN) &&
	       !memcmp(has.remote_addr, t->remote_addr, ATTLS_ADDR_LEN);
}

/* The primary of the highest priority, below rcu_read_lock(), or NULL. */
static const struct attls_conn *find(const struct attls_tuple *t,
				     const struct attls_identity *who)
{
	const struct attls_conn *conn, *best = NULL;

	hash_for_each_possible_rcu(primaries, conn, primary, hash(t))
		if (is_primary_for(conn, t, who) &&
		    (!best || READ_ONCE(conn->rule)->priority >
			      READ_ONCE(best->rule)->priority))
			best = conn;
	return best;
}

/*
 * @conn has a local port now, and no rule of its own: the rule of a primary
 * of the same rule set, or NULL.
 */
const struct attls_rule *attls_secondary_rule(const struct attls_conn *conn)
{
	const struct attls_rule *rule = NULL;
	const struct attls_conn *primary;
	struct attls_tuple t;

	if (likely(!atomic_read(&n_primaries)))
		return NULL;
	addresses(conn->sk, &t);
	rcu_read_lock();
	primary = find(&t, &conn->who);
	if (primary && primary->policy == conn->policy)
		rule = READ_ONCE(primary->rule);
	rcu_read_unlock();
	return rule;
}

/* @rule, that of @sk itself, or that of a primary which comes before it. */
static noinline_for_stack int
find_primary(struct attls_policy **policy, const struct sock *sk,
	     const struct attls_identity *who, int rule, bool *secondary)
{
	const struct attls_conn *primary;
	const struct attls_rule *theirs;
	struct attls_policy *old = *policy;
	struct attls_tuple t;

	addresses(sk, &t);
	rcu_read_lock();
	primary = find(&t, who);
	theirs = primary ? READ_ONCE(primary->rule) : NULL;
	if (theirs && rule >= 0 &&
	    old->set.rules[rule].priority >= theirs->priority)
		theirs = NULL;
	if (theirs && !who) {
		*policy = NULL;
		rule = ATTLS_MATCH_PROCESS;
	} else if (theirs && refcount_inc_not_zero(&primary->policy->ref)) {
		*policy = primary->policy;
		rule = theirs - primary->policy->set.rules;
		*secondary = true;
	}
	rcu_read_unlock();
	if (*policy != old)
		attls_policy_put(old);
	return rule;
}

/*
 * As attls_policy_find(), which goes first; @secondary: the rule is that of
 * a primary.
 */
int attls_secondary_find(struct attls_policy **policy, const struct sock *sk,
			 const struct attls_identity *who, u8 direction,
			 bool *secondary)
{
	int rule = attls_policy_find(policy, sk, who, direction);

	*secondary = false;
	if (likely(!atomic_read(&n_primaries)) || rule == ATTLS_MATCH_PROCESS)
		return rule;
	return find_primary(policy, sk, who, rule, secondary);
}
