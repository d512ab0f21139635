/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Distinguished names in one form, so that the policy's text and the DER of
 * a certificate can be compared byte by byte.
 *
 * The outermost RDN stands first, as in DER and not as in RFC 4514, and each
 * has an end of its own: what RFC 4514 writes last is a prefix.  Types are
 * numbers; letters of ASCII are small and spaces are single, as RFC 5280 7.1
 * compares.
 */
#ifndef ATTLS_DN_H
#define ATTLS_DN_H

#include <stdbool.h>
#include <stddef.h>

#define POLICY_DN_MAX	1024		/* bytes of it, with the NUL */
#define POLICY_AVAS_MAX	32

/* A name on its way there.  Initialise n and used with 0. */
struct policy_dn {
	struct policy_ava {
		unsigned int rdn;
		const char *text;	/* type=value, in pool */
	} ava[POLICY_AVAS_MAX];
	size_t	n;
	size_t	used;
	char	pool[POLICY_DN_MAX - 1];
};

/*
 * Adds an attribute to RDN @rdn, the lowest being the outermost.  False: it
 * has what no name has that could be meant (control characters, bytes that
 * are not UTF-8), or there is no room.
 */
bool policy_dn_add(struct policy_dn *dn, unsigned int rdn, const char *oid,
		   const char *value, size_t len);

/* Puts the name into @text of POLICY_DN_MAX bytes. */
void policy_dn_text(struct policy_dn *dn, char *text);

/* Reads RFC 4514.  NULL, or what is wrong with @text. */
const char *policy_dn_parse(struct policy_dn *dn, const char *text);

#endif /* ATTLS_DN_H */
