// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left of a handshake while its connection lives: somebody who knows
 * the session.
 *
 *	client, TLS 1.3		The tickets of the server come after the
 *				handshake.  The kernel passes them on, and
 *				OpenSSL makes sessions of them.
 *	server, TLS 1.3		OpenSSL makes a ticket when the application
 *				wants its client to have one more.
 *	ApplicationControlled	Applications may have the session forgotten.
 *
 * Keepers do not count as work that is under way: they are bounded, the oldest
 * make room, and a worker that is to end drops them all.  What the application
 * then cannot have forgotten any more, is forgotten at once.
 *
 * They have an epoll set of their own, which is a member of the worker's.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <openssl/err.h>

#define EVENTS		64
#define BATCH		16		/* events of one, for now */
#define TICKETS		2		/* that are waited for */
#define PATIENCE	30000		/* ms; as long as that */
#define DUE_MAX		16		/* tickets to be sent */
#define PASSING_SHARE	5		/* one in so many is not lasting */
#define TICK		1000		/* ms */

TAILQ_HEAD(keepers, attlsd_keeper);

struct kind {
	struct keepers list;		/* oldest first */
	unsigned int n;
	unsigned int max;
};

struct attlsd_keeper {
	TAILQ_ENTRY(attlsd_keeper) link;
	struct kind *kind;
	const struct attlsd_context *context;
	int	fd;
	SSL	*ssl;			/* NULL: no tickets, or no more */
	struct attlsd_resume resume;
	struct attlsd_seal seal;	/* of a client */
	int64_t	until;			/* ms; not of a lasting one */
	unsigned int taken;		/* tickets of the server */
	unsigned int due;		/* tickets for the client */
	struct attlsd_tickets ticket;	/* the first of them, or none */
};

static struct kind attlsd_lasting = {	/* as long as the connection */
	.list = TAILQ_HEAD_INITIALIZER(attlsd_lasting.list),
};

static struct kind attlsd_passing = {
	.list = TAILQ_HEAD_INITIALIZER(attlsd_passing.list),
};

static int attlsd_keepers_epoll = -1;
static int64_t attlsd_next_tick;

static void drop_ssl(struct attlsd_keeper *keeper)
{
	attlsd_ssl_free(keeper->ssl);
	keeper->ssl = NULL;
	attlsd_seal_wipe(&keeper->seal);
	attlsd_tickets_free(&keeper->ticket);
	keeper->due = 0;
}

/* One that has taken nothing over. */
void attlsd_keeper_free(struct attlsd_keeper *keeper)
{
	if (!keeper)
		return;
	attlsd_seal_wipe(&keeper->seal);
	free(keeper);
}

/* Its connection is over, or it is of no more use. */
static void end(struct attlsd_keeper *keeper)
{
	TAILQ_REMOVE(&keeper->kind->list, keeper, link);
	keeper->kind->n--;
	close(keeper->fd);
	drop_ssl(keeper);
	attlsd_resume_free(&keeper->resume);
	free(keeper);
}

/* The connection goes on, with nobody to tell what is to be forgotten. */
static void give_up(struct attlsd_keeper *keeper)
{
	if (keeper->kind == &attlsd_lasting)
		attlsd_store_forget(keeper->resume.token);
	end(keeper);
}

/* Returns what the worker waits for, or a negative errno. */
int attlsd_keepers_open(unsigned int max)
{
	attlsd_passing.max = max / PASSING_SHARE;
	attlsd_lasting.max = max - attlsd_passing.max;
	attlsd_keepers_epoll = epoll_create1(EPOLL_CLOEXEC);
	return attlsd_keepers_epoll < 0 ? -errno : attlsd_keepers_epoll;
}

/* All that there are; and there will be no more. */
void attlsd_keepers_close(void)
{
	attlsd_lasting.max = 0;
	attlsd_passing.max = 0;
	while (!TAILQ_EMPTY(&attlsd_lasting.list))
		give_up(TAILQ_FIRST(&attlsd_lasting.list));
	while (!TAILQ_EMPTY(&attlsd_passing.list))
		give_up(TAILQ_FIRST(&attlsd_passing.list));
}

