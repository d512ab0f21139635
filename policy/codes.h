/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What TLS numbers, and how a policy may spell it: by name or by code.
 */
#ifndef ATTLS_CODES_H
#define ATTLS_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include "policy.h"

struct policy_codes {
	const char *what;		/* "cipher suite" */
	const struct policy_code *code;
	size_t	n;
	int	base;			/* in which codes are written */
	const char *example;		/* of a code */
	/* Is @code called @name?  Case does not matter. */
	bool	(*is_named)(const struct policy_code *code, const char *name);
};

/*
 * In the order in which a server prefers those of POLICY_CODE_DEFAULT.  By
 * IANA's name, with or without the TLS_ or SSL_ before it and the WITH
 * inside, or by OpenSSL's.
 */
extern const struct policy_codes policy_suites;

/* Of key exchange: by IANA's name or that of the standard of the curve. */
extern const struct policy_codes policy_groups;

extern const struct policy_codes policy_sigalgs;

/* NULL when there is none. */
const struct policy_code *policy_code_named(const struct policy_codes *codes,
					    const char *name);
const struct policy_code *policy_code_numbered(const struct policy_codes *codes,
					       unsigned long id);

#endif /* ATTLS_CODES_H */
