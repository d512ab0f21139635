// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions that a server resumes: tickets, which the client keeps for it, and
 * the session ids of TLS 1.2, which are in the store.
 *
 * Both have a label: the name of the session, the server name that the client
 * had asked for, and what came behind the client's certificate.  It is
 * inherited, whatever is resumed from what.
 *
 * Who may find a session is its owner, a hash of the generation of the policy
 * and of the context: part of what the keys of tickets are derived from, and
 * OpenSSL's session id context.  So a session never outlives its policy, nor
 * is it good at another rule's environment.
 *
 * Whatever goes wrong, there is no ticket, or the handshake is full.
 */
#include "attlsd.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#define SHOWN_MAX	8192		/* bytes of a client's certificates */
#define NAME_MAX_LEN	TLSEXT_MAXLEN_host_name
#define HOST_NAME	0		/* of RFC 6066 section 3 */

struct tickets {
	const struct attlsd_context *context;
	uint8_t	token[ATTLS_SESSION_LEN];
	unsigned int era;		/* of the store, as it began */
	bool	full;			/* resumes nothing */
	bool	kept;			/* the client can resume it */
	bool	never;			/* and must not be able to */
	bool	bound;			/* RFC 7627: to this client */
	bool	named;			/* name is the client's, or "" */
	char	name[NAME_MAX_LEN + 1];
};

/* Part of a session, with the name and then the chain behind it. */
struct label {
	uint8_t	token[ATTLS_SESSION_LEN];
	uint8_t	name_len;
};

struct keys {				/* of a ticket */
	uint8_t	cipher[32];
	uint8_t	mac[32];
};

static struct tickets *tickets_of(const SSL *ssl)
{
	return attlsd_ours(ssl)->tickets;
}

static const struct policy_sessions *sessions_of(const SSL *ssl)
{
	const struct policy_action *action;

	action = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	return &action->sessions;
}

/* NULL: it has none that we made. */
static const struct label *label_of(SSL_SESSION *session, const uint8_t **rest,
				    size_t *len)
{
	const struct label *label;
	void *data = NULL;

	if (!session || !SSL_SESSION_get0_ticket_appdata(session, &data, len) ||
	    !data || *len < sizeof(*label))
		return NULL;
	label = data;
	*rest = (const uint8_t *)(label + 1);
	*len -= sizeof(*label);
	return label->name_len <= *len ? label : NULL;
}

/*
 * A certificate that a client has shown is part of a session; with a chain
 * that is too long for that, there is none.
 */
static bool fits(const SSL *ssl, const struct attlsd_chain *chain)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	int len = cert ? i2d_X509(cert, NULL) : 0;

	return len >= 0 && len + chain->len <= SHOWN_MAX;
}

static bool write_label(const struct tickets *t, SSL_SESSION *session,
			const struct attlsd_chain *chain)
{
	uint8_t data[sizeof(struct label) + NAME_MAX_LEN + SHOWN_MAX];
	struct label label = { .name_len = strlen(t->name) };
	uint8_t *at = data;

	memcpy(label.token, t->token, sizeof(label.token));
	memcpy(at, &label, sizeof(label));
	at += sizeof(label);
	memcpy(at, t->name, label.name_len);
	at += label.name_len;
	if (chain->len)
		memcpy(at, chain->der, chain->len);
	at += chain->len;
	return SSL_SESSION_set1_ticket_appdata(session, data, at - data);
}

static bool set_label(const struct tickets *t, SSL *ssl, SSL_SESSION *session)
{
	struct attlsd_chain chain = { .der = NULL };
	bool set;

	set = t->named && (t->bound || SSL_version(ssl) == TLS1_3_VERSION) &&
	      !attlsd_chain_peer(&chain, ssl) &&
	      fits(ssl, &chain) && write_label(t, session, &chain);
	attlsd_chain_free(&chain);
	return set;
}

/*
 * A session ends @timeout seconds after the client last proved who it is, and
 * no later than the certificate by which it did.  0: it has ended.
 */
static int64_t set_end(SSL *ssl, SSL_SESSION *session, unsigned int timeout)
{
	int64_t start = SSL_SESSION_get_time_ex(session);
	X509 *cert = SSL_get0_peer_certificate(ssl);
	int64_t end = start + timeout;
	int64_t last = cert ? attlsd_time(X509_get0_notAfter(cert)) : end;

	if (last < end)
		end = last;
	if (end <= start || end <= time(NULL))
		return 0;
	return SSL_SESSION_set_timeout(session, end - start) ? end : 0;
}

/* Before each ticket is made; its keys are asked for after that. */
static int on_make(SSL *ssl, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	struct tickets *t = tickets_of(ssl);

	if (!t)
		return 1;
	t->never = t->era != attlsd_store_era() ||
		   !set_end(ssl, session, sessions_of(ssl)->timeout) ||
		   (!SSL_session_reused(ssl) && !set_label(t, ssl, session));
	return 1;
}

