/* SPDX-License-Identifier: GPL-2.0-only */
/* Tokens of PKCS#11, in the signer only: nobody else has a module. */
#ifndef ATTLSD_TOKEN_H
#define ATTLSD_TOKEN_H

#include <pthread.h>
#include <p11-kit/pkcs11.h>

#include "signer.h"

struct token {
	char	label[SIGNER_LABEL + 1];
	bool	given;			/* there is a PIN */
	size_t	len;			/* of it */
	uint8_t	pin[SIGNER_SECRET];
	pthread_mutex_t login;		/* guards what follows */
	enum signer_wrong refused;	/* do not try that PIN again */
};

/* What one client has open of one token. */
struct token_session {
	CK_FUNCTION_LIST *module;	/* NULL: nothing */
	unsigned int age;		/* of the modules then */
	CK_SESSION_HANDLE handle;
	CK_OBJECT_HANDLE key;		/* that was used last */
	uint32_t number;		/* of that key */
};

struct token_key {
	struct token *token;
	size_t	len;
	uint8_t	id[SIGNER_ID];		/* CKA_ID */
};

bool token_log_allowed(void);
/* Calls @fn for each certificate. */
enum signer_wrong token_list(struct token *token,
			     void (*fn)(const struct signer_object *object));
enum signer_wrong token_sign(struct token_session *session,
			     const struct token_key *key,
			     const struct signer_request *req,
			     struct signer_reply *reply);
void token_end(struct token_session *session);

#endif /* ATTLSD_TOKEN_H */
