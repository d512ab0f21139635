// SPDX-License-Identifier: GPL-2.0-only
#include "dn.h"
#include "utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define END_OF_RDN	'\1'
#define SAME_RDN	'\2'

/* Those of RFC 4514, then those that programs and z/OS write besides. */
static const struct {
	const char *name;
	const char *oid;
} types[] = {
	{ "CN", "2.5.4.3" },
	{ "L", "2.5.4.7" },
	{ "ST", "2.5.4.8" },
	{ "O", "2.5.4.10" },
	{ "OU", "2.5.4.11" },
	{ "C", "2.5.4.6" },
	{ "STREET", "2.5.4.9" },
	{ "DC", "0.9.2342.19200300.100.1.25" },
	{ "UID", "0.9.2342.19200300.100.1.1" },
	{ "emailAddress", "1.2.840.113549.1.9.1" },
	{ "EMAIL", "1.2.840.113549.1.9.1" },
	{ "E", "1.2.840.113549.1.9.1" },
	{ "GN", "2.5.4.42" },
	{ "MAIL", "0.9.2342.19200300.100.1.3" },
	{ "SERIALNUMBER", "2.5.4.5" },
	{ "SN", "2.5.4.4" },
	{ "SP", "2.5.4.8" },
	{ "T", "2.5.4.12" },
	{ "title", "2.5.4.12" },
	{ "PC", "2.5.4.17" },
	{ "postalCode", "2.5.4.17" },
};

/* Adds a byte to the pool, whose last is kept for the NUL. */
static bool put(struct policy_dn *dn, char c)
{
	if (dn->used + 1 >= sizeof(dn->pool))
		return false;
	dn->pool[dn->used++] = c;
	return true;
}

static bool put_text(struct policy_dn *dn, const char *text)
{
	while (*text)
		if (!put(dn, *text++))
			return false;
	return true;
}

/* Small letters, single spaces, none at either end. */
static bool put_value(struct policy_dn *dn, const char *value, size_t len)
{
	bool space = false, begun = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (value[i] == ' ') {
			space = begun;
			continue;
		}
		if (space && !put(dn, ' '))
			return false;
		if (!put(dn, (char)(isascii(value[i]) ? tolower(value[i]) :
				    value[i])))
			return false;
		space = false;
		begun = true;
	}
	return true;
}

static bool is_text(const char *value, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(value + i, len - i);
		if (!n || utf8_is_control(value + i, n))
			return false;
	}
	return true;
}

bool policy_dn_add(struct policy_dn *dn, unsigned int rdn, const char *oid,
		   const char *value, size_t len)
{
	struct policy_ava *ava;

	if (dn->n == POLICY_AVAS_MAX || !is_text(value, len))
		return false;
	ava = &dn->ava[dn->n];
	ava->rdn = rdn;
	ava->text = dn->pool + dn->used;
	if (!put_text(dn, oid) || !put(dn, '=') || !put_value(dn, value, len))
		return false;
	dn->pool[dn->used++] = '\0';
	dn->n++;
	return true;
}

/* What stands in one RDN is a set: it has no order of its own. */
static int compare_avas(const void *a, const void *b)
{
	const struct policy_ava *x = a, *y = b;

	if (x->rdn != y->rdn)
		return x->rdn < y->rdn ? -1 : 1;
	return strcmp(x->text, y->text);
}

void policy_dn_text(struct policy_dn *dn, char *text)
{
	size_t i;

	qsort(dn->ava, dn->n, sizeof(*dn->ava), compare_avas);
	for (i = 0; i < dn->n; i++) {
		text = stpcpy(text, dn->ava[i].text);
		*text++ = i + 1 < dn->n && dn->ava[i + 1].rdn ==
			  dn->ava[i].rdn ? SAME_RDN : END_OF_RDN;
	}
	*text = '\0';
}

static bool is_oid(const char *type)
{
	return isdigit((unsigned char)*type) && strchr(type, '.') &&
	       type[strspn(type, "0123456789.")] == '\0' &&
	       !strstr(type, "..") && type[strlen(type) - 1] != '.';
}

static const char *oid_of(const char *type)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcasecmp(types[i].name, type))
			return types[i].oid;
	return is_oid(type) ? type : NULL;
}

/* NULL, or what is wrong.  *@text is behind the '=' then. */
static const char *read_type(const char **text, char *type, size_t size)
{
	size_t len;

	*text += strspn(*text, " ");
	len = strcspn(*text, "=,+\\");
	if ((*text)[len] != '=')
		return "a part of it has no '='";
	if (len >= size)
		return "a part of it has a type that nobody knows";
	memcpy(type, *text, len);
	*text += len + 1;
	while (len && type[len - 1] == ' ')
		len--;
	type[len] = '\0';
	return NULL;
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' :
	       tolower((unsigned char)c) - 'a' + 10;
}

/* The byte that *@text stands for, behind a backslash; 0: none. */
static char read_escape(const char **text)
{
	const char *t = *text;

	if (isxdigit((unsigned char)t[0]) && isxdigit((unsigned char)t[1])) {
		*text += 2;
		return (char)(hex(t[0]) << 4 | hex(t[1]));
	}
	if (!*t || !strchr(" \"#+,;<=>\\", *t))
		return '\0';
	++*text;
	return *t;
}

/* NULL, or what is wrong.  *@text is at its end or behind the separator. */
static const char *read_value(const char **text, char *value, size_t *len)
{
	char c;

	*text += strspn(*text, " ");
	if (**text == '#')
		return "a value in hexadecimal form";
	for (*len = 0; **text && !strchr(",+", **text); (*len)++) {
		if (*len == POLICY_DN_MAX)
			return "it is too long";
		c = *(*text)++;
		if (strchr("\";<>=", c))
			return "a value has one of \" ; < > = without a "
			       "backslash";
		if (c == '\\')
			c = read_escape(text);
		if (!c)
			return "a backslash that stands for no character";
		value[*len] = c;
	}
	return NULL;
}

const char *policy_dn_parse(struct policy_dn *dn, const char *text)
{
	char type[64], value[POLICY_DN_MAX];
	unsigned int rdn = POLICY_AVAS_MAX;
	const char *wrong, *oid;
	size_t len;

	for (;;) {
		wrong = read_type(&text, type, sizeof(type));
		if (!wrong)
			wrong = read_value(&text, value, &len);
		if (wrong)
			return wrong;
		oid = oid_of(type);
		if (!oid)
			return "a part of it has a type that nobody knows";
		if (!policy_dn_add(dn, rdn, oid, value, len))
			return "it is too long, or has control characters";
		if (!*text)
			return NULL;
		/* RFC 4514 begins with the innermost. */
		if (*text++ == ',')
			rdn--;
	}
}
