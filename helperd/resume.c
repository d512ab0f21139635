// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sessions of clients: which one a handshake offers to resume, and what is
 * kept of it for those to come.
 *
 * A session that is resumed stands for all that was checked when it was new,
 * so it is found only by who would have checked the same: the same rule of the
 * same policy, for the same user, expecting the same names.  The rest is that
 * it must never get in the way: whatever is wrong with one, the handshake is a
 * full one, unless the program has demanded that very session.
 *
 * A session of TLS 1.3 is used once: who sees the same ticket twice knows that
 * both are from the same client.
 */
#include "attlsd.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#define LIFETIME_MAX	604800		/* s, RFC 8446 section 4.6.1 */

/* Without tickets a client of TLS 1.2 has session ids. */
void attlsd_resume_prepare(SSL_CTX *ctx, const struct policy_action *action)
{
	if (!policy_role_is_server(action->role) &&
	    action->sessions.client_tickets)
		SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
}

static bool put(EVP_MD_CTX *md, const void *data, uint32_t len)
{
	return EVP_DigestUpdate(md, &len, sizeof(len)) &&
	       EVP_DigestUpdate(md, data, len);
}

static bool put_text(EVP_MD_CTX *md, const char *text)
{
	return put(md, text ? text : "", text ? strlen(text) + 1 : 0);
}

/* Whom the handshake is for, and whom it expects. */
static bool put_owner(EVP_MD_CTX *md, const SSL *ssl,
		      const struct policy_action *action,
		      const struct attls_request *req, uint32_t version)
{
	const struct attls_wishes *said = attlsd_wishes_said(ssl);

	return put_text(md, "client") &&
	       put(md, &version, sizeof(version)) &&
	       put(md, &req->generation, sizeof(req->generation)) &&
	       put(md, &action->context, sizeof(action->context)) &&
	       put(md, &req->netns_cookie, sizeof(req->netns_cookie)) &&
	       put(md, &req->uid, sizeof(req->uid)) &&
	       put_text(md, attlsd_sni_name(ssl, action)) &&
	       put_text(md, attlsd_wishes_peer(ssl)) &&
	       put(md, req->remote_addr,
		   action->host_address ? ATTLS_ADDR_LEN : 0) &&
	       put(md, said ? said->alpn : NULL, said ? said->alpn_len : 0);
}

static bool put_peer(EVP_MD_CTX *md, const struct attls_request *req)
{
	return put(md, req->remote_addr, ATTLS_ADDR_LEN) &&
	       put(md, &req->remote_port, sizeof(req->remote_port));
}

static bool make_id(struct store_id *id, const SSL *ssl,
		    const struct policy_action *action,
		    const struct attls_request *req, int version)
{
	EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok;

	ok = sha256 && md && EVP_DigestInit_ex2(md, sha256, NULL) &&
	     put_owner(md, ssl, action, req, version) &&
	     EVP_DigestFinal_ex(md, id->owner, NULL) &&
	     EVP_DigestInit_ex2(md, sha256, NULL) && put_peer(md, req) &&
	     EVP_DigestFinal_ex(md, id->peer, NULL);
	EVP_MD_CTX_free(md);
	EVP_MD_free(sha256);
	return ok;
}

/* What the policy has sessions of that version kept for. */
static bool is_kept(const struct policy_action *action, int version)
{
	if (version == TLS1_3_VERSION)
		return action->tls13 && action->sessions.client_tickets;
	return action->tls12 && action->sessions.v3_timeout &&
	       action->sessions.v3_size;
}

static bool is_token(const uint8_t *token)
{
	static const uint8_t none[ATTLS_SESSION_LEN];

	return memcmp(token, none, sizeof(none));
}

static const uint8_t *wish(const SSL *ssl)
{
	const struct attls_wishes *said = attlsd_wishes_said(ssl);

	return said && is_token(said->session) ? said->session : NULL;
}

static bool is_demand(const SSL *ssl)
{
	const struct attls_wishes *said = attlsd_wishes_said(ssl);

	return said && said->session_flags & ATTLS_SESSION_REQUIRED;
}

/* The certificate has to do for this handshake as it did for the first. */
static bool is_good(SSL *ssl, const struct policy_action *action,
		    SSL_SESSION *session)
{
	X509 *cert = SSL_SESSION_get0_peer(session);

	return cert && attlsd_verify_again(ssl, action, cert);
}

