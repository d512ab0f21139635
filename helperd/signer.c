// SPDX-License-Identifier: GPL-2.0-only
/*
 * The signer: a process beside the workers that has the tokens of PKCS#11.
 *
 * The modules of tokens are code of others: they want files, devices, threads
 * and daemons of their own, and do not survive a fork.  No worker could load
 * one, and nobody else should.  So this is a new program image, which has no
 * keys but those of the tokens, no network and no capabilities.
 *
 *	main thread	orders of the parent, see signer.h
 *	client ...	requests of one worker, one at a time, with sessions
 *			of its own; ends with the worker
 *
 * A token that takes too long cannot be interrupted: then the process ends,
 * everybody who waits sees that at once, and the parent starts another.  The
 * process ends as well when the parent and all clients are gone.
 */
#include "attlsd.h"
#include "token.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL		STDIN_FILENO
#define NAME		"attls-sign"	/* the comm */
#define CLIENTS		512
#define LOG_LINES	5		/* a second */
#define TICK		500		/* ms */

struct client {
	int	fd;
	atomic_bool used;
	atomic_llong since;		/* ms, in a module; 0: is not */
	struct token_session session[SIGNER_TOKENS];
};

static struct token attlsd_signer_tokens[SIGNER_TOKENS];
static struct token_key attlsd_signer_keys[SIGNER_KEYS];
static uint32_t attlsd_signer_n_tokens;
static uint32_t attlsd_signer_n_keys;
static struct client attlsd_signer_clients[CLIENTS];

static bool is_good(const struct signer_request *req, ssize_t n)
{
	return n == sizeof(*req) && req->version == SIGNER_VERSION &&
	       req->key < attlsd_signer_n_keys && req->len &&
	       req->len <= sizeof(req->data);
}

static void answer(struct client *client, const struct signer_request *req)
{
	const struct token_key *key = &attlsd_signer_keys[req->key];
	struct signer_reply reply = {
		.version = SIGNER_VERSION,
		.id = req->id,
	};

	client->since = attlsd_now();
	reply.wrong = token_sign(&client->session[key->token -
						  attlsd_signer_tokens],
				 key, req, &reply);
	client->since = 0;
	if (reply.wrong && token_log_allowed())
		attlsd_log(LOG_ERR, "token \"%s\": %s", key->token->label,
			   keyring_signer_text(reply.wrong));
	if (write(client->fd, &reply, sizeof(reply)) != sizeof(reply))
		shutdown(client->fd, SHUT_RDWR);
}

static void *serve(void *arg)
{
	struct client *client = arg;
	struct signer_request req;
	ssize_t n;

	for (;;) {
		n = read(client->fd, &req, sizeof(req));
		if (n < 0 && errno == EINTR)
			continue;
		if (!is_good(&req, n))
			break;
		answer(client, &req);
	}
	client->since = attlsd_now();
	for (uint32_t i = 0; i < attlsd_signer_n_tokens; i++)
		token_end(&client->session[i]);
	client->since = 0;
	close(client->fd);
	client->used = false;
	return NULL;
}

static int add_client(int fd)
{
	struct client *client = attlsd_signer_clients;
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	while (client->used)
		if (++client == attlsd_signer_clients + CLIENTS)
			return ENOSPC;
	memset(client->session, 0, sizeof(client->session));
	client->fd = fd;
	ret = pthread_attr_init(&attr);
	if (ret)
		return ret;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	client->used = true;
	ret = pthread_create(&thread, &attr, serve, client);
	pthread_attr_destroy(&attr);
	if (ret)
		client->used = false;
	return ret;
}

static bool add_token(const struct signer_order *o)
{
	struct token *token = &attlsd_signer_tokens[attlsd_signer_n_tokens];

	if (attlsd_signer_n_tokens == SIGNER_TOKENS)
		return false;
	memcpy(token->label, o->label, sizeof(token->label) - 1);
	token->given = o->given;
	token->len = o->len;
	memcpy(token->pin, o->data, o->len);
	if (pthread_mutex_init(&token->login, NULL))
		return false;
	attlsd_signer_n_tokens++;
	return true;
}