static bool takes_tickets(const SSL *ssl)
{
	return SSL_version(ssl) == TLS1_3_VERSION && !SSL_is_server(ssl);
}

/* NULL: it has nothing to do, or there is no room. */
struct attlsd_keeper *attlsd_keeper_new(const struct attlsd_context *context,
					const struct policy_action *action,
					const struct attlsd_secrets *sec,
					const struct attlsd_keys *keys,
					SSL *ssl)
{
	struct kind *kind = action->appl_controlled ? &attlsd_lasting :
						      &attlsd_passing;
	struct attlsd_keeper *keeper;

	if (!kind->max || (kind == &attlsd_passing && !takes_tickets(ssl)))
		return NULL;
	keeper = calloc(1, sizeof(*keeper));
	if (!keeper)
		return NULL;
	keeper->kind = kind;
	keeper->context = context;
	if (takes_tickets(ssl))
		attlsd_seal_init(&keeper->seal, keys, sec,
				 attlsd_fragment_agreed(ssl));
	return keeper;
}

/* For INSTALL; @keeper may be NULL. */
uint16_t attlsd_keeper_flags(const struct attlsd_keeper *keeper,
			     const SSL *ssl)
{
	if (!keeper)
		return 0;
	return ATTLS_INSTALL_KEEP |
	       (attlsd_tickets_more(ssl) ? ATTLS_INSTALL_TICKETS : 0);
}

/*
 * From the handshake file to memory: the kernel has the connection now.
 * Tickets come in through the one, and what goes out, goes nowhere.
 */
static bool set_bios(struct attlsd_keeper *keeper)
{
	BIO *in = BIO_new(BIO_s_mem());
	BIO *out = BIO_new(BIO_s_null());

	if (!in || !out) {
		BIO_free(in);
		BIO_free(out);
		return false;
	}
	SSL_set_bio(keeper->ssl, in, out);
	attlsd_ours(keeper->ssl)->secrets = NULL;
	SSL_set_msg_callback(keeper->ssl, NULL);
	return true;
}

static bool watch(struct attlsd_keeper *keeper)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.ptr = keeper,
	};

	return !epoll_ctl(attlsd_keepers_epoll, EPOLL_CTL_ADD, keeper->fd,
			  &event);
}

/* The file, @ssl and what is in @resume are the keeper's from now on. */
void attlsd_keeper_take(struct attlsd_keeper *keeper, int fd, SSL *ssl,
			struct attlsd_resume *resume)
{
	struct kind *kind = keeper->kind;

	keeper->fd = fd;
	keeper->ssl = ssl;
	keeper->resume = *resume;
	memset(resume, 0, sizeof(*resume));
	attlsd_resume_settle(&keeper->resume);
	keeper->until = attlsd_now() + PATIENCE;
	if (kind->n >= kind->max)
		give_up(TAILQ_FIRST(&kind->list));
	TAILQ_INSERT_TAIL(&kind->list, keeper, link);
	kind->n++;

	if (!takes_tickets(ssl) && !attlsd_tickets_more(ssl))
		drop_ssl(keeper);
	if ((keeper->ssl && !set_bios(keeper)) || !watch(keeper))
		give_up(keeper);
}

/* OpenSSL makes a session of it.  False: there will be no other. */
static bool take_ticket(struct attlsd_keeper *keeper, const uint8_t *message,
			size_t len)
{
	SSL *ssl = keeper->ssl;
	const SSL_SESSION *before = SSL_get_session(ssl);
	uint8_t data;
	int ret;

	if (attlsd_seal_write(&keeper->seal, SSL_get_rbio(ssl), message, len))
		return false;
	ERR_clear_error();
	ret = SSL_read(ssl, &data, sizeof(data));
	if (ret > 0 || SSL_get_error(ssl, ret) != SSL_ERROR_WANT_READ)
		return false;
	/* It makes a new one of each, but not where the lifetime is 0. */
	if (SSL_get_session(ssl) != before)
		attlsd_resume_keep(&keeper->resume, ssl);
	return true;
}

