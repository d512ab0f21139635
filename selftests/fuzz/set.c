// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer of the validator and the matcher of rule sets, which the kernel runs:
 * whatever is taken is safe to match and to show, and a rule that is found is
 * one that matches.  The input is a connection and a rule set.
 */
#include "asked.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
			       unsigned int seed);

static void ask(const struct attls_set *set, const struct attls_tuple *t)
{
	int rule = attls_set_match(set, t), n = (int)set->header->n_rules;
	int any = attls_set_match_any(set, t);

	if (rule < -1 || rule >= n || any < ATTLS_MATCH_PROCESS || any >= n)
		abort();
	if (rule >= 0 && (!attls_match_conn(set, &set->rules[rule], t) ||
			  !attls_match_who(set, &set->rules[rule], t)))
		abort();
	if (any >= 0 && (!attls_match_conn(set, &set->rules[any], t) ||
			 attls_rule_asks_who(&set->rules[any])))
		abort();
}

/* From each root. */
static void ask_all(const struct attls_set *set, struct attls_tuple *t)
{
	t->direction = ATTLS_INBOUND;
	ask(set, t);
	t->direction = ATTLS_OUTBOUND;
	ask(set, t);
	t->local_port = 0;
	ask(set, t);
	t->exe = NULL;
	t->cgroup = NULL;
	ask(set, t);
}

static void check_name(const struct attls_set *set, __u32 offset)
{
	if (strlen(attls_set_string(set, offset)) >= ATTLS_NAME_LEN)
		abort();
}

static void check_names(const struct attls_set *set)
{
	const struct attls_rule *r = set->rules;
	const struct attls_rule *end = r + set->header->n_rules;

	for (; r < end; r++) {
		check_name(set, r->name);
		check_name(set, r->group);
		check_name(set, r->environment);
		check_name(set, r->connection);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attls_set set;
	struct asked a;
	__u32 where;
	void *blob;

	if (size < sizeof(a))
		return 0;
	memcpy(&a, data, sizeof(a));
	a.tuple.job[sizeof(a.tuple.job) - 1] = '\0';
	a.exe[sizeof(a.exe) - 1] = '\0';
	a.cgroup[sizeof(a.cgroup) - 1] = '\0';
	a.tuple.exe = a.exe;
	a.tuple.cgroup = a.cgroup;
	size -= sizeof(a);
	/* As long as it is, for the address sanitizer. */
	blob = malloc(size ? size : 1);
	if (!blob)
		abort();
	memcpy(blob, data + sizeof(a), size);
	if (!attls_set_parse(&set, blob, (__u32)size, &where)) {
		check_names(&set);
		ask_all(&set, &a.tuple);
	}
	free(blob);
	return 0;
}

/* Lengths that add up, mostly: others are refused before all else. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
			       unsigned int seed)
{
	struct attls_set_header h;
	__u64 promised;

	size = LLVMFuzzerMutate(data, size, max);
	if (seed % 8 == 0 || size < sizeof(struct asked) + sizeof(h))
		return size;
	memcpy(&h, data + sizeof(struct asked), sizeof(h));
	h.total_len = (__u32)(size - sizeof(struct asked));
	promised = attls_set_size(&h) - h.strings_len;
	if (promised < h.total_len)
		h.strings_len = (__u32)(h.total_len - promised);
	memcpy(data + sizeof(struct asked), &h, sizeof(h));
	return size;
}
