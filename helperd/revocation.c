// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a certificate of the peer's chain was revoked.
 *
 * The check comes when the handshake is done and before the kernel gets the
 * keys: in both roles there is the same place to wait, OpenSSL is not in the
 * middle of anything, and the program has neither sent nor received a byte.
 * The peer sees a reset, not an alert.
 *
 * Each certificate but the last, which the ring trusts as it is, has a list
 * of sources: CRLs of the ring first, then whom the policy says to ask.  The
 * first that says good or revoked decides.  When none does, the
 * RevocationSecurityLevel says what that means.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#define NAME_SIZE	160

enum source_kind {
	SOURCE_RING,
	SOURCE_CRL,
	SOURCE_OCSP,
	SOURCE_LDAP,
};

struct source {
	enum source_kind kind;
	char	*url;			/* or DN; NULL: of the ring */
};

struct attlsd_check {
	struct attlsd_waiter waiter;	/* for the source before place */
	const struct policy_revocation *want;
	const struct attlsd_context *context;
	STACK_OF(X509_CRL) *ring;	/* those of the issuer */
	STACK_OF(X509) *chain;
	int	depth;			/* of the certificate at hand */
	struct source *sources;
	size_t	n_sources;
	size_t	place;			/* the source to try next */
	bool	named;			/* somebody is there to be asked */
	bool	wrong;			/* and what he said was not right */
	unsigned int unknown;		/* entries, if they have a CRL */
	unsigned int asked;		/* URLs, of the whole chain */
	OCSP_REQUEST *request;
	char	why[ATTLSD_WHY];	/* of the last that did not decide */
};

time_t attlsd_time(const ASN1_TIME *asn1)
{
	struct tm tm;

	return asn1 && ASN1_TIME_to_tm(asn1, &tm) ? timegm(&tm) : 0;
}

/* Somebody beyond the ring can be asked. */
bool attlsd_revocation_asks(const struct policy_action *action)
{
	const struct policy_revocation *want = &action->revocation;

	return action->enabled && policy_role_verifies(action->role) &&
	       (want->ocsp_url || want->aia || want->cdp ||
		want->ldap.servers);
}

bool attlsd_revocation_wanted(const struct policy_action *action,
			      const struct attlsd_context *context)
{
	return policy_role_verifies(action->role) &&
	       (attlsd_revocation_asks(action) ||
		(action->revocation.level_given &&
		 action->revocation.level == POLICY_REVOCATION_HIGH) ||
		sk_X509_CRL_num(context->crls));
}

static X509 *certificate(const struct attlsd_check *check)
{
	return sk_X509_value(check->chain, check->depth);
}

static X509 *issuer_of(const struct attlsd_check *check)
{
	return sk_X509_value(check->chain, check->depth + 1);
}

static int add_source(struct attlsd_check *check, enum source_kind kind,
		      const char *url)
{
	struct source *sources;

	sources = reallocarray(check->sources, check->n_sources + 1,
			       sizeof(*sources));
	if (!sources)
		return -ENOMEM;
	check->sources = sources;
	sources += check->n_sources;
	sources->kind = kind;
	sources->url = url ? strdup(url) : NULL;
	if (url && !sources->url)
		return -ENOMEM;
	check->n_sources++;
	check->named |= kind != SOURCE_LDAP;
	return 0;
}

/* What is named and cannot be asked still is a reason to doubt. */
static int add_url(struct attlsd_check *check, enum source_kind kind,
		   const char *url, unsigned int *n)
{
	unsigned int max = check->want->max_source;

	check->named = true;
	if (!policy_url_is_http(url)) {
		snprintf(check->why, sizeof(check->why),
			 "not a URL of HTTP: %.200s", url);
		return 0;
	}
	if (max && *n >= max) {
		snprintf(check->why, sizeof(check->why),
			 "it names more than %u URLs (MaxSrcRevExtLocValues)",
			 max);
		return 0;
	}
	++*n;
	return add_source(check, kind, url);
}

static int add_aia(struct attlsd_check *check)
{
	STACK_OF(OPENSSL_STRING) *urls;
	unsigned int n = 0;
	int ret = 0;

	if (!check->want->aia)
		return 0;
	urls = X509_get1_ocsp(certificate(check));
	for (int i = 0; !ret && i < sk_OPENSSL_STRING_num(urls); i++)
		ret = add_url(check, SOURCE_OCSP,
			      sk_OPENSSL_STRING_value(urls, i), &n);
	X509_email_free(urls);
	return ret;
}

