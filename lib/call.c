// SPDX-License-Identifier: GPL-2.0-only
/* The one system call, and what it said beside errno. */
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

/* What fails without the kernel has no reason, and not that of before. */
int attls_fail(int error)
{
	last_reason = TTLS_JrOK;
	errno = error;
	return -1;
}

unsigned int attls_reason(void)
{
	return last_reason;
}
