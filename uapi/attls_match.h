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
	const struct attls_rule		*rules;
	const struct attls_addr_range	*addrs;
	const struct attls_id_range	*ids;
	const struct attls_port_range	*ports;
	const char			*strings;
};

/* A connection as the policy sees it.  A local_port of 0 is not known yet. */
struct attls_tuple {
	__u8	local_addr[ATTLS_ADDR_LEN];
	__u8	remote_addr[ATTLS_ADDR_LEN];
	__u16	local_port;
	__u16	remote_port;
	__u32	uid;
	__u8	direction;		/* one of enum attls_direction */
	char	job[ATTLS_COMM_LEN];	/* NUL-terminated */
};

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

/* NULL, or what is wrong with rule @r of @set. */
static inline const char *attls_rule_check(const struct attls_set *set,
					   const struct attls_rule *r)
{
	const struct attls_set_header *h = set->header;

	if (!attls_name_ok(set, r->name) || !attls_name_ok(set, r->group) ||
	    !attls_name_ok(set, r->environment) ||
	    !attls_name_ok(set, r->connection))
		return "bad name";
	if (!r->direction || (r->direction & ~(ATTLS_INBOUND | ATTLS_OUTBOUND)))
		return "bad direction";
	if (r->role >= __ATTLS_ROLE_MAX)
		return "bad role";
	if (r->flags & ~ATTLS_RULE_FLAGS || r->reserved)
		return "unknown flags";
	if ((r->flags & ATTLS_RULE_ENABLED) && r->role == ATTLS_ROLE_UNKNOWN)
		return "enabled rule without a role";
	if (r->hs_timeout > ATTLS_HS_TIMEOUT_MAX)
		return "handshake timeout out of range";
	if (r->job_len >= ATTLS_COMM_LEN)
		return "job name too long";
	if (!attls_slice_ok(&r->local_addrs, h->n_addrs) ||
	    !attls_slice_ok(&r->remote_addrs, h->n_addrs))
		return "address slice out of range";
	if (!attls_slice_ok(&r->local_ports, h->n_ports) ||
	    !attls_slice_ok(&r->remote_ports, h->n_ports))
		return "port slice out of range";
	if (!attls_slice_ok(&r->uids, h->n_ids))
		return "uid slice out of range";
	return NULL;
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
	__u64 need;
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
	need = sizeof(*h) + (__u64)h->n_rules * sizeof(struct attls_rule) +
	       (__u64)h->n_addrs * sizeof(struct attls_addr_range) +
	       (__u64)h->n_ids * sizeof(struct attls_id_range) +
	       (__u64)h->n_ports * sizeof(struct attls_port_range) +
	       h->strings_len;
	if (need != len || h->total_len != len)
		return "length does not add up";

	set->header = h;
	set->rules = (const void *)(h + 1);
	set->addrs = (const void *)(set->rules + h->n_rules);
	set->ids = (const void *)(set->addrs + h->n_addrs);
	set->ports = (const void *)(set->ids + h->n_ids);
	set->strings = (const void *)(set->ports + h->n_ports);
	if (!h->strings_len || set->strings[0] ||
	    set->strings[h->strings_len - 1])
		return "string table is not terminated";

	for (i = 0; i < h->n_rules; i++) {
		wrong = attls_rule_check(set, &set->rules[i]);
		if (wrong) {
			*where = i;
			return wrong;
		}
	}
	return NULL;
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

static inline int attls_match_job(const struct attls_rule *r, const char *job)
{
	if (!r->job_len)
		return 1;
	if (strncmp(job, r->job, r->job_len))
		return 0;
	return (r->flags & ATTLS_RULE_JOB_PREFIX) || !job[r->job_len];
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
	       attls_match_addrs(set, &r->remote_addrs, t->remote_addr);
}

/* What it says of the process. */
static inline int attls_match_who(const struct attls_set *set,
				  const struct attls_rule *r,
				  const struct attls_tuple *t)
{
	return attls_match_ids(set, &r->uids, t->uid) &&
	       attls_match_job(r, t->job);
}

/*
 * The rule for @t: its index, or -1.  With a local port that is not known
 * yet, the first rule that could match.
 */
static inline int attls_set_match(const struct attls_set *set,
				  const struct attls_tuple *t)
{
	__u32 i;

	for (i = 0; i < set->header->n_rules; i++)
		if (attls_match_conn(set, &set->rules[i], t) &&
		    attls_match_who(set, &set->rules[i], t))
			return (int)i;
	return -1;
}

/*
 * The rule for @t whoever the process is: its index; -1, none; or
 * ATTLS_MATCH_PROCESS, it depends on the process.
 */
#define ATTLS_MATCH_PROCESS	(-2)

static inline int attls_set_match_any(const struct attls_set *set,
				      const struct attls_tuple *t)
{
	const struct attls_rule *r;
	__u32 i;

	for (i = 0; i < set->header->n_rules; i++) {
		r = &set->rules[i];
		if (attls_match_conn(set, r, t))
			return r->uids.count || r->job_len ?
			       ATTLS_MATCH_PROCESS : (int)i;
	}
	return -1;
}

#endif /* _UAPI_ATTLS_MATCH_H */
