// SPDX-License-Identifier: GPL-2.0-only
/* Values of the conditions of a rule: addresses, ports, users. */
#include "format.h"
#include "tree.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS	"0123456789"

static void set_host_bits(uint8_t *addr, int from, bool to)
{
	int i;

	for (i = from; i < 128; i++) {
		if (to)
			addr[i / 8] |= (uint8_t)(0x80 >> i % 8);
		else
			addr[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	}
}

static bool addr_error(struct builder *b, const struct value *v,
		       const struct word *word, const char *why)
{
	char hint[128] = "give";
	long forms = v->param->min;
	size_t n = strlen(hint);
	size_t i;
	static const struct {
		long form;
		const char *text;
	} names[] = {
		{ ADDR_ONE, "an address" },
		{ ADDR_PREFIX, "address/prefix" },
		{ ADDR_RANGE, "address-address" },
		{ ADDR_ALL, "All" },
	};

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (forms & names[i].form)
			n += (size_t)snprintf(hint + n, sizeof(hint) - n,
					      "%s %s", n > 4 ? " or" : "",
					      names[i].text);
	policy_error(b, word, hint, "%s \"%s\": %s", v->param->name,
		     word->text, why);
	return false;
}

static bool read_prefix(struct builder *b, struct value *v,
			const struct word *word, char *text, char *slash)
{
	struct attls_addr_range *r = &v->addr;
	char hint[POLICY_ADDR_TEXT + 16];
	char canonical[POLICY_ADDR_TEXT];
	int bits, n;

	*slash++ = '\0';
	bits = policy_parse_addr(text, r->lo);
	if (!bits)
		return addr_error(b, v, word, "not an IPv4 or IPv6 address");
	if (!*slash || strlen(slash) > 3 || slash[strspn(slash, DIGITS)] ||
	    atoi(slash) > bits)
		return addr_error(b, v, word, bits == 32 ?
				  "the prefix is not from 0 to 32" :
				  "the prefix is not from 0 to 128");
	n = atoi(slash) + 128 - bits;
	memcpy(r->hi, r->lo, sizeof(r->hi));
	set_host_bits(r->lo, n, false);
	if (memcmp(r->lo, r->hi, sizeof(r->lo))) {
		memcpy(r->hi, r->lo, sizeof(r->hi));
		set_host_bits(r->hi, n, true);
		policy_format_addr_range(canonical, sizeof(canonical), r);
		snprintf(hint, sizeof(hint), "write %s", canonical);
		policy_warn(b, word, hint,
			    "%s \"%s\" has bits set after its prefix",
			    v->param->name, word->text);
	}
	set_host_bits(r->hi, n, true);
	return true;
}

static bool read_addr_range(struct builder *b, struct value *v,
			    const struct word *word, char *text, char *dash)
{
	struct attls_addr_range *r = &v->addr;
	int lo, hi;

	*dash++ = '\0';
	lo = policy_parse_addr(text, r->lo);
	hi = policy_parse_addr(dash, r->hi);
	if (!lo || !hi)
		return addr_error(b, v, word, "not an IPv4 or IPv6 address");
	if (lo != hi)
		return addr_error(b, v, word,
				  "IPv4 at one end and IPv6 at the other");
	if (memcmp(r->lo, r->hi, sizeof(r->lo)) > 0)
		return addr_error(b, v, word,
				  "the first address is above the second");
	return true;
}

/* The ADDR_ form that @text has. */
static long addr_form(const char *text)
{
	if (!strcasecmp(text, "All"))
		return ADDR_ALL;
	if (strchr(text, '/'))
		return ADDR_PREFIX;
	return strchr(text, '-') ? ADDR_RANGE : ADDR_ONE;
}

bool policy_value_addr(struct builder *b, struct value *v,
		       const struct word *word)
{
	char text[2 * INET6_ADDRSTRLEN + 2];
	long form = addr_form(word->text);

	if (strlen(word->text) >= sizeof(text))
		return addr_error(b, v, word, "not an IPv4 or IPv6 address");
	if (!(form & v->param->min))
		return addr_error(b, v, word, "that form is not for here");
	strcpy(text, word->text);
	switch (form) {
	case ADDR_ALL:
		v->any = true;
		memset(v->addr.lo, 0, sizeof(v->addr.lo));
		memset(v->addr.hi, 0xff, sizeof(v->addr.hi));
		return true;
	case ADDR_PREFIX:
		return read_prefix(b, v, word, text, strchr(text, '/'));
	case ADDR_RANGE:
		return read_addr_range(b, v, word, text, strchr(text, '-'));
	}
	if (!policy_parse_addr(text, v->addr.lo))
		return addr_error(b, v, word, "not an IPv4 or IPv6 address");
	memcpy(v->addr.hi, v->addr.lo, sizeof(v->addr.hi));
	return true;
}

/* The service of TCP of that name, of this system. */
static int service_port(const char *name)
{
	const struct servent *service = getservbyname(name, "tcp");

	return service ? ntohs((uint16_t)service->s_port) : -1;
}

static bool is_service(const char *text)
{
	return isalpha((unsigned char)*text);
}

/*
 * A port number of @len bytes at @text, or a service that is all of @text;
 * -1 when it is none.
 */
static int read_port(const char *text, size_t len)
{
	int port;

	if (is_service(text))
		return service_port(text);
	if (!len || len > 5 || strspn(text, DIGITS) < len)
		return -1;
	port = atoi(text);		/* ends at the '-' or the NUL */
	return port > 65535 ? -1 : port;
}

bool policy_value_ports(struct builder *b, struct value *v,
			const struct word *word)
{
	const char *first = word->text, *second = first;
	/* Names of services have a '-' too. */
	size_t n = is_service(first) ? strlen(first) : strcspn(first, "-");
	int lo, hi;

	if (first[n])
		second = first + n + 1;
	else if (word->next)
		second = word->next->text;
	lo = read_port(first, n);
	hi = second == first ? lo : read_port(second, strlen(second));
	if (lo < 0 || hi < 0 || (first[n] && word->next) || (!lo && hi)) {
		policy_error(b, word,
			     "give n, n m or n-m with ports from 1 to 65535 "
			     "or services of /etc/services, or 0 for any",
			     "%s \"%s%s%s\" is not a range of ports",
			     v->param->name, first, word->next ? " " : "",
			     word->next ? word->next->text : "");
		return false;
	}
	if (lo > hi) {
		policy_error(b, word, "put the lower port first",
			     "%s: %d is above %d", v->param->name, lo, hi);
		return false;
	}
	v->any = !lo;
	v->ports.lo = (uint16_t)lo;
	v->ports.hi = (uint16_t)(lo ? hi : 65535);
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts the @n ids and keeps them as ranges. */
static void keep_ids(struct builder *b, struct value *v, uint32_t *ids,
		     size_t n)
{
	struct attls_id_range *r;
	size_t i;

	qsort(ids, n, sizeof(*ids), compare_ids);
	v->ids.range = policy_arena_alloc(&b->policy->arena,
					  n * sizeof(*v->ids.range));
	for (i = 0; i < n; i++) {
		r = v->ids.n ? &v->ids.range[v->ids.n - 1] : NULL;
		if (r && ids[i] - r->hi <= 1) {
			r->hi = ids[i];
			continue;
		}
		r = &v->ids.range[v->ids.n++];
		r->lo = ids[i];
		r->hi = ids[i];
	}
}

static void add_id(uint32_t **ids, size_t *n, uint32_t id)
{
	if (!(*n & (*n - 1)))
		*ids = policy_realloc(*ids, *n ? *n * 2 : 1, sizeof(**ids));
	(*ids)[(*n)++] = id;
}

/* All users whose names begin with the @len bytes at @prefix. */
static size_t find_users(const char *prefix, size_t len, uint32_t **ids)
{
	const struct passwd *pw;
	size_t n = 0;

	setpwent();
	while ((pw = getpwent())) {
		if (strncmp(pw->pw_name, prefix, len))
			continue;
		add_id(ids, &n, pw->pw_uid);
	}
	endpwent();
	return n;
}

#define LOOKED_UP \
	" are looked up when the policy is read: create them first"

/* The @n users @ids that @word stands for; if none, what is @wrong. */
static bool keep_found(struct builder *b, struct value *v,
		       const struct word *word, uint32_t *ids, size_t n,
		       const char *hint, const char *wrong)
{
	if (n)
		keep_ids(b, v, ids, n);
	else
		policy_error(b, word, hint, "%s \"%s\"%s", v->param->name,
			     word->text, wrong);
	free(ids);
	return n;
}

static bool read_user_pattern(struct builder *b, struct value *v,
			      const struct word *word)
{
	size_t len = strlen(word->text) - 1;
	uint32_t *ids = NULL;
	size_t n;

	v->any = !len;
	if (v->any)
		return true;
	if (strchr(word->text, '*') != word->text + len) {
		policy_error(b, word, "move the '*' to the end",
			     "%s \"%s\" has a '*' before its end",
			     v->param->name, word->text);
		return false;
	}
	n = find_users(word->text, len, &ids);
	return keep_found(b, v, word, ids, n, "users" LOOKED_UP,
			  " matches no user of this system");
}

/* Those with the group as their own, and its members. */
static size_t find_members(const struct group *group, uint32_t **ids)
{
	const struct passwd *pw;
	size_t n = 0, i;

	setpwent();
	while ((pw = getpwent()))
		if (pw->pw_gid == group->gr_gid)
			add_id(ids, &n, pw->pw_uid);
	endpwent();
	for (i = 0; group->gr_mem[i]; i++) {
		pw = getpwnam(group->gr_mem[i]);
		if (pw)
			add_id(ids, &n, pw->pw_uid);
	}
	return n;
}

static bool read_group(struct builder *b, struct value *v,
		       const struct word *word)
{
	const struct group *group = getgrnam(word->text + 1);
	uint32_t *ids = NULL;
	size_t n = group ? find_members(group, &ids) : 0;

	return keep_found(b, v, word, ids, n, "members" LOOKED_UP,
			  group ? ": the group has no members" :
			  ": this system has no such group");
}

static bool read_id(const char *text, uint32_t *id)
{
	unsigned long n;

	if (!*text || strlen(text) > 10 || text[strspn(text, DIGITS)])
		return false;
	n = strtoul(text, NULL, 10);
	*id = (uint32_t)n;
	return n < UINT32_MAX;		/* which is "no user" */
}

bool policy_value_uids(struct builder *b, struct value *v,
		       const struct word *word)
{
	const char *second = word->next ? word->next->text : word->text;
	struct attls_id_range *r;

	r = policy_arena_alloc(&b->policy->arena, sizeof(*r));
	if (read_id(word->text, &r->lo) && read_id(second, &r->hi) &&
	    r->lo <= r->hi) {
		v->ids.range = r;
		v->ids.n = 1;
		return true;
	}
	policy_error(b, word,
		     "give n or n m, the lower first, below 4294967295",
		     "%s \"%s%s%s\" is not a range of user numbers",
		     v->param->name, word->text, word->next ? " " : "",
		     word->next ? second : "");
	return false;
}

/* A name first: on some systems there are users that are called 123. */
static bool read_user_name(const char *text, uint32_t *id)
{
	const struct passwd *pw = getpwnam(text);

	if (!pw)
		return read_id(text, id);
	*id = pw->pw_uid;
	return true;
}

bool policy_value_user(struct builder *b, struct value *v,
		       const struct word *word)
{
	const char *text = word->text;
	uint32_t id;

	if (*text == '@')
		return read_group(b, v, word);
	if (*text && text[strlen(text) - 1] == '*')
		return read_user_pattern(b, v, word);
	if (read_user_name(text, &id)) {
		keep_ids(b, v, &id, 1);
		return true;
	}
	policy_error(b, word, "give a user name, or a number below 4294967295",
		     "%s \"%s\" is not a user of this system", v->param->name,
		     text);
	return false;
}
