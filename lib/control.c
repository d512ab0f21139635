// SPDX-License-Identifier: GPL-2.0-only
/* TLS begins and ends, and how to wait for it. */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

/* Returned by a look at a connection that is not one thing or the other. */
#define NOT_YET		2

#define RESETS	(TTLS_RESET_SESSION | TTLS_RESET_CIPHER | \
		 TTLS_RESET_WRITE_CIPHER)

/* Bits of other requests would begin or end TLS behind the caller's back. */
static int request(int fd, unsigned int type, unsigned int bits,
		   unsigned int allowed, struct TTLS_IOCTL *call)
{
	if (bits & ~allowed)
		return attls_fail(EINVAL);
	return attls_request(fd, type | bits, call);
}

int attls_start(int fd, unsigned int flags)
{
	struct TTLS_IOCTL call;

	if (request(fd, TTLS_INIT_CONNECTION, flags, TTLS_ALLOW_HSTIMEOUT,
		    &call))
		return -1;
	if (call.TTLSi_Stat_Conn == TTLS_CONN_SECURE)
		return 1;
	/* Whoever allows no clear text need not look for it. */
	if (flags & TTLS_ALLOW_HSTIMEOUT)
		return 0;
	return attls_fail(ECONNRESET);
}

int attls_stop(int fd)
{
	struct TTLS_IOCTL call;

	return attls_request(fd, TTLS_STOP_CONNECTION, &call);
}

int attls_reset(int fd, unsigned int what)
{
	struct TTLS_IOCTL call;

	if (!what)
		return attls_fail(EINVAL);
	return request(fd, 0, what, RESETS, &call);
}

int attls_send_ticket(int fd)
{
	struct TTLS_IOCTL call;

	return attls_request(fd, TTLS_SEND_SESSION_TICKET, &call);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Until the socket can be written to; an error that it has is ours. */
static int wait_writable(int fd, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0, ret = poll(&p, 1, timeout);
	socklen_t len = sizeof(error);

	if (ret < 0)
		error = errno;
	else if (ret == 0)
		error = ETIMEDOUT;
	else if (p.revents & POLLNVAL)
		error = EBADF;
	else if ((p.revents & POLLERR) &&
		 getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	return error ? attls_fail(error) : 0;
}

static int look(int fd)
{
	struct attls_status status;

	if (attls_query(fd, &status))
		return errno == EAGAIN ? NOT_YET : -1;
	if (status.conn == TTLS_CONN_HS_INPROGRESS)
		return NOT_YET;
	return status.conn == TTLS_CONN_SECURE;
}

int attls_wait(int fd, int timeout)
{
	int64_t end = now_ms() + timeout;
	int ret, left = timeout;

	do {
		if (wait_writable(fd, left))
			return -1;
		ret = look(fd);
		if (timeout >= 0) {
			int64_t rest = end - now_ms();

			left = rest > 0 ? rest : 0;
		}
	} while (ret == NOT_YET);
	return ret;
}
