/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the workers share: sessions that can be resumed, and the keys of
 * tickets.  store.c says how.
 */
#ifndef ATTLSD_STORE_H
#define ATTLSD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/attls.h>

#define STORE_ID	32	/* SHA-256 */
#define STORE_NAME	16	/* of a ticket key */
#define STORE_SECRET	32

struct store_id {
	uint8_t	owner[STORE_ID];	/* who may find it */
	uint8_t	peer[STORE_ID];		/* with whom */
};

struct store_session {			/* pointers: the caller's */
	struct store_id id;
	uint8_t	token[ATTLS_SESSION_LEN];
	unsigned int era;		/* when its handshake began */
	int64_t	until;			/* time(NULL); not found after it */
	unsigned int most;		/* of this owner; 0: any number */
	const uint8_t *session;		/* DER */
	size_t	session_len;
	const uint8_t *chain;		/* DER, behind the peer's certificate */
	size_t	chain_len;
};

struct store_copy {
	uint8_t	token[ATTLS_SESSION_LEN];
	size_t	session_len;
	size_t	chain_len;
	uint8_t	data[];			/* session, chain */
};

struct store_key {			/* of tickets */
	uint8_t	name[STORE_NAME];
	uint8_t	secret[STORE_SECRET];
};

/* In the parent, once, before any fork.  0 or a negative errno. */
int attlsd_store_init(void);
void attlsd_store_clear(void);

/* attls_request.sessions_lost: all is wiped if that is more than before. */
void attlsd_store_lost(unsigned int lost);

/*
 * Another one begins when all is wiped.  What has begun before may have been
 * forgotten before, so nothing of it is kept.
 */
unsigned int attlsd_store_era(void);

/* The oldest goes where there is no room; what is too big is not kept. */
void attlsd_store_put(const struct store_session *s);
/*
 * The newest, or NULL; @once: it is taken out.  With a @token any peer of
 * id->owner will do.  To be freed with attlsd_store_free().
 */
struct store_copy *attlsd_store_get(const struct store_id *id,
				    const uint8_t *token, bool once);
void attlsd_store_free(struct store_copy *copy);

/* Sessions of that name are gone, and tickets of that name void. */
void attlsd_store_forget(const uint8_t *token);
bool attlsd_store_is_forgotten(const uint8_t *token);

/*
 * The key for new tickets: one that is younger than @refresh seconds, 0: of
 * any age, and is kept for @valid seconds after that.
 */
bool attlsd_store_key(unsigned int refresh, unsigned int valid,
		      struct store_key *key);
/* The key of that name; @old: new tickets are under another one by now. */
bool attlsd_store_key_find(const uint8_t *name, unsigned int refresh,
			   unsigned int valid, struct store_key *key,
			   bool *old);

#endif /* ATTLSD_STORE_H */
