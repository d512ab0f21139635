// SPDX-License-Identifier: GPL-2.0-only
/* Values of the conditions on addresses: addresses and ports. */
#include "format.h"
#include "tree.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
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
