// SPDX-License-Identifier: GPL-2.0-only
/*
 * One handshake's life: start, steps, and one of two ends.
 *
 * A handshake is failed until it has succeeded: whatever way it leaves by,
 * the worker closes the file then, and a file that is closed before INSTALL
 * resets the connection.  FAIL only says why.
 *
 * What comes after, with the file of the handshake, is in keeper.c.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <openssl/err.h>

#define SEEK_TIME	300		/* ms, for a session that is named */
#define SEEK_PAUSE	20

struct attlsd_hs {
	TAILQ_ENTRY(attlsd_hs) link;	/* of those that seek */
	int64_t	seek_until;		/* ms; 0: it does not seek */
	int64_t	look_at;		/* ms; 0: it is not in the list */
	struct attls_request req;
	const struct policy_action *action;
	const struct attlsd_context *context;
	SSL	*ssl;
	const struct policy_cert_user *user; /* whose certificate it was */
	struct attlsd_check *check;	/* after the handshake, or NULL */
	uint32_t waits;			/* for these events; 0: is new */
	struct attlsd_resume resume;
	struct attlsd_secrets secrets;
};

static TAILQ_HEAD(, attlsd_hs) attlsd_seekers =
	TAILQ_HEAD_INITIALIZER(attlsd_seekers);

uint32_t attlsd_hs_waits(const struct attlsd_hs *hs)
{
	return hs->waits;
}

int attlsd_hs_fd(const struct attlsd_hs *hs)
{
	return hs->req.fd;
}

static void look_later(struct attlsd_hs *hs)
{
	hs->look_at = attlsd_now() + SEEK_PAUSE;
	TAILQ_INSERT_TAIL(&attlsd_seekers, hs, link);
}

static void look_now(struct attlsd_hs *hs)
{
	if (hs->look_at)
		TAILQ_REMOVE(&attlsd_seekers, hs, link);
	hs->look_at = 0;
}

int64_t attlsd_hs_look_at(void)
{
	const struct attlsd_hs *first = TAILQ_FIRST(&attlsd_seekers);

	return first ? first->look_at : INT64_MAX;
}

struct attlsd_hs *attlsd_hs_seeker(void)
{
	return attlsd_hs_look_at() <= attlsd_now() ?
	       TAILQ_FIRST(&attlsd_seekers) : NULL;
}

static void hs_free(struct attlsd_hs *hs)
{
	look_now(hs);
	attlsd_secrets_wipe(&hs->secrets);
	attlsd_revocation_free(hs->check);
	attlsd_resume_free(&hs->resume);
	attlsd_ssl_free(hs->ssl);
	free(hs);
}

static void give_up(const struct attls_request *req,
		    const struct policy_action *action,
		    struct attlsd_failure *failure)
{
	/* Lost the race: what the kernel says is what happened. */
	if (!failure->over &&
	    attlsd_agent_fail(req->fd, failure->reason) == -ECANCELED)
		attlsd_failure_kernel(failure, req->fd, ECANCELED);
	attlsd_report_failed(req, action, failure);
}

static uint32_t hs_failed(struct attlsd_hs *hs, struct attlsd_failure *failure)
{
	give_up(&hs->req, hs->action, failure);
	attlsd_resume_let_go(&hs->resume);
	hs_free(hs);
	return 0;
}

/* Even after an error result_free() is due. */
static int result_init(struct attlsd_result *result, struct attlsd_hs *hs)
{
	int ret;

	memset(result, 0, sizeof(*result));
	result->group = attlsd_group_id(hs->ssl);
	result->max_fragment = attlsd_fragment_agreed(hs->ssl);
	result->user = hs->user;
	result->resume = &hs->resume;
	SSL_get0_alpn_selected(hs->ssl, &result->alpn, &result->alpn_len);
	ret = attlsd_peer_init(&result->peer,
			       SSL_get0_peer_certificate(hs->ssl));
	if (!ret)
		ret = attlsd_chain_own(&result->own_chain, hs->ssl,
				       &hs->secrets.rec);
	return ret ? ret : attlsd_secrets_export(&hs->secrets, hs->ssl,
						 &result->keys);
}

static void result_free(struct attlsd_result *result)
{
	attlsd_tickets_free(&result->tickets);
	attlsd_chain_free(&result->own_chain);
	attlsd_peer_free(&result->peer);
	attlsd_keys_wipe(&result->keys);
}

