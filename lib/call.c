// SPDX-License-Identifier: GPL-2.0-only
/* The system calls, and what is said beside errno. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static __thread unsigned int last_reason;

int attls_call(int fd, struct TTLS_IOCTL *call)
{
	int ret = ioctl(fd, SIOCTTLSCTL, call);

	last_reason = call->TTLSi_Reason;
	return ret;
}

/* A request without a buffer. */
int attls_request(int fd, unsigned int type, struct TTLS_IOCTL *call)
{
	memset(call, 0, sizeof(*call));
	call->TTLSi_Ver = TTLS_VERSION1;
	call->TTLSi_Req_Type = type;
	return attls_call(fd, call);
}

static int fail(int error, unsigned int reason)
{
	last_reason = reason;
	errno = error;
	return -1;
}

/* What fails without the kernel has no reason, and not that of before. */
int attls_fail(int error)
{
	return fail(error, TTLS_JrOK);
}

/*
 * What the system call of an option returned.  There errno is all that the
 * kernel says; @reason tells what means one thing for one option and another
 * for the next.
 */
int attls_option(int ret, unsigned int reason)
{
	if (!ret) {
		last_reason = TTLS_JrOK;
		return 0;
	}
	switch (errno) {
	case ECONNRESET:
		return fail(ECONNRESET, TTLS_JrTTLSHandshakeFailed);
	case EINVAL:
	case EOPNOTSUPP:
		return fail(errno, reason);
	default:
		return attls_fail(errno);
	}
}

int attls_refuse(unsigned int reason)
{
	return fail(EINVAL, reason);
}

unsigned int attls_reason(void)
{
	return last_reason;
}
