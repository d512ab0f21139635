/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The pure part of the policy engine: validating a compiled rule set and
 * matching a connection against it.  No allocation, no locks, no libc: the
 * kernel, `attls explain` and the fuzzers run this same source.
 */
#ifndef _UAPI_ATTLS_MATCH_H
#define _UAPI_ATTLS_MATCH_H

#include <linux/stddef.h>
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif
#include "attls_rule.h"

/* A validated set, taken apart.  Pointers into the block it came from. */
struct attls_set {
	const struct attls_set_header	*header;
	const struct attls_key		*keys;
	const struct attls_time_range	*times;
	const struct attls_rule		*rules;
	const struct attls_addr_range	*addrs;
	const struct attls_id_range	*ids;
	const struct attls_node		*nodes;
	const __u32			*refs;
	const struct attls_port_range	*ports;
	const char			*strings;
	int				by_path;	/* asks for paths */
};

/*
 * A connection as the policy sees it.  A local_port of 0, outbound, is not
 * known yet.
 */
struct attls_tuple {
	__u8	local_addr[ATTLS_ADDR_LEN];
	__u8	remote_addr[ATTLS_ADDR_LEN];
	__u16	local_port;
	__u16	remote_port;
	__u32	uid;
	__u32	gid;
	__u32	netns;			/* inode number */
	__u8	direction;		/* one of enum attls_direction */
	char	job[ATTLS_COMM_LEN];	/* NUL-terminated and -padded */
	__s64	now;			/* seconds since 1970 */
	const char *exe;		/* path of the program; NULL: none */
	const char *cgroup;		/* path in cgroup v2; NULL: none */
};

/* Inside of a table of @n, whatever the numbers are. */
static inline int attls_slice_ok(const struct attls_slice *s, __u32 n)
{
	return s->count <= n && s->first <= n - s->count;
}

/* The string table is known to end in a NUL. */
static inline int attls_name_ok(const struct attls_set *set, __u32 offset)
{
	return offset < set->header->strings_len &&
	       strnlen(set->strings + offset, ATTLS_NAME_LEN) < ATTLS_NAME_LEN;
}

static inline int attls_paths_ok(const struct attls_set *set,
				 const struct attls_slice *s)
{
	__u32 i;

	if (!attls_slice_ok(s, set->header->n_refs))
		return 0;
	for (i = s->first; i < s->first + s->count; i++)
		if (set->refs[i] >= set->header->strings_len)
			return 0;
	return 1;
}

/* NULL, or what is wrong with the slices of rule @r of @set. */
static inline const char *attls_slices_check(const struct attls_set *set,
					     const struct attls_rule *r)
{
	const struct attls_set_header *h = set->header;

	if (!attls_slice_ok(&r->local_addrs, h->n_addrs) ||
	    !attls_slice_ok(&r->remote_addrs, h->n_addrs))
		return "address slice out of range";
	if (!attls_slice_ok(&r->local_ports, h->n_ports) ||
	    !attls_slice_ok(&r->remote_ports, h->n_ports))
		return "port slice out of range";
	if (!attls_slice_ok(&r->uids, h->n_ids) ||
	    !attls_slice_ok(&r->gids, h->n_ids) ||
	    !attls_slice_ok(&r->netns, h->n_ids))
		return "id slice out of range";
	if (!attls_slice_ok(&r->times, h->n_times))
		return "time slice out of range";
	if (!attls_paths_ok(set, &r->exes) || !attls_paths_ok(set, &r->cgroups))
		return "path slice out of range";
	return NULL;
}

/* NULL, or what is wrong with rule @r of @set. */
static inline const char *attls_rule_check(const struct attls_set *set,
					   const struct attls_rule *r)
{
	if (!attls_name_ok(set, r->name) || !attls_name_ok(set, r->group) ||
	    !attls_name_ok(set, r->environment) ||
	    !attls_name_ok(set, r->connection))
		return "bad name";
	if (!r->direction || (r->direction & ~(ATTLS_INBOUND | ATTLS_OUTBOUND)))
		return "bad direction";
	if (r->role >= __ATTLS_ROLE_MAX)
		return "bad role";
	if (r->flags & ~ATTLS_RULE_FLAGS)
		return "unknown flags";
	if ((r->flags & ATTLS_RULE_ENABLED) && (r->flags & ATTLS_RULE_DENY))
		return "rule that is enabled and denies";
	if ((r->flags & ATTLS_RULE_ENABLED) && r->role == ATTLS_ROLE_UNKNOWN)
		return "enabled rule without a role";
	if (r->hs_timeout > ATTLS_HS_TIMEOUT_MAX)
		return "handshake timeout out of range";
	if (r->reset_timer > ATTLS_RESET_TIMER_MAX)
		return "reset cipher timer out of range";
	if (r->job_len >= ATTLS_COMM_LEN)
		return "job name too long";
	return attls_slices_check(set, r);
}

