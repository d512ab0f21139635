// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a match costs, in instructions: a child matches, we step through it.
 * A search must cost about the same for ten rules and for ten thousand.
 *
 *	match_cost	prints a table, and KTAP
 */
#include "make_set.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define TUPLES		6		/* half of them under a rule */
#define MOST		4000		/* instructions; 1 us at 4 GHz */
#define GROWTH		2		/* from 100 rules to 10 000 */

static const unsigned int sizes[] = { 10, 100, 1000, 10000 };

#define N_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

/* Rule or connection @i of a policy. */
typedef void (*rule_fn)(struct set_tables *t, struct attls_rule *r,
			unsigned int i);
typedef void (*tuple_fn)(struct attls_tuple *t, unsigned int i);

static struct attls_slice port(struct set_tables *t, unsigned int n)
{
	struct attls_slice s = { (__u32)t->ports.n, 1 };
	struct attls_port_range *r = policy_table_add(&t->ports, 1);

	r->lo = (__u16)n;
	r->hi = (__u16)n;
	return s;
}

static void set_addr(__u8 *addr, unsigned int i)
{
	__u32 v4 = htonl(0x0a000000 + i);

	memset(addr, 0, ATTLS_ADDR_LEN);
	memset(addr + 10, 0xff, 2);
	memcpy(addr + 12, &v4, sizeof(v4));
}

static struct attls_slice addr(struct set_tables *t, unsigned int i)
{
	struct attls_slice s = { (__u32)t->addrs.n, 1 };
	struct attls_addr_range *r = policy_table_add(&t->addrs, 1);

	set_addr(r->lo, i);
	set_addr(r->hi, i);
	return s;
}

static void service(struct set_tables *t, struct attls_rule *r,
		    unsigned int i)
{
	r->direction = ATTLS_INBOUND;
	r->local_ports = port(t, 10000 + i);
}

static void service_tuple(struct attls_tuple *t, unsigned int i)
{
	t->direction = ATTLS_INBOUND;
	t->local_port = (__u16)(10000 + i);
}

static void partner(struct set_tables *t, struct attls_rule *r,
		    unsigned int i)
{
	r->direction = ATTLS_OUTBOUND;
	r->remote_ports = port(t, 443);
	r->remote_addrs = addr(t, i);
}

static void partner_tuple(struct attls_tuple *t, unsigned int i)
{
	t->direction = ATTLS_OUTBOUND;
	t->remote_port = 443;
	set_addr(t->remote_addr, i);
}

static void job(struct set_tables *t, struct attls_rule *r, unsigned int i)
{
	r->direction = ATTLS_INBOUND | ATTLS_OUTBOUND;
	r->job_len = (__u8)snprintf(r->job, sizeof(r->job), "job%u", i);
}

static void job_tuple(struct attls_tuple *t, unsigned int i)
{
	t->direction = ATTLS_INBOUND;
	t->local_port = 1;
	snprintf(t->job, sizeof(t->job), "job%u", i);
}

/* A third of each, and each twelfth rule names nothing but a user. */
static void mixed(struct set_tables *t, struct attls_rule *r, unsigned int i)
{
	struct attls_id_range *id;

	if (i % 12 == 11) {
		r->direction = ATTLS_INBOUND;
		r->uids = (struct attls_slice){ (__u32)t->ids.n, 1 };
		id = policy_table_add(&t->ids, 1);
		id->lo = i;
		id->hi = i;
	} else {
		(i % 3 ? i % 3 == 1 ? service : partner : job)(t, r, i);
	}
}

static void mixed_tuple(struct attls_tuple *t, unsigned int i)
{
	if (i % 12 == 11)
		service_tuple(t, 0x8000 + i);
	else
		(i % 3 ? i % 3 == 1 ? service_tuple : partner_tuple :
		 job_tuple)(t, i);
	t->uid = i;
}

