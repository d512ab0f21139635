// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer of the policy language.  Whatever the text is, it is a policy or has
 * an error that can be shown.  A policy that is printed is one again: it
 * prints as the same text and has the same rules and parameters.  Most texts
 * are none; they are tried again without the lines that have errors.
 *
 * The current directory is where the policy and what it includes are.
 */
#include "attls_match.h"
#include "tree.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME	"policy.conf"
#define NOW		1798761600	/* 1 January 2027 */
#define ERRORS_MAX	64
#define REPAIRS		8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A policy, taken through all that is done with one. */
struct taken {
	struct attls_set set;
	void	*blob;			/* NULL: it was refused */
	char	*text;			/* as printed */
	size_t	len;
	char	*parameters;		/* of all rules */
	int	errors[ERRORS_MAX];	/* lines of the file, ascending */
	int	n_errors;
};

static void fail(const char *what, const char *text)
{
	fprintf(stderr, "%s:\n%s\n", what, text ? text : "");
	abort();
}

static void write_file(const void *data, size_t size)
{
	int fd = open(FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd))
		fail("cannot write " FILE_NAME, NULL);
}

static void show_parameter(const struct policy_parameter *p, void *out)
{
	fprintf(out, "%s %s %s %s\n", p->name, p->value,
		p->statement ? p->statement : "-", p->object ? p->object : "-");
}

static char *parameters(const struct policy *policy)
{
	char *text = NULL;
	size_t len, i;
	FILE *out = open_memstream(&text, &len);

	for (i = 0; i < policy_rule_count(policy); i++)
		policy_parameters(policy, i, show_parameter, out);
	if (fclose(out))
		abort();
	return text;
}

/* What libpolicy says of itself. */
static bool is_our_bug(const struct policy_diag *d)
{
	return d->suggestion && !strcmp(d->suggestion, "please report");
}

/* Errors are there if and only if it was refused, and none is a bug of ours. */
static void check_diags(const struct policy_diags *diags, bool refused)
{
	struct json_object *json = policy_diags_json(diags);
	char *text = NULL;
	bool wrong = refused != !!diags->errors;
	size_t len, i;
	FILE *out = open_memstream(&text, &len);

	policy_diags_print(out, diags);
	if (fclose(out))
		abort();
	for (i = 0; i < diags->n; i++)
		wrong |= is_our_bug(&diags->diag[i]);
	if (wrong)
		fail("what it says", text);
	json_object_put(json);
	free(text);
}

/* Diagnostics are sorted; some are of what the file includes. */
static void note_errors(struct taken *t, const struct policy_diags *diags)
{
	const struct policy_diag *d;
	size_t i;

	for (i = 0; i < diags->n && t->n_errors < ERRORS_MAX; i++) {
		d = &diags->diag[i];
		if (d->severity == POLICY_ERROR && d->line && d->file &&
		    !strcmp(d->file, FILE_NAME))
			t->errors[t->n_errors++] = d->line;
	}
}

static void print(const struct policy *policy, struct taken *t)
{
	FILE *out = open_memstream(&t->text, &t->len);

	if (policy_print(policy, out) || fclose(out))
		abort();
}

static void take(struct taken *t)
{
	struct policy_diags diags = { 0 };
	struct policy *policy = policy_load(FILE_NAME, &diags);
	size_t len;
	__u32 where;

	memset(t, 0, sizeof(*t));
	if (policy)
		policy_compile(policy, NOW, &t->blob, &len, &diags);
	if (t->blob) {
		policy_lint(policy, t->blob, len, &diags);
		if (attls_set_parse(&t->set, t->blob, (__u32)len, &where))
			abort();
		print(policy, t);
		t->parameters = parameters(policy);
	}
	note_errors(t, &diags);
	check_diags(&diags, !t->blob);
	policy_diags_free(&diags);
	policy_free(policy);
}

static void drop(struct taken *t)
{
	free(t->blob);
	free(t->text);
	free(t->parameters);
}

static bool same_names(const struct attls_set *a, __u32 x,
		       const struct attls_set *b, __u32 y)
{
	return !strcmp(attls_set_string(a, x), attls_set_string(b, y));
}

