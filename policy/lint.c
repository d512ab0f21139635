// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is right and hardly meant: rules that are never reached, rules whose
 * order nobody chose, addresses of one family where both come in.
 */
#include "attls_match.h"
#include "tree.h"

#include <string.h>

/* Each rule with each before it, up to so many. */
#define COMPARE_MAX	10000000UL

static bool addrs_cover(const struct attls_addr_range *a,
			const struct attls_addr_range *b)
{
	return memcmp(b->lo, a->lo, sizeof(a->lo)) >= 0 &&
	       memcmp(b->hi, a->hi, sizeof(a->hi)) <= 0;
}

static bool addrs_meet(const struct attls_addr_range *a,
		       const struct attls_addr_range *b)
{
	return memcmp(b->lo, a->hi, sizeof(a->lo)) <= 0 &&
	       memcmp(b->hi, a->lo, sizeof(a->hi)) >= 0;
}

/*
 * Of two slices of a table: is each of @b's ranges in one of @a's, or does
 * one meet one?  A slice of nothing has everything in it.
 */
#define SLICES(name, type, table, cover, meet)				\
static bool name##_cover(const struct attls_set *set,			\
			 const struct attls_slice *a,			\
			 const struct attls_slice *b)			\
{									\
	const type *x = set->table + a->first, *y = set->table + b->first; \
	__u32 i, j;							\
									\
	for (j = 0; a->count && j < b->count; j++) {			\
		for (i = 0; i < a->count; i++)				\
			if (cover)					\
				break;					\
		if (i == a->count)					\
			return false;					\
	}								\
	return !a->count || b->count;					\
}									\
									\
static bool name##_meet(const struct attls_set *set,			\
			const struct attls_slice *a,			\
			const struct attls_slice *b)			\
{									\
	const type *x = set->table + a->first, *y = set->table + b->first; \
	__u32 i, j;							\
									\
	for (j = 0; j < b->count; j++)					\
		for (i = 0; i < a->count; i++)				\
			if (meet)					\
				return true;				\
	return !a->count || !b->count;					\
}

SLICES(addr_slices, struct attls_addr_range, addrs,
       addrs_cover(&x[i], &y[j]), addrs_meet(&x[i], &y[j]))
SLICES(port_slices, struct attls_port_range, ports,
       x[i].lo <= y[j].lo && x[i].hi >= y[j].hi,
       x[i].lo <= y[j].hi && x[i].hi >= y[j].lo)
SLICES(id_slices, struct attls_id_range, ids,
       x[i].lo <= y[j].lo && x[i].hi >= y[j].hi,
       x[i].lo <= y[j].hi && x[i].hi >= y[j].lo)

static bool is_prefix(const struct attls_rule *r)
{
	return r->flags & ATTLS_RULE_JOB_PREFIX;
}

static bool job_covers(const struct attls_rule *a, const struct attls_rule *b)
{
	if (!a->job_len)
		return true;
	if (b->job_len < a->job_len || memcmp(a->job, b->job, a->job_len))
		return false;
	return is_prefix(a) || (a->job_len == b->job_len && !is_prefix(b));
}

static bool jobs_meet(const struct attls_rule *a, const struct attls_rule *b)
{
	return job_covers(a, b) || job_covers(b, a);
}

/* Paths are compared as they are written, times by where they come from. */
static bool same_paths(const struct attls_set *set, const struct attls_slice *a,
		       const struct attls_slice *b)
{
	__u32 i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++)
		if (strcmp(set->strings + set->refs[a->first + i],
			   set->strings + set->refs[b->first + i]))
			return false;
	return true;
}

static bool who_covers(const struct attls_set *set, const struct attls_rule *a,
		       const struct attls_rule *b)
{
	return id_slices_cover(set, &a->uids, &b->uids) &&
	       id_slices_cover(set, &a->gids, &b->gids) && job_covers(a, b) &&
	       (!a->exes.count || same_paths(set, &a->exes, &b->exes)) &&
	       (!a->cgroups.count ||
		same_paths(set, &a->cgroups, &b->cgroups));
}

static bool whos_meet(const struct attls_set *set, const struct attls_rule *a,
		      const struct attls_rule *b)
{
	return id_slices_meet(set, &a->uids, &b->uids) &&
	       id_slices_meet(set, &a->gids, &b->gids) && jobs_meet(a, b) &&
	       same_paths(set, &a->exes, &b->exes) &&
	       same_paths(set, &a->cgroups, &b->cgroups);
}

static bool covers(const struct attls_set *set, const struct attls_rule *a,
		   const struct attls_rule *b)
{
	return (a->direction & b->direction) == b->direction &&
	       port_slices_cover(set, &a->local_ports, &b->local_ports) &&
	       port_slices_cover(set, &a->remote_ports, &b->remote_ports) &&
	       addr_slices_cover(set, &a->local_addrs, &b->local_addrs) &&
	       addr_slices_cover(set, &a->remote_addrs, &b->remote_addrs) &&
	       id_slices_cover(set, &a->netns, &b->netns) &&
	       (!a->times.count || (a->times.first == b->times.first &&
				    b->times.count)) &&
	       who_covers(set, a, b);
}