static int add_point(struct attlsd_check *check, const DIST_POINT *point,
		     unsigned int *n)
{
	GENERAL_NAMES *names;
	int ret = 0;

	if (!point->distpoint || point->distpoint->type)
		return 0;
	names = point->distpoint->name.fullname;
	for (int i = 0; !ret && i < sk_GENERAL_NAME_num(names); i++) {
		GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *url = name->d.ia5;

		if (name->type != GEN_URI)
			continue;
		/* Bytes behind a NUL would be another URL to somebody. */
		if (strlen((const char *)ASN1_STRING_get0_data(url)) !=
		    (size_t)ASN1_STRING_length(url))
			check->named = true;
		else
			ret = add_url(check, SOURCE_CRL, (const char *)
				      ASN1_STRING_get0_data(url), n);
	}
	return ret;
}

static int add_cdp(struct attlsd_check *check)
{
	CRL_DIST_POINTS *points;
	unsigned int n = 0;
	int ret = 0;

	if (!check->want->cdp)
		return 0;
	points = X509_get_ext_d2i(certificate(check),
				  NID_crl_distribution_points, NULL, NULL);
	check->named |= points != NULL;
	for (int i = 0; !ret && i < sk_DIST_POINT_num(points); i++)
		ret = add_point(check, sk_DIST_POINT_value(points, i), &n);
	CRL_DIST_POINTS_free(points);
	return ret;
}

static int add_entry(struct attlsd_check *check, const X509_NAME *name)
{
	unsigned int max = check->want->max_source;
	char *dn;
	int ret;

	if (check->unknown++ >= max && max)
		return 0;
	dn = attlsd_directory_name(name);
	ret = dn ? add_source(check, SOURCE_LDAP, dn) : -ENOMEM;
	free(dn);
	return ret;
}

static int add_entries(struct attlsd_check *check, const DIST_POINT *point)
{
	GENERAL_NAMES *names;
	int ret = 0;

	if (!point->distpoint || point->distpoint->type)
		return 0;
	names = point->distpoint->name.fullname;
	for (int i = 0; !ret && i < sk_GENERAL_NAME_num(names); i++) {
		GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DIRNAME)
			ret = add_entry(check, name->d.directoryName);
	}
	return ret;
}

/* Where the certificate says, or else its issuer. */
static int add_ldap(struct attlsd_check *check)
{
	CRL_DIST_POINTS *points;
	int ret = 0;

	if (!check->want->ldap.servers)
		return 0;
	points = X509_get_ext_d2i(certificate(check),
				  NID_crl_distribution_points, NULL, NULL);
	for (int i = 0; !ret && i < sk_DIST_POINT_num(points); i++)
		ret = add_entries(check, sk_DIST_POINT_value(points, i));
	CRL_DIST_POINTS_free(points);
	if (ret || check->unknown)
		return ret;
	return add_entry(check, X509_get_issuer_name(certificate(check)));
}

static int add_url_of_policy(struct attlsd_check *check)
{
	const char *url = check->want->ocsp_url;

	return url ? add_source(check, SOURCE_OCSP, url) : 0;
}

