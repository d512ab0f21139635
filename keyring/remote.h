/* SPDX-License-Identifier: GPL-2.0-only */
/* What remote.c and sign.c share: a key that only the signer has. */
#ifndef ATTLS_REMOTE_H
#define ATTLS_REMOTE_H

#include <openssl/core_dispatch.h>

#include "signer.h"

struct remote_key {
	EVP_PKEY *public;
	size_t	number;			/* that the signer has for it */
	size_t	id_len;
	uint8_t	id[SIGNER_ID];
};

/* sign.c */
extern const OSSL_DISPATCH keyring_remote_signature[];
bool keyring_remote_strings(void);

#endif /* ATTLS_REMOTE_H */
