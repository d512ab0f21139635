// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fetcher: a process beside a worker that gets CRLs and OCSP responses
 * for it, over HTTP and LDAP.
 *
 * A worker has no network, and a fetcher has no keys: it is a new program
 * image, in whose memory none ever were.  The password of a directory comes
 * with each request and goes with it.  The fetcher believes nothing of what
 * it gets: what comes back is signed, and the worker looks at that.
 *
 *	worker to fetcher	a struct attlsd_fetch_request, as far as used
 *	fetcher to worker	struct attlsd_fetch_reply, as many as it takes
 *
 * Resolving a name blocks, so each request has a thread.  The socket keeps
 * packets whole, so no lock is needed.  Its end of file is the end: the
 * worker is gone.  A worker whose fetcher is gone ends as well, and the
 * parent starts both anew.
 */
#include "attlsd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/http.h>

#define CHANNEL		STDIN_FILENO
#define STACK_SIZE	(256 << 10)

static atomic_uint attlsd_fetches;

/* Without a proxy nobody wants to read whose path it is. */
static bool set_request(OSSL_HTTP_REQ_CTX *http,
			const struct attlsd_fetch_request *req,
			const char *host, const char *port, const char *path,
			int64_t deadline)
{
	bool v6 = *host != '[' && strchr(host, ':');
	int seconds = attlsd_left(deadline) / 1000 + 1;
	bool proxy = *req->proxy;
	char name[300];

	snprintf(name, sizeof(name), "%s%s%s", v6 ? "[" : "", host,
		 v6 ? "]" : "");
	return OSSL_HTTP_REQ_CTX_set_request_line(http, req->body_len,
						  proxy ? name : NULL,
						  proxy ? port : NULL, path) &&
	       OSSL_HTTP_REQ_CTX_add1_header(http, "Host", name) &&
	       OSSL_HTTP_REQ_CTX_set_expected(http, *req->content_type ?
					      req->content_type : NULL, 1,
					      seconds, 0);
}

static bool set_body(OSSL_HTTP_REQ_CTX *http,
		     const struct attlsd_fetch_request *req)
{
	const uint8_t *der = req->body;
	OCSP_REQUEST *body;
	bool ok;

	if (!req->body_len)
		return true;
	body = d2i_OCSP_REQUEST(NULL, &der, req->body_len);
	ok = body && OSSL_HTTP_REQ_CTX_set1_req(http,
				"application/ocsp-request",
				ASN1_ITEM_rptr(OCSP_REQUEST),
				(ASN1_VALUE *)body);
	OCSP_REQUEST_free(body);
	return ok;
}

/* Nobody is followed who sends us elsewhere.  NULL, or what came. */
static BIO *exchange(BIO *socket, const struct attlsd_fetch_request *req,
		     const char *host, const char *port, const char *path,
		     int64_t deadline)
{
	OSSL_HTTP_REQ_CTX *http = OSSL_HTTP_REQ_CTX_new(socket, socket, 0);
	BIO *answer = NULL;

	if (http && set_request(http, req, host, port, path, deadline) &&
	    set_body(http, req)) {
		OSSL_HTTP_REQ_CTX_set_max_response_length(http, req->max_size);
		answer = OSSL_HTTP_REQ_CTX_exchange(http);
	}
	if (answer)
		BIO_up_ref(answer);
	OSSL_HTTP_REQ_CTX_free(http);
	return answer;
}

/* NULL with the reason in @why, or else with OpenSSL. */
static BIO *get(const struct attlsd_fetch_request *req, const char **why)
{
	int64_t deadline = attlsd_now() + req->timeout * 1000LL;
	char *host = NULL, *port = NULL, *path = NULL;
	BIO *socket = NULL, *answer = NULL;
	char proxy_port[8];
	int fd = -1;

	snprintf(proxy_port, sizeof(proxy_port), "%u", req->proxy_port);
	if (OSSL_HTTP_parse_url(req->url, NULL, NULL, &host, &port, NULL,
				&path, NULL, NULL))
		fd = *req->proxy ?
		     attlsd_dial(req->proxy, proxy_port, deadline, why) :
		     attlsd_dial(host, port, deadline, why);
	if (fd >= 0)
		socket = BIO_new_socket(fd, BIO_NOCLOSE);
	if (socket)
		answer = exchange(socket, req, host, port, path, deadline);
	BIO_free(socket);
	if (fd >= 0)
		close(fd);
	OPENSSL_free(host);
	OPENSSL_free(port);
	OPENSSL_free(path);
	return answer;
}

static void reply(uint32_t id, enum attlsd_fetch_type type, const void *data,
		  size_t len)
{
	struct attlsd_fetch_reply packet = {
		.id = id,
		.type = type,
	};
	ssize_t n;

	memcpy(packet.data, data, len);
	do {
		n = write(CHANNEL, &packet, ATTLSD_FETCH_HEAD + len);
	} while (n < 0 && errno == EINTR);
}

