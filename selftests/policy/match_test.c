// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiles small policies with libpolicy and asks the matcher that the
 * kernel runs; then feeds damaged rule sets to the validator.  KTAP.
 */
#include "attls_match.h"
#include "policy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <sys/mman.h>
#include <unistd.h>

#define IN	ATTLS_INBOUND
#define OUT	ATTLS_OUTBOUND

static const char actions[] =
	"TTLSGroupAction on\n{\nTTLSEnabled On\n}\n"
	"TTLSGroupAction off\n{\nTTLSEnabled Off\n}\n"
	"TTLSEnvironmentAction env\n{\nHandshakeRole ServerWithClientAuth\n"
	"TTLSKeyringParms\n{\nKeyring /ring\n}\n}\n"
	"IpAddrGroup group\n{\nIpAddrSet\n{\nPrefix 172.16.0.0/12\n"
	"Range fd00::1-fd00::9\n}\nIpAddr\n{\nAddr 192.0.2.1\n}\n}\n";

#define RULE(name, direction, rest) \
	"TTLSRule " name "\n{\nDirection " direction "\n" rest "\n" \
	"TTLSGroupActionRef on\nTTLSEnvironmentActionRef env\n}\n"

struct match_case {
	const char *name;
	const char *rules;
	const char *local;
	int	local_port;
	const char *remote;
	int	remote_port;
	uint32_t uid;
	int	direction;
	const char *job;
	const char *expect;		/* rule, or NULL */
};

#define PORT443		RULE("r", "Inbound", "LocalPortRange 443")
#define NET10		RULE("r", "Both", "RemoteAddr 10.0.0.0/8")
#define RANGE		RULE("r", "Both", "RemoteAddr 10.0.0.5-10.0.0.9")
#define V6		RULE("r", "Both", "RemoteAddr 2001:db8::/33")
#define ALLV6		RULE("r", "Both", "RemoteAddr ::/0")
#define ALLV4		RULE("r", "Both", "RemoteAddr 0.0.0.0/0")
#define ALL		RULE("r", "Both", "RemoteAddr All")
#define GROUP		RULE("r", "Both", "RemoteAddrGroupRef group") \
			RULE("s", "Both", "LocalAddrGroupRef group")
#define PORTS		RULE("r", "Outbound", "RemotePortRange 20 21\n" \
			     "RemotePortRange 990")
#define JOB		RULE("r", "Both", "Jobname nginx")
#define JOBS		RULE("r", "Both", "Jobname ng*")
#define LONGJOB		RULE("r", "Both", "Jobname 123456789012345")
#define UID		RULE("r", "Both", "Userid 4242")
#define ORDER		RULE("z", "Both", "Priority 9\nLocalPortRange 1") \
			RULE("b", "Both", "Priority 5\nLocalAddr All") \
			RULE("a", "Both", "Priority 5\nRemotePortRange 7") \
			RULE("y", "Both", "Priority 4\nLocalAddr All")
#define LATE		RULE("first", "Both", "Priority 2\nLocalPortRange 1") \
			RULE("second", "Both", "RemotePortRange 2")

