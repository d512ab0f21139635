// SPDX-License-Identifier: GPL-2.0-only
/*
 * A key ring is a directory of PEM files (*.pem, *.crt, *.key).
 *
 * A private key makes a pair with the certificate of the same public key,
 * wherever in the ring that is.  Certificates behind the one of a pair, in
 * the same file, are its chain.  Of the others, CA certificates and
 * self-signed ones are what the ring trusts.
 *
 * What is broken refuses the whole ring: a file that was left out silently
 * would be found out by the peers.
 */
#include "attlsd.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define FILES_MAX	1024

struct file {
	char	*name;
	struct attlsd_pem pem;
	bool	paired;			/* the chain has an owner */
};

struct loading {
	struct attlsd_keyring *ring;
	struct file *files;
	size_t	n_files;
	const struct file *stray;	/* has a certificate without a use */
	char	*why;
};

static int is_pem(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && dot != entry->d_name &&
	       (!strcmp(dot, ".pem") || !strcmp(dot, ".crt") ||
		!strcmp(dot, ".key"));
}

static int explain(struct loading *l, const struct file *file,
		   const char *text)
{
	snprintf(l->why, ATTLSD_WHY, "%s/%s: %s", l->ring->path, file->name,
		 text);
	return -EBADMSG;
}

static int read_file(struct loading *l, struct file *file)
{
	char path[PATH_MAX], text[256];

	snprintf(path, sizeof(path), "%s/%s", l->ring->path, file->name);
	if (attlsd_pem_read(path, &file->pem, text, sizeof(text)))
		return explain(l, file, text);
	if (!sk_X509_num(file->pem.certs) && !sk_EVP_PKEY_num(file->pem.keys))
		return explain(l, file, "no certificate and no private key");
	if (sk_EVP_PKEY_num(file->pem.keys) && file->pem.mode & S_IROTH)
		attlsd_log(LOG_WARNING, "%s: everybody can read this private key",
			   path);
	return 0;
}

static int read_files(struct loading *l)
{
	struct dirent **names;
	int n = scandir(l->ring->path, &names, is_pem, alphasort);
	int ret = 0;

	if (n < 0) {
		snprintf(l->why, ATTLSD_WHY, "%s: %s", l->ring->path,
			 strerror(errno));
		return -EINVAL;
	}
	l->files = calloc(n + 1, sizeof(*l->files));
	for (int i = 0; i < n; i++) {
		if (l->files && i < FILES_MAX && !ret) {
			l->files[i].name = strdup(names[i]->d_name);
			l->n_files++;
			ret = read_file(l, &l->files[i]);
		}
		free(names[i]);
	}
	free(names);
	if (!ret && (!n || n > FILES_MAX)) {
		snprintf(l->why, ATTLSD_WHY, "%s: %s", l->ring->path,
			 n ? "too many files" : "no *.pem, *.crt or *.key file");
		ret = -EINVAL;
	}
	return ret;
}

static char *label_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return strndup(name, dot - name);
}

/* Everything behind place @from of a file, for the pair that stands there. */
static STACK_OF(X509) *take_chain(struct file *file, int from)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (int i = from; chain && i < sk_X509_num(file->pem.certs); i++)
		X509_add_cert(chain, sk_X509_value(file->pem.certs, i),
			      X509_ADD_FLAG_UP_REF);
	return chain;
}

static int add_pair(struct loading *l, struct file *file, int place,
		    EVP_PKEY *key)
{
	struct attlsd_keyring *ring = l->ring;
	struct attlsd_pair *pair;

	pair = realloc(ring->pairs, (ring->n_pairs + 1) * sizeof(*pair));
	if (!pair)
		return explain(l, file, "no memory");
	ring->pairs = pair;
	pair += ring->n_pairs++;
	pair->label = label_of(file->name);
	pair->file = strdup(file->name);
	pair->cert = sk_X509_value(file->pem.certs, place);
	X509_up_ref(pair->cert);
	pair->key = key;
	EVP_PKEY_up_ref(key);
	pair->chain = take_chain(file, place + 1);
	file->paired = true;
	return 0;
}