/* NULL: nobody is needed, or the session is never resumed. */
static struct attlsd_keeper *hs_keeper(struct attlsd_hs *hs,
				       const struct attlsd_keys *keys)
{
	struct attlsd_keeper *keeper;

	if (!attlsd_resume_has_token(&hs->resume))
		return NULL;
	keeper = attlsd_keeper_new(hs->context, hs->action, &hs->secrets, keys,
				   hs->ssl);
	/* The application must be able to have it forgotten. */
	if (!keeper && hs->action->appl_controlled)
		attlsd_resume_forget(&hs->resume);
	return keeper;
}

static int hs_install(struct attlsd_hs *hs, struct attlsd_keeper **keeper)
{
	struct attlsd_result result;
	int ret = result_init(&result, hs);

	*keeper = NULL;
	if (!ret) {
		*keeper = hs_keeper(hs, &result.keys);
		result.flags = attlsd_keeper_flags(*keeper, hs->ssl);
		if (SSL_session_reused(hs->ssl))
			result.flags |= ATTLS_INSTALL_RESUMED;
		if (attlsd_resume_has_token(&hs->resume))
			attlsd_tickets_first(hs->ssl, &result.tickets);
		ret = attlsd_agent_install(hs->req.fd, &result);
	}
	result_free(&result);
	return ret;
}

/* What the policy requires and the handshake did not give; NULL: nothing. */
static const char *hs_lacks(const struct attlsd_hs *hs)
{
	const char *lacks;

	/* RFC 7627; TLS 1.3 has it by its nature. */
	if (hs->action->ems == POLICY_EMS_REQUIRED &&
	    SSL_version(hs->ssl) == TLS1_2_VERSION &&
	    SSL_get_extms_support(hs->ssl) != 1)
		return "the partner has no extended master secret, which the policy requires";
	lacks = attlsd_sni_lacks(hs->ssl, hs->action, &hs->secrets.rec);
	return lacks ? lacks : attlsd_fragment_lacks(hs->ssl, hs->action);
}

static uint32_t hs_installed(struct attlsd_hs *hs, struct attlsd_keeper *keeper)
{
	attlsd_report_done(&hs->req, hs->action, hs->ssl, hs->user);
	if (keeper) {
		attlsd_keeper_take(keeper, hs->req.fd, hs->ssl, &hs->resume);
		hs->ssl = NULL;
	}
	hs_free(hs);
	return keeper ? ATTLSD_HS_KEPT : 0;
}

static uint32_t hs_finish(struct attlsd_hs *hs)
{
	struct attlsd_failure failure;
	struct attlsd_keeper *keeper;
	int ret;

	/* Those of TLS 1.3 come with the tickets, and to the keeper. */
	if (!SSL_is_server(hs->ssl) && SSL_version(hs->ssl) == TLS1_2_VERSION)
		attlsd_resume_keep(&hs->resume, hs->ssl);
	ret = hs_install(hs, &keeper);
	if (!ret)
		return hs_installed(hs, keeper);
	attlsd_keeper_free(keeper);
	if (ret == -ECANCELED || ret == -EPROTO)
		attlsd_failure_kernel(&failure, hs->req.fd, -ret);
	else
		attlsd_failure_set(&failure, ATTLS_REASON_INSTALL, 3,
				   "the keys could not be handed to the kernel");
	return hs_failed(hs, &failure);
}

static uint32_t hs_refused(struct attlsd_hs *hs, enum attlsd_verdict verdict)
{
	struct attlsd_failure failure;
	char why[ATTLSD_WHY];

	attlsd_revocation_why(hs->check, why, sizeof(why));
	attlsd_failure_revocation(&failure, verdict, why);
	return hs_failed(hs, &failure);
}

/* Nothing is read or written meanwhile; the kernel may end it. */
static uint32_t hs_pending(struct attlsd_hs *hs)
{
	struct attlsd_failure failure;
	struct attls_status status;

	if (!attlsd_agent_status(hs->req.fd, &status) &&
	    status.state == ATTLS_CONN_HANDSHAKE)
		return hs->waits = EPOLLERR;
	attlsd_failure_kernel(&failure, hs->req.fd, ECANCELED);
	return hs_failed(hs, &failure);
}

static uint32_t hs_check(struct attlsd_hs *hs)
{
	enum attlsd_verdict verdict = attlsd_revocation_run(hs->check);

	switch (verdict) {
	case ATTLSD_PENDING:
		return hs_pending(hs);
	case ATTLSD_GOOD:
		return hs_finish(hs);
	default:
		return hs_refused(hs, verdict);
	}
}