static void on_ticket(struct attlsd_keeper *keeper, const uint8_t *message,
		      size_t len)
{
	if (!keeper->ssl || SSL_is_server(keeper->ssl))
		return;
	keeper->taken++;
	if (take_ticket(keeper, message, len))
		return;
	attlsd_log(LOG_DEBUG, "a ticket cannot be used");
	drop_ssl(keeper);
}

static bool make_ticket(struct attlsd_keeper *keeper)
{
	if (attlsd_tickets_make(keeper->ssl, &keeper->ticket))
		return true;
	if (attlsd_log_allowed())
		attlsd_log(LOG_WARNING, "a ticket cannot be made");
	drop_ssl(keeper);
	return false;
}

/* 0: all are sent; -EAGAIN: later. */
static int send_due(struct attlsd_keeper *keeper)
{
	int ret;

	while (keeper->due) {
		if (!keeper->ticket.bytes && !make_ticket(keeper))
			return 0;
		ret = attlsd_agent_ticket(keeper->fd, keeper->ticket.bytes,
					  keeper->ticket.len);
		if (ret == -EAGAIN || ret == -ECONNRESET)
			return ret;
		if (ret)
			attlsd_log(LOG_DEBUG, "a ticket cannot be sent: %s",
				   strerror(-ret));
		attlsd_tickets_free(&keeper->ticket);
		keeper->due--;
	}
	return 0;
}

static int obey(struct attlsd_keeper *keeper, const struct attls_event *event,
		const uint8_t *data)
{
	switch (event->kind) {
	case ATTLS_EVENT_TICKET:
		on_ticket(keeper, data, event->len);
		break;
	case ATTLS_EVENT_SEND_TICKET:
		if (keeper->ssl && SSL_is_server(keeper->ssl) &&
		    keeper->due < DUE_MAX)
			keeper->due++;
		return send_due(keeper);
	case ATTLS_EVENT_FORGET:
		/* It is not to come back by another ticket. */
		drop_ssl(keeper);
		attlsd_store_forget(keeper->resume.token);
		break;
	}
	return 0;
}

static bool has_seen_all(const struct attlsd_keeper *keeper)
{
	return keeper->kind == &attlsd_passing &&
	       (keeper->taken >= TICKETS || !keeper->ssl);
}

/* What is there, or the first of it.  0 or -EAGAIN: it goes on. */
static int read_events(struct attlsd_keeper *keeper)
{
	static uint8_t data[ATTLS_TICKET_MAX];
	struct attls_event event = { .kind = 0 };
	int ret = 0;

	/* That a session is forgotten is said by asking for what is next. */
	for (int i = 0; (i < BATCH || event.kind == ATTLS_EVENT_FORGET) &&
	     (!ret || ret == -EAGAIN); i++) {
		ret = attlsd_agent_event(keeper->fd, &event, data);
		if (ret)
			return ret;
		ret = obey(keeper, &event, data);
	}
	return ret;
}

static void serve(struct attlsd_keeper *keeper)
{
	OSSL_LIB_CTX *before = attlsd_context_enter(keeper->context);
	int ret = read_events(keeper);

	if (ret == -ECONNRESET || has_seen_all(keeper))
		end(keeper);
	else if (ret && ret != -EAGAIN)
		give_up(keeper);
	attlsd_context_leave(before);
}

void attlsd_keepers_serve(void)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(attlsd_keepers_epoll, events, EVENTS, 0);

	for (int i = 0; i < n; i++)
		serve(events[i].data.ptr);
}

static void send_again(struct attlsd_keeper *keeper)
{
	OSSL_LIB_CTX *before = attlsd_context_enter(keeper->context);

	send_due(keeper);
	attlsd_context_leave(before);
}

/* What had to wait, and who has waited long enough. */
void attlsd_keepers_tick(void)
{
	int64_t now = attlsd_now();
	struct attlsd_keeper *keeper;

	if (now < attlsd_next_tick)
		return;
	attlsd_next_tick = now + TICK;
	TAILQ_FOREACH(keeper, &attlsd_lasting.list, link)
		if (keeper->due)
			send_again(keeper);
	while ((keeper = TAILQ_FIRST(&attlsd_passing.list)) &&
	       keeper->until <= now)
		end(keeper);
}