static const struct policy {
	const char *name;
	rule_fn rule;
	tuple_fn tuple;
} policies[] = {
	{ "a local port each", service, service_tuple },
	{ "a remote address each, one port", partner, partner_tuple },
	{ "a job name each", job, job_tuple },
	{ "mixed", mixed, mixed_tuple },
};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

static void *make_rules(const struct policy *p, unsigned int n_rules,
			size_t *len)
{
	struct set_tables t;
	struct attls_rule rule;
	unsigned int i;

	policy_set_begin(&t);
	for (i = 0; i < n_rules; i++) {
		memset(&rule, 0, sizeof(rule));
		p->rule(&t, &rule, i);
		memcpy(policy_table_add(&t.rules, 1), &rule, sizeof(rule));
	}
	return make_set(&t, len);
}

/* The even ones are under a rule, over all of them. */
static void make_tuple(const struct policy *p, unsigned int n_rules,
		       unsigned int i, struct attls_tuple *t)
{
	memset(t, 0, sizeof(*t));
	p->tuple(t, i % 2 ? n_rules + i : n_rules * i / TUPLES);
}

static void match_all(const struct policy *p, unsigned int n_rules,
		      const struct attls_set *set)
{
	struct attls_tuple t;
	unsigned int i;
	int rule;

	for (i = 0; i < TUPLES; i++) {
		make_tuple(p, n_rules, i, &t);
		/* Once before: the linker resolves names at the first call. */
		rule = attls_set_match(set, &t);
		raise(SIGSTOP);
		rule = attls_set_match(set, &t);
		raise(SIGSTOP);
		if ((rule < 0) != i % 2)
			_exit(1);
	}
	raise(SIGSTOP);			/* and once for nothing */
	raise(SIGSTOP);
	_exit(0);
}

static void wait_for_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		printf("Bail out! the child found the wrong rule\n");
		exit(1);
	}
}

/* Instructions from one SIGSTOP to the next. */
static unsigned long step(pid_t pid)
{
	unsigned long n = 0;
	siginfo_t info;

	do {
		ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
		wait_for_stop(pid);
		n++;
		if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info))
			abort();
	} while (info.si_signo != SIGSTOP);
	return n;
}

struct cost {
	unsigned long mean;
	unsigned long most;
};

static struct cost measure(const struct policy *p, unsigned int n_rules)
{
	unsigned long n[TUPLES], none, sum = 0, i;
	struct cost cost = { 0 };
	struct attls_set set;
	size_t len;
	void *blob = make_rules(p, n_rules, &len);
	__u32 where;
	pid_t pid;

	if (attls_set_parse(&set, blob, (__u32)len, &where))
		abort();
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		match_all(p, n_rules, &set);
	}
	wait_for_stop(pid);
	for (i = 0; i <= TUPLES; i++) {
		none = step(pid);
		if (i < TUPLES)
			n[i] = none;
		ptrace(PTRACE_CONT, pid, 0, 0);
		if (i < TUPLES)
			wait_for_stop(pid);
	}
	waitpid(pid, NULL, 0);
	for (i = 0; i < TUPLES; i++) {
		n[i] -= none;
		sum += n[i];
		cost.most = n[i] > cost.most ? n[i] : cost.most;
	}
	cost.mean = sum / TUPLES;
	free(blob);
	return cost;
}

int main(void)
{
	struct cost cost[N_SIZES];
	bool good, all = true;
	size_t i, j;

	printf("KTAP version 1\n1..%zu\n# instructions for a match, mean and most:\n",
	       N_POLICIES);
	for (i = 0; i < N_POLICIES; i++) {
		for (j = 0; j < N_SIZES; j++) {
			cost[j] = measure(&policies[i], sizes[j]);
			printf("# %6u rules: %5lu %5lu\n", sizes[j],
			       cost[j].mean, cost[j].most);
		}
		good = cost[3].most <= MOST &&
		       cost[3].most <= GROWTH * cost[1].most;
		all &= good;
		printf("%sok %zu rules with %s\n", good ? "" : "not ", i + 1,
		       policies[i].name);
	}
	return !all;
}