static void reply_failed(uint32_t id, enum attlsd_fetch_type type,
			 const char *why)
{
	char text[128];

	if (!why && !ERR_peek_error())
		why = "the server answers with something else";
	if (!why) {
		keyring_openssl_text(text, sizeof(text));
		why = text;
	}
	reply(id, type, why, strlen(why));
}

static void reply_all(uint32_t id, BIO *answer)
{
	char *data;
	size_t len = BIO_get_mem_data(answer, &data);

	for (; len > ATTLSD_FETCH_PIECE; len -= ATTLSD_FETCH_PIECE) {
		reply(id, ATTLSD_FETCH_MORE, data, ATTLSD_FETCH_PIECE);
		data += ATTLSD_FETCH_PIECE;
	}
	reply(id, ATTLSD_FETCH_LAST, data, len);
}

static void *serve(void *arg)
{
	enum attlsd_fetch_type type = ATTLSD_FETCH_FAILED;
	struct attlsd_fetch_request *req = arg;
	char text[ATTLSD_WHY];
	const char *why = NULL;
	BIO *answer;

	ERR_clear_error();
	if (req->how == ATTLSD_FETCH_LDAP) {
		answer = attlsd_ldap_get(req, &type, text);
		why = text;
	} else {
		answer = get(req, &why);
	}
	if (answer)
		reply_all(req->id, answer);
	else
		reply_failed(req->id, type, why);
	BIO_free(answer);
	OPENSSL_cleanse(req, sizeof(*req));
	free(req);
	attlsd_fetches--;
	return NULL;
}

static int start_thread(const struct attlsd_fetch_request *req)
{
	struct attlsd_fetch_request *copy = malloc(sizeof(*copy));
	pthread_attr_t attr;
	pthread_t thread;
	int ret = ENOMEM;

	if (copy && !pthread_attr_init(&attr)) {
		*copy = *req;
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		ret = pthread_create(&thread, &attr, serve, copy);
		pthread_attr_destroy(&attr);
	}
	if (ret && copy)
		OPENSSL_cleanse(copy, sizeof(*copy));
	if (ret)
		free(copy);
	return ret;
}

/* The worker asks for no more than ATTLSD_FETCHES; those late count too. */
static void take(const struct attlsd_fetch_request *req)
{
	int ret;

	if (attlsd_fetches >= 2 * ATTLSD_FETCHES) {
		reply_failed(req->id, ATTLSD_FETCH_FAILED,
			     "too many requests");
		return;
	}
	attlsd_fetches++;
	ret = start_thread(req);
	if (!ret)
		return;
	attlsd_fetches--;
	reply_failed(req->id, ATTLSD_FETCH_FAILED, strerror(ret));
}

/* What main() is in a process that attlsd_fetcher_start() has made. */
int attlsd_fetcher_main(void)
{
	struct attlsd_fetch_request req;
	ssize_t n;

	prctl(PR_SET_NAME, ATTLSD_FETCHER_NAME);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    attlsd_sandbox_fetcher()) {
		attlsd_log(LOG_ERR, "the fetcher has no sandbox");
		return EXIT_FAILURE;
	}
	for (;;) {
		n = read(CHANNEL, &req, sizeof(req));
		if (n >= (ssize_t)ATTLSD_FETCH_ASK &&
		    n == (ssize_t)ATTLSD_FETCH_ASK + req.body_len)
			take(&req);
		else if (n >= 0 || errno != EINTR)
			break;
		OPENSSL_cleanse(&req, sizeof(req));
	}
	_exit(n ? EXIT_FAILURE : EXIT_SUCCESS);	/* whatever threads do */
}

static void run(int channel, const struct attlsd_identity *id)
{
	char *const argv[] = { "attlsd", ATTLSD_FETCHER_OPTION, NULL };
	/* No file of the system or of a user tells libldap what to do. */
	char *const env[] = { "LDAPNOINIT=1", NULL };

	if (dup2(channel, CHANNEL) == CHANNEL &&
	    !close_range(STDERR_FILENO + 1, ~0U, 0) &&
	    !attlsd_sandbox_drop(id))
		execve("/proc/self/exe", argv, env);
	attlsd_log(LOG_ERR, "cannot start the fetcher: %m");
	_exit(EXIT_FAILURE);
}

/* In a worker that may still do everything.  A socket, or -errno. */
int attlsd_fetcher_start(const struct attlsd_identity *id)
{
	const int room = 2 * ATTLSD_FETCHES *
			 sizeof(struct attlsd_fetch_request);
	int channel[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
		return -errno;
	pid = fork();
	if (!pid)
		run(channel[1], id);
	close(channel[1]);
	/* Room for a burst: a worker does not wait for it to be read. */
	setsockopt(channel[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (pid > 0 && !fcntl(channel[0], F_SETFL, O_NONBLOCK))
		return channel[0];
	close(channel[0]);
	return -EAGAIN;
}
