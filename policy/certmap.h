/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Certificates to users, as TTLSCertificateMap says.  libpolicy knows what to
 * look for and in which order; taking a certificate apart is for who has it.
 */
#ifndef ATTLS_CERTMAP_H
#define ATTLS_CERTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy.h"

#define POLICY_FINGERPRINT_LEN	32	/* SHA-256 */

enum policy_alt_type {
	POLICY_ALT_NONE,
	POLICY_ALT_DNS,
	POLICY_ALT_EMAIL,
	POLICY_ALT_URI,
	POLICY_ALT_UPN,
};

/* A subjectAltName; bytes of a certificate have no NUL. */
struct policy_alt {
	enum policy_alt_type type;
	const char *name;
	size_t	len;
};

/* Whose certificate has all that is not NULL.  Names are those of dn.h. */
struct policy_cert_user {
	const char *user;
	uint32_t uid;
	const uint8_t *fingerprint;
	struct policy_alt alt;
	const char *subject;
	const char *issuer;
	bool	subject_whole;		/* not only its outer part */
	bool	issuer_whole;
	struct policy_place place;
};

struct policy_certmap {
	const char *name;
	struct policy_cert_user *user;	/* the most specific first */
	size_t	n;
};

/* What there is to know about a certificate. */
struct policy_cert {
	uint8_t	fingerprint[POLICY_FINGERPRINT_LEN];
	const char *subject;		/* NULL: none that a policy can have */
	const char *issuer;
	const struct policy_alt *alt;
	size_t	n_alts;
};

/*
 * The user of @cert; NULL when it has none, or when its alternative names are
 * those of several.
 */
const struct policy_cert_user *
policy_certmap_find(const struct policy_certmap *map,
		    const struct policy_cert *cert);

#endif /* ATTLS_CERTMAP_H */
