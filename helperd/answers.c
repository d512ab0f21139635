// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRLs and OCSP responses that this worker has, or has asked its fetcher for.
 *
 * Who asks for the same at the same time waits for the same answer.  One
 * that proved right is kept until it says that there is a newer one, as long
 * as there is room; what did not is forgotten, so that nobody can put
 * something in the place of what is right for longer than it takes to send.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_LIMIT_SIZE	(16U << 20)	/* bytes, where the policy has none */
#define NO_LIMIT_TIME	600		/* seconds */
#define GRACE		2000		/* ms; the fetcher is to be first */

TAILQ_HEAD(answers, attlsd_answer);
TAILQ_HEAD(waiters, attlsd_waiter);

static struct answers attlsd_asked = TAILQ_HEAD_INITIALIZER(attlsd_asked);
static struct answers attlsd_kept = TAILQ_HEAD_INITIALIZER(attlsd_kept);
static struct waiters attlsd_ready = TAILQ_HEAD_INITIALIZER(attlsd_ready);
static unsigned int attlsd_n_asked;
static int attlsd_fetcher = -1;
static uint32_t attlsd_last_id;

void attlsd_answers_open(int fetcher)
{
	attlsd_fetcher = fetcher;
}

static void put(struct attlsd_answer *answer)
{
	if (--answer->refs)
		return;
	sk_X509_CRL_pop_free(answer->crls, X509_CRL_free);
	OCSP_RESPONSE_free(answer->ocsp);
	free(answer->data);
	free(answer->key);
	free(answer);
}

static struct attlsd_answer *find(struct answers *list,
				  enum attlsd_answer_kind kind,
				  const char *key)
{
	struct attlsd_answer *answer;

	TAILQ_FOREACH(answer, list, link)
		if (answer->kind == kind && !strcmp(answer->key, key))
			return answer;
	return NULL;
}

static void forget(struct attlsd_answer *answer)
{
	TAILQ_REMOVE(&attlsd_kept, answer, link);
	put(answer);
}

/* One that is not yet over. */
static struct attlsd_answer *find_kept(enum attlsd_answer_kind kind,
				       const char *key)
{
	struct attlsd_answer *answer = find(&attlsd_kept, kind, key);

	if (!answer || answer->until > time(NULL))
		return answer;
	forget(answer);
	return NULL;
}

static struct attlsd_answer *new_answer(enum attlsd_answer_kind kind,
					const char *key,
					const struct policy_source *source)
{
	struct attlsd_answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return NULL;
	answer->key = strdup(key);
	answer->kind = kind;
	answer->limit = source->max_size && source->max_size < NO_LIMIT_SIZE ?
			source->max_size : NO_LIMIT_SIZE;
	answer->timeout = source->timeout && source->timeout < NO_LIMIT_TIME ?
			  source->timeout : NO_LIMIT_TIME;
	answer->refs = 1;
	TAILQ_INIT(&answer->waiters);
	if (answer->key)
		return answer;
	put(answer);
	return NULL;
}

static int send_request(struct attlsd_answer *answer,
			struct attlsd_fetch_request *req,
			const struct policy_source *source)
{
	answer->id = ++attlsd_last_id;
	answer->deadline = attlsd_now() + answer->timeout * 1000LL + GRACE;
	req->id = answer->id;
	req->timeout = answer->timeout;
	req->max_size = answer->limit;
	if (source->proxy) {
		snprintf(req->proxy, sizeof(req->proxy), "%s", source->proxy);
		req->proxy_port = source->proxy_port;
	}
	if (attlsd_n_asked >= ATTLSD_FETCHES ||
	    write(attlsd_fetcher, req, ATTLSD_FETCH_ASK + req->body_len) < 0)
		return -EAGAIN;
	TAILQ_INSERT_TAIL(&attlsd_asked, answer, link);
	attlsd_n_asked++;
	return 0;
}

