// SPDX-License-Identifier: GPL-2.0-only
/* Connections of the fetcher, each within its time. */
#include "attlsd.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* To wait for the rest of the time of a request, for poll(). */
int attlsd_left(int64_t deadline)
{
	int64_t ms = deadline - attlsd_now();

	return ms > 0 ? ms : 0;
}

/* 0, or -errno. */
static int connected(int fd, const struct addrinfo *to, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0;

	if (!connect(fd, to->ai_addr, to->ai_addrlen))
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&pfd, 1, attlsd_left(deadline)) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

static int dial_one(const struct addrinfo *to, int64_t deadline)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK |
			SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = connected(fd, to, deadline);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static unsigned int count(const struct addrinfo *to)
{
	unsigned int n = 0;

	for (; to; to = to->ai_next)
		n++;
	return n;
}

/*
 * A socket, or -1 with the reason in @why.  An address that does not answer
 * leaves the others their share of the time.
 */
int attlsd_dial(const char *host, const char *port, int64_t deadline,
		const char **why)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	bool brackets = *host == '[';	/* as URLs have it */
	struct addrinfo *all, *to;
	char name[256];
	int ret;

	snprintf(name, sizeof(name), "%.*s",
		 (int)strlen(host) - 2 * brackets, host + brackets);
	ret = getaddrinfo(name, port, &hints, &all);
	if (ret) {
		*why = gai_strerror(ret);
		return -1;
	}
	ret = -EADDRNOTAVAIL;
	for (to = all; to && ret < 0; to = to->ai_next)
		ret = dial_one(to, attlsd_now() +
			       attlsd_left(deadline) / count(to));
	freeaddrinfo(all);
	if (ret >= 0)
		return ret;
	*why = strerrordesc_np(-ret);
	return -1;
}
