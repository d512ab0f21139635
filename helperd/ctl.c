// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control socket: one line in, one line out, then it is closed.
 *
 * Clients are few and trusted, but the parent has better to do than to wait
 * for one: all is non-blocking, a line is bounded, and who has not sent it,
 * or not taken the answer, within a time is hung up on.
 */
#include "attlsd.h"
#include "control.h"

#include <errno.h>
#include <json-c/json.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT_TIME	10000		/* ms */
#define BACKLOG		16

struct client {
	int	fd;			/* -1: free */
	int64_t	deadline;
	size_t	n_in;
	char	in[CONTROL_REQUEST_MAX];
	char	*out;			/* NULL until there is an answer */
	size_t	n_out;
	size_t	sent;
};

static struct client attlsd_clients[ATTLSD_CTL_CLIENTS];
static struct sockaddr_un attlsd_ctl_addr = { .sun_family = AF_UNIX };
static int attlsd_ctl = -1;

static int make_directory(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	if (mkdir(dirname(copy), 0755) && errno != EEXIST)
		return -errno;
	return 0;
}

/* A socket that nobody listens on was left by one that died. */
static int remove_stale(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (void *)&attlsd_ctl_addr, sizeof(attlsd_ctl_addr)))
		ret = -EADDRINUSE;
	else if (errno == ECONNREFUSED && unlink(attlsd_ctl_addr.sun_path))
		ret = -errno;
	close(fd);
	return ret;
}

static int listen_on(int fd)
{
	mode_t mask = umask(0177);
	int ret;

	ret = bind(fd, (void *)&attlsd_ctl_addr, sizeof(attlsd_ctl_addr));
	if (ret)
		ret = -errno;
	umask(mask);
	if (!ret && listen(fd, BACKLOG))
		ret = -errno;
	return ret;
}

int attlsd_ctl_open(const char *path)
{
	int ret;

	for (size_t i = 0; i < ATTLSD_CTL_CLIENTS; i++)
		attlsd_clients[i].fd = -1;
	if (strlen(path) >= sizeof(attlsd_ctl_addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(attlsd_ctl_addr.sun_path, path);
	ret = make_directory(path);
	if (!ret)
		ret = remove_stale();
	if (ret)
		return ret;
	attlsd_ctl = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
			    SOCK_NONBLOCK, 0);
	if (attlsd_ctl < 0)
		return -errno;
	ret = listen_on(attlsd_ctl);
	if (ret) {
		close(attlsd_ctl);
		attlsd_ctl = -1;
	}
	return ret;
}

static void hang_up(struct client *client)
{
	close(client->fd);
	free(client->out);
	client->fd = -1;
	client->out = NULL;
	client->n_in = client->n_out = client->sent = 0;
}

static struct client *free_client(void)
{
	for (size_t i = 0; i < ATTLSD_CTL_CLIENTS; i++)
		if (attlsd_clients[i].fd < 0)
			return &attlsd_clients[i];
	return NULL;
}

/* The mode of the socket says so already; its directory might be moved. */
static bool may_command(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (!peer.uid || peer.uid == geteuid());
}

static void accept_client(void)
{
	struct client *client = free_client();
	int fd;

	if (!client)
		return;
	fd = accept4(attlsd_ctl, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!may_command(fd)) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->deadline = attlsd_now() + CLIENT_TIME;
}

static void answer(struct client *client)
{
	struct json_object *o = attlsd_command(client->in);
	const char *text;

	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text && asprintf(&client->out, "%s\n", text) >= 0)
		client->n_out = strlen(client->out);
	else
		client->out = NULL;
	json_object_put(o);
	client->deadline = attlsd_now() + CLIENT_TIME;
}

static void receive(struct client *client)
{
	size_t room = sizeof(client->in) - client->n_in;
	char *end;
	ssize_t n = recv(client->fd, client->in + client->n_in, room, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(client);
		return;
	}
	end = memchr(client->in + client->n_in, '\n', n);
	client->n_in += n;
	if (end) {
		*end = '\0';
		answer(client);
	}
	if (!client->out && (end || client->n_in == sizeof(client->in)))
		hang_up(client);
}

static void send_out(struct client *client)
{
	ssize_t n = send(client->fd, client->out + client->sent,
			 client->n_out - client->sent, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		client->sent += n;
	if (n <= 0 || client->sent == client->n_out)
		hang_up(client);
}

size_t attlsd_ctl_poll(struct pollfd *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < ATTLSD_CTL_CLIENTS; i++) {
		const struct client *client = &attlsd_clients[i];

		if (client->fd >= 0)
			fds[n++] = (struct pollfd) {
				.fd = client->fd,
				.events = client->out ? POLLOUT : POLLIN,
			};
	}
	if (attlsd_ctl >= 0 && n < ATTLSD_CTL_CLIENTS)
		fds[n++] = (struct pollfd) {
			.fd = attlsd_ctl,
			.events = POLLIN,
		};
	return n;
}

static void serve(int fd)
{
	for (size_t i = 0; i < ATTLSD_CTL_CLIENTS; i++) {
		struct client *client = &attlsd_clients[i];

		if (client->fd != fd)
			continue;
		if (!client->out)
			receive(client);
		if (client->fd == fd && client->out)
			send_out(client);
		return;
	}
}

void attlsd_ctl_serve(const struct pollfd *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		if (fds[i].fd == attlsd_ctl)
			accept_client();
		else
			serve(fds[i].fd);
	}
}

/* Hangs up on the late.  ms until the next of them, -1: none. */
int attlsd_ctl_expire(void)
{
	int64_t now = attlsd_now();
	int64_t next = -1;

	for (size_t i = 0; i < ATTLSD_CTL_CLIENTS; i++) {
		struct client *client = &attlsd_clients[i];
		int64_t left = client->deadline - now;

		if (client->fd < 0)
			continue;
		if (left <= 0)
			hang_up(client);
		else if (next < 0 || left < next)
			next = left;
	}
	return next;
}

void attlsd_ctl_close(void)
{
	for (size_t i = 0; i < ATTLSD_CTL_CLIENTS; i++)
		if (attlsd_clients[i].fd >= 0)
			hang_up(&attlsd_clients[i]);
	if (attlsd_ctl < 0)
		return;
	close(attlsd_ctl);
	unlink(attlsd_ctl_addr.sun_path);
	attlsd_ctl = -1;
}