static const struct match_case cases[] = {
	{ "port", PORT443, "::", 443, "::", 9, 0, IN, "x", "r" },
	{ "other port", PORT443, "::", 444, "::", 9, 0, IN, "x", NULL },
	{ "direction", PORT443, "::", 443, "::", 9, 0, OUT, "x", NULL },
	{ "v4 prefix, low end", NET10, "::", 1, "10.0.0.0", 9, 0, IN, "x",
	  "r" },
	{ "v4 prefix, high end", NET10, "::", 1, "10.255.255.255", 9, 0, OUT,
	  "x", "r" },
	{ "v4 prefix, below", NET10, "::", 1, "9.255.255.255", 9, 0, IN, "x",
	  NULL },
	{ "v4 prefix, above", NET10, "::", 1, "11.0.0.0", 9, 0, IN, "x",
	  NULL },
	{ "v4 prefix, mapped", NET10, "::", 1, "::ffff:10.1.1.1", 9, 0, IN,
	  "x", "r" },
	{ "v4 prefix, compatible form is not v4", NET10, "::", 1,
	  "::10.1.1.1", 9, 0, IN, "x", NULL },
	{ "v4 range, ends", RANGE, "::", 1, "10.0.0.9", 9, 0, IN, "x", "r" },
	{ "v4 range, past", RANGE, "::", 1, "10.0.0.10", 9, 0, IN, "x", NULL },
	{ "v6 prefix", V6, "::", 1, "2001:db8:7fff::1", 9, 0, IN, "x", "r" },
	{ "v6 prefix, past", V6, "::", 1, "2001:db8:8000::", 9, 0, IN, "x",
	  NULL },
	{ "all of v6", ALLV6, "::", 1, "2001:db8::1", 9, 0, IN, "x", "r" },
	{ "all of v6, loopback", ALLV6, "::", 1, "::1", 9, 0, IN, "x", "r" },
	{ "all of v6 is not v4", ALLV6, "::", 1, "10.0.0.1", 9, 0, IN, "x",
	  NULL },
	{ "all of v4", ALLV4, "::", 1, "255.255.255.255", 9, 0, IN, "x",
	  "r" },
	{ "all of v4 is not v6", ALLV4, "::", 1, "::1", 9, 0, IN, "x", NULL },
	{ "All, v4", ALL, "::", 1, "1.2.3.4", 9, 0, IN, "x", "r" },
	{ "All, v6", ALL, "::", 1, "ffff::", 9, 0, IN, "x", "r" },
	{ "group, prefix", GROUP, "::", 1, "172.31.1.1", 9, 0, IN, "x", "r" },
	{ "group, range", GROUP, "::", 1, "fd00::9", 9, 0, IN, "x", "r" },
	{ "group, address", GROUP, "::", 1, "192.0.2.1", 9, 0, IN, "x", "r" },
	{ "group, shared", GROUP, "192.0.2.1", 1, "::", 9, 0, IN, "x", "s" },
	{ "group, none", GROUP, "::", 1, "192.0.2.2", 9, 0, IN, "x", NULL },
	{ "ports, first", PORTS, "::", 1, "::", 21, 0, OUT, "x", "r" },
	{ "ports, second", PORTS, "::", 1, "::", 990, 0, OUT, "x", "r" },
	{ "ports, between", PORTS, "::", 1, "::", 22, 0, OUT, "x", NULL },
	{ "job", JOB, "::", 1, "::", 2, 0, IN, "nginx", "r" },
	{ "job, longer", JOB, "::", 1, "::", 2, 0, IN, "nginx2", NULL },
	{ "job, shorter", JOB, "::", 1, "::", 2, 0, IN, "ngin", NULL },
	{ "job, case", JOB, "::", 1, "::", 2, 0, IN, "Nginx", NULL },
	{ "job, star", JOBS, "::", 1, "::", 2, 0, IN, "ngrok", "r" },
	{ "job, star, shorter", JOBS, "::", 1, "::", 2, 0, IN, "n", NULL },
	{ "job, 15 bytes", LONGJOB, "::", 1, "::", 2, 0, IN,
	  "123456789012345", "r" },
	{ "user", UID, "::", 1, "::", 2, 4242, IN, "x", "r" },
	{ "other user", UID, "::", 1, "::", 2, 4243, IN, "x", NULL },
	{ "precedence, priority", ORDER, "::", 1, "::", 7, 0, IN, "x", "z" },
	{ "precedence, name", ORDER, "::", 2, "::", 7, 0, IN, "x", "a" },
	{ "precedence, first that matches", ORDER, "::", 2, "::", 8, 0, IN,
	  "x", "b" },
	{ "local port not known", LATE, "::", 0, "::", 2, 0, OUT, "x",
	  "first" },
	{ "local port known", LATE, "::", 5, "::", 2, 0, OUT, "x", "second" },
};

