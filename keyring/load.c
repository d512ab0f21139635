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
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define FILES_MAX	1024
#define FILE_MAX	(16 << 20)	/* a bundle of CAs is below 1 MiB */

struct loading {
	struct keyring *ring;
	struct keyring_file *files;
	size_t	n_files;
	const struct keyring_file *stray; /* has a certificate without a use */
	struct keyring_why *why;
};

static int is_pem(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && dot != entry->d_name &&
	       (!strcmp(dot, ".pem") || !strcmp(dot, ".crt") ||
		!strcmp(dot, ".key"));
}

static int explain(struct loading *l, int error, const char *text,
		   const char *hint)
{
	l->why->error = error;
	l->why->hint = hint;
	snprintf(l->why->text, sizeof(l->why->text), "%s: %s", l->ring->path,
		 text);
	return error;
}

static int explain_file(struct loading *l, const struct keyring_file *file,
			int error, const char *text, const char *hint)
{
	l->why->error = error;
	l->why->hint = hint;
	snprintf(l->why->text, sizeof(l->why->text), "%s/%s: %s",
		 l->ring->path, file->name, text);
	return error;
}

/* NULL with the reason in @why of @size bytes and in *@error. */
static BIO *open_file(const char *path, struct keyring_file *file, int *error,
		      char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	FILE *f = NULL;
	BIO *bio = NULL;

	*error = -EINVAL;
	if (fd < 0 || fstat(fd, &st)) {
		*error = -errno;
		snprintf(why, size, "%s", strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		snprintf(why, size, "not a file of reasonable size");
	} else {
		file->exposed = st.st_mode & S_IROTH;
		snprintf(why, size, "no memory");
		f = fdopen(fd, "r");
	}
	if (f)
		bio = BIO_new_fp(f, BIO_CLOSE);
	if (f && !bio)
		fclose(f);
	if (!f && fd >= 0)
		close(fd);
	return bio;
}

static int read_file(struct loading *l, struct keyring_file *file)
{
	char path[PATH_MAX], text[256] = "no memory";
	int error;
	BIO *bio;

	snprintf(path, sizeof(path), "%s/%s", l->ring->path, file->name);
	bio = open_file(path, file, &error, text, sizeof(text));
	if (!bio)
		return explain_file(l, file, error, text, NULL);
	error = keyring_pem_read(bio, file, text, sizeof(text));
	BIO_free(bio);
	if (error)
		return explain_file(l, file, error, text, NULL);
	if (!sk_X509_num(file->certs) && !sk_EVP_PKEY_num(file->keys))
		return explain_file(l, file, -EBADMSG,
				    "no certificate and no private key",
				    "remove the file");
	return 0;
}

static int add_file(struct loading *l, const char *name)
{
	struct keyring_file *file = &l->files[l->n_files++];

	file->name = strdup(name);
	file->certs = sk_X509_new_null();
	file->keys = sk_EVP_PKEY_new_null();
	if (!file->name || !file->certs || !file->keys)
		return explain(l, -ENOMEM, "no memory", NULL);
	return read_file(l, file);
}

static int read_directory(struct loading *l)
{
	struct dirent **names;
	int n = scandir(l->ring->path, &names, is_pem, alphasort);
	int ret = 0;

	if (n < 0)
		return explain(l, -errno, strerror(errno), errno == ENOENT ?
			       "make the directory and put the PEM files there" :
			       NULL);
	l->files = calloc((size_t)n + 1, sizeof(*l->files));
	if (!l->files)
		ret = explain(l, -ENOMEM, "no memory", NULL);
	else if (!n)
		ret = explain(l, -EINVAL, "no *.pem, *.crt or *.key file",
			      "put certificates and private keys there");
	else if (n > FILES_MAX)
		ret = explain(l, -EINVAL, "too many files",
			      "put certificates of authorities into one file");
	for (int i = 0; i < n; i++) {
		if (!ret)
			ret = add_file(l, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return ret;
}

static char *label_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return strndup(name, (size_t)(dot - name));
}

/* Everything behind place @from of a file, for the pair that stands there. */
static STACK_OF(X509) *take_chain(const struct keyring_file *file, int from)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (int i = from; chain && i < sk_X509_num(file->certs); i++)
		X509_add_cert(chain, sk_X509_value(file->certs, i),
			      X509_ADD_FLAG_UP_REF);
	return chain;
}

static int add_pair(struct loading *l, struct keyring_file *file, int place,
		    EVP_PKEY *key, bool exposed)
{
	struct keyring *ring = l->ring;
	struct keyring_pair *pair;

	pair = reallocarray(ring->pairs, ring->n_pairs + 1, sizeof(*pair));
	if (!pair)
		return explain(l, -ENOMEM, "no memory", NULL);
	ring->pairs = pair;
	pair += ring->n_pairs++;
	pair->label = label_of(file->name);
	pair->file = strdup(file->name);
	pair->cert = sk_X509_value(file->certs, place);
	X509_up_ref(pair->cert);
	pair->key = key;
	EVP_PKEY_up_ref(key);
	pair->chain = take_chain(file, place + 1);
	pair->exposed = exposed;
	file->paired = true;
	if (pair->label && pair->file && pair->chain)
		return 0;
	return explain(l, -ENOMEM, "no memory", NULL);
}

static EVP_PKEY *key_for(const struct loading *l, X509 *cert, bool *exposed)
{
	for (size_t i = 0; i < l->n_files; i++) {
		STACK_OF(EVP_PKEY) *keys = l->files[i].keys;

		*exposed = l->files[i].exposed;
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
static int sort_certs(struct loading *l, struct keyring_file *file)
{
	int n = sk_X509_num(file->certs);

	for (int i = 0; i < n; i++) {
		X509 *cert = sk_X509_value(file->certs, i);
		bool exposed;
		EVP_PKEY *key = key_for(l, cert, &exposed);
		int ret = 0;

		if (key)
			ret = add_pair(l, file, i, key, exposed);
		else if (!file->paired && !is_anchor(cert))
			l->stray = file;
		else if (!file->paired &&
			 !X509_add_cert(l->ring->anchors, cert,
					X509_ADD_FLAG_UP_REF |
					X509_ADD_FLAG_NO_DUP))
			ret = explain(l, -ENOMEM, "no memory", NULL);
		if (ret)
			return ret;
	}
	return 0;
}

/* A key that no certificate claims: one of the two is the wrong file. */
static int check_keys(struct loading *l, struct keyring_file *file)
{
	for (int k = 0; k < sk_EVP_PKEY_num(file->keys); k++) {
		EVP_PKEY *key = sk_EVP_PKEY_value(file->keys, k);
		size_t i;

		for (i = 0; i < l->ring->n_pairs; i++)
			if (EVP_PKEY_eq(l->ring->pairs[i].key, key) == 1)
				break;
		if (i == l->ring->n_pairs)
			return explain_file(l, file, -EBADMSG,
				"private key that matches no certificate of the ring",
				"put its certificate there, or remove the key");
	}
	return 0;
}

static int each_file(struct loading *l,
		     int (*fn)(struct loading *, struct keyring_file *))
{
	int ret = 0;

	for (size_t i = 0; i < l->n_files && !ret; i++)
		ret = fn(l, &l->files[i]);
	return ret;
}

static void free_files(struct loading *l)
{
	for (size_t i = 0; i < l->n_files; i++) {
		sk_X509_pop_free(l->files[i].certs, X509_free);
		sk_EVP_PKEY_pop_free(l->files[i].keys, EVP_PKEY_free);
		free(l->files[i].name);
	}
	free(l->files);
}

static int load(struct loading *l)
{
	int ret = read_directory(l);

	if (!ret)
		ret = each_file(l, sort_certs);
	if (!ret)
		ret = each_file(l, check_keys);
	if (!ret && l->stray)
		ret = explain_file(l, l->stray, -EBADMSG,
			"its certificate has no private key in the ring and is not of a CA",
			"put its private key there, or remove it");
	free_files(l);
	return ret;
}

struct keyring *keyring_load(const char *path, struct keyring_why *why)
{
	struct loading l = {
		.ring = calloc(1, sizeof(*l.ring)),
		.why = why,
	};

	why->error = -ENOMEM;
	why->hint = NULL;
	snprintf(why->text, sizeof(why->text), "%s: no memory", path);
	if (!l.ring)
		return NULL;
	l.ring->path = strdup(path);
	l.ring->anchors = sk_X509_new_null();
	if (l.ring->path && l.ring->anchors && !load(&l))
		return l.ring;
	keyring_free(l.ring);
	return NULL;
}

void keyring_free(struct keyring *ring)
{
	if (!ring)
		return;
	for (size_t i = 0; i < ring->n_pairs; i++) {
		struct keyring_pair *pair = &ring->pairs[i];

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

const struct keyring_pair *keyring_find(const struct keyring *ring,
					const char *label)
{
	for (size_t i = 0; i < ring->n_pairs; i++)
		if (!strcmp(ring->pairs[i].label, label))
			return &ring->pairs[i];
	return NULL;
}