static inline int attls_key_above(const struct attls_key *a,
				  const struct attls_key *b)
{
	return a->hi != b->hi ? a->hi > b->hi : a->lo > b->lo;
}

/* NULL, or what is wrong with what node @n of @set refers to. */
static inline const char *attls_refs_check(const struct attls_set *set,
					   const struct attls_node *n)
{
	const __u32 *refs = set->refs + (n->level ? n->kids : n->first);
	__u32 i;

	for (i = 0; !n->level && i < n->count; i++)
		if (refs[i] >= set->header->n_rules ||
		    (i && refs[i] <= refs[i - 1]))
			return "bad rule in the index";
	for (i = 0; n->level && i <= n->count; i++)
		if (refs[i] >= set->header->n_nodes ||
		    set->nodes[refs[i]].level >= n->level)
			return "bad node in the index";
	return NULL;
}

static inline const char *attls_node_check(const struct attls_set *set,
					   const struct attls_node *n)
{
	const struct attls_set_header *h = set->header;
	const struct attls_slice keys = { n->first, n->count };
	const struct attls_slice kids = { n->kids, n->count + 1 };
	__u32 i;

	if (n->field >= __ATTLS_FIELD_MAX || n->reserved ||
	    n->level >= __ATTLS_FIELD_MAX || !n->field != !n->level)
		return "bad node";
	if (!n->level)
		return n->rest || n->kids || !attls_slice_ok(&keys, h->n_refs) ?
		       "bad leaf" : attls_refs_check(set, n);
	if (!n->count || !attls_slice_ok(&keys, h->n_keys) ||
	    !attls_slice_ok(&kids, h->n_refs) || n->rest >= h->n_nodes ||
	    set->nodes[n->rest].level >= n->level)
		return "bad node";
	for (i = n->first + 1; i < n->first + n->count; i++)
		if (!attls_key_above(&set->keys[i], &set->keys[i - 1]))
			return "keys out of order";
	return attls_refs_check(set, n);
}

static inline const char *attls_index_check(const struct attls_set *set)
{
	const struct attls_set_header *h = set->header;
	const char *wrong;
	__u32 i;

	if (!h->n_nodes || set->nodes[0].level || set->nodes[0].count)
		return "no empty node";
	for (i = 0; i < __ATTLS_ROOT_MAX; i++)
		if (h->roots[i] >= h->n_nodes)
			return "bad root";
	for (i = 0; i < h->n_nodes; i++) {
		wrong = attls_node_check(set, &set->nodes[i]);
		if (wrong)
			return wrong;
	}
	return NULL;
}

/*
 * Neither refs nor keys are named twice: what there is to check grows with
 * the set, not with its square.
 */
static inline const char *attls_sums_check(const struct attls_set *set)
{
	const struct attls_set_header *h = set->header;
	__u64 refs = 0, keys = 0;
	__u32 i;

	for (i = 0; i < h->n_rules; i++)
		refs += (__u64)set->rules[i].exes.count +
			set->rules[i].cgroups.count;
	for (i = 0; i < h->n_nodes; i++) {
		refs += (__u64)set->nodes[i].count + !!set->nodes[i].level;
		keys += set->nodes[i].level ? set->nodes[i].count : 0;
	}
	return refs > h->n_refs || keys > h->n_keys ? "parts overlap" : NULL;
}

/* The bytes that @h promises. */
static inline __u64 attls_set_size(const struct attls_set_header *h)
{
	return sizeof(*h) + (__u64)h->n_keys * sizeof(struct attls_key) +
	       (__u64)h->n_times * sizeof(struct attls_time_range) +
	       (__u64)h->n_rules * sizeof(struct attls_rule) +
	       (__u64)h->n_addrs * sizeof(struct attls_addr_range) +
	       (__u64)h->n_ids * sizeof(struct attls_id_range) +
	       (__u64)h->n_nodes * sizeof(struct attls_node) +
	       (__u64)h->n_refs * sizeof(__u32) +
	       (__u64)h->n_ports * sizeof(struct attls_port_range) +
	       h->strings_len;
}

