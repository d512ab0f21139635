/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of libkeyring share. */
#ifndef ATTLS_KEYRING_INTERNAL_H
#define ATTLS_KEYRING_INTERNAL_H

#include "keyring.h"

struct keyring_signer;

DEFINE_STACK_OF(EVP_PKEY)

struct keyring_file {
	char	*name;			/* in its directory */
	STACK_OF(X509) *certs;
	STACK_OF(EVP_PKEY) *keys;
	STACK_OF(X509_CRL) *crls;
	bool	exposed;		/* everybody can read it */
	bool	writable;		/* everybody can write it */
	bool	paired;			/* the chain has an owner */
	bool	weak;			/* encrypted as it was done once */
};

#define KEYRING_GIVE_PASSWORD	"give KeyringStashFile or KeyringPw"

/* Of PKCS#12 that is encrypted weakly; through a pipe, not a file. */
#define KEYRING_CONVERT	"openssl pkcs12 -legacy -noenc -in OLD | " \
			"openssl pkcs12 -export -name LABEL -out NEW"

struct keyring_password {
	bool	given;
	char	text[1024];
};

/* load.c: fills @why and returns @error */
int keyring_explain(struct keyring_why *why, int error, const char *hint,
		    const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* password.c */
int keyring_password_get(struct keyring_password *pw,
			 const struct policy_action *action,
			 struct keyring_why *why);
void keyring_password_wipe(struct keyring_password *pw);

/* A copy that no child process inherits; NULL: not possible, see errno. */
struct keyring_password *
keyring_password_keep(const struct keyring_password *pw);
void keyring_password_drop(struct keyring_password *pw);

/* signer.c */
struct signer_object;

int keyring_signer_token(struct keyring_signer *signer,
			 const struct keyring *ring);
int keyring_signer_key(struct keyring_signer *signer, EVP_PKEY *key);
int keyring_signer_list(struct keyring_signer *signer);
/* False: none came, and @object says why. */
bool keyring_signer_object(struct keyring_signer *signer,
			   struct signer_object *object);
void keyring_signer_end(struct keyring_signer *signer);

/* load.c */
bool keyring_is_anchor(X509 *cert);

/* pem.c, pkcs12.c, token.c: the reason in @why does not name the file */
int keyring_pem_read(BIO *bio, const struct keyring_password *pw,
		     struct keyring_file *file, struct keyring_why *why);
int keyring_pkcs12_read(BIO *bio, const struct keyring_password *pw,
			struct keyring_file *file, struct keyring_why *why);
int keyring_token_read(const struct keyring *ring, struct keyring_file *file,
		       struct keyring_why *why);

/* move.c */
int keyring_move(struct keyring *ring, OSSL_LIB_CTX *ctx,
		 struct keyring_why *why);

#endif /* ATTLS_KEYRING_INTERNAL_H */
