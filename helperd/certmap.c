// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose certificate a client has shown: the parts of it that libpolicy looks
 * for.  A name that no policy could have, for its length or its control
 * characters, is one that no entry matches.
 */
#include "attlsd.h"
#include "certmap.h"
#include "dn.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

struct facts {
	struct policy_cert cert;
	char	subject[POLICY_DN_MAX];
	char	issuer[POLICY_DN_MAX];
	GENERAL_NAMES *names;
	struct policy_alt *alt;		/* points into names */
};

static bool add_entry(struct policy_dn *dn, const X509_NAME_ENTRY *entry)
{
	const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(entry);
	unsigned char *value = NULL;
	char oid[64];
	bool added;
	int len, n;

	n = OBJ_obj2txt(oid, sizeof(oid), type, 1);
	len = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(entry));
	added = n > 0 && n < (int)sizeof(oid) && len >= 0 &&
		policy_dn_add(dn, X509_NAME_ENTRY_set(entry), oid,
			      (char *)value, len);
	OPENSSL_free(value);
	return added;
}

/* @text, or NULL. */
static const char *read_name(const X509_NAME *name, char *text)
{
	struct policy_dn dn = { .n = 0 };

	for (int i = 0; i < X509_NAME_entry_count(name); i++)
		if (!add_entry(&dn, X509_NAME_get_entry(name, i)))
			return NULL;
	policy_dn_text(&dn, text);
	return text;
}

static const ASN1_STRING *upn_of(const GENERAL_NAME *name)
{
	ASN1_OBJECT *type;
	ASN1_TYPE *value;

	if (GENERAL_NAME_get0_otherName(name, &type, &value) != 1 ||
	    OBJ_obj2nid(type) != NID_ms_upn ||
	    value->type != V_ASN1_UTF8STRING)
		return NULL;
	return value->value.utf8string;
}

/* False: of a type that no map has. */
static bool read_alt(const GENERAL_NAME *name, struct policy_alt *alt)
{
	const ASN1_STRING *text;
	int type;

	text = GENERAL_NAME_get0_value(name, &type);
	switch (type) {
	case GEN_DNS:
		alt->type = POLICY_ALT_DNS;
		break;
	case GEN_EMAIL:
		alt->type = POLICY_ALT_EMAIL;
		break;
	case GEN_URI:
		alt->type = POLICY_ALT_URI;
		break;
	case GEN_OTHERNAME:
		alt->type = POLICY_ALT_UPN;
		text = upn_of(name);
		break;
	default:
		return false;
	}
	if (!text)
		return false;
	alt->name = (const char *)ASN1_STRING_get0_data(text);
	alt->len = ASN1_STRING_length(text);
	return true;
}

static void read_alts(struct facts *f, X509 *cert)
{
	int n;

	f->names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	n = f->names ? sk_GENERAL_NAME_num(f->names) : 0;
	f->alt = calloc(n + 1, sizeof(*f->alt));
	for (int i = 0; f->alt && i < n; i++)
		f->cert.n_alts += read_alt(sk_GENERAL_NAME_value(f->names, i),
					   &f->alt[f->cert.n_alts]);
	f->cert.alt = f->alt;
}

/* The user of @cert, which may be NULL; NULL: none, or there is no map. */
const struct policy_cert_user *
attlsd_certmap_user(const struct policy_action *action, X509 *cert)
{
	const struct policy_cert_user *user = NULL;
	struct facts f = { .names = NULL };

	if (!action->certmap || !cert)
		return NULL;
	f.cert.subject = read_name(X509_get_subject_name(cert), f.subject);
	f.cert.issuer = read_name(X509_get_issuer_name(cert), f.issuer);
	read_alts(&f, cert);
	if (X509_digest(cert, EVP_sha256(), f.cert.fingerprint, NULL))
		user = policy_certmap_find(action->certmap, &f.cert);
	free(f.alt);
	GENERAL_NAMES_free(f.names);
	return user;
}

static char *subject_text(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *data;
	long len;

	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
				      XN_FLAG_RFC2253) >= 0) {
		len = BIO_get_mem_data(bio, &data);
		text = strndup(data, len);
	}
	BIO_free(bio);
	return text;
}

/*
 * False: the policy wants a user, and @cert, which is valid, is of none.  Its
 * subject is kept for the log: OpenSSL lets go of it.
 */
bool attlsd_certmap_admits(SSL *ssl, const struct policy_action *action,
			   X509 *cert)
{
	struct attlsd_ours *ours = attlsd_ours(ssl);

	if (action->role != ATTLS_ROLE_SERVER_SAF ||
	    attlsd_certmap_user(action, cert))
		return true;
	free(ours->refused);
	ours->refused = subject_text(cert);
	return false;
}

/* The subject that was refused, or "". */
const char *attlsd_certmap_refused(const SSL *ssl)
{
	const char *text = attlsd_ours(ssl)->refused;

	return text ? text : "";
}