static struct attlsd_answer *ask(enum attlsd_answer_kind kind, const char *key,
				 struct attlsd_fetch_request *req,
				 const struct policy_source *source)
{
	struct attlsd_answer *answer = new_answer(kind, key, source);

	if (!answer || !send_request(answer, req, source))
		return answer;
	put(answer);
	return NULL;
}

/*
 * @waiter->answer is then one that is here, or one to wait for: @waiter comes
 * out of attlsd_answers_next() when it has come, if it has an owner.
 * @fresh: no old one will do.
 * -EAGAIN: the fetcher has its hands full, or there is no memory.
 */
int attlsd_answers_get(struct attlsd_waiter *waiter,
		       enum attlsd_answer_kind kind, const char *key,
		       struct attlsd_fetch_request *req,
		       const struct policy_source *source, bool fresh)
{
	struct attlsd_answer *answer = NULL;

	if (!fresh)
		answer = find_kept(kind, key);
	if (!answer && !fresh)
		answer = find(&attlsd_asked, kind, key);
	if (!answer)
		answer = ask(kind, key, req, source);
	if (!answer)
		return -EAGAIN;
	answer->refs++;
	waiter->answer = answer;
	waiter->ready = answer->here;
	if (!answer->here)
		TAILQ_INSERT_TAIL(&answer->waiters, waiter, link);
	return 0;
}

/* Safe at any time. */
void attlsd_answers_leave(struct attlsd_waiter *waiter)
{
	struct attlsd_answer *answer = waiter->answer;

	if (!answer)
		return;
	if (waiter->queued)
		TAILQ_REMOVE(&attlsd_ready, waiter, link);
	else if (!answer->here)
		TAILQ_REMOVE(&answer->waiters, waiter, link);
	waiter->queued = false;
	waiter->ready = false;
	waiter->answer = NULL;
	put(answer);
}

/* Somebody whose answer has come, or NULL. */
struct attlsd_waiter *attlsd_answers_next(void)
{
	struct attlsd_waiter *waiter = TAILQ_FIRST(&attlsd_ready);

	if (!waiter)
		return NULL;
	TAILQ_REMOVE(&attlsd_ready, waiter, link);
	waiter->queued = false;
	return waiter;
}

static unsigned int count(const struct attlsd_answer *like, bool of_issuer)
{
	const struct attlsd_answer *answer;
	unsigned int n = 0;

	TAILQ_FOREACH(answer, &attlsd_kept, link)
		n += answer->kind == like->kind &&
		     (!of_issuer || answer->issuer == like->issuer);
	return n;
}

static struct attlsd_answer *oldest(const struct attlsd_answer *like,
				    bool of_issuer)
{
	struct attlsd_answer *answer;

	TAILQ_FOREACH(answer, &attlsd_kept, link)
		if (answer->kind == like->kind &&
		    (!of_issuer || answer->issuer == like->issuer))
			break;
	return answer;
}

/* A CRL may be too large for the cache, a CA may have too many responses. */
static bool fits(const struct attlsd_answer *answer,
		 const struct policy_source *source)
{
	if (!source->cache_size)
		return false;
	return answer->kind == ATTLSD_ANSWER_OCSP || !source->cache_entry ||
	       answer->len <= source->cache_entry;
}

/* It is right, until @until, and about certificates of @issuer. */
void attlsd_answers_keep(struct attlsd_answer *answer, time_t until,
			 unsigned long issuer,
			 const struct policy_source *source)
{
	unsigned int of_issuer = answer->kind == ATTLSD_ANSWER_OCSP ?
				 source->cache_entry : 0;

	if (answer->kept || until <= time(NULL) || !fits(answer, source))
		return;
	answer->issuer = issuer;
	while (count(answer, false) >= source->cache_size)
		forget(oldest(answer, false));
	while (of_issuer && count(answer, true) >= of_issuer)
		forget(oldest(answer, true));
	answer->kept = true;
	answer->until = until;
	answer->refs++;
	TAILQ_INSERT_TAIL(&attlsd_kept, answer, link);
}