/* What was forgotten, or asked for under another name, is not resumed. */
static bool may_resume(const SSL *ssl, SSL_SESSION *session)
{
	const struct tickets *t = tickets_of(ssl);
	const struct label *label;
	const uint8_t *name;
	size_t len;

	if (!t || t->full || !t->named ||
	    SSL_SESSION_get_protocol_version(session) != SSL_version(ssl))
		return false;
	label = label_of(session, &name, &len);
	return label && label->name_len == strlen(t->name) &&
	       !strncasecmp(t->name, (const char *)name, label->name_len) &&
	       !attlsd_store_is_forgotten(label->token);
}

static SSL_TICKET_RETURN on_open(SSL *ssl, SSL_SESSION *session,
				 const unsigned char *key_name,
				 size_t key_name_len, SSL_TICKET_STATUS status,
				 void *arg)
{
	bool good = status == SSL_TICKET_SUCCESS ||
		    status == SSL_TICKET_SUCCESS_RENEW;

	if (!good || !may_resume(ssl, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE :
	       SSL_TICKET_RETURN_USE_RENEW;
}

static bool init_cipher(EVP_CIPHER_CTX *ctx, const struct keys *keys,
			unsigned int bits, unsigned char *iv, int encrypt)
{
	const EVP_CIPHER *cipher = bits == 256 ? EVP_aes_256_cbc() :
						 EVP_aes_128_cbc();

	if (encrypt && RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) <= 0)
		return false;
	return EVP_CipherInit_ex(ctx, cipher, NULL, keys->cipher, iv, encrypt);
}

static bool init_mac(EVP_MAC_CTX *ctx, const struct keys *keys)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_init(ctx, keys->mac, sizeof(keys->mac), params);
}

static bool use_key(const struct store_key *key, const SSL *ssl,
		    unsigned char *iv, EVP_CIPHER_CTX *cipher,
		    EVP_MAC_CTX *mac, int encrypt)
{
	const struct tickets *t = tickets_of(ssl);
	struct keys keys;
	bool used;

	used = !attlsd_secrets_hkdf(key->secret, sizeof(key->secret),
				    t->context->owner,
				    sizeof(t->context->owner),
				    (uint8_t *)&keys, sizeof(keys)) &&
	       init_cipher(cipher, &keys, sessions_of(ssl)->key_bits, iv,
			   encrypt) &&
	       init_mac(mac, &keys);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return used;
}

static bool seal_ticket(SSL *ssl, struct tickets *t, unsigned char *name,
			unsigned char *iv, EVP_CIPHER_CTX *cipher,
			EVP_MAC_CTX *mac)
{
	const struct policy_sessions *s = sessions_of(ssl);
	struct store_key key;

	if (t->never || !attlsd_store_key(s->refresh, s->timeout, &key))
		return false;
	t->kept = use_key(&key, ssl, iv, cipher, mac, 1);
	memcpy(name, key.name, sizeof(key.name));
	OPENSSL_cleanse(&key, sizeof(key));
	return t->kept;
}

static bool open_ticket(SSL *ssl, const unsigned char *name, unsigned char *iv,
			EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool *old)
{
	const struct policy_sessions *s = sessions_of(ssl);
	struct store_key key;
	bool used;

	if (!attlsd_store_key_find(name, s->refresh, s->timeout, &key, old))
		return false;
	used = use_key(&key, ssl, iv, cipher, mac, 0);
	OPENSSL_cleanse(&key, sizeof(key));
	return used;
}

/*
 * 0: no ticket, or one that is not ours; 2: the client gets another one, as
 * the key is old, or because a ticket of TLS 1.3 is used once.
 */
static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv,
		  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct tickets *t = tickets_of(ssl);
	bool old = false;

	if (!t)
		return 0;
	if (encrypt)
		return seal_ticket(ssl, t, name, iv, cipher, mac);
	if (!open_ticket(ssl, name, iv, cipher, mac, &old))
		return 0;
	return old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

static bool id_of(const SSL *ssl, const uint8_t *id, size_t len,
		  struct store_id *to)
{
	const struct tickets *t = tickets_of(ssl);

	if (!t || !len || len > sizeof(to->peer) ||
	    SSL_version(ssl) != TLS1_2_VERSION)
		return false;
	memset(to, 0, sizeof(*to));
	memcpy(to->owner, t->context->owner, sizeof(to->owner));
	memcpy(to->peer, id, len);
	return true;
}

static void put(const struct tickets *t, SSL_SESSION *session,
		struct store_session *s)
{
	unsigned char *der = NULL;
	int len = i2d_SSL_SESSION(session, &der);