static bool use(struct attlsd_resume *resume, SSL *ssl,
		const struct store_copy *copy)
{
	const unsigned char *der = copy->data;
	SSL_SESSION *session;

	session = d2i_SSL_SESSION(NULL, &der, copy->session_len);
	if (session && is_good(ssl, resume->action, session) &&
	    !attlsd_chain_set(&resume->chain, copy->data + copy->session_len,
			      copy->chain_len) &&
	    SSL_set_session(ssl, session)) {
		memcpy(resume->token, copy->token, sizeof(resume->token));
		resume->offered = session;
		return true;
	}
	SSL_SESSION_free(session);
	attlsd_chain_free(&resume->chain);
	return false;
}

static bool offer(struct attlsd_resume *resume, SSL *ssl,
		  const struct attls_request *req, int version)
{
	struct store_copy *copy;
	bool used;

	if (!is_kept(resume->action, version) ||
	    !make_id(&resume->id, ssl, resume->action, req, version))
		return false;
	copy = attlsd_store_get(&resume->id, wish(ssl),
				version == TLS1_3_VERSION);
	used = copy && use(resume, ssl, copy);
	attlsd_store_free(copy);
	return used;
}

static void put_token(char *text, const uint8_t *token)
{
	for (int i = 0; i < ATTLS_SESSION_LEN; i++)
		sprintf(text + 2 * i, "%02x", token[i]);
}

static void set_failure(struct attlsd_failure *failure, const SSL *ssl,
			const char *but)
{
	char token[2 * ATTLS_SESSION_LEN + 1];

	put_token(token, attlsd_wishes_said(ssl)->session);
	attlsd_failure_set(failure, ATTLS_REASON_NOT_RESUMED, 415, "");
	snprintf(failure->text, sizeof(failure->text),
		 "the program demands that session %s is resumed, but %s",
		 token, but);
}

/*
 * Before a client's handshake.  False: the one that the program has named is
 * not there.
 */
bool attlsd_resume_offer(struct attlsd_resume *resume, SSL *ssl,
			 const struct attls_request *req)
{
	resume->era = attlsd_store_era();
	if (resume->allowed && !(req->flags & ATTLS_REQUEST_FULL) &&
	    (offer(resume, ssl, req, TLS1_3_VERSION) ||
	     offer(resume, ssl, req, TLS1_2_VERSION)))
		return true;
	return !wish(ssl);
}

/* It is not there.  True: the program wants no other. */
bool attlsd_resume_is_missed(const SSL *ssl, struct attlsd_failure *failure)
{
	if (!is_demand(ssl))
		return false;
	set_failure(failure, ssl,
		    "there is none of that name for this connection: it was never one of the same user, rule and partner, or has ended, or was forgotten");
	return true;
}

/*
 * The handshake has failed, be it for the session that was offered or not, or
 * the server has not taken it: nobody else shall offer it.
 */
void attlsd_resume_let_go(const struct attlsd_resume *resume)
{
	if (!resume->offered ||
	    SSL_SESSION_get_protocol_version(resume->offered) ==
	    TLS1_3_VERSION)
		return;
	attlsd_store_free(attlsd_store_get(&resume->id, resume->token, true));
}

/*
 * RFC 7627 section 5.4: who resumes a session of TLS 1.2 without
 * extended_master_secret may be talking to somebody else than he was then.
 */
static bool can_be_kept(const struct attlsd_resume *resume, const SSL *ssl)
{
	if (!resume->allowed || !is_kept(resume->action, SSL_version(ssl)))
		return false;
	return SSL_version(ssl) == TLS1_3_VERSION ||
	       (SSL_SESSION_is_resumable(SSL_get_session(ssl)) &&
		SSL_get_extms_support((SSL *)ssl) == 1);
}

static void new_token(struct attlsd_resume *resume, const SSL *ssl,
		      const struct attls_request *req)
{
	if (!can_be_kept(resume, ssl) ||
	    !make_id(&resume->id, ssl, resume->action, req,
		     SSL_version(ssl)) ||
	    RAND_bytes(resume->token, sizeof(resume->token)) != 1)
		memset(resume->token, 0, sizeof(resume->token));
}

