/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * attlsd: the TLS agent of the attls kernel module.
 *
 * proc.c tells how the processes work together, worker.c what one of them
 * does.  Functions return 0 or a negative errno unless a comment says
 * otherwise.
 */
#ifndef ATTLSD_H
#define ATTLSD_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <syslog.h>
#include <time.h>

#include <linux/attls.h>
#include <linux/attls_sockopt.h>
#include <linux/tls.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>

#include "keyring.h"
#include "policy.h"
#include "signer.h"
#include "store.h"

struct attlsd_failure;
struct attlsd_hs;
struct json_object;
struct policy_cert_user;

struct attlsd_config {
	const char *policy;		/* file that "reload" reads */
	const char *socket;		/* control socket */
	const char *user;		/* NULL: attls, else nobody */
	unsigned int workers;
	bool	debug;
};

/* log.c */
void attlsd_log_open(bool debug);
void attlsd_log_connect(void);		/* in a worker */
void attlsd_log(int priority, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool attlsd_log_debug(void);
void attlsd_log_diags(const struct policy_diags *diags);
/* What the network can provoke: at most @limit lines a second. */
void attlsd_log_limit(unsigned int limit);
bool attlsd_log_allowed(void);
void attlsd_log_tick(void);		/* says how many were suppressed */

/* users.c: the names of local users, for workers without a file system */
void attlsd_users_load(void);
const char *attlsd_users_name(uid_t uid);	/* NULL: unknown */

/* suites.c */
struct attlsd_aead {
	uint16_t type;			/* TLS_CIPHER_* */
	uint8_t	key_len;
	uint8_t	salt_len;
	uint8_t	iv_len;
	uint8_t	info_len;		/* the whole structure of kTLS */
};

struct attlsd_suite {
	uint16_t id;			/* IANA */
	uint16_t version;
	const struct attlsd_aead *aead;
};

const struct attlsd_suite *attlsd_suite_find(uint16_t id);
void attlsd_suite_list(const struct policy_action *action, int version,
		       char *buf, size_t size);

/* records.c */
struct attlsd_flow {			/* one direction */
	uint64_t count;			/* records under the newest key */
	uint64_t passed;		/* the same, TLS 1.2, from the bytes */
	bool	keyed;			/* count began with a secret */
	bool	ccs;			/* ChangeCipherSpec has passed */
	uint8_t	have;			/* bytes in head */
	uint8_t	head[13];		/* header and explicit nonce */
	uint32_t left;			/* length of the record's body */
	uint32_t skip;			/* bytes of it still to come */
	uint8_t	nonce[8];		/* of the last record under the key */
};

struct attlsd_records {
	struct attlsd_flow tx;
	struct attlsd_flow rx;
	uint8_t	start[5];		/* the first bytes of the peer */
	uint8_t	start_len;
	bool	eof;
	int	io_error;		/* errno of the handshake file */
	int	alert_sent;		/* -1: none */
	int	alert_received;
	bool	shown;			/* we have sent a certificate */
	const char *refused;		/* why a callback did, or NULL */
};

void attlsd_records_watch(struct attlsd_records *rec, SSL *ssl, BIO *bio);
void attlsd_records_keyed(struct attlsd_flow *flow);
bool attlsd_records_cleartext(const struct attlsd_records *rec);
void attlsd_records_refused(const SSL *ssl, const char *why);

/* ours.c */
struct wishes;
struct tickets;

struct attlsd_ours {			/* each may be NULL */
	struct attlsd_secrets *secrets;	/* of a handshake under way */
	struct wishes *wishes;		/* of the program */
	struct tickets *tickets;	/* of a server */
	char	*refused;		/* subject of the certificate */
};

SSL *attlsd_ssl_new(SSL_CTX *ctx);
void attlsd_ssl_free(SSL *ssl);

static inline struct attlsd_ours *attlsd_ours(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* secrets.c */
struct attlsd_secret {
	uint8_t	bytes[EVP_MAX_MD_SIZE];
	size_t	len;
};

struct attlsd_secrets {
	struct attlsd_records rec;
	struct attlsd_secret client;	/* TLS 1.3 traffic secrets */
	struct attlsd_secret server;
	struct attlsd_secret exporter;
};

union attlsd_crypto {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 gcm128;
	struct tls12_crypto_info_aes_gcm_256 gcm256;
	struct tls12_crypto_info_aes_ccm_128 ccm128;
	struct tls12_crypto_info_chacha20_poly1305 chacha20;
	uint8_t bytes[56];
};

/* As struct attls_install has it. */
struct attlsd_exporter {
	uint8_t	bytes[sizeof(struct attls_master)];
	uint32_t len;			/* 0: there is none */
};

struct attlsd_keys {
	const struct attlsd_suite *suite;
	union attlsd_crypto tx;
	union attlsd_crypto rx;
	struct attlsd_secret tx_secret;	/* TLS 1.3: for key updates */
	struct attlsd_secret rx_secret;
	struct attlsd_exporter exporter;
};

int attlsd_secrets_init(void);
void attlsd_secrets_prepare(SSL_CTX *ctx);
void attlsd_secrets_watch(struct attlsd_secrets *sec, SSL *ssl, BIO *bio);
int attlsd_secrets_hkdf(const uint8_t *secret, size_t len, const uint8_t *info,
			size_t info_len, uint8_t *out, size_t out_len);
int attlsd_secrets_export(const struct attlsd_secrets *sec, SSL *ssl,
			  struct attlsd_keys *keys);
void attlsd_secrets_wipe(struct attlsd_secrets *sec);
void attlsd_keys_wipe(struct attlsd_keys *keys);

/* groups.c */
uint16_t attlsd_group_id(const SSL *ssl);
int attlsd_groups_set(SSL_CTX *ctx, const struct policy_action *action);
int attlsd_groups_hello(SSL *ssl, const struct policy_action *action);

#define ATTLSD_WHY	512		/* bytes of a reason for people */

/* context.c */
struct attlsd_context {
	SSL_CTX	*ctx;
	OSSL_LIB_CTX *libctx;		/* of FIPS140, or NULL: the usual */
	struct attlsd_sni *names;	/* of a server; see sni.c */
	size_t	n_names;
	STACK_OF(X509_CRL) *crls;	/* of the ring */
	const struct keyring_pair *signer; /* of OCSP requests, or NULL */
	uint8_t	owner[STORE_ID];	/* of its sessions, in a worker */
};

int attlsd_context_init(struct attlsd_context *context,
			const struct policy_action *action,
			const struct keyring *ring,
			struct policy_diags *diags);
void attlsd_context_free(struct attlsd_context *context);
OSSL_LIB_CTX *attlsd_context_enter(const struct attlsd_context *context);
void attlsd_context_leave(OSSL_LIB_CTX *before);

/* sni.c */
int attlsd_sni_init(struct attlsd_context *context,
		    const struct policy_action *action,
		    const struct keyring *ring, struct policy_diags *diags);
void attlsd_sni_free(struct attlsd_context *context);
SSL_CTX *attlsd_sni_shown(const struct attlsd_context *context, size_t i);
const char *attlsd_sni_name(const SSL *ssl,
			    const struct policy_action *action);
const char *attlsd_sni_lacks(const SSL *ssl, const struct policy_action *action,
			     const struct attlsd_records *rec);

/* verify.c */
void attlsd_verify_setup(SSL_CTX *ctx, const struct policy_action *action);
const char *attlsd_verify_text(long error);
int attlsd_verify_expect(SSL *ssl, const struct policy_action *action,
			 const struct attls_request *req);
bool attlsd_verify_again(SSL *ssl, const struct policy_action *action,
			 X509 *cert);

/* wishes.c */
void attlsd_wishes_prepare(SSL_CTX *ctx);
bool attlsd_wishes_take(SSL *ssl, const struct attls_request *req,
			struct attlsd_failure *failure);
const struct attls_wishes *attlsd_wishes_said(const SSL *ssl);
const char *attlsd_wishes_peer(const SSL *ssl);
void attlsd_wishes_mismatch(SSL *ssl, const X509 *cert);
const char *attlsd_wishes_why(const SSL *ssl);
int attlsd_wishes_offer(SSL *ssl);

/* fragment.c */
int attlsd_fragment_offer(SSL_CTX *ctx, const struct policy_action *action);
uint16_t attlsd_fragment_agreed(const SSL *ssl);
const char *attlsd_fragment_lacks(const SSL *ssl,
				  const struct policy_action *action);

/*
 * certmap.c.  The error is no number of OpenSSL's own, which then sends the
 * alert certificate_unknown: RFC 8446 has it for a certificate that is not
 * acceptable for some other reason.  access_denied would fit as well, but no
 * callback can have it sent.
 */
#define ATTLSD_V_NO_USER	ATTLS_REASON_NO_USER

const struct policy_cert_user *
attlsd_certmap_user(const struct policy_action *action, X509 *cert);
bool attlsd_certmap_admits(SSL *ssl, const struct policy_action *action,
			   X509 *cert);
const char *attlsd_certmap_refused(const SSL *ssl);

/* fetcher.c: what worker and fetcher say to each other */
#define ATTLSD_FETCHER_OPTION	"--fetcher"
#define ATTLSD_FETCHER_NAME	POLICY_FETCHER	/* the comm, for rules */
#define ATTLSD_FETCHES		256		/* at once, of a worker */
#define ATTLSD_FETCH_BODY	8192		/* bytes of a request of OCSP */
#define ATTLSD_FETCH_PIECE	32768

enum attlsd_fetch_how {
	ATTLSD_FETCH_HTTP,
	ATTLSD_FETCH_LDAP,		/* url: of servers, spaces between */
};

struct attlsd_fetch_entry {
	bool	of_ca;			/* the certificate in question */
	char	dn[4096];
	char	user[POLICY_LDAP_USER_MAX + 1];	/* "": nobody */
	char	password[POLICY_LDAP_PW_MAX + 1];
};

struct attlsd_fetch_request {
	uint32_t id;
	uint32_t how;
	uint32_t timeout;		/* seconds */
	uint32_t max_size;		/* bytes of the answer */
	uint16_t proxy_port;
	uint16_t body_len;		/* 0: a GET */
	char	url[POLICY_URL_MAX + 260];	/* with an OCSP request */
	char	proxy[256];		/* "": none */
	char	content_type[32];	/* of the answer, "": any */
	union {				/* only body_len bytes are sent */
		uint8_t	body[ATTLSD_FETCH_BODY];
		struct attlsd_fetch_entry entry;
	};
};

#define ATTLSD_FETCH_ASK	offsetof(struct attlsd_fetch_request, body)

enum attlsd_fetch_type {
	ATTLSD_FETCH_MORE,		/* a piece */
	ATTLSD_FETCH_LAST,		/* the last one */
	ATTLSD_FETCH_FAILED,		/* nobody answered; the reason */
	ATTLSD_FETCH_REFUSED,		/* a directory did, with an error */
	ATTLSD_FETCH_NONE,		/* it has no CRL */
};

struct attlsd_fetch_reply {
	uint32_t id;
	uint32_t type;
	char	data[ATTLSD_FETCH_PIECE];
};

#define ATTLSD_FETCH_HEAD	offsetof(struct attlsd_fetch_reply, data)

int attlsd_fetcher_main(void);

/* dial.c, ldap.c */
int attlsd_left(int64_t deadline);
int attlsd_dial(const char *host, const char *port, int64_t deadline,
		const char **why);
BIO *attlsd_ldap_get(const struct attlsd_fetch_request *req,
		     enum attlsd_fetch_type *type, char *why);

/* answers.c */
enum attlsd_answer_kind {
	ATTLSD_ANSWER_CRL,
	ATTLSD_ANSWER_OCSP,
	ATTLSD_ANSWER_LDAP,		/* CRLs */
};

struct attlsd_waiter {
	TAILQ_ENTRY(attlsd_waiter) link;
	struct attlsd_answer *answer;	/* NULL: waits for nothing */
	void	*owner;			/* NULL: looks at ready himself */
	bool	ready;			/* the answer is here */
	bool	queued;			/* for attlsd_answers_next() */
};

struct attlsd_answer {
	TAILQ_ENTRY(attlsd_answer) link; /* asked for, or kept */
	TAILQ_HEAD(, attlsd_waiter) waiters;
	unsigned int refs;
	enum attlsd_answer_kind kind;
	char	*key;			/* URL, and what was asked there */
	uint32_t id;
	unsigned int timeout;		/* seconds */
	int64_t	deadline;		/* ms */
	size_t	limit;
	uint8_t	*data;
	size_t	len;
	bool	here;			/* the rest is valid */
	bool	reached;		/* somebody answered */
	bool	none;			/* that there is no CRL */
	bool	kept;
	time_t	until;			/* kept: is valid until then */
	unsigned long issuer;		/* kept: hash of its CA's name */
	STACK_OF(X509_CRL) *crls;	/* or NULL: could not be read */
	OCSP_RESPONSE *ocsp;
	char	why[128];		/* both are NULL */
};

void attlsd_answers_open(int fetcher);
int attlsd_answers_get(struct attlsd_waiter *waiter,
		       enum attlsd_answer_kind kind, const char *key,
		       struct attlsd_fetch_request *req,
		       const struct policy_source *source, bool fresh);
void attlsd_answers_leave(struct attlsd_waiter *waiter);
void attlsd_answers_keep(struct attlsd_answer *answer, time_t until,
			 unsigned long issuer,
			 const struct policy_source *source);
struct attlsd_waiter *attlsd_answers_next(void);
bool attlsd_answers_read(void);
void attlsd_answers_tick(void);

/* sigalg.c */
bool attlsd_sigalg_listed(const struct policy_code_list *list,
			  const X509_ALGOR *alg);
bool attlsd_sigalg_chain(const struct policy_code_list *list,
			 const STACK_OF(X509) *chain);

/* crl.c, ocsp.c */
enum attlsd_verdict {
	ATTLSD_PENDING,
	ATTLSD_GOOD,
	ATTLSD_REVOKED,
	ATTLSD_NO_STATUS,
	ATTLSD_NO_LDAP,			/* no directory could be asked */
};

enum attlsd_verdict attlsd_crl_judge(STACK_OF(X509_CRL) *crls, X509 *cert,
				     X509 *issuer,
				     const struct policy_revocation *want,
				     char *why);
OCSP_REQUEST *attlsd_ocsp_request(X509 *cert, X509 *issuer,
				  const struct policy_revocation *want,
				  const struct keyring_pair *signer);
int attlsd_ocsp_ask(struct attlsd_waiter *waiter, OCSP_REQUEST *request,
		    const char *url, const struct policy_revocation *want,
		    bool fresh);
enum attlsd_verdict attlsd_ocsp_judge(OCSP_RESPONSE *response,
				      OCSP_REQUEST *request, X509 *issuer,
				      const struct policy_revocation *want,
				      time_t *until, char *why);

/* directory.c */
char *attlsd_directory_name(const X509_NAME *name);
int attlsd_directory_ask(struct attlsd_waiter *waiter, const char *dn,
			 X509 *cert, const struct policy_ldap *ldap);

/* revocation.c */
struct attlsd_check;

time_t attlsd_time(const ASN1_TIME *asn1);	/* 0: none */
bool attlsd_revocation_asks(const struct policy_action *action);
bool attlsd_revocation_wanted(const struct policy_action *action,
			      const struct attlsd_context *context);
struct attlsd_check *attlsd_revocation_new(const struct policy_action *action,
					const struct attlsd_context *context,
					STACK_OF(X509) *chain, void *owner);
void attlsd_revocation_free(struct attlsd_check *check);
enum attlsd_verdict attlsd_revocation_run(struct attlsd_check *check);
void attlsd_revocation_why(const struct attlsd_check *check, char *buf,
			   size_t size);
void *attlsd_revocation_next(void);

/* staple.c */
struct attlsd_sets;

bool attlsd_staple_wanted(const struct policy_action *action);
void attlsd_staples_open(const struct attlsd_sets *sets);
void attlsd_staples_tick(void);

/* set.c: a policy with all that is needed to serve it */
struct attlsd_set {
	struct policy *policy;
	uint32_t generation;
	struct attlsd_context *contexts;
	unsigned int n_contexts;
	struct keyrings rings;
};

struct attlsd_sets {
	const struct attlsd_set *current;
	const struct attlsd_set *previous;	/* may be NULL */
};

struct attlsd_set *attlsd_set_load(const char *path,
				   struct policy_diags *diags);
void attlsd_set_free(struct attlsd_set *set);
const struct policy_action *attlsd_sets_find(const struct attlsd_sets *sets,
					const struct attls_request *req,
					const struct attlsd_context **context);
bool attlsd_sets_have(const struct attlsd_sets *sets, uint32_t generation);
/* Whether workers need a fetcher. */
bool attlsd_sets_ask(const struct attlsd_sets *sets);
/* In a worker, before its first handshake. */
int attlsd_sets_prepare(const struct attlsd_sets *sets);

/* startup.c */
int attlsd_startup_prepare(const struct policy *policy, char *error);
void attlsd_startup_commit(void);
void attlsd_startup_abort(void);

/* peer.c */
struct attlsd_peer {
	unsigned char *der;		/* NULL: there is no certificate */
	int	der_len;
	uint32_t names_len;
	uint8_t	names[ATTLS_NAMES_MAX];
};

int attlsd_peer_init(struct attlsd_peer *peer, const X509 *cert);
void attlsd_peer_free(struct attlsd_peer *peer);
void attlsd_peer_text(const X509 *cert, char *buf, size_t size);

/* chain.c */
struct attlsd_chain {			/* DER, one behind the other */
	unsigned char *der;		/* NULL: there is none */
	uint32_t len;
};

int attlsd_chain_peer(struct attlsd_chain *chain, SSL *ssl);
int attlsd_chain_own(struct attlsd_chain *chain, SSL *ssl,
		     const struct attlsd_records *rec);
int attlsd_chain_set(struct attlsd_chain *chain, const uint8_t *der,
		     size_t len);
void attlsd_chain_free(struct attlsd_chain *chain);

/* tickets.c: sessions that a server resumes */
struct attlsd_tickets {			/* messages with their headers */
	uint8_t	*bytes;			/* or NULL */
	size_t	len;
};

void attlsd_tickets_setup(const struct attlsd_context *context,
			  const struct policy_action *action);
int attlsd_tickets_prepare(struct attlsd_context *context, uint32_t generation,
			   unsigned int index);
int attlsd_tickets_begin(SSL *ssl, const struct attlsd_context *context,
			 const struct attls_request *req);
void attlsd_tickets_hello(SSL *ssl);
const char *attlsd_tickets_name(const SSL *ssl);
bool attlsd_tickets_more(const SSL *ssl);
bool attlsd_tickets_make(SSL *ssl, struct attlsd_tickets *made);
void attlsd_tickets_first(SSL *ssl, struct attlsd_tickets *tickets);
void attlsd_tickets_free(struct attlsd_tickets *tickets);
void attlsd_tickets_token(SSL *ssl, uint8_t *token);
int attlsd_tickets_chain(struct attlsd_chain *chain, SSL *ssl);

/* resume.c */
struct attlsd_resume {			/* the session of a handshake */
	const struct policy_action *action;
	bool	allowed;		/* to find one, and to keep one */
	struct store_id id;		/* of a client */
	unsigned int era;		/* of the store, as it began */
	uint8_t	token[ATTLS_SESSION_LEN]; /* all 0: it is never resumed */
	SSL_SESSION *offered;		/* by a client, or NULL */
	struct attlsd_chain chain;	/* behind the peer's own certificate */
};

void attlsd_resume_prepare(SSL_CTX *ctx, const struct policy_action *action);
bool attlsd_resume_offer(struct attlsd_resume *resume, SSL *ssl,
			 const struct attls_request *req);
bool attlsd_resume_is_missed(const SSL *ssl, struct attlsd_failure *failure);
int attlsd_resume_done(struct attlsd_resume *resume, SSL *ssl,
		       const struct attls_request *req);
bool attlsd_resume_fits(const struct attlsd_resume *resume, const SSL *ssl,
			struct attlsd_failure *failure);
bool attlsd_resume_has_token(const struct attlsd_resume *resume);
void attlsd_resume_forget(struct attlsd_resume *resume);
void attlsd_resume_keep(const struct attlsd_resume *resume, SSL *ssl);
void attlsd_resume_let_go(const struct attlsd_resume *resume);
void attlsd_resume_settle(struct attlsd_resume *resume);
void attlsd_resume_free(struct attlsd_resume *resume);

/* seal.c */
struct attlsd_seal {			/* for records as of the peer */
	const struct attlsd_suite *suite;
	union attlsd_crypto crypto;
	uint64_t count;			/* of the next record */
	size_t	max;			/* bytes of data in one */
};

void attlsd_seal_init(struct attlsd_seal *seal, const struct attlsd_keys *keys,
		      const struct attlsd_secrets *sec, uint16_t max_fragment);
int attlsd_seal_write(struct attlsd_seal *seal, BIO *bio,
		      const uint8_t *message, size_t len);
void attlsd_seal_wipe(struct attlsd_seal *seal);

/* agent.c */
struct attlsd_result {			/* of a handshake, for INSTALL */
	struct attlsd_keys keys;
	uint16_t group;
	uint16_t max_fragment;
	const struct policy_cert_user *user; /* of the peer, or NULL */
	struct attlsd_peer peer;
	const struct attlsd_resume *resume; /* with the peer's chain */
	uint16_t flags;			/* ATTLS_INSTALL_* */
	struct attlsd_chain own_chain;
	const uint8_t *alpn;
	unsigned int alpn_len;		/* 0: there is none */
	struct attlsd_tickets tickets;	/* for the client */
};

int attlsd_agent_open(void);		/* fd or a negative errno */
int attlsd_agent_accept(int device, struct attls_request *req);
int attlsd_agent_wishes(int fd, struct attls_wishes *wishes);
int attlsd_agent_install(int fd, const struct attlsd_result *result);
int attlsd_agent_fail(int fd, uint32_t reason);
int attlsd_agent_status(int fd, struct attls_status *status);
int attlsd_agent_event(int fd, struct attls_event *event, uint8_t *data);
int attlsd_agent_ticket(int fd, const uint8_t *data, uint32_t len);

/* failure.c */
struct attlsd_failure {
	uint32_t reason;		/* enum attls_reason */
	int	rc;			/* as z/OS numbers it */
	int	priority;
	bool	over;			/* the kernel has ended it already */
	char	text[ATTLSD_WHY];
};

void attlsd_failure_name(struct attlsd_failure *failure, SSL *ssl,
			 const struct attlsd_records *rec);
void attlsd_failure_kernel(struct attlsd_failure *failure, int fd, int error);
void attlsd_failure_set(struct attlsd_failure *failure, uint32_t reason,
			int rc, const char *text);
void attlsd_failure_revocation(struct attlsd_failure *failure,
			       enum attlsd_verdict verdict, const char *why);

/* report.c */
void attlsd_report_map(const struct attls_request *req,
		       const struct policy_action *action);
void attlsd_report_done(const struct attls_request *req,
			const struct policy_action *action, SSL *ssl,
			const struct policy_cert_user *user);
void attlsd_report_failed(const struct attls_request *req,
			  const struct policy_action *action,
			  const struct attlsd_failure *failure);

/* handshake.c */
struct attlsd_hs *attlsd_hs_start(const struct attlsd_sets *sets,
				  const struct attls_request *req);
/*
 * The events to wait for; 0 when it is over and has been freed, or the same
 * with a keeper, which its file belongs to from then on.
 */
#define ATTLSD_HS_KEPT	UINT32_MAX
uint32_t attlsd_hs_step(struct attlsd_hs *hs);
/* One that waits for a session, and whose time it is to look; or NULL. */
struct attlsd_hs *attlsd_hs_seeker(void);
int64_t attlsd_hs_look_at(void);	/* ms, when that will be; INT64_MAX */
uint32_t attlsd_hs_waits(const struct attlsd_hs *hs);
int attlsd_hs_fd(const struct attlsd_hs *hs);
void attlsd_hs_abort(struct attlsd_hs *hs);	/* frees it too */

/* keeper.c */
#define ATTLSD_KEEPERS	1280

struct attlsd_keeper;

int attlsd_keepers_open(unsigned int max);	/* fd for EPOLLIN */
void attlsd_keepers_serve(void);
void attlsd_keepers_tick(void);
void attlsd_keepers_close(void);
struct attlsd_keeper *attlsd_keeper_new(const struct attlsd_context *context,
					const struct policy_action *action,
					const struct attlsd_secrets *sec,
					const struct attlsd_keys *keys,
					SSL *ssl);
uint16_t attlsd_keeper_flags(const struct attlsd_keeper *keeper,
			     const SSL *ssl);
void attlsd_keeper_take(struct attlsd_keeper *keeper, int fd, SSL *ssl,
			struct attlsd_resume *resume);
void attlsd_keeper_free(struct attlsd_keeper *keeper);

/* sandbox.c */
struct attlsd_identity {
	uid_t	uid;
	gid_t	gid;
};

int attlsd_sandbox_identity(const char *user, struct attlsd_identity *id);
void attlsd_sandbox_limits(void);
void attlsd_sandbox_lock_memory(int priority);
int attlsd_sandbox_drop(const struct attlsd_identity *id);
int attlsd_sandbox_enter(const struct attlsd_identity *id);
int attlsd_sandbox_filter(void);
int attlsd_sandbox_fetcher(void);
int attlsd_sandbox_signer(void);

/* fetcher.c, in a worker before its sandbox */
int attlsd_fetcher_start(const struct attlsd_identity *id);

/* signer.c */
int attlsd_signer_main(void);

/* signing.c: the signer of a team */
int attlsd_signing_start(struct keyring_signer *signer,
			 const struct attlsd_sets *sets);
int attlsd_signing_client(struct keyring_signer *signer,
			  const struct attlsd_sets *sets);
int64_t attlsd_signing_lost(void);

/* worker.c */
#define ATTLSD_MSG_READY	'!'	/* worker to parent, once */
#define ATTLSD_MSG_PAUSE	'p'	/* parent to worker, answered with it */
#define ATTLSD_MSG_RESUME	'r'
#define ATTLSD_MSG_DRAIN	'd'	/* end after what is under way */
#define ATTLSD_MSG_STOP		's'	/* the same, within a shorter time */

/* @fetcher: -1 when none is needed. */
int attlsd_worker_main(int device, int channel, int fetcher,
		       const struct attlsd_sets *sets);

/* child.c: one worker as the parent sees it */
struct attlsd_child {
	pid_t	pid;			/* 0: does not run */
	int	channel;
	int64_t	started;		/* ms */
	int64_t	restart_at;		/* ms, when it does not run */
	unsigned int quick_deaths;	/* in a row */
};

/* @signer: a client's socket, or -1. */
int attlsd_child_start(struct attlsd_child *child, int device, int signer,
		       const struct attlsd_identity *id, unsigned int log_limit,
		       const struct attlsd_sets *sets);
void attlsd_child_send(struct attlsd_child *child, char message);
bool attlsd_child_answered(struct attlsd_child *child, char message,
			   int64_t deadline);
void attlsd_child_ended(struct attlsd_child *child);
void attlsd_child_schedule(struct attlsd_child *child);

/* team.c: the workers of one policy */
struct attlsd_team;

int attlsd_team_init(const struct attlsd_config *config, int device);
struct attlsd_team *attlsd_team_new(const struct attlsd_sets *sets);
void attlsd_team_pause(struct attlsd_team *team);
void attlsd_team_resume(struct attlsd_team *team);
void attlsd_team_retire(struct attlsd_team *team, char message);
void attlsd_team_reap(void);
int attlsd_team_tend(void);		/* ms until the next time, -1: none */
unsigned int attlsd_team_alive(void);	/* workers of all teams */
bool attlsd_team_lacks_signer(const struct attlsd_team *team);
void attlsd_team_signer_later(struct attlsd_team *team);

/* reload.c */
int attlsd_reload(const char *path, struct policy_diags *diags, char *error);
void attlsd_reload_again(void);
void attlsd_reload_tend(void);
void attlsd_reload_stop(void);
const struct attlsd_set *attlsd_reload_current(void);
const char *attlsd_reload_file(void);

/* ctl.c */
#define ATTLSD_CTL_CLIENTS	16
#define ATTLSD_CTL_FDS		(ATTLSD_CTL_CLIENTS + 1)

int attlsd_ctl_open(const char *path);
size_t attlsd_ctl_poll(struct pollfd *fds);	/* how many were filled in */
void attlsd_ctl_serve(const struct pollfd *fds, size_t n);
int attlsd_ctl_expire(void);		/* ms until the next, -1: none */
void attlsd_ctl_close(void);

/* command.c */
struct json_object *attlsd_command(const char *line);

/* proc.c */
int64_t attlsd_now(void);		/* ms */
void attlsd_proc_reloading(void);
void attlsd_proc_ready(void);
int attlsd_proc_main(const struct attlsd_config *config);

#endif /* ATTLSD_H */