static EVP_PKEY *key_for(const struct loading *l, X509 *cert)
{
	for (size_t i = 0; i < l->n_files; i++) {
		STACK_OF(EVP_PKEY) *keys = l->files[i].pem.keys;

		for (int k = 0; k < sk_EVP_PKEY_num(keys); k++)
			if (X509_check_private_key(cert,
						   sk_EVP_PKEY_value(keys, k)))
				return sk_EVP_PKEY_value(keys, k);
	}
	ERR_clear_error();
	return NULL;
}

static bool is_anchor(X509 *cert)
{
	return X509_check_ca(cert) > 0 || X509_self_signed(cert, 0) == 1;
}

/*
 * A certificate without a key in a file without a pair is trusted, or, when
 * it is no CA, was put there by mistake.
 */
static int sort_certs(struct loading *l, struct file *file)
{
	int n = sk_X509_num(file->pem.certs);

	for (int i = 0; i < n; i++) {
		X509 *cert = sk_X509_value(file->pem.certs, i);
		EVP_PKEY *key = key_for(l, cert);
		int ret = 0;

		if (key)
			ret = add_pair(l, file, i, key);
		else if (!file->paired && !is_anchor(cert))
			l->stray = file;
		else if (!file->paired)
			ret = X509_add_cert(l->ring->anchors, cert,
					    X509_ADD_FLAG_UP_REF |
					    X509_ADD_FLAG_NO_DUP) ? 0 : -ENOMEM;
		if (ret)
			return ret;
	}
	return 0;
}

/* A key that no certificate claims: one of the two is the wrong file. */
static int check_keys(struct loading *l, struct file *file)
{
	for (int k = 0; k < sk_EVP_PKEY_num(file->pem.keys); k++) {
		EVP_PKEY *key = sk_EVP_PKEY_value(file->pem.keys, k);
		size_t i;

		for (i = 0; i < l->ring->n_pairs; i++)
			if (EVP_PKEY_eq(l->ring->pairs[i].key, key) == 1)
				break;
		if (i == l->ring->n_pairs)
			return explain(l, file,
				       "private key that matches no certificate of the ring");
	}
	return 0;
}

static int each_file(struct loading *l,
		     int (*fn)(struct loading *, struct file *))
{
	int ret = 0;

	for (size_t i = 0; i < l->n_files && !ret; i++)
		ret = fn(l, &l->files[i]);
	return ret;
}

static void free_files(struct loading *l)
{
	for (size_t i = 0; i < l->n_files; i++) {
		attlsd_pem_free(&l->files[i].pem);
		free(l->files[i].name);
	}
	free(l->files);
}

/* NULL with the reason in @why, which has ATTLSD_WHY bytes. */
struct attlsd_keyring *attlsd_keyring_load(const char *path, char *why)
{
	struct loading l = {
		.ring = calloc(1, sizeof(*l.ring)),
		.why = why,
	};
	int ret;

	snprintf(why, ATTLSD_WHY, "%s: no memory", path);
	if (!l.ring)
		return NULL;
	l.ring->path = strdup(path);
	l.ring->anchors = sk_X509_new_null();
	ret = l.ring->path && l.ring->anchors ? read_files(&l) : -ENOMEM;
	if (!ret)
		ret = each_file(&l, sort_certs);
	if (!ret)
		ret = each_file(&l, check_keys);
	if (!ret && l.stray)
		ret = explain(&l, l.stray,
			      "its certificate has no private key in the ring and is not of a CA");
	free_files(&l);
	if (!ret)
		return l.ring;
	attlsd_keyring_free(l.ring);
	return NULL;
}

void attlsd_keyring_free(struct attlsd_keyring *ring)
{
	if (!ring)
		return;
	for (size_t i = 0; i < ring->n_pairs; i++) {
		struct attlsd_pair *pair = &ring->pairs[i];

		free(pair->label);
		free(pair->file);
		X509_free(pair->cert);
		EVP_PKEY_free(pair->key);
		sk_X509_pop_free(pair->chain, X509_free);
	}
	free(ring->pairs);
	sk_X509_pop_free(ring->anchors, X509_free);
	free(ring->path);
	free(ring);
}

const struct attlsd_pair *attlsd_keyring_find(const struct attlsd_keyring *ring,
					      const char *label)
{
	for (size_t i = 0; i < ring->n_pairs; i++)
		if (!strcmp(ring->pairs[i].label, label))
			return &ring->pairs[i];
	return NULL;
}
