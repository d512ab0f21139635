/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The compiled rule set: what libpolicy makes of a policy, what the kernel
 * validates and keeps, what `attls show` reads back.
 *
 * A set is one block of memory, in host byte order:
 *
 *	struct attls_set_header
 *	struct attls_key	[n_keys]	of the index
 *	struct attls_time_range	[n_times]
 *	struct attls_rule	[n_rules]	in order of precedence
 *	struct attls_addr_range	[n_addrs]
 *	struct attls_id_range	[n_ids]
 *	struct attls_node	[n_nodes]	of the index
 *	__u32			[n_refs]	of the index; paths of rules
 *	struct attls_port_range	[n_ports]
 *	char			[strings_len]	NUL-terminated names
 *
 * with nothing between the parts.  A rule names a slice (first, count) of
 * the tables; a slice of count 0 places no condition.  Strings are byte
 * offsets into the last part; offset 0 is the empty string.
 *
 * Times are those of which the compiler knows: from @since on and before
 * @horizon.  At others a rule with a condition on the time matches if it
 * protects, and does not if it is for clear connections.
 *
 * Precedence is decided by the compiler (priority descending, then name):
 * the matcher takes the first rule that matches.
 *
 * The index finds it without looking at all rules.  A node asks for one
 * field of the connection.  Its keys, in ascending order, cut the values of
 * the field into pieces, and each piece has a node of its own: refs[kids +
 * i] for the values from key i - 1 and below key i.  Rules that do not name
 * the field, or most of its values, are not repeated in all pieces: they
 * are in @rest, which is to be searched as well.  A leaf (ATTLS_FIELD_NONE)
 * has rules, in refs, in order of precedence.  Node 0 is a leaf without
 * rules.  What a node refers to has a lower level than it has: a search
 * visits a bounded number of nodes, whatever a set says.  Each ref and each
 * key belongs to one node or rule.
 */
#ifndef _UAPI_ATTLS_RULE_H
#define _UAPI_ATTLS_RULE_H

#include <linux/types.h>
#include <linux/attls.h>

#define ATTLS_SET_MAGIC		0x534c5441U	/* "ATLS" */
#define ATTLS_SET_VERSION	2

/* Bounds, checked by both sides. */
#define ATTLS_SET_MAX_BYTES	(32U << 20)
#define ATTLS_SET_MAX_RULES	65536U
#define ATTLS_HS_TIMEOUT_MAX	600		/* seconds, as on z/OS */
#define ATTLS_RESET_TIMER_MAX	1440		/* minutes, as on z/OS */

/* What the index can ask for. */
enum attls_field {
	ATTLS_FIELD_NONE,
	ATTLS_FIELD_LOCAL_PORT,
	ATTLS_FIELD_REMOTE_PORT,
	ATTLS_FIELD_LOCAL_ADDR,
	ATTLS_FIELD_REMOTE_ADDR,
	ATTLS_FIELD_UID,
	ATTLS_FIELD_JOB,
	__ATTLS_FIELD_MAX
};

/* Where a search begins: by what is known of the connection. */
enum attls_root {
	ATTLS_ROOT_IN,
	ATTLS_ROOT_IN_ANY,		/* not by whom */
	ATTLS_ROOT_OUT,
	ATTLS_ROOT_OUT_ANY,
	ATTLS_ROOT_OUT_EARLY,		/* not the local port */
	ATTLS_ROOT_OUT_EARLY_ANY,
	__ATTLS_ROOT_MAX
};

struct attls_set_header {
	__u32	magic;
	__u32	version;
	__u32	total_len;		/* bytes of the whole set */
	__u32	n_rules;
	__u32	n_addrs;
	__u32	n_ids;
	__u32	n_ports;
	__u32	strings_len;		/* at least 1: the empty string */
	__u32	n_keys;
	__u32	n_nodes;		/* at least 1 */
	__u32	n_refs;
	__u32	n_times;
	__s64	since;			/* seconds since 1970 */
	__s64	horizon;
	__u32	roots[__ATTLS_ROOT_MAX];	/* nodes */
};

/* A value of any field as a number of 128 bits, in host byte order. */
struct attls_key {
	__u64	hi;
	__u64	lo;
};

struct attls_node {
	__u8	field;			/* enum attls_field */
	__u8	level;			/* 0: a leaf */
	__u16	reserved;		/* 0 */
	__u32	first;			/* of its keys; leaf: of refs */
	__u32	count;
	__u32	kids;			/* count + 1 nodes, in refs */
	__u32	rest;			/* node; 0: none */
};

struct attls_slice {
	__u32	first;
	__u32	count;
};

#define ATTLS_RULE_ENABLED	0x01	/* TTLSEnabled On */
#define ATTLS_RULE_APPLCNTRL	0x02	/* ApplicationControlled On */
#define ATTLS_RULE_JOB_PREFIX	0x04	/* Jobname ended in '*' */
#define ATTLS_RULE_TRUNC_OK	0x08	/* TruncationCheck Off */
#define ATTLS_RULE_DENY		0x10	/* no connection at all */
#define ATTLS_RULE_SECONDARY	0x20	/* SecondaryMap On */
#define ATTLS_RULE_FIPS		0x40	/* FIPS140, of any level */
#define ATTLS_RULE_FLAGS	0x7f

struct attls_rule {
	__u32	name;			/* string offsets */
	__u32	group;
	__u32	environment;		/* 0: none, TTLSEnabled Off */
	__u32	connection;		/* 0: none */
	__u32	priority;		/* for display */
	__u16	hs_timeout;		/* seconds, 0 = no timer */
	__u8	direction;		/* enum attls_direction, or both */
	__u8	role;			/* enum attls_role */
	__u8	flags;			/* ATTLS_RULE_* */
	__u8	job_len;		/* bytes of job that count, 0 = any */
	__u16	reset_timer;		/* ResetCipherTimer, minutes; 0: none */
	char	job[ATTLS_COMM_LEN];	/* NUL-padded */
	struct attls_slice local_addrs;
	struct attls_slice remote_addrs;
	struct attls_slice local_ports;
	struct attls_slice remote_ports;
	struct attls_slice uids;	/* of ids, as are the next two */
	struct attls_slice gids;
	struct attls_slice netns;	/* inode numbers */
	struct attls_slice times;	/* ascending, apart */
	struct attls_slice exes;	/* of refs: patterns in strings */
	struct attls_slice cgroups;	/* the same: paths of cgroup v2 */
};

/* From a second on and before another, since 1970. */
struct attls_time_range {
	__s64	from;
	__s64	to;
};

/* Inclusive; IPv4 in v4-mapped form; compared as big-endian numbers. */
struct attls_addr_range {
	__u8	lo[ATTLS_ADDR_LEN];
	__u8	hi[ATTLS_ADDR_LEN];
};

struct attls_id_range {
	__u32	lo;
	__u32	hi;
};

struct attls_port_range {
	__u16	lo;
	__u16	hi;
};

#endif /* _UAPI_ATTLS_RULE_H */
