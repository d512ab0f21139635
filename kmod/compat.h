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
#include <net/tls.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define sockaddr_unsized sockaddr
#endif

/* The completion of a MSG_ZEROCOPY send of @len bytes; lock_sock is held. */
static inline struct ubuf_info *attls_zerocopy_alloc(struct sock *sk,
						     size_t len)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	return msg_zerocopy_realloc(sk, len, NULL, false);
#else
	return msg_zerocopy_realloc(sk, len, NULL);
#endif
}

/* It is waiting for that; see below. */
static inline bool attls_ktls_waits(const struct tls_sw_context_rx *rx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	return READ_ONCE(rx->key_update_pending);
#else
	return false;
#endif
}

/*
 * From 6.14 on kTLS reads nothing past a handshake record that looks like a
 * KeyUpdate until it is told to.  True: it was waiting for that.
 */
static inline bool attls_ktls_resume(struct tls_sw_context_rx *rx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	return xchg(&rx->key_update_pending, false);
#else
	return false;
#endif
}

/* kTLS's option for records of at most so many bytes; 0: it has none. */
#ifdef TLS_TX_MAX_PAYLOAD_LEN
#define ATTLS_TX_MAX_PAYLOAD_LEN TLS_TX_MAX_PAYLOAD_LEN
#else
#define ATTLS_TX_MAX_PAYLOAD_LEN 0
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