static bool meet(const struct attls_set *set, const struct attls_rule *a,
		 const struct attls_rule *b)
{
	return a->direction & b->direction &&
	       port_slices_meet(set, &a->local_ports, &b->local_ports) &&
	       port_slices_meet(set, &a->remote_ports, &b->remote_ports) &&
	       addr_slices_meet(set, &a->local_addrs, &b->local_addrs) &&
	       addr_slices_meet(set, &a->remote_addrs, &b->remote_addrs) &&
	       id_slices_meet(set, &a->netns, &b->netns) &&
	       a->times.first == b->times.first && whos_meet(set, a, b);
}

static bool same_actions(const struct attls_rule *a, const struct attls_rule *b)
{
	return a->group == b->group && a->environment == b->environment &&
	       a->connection == b->connection;
}

struct linter {
	const struct policy *policy;
	struct policy_diags *diags;
	struct attls_set set;
};

static const char *name_of(const struct linter *l, __u32 rule)
{
	return l->policy->rules[rule]->name;
}

static void warn(const struct linter *l, __u32 rule, const char *hint,
		 const char *text, const char *other)
{
	const struct object *o = l->policy->rules[rule];
	const struct policy_place at = { o->file, o->line, o->column };

	policy_diags_add(l->diags, POLICY_WARNING, &at, hint, text, o->name,
			 other);
}

/* Rule @j with @i, which goes before it.  False: enough was said of @j. */
static bool compare(const struct linter *l, __u32 i, __u32 j)
{
	const struct attls_rule *a = &l->set.rules[i];
	const struct attls_rule *b = &l->set.rules[j];

	if (covers(&l->set, a, b)) {
		warn(l, j, "give it a higher Priority, or delete it",
		     "TTLSRule \"%s\" is never reached: all its connections "
		     "are TTLSRule \"%s\"'s, which goes before it",
		     name_of(l, i));
		return false;
	}
	if (a->priority != b->priority || same_actions(a, b) ||
	    !meet(&l->set, a, b))
		return true;
	warn(l, j, "give each a Priority of its own",
	     "TTLSRule \"%s\" has connections in common with TTLSRule \"%s\", "
	     "which goes before it by nothing but its name", name_of(l, i));
	return false;
}

static void compare_all(const struct linter *l)
{
	const struct policy_place at = { .file = l->policy->file };
	unsigned long compared = 0;
	__u32 i, j;

	for (j = 1; j < l->policy->n_rules; j++) {
		compared += j;
		if (compared > COMPARE_MAX) {
			policy_diags_add(l->diags, POLICY_WARNING, &at, NULL,
					 "so many rules that only the first "
					 "%u were compared with each other", j);
			return;
		}
		for (i = 0; i < j; i++)
			if (!compare(l, i, j))
				break;
	}
}

static bool is_all_of_ipv4(const struct attls_set *set,
			   const struct attls_slice *s)
{
	static const __u8 lo[ATTLS_ADDR_LEN] = { [10] = 0xff, [11] = 0xff };
	static const __u8 hi[ATTLS_ADDR_LEN] = {
		[10] = 0xff, [11] = 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct attls_addr_range *r = set->addrs + s->first;

	return s->count == 1 && !memcmp(r->lo, lo, sizeof(lo)) &&
	       !memcmp(r->hi, hi, sizeof(hi));
}

/* A range that begins with 1970 and ends there. */
static void check_times(const struct linter *l)
{
	const struct attls_slice *s;
	__u32 i;

	for (i = 0; i < l->policy->n_rules; i++) {
		s = &l->set.rules[i].times;
		if (s->count && !l->set.times[s->first].to)
			warn(l, i, NULL, "TTLSRule \"%s\" is never active for "
			     "more than a year%s", "");
	}
}

#define SSH_PORT	22

/* Who loads it from afar would be the first to find out. */
static void check_denial(const struct linter *l)
{
	const struct value *v = policy_object_value(&l->policy->settings,
						    P_DEFAULT_ACTION);
	const struct attls_rule *r;
	__u32 i;

	if (!v || !v->number)
		return;
	for (i = 0; i < l->policy->n_rules; i++) {
		r = &l->set.rules[i];
		if (r->direction & ATTLS_INBOUND &&
		    attls_match_ports(&l->set, &r->local_ports, SSH_PORT))
			return;
	}
	policy_diags_add(l->diags, POLICY_WARNING, &(struct policy_place) {
			 v->file, v->line, v->column },
			 "add a rule with TTLSEnabled Off for it",
			 "DefaultAction Deny, and no rule lets ssh in, which "
			 "is port %d", SSH_PORT);
}

static void check_families(const struct linter *l)
{
	const struct attls_rule *r;
	__u32 i;

	for (i = 0; i < l->policy->n_rules; i++) {
		r = &l->set.rules[i];
		if (r->flags & ATTLS_RULE_ENABLED &&
		    (is_all_of_ipv4(&l->set, &r->local_addrs) ||
		     is_all_of_ipv4(&l->set, &r->remote_addrs)))
			warn(l, i, "write All for both",
			     "TTLSRule \"%s\" has all of IPv4: the same over "
			     "IPv6 stays clear%s", "");
	}
}

void policy_lint(const struct policy *policy, const void *blob, size_t len,
		 struct policy_diags *diags)
{
	struct linter l = { .policy = policy, .diags = diags };
	__u32 where;

	if (attls_set_parse(&l.set, blob, (__u32)len, &where))
		return;
	check_families(&l);
	check_times(&l);
	check_denial(&l);
	compare_all(&l);
	policy_diags_sort(diags);
}
