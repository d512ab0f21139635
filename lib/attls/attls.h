/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libattls: a program asks how its TCP connection is protected, and has TLS
 * begin and end on it, where the policy says ApplicationControlled On.  It
 * goes on to use the socket as ever: the kernel encrypts.
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

/* TTLS_Jr* of the last call of this thread. */
unsigned int attls_reason(void);

/* What errno and reason of a call mean; never NULL, never to be freed. */
const char *attls_strerror(int error, unsigned int reason);

#ifdef __cplusplus
}
#endif

#endif /* ATTLS_ATTLS_H */