/* Of the paths in strings that slices of refs name. */
static bool same_paths(const struct attls_set *a, struct attls_slice x,
		       const struct attls_set *b, struct attls_slice y)
{
	__u32 i;

	for (i = 0; x.count == y.count && i < x.count; i++)
		if (!same_names(a, a->refs[x.first + i], b,
				b->refs[y.first + i]))
			return false;
	return x.count == y.count;
}

/* Slice @slice of rule @i in table @table of both sets. */
#define SAME_SLICE(a, b, i, slice, table) \
	((a)->rules[i].slice.count == (b)->rules[i].slice.count && \
	 !memcmp((a)->table + (a)->rules[i].slice.first, \
		 (b)->table + (b)->rules[i].slice.first, \
		 (a)->rules[i].slice.count * sizeof(*(a)->table)))

static bool same_conditions(const struct attls_set *a,
			    const struct attls_set *b, __u32 i)
{
	const struct attls_rule *r = &a->rules[i], *s = &b->rules[i];

	return SAME_SLICE(a, b, i, local_addrs, addrs) &&
	       SAME_SLICE(a, b, i, remote_addrs, addrs) &&
	       SAME_SLICE(a, b, i, local_ports, ports) &&
	       SAME_SLICE(a, b, i, remote_ports, ports) &&
	       SAME_SLICE(a, b, i, uids, ids) &&
	       SAME_SLICE(a, b, i, gids, ids) &&
	       SAME_SLICE(a, b, i, netns, ids) &&
	       SAME_SLICE(a, b, i, times, times) &&
	       same_paths(a, r->exes, b, s->exes) &&
	       same_paths(a, r->cgroups, b, s->cgroups);
}

static bool same_rule(const struct attls_set *a, const struct attls_set *b,
		      __u32 i)
{
	const struct attls_rule *r = &a->rules[i], *s = &b->rules[i];

	return same_names(a, r->name, b, s->name) &&
	       same_names(a, r->group, b, s->group) &&
	       same_names(a, r->environment, b, s->environment) &&
	       same_names(a, r->connection, b, s->connection) &&
	       r->priority == s->priority && r->hs_timeout == s->hs_timeout &&
	       r->direction == s->direction && r->role == s->role &&
	       r->flags == s->flags && r->job_len == s->job_len &&
	       !memcmp(r->job, s->job, sizeof(r->job)) &&
	       same_conditions(a, b, i);
}

static bool same_rules(const struct attls_set *a, const struct attls_set *b)
{
	__u32 i;

	if (a->header->n_rules != b->header->n_rules)
		return false;
	for (i = 0; i < a->header->n_rules; i++)
		if (!same_rule(a, b, i))
			return false;
	return true;
}

static void check_fixed_point(const struct taken *once)
{
	struct taken twice;

	/*
	 * A policy without rules prints as nothing, which no policy is; and a
	 * password as stars, which none is either.
	 */
	if (!once->len || strstr(once->text, POLICY_MASK))
		return;
	write_file(once->text, once->len);
	take(&twice);
	if (!twice.blob)
		fail("the printed policy is refused", once->text);
	if (strcmp(once->text, twice.text))
		fail("printed again it differs", once->text);
	if (!same_rules(&once->set, &twice.set))
		fail("printed it has other rules", once->text);
	if (strcmp(once->parameters, twice.parameters))
		fail("printed it has other parameters", once->text);
	drop(&twice);
}

/* Takes the lines out of @text that have errors; its new size. */
static size_t cut_errors(char *text, size_t size, const struct taken *t)
{
	char *from = text, *to = text, *end = text + size, *next;
	int line = 1, i = 0;

	for (; from < end; from = next, line++) {
		next = memchr(from, '\n', (size_t)(end - from));
		next = next ? next + 1 : end;
		while (i < t->n_errors && t->errors[i] < line)
			i++;
		if (i < t->n_errors && t->errors[i] == line)
			continue;
		memmove(to, from, (size_t)(next - from));
		to += next - from;
	}
	return (size_t)(to - text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct taken once;
	int tries;

	if (!text)
		abort();
	memcpy(text, data, size);
	for (tries = 0; tries < REPAIRS; tries++) {
		write_file(text, size);
		take(&once);
		if (once.blob)
			check_fixed_point(&once);
		drop(&once);
		if (!once.n_errors)
			break;
		size = cut_errors(text, size, &once);
	}
	free(text);
	return 0;
}
