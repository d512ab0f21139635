/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Socket options of attls, for TCP sockets: the requests of <linux/ttls.h>,
 * and what programs of Linux need besides.
 *
 *	setsockopt(fd, SOL_TCP, TCP_ULP, "attls", 5)
 *
 * gives a socket to attls.  Before connect() it is so that there are options
 * to set.  On a connection, which may be older than the module or its
 * policy, the policy is looked at now, and what its rule says is done:
 * the handshake begins, or, with ApplicationControlled On, INIT may come.
 * Nothing of TLS may have come from the peer before, and no other thread may
 * be in a call with the socket.
 *	0		also if it was done before, or by a rule
 *	EBUSY		another thread is in a call with the socket
 *	EOPNOTSUPP	a connection, and no rule is for it
 *	EEXIST		another ULP has the socket
 *	ENOENT		the module is not loaded; to who may load modules
 *			(CAP_NET_ADMIN): it is not there
 *	EINVAL		a listening socket: its connections come under rules
 *			by themselves
 *
 * The options.  All calls also give ENOPROTOOPT: no TCP socket (MPTCP is none),
 * or no module, of which getsockopt() says EOPNOTSUPP; EFAULT.  Those that
 * say something about a handshake wait for its end, as SIOCTTLSCTL does:
 * EAGAIN without blocking, ECONNRESET if it fails meanwhile, ENOTCONN without
 * a connection or after it has failed, ENODATA on a connection that is in
 * clear.  An answer that does not fit gives ERANGE, and its size in *optlen.
 */
#ifndef _UAPI_LINUX_ATTLS_SOCKOPT_H
#define _UAPI_LINUX_ATTLS_SOCKOPT_H

#include <linux/types.h>

#define SOL_ATTLS		0x5454
#define ATTLS_ULP_NAME		"attls"

enum attls_sockopt {
	/*
	 * get, struct TTLS_IOCTL, which is read and written: SIOCTTLSCTL with
	 * the same errors.  *optlen is its size, else EINVAL.
	 */
	ATTLS_SO_TTLS		= 1,
	/*
	 * set: the host that a client means, a name or an address in text,
	 * ASCII, at most ATTLS_PEER_NAME_MAX - 1 bytes; a NUL at the end is
	 * no part of it; empty: none.  Before connect(), which then fails
	 * with ECONNRESET unless a rule gives the connection TLS, or before
	 * INIT.  The name is sent to the server (RFC 6066 section 3; an
	 * address is not), and the handshake fails unless the certificate of
	 * the server is for it (RFC 9525), whatever the policy says besides.
	 * get: it, with its NUL; "" for none.
	 *	EISCONN		too late, or a connection that is not under
	 *			a rule with ApplicationControlled On
	 *	EINVAL		no such name, or a listening socket
	 *	EOPNOTSUPP	the rule makes it a server
	 */
	ATTLS_SO_PEER_NAME	= 2,
	/*
	 * set: protocols for ALPN, each a byte of length and so many bytes
	 * (RFC 7301 section 3.1, ProtocolName), best first, at most
	 * ATTLS_ALPN_MAX bytes; empty: none.  When and with which errors:
	 * as ATTLS_SO_PEER_NAME, but for servers as well, and a connect
	 * without a rule goes on in clear.  A client offers them.  A server chooses its first that the client offers; the
	 * handshake fails if there is none, and a client that does not ask
	 * gets none.
	 * get: the one chosen, without a length; 0 bytes: none.
	 */
	ATTLS_SO_ALPN		= 3,
	/*
	 * set, __u32: waits for the end of the handshake, at most so many
	 * milliseconds; ATTLS_WAIT_FOREVER: as long as it takes.  0 without
	 * a rule, or before INIT; EAGAIN: the time is up.
	 */
	ATTLS_SO_WAIT		= 4,
	/*
	 * get: certificates in DER, one behind the other, as they were sent:
	 * that of the peer or ours, then those of authorities.  0 bytes:
	 * none was sent, or of ours more than 102400 bytes, which most peers
	 * refuse.
	 */
	ATTLS_SO_PEER_CHAIN	= 5,
	ATTLS_SO_OWN_CHAIN	= 6,
	/* get: the user of the peer's certificate, with its NUL; "": none. */
	ATTLS_SO_USER		= 7,
	/*
	 * get, struct attls_exporter, which is read: keying material for the
	 * application, RFC 5705, RFC 8446 section 7.5.
	 *	EINVAL		sizes, flags, or a label that TLS itself uses
	 *	EOPNOTSUPP	TLS 1.2 without extended_master_secret,
	 *			RFC 7627 section 5.4
	 */
	ATTLS_SO_EXPORTER	= 8,
	/*
	 * set, struct attls_session: the session that the handshake to come
	 * should resume, by what get said of another connection.  A client
	 * offers it, also to another port or address; with
	 * ATTLS_SESSION_REQUIRED the handshake fails, for a server too,
	 * unless that session or one resumed from it is resumed.  All 0: no
	 * wish.  When and with which errors: as ATTLS_SO_ALPN.  Sessions of
	 * other users, of other rules' actions, or of a policy that is no
	 * longer in force are not resumed.
	 * get, struct attls_session: that of this connection, the same on all
	 * connections that have resumed it; 0 bytes: it is never resumed.  It
	 * is a name, no secret.
	 */
	ATTLS_SO_SESSION	= 9,
};

#define ATTLS_PEER_NAME_MAX	256	/* with the NUL */
#define ATTLS_ALPN_MAX		255
#define ATTLS_WAIT_FOREVER	0xffffffffU

struct attls_exporter {
	__u32	flags;			/* ATTLS_EXPORTER_*, others EINVAL */
	__u32	label_len;		/* 1 to ATTLS_LABEL_MAX */
	__u32	context_len;		/* 0 to ATTLS_CONTEXT_MAX */
	__u32	len;			/* of out: 1 to ATTLS_EXPORT_MAX */
	__u64	label;			/* user pointers: ASCII, no NUL; */
	__u64	context;
	__u64	out;			/* written */
};

/* There is a context: TLS 1.2 tells an empty one from none. */
#define ATTLS_EXPORTER_CONTEXT	0x0001

struct attls_session {
	__u8	token[16];		/* TTLSK_Session_Token; all 0: none */
	__u32	flags;			/* ATTLS_SESSION_*, others EINVAL */
};

#define ATTLS_SESSION_REQUIRED	0x0001

#define ATTLS_LABEL_MAX		249	/* RFC 8446 section 7.1 */
#define ATTLS_CONTEXT_MAX	65535
#define ATTLS_EXPORT_MAX	4096

#endif /* _UAPI_LINUX_ATTLS_SOCKOPT_H */