	if (len <= 0)
		return;
	memcpy(s->token, t->token, sizeof(s->token));
	s->era = t->era;
	s->session = der;
	s->session_len = len;
	attlsd_store_put(s);
	OPENSSL_clear_free(der, len);
}

/* A session of TLS 1.2 whose client has no tickets.  No reference is kept. */
static int on_new(SSL *ssl, SSL_SESSION *session)
{
	const struct policy_sessions *p = sessions_of(ssl);
	struct tickets *t = tickets_of(ssl);
	struct store_session s = { .most = p->v3_size };
	const unsigned char *id;
	unsigned int len;

	id = SSL_SESSION_get_id(session, &len);
	if (!id_of(ssl, id, len, &s.id))
		return 0;
	s.until = set_end(ssl, session, p->v3_timeout);
	if (!s.until || !set_label(t, ssl, session))
		return 0;
	put(t, session, &s);
	t->kept = true;
	return 0;
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int len,
			   int *copy)
{
	SSL_SESSION *session = NULL;
	struct store_copy *found;
	const uint8_t *der;
	struct store_id at;

	*copy = 0;
	if (len < 0 || !id_of(ssl, id, len, &at))
		return NULL;
	found = attlsd_store_get(&at, NULL, false);
	if (!found)
		return NULL;
	der = found->data;
	session = d2i_SSL_SESSION(NULL, &der, found->session_len);
	attlsd_store_free(found);
	if (session && !may_resume(ssl, session)) {
		SSL_SESSION_free(session);
		session = NULL;
	}
	return session;
}

/* A list that has one host name in it. */
static bool read_name(struct tickets *t, const unsigned char *list, size_t len)
{
	size_t n = len > 5 ? list[3] << 8 | list[4] : 0;

	if (!n || n > NAME_MAX_LEN || len != 5 + n || list[2] != HOST_NAME ||
	    (size_t)(list[0] << 8 | list[1]) != 3 + n ||
	    memchr(list + 5, 0, n))
		return false;
	memcpy(t->name, list + 5, n);
	t->name[n] = '\0';
	return true;
}

/*
 * For each ClientHello.  In TLS 1.2 SSL_get_servername() tells the name in
 * the session that is resumed, so it is too late to compare then.
 */
void attlsd_tickets_hello(SSL *ssl)
{
	struct tickets *t = tickets_of(ssl);
	const unsigned char *list;
	size_t len;

	if (!t)
		return;
	t->bound = SSL_client_hello_get0_ext(ssl,
					     TLSEXT_TYPE_extended_master_secret,
					     &list, &len) &&
		   !(SSL_get_options(ssl) & SSL_OP_NO_EXTENDED_MASTER_SECRET);
	t->name[0] = '\0';
	t->named = !SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name,
					      &list, &len) ||
		   read_name(t, list, len);
}

/* By itself OpenSSL sends none: see attlsd_tickets_first(). */
static void use_tickets(SSL_CTX *ctx, const struct policy_sessions *s)
{
	SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key);
	SSL_CTX_set_session_ticket_cb(ctx, on_make, on_open, NULL);
}

static void use_ids(SSL_CTX *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER |
				       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new);
	SSL_CTX_sess_set_get_cb(ctx, on_get);
}

/* Of a server; a resumed session has no chain whose status could be asked. */
void attlsd_tickets_setup(const struct attlsd_context *context,
			  const struct policy_action *action)
{
	const struct policy_sessions *s = &action->sessions;
	SSL_CTX *ctx = context->ctx;

	if (!policy_role_is_server(action->role) ||
	    attlsd_revocation_wanted(action, context))
		return;
	if (s->server_tickets && s->timeout)
		use_tickets(ctx, s);
	if (s->v3_size && s->v3_timeout)
		use_ids(ctx);
}

/* In a worker, which knows the generation that the set has got. */
int attlsd_tickets_prepare(struct attlsd_context *context, uint32_t generation,
			   unsigned int index)
{
	const struct policy_action *action = SSL_CTX_get_app_data(context->ctx);
	bool server = policy_role_is_server(action->role);
	uint32_t id[] = { server, generation, index };

	if (!EVP_Digest(id, sizeof(id), context->owner, NULL, EVP_sha256(),
			NULL) ||
	    !SSL_CTX_set_session_id_context(context->ctx, context->owner,
					    sizeof(context->owner)))
		return -EIO;
	return 0;
}

/* For a server's handshake, at its start. */
int attlsd_tickets_begin(SSL *ssl, const struct attlsd_context *context,
			 const struct attls_request *req)
{
	struct tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	attlsd_ours(ssl)->tickets = t;
	t->context = context;
	t->era = attlsd_store_era();
	t->full = req->flags & ATTLS_REQUEST_FULL;
	return RAND_bytes(t->token, sizeof(t->token)) > 0 ? 0 : -EIO;
}