/*
 * The fetcher's own connection would have to be fetched for, and so on.
 * A name is no proof, but all that it gets anybody is to be refused.
 */
static bool is_fetcher(const struct attlsd_hs *hs)
{
	return attlsd_revocation_asks(hs->action) &&
	       !strcmp(hs->req.comm, ATTLSD_FETCHER_NAME);
}

/* A client without a certificate has a chain of nothing. */
static uint32_t hs_revocation(struct attlsd_hs *hs)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(hs->ssl);
	struct attlsd_failure failure;

	if (is_fetcher(hs)) {
		attlsd_failure_set(&failure, ATTLS_REASON_HANDSHAKE, 436,
				   "a connection of " ATTLSD_FETCHER_NAME " is under a rule with revocation checks; exempt it by Jobname");
		return hs_failed(hs, &failure);
	}
	if (SSL_session_reused(hs->ssl)) {
		attlsd_failure_set(&failure, ATTLS_REASON_HANDSHAKE, 436,
				   "a session was resumed, whose certificates cannot be checked");
		return hs_failed(hs, &failure);
	}
	if (!sk_X509_num(chain))
		return hs_finish(hs);
	hs->check = attlsd_revocation_new(hs->action, hs->context, chain, hs);
	if (hs->check)
		return hs_check(hs);
	attlsd_failure_set(&failure, ATTLS_REASON_NO_MEMORY, 4, "no memory");
	return hs_failed(hs, &failure);
}

static uint32_t hs_done(struct attlsd_hs *hs)
{
	const char *lacks = hs_lacks(hs);
	struct attlsd_failure failure;

	hs->user = attlsd_certmap_user(hs->action,
				       SSL_get0_peer_certificate(hs->ssl));
	/* Checked before, but by a callback that OpenSSL may not call. */
	if (!hs->user && hs->action->role == ATTLS_ROLE_SERVER_SAF) {
		attlsd_failure_set(&failure, ATTLS_REASON_NO_USER,
				   ATTLS_REASON_NO_USER,
				   "no certificate of a user");
		return hs_failed(hs, &failure);
	}
	if (lacks) {
		attlsd_failure_set(&failure, ATTLS_REASON_HANDSHAKE, 415,
				   lacks);
		return hs_failed(hs, &failure);
	}

	if (attlsd_resume_done(&hs->resume, hs->ssl, &hs->req)) {
		attlsd_failure_set(&failure, ATTLS_REASON_NO_MEMORY, 4,
				   "no memory");
		return hs_failed(hs, &failure);
	}
	if (!attlsd_resume_fits(&hs->resume, hs->ssl, &failure))
		return hs_failed(hs, &failure);

	/* Bytes that OpenSSL holds would be lost to the application. */
	if (SSL_has_pending(hs->ssl)) {
		attlsd_failure_set(&failure, ATTLS_REASON_HANDSHAKE, 415,
				   "data in the same record as the handshake");
		return hs_failed(hs, &failure);
	}
	if (attlsd_revocation_wanted(hs->action, hs->context))
		return hs_revocation(hs);
	return hs_finish(hs);
}

static uint32_t hs_error(struct attlsd_hs *hs)
{
	const struct attlsd_records *rec = &hs->secrets.rec;
	struct attlsd_failure failure;

	if (rec->io_error)
		attlsd_failure_kernel(&failure, hs->req.fd, rec->io_error);
	else
		attlsd_failure_name(&failure, hs->ssl, rec);
	return hs_failed(hs, &failure);
}

static uint32_t hs_step(struct attlsd_hs *hs);

/*
 * The ticket of a session that a program has just come to know may be on its
 * way to the worker that keeps the session.
 */
static uint32_t hs_seek(struct attlsd_hs *hs)
{
	struct attlsd_failure failure;
	bool found;

	look_now(hs);
	found = attlsd_resume_offer(&hs->resume, hs->ssl, &hs->req);
	if (!found && attlsd_now() < hs->seek_until) {
		look_later(hs);
		return hs_pending(hs);
	}
	hs->seek_until = 0;
	if (!found && attlsd_resume_is_missed(hs->ssl, &failure))
		return hs_failed(hs, &failure);
	return hs_step(hs);
}