/* What the others do not have. */
#define HARD		RULE("h", "Both", "Priority 7\nExe /opt/**/b\nCgroup /a\n" \
			     "Gid 1 2\nIpTimeCondition\n{\n" \
			     "MonthOfYearMask 111111111111\n}")

#define N_CASES	(sizeof(cases) / sizeof(cases[0]))

static int test_number;
static int failures;

static void report(bool good, const char *name)
{
	printf("%sok %d %s\n", good ? "" : "not ", ++test_number, name);
	failures += !good;
}

static void *compile_at(const char *rules, time_t now, size_t *len)
{
	struct policy_diags diags = { 0 };
	struct policy *policy;
	char path[64];
	void *blob = NULL;
	int fd = memfd_create("policy", 0);

	if (fd < 0 || dprintf(fd, "%s%s", rules, actions) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	policy = policy_load(path, &diags);
	if (policy)
		policy_compile(policy, now, &blob, len, &diags);
	policy_diags_print(stderr, &diags);
	policy_diags_free(&diags);
	policy_free(policy);
	close(fd);
	return blob;
}

static void *compile(const char *rules, size_t *len)
{
	return compile_at(rules, time(NULL), len);
}

static void set_addr(__u8 *addr, const char *text)
{
	memset(addr, 0, ATTLS_ADDR_LEN);
	if (inet_pton(AF_INET6, text, addr) == 1)
		return;
	memset(addr + 10, 0xff, 2);
	inet_pton(AF_INET, text, addr + 12);
}

static void set_tuple(struct attls_tuple *t, const struct match_case *c)
{
	memset(t, 0, sizeof(*t));
	set_addr(t->local_addr, c->local);
	set_addr(t->remote_addr, c->remote);
	t->local_port = (__u16)c->local_port;
	t->remote_port = (__u16)c->remote_port;
	t->uid = c->uid;
	t->direction = (__u8)c->direction;
	snprintf(t->job, sizeof(t->job), "%s", c->job);
}

static void test_match(const struct match_case *c)
{
	const char *name = NULL;
	struct attls_tuple t;
	struct attls_set set;
	size_t len = 0;
	void *blob = compile(c->rules, &len);
	__u32 where;
	int rule;

	set_tuple(&t, c);
	if (blob && !attls_set_parse(&set, blob, (__u32)len, &where)) {
		rule = attls_set_match(&set, &t);
		if (rule >= 0)
			name = attls_set_string(&set, set.rules[rule].name);
		report(name ? c->expect && !strcmp(name, c->expect) :
		       !c->expect, c->name);
	} else {
		report(false, c->name);
	}
	free(blob);
}

/* A process, where it lives, and when it connects. */
struct process_case {
	const char *name;
	const char *conditions;
	const char *exe;
	const char *cgroup;
	uint32_t gid;
	uint32_t netns;
	const char *now;		/* local time; Z: UTC */
	bool	expect;
};

#define EXE(pattern)	"Exe " pattern
#define TIME(rest)	"LocalAddr All\nIpTimeCondition\n{\n" rest "\n}"
#define OFFICE		TIME("DayOfWeekMask 0111110\n" \
			     "TimeOfDayRange 8:00-12:00,13:00-17:00")
#define NIGHT		TIME("TimeOfDayRange 22:00-6:00")
#define LAST_TWO	TIME("DayOfMonthMask 0000000000000000000000000000000" \
			     "1100000000000000000000000000000")
#define WINTER		TIME("FromMonthOfYear November\nToMonthOfYear February")
#define WEEKEND		TIME("FromDayOfWeek Friday\nToDayOfWeek Sunday\n" \
			     "FromTimeOfDay 20:00\nToTimeOfDay 24:00")