/* The name that the client asks for, whatever it resumes; NULL: none. */
const char *attlsd_tickets_name(const SSL *ssl)
{
	const struct tickets *t = tickets_of(ssl);

	return t && t->name[0] ? t->name : NULL;
}

/* TLS 1.3: more of them can be sent after the handshake. */
bool attlsd_tickets_more(const SSL *ssl)
{
	const struct tickets *t = tickets_of(ssl);

	return t && !t->never && SSL_version(ssl) == TLS1_3_VERSION &&
	       !(SSL_get_options(ssl) & SSL_OP_NO_TICKET);
}

/* What OpenSSL sends comes here in clear, before it is encrypted. */
static void on_message(int out, int version, int type, const void *buf,
		       size_t len, SSL *ssl, void *arg)
{
	struct attlsd_tickets *made = arg;
	const uint8_t *message = buf;

	if (!out || type != SSL3_RT_HANDSHAKE || !len || made->bytes ||
	    message[0] != SSL3_MT_NEWSESSION_TICKET)
		return;
	made->bytes = malloc(len);
	if (!made->bytes)
		return;
	memcpy(made->bytes, message, len);
	made->len = len;
}

/*
 * One more ticket, in clear; its record goes to the write BIO of @ssl, where
 * nobody wants it.  After the handshake.  False: there is none.
 */
bool attlsd_tickets_make(SSL *ssl, struct attlsd_tickets *made)
{
	bool done;

	*made = (struct attlsd_tickets) { .bytes = NULL };
	SSL_set_msg_callback(ssl, on_message);
	SSL_set_msg_callback_arg(ssl, made);
	ERR_clear_error();
	done = SSL_new_session_ticket(ssl) == 1 && SSL_do_handshake(ssl) == 1;
	SSL_set_msg_callback(ssl, NULL);
	if (!done)
		attlsd_tickets_free(made);
	return made->bytes;
}

void attlsd_tickets_free(struct attlsd_tickets *tickets)
{
	free(tickets->bytes);
	*tickets = (struct attlsd_tickets) { .bytes = NULL };
}

static bool append(struct attlsd_tickets *to, const struct attlsd_tickets *one)
{
	uint8_t *bytes;

	if (to->len + one->len > ATTLS_TICKETS_MAX)
		return false;
	bytes = realloc(to->bytes, to->len + one->len);
	if (!bytes)
		return false;
	memcpy(bytes + to->len, one->bytes, one->len);
	to->bytes = bytes;
	to->len += one->len;
	return true;
}

/* Who resumes has the others still. */
static unsigned int count_of(const SSL *ssl)
{
	unsigned int count = sessions_of(ssl)->count;

	return count > 1 && SSL_session_reused(ssl) ? 1 : count;
}

/*
 * The tickets that the kernel sends with the first data.  The keys have been
 * exported: nothing more that OpenSSL makes goes to the peer.
 */
void attlsd_tickets_first(SSL *ssl, struct attlsd_tickets *tickets)
{
	unsigned int count = attlsd_tickets_more(ssl) ? count_of(ssl) : 0;
	BIO *nowhere = count ? BIO_new(BIO_s_null()) : NULL;
	struct attlsd_tickets one;
	bool more = nowhere;

	*tickets = (struct attlsd_tickets) { .bytes = NULL };
	if (nowhere)
		SSL_set0_wbio(ssl, nowhere);
	while (more && count--) {
		more = attlsd_tickets_make(ssl, &one) && append(tickets, &one);
		attlsd_tickets_free(&one);
	}
}

/* After a handshake; all 0: the session can never be resumed. */
void attlsd_tickets_token(SSL *ssl, uint8_t *token)
{
	const struct tickets *t = tickets_of(ssl);
	const struct label *label;
	const uint8_t *rest;
	size_t len;

	memset(token, 0, ATTLS_SESSION_LEN);
	label = SSL_session_reused(ssl) ?
		label_of(SSL_get_session(ssl), &rest, &len) : NULL;
	if (label)
		memcpy(token, label->token, ATTLS_SESSION_LEN);
	else if (t && (t->kept || attlsd_tickets_more(ssl)))
		memcpy(token, t->token, ATTLS_SESSION_LEN);
}

/*
 * What came behind the client's certificate when the session was made; of a
 * handshake that has resumed it.  Even after an error attlsd_chain_free() is
 * due.
 */
int attlsd_tickets_chain(struct attlsd_chain *chain, SSL *ssl)
{
	const struct label *label;
	const uint8_t *rest;
	size_t len;

	label = label_of(SSL_get_session(ssl), &rest, &len);
	if (!label)
		return -EPROTO;
	len -= label->name_len;
	return attlsd_chain_set(chain, rest + label->name_len, len);
}