static inline void attls_set_lay_out(struct attls_set *set,
				     const struct attls_set_header *h)
{
	set->header = h;
	set->keys = (const void *)(h + 1);
	set->times = (const void *)(set->keys + h->n_keys);
	set->rules = (const void *)(set->times + h->n_times);
	set->addrs = (const void *)(set->rules + h->n_rules);
	set->ids = (const void *)(set->addrs + h->n_addrs);
	set->nodes = (const void *)(set->ids + h->n_ids);
	set->refs = (const void *)(set->nodes + h->n_nodes);
	set->ports = (const void *)(set->refs + h->n_refs);
	set->strings = (const void *)(set->ports + h->n_ports);
}

/*
 * Takes the @len bytes at @blob (aligned to 8) apart into @set.  Returns
 * NULL, or a text that says what is wrong, with the number of the rule at
 * fault in @where (n_rules when it is not a rule).
 */
static inline const char *attls_set_parse(struct attls_set *set,
					  const void *blob, __u32 len,
					  __u32 *where)
{
	const struct attls_set_header *h = blob;
	const char *wrong;
	__u32 i;

	*where = 0;
	if (len < sizeof(*h) || len > ATTLS_SET_MAX_BYTES)
		return "bad length";
	if (h->magic != ATTLS_SET_MAGIC)
		return "not a rule set";
	if (h->version != ATTLS_SET_VERSION)
		return "rule set of another version";
	*where = h->n_rules;
	if (h->n_rules > ATTLS_SET_MAX_RULES)
		return "too many rules";
	if (attls_set_size(h) != len || h->total_len != len)
		return "length does not add up";
	attls_set_lay_out(set, h);
	if (!h->strings_len || set->strings[0] ||
	    set->strings[h->strings_len - 1])
		return "string table is not terminated";
	wrong = attls_sums_check(set);
	if (wrong)
		return wrong;
	set->by_path = 0;
	for (i = 0; i < h->n_rules; i++) {
		set->by_path |= set->rules[i].exes.count ||
				set->rules[i].cgroups.count;
		wrong = attls_rule_check(set, &set->rules[i]);
		if (wrong) {
			*where = i;
			return wrong;
		}
	}
	return attls_index_check(set);
}

static inline const char *attls_set_string(const struct attls_set *set,
					   __u32 offset)
{
	return set->strings + offset;
}

static inline int attls_match_addrs(const struct attls_set *set,
				    const struct attls_slice *s,
				    const __u8 *addr)
{
	const struct attls_addr_range *a = set->addrs + s->first;
	__u32 i;

	for (i = 0; i < s->count; i++)
		if (memcmp(addr, a[i].lo, ATTLS_ADDR_LEN) >= 0 &&
		    memcmp(addr, a[i].hi, ATTLS_ADDR_LEN) <= 0)
			return 1;
	return !s->count;
}

static inline int attls_match_ports(const struct attls_set *set,
				    const struct attls_slice *s, __u16 port)
{
	const struct attls_port_range *p = set->ports + s->first;
	__u32 i;

	for (i = 0; i < s->count; i++)
		if (port >= p[i].lo && port <= p[i].hi)
			return 1;
	return !s->count;
}

static inline int attls_match_ids(const struct attls_set *set,
				  const struct attls_slice *s, __u32 id)
{
	const struct attls_id_range *r = set->ids + s->first;
	__u32 i;

	for (i = 0; i < s->count; i++)
		if (id >= r[i].lo && id <= r[i].hi)
			return 1;
	return !s->count;
}

/* @job is padded with NUL, to more than @r may have. */
static inline int attls_match_job(const struct attls_rule *r, const char *job)
{
	if (!r->job_len)
		return 1;
	if (strncmp(job, r->job, r->job_len))
		return 0;
	return (r->flags & ATTLS_RULE_JOB_PREFIX) || !job[r->job_len];
}