#define UTC_NOON	TIME("TimeZone UTC\nTimeOfDayRange 12:00-13:00")
#define TO_TWICE	TIME("TimeOfDayRange 0:15-2:45")
#define FROM_TWICE	TIME("TimeOfDayRange 2:45-6:00")
#define ONE_DAY		TIME("ConditionTimeRange " \
			     "20270110120000:20270111115959")

/* 2027-01-01 is a Friday. */
static const struct process_case processes[] = {
	{ "exe", EXE("/bin/a"), "/bin/a", NULL, 0, 0, NULL, true },
	{ "exe, longer", EXE("/bin/a"), "/bin/ab", NULL, 0, 0, NULL, false },
	{ "exe, shorter", EXE("/bin/ab"), "/bin/a", NULL, 0, 0, NULL, false },
	{ "exe, none", EXE("/bin/a"), NULL, NULL, 0, 0, NULL, false },
	{ "exe, star", EXE("/opt/*/bin/x"), "/opt/a/bin/x", NULL, 0, 0, NULL,
	  true },
	{ "exe, star is no slash", EXE("/opt/*/x"), "/opt/a/bin/x", NULL, 0, 0,
	  NULL, false },
	{ "exe, two stars", EXE("/opt/**/x"), "/opt/a/bin/x", NULL, 0, 0, NULL,
	  true },
	{ "exe, stars in stars", EXE("/o**/b*n/x*"), "/o/bin/y/bn/xyz", NULL,
	  0, 0, NULL, true },
	{ "exe, star again", EXE("/*a*b"), "/aab-ab-b", NULL, 0, 0, NULL,
	  true },
	{ "exe, mark", EXE("/bin/?"), "/bin/a", NULL, 0, 0, NULL, true },
	{ "exe, mark is no slash", EXE("/bin?a"), "/bin/a", NULL, 0, 0, NULL,
	  false },
	{ "exe, the second", EXE("/x\nExe /bin/a"), "/bin/a", NULL, 0, 0,
	  NULL, true },
	{ "cgroup", "Cgroup /a/b", NULL, "/a/b", 0, 0, NULL, true },
	{ "cgroup, below", "Cgroup /a/b", NULL, "/a/b/c", 0, 0, NULL, true },
	{ "cgroup, above", "Cgroup /a/b", NULL, "/a", 0, 0, NULL, false },
	{ "cgroup, beside", "Cgroup /a/b", NULL, "/a/bc", 0, 0, NULL, false },
	{ "cgroup, slash at the end", "Cgroup /a/b/", NULL, "/a/b/c", 0, 0,
	  NULL, true },
	{ "cgroup, all", "Cgroup /", NULL, "/a", 0, 0, NULL, true },
	{ "cgroup, none", "Cgroup /", NULL, NULL, 0, 0, NULL, false },
	{ "gid", "Gid 5 9", NULL, NULL, 9, 0, NULL, true },
	{ "other gid", "Gid 5 9", NULL, NULL, 10, 0, NULL, false },
	{ "netns", "Netns 77", NULL, NULL, 0, 77, NULL, true },
	{ "other netns", "Netns 77", NULL, NULL, 0, 78, NULL, false },
	{ "office, first minute", OFFICE, NULL, NULL, 0, 0,
	  "2027-01-01 08:00:00", true },
	{ "office, too early", OFFICE, NULL, NULL, 0, 0,
	  "2027-01-01 07:59:59", false },
	{ "office, lunch", OFFICE, NULL, NULL, 0, 0, "2027-01-01 12:00:00",
	  false },
	{ "office, summer time", OFFICE, NULL, NULL, 0, 0,
	  "2027-07-01 08:00:00", true },
	{ "office, Saturday", OFFICE, NULL, NULL, 0, 0, "2027-01-02 09:00:00",
	  false },
	{ "over midnight, before", NIGHT, NULL, NULL, 0, 0,
	  "2027-03-05 23:59:59", true },
	{ "over midnight, after", NIGHT, NULL, NULL, 0, 0,
	  "2027-03-05 05:59:59", true },
	{ "over midnight, day", NIGHT, NULL, NULL, 0, 0,
	  "2027-03-05 06:00:00", false },
	{ "last two days of February", LAST_TWO, NULL, NULL, 0, 0,
	  "2027-02-27 00:00:00", true },
	{ "not the third last", LAST_TWO, NULL, NULL, 0, 0,
	  "2027-02-26 23:59:59", false },
	{ "months over the new year", WINTER, NULL, NULL, 0, 0,
	  "2027-02-28 23:59:59", true },
	{ "months, after", WINTER, NULL, NULL, 0, 0, "2027-03-01 00:00:00",
	  false },
	{ "weekdays over Saturday", WEEKEND, NULL, NULL, 0, 0,
	  "2027-01-03 23:59:59", true },
	{ "weekdays, Monday", WEEKEND, NULL, NULL, 0, 0,
	  "2027-01-04 20:00:00", false },
	{ "UTC", UTC_NOON, NULL, NULL, 0, 0, "2027-07-01 14:30:00", true },
	{ "UTC, not local", UTC_NOON, NULL, NULL, 0, 0,
	  "2027-07-01 12:30:00", false },
	{ "autumn, until the last 2:45", TO_TWICE, NULL, NULL, 0, 0,
	  "2027-10-31 01:44:59Z", true },
	{ "autumn, until 2:45, over", TO_TWICE, NULL, NULL, 0, 0,
	  "2027-10-31 01:45:00Z", false },
	{ "autumn, from the first 2:45", FROM_TWICE, NULL, NULL, 0, 0,
	  "2027-10-31 00:45:00Z", true },
	{ "autumn, from 2:45, before", FROM_TWICE, NULL, NULL, 0, 0,
	  "2027-10-31 00:44:59Z", false },
	{ "spring, 2:45 is 3:45", FROM_TWICE, NULL, NULL, 0, 0,
	  "2027-03-28 01:45:00Z", true },
	{ "spring, 2:45 is 3:45, before", FROM_TWICE, NULL, NULL, 0, 0,
	  "2027-03-28 01:44:59Z", false },
	{ "range, first second", ONE_DAY, NULL, NULL, 0, 0,
	  "2027-01-10 12:00:00", true },
	{ "range, last second", ONE_DAY, NULL, NULL, 0, 0,
	  "2027-01-11 11:59:59", true },
	{ "range, over", ONE_DAY, NULL, NULL, 0, 0, "2027-01-11 12:00:00",
	  false },
	{ "range, not known yet, and protected", ONE_DAY, NULL, NULL, 0, 0,
	  "2026-12-30 12:00:00", true },
	{ "range, not known any more, and protected", ONE_DAY, NULL, NULL, 0,
	  0, "2029-01-11 12:00:00", true },
};