/* The handshake is through: which session it is, with whose chain. */
int attlsd_resume_done(struct attlsd_resume *resume, SSL *ssl,
		       const struct attls_request *req)
{
	bool reused = SSL_session_reused(ssl);

	if (SSL_is_server(ssl)) {
		attlsd_tickets_token(ssl, resume->token);
		return reused ? attlsd_tickets_chain(&resume->chain, ssl) :
				attlsd_chain_peer(&resume->chain, ssl);
	}
	if (reused)
		return 0;
	attlsd_resume_let_go(resume);
	new_token(resume, ssl, req);
	attlsd_chain_free(&resume->chain);
	return attlsd_chain_peer(&resume->chain, ssl);
}

bool attlsd_resume_has_token(const struct attlsd_resume *resume)
{
	return is_token(resume->token);
}

/* It is never resumed again. */
void attlsd_resume_forget(struct attlsd_resume *resume)
{
	attlsd_store_forget(resume->token);
	memset(resume->token, 0, sizeof(resume->token));
}

/* In both roles.  False: not the session that the program demands. */
bool attlsd_resume_fits(const struct attlsd_resume *resume, const SSL *ssl,
			struct attlsd_failure *failure)
{
	char token[2 * ATTLS_SESSION_LEN + 1];
	char but[128];

	if (!is_demand(ssl))
		return true;
	if (!SSL_session_reused(ssl)) {
		set_failure(failure, ssl, SSL_is_server(ssl) ?
			    "the client has resumed none" :
			    "the server has begun a new one");
		return false;
	}
	if (!memcmp(resume->token, attlsd_wishes_said(ssl)->session,
		    sizeof(resume->token)))
		return true;
	put_token(token, resume->token);
	snprintf(but, sizeof(but), "the client has resumed %s", token);
	set_failure(failure, ssl, but);
	return false;
}

/* Seconds; 0: not at all. */
static unsigned long lifetime(const struct attlsd_resume *resume,
			      const SSL_SESSION *session)
{
	unsigned long hint = SSL_SESSION_get_ticket_lifetime_hint(session);
	unsigned long most;

	if (SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION)
		return hint < LIFETIME_MAX ? hint : LIFETIME_MAX;
	most = resume->action->sessions.v3_timeout;
	/* RFC 5077 section 3.3: 0 is no hint. */
	return hint && hint < most ? hint : most;
}

static int64_t end_of(const struct attlsd_resume *resume, SSL_SESSION *session)
{
	int64_t until = SSL_SESSION_get_time_ex(session) +
			(int64_t)lifetime(resume, session);
	int64_t valid;

	valid = attlsd_time(X509_get0_notAfter(SSL_SESSION_get0_peer(session)));
	return until < valid ? until : valid;
}

static bool is_too_big(const struct attlsd_resume *resume,
		       const SSL_SESSION *session)
{
	const unsigned char *ticket;
	size_t len = 0;

	SSL_SESSION_get0_ticket(session, &ticket, &len);
	return len > resume->action->sessions.ticket_size;
}

static void store(const struct attlsd_resume *resume, SSL_SESSION *session)
{
	struct store_session s = {
		.id = resume->id,
		.era = resume->era,
		.until = end_of(resume, session),
		.chain = resume->chain.der,
		.chain_len = resume->chain.len,
	};
	unsigned char *der = NULL;
	int len = i2d_SSL_SESSION(session, &der);

	if (SSL_SESSION_get_protocol_version(session) == TLS1_2_VERSION)
		s.most = resume->action->sessions.v3_size;
	memcpy(s.token, resume->token, sizeof(s.token));
	if (len > 0) {
		s.session = der;
		s.session_len = len;
		attlsd_store_put(&s);
	}
	OPENSSL_clear_free(der, len > 0 ? len : 0);
}

/* A client's session, for others to resume, unless they know it already. */
void attlsd_resume_keep(const struct attlsd_resume *resume, SSL *ssl)
{
	SSL_SESSION *session = SSL_get_session(ssl);

	if (!attlsd_resume_has_token(resume) || session == resume->offered ||
	    !SSL_SESSION_is_resumable(session) ||
	    !SSL_SESSION_get0_peer(session) ||
	    is_too_big(resume, session) ||
	    attlsd_store_is_forgotten(resume->token))
		return;
	attlsd_resume_let_go(resume);
	store(resume, session);
}

/* What was offered is of no more use; the rest is. */
void attlsd_resume_settle(struct attlsd_resume *resume)
{
	SSL_SESSION_free(resume->offered);
	resume->offered = NULL;
}

void attlsd_resume_free(struct attlsd_resume *resume)
{
	attlsd_resume_settle(resume);
	attlsd_chain_free(&resume->chain);
}
