/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is said to the signer, the process of attlsd that opens tokens of
 * PKCS#11 (helperd/signer.c).  All sockets are SOCK_SEQPACKET.
 *
 *	control, to it		struct signer_order: tokens, what is on one,
 *				keys, clients.  Tokens and keys are numbered
 *				as they come, and there are none after the
 *				first client
 *	control, from it	struct signer_object, as many as a token has
 *	client, to it		struct signer_request: sign
 *	client, from it		struct signer_reply, one for each
 */
#ifndef ATTLS_SIGNER_H
#define ATTLS_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <openssl/evp.h>

struct keyring;

#define SIGNER_VERSION		1	/* of all that follows */
#define SIGNER_OPTION		"--signer"
#define SIGNER_LABEL		32	/* bytes of the name of a token */
#define SIGNER_ID		255	/* of CKA_ID */
#define SIGNER_NAME		255	/* of CKA_LABEL */
#define SIGNER_CERT		16384
#define SIGNER_SECRET		1024	/* of a PIN */
#define SIGNER_INPUT		128	/* a hash, or DigestInfo */
#define SIGNER_OUTPUT		1024	/* RSA of 8192 bits */
#define SIGNER_TOKENS		64
#define SIGNER_KEYS		1024
#define SIGNER_CERTS		256	/* of a token */
#define SIGNER_TIME		5	/* seconds for a signature */

enum signer_verb {
	SIGNER_ADD_TOKEN,		/* label, PIN */
	SIGNER_LIST,			/* token */
	SIGNER_ADD_KEY,			/* token, CKA_ID */
	SIGNER_ADD_CLIENT,		/* comes with a socket */
};

struct signer_order {
	uint32_t version;
	uint32_t verb;
	uint32_t token;
	uint32_t given;			/* there is a PIN */
	uint32_t len;			/* of data */
	char	label[SIGNER_LABEL + 1];
	uint8_t	data[SIGNER_SECRET];	/* only len are sent */
};

#define SIGNER_ORDER_HEAD	offsetof(struct signer_order, data)

/* What went wrong; keyring_signer_text() has the words. */
enum signer_wrong {
	SIGNER_GOOD,
	SIGNER_GONE,			/* the signer itself */
	SIGNER_SILENT,
	SIGNER_NO_MODULES,
	SIGNER_NO_TOKEN,
	SIGNER_TWO_TOKENS,
	SIGNER_NEEDS_PIN,
	SIGNER_WRONG_PIN,
	SIGNER_LAST_TRY,
	SIGNER_LOCKED,
	SIGNER_NO_LOGIN,
	SIGNER_NO_KEY,
	SIGNER_NO_SIGNATURE,
	SIGNER_NO_LIST,
};

struct signer_object {
	uint32_t version;
	uint32_t last;			/* there is no certificate here */
	uint32_t wrong;			/* with last: enum signer_wrong */
	uint32_t has_key;
	uint32_t id_len;
	uint32_t cert_len;
	uint8_t	id[SIGNER_ID];
	char	label[SIGNER_NAME + 1];
	uint8_t	cert[SIGNER_CERT];	/* only cert_len are sent */
};

#define SIGNER_OBJECT_HEAD	offsetof(struct signer_object, cert)

enum signer_way {
	SIGNER_RSA_PKCS1,		/* of DigestInfo */
	SIGNER_RSA_PSS,			/* of a hash */
	SIGNER_ECDSA,			/* of a hash; r and s, not in DER */
};

struct signer_request {
	uint32_t version;
	uint32_t key;
	uint64_t id;
	uint32_t way;
	uint32_t hash;			/* RSA_PSS: 224, 256, 384, 512 */
	uint32_t salt;			/* RSA_PSS: bytes */
	uint32_t len;
	uint8_t	data[SIGNER_INPUT];
};

struct signer_reply {
	uint32_t version;
	uint32_t wrong;
	uint64_t id;
	uint32_t len;
	uint8_t	data[SIGNER_OUTPUT];
};

/* signer.c: the signer as those see it who start it */
struct keyring_signer {
	pid_t	pid;			/* 0: does not run */
	int	control;
	uint32_t tokens;
	uint32_t keys;
};

/* The attlsd that is started as signer; @path must stay. */
void keyring_signer_program(const char *path);
int keyring_signer_start(struct keyring_signer *signer);
/* The token of @ring, if it has one, with its keys. */
int keyring_signer_add(struct keyring_signer *signer,
		       const struct keyring *ring);
/* Numbers the keys of @ring as keyring_signer_add() did, from @n on. */
int keyring_signer_number(const struct keyring *ring, size_t *n);
/* A socket for requests, or a negative errno. */
int keyring_signer_client(struct keyring_signer *signer);
/* It ends when its last client does. */
void keyring_signer_leave(struct keyring_signer *signer);
const char *keyring_signer_text(enum signer_wrong wrong);

/* remote.c: keys that only the signer has */

/* Where this process sends its requests; -1: nowhere.  It is closed then. */
void keyring_remote_use(int client);
/* The signer did not answer in time, and is asked no more. */
bool keyring_remote_silent(void);
/* The key of @public, with the CKA_ID of the token; NULL: not possible. */
EVP_PKEY *keyring_remote_key(EVP_PKEY *public, const uint8_t *id, size_t len);
bool keyring_remote_number(EVP_PKEY *key, size_t number);
/* The bytes of CKA_ID, 0: it is no such key. */
size_t keyring_remote_id(EVP_PKEY *key, uint8_t id[SIGNER_ID]);

#endif /* ATTLS_SIGNER_H */
