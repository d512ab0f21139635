// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: a kernel that has no kTLS.  The kernel's test then says
 * "testing without tls", and expects of TCP what it expected of kTLS.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == IPPROTO_TCP && name == TCP_ULP) {
		errno = ENOENT;
		return -1;
	}
	return syscall(SYS_setsockopt, fd, level, name, value, len);
}
