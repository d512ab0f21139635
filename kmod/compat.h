/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sources are written for Linux 7.2; what 6.12 lacks or spells in
 * another way is given to it here.
 */
#ifndef _ATTLS_COMPAT_H
#define _ATTLS_COMPAT_H

#include <asm/unistd.h>
#include <linux/compat.h>
#include <linux/version.h>
#include <net/sock.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define sockaddr_unsized sockaddr
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
static inline int attls_proto_recvmsg(struct sock *sk, struct msghdr *msg,
				      size_t len, int flags)
{
	int addr_len = 0;

	return READ_ONCE(sk->sk_prot)->recvmsg(sk, msg, len, flags, &addr_len);
}
#else
static inline int attls_proto_recvmsg(struct sock *sk, struct msghdr *msg,
				      size_t len, int flags)
{
	return READ_ONCE(sk->sk_prot)->recvmsg(sk, msg, len, flags);
}
#endif

#ifndef NL_ASSERT_CTX_FITS
#define NL_ASSERT_CTX_FITS NL_ASSERT_DUMP_CTX_FITS
#endif

/*
 * Is system call @nr of the current task connect()?  The numbers of 32-bit
 * x86 are not in any header that modules see.
 */
static inline bool attls_nr_is_connect(int nr)
{
#if defined(CONFIG_X86_64) && defined(CONFIG_COMPAT)
	if (in_compat_syscall() && !(nr & __X32_SYSCALL_BIT))
		return nr == 362 || nr == 102;	/* connect, socketcall */
	nr &= ~__X32_SYSCALL_BIT;
#endif
	return nr == __NR_connect;
}

#endif /* _ATTLS_COMPAT_H */