#define N_PROCESSES	(sizeof(processes) / sizeof(processes[0]))

static time_t local(const char *text)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = text ? strptime(text, "%Y-%m-%d %H:%M:%S", &tm) : "";

	if (!end)
		abort();
	if (*end == 'Z')
		return timegm(&tm);
	return text ? mktime(&tm) : time(NULL);
}

static void test_process(const struct process_case *c)
{
	struct attls_tuple t = {
		.direction = IN, .local_port = 1, .exe = c->exe,
		.cgroup = c->cgroup, .gid = c->gid, .netns = c->netns,
		.now = local(c->now),
	};
	/* All are known on New Year's Day, but for what is two years off. */
	time_t now = local("2027-01-01 00:00:00");
	struct attls_set set;
	char rule[1000];
	size_t len = 0;
	void *blob;
	__u32 where;

	snprintf(rule, sizeof(rule), RULE("r", "Both", "%s"), c->conditions);
	blob = compile_at(rule, now, &len);
	if (!blob || attls_set_parse(&set, blob, (__u32)len, &where))
		abort();
	report((attls_set_match(&set, &t) == 0) == c->expect, c->name);
	free(blob);
}

/* Whatever passes the validator must be safe to match and to show. */
static void use(const void *blob, size_t len)
{
	struct attls_tuple t;
	struct attls_set set;
	__u32 where, i;
	size_t n = 0;

	if (attls_set_parse(&set, blob, (__u32)len, &where))
		return;
	for (i = 0; i < N_CASES; i++) {
		set_tuple(&t, &cases[i]);
		t.exe = "/opt/a/b";
		t.cgroup = "/a/b";
		attls_set_match(&set, &t);
	}
	for (i = 0; i < set.header->n_rules; i++) {
		n += strlen(attls_set_string(&set, set.rules[i].name));
		n += strlen(attls_set_string(&set, set.rules[i].group));
		n += strlen(attls_set_string(&set, set.rules[i].environment));
		n += strlen(attls_set_string(&set, set.rules[i].connection));
	}
	/* Keeps the reads from being optimised away. */
	__asm__ volatile("" : : "r"(n));
}

