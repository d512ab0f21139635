/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libattls: a program asks how its TCP connection is protected, says whom it
 * is to meet there, and has TLS begin and end, where the policy says
 * ApplicationControlled On.  It goes on to use the socket as ever: the kernel
 * encrypts.
 *
 * Functions return -1 (or NULL) with errno if they fail; attls_reason() says
 * more.  They keep nothing, so any thread may use any socket at any time.
 * libattls(3) has it all, Documentation/api.rst has programs.
 */
#ifndef ATTLS_ATTLS_H
#define ATTLS_ATTLS_H

#include <linux/ttls.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct attls_status {
	unsigned int policy;	/* TTLS_POL_* */
	unsigned int conn;	/* TTLS_CONN_* */
	unsigned int role;	/* TTLS_SEC_* */
	unsigned int protocol;	/* TTLS_PROT_* */
	unsigned int fips;	/* 0: off; 1: on; 2 to 4: Level1 to Level3 */
	bool resumed;		/* a session of an earlier handshake */
	char cipher[8];		/* hex digits, as in the policy; or empty */
	char group[8];		/* of the key share, as in the policy */
	unsigned int rsvd[8];	/* 0 */
};

/* Empty where there is none. */
struct attls_names {
	const char *rule;
	const char *group;
	const char *environment;
	const char *connection;
	const char *user;	/* whose certificate the peer has */
};

/* Waits for a handshake that is under way, or fails with EAGAIN. */
int attls_query(int fd, struct attls_status *status);

/* To be freed with free(), as one piece. */
struct attls_names *attls_names(int fd);

/*
 * The peer's certificate as DER, to be freed with free(); NULL and no length
 * if it sent none.
 */
int attls_certificate(int fd, unsigned char **der, size_t *len);

/* 1: the peer's certificate has this name or address; 0: it has not. */
int attls_host(int fd, const char *host);

/*
 * Begins TLS: 1 when it is on.  0, only with TTLS_ALLOW_HSTIMEOUT: the peer
 * does not want it, the connection is clear.  EINPROGRESS: see attls_wait().
 */
int attls_start(int fd, unsigned int flags);

/* Ends TLS, not the connection.  EINPROGRESS: see attls_wait(). */
int attls_stop(int fd);

/*
 * Waits for a start or a stop that is under way, timeout as for poll(): 1
 * when the connection is secure, 0 when it is clear.
 */
int attls_wait(int fd, int timeout);

/* TTLS_RESET_SESSION, TTLS_RESET_CIPHER ...: new keys, a new session. */
int attls_reset(int fd, unsigned int what);

/*
 * Gives a socket to attls.  Before connect() that only tells whether the
 * module is there; for a connection without a rule the policy is looked at
 * now.
 */
int attls_attach(int fd);

/*
 * The handshake fails unless the server's certificate is for this name or
 * address, and so does a connect without a rule; "": no such wish.  To be said
 * before connect(), or before attls_start().
 */
int attls_set_peer_name(int fd, const char *host);

/*
 * Protocols for ALPN, best first, then NULL; none: no such wish.  When: as
 * attls_set_peer_name(), but for servers as well.
 */
int attls_set_alpn(int fd, const char *const *protocols);

/*
 * The handshake should resume this session, which attls_session() named, or
 * fails if it does not; NULL: no such wish.  When: as attls_set_alpn().
 */
int attls_set_session(int fd, const unsigned char *token, bool required);

/* The protocol of ALPN, to be freed with free(); empty if there is none. */
char *attls_alpn(int fd);

#define ATTLS_TOKEN_LEN	16

/*
 * 1, and the name of the session in @token, ATTLS_TOKEN_LEN bytes, the same on
 * all connections that have resumed it; 0: it is never resumed.
 */
int attls_session(int fd, unsigned char *token);

/*
 * A server of TLS 1.3 sends its client one more ticket, soon: clients use each
 * but once.
 */
int attls_send_ticket(int fd);

struct attls_der {
	const unsigned char *der;
	size_t len;
};

struct attls_chain {
	size_t count;
	const struct attls_der *certs;
};

/*
 * The certificates that the peer sent, or we, its own first; to be freed with
 * free(), as one piece.  None may have been sent.
 */
struct attls_chain *attls_peer_chain(int fd);
struct attls_chain *attls_own_chain(int fd);

/*
 * Keying material for the application: len bytes of RFC 5705, RFC 8446
 * section 7.5.  context may be NULL, which TLS 1.2 tells from an empty one.
 */
int attls_export(int fd, const char *label, const void *context,
		 size_t context_len, void *out, size_t len);

/*
 * Reasons of the library, beside TTLS_Jr*: EINVAL and EOPNOTSUPP are what they
 * mean for these functions.
 */
#define ATTLS_JrAttach		0x101
#define ATTLS_JrPeerName	0x102
#define ATTLS_JrAlpn		0x103
#define ATTLS_JrExport		0x104
#define ATTLS_JrSession		0x105

/* TTLS_Jr* or ATTLS_Jr* of the last call of this thread. */
unsigned int attls_reason(void);

/* What errno and reason of a call mean; never NULL, never to be freed. */
const char *attls_strerror(int error, unsigned int reason);

#ifdef __cplusplus
}
#endif

#endif /* ATTLS_ATTLS_H */