static int add_ring(struct attlsd_check *check)
{
	const X509_NAME *issuer = X509_get_issuer_name(certificate(check));

	sk_X509_CRL_zero(check->ring);
	for (int i = 0; i < sk_X509_CRL_num(check->context->crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(check->context->crls, i);

		if (!X509_NAME_cmp(X509_CRL_get_issuer(crl), issuer) &&
		    !sk_X509_CRL_push(check->ring, crl))
			return -ENOMEM;
	}
	return sk_X509_CRL_num(check->ring) ?
	       add_source(check, SOURCE_RING, NULL) : 0;
}

static void free_sources(struct attlsd_check *check)
{
	for (size_t i = 0; i < check->n_sources; i++)
		free(check->sources[i].url);
	free(check->sources);
	check->sources = NULL;
	check->n_sources = 0;
	check->place = 0;
}

/* In the order in which they are asked. */
static int find_sources(struct attlsd_check *check)
{
	const struct policy_revocation *want = check->want;
	int ret;

	free_sources(check);
	check->named = false;
	check->wrong = false;
	check->unknown = 0;
	snprintf(check->why, sizeof(check->why),
		 "there is nobody to ask about it");
	ret = add_ring(check);
	if (!ret && want->ocsp_url_first)
		ret = add_url_of_policy(check);
	if (!ret && want->aia_first)
		ret = add_aia(check);
	if (!ret)
		ret = add_cdp(check);
	if (!ret && !want->aia_first)
		ret = add_aia(check);
	if (!ret && !want->ocsp_url_first)
		ret = add_url_of_policy(check);
	if (!ret)
		ret = add_ldap(check);
	return ret;
}

static const struct source *current(const struct attlsd_check *check)
{
	return &check->sources[check->place - 1];
}

static int ask_ocsp(struct attlsd_check *check, const char *url)
{
	const struct policy_revocation *want = check->want;

	OCSP_REQUEST_free(check->request);
	check->request = attlsd_ocsp_request(certificate(check),
					     issuer_of(check), want,
					     check->context->signer);
	if (!check->request)
		return -ENOMEM;
	return attlsd_ocsp_ask(&check->waiter, check->request, url, want,
			       want->nonce);
}

static int ask_crl(struct attlsd_check *check, const char *url)
{
	struct attlsd_fetch_request fetch = { 0 };

	snprintf(fetch.url, sizeof(fetch.url), "%s", url);
	return attlsd_answers_get(&check->waiter, ATTLSD_ANSWER_CRL, url,
				  &fetch, &check->want->http, false);
}

/* The next source, until there is an answer or somebody to wait for. */
static void ask(struct attlsd_check *check, const struct source *source)
{
	unsigned int max = check->want->max_total;
	int ret;

	if (max && check->asked >= max) {
		snprintf(check->why, sizeof(check->why),
			 "the chain names more than %u URLs (MaxValidRevExtLocValues)",
			 max);
		return;
	}
	check->asked++;
	ret = source->kind == SOURCE_OCSP ? ask_ocsp(check, source->url) :
	      source->kind == SOURCE_CRL ? ask_crl(check, source->url) :
	      attlsd_directory_ask(&check->waiter, source->url,
				   certificate(check), &check->want->ldap);
	if (ret)
		snprintf(check->why, sizeof(check->why), "%.300s: %s",
			 source->url, ret == -EAGAIN ?
			 "too many requests at once" : strerror(-ret));
}

/* How long all of them are right; 0: at least one is not. */
static time_t end_of(STACK_OF(X509_CRL) *crls, X509 *issuer)
{
	time_t end = 0, next;

	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(crls, i);

		if (X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1)
			return 0;
		next = attlsd_time(X509_CRL_get0_nextUpdate(crl));
		if (!i || next < end)
			end = next;
	}
	return end;
}

static void keep_crls(struct attlsd_check *check, struct attlsd_answer *answer)
{
	const struct policy_ldap *ldap = &check->want->ldap;
	bool from_ldap = answer->kind == ATTLSD_ANSWER_LDAP;
	time_t until;

	if (answer->kept)
		return;
	until = end_of(answer->crls, issuer_of(check));
	if (from_ldap && ldap->keep && until > time(NULL) + ldap->keep)
		until = time(NULL) + ldap->keep;
	attlsd_answers_keep(answer, until,
			    X509_subject_name_hash(issuer_of(check)),
			    from_ldap ? &ldap->source : &check->want->http);
}

static enum attlsd_verdict judge_crls(struct attlsd_check *check,
				      struct attlsd_answer *answer, char *why)
{
	enum attlsd_verdict verdict;

	verdict = attlsd_crl_judge(answer->crls, certificate(check),
				   issuer_of(check), check->want, why);
	if (verdict != ATTLSD_NO_STATUS)
		keep_crls(check, answer);
	return verdict;
}

/* The directory knows of no CRL. */
static void take_none(struct attlsd_check *check, struct attlsd_answer *answer)
{
	const struct policy_ldap *ldap = &check->want->ldap;

	check->unknown--;
	attlsd_answers_keep(answer, time(NULL) + ldap->keep_none,
			    X509_subject_name_hash(issuer_of(check)),
			    &ldap->source);
}

static enum attlsd_verdict judge_ocsp(struct attlsd_check *check,
				      struct attlsd_answer *answer, char *why)
{
	enum attlsd_verdict verdict;
	time_t until = 0;

	verdict = attlsd_ocsp_judge(answer->ocsp, check->request,
				    issuer_of(check), check->want, &until,
				    why);
	if (verdict != ATTLSD_NO_STATUS && !check->want->nonce)
		attlsd_answers_keep(answer, until,
				    X509_subject_name_hash(issuer_of(check)),
				    &check->want->ocsp);
	return verdict;
}

/* What has come from the current source. */
static enum attlsd_verdict judge(struct attlsd_check *check)
{
	struct attlsd_answer *answer = check->waiter.answer;
	enum attlsd_verdict verdict = ATTLSD_NO_STATUS;
	char why[ATTLSD_WHY];

	if (answer->crls)
		verdict = judge_crls(check, answer, why);
	else if (answer->ocsp)
		verdict = judge_ocsp(check, answer, why);
	else
		snprintf(why, sizeof(why), "%s", answer->why);
	if (answer->none)
		take_none(check, answer);
	else
		check->wrong |= answer->reached && verdict == ATTLSD_NO_STATUS;
	snprintf(check->why, sizeof(check->why), "%.300s: %.200s",
		 current(check)->url, why);
	attlsd_answers_leave(&check->waiter);
	return verdict;
}