static uint32_t hs_step(struct attlsd_hs *hs)
{
	int ret;

	if (hs->check)
		return hs_check(hs);
	if (hs->seek_until)
		return hs_seek(hs);
	ERR_clear_error();
	ret = SSL_do_handshake(hs->ssl);
	if (ret == 1)
		return hs_done(hs);
	switch (SSL_get_error(hs->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		return hs->waits = EPOLLIN;
	case SSL_ERROR_WANT_WRITE:
		return hs->waits = EPOLLOUT;
	default:
		return hs_error(hs);
	}
}

uint32_t attlsd_hs_step(struct attlsd_hs *hs)
{
	OSSL_LIB_CTX *before = attlsd_context_enter(hs->context);
	uint32_t ret = hs_step(hs);

	attlsd_context_leave(before);
	return ret;
}

/* The worker cannot wait for it. */
void attlsd_hs_abort(struct attlsd_hs *hs)
{
	struct attlsd_failure failure;

	attlsd_failure_set(&failure, ATTLS_REASON_NO_MEMORY, 4, "no memory");
	hs_failed(hs, &failure);
}

static int hs_setup(struct attlsd_hs *hs, const struct attlsd_context *context)
{
	BIO *bio;

	hs->ssl = attlsd_ssl_new(context->ctx);
	bio = hs->ssl ? BIO_new_fd(hs->req.fd, BIO_NOCLOSE) : NULL;
	if (!bio)
		return -ENOMEM;
	SSL_set_bio(hs->ssl, bio, bio);
	attlsd_secrets_watch(&hs->secrets, hs->ssl, bio);
	if (!policy_role_is_server(hs->req.role)) {
		SSL_set_connect_state(hs->ssl);
		return 0;
	}
	SSL_set_accept_state(hs->ssl);
	return attlsd_tickets_begin(hs->ssl, context, &hs->req);
}

/* What only a client says, or expects, of its own connection. */
static int hs_client(struct attlsd_hs *hs)
{
	const char *sni = attlsd_sni_name(hs->ssl, hs->action);

	if (sni && !SSL_set_tlsext_host_name(hs->ssl, sni))
		return -ENOMEM;
	if (attlsd_verify_expect(hs->ssl, hs->action, &hs->req))
		return -ENOMEM;
	return attlsd_wishes_offer(hs->ssl);
}

static struct attlsd_hs *refuse(const struct attls_request *req,
				const struct policy_action *action,
				uint32_t reason, int rc, const char *text)
{
	struct attlsd_failure failure;

	attlsd_failure_set(&failure, reason, rc, text);
	give_up(req, action, &failure);
	return NULL;
}

static struct attlsd_hs *hs_new(const struct attls_request *req,
				const struct policy_action *action,
				const struct attlsd_context *context)
{
	struct attlsd_hs *hs = calloc(1, sizeof(*hs));

	if (!hs)
		return NULL;
	attlsd_store_lost(req->sessions_lost);
	hs->req = *req;
	hs->action = action;
	hs->context = context;
	hs->resume.action = action;
	/* There is no chain in it whose certificates could be checked. */
	hs->resume.allowed = !attlsd_revocation_wanted(action, context);
	if (!hs_setup(hs, context))
		return hs;
	attlsd_ssl_free(hs->ssl);
	free(hs);
	return NULL;
}

/* NULL when it was refused; the file of @req stays the caller's. */
struct attlsd_hs *attlsd_hs_start(const struct attlsd_sets *sets,
				  const struct attls_request *req)
{
	const struct attlsd_context *context;
	const struct policy_action *action;
	struct attlsd_failure failure;
	struct attlsd_hs *hs;

	action = attlsd_sets_find(sets, req, &context);
	if (!action)
		return refuse(req, NULL, ATTLS_REASON_NO_POLICY, 5006,
			      "the rule is not part of the policy of attlsd");
	if (policy_role_is_server(req->role) !=
	    policy_role_is_server(action->role))
		return refuse(req, action, ATTLS_REASON_ENVIRONMENT, 5006,
			      "the role does not fit the action");
	attlsd_report_map(req, action);
	hs = hs_new(req, action, context);
	if (!hs)
		return refuse(req, action, ATTLS_REASON_NO_MEMORY, 4,
			      "no memory");
	if (!attlsd_wishes_take(hs->ssl, req, &failure)) {
		hs_failed(hs, &failure);
		return NULL;
	}
	if (policy_role_is_server(req->role))
		return hs;
	if (hs_client(hs)) {
		attlsd_hs_abort(hs);
		return NULL;
	}
	hs->resume.allowed &= attlsd_sets_have(sets, req->generation);
	hs->seek_until = attlsd_now() + SEEK_TIME;
	return hs;
}