/* Ranges that ascend: the last that begins before now decides. */
static inline int attls_match_times(const struct attls_set *set,
				    const struct attls_rule *r, __s64 now)
{
	const struct attls_time_range *t = set->times + r->times.first;
	__u32 lo = 0, hi = r->times.count, mid;

	if (!hi)
		return 1;
	if (now < set->header->since || now >= set->header->horizon)
		return !!(r->flags & (ATTLS_RULE_ENABLED | ATTLS_RULE_DENY));
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (t[mid].from > now)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo && now < t[lo - 1].to;
}

/*
 * Does @text match @pattern?  ? is a character and * any number of them,
 * without a slash; ** is any number with slashes.  A ** that took too little
 * takes more when the * after it cannot; what is before it is settled.
 */
static inline int attls_match_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *star_text = NULL;
	const char *deep = NULL, *deep_text = NULL;

	for (;;) {
		if (pattern[0] == '*' && pattern[1] == '*') {
			pattern += 2;
			deep = pattern;
			deep_text = text;
			star = NULL;
		} else if (*pattern == '*') {
			pattern++;
			star = pattern;
			star_text = text;
		} else if (*text && (*pattern == *text ||
				     (*pattern == '?' && *text != '/'))) {
			pattern++;
			text++;
		} else if (!*text && !*pattern) {
			return 1;
		} else if (star && *star_text && *star_text != '/') {
			pattern = star;
			text = ++star_text;
		} else if (deep && *deep_text) {
			pattern = deep;
			text = ++deep_text;
			star = NULL;
		} else {
			return 0;
		}
	}
}

static inline int attls_match_exe(const struct attls_set *set,
				  const struct attls_rule *r, const char *exe)
{
	const __u32 *pattern = set->refs + r->exes.first;
	__u32 i;

	for (i = 0; exe && i < r->exes.count; i++)
		if (attls_match_glob(set->strings + pattern[i], exe))
			return 1;
	return !r->exes.count;
}

/* @path or what is below it. */
static inline int attls_match_prefix(const char *path, const char *cgroup)
{
	while (*path && *path == *cgroup) {
		path++;
		cgroup++;
	}
	return !*path && (!*cgroup || *cgroup == '/' || cgroup[-1] == '/');
}

static inline int attls_match_cgroup(const struct attls_set *set,
				     const struct attls_rule *r,
				     const char *cgroup)
{
	const __u32 *path = set->refs + r->cgroups.first;
	__u32 i;

	for (i = 0; cgroup && i < r->cgroups.count; i++)
		if (set->strings[path[i]] &&
		    attls_match_prefix(set->strings + path[i], cgroup))
			return 1;
	return !r->cgroups.count;
}

/* What a rule says of the connection alone. */
static inline int attls_match_conn(const struct attls_set *set,
				   const struct attls_rule *r,
				   const struct attls_tuple *t)
{
	if (!(r->direction & t->direction))
		return 0;
	if (t->local_port &&
	    !attls_match_ports(set, &r->local_ports, t->local_port))
		return 0;
	return attls_match_ports(set, &r->remote_ports, t->remote_port) &&
	       attls_match_addrs(set, &r->local_addrs, t->local_addr) &&
	       attls_match_addrs(set, &r->remote_addrs, t->remote_addr) &&
	       attls_match_ids(set, &r->netns, t->netns) &&
	       attls_match_times(set, r, t->now);
}

/* Does it matter to @r which process it is? */
static inline int attls_rule_asks_who(const struct attls_rule *r)
{
	return r->uids.count || r->gids.count || r->job_len ||
	       r->exes.count || r->cgroups.count ||
	       r->flags & ATTLS_RULE_SECONDARY;
}

/* What a rule says of the process. */
static inline int attls_match_who(const struct attls_set *set,
				  const struct attls_rule *r,
				  const struct attls_tuple *t)
{
	return attls_match_ids(set, &r->uids, t->uid) &&
	       attls_match_ids(set, &r->gids, t->gid) &&
	       attls_match_job(r, t->job) &&
	       attls_match_exe(set, r, t->exe) &&
	       attls_match_cgroup(set, r, t->cgroup);
}

/* Each field is a number: text and addresses the first byte first. */
static inline __u64 attls_number(const void *p)
{
	const __u8 *bytes = (const __u8 *)p;
	__u64 n = 0;
	int i;

	for (i = 0; i < 8; i++)
		n = n << 8 | bytes[i];
	return n;
}

