// SPDX-License-Identifier: GPL-2.0-only
/* Entries of directories (TTLSGskLdapParms) that have CRLs. */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As LDAP writes it (RFC 4514), for free().  NULL: no memory. */
char *attlsd_directory_name(const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *data;
	long len;

	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		len = BIO_get_mem_data(bio, &data);
		text = strndup(data, (size_t)len);
	}
	BIO_free(bio);
	return text;
}

static int fill(struct attlsd_fetch_request *fetch, const char *dn,
		const struct policy_ldap *ldap)
{
	if (strlen(dn) >= sizeof(fetch->entry.dn))
		return -ENAMETOOLONG;
	fetch->how = ATTLSD_FETCH_LDAP;
	fetch->body_len = sizeof(fetch->entry);
	snprintf(fetch->url, sizeof(fetch->url), "%s", ldap->servers);
	snprintf(fetch->entry.dn, sizeof(fetch->entry.dn), "%s", dn);
	if (!ldap->user)
		return 0;
	snprintf(fetch->entry.user, sizeof(fetch->entry.user), "%s",
		 ldap->user);
	snprintf(fetch->entry.password, sizeof(fetch->entry.password), "%s",
		 ldap->password);
	return 0;
}

/*
 * The CRLs of @dn, for @cert.  See attlsd_answers_get().  Another user may see
 * another CRL.
 */
int attlsd_directory_ask(struct attlsd_waiter *waiter, const char *dn,
			 X509 *cert, const struct policy_ldap *ldap)
{
	struct attlsd_fetch_request fetch = { 0 };
	char *key = NULL;
	int ret = fill(&fetch, dn, ldap);

	fetch.entry.of_ca = X509_check_ca(cert) > 0;
	if (!ret && asprintf(&key, "%s %d %s %s", ldap->servers,
			     fetch.entry.of_ca, ldap->user ? ldap->user : "",
			     dn) < 0) {
		key = NULL;
		ret = -ENOMEM;
	}
	if (!ret)
		ret = attlsd_answers_get(waiter, ATTLSD_ANSWER_LDAP, key,
					 &fetch, &ldap->source, false);
	OPENSSL_cleanse(&fetch, sizeof(fetch));
	free(key);
	return ret;
}
