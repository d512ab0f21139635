// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is wrong with a key ring that can be used: dates, sizes, who can read
 * the keys.
 */
#include "internal.h"

#include <stdio.h>
#include <time.h>

#define DAY		(24 * 60 * 60)		/* seconds */
#define SOON		(30 * DAY)
#define RSA_BITS	2048
#define EC_BITS		256

struct advice {
	const struct keyring *ring;
	const struct policy_action *action;
	enum policy_severity severity;	/* of one that no peer will take */
	struct policy_diags *diags;
};

#define advise(a, severity, hint, ...) \
	policy_diags_add((a)->diags, severity, &(a)->action->keyring_place, \
			 hint, __VA_ARGS__)

static const char *date_of(const ASN1_TIME *when, char *buf, size_t size)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(when, &tm) ||
	    !strftime(buf, size, "%Y-%m-%d", &tm))
		snprintf(buf, size, "an unknown date");
	return buf;
}

/* A third of the life of a certificate that lives less than 90 days. */
static time_t soon(const ASN1_TIME *from, const ASN1_TIME *to)
{
	int days, seconds;
	time_t third = SOON;

	if (ASN1_TIME_diff(&days, &seconds, from, to))
		third = ((time_t)days * DAY + seconds) / 3;
	return time(NULL) + (third < SOON ? third : SOON);
}

static void check_dates(const struct advice *a, X509 *cert, const char *what,
			enum policy_severity severity)
{
	const ASN1_TIME *from = X509_get0_notBefore(cert);
	const ASN1_TIME *to = X509_get0_notAfter(cert);
	time_t limit = soon(from, to);
	char date[32];

	if (X509_cmp_current_time(to) <= 0)
		advise(a, severity, "renew it: it is not taken any more",
		       "%s: %s expired on %s", a->ring->path, what,
		       date_of(to, date, sizeof(date)));
	else if (X509_cmp_current_time(from) > 0)
		advise(a, severity, "wait, or set the clock of this machine",
		       "%s: %s is not valid before %s", a->ring->path, what,
		       date_of(from, date, sizeof(date)));
	else if (X509_cmp_time(to, &limit) <= 0)
		advise(a, POLICY_WARNING, "renew it",
		       "%s: %s expires on %s", a->ring->path, what,
		       date_of(to, date, sizeof(date)));
}

static void check_bits(const struct advice *a, const struct keyring_pair *pair,
		       const char *kind, unsigned int floor,
		       unsigned int peers, const char *parameter)
{
	unsigned int bits = (unsigned int)EVP_PKEY_get_bits(pair->key);
	char hint[64];

	snprintf(hint, sizeof(hint), "make one of %u bits",
		 peers > floor ? peers : floor);
	if (bits < floor)
		advise(a, POLICY_WARNING, hint,
		       "%s: the %s key of \"%s\" has only %u bits",
		       a->ring->path, kind, pair->label, bits);
	else if (bits < peers)
		advise(a, POLICY_WARNING, hint,
		       "%s: the %s key of \"%s\" has %u bits, and %s asks %u of the peers",
		       a->ring->path, kind, pair->label, bits, parameter,
		       peers);
}

static void check_key(const struct advice *a, const struct keyring_pair *pair)
{
	switch (EVP_PKEY_get_base_id(pair->key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		check_bits(a, pair, "RSA", RSA_BITS, a->action->min_rsa,
			   "PeerMinRsaKeySize");
		break;
	case EVP_PKEY_EC:
		check_bits(a, pair, "EC", EC_BITS, a->action->min_ec,
			   "PeerMinECCKeySize");
		break;
	}
}

static void check_pair(const struct advice *a, const struct keyring_pair *pair)
{
	char what[320];

	snprintf(what, sizeof(what), "the certificate \"%s\"", pair->label);
	check_dates(a, pair->cert, what, a->severity);
	check_key(a, pair);
}

static void check_authorities(const struct advice *a,
			      const STACK_OF(X509) *certs,
			      enum policy_severity severity)
{
	char subject[256], what[320];

	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		X509_NAME_oneline(X509_get_subject_name(cert), subject,
				  sizeof(subject));
		snprintf(what, sizeof(what), "the authority \"%s\"", subject);
		check_dates(a, cert, what, severity);
	}
}

/* OpenSSL takes no certificate on the word of one that is over. */
static void check_crls(const struct advice *a)
{
	char issuer[256], date[32];

	for (int i = 0; i < sk_X509_CRL_num(a->ring->crls); i++) {
		const X509_CRL *crl = sk_X509_CRL_value(a->ring->crls, i);
		const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

		if (!next || X509_cmp_current_time(next) > 0)
			continue;
		X509_NAME_oneline(X509_CRL_get_issuer(crl), issuer,
				  sizeof(issuer));
		advise(a, POLICY_WARNING,
		       "fetch it anew: with this one no certificate of that authority is good",
		       "%s: the CRL of \"%s\" ended on %s", a->ring->path,
		       issuer, date_of(next, date, sizeof(date)));
	}
}

/* What @ctx has is what is shown, with the chain that is sent. */
static void check_shown(const struct advice *a, SSL_CTX *ctx)
{
	int found = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);
	STACK_OF(X509) *chain;

	for (; found; found = SSL_CTX_set_current_cert(ctx,
						       SSL_CERT_SET_NEXT)) {
		for (size_t i = 0; i < a->ring->n_pairs; i++)
			if (a->ring->pairs[i].cert ==
			    SSL_CTX_get0_certificate(ctx))
				check_pair(a, &a->ring->pairs[i]);
		if (SSL_CTX_get0_chain_certs(ctx, &chain))
			check_authorities(a, chain, a->severity);
	}
}

static void check_access(const struct advice *a)
{
	if (a->ring->weak)
		advise(a, POLICY_WARNING, KEYRING_CONVERT,
		       "%s: is encrypted weakly, as once with 40-bit RC2: who gets the file can break it",
		       a->ring->path);
	if (a->ring->writable)
		advise(a, POLICY_WARNING, "chmod o-w, and look at what is there",
		       "%s: everybody can write there, and have authorities trusted",
		       a->ring->path);
	for (size_t i = 0; i < a->ring->n_pairs; i++)
		if (a->ring->pairs[i].exposed)
			advise(a, POLICY_WARNING,
			       "chmod 600, and think of it as known to others",
			       "%s: everybody can read the private key of \"%s\"",
			       a->ring->path, a->ring->pairs[i].label);
}

void keyring_advise(const struct keyring *ring, SSL_CTX *ctx,
		    const struct policy_action *action,
		    enum policy_severity severity, struct policy_diags *diags)
{
	const struct advice a = { ring, action, severity, diags };

	check_shown(&a, ctx);
	if (policy_role_verifies(action->role)) {
		check_authorities(&a, ring->anchors, POLICY_WARNING);
		check_crls(&a);
	}
	check_access(&a);
}

void keyring_advise_shown(const struct keyring *ring, SSL_CTX *ctx,
			  const struct policy_action *action,
			  enum policy_severity severity,
			  struct policy_diags *diags)
{
	const struct advice a = { ring, action, severity, diags };

	check_shown(&a, ctx);
}