static inline struct attls_key attls_key_of(const void *p)
{
	struct attls_key key = {
		attls_number(p), attls_number((const __u8 *)p + 8)
	};

	return key;
}

static inline struct attls_key attls_tuple_key(const struct attls_tuple *t,
					       enum attls_field field)
{
	struct attls_key key = { 0, 0 };

	switch (field) {
	case ATTLS_FIELD_LOCAL_ADDR:
		return attls_key_of(t->local_addr);
	case ATTLS_FIELD_REMOTE_ADDR:
		return attls_key_of(t->remote_addr);
	case ATTLS_FIELD_JOB:
		return attls_key_of(t->job);
	case ATTLS_FIELD_LOCAL_PORT:
		key.lo = t->local_port;
		break;
	case ATTLS_FIELD_REMOTE_PORT:
		key.lo = t->remote_port;
		break;
	case ATTLS_FIELD_UID:
		key.lo = t->uid;
		break;
	default:
		break;
	}
	return key;
}

/* The node for @t below the node @n. */
static inline __u32 attls_node_kid(const struct attls_set *set,
				   const struct attls_node *n,
				   const struct attls_tuple *t)
{
	const struct attls_key key =
		attls_tuple_key(t, (enum attls_field)n->field);
	const struct attls_key *keys = set->keys + n->first;
	__u32 lo = 0, hi = n->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (attls_key_above(&keys[mid], &key))
			hi = mid;
		else
			lo = mid + 1;
	}
	return set->refs[n->kids + lo];
}

/* The first rule of a leaf that matches, if before @best; else @best. */
static inline __u32 attls_leaf_match(const struct attls_set *set,
				     const struct attls_node *leaf,
				     const struct attls_tuple *t, int any,
				     __u32 best)
{
	const __u32 *rule = set->refs + leaf->first;
	const __u32 *end = rule + leaf->count;

	for (; rule < end && *rule < best; rule++)
		if (attls_match_conn(set, &set->rules[*rule], t) &&
		    (any || attls_match_who(set, &set->rules[*rule], t)))
			return *rule;
	return best;
}

/* The first rule that matches below @root, or n_rules. */
static inline __u32 attls_index_match(const struct attls_set *set,
				      enum attls_root root,
				      const struct attls_tuple *t, int any)
{
	__u32 best = set->header->n_rules, todo[__ATTLS_FIELD_MAX + 1];
	const struct attls_node *n;
	int left = 0;

	todo[left++] = set->header->roots[root];
	while (left) {
		n = &set->nodes[todo[--left]];
		if (!n->level) {
			best = attls_leaf_match(set, n, t, any, best);
			continue;
		}
		/* Each level leaves one behind at most. */
		if (n->rest)
			todo[left++] = n->rest;
		todo[left++] = attls_node_kid(set, n, t);
	}
	return best;
}

static inline enum attls_root attls_tuple_root(const struct attls_tuple *t,
					       int any)
{
	if (t->direction == ATTLS_INBOUND)
		return any ? ATTLS_ROOT_IN_ANY : ATTLS_ROOT_IN;
	if (!t->local_port)
		return any ? ATTLS_ROOT_OUT_EARLY_ANY : ATTLS_ROOT_OUT_EARLY;
	return any ? ATTLS_ROOT_OUT_ANY : ATTLS_ROOT_OUT;
}

/*
 * The rule for @t: its index, or -1.  With a local port that is not known
 * yet, the first rule that could match.
 */
static inline int attls_set_match(const struct attls_set *set,
				  const struct attls_tuple *t)
{
	__u32 rule = attls_index_match(set, attls_tuple_root(t, 0), t, 0);

	return rule < set->header->n_rules ? (int)rule : -1;
}

#define ATTLS_MATCH_PROCESS	(-2)

/*
 * The rule for @t whoever the process is: its index; -1, none; or
 * ATTLS_MATCH_PROCESS, it depends on the process.
 */
static inline int attls_set_match_any(const struct attls_set *set,
				      const struct attls_tuple *t)
{
	__u32 rule = attls_index_match(set, attls_tuple_root(t, 1), t, 1);
	const struct attls_rule *r = set->rules + rule;

	if (rule >= set->header->n_rules)
		return -1;
	return attls_rule_asks_who(r) ? ATTLS_MATCH_PROCESS : (int)rule;
}

#endif /* _UAPI_ATTLS_MATCH_H */