/* Copies are exactly as long as they say, for the address sanitizer. */
static void *copy(const void *blob, size_t len)
{
	void *c = malloc(len ? len : 1);

	if (!c)
		abort();
	memcpy(c, blob, len);
	return c;
}

static void test_truncated(const void *blob, size_t len)
{
	struct attls_set set;
	bool good = true;
	__u32 where;
	size_t n;
	void *c;

	for (n = 0; n < len; n++) {
		c = copy(blob, n);
		if (!attls_set_parse(&set, c, (__u32)n, &where))
			good = false;
		free(c);
	}
	report(good, "every truncated rule set is refused");
}

static void test_flipped(const void *blob, size_t len)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff, 0x55 };
	size_t n, m;
	uint8_t *c;

	for (n = 0; n < len; n++) {
		for (m = 0; m < sizeof(masks); m++) {
			c = copy(blob, len);
			c[n] ^= masks[m];
			use(c, len);
			free(c);
		}
	}
	report(true, "flipped bytes are refused or harmless");
}

/* Fields at their worst, each with the rest intact. */
static void test_hostile(const void *blob, size_t len)
{
	static const uint32_t words[] = { 1, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff };
	size_t n, w;
	uint8_t *c;

	for (n = 0; n + 4 <= len; n += 4) {
		for (w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
			c = copy(blob, len);
			memcpy(c + n, &words[w], sizeof(words[w]));
			use(c, len);
			free(c);
		}
	}
	report(true, "hostile words are refused or harmless");
}

/* The largest set, with what @fill puts into the parts that @h promises. */
static void test_overlap(const char *name, struct attls_set_header h,
			 void (*fill)(struct attls_set *set))
{
	struct attls_set set;
	char *blob;
	__u32 where;

	h.magic = ATTLS_SET_MAGIC;
	h.version = ATTLS_SET_VERSION;
	h.total_len = ATTLS_SET_MAX_BYTES;
	h.n_refs = (__u32)((h.total_len - attls_set_size(&h)) / sizeof(__u32));
	h.n_refs--;
	h.strings_len = (__u32)(h.total_len - attls_set_size(&h));
	blob = calloc(1, h.total_len);
	if (!blob)
		abort();
	memcpy(blob, &h, sizeof(h));
	attls_set_lay_out(&set, (const void *)blob);
	fill(&set);
	/* Each rule with each path would take hours to look at. */
	alarm(300);
	report(attls_set_parse(&set, blob, h.total_len, &where), name);
	alarm(0);
	free(blob);
}

static void all_paths(struct attls_set *set)
{
	struct attls_rule *r = (struct attls_rule *)set->rules;
	struct attls_rule *end = r + set->header->n_rules;

	for (; r < end; r++) {
		r->direction = IN;
		r->exes.count = set->header->n_refs;
	}
}

