// SPDX-License-Identifier: GPL-2.0-only
/*
 * A key ring is a directory of PEM files (*.pem, *.crt, *.key, *.crl), a
 * PKCS#12 file, or a token of PKCS#11.
 *
 * A private key makes a pair with the certificate of the same public key,
 * wherever in the ring that is.  Certificates behind the one of a pair, in
 * the same PEM file, are its chain.  Of the others, CA certificates and
 * self-signed ones are what the ring trusts.  A CRL counts against whatever
 * its CA has issued.
 *
 * What is broken refuses the whole ring: a file that was left out silently
 * would be found out by the peers.
 */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define FILES_MAX	1024
#define FILE_MAX	(16 << 20)	/* a bundle of CAs is below 1 MiB */

struct loading {
	struct keyring *ring;
	struct keyring_password password;
	bool	single;			/* a PKCS#12 file, or a token */
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
		!strcmp(dot, ".key") || !strcmp(dot, ".crl"));
}

int keyring_explain(struct keyring_why *why, int error, const char *hint,
		    const char *format, ...)
{
	va_list args;

	why->error = error;
	why->hint = hint;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

static int no_memory(struct loading *l)
{
	return keyring_explain(l->why, -ENOMEM, NULL, "%s: no memory",
			       l->ring->path);
}

/* @text is what is wrong with @file. */
static int explain(struct loading *l, const struct keyring_file *file,
		   int error, const char *hint, const char *text)
{
	if (l->single)
		return keyring_explain(l->why, error, hint, "%s: %s",
				       l->ring->path, text);
	return keyring_explain(l->why, error, hint, "%s/%s: %s",
			       l->ring->path, file->name, text);
}

static BIO *open_file(const char *path, struct keyring_file *file,
		      struct keyring_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	FILE *f = NULL;
	BIO *bio = NULL;

	if (fd < 0 || fstat(fd, &st)) {
		keyring_explain(why, -errno, NULL, "%s", strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		keyring_explain(why, -EINVAL, NULL,
				"not a file of reasonable size");
	} else {
		file->exposed = st.st_mode & S_IROTH;
		file->writable = st.st_mode & S_IWOTH;
		keyring_explain(why, -ENOMEM, NULL, "no memory");
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

static int read_file(struct loading *l, const char *path,
		     struct keyring_file *file)
{
	struct keyring_why why;
	BIO *bio = open_file(path, file, &why);
	int error = bio ? 0 : why.error;

	if (bio && l->single)
		error = keyring_pkcs12_read(bio, &l->password, file, &why);
	else if (bio)
		error = keyring_pem_read(bio, &l->password, file, &why);
	BIO_free(bio);
	if (error)
		return explain(l, file, error, why.hint, why.text);
	l->ring->writable |= file->writable;
	if (!sk_X509_num(file->certs) && !sk_EVP_PKEY_num(file->keys) &&
	    !sk_X509_CRL_num(file->crls))
		return explain(l, file, -EBADMSG, "remove the file",
			       "no certificate, no private key and no CRL");
	return 0;
}

static int new_file(struct loading *l, const char *name)
{
	struct keyring_file *file = &l->files[l->n_files++];

	file->name = strdup(name);
	file->certs = sk_X509_new_null();
	file->keys = sk_EVP_PKEY_new_null();
	file->crls = sk_X509_CRL_new_null();
	if (!file->name || !file->certs || !file->keys || !file->crls)
		return no_memory(l);
	return 0;
}

static int add_file(struct loading *l, const char *path, const char *name)
{
	int ret = new_file(l, name);

	return ret ? ret : read_file(l, path, &l->files[l->n_files - 1]);
}

static int add_files(struct loading *l, struct dirent **names, int n)
{
	char path[PATH_MAX];
	int ret = 0;

	if (!n)
		return keyring_explain(l->why, -EINVAL,
				       "put certificates and private keys there",
				       "%s: no *.pem, *.crt, *.key or *.crl file",
				       l->ring->path);
	if (n > FILES_MAX)
		return keyring_explain(l->why, -EINVAL,
				       "put certificates of authorities into one file",
				       "%s: too many files", l->ring->path);
	l->files = calloc((size_t)n, sizeof(*l->files));
	if (!l->files)
		return no_memory(l);
	for (int i = 0; !ret && i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", l->ring->path,
			 names[i]->d_name);
		ret = add_file(l, path, names[i]->d_name);
	}
	return ret;
}

static int read_directory(struct loading *l)
{
	struct dirent **names;
	int n = scandir(l->ring->path, &names, is_pem, alphasort);
	int ret;

	if (n < 0)
		return keyring_explain(l->why, -errno, NULL, "%s: %s",
				       l->ring->path, strerror(errno));
	ret = add_files(l, names, n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return ret;
}

/* The database that gskkyman and gskcapicmd keep. */
static bool is_kdb(const char *path)
{
	size_t len = strlen(path);

	return len > 4 && !strcasecmp(path + len - 4, ".kdb");
}

static int read_single(struct loading *l)
{
	const char *path = l->ring->path;

	l->single = true;
	l->files = calloc(1, sizeof(*l->files));
	if (!l->files)
		return no_memory(l);
	return add_file(l, path, strrchr(path, '/') + 1);
}

static int read_token(struct loading *l)
{
	struct keyring_why why;
	int ret;

	l->single = true;
	l->files = calloc(1, sizeof(*l->files));
	l->ring->pin = keyring_password_keep(&l->password);
	if (!l->files || !l->ring->pin)
		return no_memory(l);
	ret = new_file(l, l->ring->token);
	if (ret)
		return ret;
	ret = keyring_token_read(l->ring, l->files, &why);
	return ret ? explain(l, l->files, ret, why.hint, why.text) : 0;
}

static const char *token_of(const char *path)
{
	size_t len = strlen(POLICY_TOKEN);

	return strncasecmp(path, POLICY_TOKEN, len) ? NULL : path + len;
}

static int read_ring(struct loading *l)
{
	const char *path = l->ring->path;
	struct stat st;
	int error;

	l->ring->token = token_of(path);
	if (l->ring->token)
		return read_token(l);
	error = stat(path, &st) ? errno : 0;
	if (!error && S_ISDIR(st.st_mode)) {
		l->ring->writable = st.st_mode & S_IWOTH;
		return read_directory(l);
	}
	if (is_kdb(path))
		return keyring_explain(l->why, -EINVAL,
				       "export certificates and keys to a PKCS#12 file (gskkyman, or gskcapicmd -cert -export -target_type pkcs12) and name that",
				       "%s: is a CMS key database", path);
	if (!error)
		return read_single(l);
	return keyring_explain(l->why, -error, error == ENOENT ?
			       "make a directory with PEM files there, or a PKCS#12 file" :
			       NULL, "%s: %s", path, strerror(error));
}

/* What PKCS#12 calls it, or the name of the file without its end. */
static char *label_of(X509 *cert, const char *name)
{
	const char *dot = strrchr(name, '.');
	int len = 0;
	const unsigned char *alias = X509_alias_get0(cert, &len);

	if (len)
		return strndup((const char *)alias, (size_t)len);
	return strndup(name, dot && dot != name ? (size_t)(dot - name) :
		       strlen(name));
}

/*
 * Everything behind place @from of a file, for the pair that stands there.
 * The order in PKCS#12 says nothing.
 */
static STACK_OF(X509) *take_chain(const struct loading *l,
				  const struct keyring_file *file, int from)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	int n = l->single ? 0 : sk_X509_num(file->certs);

	for (int i = from; chain && i < n; i++)
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
		return no_memory(l);
	ring->pairs = pair;
	pair += ring->n_pairs++;
	pair->cert = sk_X509_value(file->certs, place);
	X509_up_ref(pair->cert);
	pair->label = label_of(pair->cert, file->name);
	pair->key = key;
	EVP_PKEY_up_ref(key);
	pair->chain = take_chain(l, file, place + 1);
	pair->exposed = exposed;
	file->paired = !l->single;
	if (pair->label && pair->chain)
		return 0;
	return no_memory(l);
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

bool keyring_is_anchor(X509 *cert)
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
		else if (!file->paired && !keyring_is_anchor(cert))
			l->stray = file;
		else if (!file->paired &&
			 !X509_add_cert(l->ring->anchors, cert,
					X509_ADD_FLAG_UP_REF |
					X509_ADD_FLAG_NO_DUP))
			ret = no_memory(l);
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
			return explain(l, file, -EBADMSG,
				       "put its certificate there, or remove the key",
				       "private key that matches no certificate of the ring");
	}
	return 0;
}

static bool is_signed_by(X509_CRL *crl, X509 *cert)
{
	return !X509_NAME_cmp(X509_get_subject_name(cert),
			      X509_CRL_get_issuer(crl)) &&
	       X509_CRL_verify(crl, X509_get0_pubkey(cert)) == 1;
}

static bool is_signed(const struct keyring *ring, X509_CRL *crl)
{
	bool found = false;

	for (int i = 0; !found && i < sk_X509_num(ring->anchors); i++)
		found = is_signed_by(crl, sk_X509_value(ring->anchors, i));
	ERR_clear_error();
	return found;
}

/*
 * One of an intermediate CA that is not here is checked when it is used; but
 * with the name of a CA of the ring and not its signature it is a mistake.
 */
static int take_crls(struct loading *l, struct keyring_file *file)
{
	for (int k = 0; k < sk_X509_CRL_num(file->crls); k++) {
		X509_CRL *crl = sk_X509_CRL_value(file->crls, k);

		if (X509_find_by_subject(l->ring->anchors,
					 X509_CRL_get_issuer(crl)) &&
		    !is_signed(l->ring, crl))
			return explain(l, file, -EBADMSG, "fetch it anew",
				       "CRL that its CA did not sign");
		if (!sk_X509_CRL_push(l->ring->crls, crl))
			return no_memory(l);
		X509_CRL_up_ref(crl);
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
		sk_X509_CRL_pop_free(l->files[i].crls, X509_CRL_free);
		free(l->files[i].name);
	}
	free(l->files);
}

static int load(struct loading *l)
{
	int ret = read_ring(l);

	if (!ret)
		ret = each_file(l, sort_certs);
	if (!ret)
		ret = each_file(l, check_keys);
	if (!ret)
		ret = each_file(l, take_crls);
	if (!ret && l->stray)
		ret = explain(l, l->stray, -EBADMSG,
			      "put its private key there, or remove it",
			      "its certificate has no private key in the ring and is not of a CA");
	free_files(l);
	return ret;
}

struct keyring *keyring_load(const struct policy_action *action,
			     struct keyring_why *why)
{
	struct loading l = {
		.ring = calloc(1, sizeof(*l.ring)),
		.why = why,
	};
	int ret;

	keyring_explain(why, -ENOMEM, NULL, "%s: no memory", action->keyring);
	if (!l.ring)
		return NULL;
	l.ring->path = strdup(action->keyring);
	l.ring->anchors = sk_X509_new_null();
	l.ring->crls = sk_X509_CRL_new_null();
	ret = l.ring->path && l.ring->anchors && l.ring->crls ?
	      keyring_password_get(&l.password, action, why) : -ENOMEM;
	if (!ret)
		ret = load(&l);
	keyring_password_wipe(&l.password);
	if (!ret)
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
		X509_free(pair->cert);
		EVP_PKEY_free(pair->key);
		sk_X509_pop_free(pair->chain, X509_free);
	}
	free(ring->pairs);
	sk_X509_pop_free(ring->anchors, X509_free);
	sk_X509_CRL_pop_free(ring->crls, X509_CRL_free);
	keyring_password_drop(ring->pin);
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
