// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rule set in force.  A set is validated, published with one RCU
 * assignment and never changed; connections that it mapped hold a reference
 * until they close, so a reload takes nothing away from them.
 */
#include "internal.h"
#include <linux/slab.h>
#include <net/ipv6.h>
#include <attls_filter.h>

static DEFINE_MUTEX(policy_lock);		/* writers */
static struct attls_policy __rcu *current_policy;

static void policy_free_rcu(struct rcu_head *rcu)
{
	struct attls_policy *policy;

	policy = container_of(rcu, struct attls_policy, rcu);
	kvfree(policy->filter);
	kvfree(policy->blob);
	kfree(policy);
}

/* Any context. */
void attls_policy_put(struct attls_policy *policy)
{
	if (policy && refcount_dec_and_test(&policy->ref))
		call_rcu(&policy->rcu, policy_free_rcu);
}

void attls_policy_hold(struct attls_policy *policy)
{
	refcount_inc(&policy->ref);
}

/* The policy in force with a reference for the caller, or NULL. */
struct attls_policy *attls_policy_get(void)
{
	struct attls_policy *policy;

	rcu_read_lock();
	do {
		policy = rcu_dereference(current_policy);
	} while (policy && !refcount_inc_not_zero(&policy->ref));
	rcu_read_unlock();
	return policy;
}

/* True when no connection can match: the hook may be taken off. */
bool attls_policy_empty(void)
{
	struct attls_policy *policy;
	bool empty;

	rcu_read_lock();
	policy = rcu_dereference(current_policy);
	empty = !policy || !policy->set.header->n_rules;
	rcu_read_unlock();
	return empty;
}

/* NULL: no memory.  May sleep. */
static struct attls_filter *filter_of(const struct attls_set *set)
{
	struct attls_filter *f = kvzalloc(sizeof(*f), GFP_KERNEL);
	u32 i;

	if (!f)
		return NULL;
	attls_filter_begin(f);
	for (i = 0; i < set->header->n_rules; i++) {
		attls_filter_add(f, set, &set->rules[i]);
		cond_resched();
	}
	return f;
}

/*
 * Puts the @len bytes at @blob (kvmalloc'ed) in force as @generation.  Takes
 * @blob over in every case.  May sleep.  Returns 0; -EINVAL with a text in
 * @wrong and the rule's index in @where; -ESTALE when @generation is not
 * newer than what is in force; -ENOMEM.
 */
int attls_policy_install(void *blob, u32 len, u32 generation,
			 const char **wrong, u32 *where)
{
	struct attls_policy *policy, *old;
	int err = -ENOMEM;

	policy = kzalloc(sizeof(*policy), GFP_KERNEL);
	if (!policy)
		goto err_free_blob;
	refcount_set(&policy->ref, 1);
	policy->generation = generation;
	policy->blob = blob;

	err = -EINVAL;
	*wrong = attls_set_parse(&policy->set, blob, len, where);
	if (*wrong)
		goto err_free_policy;
	err = -ENOMEM;
	policy->filter = filter_of(&policy->set);
	if (!policy->filter)
		goto err_free_policy;

	mutex_lock(&policy_lock);
	err = policy->set.by_path ? attls_paths_prepare() : 0;
	if (err)
		goto err_unlock;
	old = rcu_dereference_protected(current_policy,
					lockdep_is_held(&policy_lock));
	err = -ESTALE;
	if (old && old->generation >= generation)
		goto err_unlock;
	rcu_assign_pointer(current_policy, policy);
	mutex_unlock(&policy_lock);
	attls_policy_put(old);
	return 0;

err_unlock:
	mutex_unlock(&policy_lock);
err_free_policy:
	kvfree(policy->filter);
	kfree(policy);
err_free_blob:
	kvfree(blob);
	return err;
}

static void tuple_of(struct attls_tuple *tuple, const struct sock *sk,
		     const struct attls_identity *who, u8 direction)
{
	memset(tuple, 0, sizeof(*tuple));
	tuple->direction = direction;
	tuple->netns = sock_net(sk)->ns.inum;
	tuple->now = ktime_get_real_seconds();
	if (who) {
		tuple->uid = who->uid;
		tuple->gid = who->gid;
		strscpy_pad(tuple->job, who->comm);
	}
	attls_conn_tuple(sk, tuple);
}

/*
 * The index of the rule of @policy for @sk as @who uses it, or -1.  @paths:
 * of that process, if the set asks for them.  The caller keeps the addresses
 * of @sk from changing (lock_sock or the spinlock below it).
 */
