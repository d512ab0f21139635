// SPDX-License-Identifier: GPL-2.0-only
#include "random_set.h"
#include "make_set.h"

#include <string.h>

/* The values that rules name and connections have. */
#define PORTS	40
#define HOSTS	40
#define USERS	12
static const char *const jobs[] = {
	"", "a", "ab", "abc", "abd", "b", "httpd", "httpd2", "123456789012345",
};

#define N_JOBS	(sizeof(jobs) / sizeof(jobs[0]))

/* xorshift64*, Marsaglia and Vigna */
unsigned int random_below(__u64 *seed, unsigned int n)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (unsigned int)((*seed * 0x2545f4914f6cdd1dULL) >> 32) % n;
}

/* An address of either family; the lowest and the highest are there. */
static void set_addr(__u64 *seed, __u8 *addr)
{
	unsigned int n = random_below(seed, HOSTS);

	memset(addr, 0, ATTLS_ADDR_LEN);
	if (n == HOSTS - 1) {
		memset(addr, 0xff, ATTLS_ADDR_LEN);
	} else if (n & 1) {
		memset(addr + 10, 0xff, 2);
		addr[12] = 10;
		addr[15] = (__u8)n;
	} else if (n) {
		addr[0] = 0x20;
		addr[7] = (__u8)n;
	}
}

/* How many ranges a condition has: mostly none. */
static unsigned int ranges(__u64 *seed)
{
	static const unsigned int n[] = { 0, 0, 0, 0, 1, 1, 1, 2, 3, 9 };

	return n[random_below(seed, sizeof(n) / sizeof(n[0]))];
}

static struct attls_slice add_addrs(struct set_tables *t, __u64 *seed)
{
	struct attls_slice s = { (__u32)t->addrs.n, ranges(seed) };
	struct attls_addr_range *r = policy_table_add(&t->addrs, s.count), swap;
	__u32 i;

	for (i = 0; i < s.count; i++) {
		set_addr(seed, r[i].lo);
		memcpy(r[i].hi, r[i].lo, sizeof(r[i].hi));
		if (random_below(seed, 2))
			set_addr(seed, r[i].hi);
		swap = r[i];
		if (memcmp(r[i].lo, r[i].hi, sizeof(r[i].lo)) > 0) {
			memcpy(r[i].lo, swap.hi, sizeof(r[i].lo));
			memcpy(r[i].hi, swap.lo, sizeof(r[i].hi));
		}
	}
	return s;
}

static struct attls_slice add_ports(struct set_tables *t, __u64 *seed)
{
	struct attls_slice s = { (__u32)t->ports.n, ranges(seed) };
	struct attls_port_range *r = policy_table_add(&t->ports, s.count);
	__u32 i;

	for (i = 0; i < s.count; i++) {
		r[i].lo = (__u16)(1 + random_below(seed, PORTS));
		r[i].hi = random_below(seed, 20) ? r[i].lo : 65535;
		if (random_below(seed, 3) == 0)
			r[i].hi = (__u16)(r[i].lo + random_below(seed, PORTS));
	}
	return s;
}

static struct attls_slice add_ids(struct set_tables *t, __u64 *seed)
{
	struct attls_slice s = { (__u32)t->ids.n, ranges(seed) };
	struct attls_id_range *r = policy_table_add(&t->ids, s.count);
	__u32 i;

	for (i = 0; i < s.count; i++) {
		r[i].lo = random_below(seed, USERS);
		r[i].hi = r[i].lo + random_below(seed, 3);
		if (!random_below(seed, 20))
			r[i].hi = 0xfffffffe;
	}
	return s;
}

static void set_rule(struct set_tables *t, struct attls_rule *r, __u64 *seed)
{
	const char *job = jobs[random_below(seed, N_JOBS)];

	r->direction = (__u8)(1 + random_below(seed, 3));
	r->local_addrs = add_addrs(t, seed);
	r->remote_addrs = add_addrs(t, seed);
	r->local_ports = add_ports(t, seed);
	r->remote_ports = add_ports(t, seed);
	r->uids = add_ids(t, seed);
	r->gids = add_ids(t, seed);
	if (!random_below(seed, 4))
		r->netns = add_ids(t, seed);
	if (!random_below(seed, 3)) {
		r->job_len = (__u8)strlen(job);
		memcpy(r->job, job, r->job_len);
		if (random_below(seed, 2))
			r->flags |= ATTLS_RULE_JOB_PREFIX;
	}
}

void *random_set(__u64 *seed, unsigned int n_rules, size_t *len)
{
	struct set_tables t;
	struct attls_rule *r;

	policy_set_begin(&t);
	while (n_rules--) {
		r = policy_table_add(&t.rules, 1);
		set_rule(&t, r, seed);
	}
	return make_set(&t, len);
}

void random_tuple(__u64 *seed, struct attls_tuple *t)
{
	memset(t, 0, sizeof(*t));
	set_addr(seed, t->local_addr);
	set_addr(seed, t->remote_addr);
	t->direction = (__u8)(1 + random_below(seed, 2));
	t->local_port = (__u16)(1 + random_below(seed, PORTS));
	if (t->direction == ATTLS_OUTBOUND && random_below(seed, 2))
		t->local_port = 0;
	t->remote_port = (__u16)(1 + random_below(seed, PORTS));
	t->uid = random_below(seed, USERS);
	t->gid = random_below(seed, USERS);
	t->netns = random_below(seed, USERS);
	strcpy(t->job, jobs[random_below(seed, N_JOBS)]);
}
