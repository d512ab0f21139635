/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of libkeyring share. */
#ifndef ATTLS_KEYRING_INTERNAL_H
#define ATTLS_KEYRING_INTERNAL_H

#include "keyring.h"

DEFINE_STACK_OF(EVP_PKEY)

struct keyring_file {
	char	*name;			/* in the directory of the ring */
	STACK_OF(X509) *certs;
	STACK_OF(EVP_PKEY) *keys;
	bool	exposed;		/* everybody can read it */
	bool	paired;			/* the chain has an owner */
};

/* pem.c */
int keyring_pem_read(BIO *bio, struct keyring_file *file, char *why,
		     size_t size);

#endif /* ATTLS_KEYRING_INTERNAL_H */