/* All but the first ask for the local port, with all keys. */
static void all_keys(struct attls_set *set)
{
	struct attls_node *n = (struct attls_node *)set->nodes;
	struct attls_key *keys = (struct attls_key *)set->keys;
	__u32 i;

	for (i = 0; i < set->header->n_keys; i++)
		keys[i].lo = i;
	for (i = 1; i < set->header->n_nodes; i++) {
		n[i].field = ATTLS_FIELD_LOCAL_PORT;
		n[i].level = 1;
		n[i].count = set->header->n_keys;
	}
}

static void test_rule_fields(void)
{
	static const char rules[] =
		"TTLSRule r\n{\nDirection Both\nPriority 77\nJobname job*\n"
		"TTLSGroupActionRef off\n}\n"
		RULE("s", "Inbound", "LocalAddr All\nTTLSConnectionAction c\n"
		     "{\nTTLSConnectionAdvancedParms\n{\n"
		     "ApplicationControlled On\nTruncationCheck Off\n"
		     "HandshakeTimeout 0\nResetCipherTimer 30\n}\n}");
	const struct attls_rule *r, *s;
	struct attls_set set;
	size_t len = 0;
	void *blob = compile(rules, &len);
	__u32 where;

	if (!blob || attls_set_parse(&set, blob, (__u32)len, &where))
		abort();
	r = &set.rules[0];
	s = &set.rules[1];
	report(r->priority == 77 && r->direction == (IN | OUT) &&
	       r->flags == ATTLS_RULE_JOB_PREFIX && r->job_len == 3 &&
	       !r->environment && !r->role && !strcmp(r->job, "job"),
	       "fields of a rule that is off");
	report(s->flags == (ATTLS_RULE_ENABLED | ATTLS_RULE_APPLCNTRL |
			    ATTLS_RULE_TRUNC_OK) &&
	       s->role == ATTLS_ROLE_SERVER_REQD && !s->hs_timeout &&
	       s->reset_timer == 30 &&
	       !strcmp(attls_set_string(&set, s->environment), "env") &&
	       !strcmp(attls_set_string(&set, s->connection), "c") &&
	       !s->local_addrs.count && s->priority == 1,
	       "fields of a rule that is on");
	free(blob);
}

/* Rules that use one group have one slice, not a copy each. */
static void test_sharing(void)
{
	static const char rules[] =
		RULE("r", "Both", "RemoteAddrGroupRef group")
		RULE("s", "Both", "RemoteAddrGroupRef group");
	struct attls_set set;
	size_t len = 0;
	void *blob = compile(rules, &len);
	__u32 where;

	if (!blob || attls_set_parse(&set, blob, (__u32)len, &where))
		abort();
	report(set.header->n_addrs == 3 &&
	       set.rules[0].remote_addrs.first ==
	       set.rules[1].remote_addrs.first, "a group is compiled once");
	free(blob);
}

int main(void)
{
	size_t len = 0, i;
	void *blob = compile(ORDER GROUP JOBS UID, &len);

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	printf("KTAP version 1\n1..%zu\n", N_CASES + N_PROCESSES + 10);
	for (i = 0; i < N_CASES; i++)
		test_match(&cases[i]);
	for (i = 0; i < N_PROCESSES; i++)
		test_process(&processes[i]);
	test_rule_fields();
	test_sharing();
	report(!blob, "rules of one name are refused");
	blob = compile(ORDER GROUP HARD, &len);
	if (!blob)
		abort();
	test_truncated(blob, len);
	test_flipped(blob, len);
	test_hostile(blob, len);
	free(blob);
	test_overlap("all paths to each rule",
		     (struct attls_set_header){ .n_rules = ATTLS_SET_MAX_RULES,
						.n_nodes = 1 }, all_paths);
	test_overlap("all keys to each node",
		     (struct attls_set_header){ .n_nodes = 300000,
						.n_keys = 300000 }, all_keys);
	blob = compile("", &len);
	report(blob && len == sizeof(struct attls_set_header) +
	       sizeof(struct attls_node) + 1,
	       "a policy without rules");
	free(blob);
	return failures ? 1 : 0;
}