static enum attlsd_verdict judge_ring(struct attlsd_check *check)
{
	enum attlsd_verdict verdict;
	char why[ATTLSD_WHY];

	verdict = attlsd_crl_judge(check->ring, certificate(check),
				   issuer_of(check), check->want, why);
	check->wrong |= verdict == ATTLSD_NO_STATUS;
	snprintf(check->why, sizeof(check->why), "CRL of the key ring: %.200s",
		 why);
	return verdict;
}

/* One step; ATTLSD_NO_STATUS: nobody has decided yet. */
static enum attlsd_verdict try_source(struct attlsd_check *check)
{
	if (check->waiter.answer)
		return check->waiter.ready ? judge(check) : ATTLSD_PENDING;
	check->place++;
	if (current(check)->kind == SOURCE_RING)
		return judge_ring(check);
	ask(check, current(check));
	return ATTLSD_NO_STATUS;
}

static void put_name(char *buf, X509 *cert)
{
	X509_NAME_oneline(X509_get_subject_name(cert), buf, NAME_SIZE);
}

/* A directory that can be asked and has no CRL will do for Medium. */
static bool lacks_crl(const struct attlsd_check *check)
{
	const struct policy_ldap *ldap = &check->want->ldap;

	return ldap->servers && (ldap->level == POLICY_REVOCATION_HIGH ||
				 (ldap->level == POLICY_REVOCATION_MEDIUM &&
				  check->unknown));
}

static bool lacks_answer(const struct attlsd_check *check)
{
	return check->want->level == POLICY_REVOCATION_HIGH ||
	       (check->want->level == POLICY_REVOCATION_MEDIUM &&
		check->named);
}

/* Nobody has decided: the policy does. */
static enum attlsd_verdict decide(const struct attlsd_check *check)
{
	char name[NAME_SIZE];

	if (check->wrong || lacks_answer(check))
		return ATTLSD_NO_STATUS;
	if (lacks_crl(check))
		return check->unknown ? ATTLSD_NO_LDAP : ATTLSD_NO_STATUS;
	put_name(name, certificate(check));
	if ((check->named || check->want->ldap.servers) && attlsd_log_allowed())
		attlsd_log(LOG_WARNING,
			   "%s is taken without knowing whether it was revoked, as the policy wants it: %s",
			   name, check->why);
	return ATTLSD_GOOD;
}

static enum attlsd_verdict check_one(struct attlsd_check *check)
{
	enum attlsd_verdict verdict = ATTLSD_NO_STATUS;

	while (verdict == ATTLSD_NO_STATUS &&
	       (check->waiter.answer || check->place < check->n_sources))
		verdict = try_source(check);
	return verdict == ATTLSD_NO_STATUS ? decide(check) : verdict;
}

/* Again when the waiter's answer has come.  See attlsd_revocation_why(). */
enum attlsd_verdict attlsd_revocation_run(struct attlsd_check *check)
{
	enum attlsd_verdict verdict;

	while (check->depth < sk_X509_num(check->chain) - 1) {
		verdict = check_one(check);
		if (verdict != ATTLSD_GOOD)
			return verdict;
		check->depth++;
		if (find_sources(check)) {
			snprintf(check->why, sizeof(check->why), "no memory");
			return ATTLSD_NO_STATUS;
		}
	}
	return ATTLSD_GOOD;
}

void attlsd_revocation_why(const struct attlsd_check *check, char *buf,
			   size_t size)
{
	char name[NAME_SIZE];

	put_name(name, certificate(check));
	snprintf(buf, size, "%s: %s", name, check->why);
}

/*
 * @chain is the verified one, @owner for attlsd_revocation_next().  NULL: no
 * memory.  @context must live longer.
 */
struct attlsd_check *attlsd_revocation_new(const struct policy_action *action,
					const struct attlsd_context *context,
					STACK_OF(X509) *chain, void *owner)
{
	struct attlsd_check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->want = &action->revocation;
	check->context = context;
	check->waiter.owner = owner;
	check->ring = sk_X509_CRL_new_null();
	check->chain = X509_chain_up_ref(chain);
	if (check->ring && check->chain && !find_sources(check))
		return check;
	attlsd_revocation_free(check);
	return NULL;
}

void attlsd_revocation_free(struct attlsd_check *check)
{
	if (!check)
		return;
	attlsd_answers_leave(&check->waiter);
	free_sources(check);
	OCSP_REQUEST_free(check->request);
	sk_X509_CRL_free(check->ring);
	sk_X509_pop_free(check->chain, X509_free);
	free(check);
}

/* The owner of a check that can go on, or NULL. */
void *attlsd_revocation_next(void)
{
	struct attlsd_waiter *waiter = attlsd_answers_next();

	return waiter ? waiter->owner : NULL;
}