static bool add_key(const struct signer_order *o)
{
	struct token_key *key = &attlsd_signer_keys[attlsd_signer_n_keys];

	if (attlsd_signer_n_keys == SIGNER_KEYS ||
	    o->token >= attlsd_signer_n_tokens || !o->len ||
	    o->len > sizeof(key->id))
		return false;
	key->token = &attlsd_signer_tokens[o->token];
	key->len = o->len;
	memcpy(key->id, o->data, o->len);
	attlsd_signer_n_keys++;
	return true;
}

static void send_object(const struct signer_object *object)
{
	struct signer_object copy = *object;

	copy.version = SIGNER_VERSION;
	if (write(CONTROL, &copy, SIGNER_OBJECT_HEAD + copy.cert_len) < 0)
		_exit(EXIT_FAILURE);	/* nobody is there to be told */
}

static bool list(uint32_t number)
{
	struct signer_object last = { .last = true };

	if (number >= attlsd_signer_n_tokens)
		return false;
	last.wrong = token_list(&attlsd_signer_tokens[number], send_object);
	send_object(&last);
	return true;
}

static bool have_clients(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (attlsd_signer_clients[i].used)
			return true;
	return false;
}

static bool obey(const struct signer_order *o, int fd)
{
	int ret;

	switch (o->verb) {
	case SIGNER_ADD_CLIENT:
		ret = fd < 0 ? EBADF : add_client(fd);
		if (ret)
			attlsd_log(LOG_ERR, "signer: a client: %s",
				   strerror(ret));
		if (ret && fd >= 0)
			close(fd);
		return true;
	case SIGNER_LIST:
		return list(o->token);
	case SIGNER_ADD_TOKEN:
		return !have_clients() && add_token(o);
	case SIGNER_ADD_KEY:
		return !have_clients() && add_key(o);
	}
	return false;
}

static ssize_t receive(struct signer_order *o, int *fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = { o, sizeof(*o) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room),
	};
	ssize_t n = recvmsg(CONTROL, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	*fd = -1;
	if (n > 0 && head && head->cmsg_level == SOL_SOCKET &&
	    head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(head), sizeof(int));
	return n;
}

/* False: the parent is gone. */
static bool take_order(void)
{
	struct signer_order o;
	bool good;
	int fd;
	ssize_t n = receive(&o, &fd);

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	good = n >= (ssize_t)SIGNER_ORDER_HEAD &&
	       o.version == SIGNER_VERSION && o.len <= sizeof(o.data) &&
	       n == (ssize_t)(SIGNER_ORDER_HEAD + o.len) && obey(&o, fd);
	OPENSSL_cleanse(&o, sizeof(o));
	if (good)
		return true;
	attlsd_log(LOG_ERR, "signer: an order that is none");
	_exit(EXIT_FAILURE);
}

static void watch(void)
{
	int64_t limit = attlsd_now() - SIGNER_TIME * 1000;

	for (size_t i = 0; i < CLIENTS; i++) {
		long long since = attlsd_signer_clients[i].since;

		if (!since || since > limit)
			continue;
		attlsd_log(LOG_ERR,
			   "signer: a token does not answer for %d seconds",
			   SIGNER_TIME);
		_exit(EXIT_FAILURE);
	}
}

/* What main() is in a process that keyring_signer_start() has made. */
int attlsd_signer_main(void)
{
	struct pollfd pfd = { .fd = CONTROL, .events = POLLIN };

	prctl(PR_SET_NAME, NAME);
	attlsd_log_limit(LOG_LINES);
	attlsd_sandbox_lock_memory(LOG_DEBUG);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || attlsd_sandbox_signer()) {
		attlsd_log(LOG_ERR, "the signer has no sandbox");
		return EXIT_FAILURE;
	}
	while (pfd.fd >= 0 || have_clients()) {
		if (poll(&pfd, 1, TICK) > 0 && !take_order())
			pfd.fd = -1;
		watch();
	}
	_exit(EXIT_SUCCESS);	/* whatever modules do at the end */
}
