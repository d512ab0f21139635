/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libkeyring: reads the key rings that a policy names, and gives an SSL_CTX
 * what a role needs of them.  attlsd serves with it, attls check says with it
 * what attlsd would.
 *
 * Functions return 0 or a negative errno unless a comment says otherwise.
 */
#ifndef ATTLS_KEYRING_H
#define ATTLS_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/ssl.h>

#include "policy.h"

struct keyring_pair {
	char	*label;			/* as CertificateLabel has it */
	X509	*cert;
	EVP_PKEY *key;
	STACK_OF(X509) *chain;		/* what followed in the PEM file */
	bool	exposed;		/* everybody can read the key */
};

struct keyring_password;

struct keyring {
	char	*path;
	struct keyring_pair *pairs;	/* in the order of file names */
	size_t	n_pairs;
	STACK_OF(X509) *anchors;
	STACK_OF(X509_CRL) *crls;
	const char *token;		/* its label; NULL: these are files */
	struct keyring_password *pin;	/* of the token */
	bool	writable;		/* everybody can change it */
	bool	weak;			/* its encryption is easily broken */
};

struct keyring_why {			/* for people */
	int	error;			/* negative errno */
	char	text[512];
	const char *hint;		/* what to do about it, or NULL */
};

/* load.c */

/* NULL with the reason in @why. */
struct keyring *keyring_load(const struct policy_action *action,
			     struct keyring_why *why);
void keyring_free(struct keyring *ring);
const struct keyring_pair *keyring_find(const struct keyring *ring,
					const char *label);

/* pem.c: the first text that OpenSSL has left */
void keyring_openssl_text(char *buf, size_t size);

/* fips.c */

/*
 * Makes what @action needs for its FIPS140, if it has one; an error is in
 * @diags too.  Once in a process, before it is confined; what it forks has it.
 */
int keyring_fips_init(const struct policy_action *action,
		      struct policy_diags *diags);
/* Where the cryptography of @action is; NULL: the usual context. */
OSSL_LIB_CTX *keyring_context(const struct policy_action *action);
/* An SSL_CTX in that context.  NULL: no memory. */
SSL_CTX *keyring_ssl_ctx(const struct policy_action *action);

/* rings.c: those of a policy, each read once; initialise with = { 0 } */
struct keyrings {
	struct keyrings_entry *entry;
	size_t	n;
};

/* NULL with the reason in @why. */
const struct keyring *keyrings_get(struct keyrings *rings,
				   const struct policy_action *action,
				   struct keyring_why *why);
void keyrings_free(struct keyrings *rings);
/* The first that @fn returned other than 0, or 0. */
int keyrings_each(const struct keyrings *rings,
		  int (*fn)(const struct keyring *ring, void *arg), void *arg);

/* use.c */

/* Of OpenSSL: keys and hashes that are worth 112 bits. */
#define KEYRING_SECURITY_LEVEL	2

/*
 * The certificates that @action shows and the authorities that it trusts,
 * for @ctx.  An error is in @diags too.
 */
int keyring_use(const struct keyring *ring, SSL_CTX *ctx,
		const struct policy_action *action,
		struct policy_diags *diags);

/*
 * The certificate that a server shows for name @i of its list: in an SSL_CTX,
 * for SSL_CTX_free(), that no connection is made from.  @ctx has what
 * keyring_use() gave it.  NULL with the reason in @diags.
 */
SSL_CTX *keyring_show(const struct keyring *ring, SSL_CTX *ctx,
		      const struct policy_action *action, size_t i,
		      struct policy_diags *diags);

/*
 * advise.c: warnings about what @ctx now has of @ring.  One that no peer will
 * take, such as an expired certificate, is of @severity.
 */
void keyring_advise(const struct keyring *ring, SSL_CTX *ctx,
		    const struct policy_action *action,
		    enum policy_severity severity, struct policy_diags *diags);

/* The same for one of keyring_show(). */
void keyring_advise_shown(const struct keyring *ring, SSL_CTX *ctx,
			  const struct policy_action *action,
			  enum policy_severity severity,
			  struct policy_diags *diags);

#endif /* ATTLS_KEYRING_H */