int attls_policy_match(const struct attls_policy *policy,
		       const struct sock *sk,
		       const struct attls_identity *who,
		       const struct attls_paths *paths, u8 direction)
{
	struct attls_tuple tuple;

	tuple_of(&tuple, sk, who, direction);
	if (paths) {
		tuple.exe = paths->exe;
		tuple.cgroup = paths->cgroup;
	}
	return attls_set_match(&policy->set, &tuple);
}

/* @tuple is of the current process, and has its paths while we ask. */
static int match_current(const struct attls_policy *policy,
			 struct attls_tuple *tuple)
{
	struct attls_paths paths;
	int rule;

	if (!policy->set.by_path)
		return attls_set_match(&policy->set, tuple);
	preempt_disable();
	attls_paths_current(&paths);
	tuple->exe = paths.exe;
	tuple->cgroup = paths.cgroup;
	rule = attls_set_match(&policy->set, tuple);
	preempt_enable();
	return rule;
}

/*
 * The same by the policy in force, with a reference for the caller.  @any:
 * whatever process it is.
 */
static int find(struct attls_policy **policy, struct attls_tuple *tuple,
		bool any)
{
	struct attls_policy *now;
	int rule;

	rcu_read_lock();
	do {
		rule = -1;
		now = rcu_dereference(current_policy);
		if (now)
			rule = any ? attls_set_match_any(&now->set, tuple) :
				     match_current(now, tuple);
	} while (rule >= 0 && !refcount_inc_not_zero(&now->ref));
	rcu_read_unlock();
	*policy = rule < 0 ? NULL : now;
	return rule;
}

/* The first 16 bits of @sk's addresses, in the host's byte order. */
static void filter_addrs(const struct sock *sk, u32 *local, u32 *remote)
{
	__be32 here = inet_sk(sk)->inet_rcv_saddr;
	__be32 there = inet_sk(sk)->inet_daddr;

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		const struct in6_addr *l = &sk->sk_v6_rcv_saddr;
		const struct in6_addr *r = &sk->sk_v6_daddr;

		here = l->s6_addr32[ipv6_addr_v4mapped(l) ? 3 : 0];
		there = r->s6_addr32[ipv6_addr_v4mapped(r) ? 3 : 0];
	}
#endif
	*local = ntohl(here) >> 16;
	*remote = ntohl(there) >> 16;
}

/* False: no rule of the policy in force matches @sk, whoever uses it. */
static bool may_match(const struct sock *sk, u8 direction)
{
	const struct attls_policy *policy;
	u32 local, remote;
	bool may;

	filter_addrs(sk, &local, &remote);
	rcu_read_lock();
	policy = rcu_dereference(current_policy);
	may = policy &&
	      attls_filter_may(policy->filter, direction, local,
			       ntohs(inet_sk(sk)->inet_sport), remote,
			       ntohs(inet_sk(sk)->inet_dport));
	rcu_read_unlock();
	return may;
}

static noinline_for_stack int
find_in_force(struct attls_policy **policy, const struct sock *sk,
	      const struct attls_identity *who, u8 direction)
{
	struct attls_tuple tuple;

	tuple_of(&tuple, sk, who, direction);
	return find(policy, &tuple, !who);
}

/*
 * The same with the policy in force.  A match leaves it in *@policy with a
 * reference for the caller; without one nothing that is shared is written.
 * @who: the current process; NULL: whoever uses @sk, then the result may be
 * ATTLS_MATCH_PROCESS.
 */
int attls_policy_find(struct attls_policy **policy, const struct sock *sk,
		      const struct attls_identity *who, u8 direction)
{
	if (likely(!may_match(sk, direction))) {
		*policy = NULL;
		return -1;
	}
	return find_in_force(policy, sk, who, direction);
}

/*
 * Is the other end of @sk, a connection within this host, under a rule that
 * has TLS begin without the program that is there?
 */
bool attls_policy_serves_peer(const struct sock *sk)
{
	struct attls_policy *policy;
	struct attls_tuple here, there;
	bool serves;
	int rule;

	tuple_of(&here, sk, NULL, ATTLS_INBOUND);
	there = here;
	memcpy(there.local_addr, here.remote_addr, ATTLS_ADDR_LEN);
	memcpy(there.remote_addr, here.local_addr, ATTLS_ADDR_LEN);
	there.local_port = here.remote_port;
	there.remote_port = here.local_port;
	rule = find(&policy, &there, true);
	serves = attls_policy_protects(policy, rule);
	attls_policy_put(policy);
	return serves;
}

/* No socket is left that could look: drop the last set. */
void attls_policy_exit(void)
{
	struct attls_policy *old;

	mutex_lock(&policy_lock);
	old = rcu_replace_pointer(current_policy, NULL,
				  lockdep_is_held(&policy_lock));
	mutex_unlock(&policy_lock);
	attls_policy_put(old);
	attls_paths_exit();
}