/* One, or all that a directory has.  NULL: one of them is none. */
static STACK_OF(X509_CRL) *parse_crls(const struct attlsd_answer *answer)
{
	STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	const uint8_t *data = answer->data, *end = data + answer->len;
	X509_CRL *crl;

	do {
		crl = d2i_X509_CRL(NULL, &data, end - data);
		if (!crl || !sk_X509_CRL_push(crls, crl)) {
			X509_CRL_free(crl);
			sk_X509_CRL_pop_free(crls, X509_CRL_free);
			return NULL;
		}
	} while (answer->kind == ATTLSD_ANSWER_LDAP && data < end);
	return crls;
}

static void parse(struct attlsd_answer *answer)
{
	const uint8_t *data = answer->data;

	if (answer->kind == ATTLSD_ANSWER_OCSP)
		answer->ocsp = d2i_OCSP_RESPONSE(NULL, &data, answer->len);
	else
		answer->crls = parse_crls(answer);
	free(answer->data);
	answer->data = NULL;
}

/* @why: NULL when it has come. */
static void finish(struct attlsd_answer *answer, const char *why)
{
	struct attlsd_waiter *waiter;

	if (!why) {
		parse(answer);
		answer->reached = true;
	}
	answer->here = true;
	snprintf(answer->why, sizeof(answer->why), "%s", why ? why :
		 "what came is not what was asked for");
	while ((waiter = TAILQ_FIRST(&answer->waiters))) {
		TAILQ_REMOVE(&answer->waiters, waiter, link);
		waiter->ready = true;
		waiter->queued = waiter->owner;
		if (waiter->queued)
			TAILQ_INSERT_TAIL(&attlsd_ready, waiter, link);
	}
	TAILQ_REMOVE(&attlsd_asked, answer, link);
	attlsd_n_asked--;
	put(answer);
}

static const char *add(struct attlsd_answer *answer,
		       const struct attlsd_fetch_reply *reply, size_t len)
{
	uint8_t *data;

	if (len > answer->limit - answer->len)
		return "the answer is too large";
	data = realloc(answer->data, answer->len + len + 1);
	if (!data)
		return "no memory";
	memcpy(data + answer->len, reply->data, len);
	answer->data = data;
	answer->len += len;
	return NULL;
}

static void take(struct attlsd_fetch_reply *reply, size_t len)
{
	struct attlsd_answer *answer;
	const char *why = NULL;

	TAILQ_FOREACH(answer, &attlsd_asked, link)
		if (answer->id == reply->id)
			break;
	if (!answer)		/* it came too late */
		return;
	if (reply->type >= ATTLSD_FETCH_FAILED) {
		reply->data[len < sizeof(reply->data) ? len : len - 1] = '\0';
		answer->reached = reply->type != ATTLSD_FETCH_FAILED;
		answer->none = reply->type == ATTLSD_FETCH_NONE;
		finish(answer, reply->data);
		return;
	}
	why = add(answer, reply, len);
	if (why || reply->type == ATTLSD_FETCH_LAST)
		finish(answer, why);
}

static void fail_all(const char *why)
{
	struct attlsd_answer *answer;

	while ((answer = TAILQ_FIRST(&attlsd_asked)))
		finish(answer, why);
}

/* One packet of the fetcher.  False: it is gone. */
bool attlsd_answers_read(void)
{
	static struct attlsd_fetch_reply reply;
	ssize_t n = read(attlsd_fetcher, &reply, sizeof(reply));

	if (n >= (ssize_t)ATTLSD_FETCH_HEAD) {
		take(&reply, n - ATTLSD_FETCH_HEAD);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	fail_all("the fetcher is gone");
	return false;
}

/* About once a second: those that take too long. */
void attlsd_answers_tick(void)
{
	int64_t now = attlsd_now();
	struct attlsd_answer *answer, *next;

	for (answer = TAILQ_FIRST(&attlsd_asked); answer; answer = next) {
		next = TAILQ_NEXT(answer, link);
		if (now >= answer->deadline)
			finish(answer, "no answer in time");
	}
}
