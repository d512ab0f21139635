/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What TLS numbers, and how a policy may spell it: by name or by code.
 */
#ifndef ATTLS_CODES_H
#define ATTLS_CODES_H

#include <stddef.h>
#include "policy.h"

struct policy_codes {
	const char *what;		/* "cipher suite" */
	const struct policy_code *code;
	size_t	n;
	/* NULL when there is none; case does not matter. */
	const struct policy_code *(*named)(const char *name);
	const struct policy_code *(*numbered)(unsigned long id);
};

/*
 * In the order in which a server prefers those of POLICY_CODE_DEFAULT.  By
 * IANA's name, with or without the TLS_ or SSL_ before it and the WITH
 * inside, or by OpenSSL's.
 */
extern const struct policy_codes policy_suites;

const struct policy_code *policy_suite_named(const char *name);

#endif /* ATTLS_CODES_H */
