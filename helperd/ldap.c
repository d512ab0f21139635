// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRLs of a directory, as the fetcher gets them: a connection for each
 * request, which are few.
 *
 * libldap is given a socket that does not block and waits only with the time
 * that is left.  It chases no referrals: nobody is followed who sends us
 * elsewhere.
 */
#include "attlsd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lber.h>
#include <openldap.h>
#include <openssl/http.h>

static bool set_options(LDAP *ld, ber_len_t max)
{
	const int version = LDAP_VERSION3;
	Sockbuf *sb;

	return !ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) &&
	       !ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) &&
	       !ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) &&
	       ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max) == 1;
}

/* Of what libldap could not do. */
static int error_of(LDAP *ld)
{
	int code = LDAP_SUCCESS;

	ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
	return code ? code : LDAP_LOCAL_ERROR;
}

/* Something behind the maximum stays, for the worker to see. */
static void add_values(struct berval **values, BIO *crls, int max)
{
	for (size_t i = 0; values && values[i] && BIO_pending(crls) <= max; i++)
		BIO_write(crls, values[i]->bv_val, (int)values[i]->bv_len);
}

/* It has what was asked for, whatever the server calls it. */
static void add_entry(LDAP *ld, LDAPMessage *entry, BIO *crls, int max)
{
	BerElement *place = NULL;
	char *name = ldap_first_attribute(ld, entry, &place);

	while (name) {
		struct berval **values = ldap_get_values_len(ld, entry, name);

		add_values(values, crls, max);
		ldap_value_free_len(values);
		ldap_memfree(name);
		name = ldap_next_attribute(ld, entry, place);
	}
	ber_free(place, 0);
}

/*
 * The type of the next message to @id, or an error below zero.  A server that
 * never stops has no more time than one that says nothing.
 */
static int next_message(LDAP *ld, int id, int64_t deadline, LDAPMessage **msg)
{
	int ms = attlsd_left(deadline), type;
	struct timeval left = { ms / 1000, ms % 1000 * 1000 };

	if (!ms)
		return LDAP_TIMEOUT;
	type = ldap_result(ld, id, LDAP_MSG_ONE, &left, msg);
	if (type < 0)
		return error_of(ld);
	return type ? type : LDAP_TIMEOUT;
}

/* A result of LDAP, those of libldap are below zero; CRLs go to @crls. */
static int result_of(LDAP *ld, int id, int64_t deadline, BIO *crls, int max)
{
	int type, code = LDAP_SUCCESS;
	LDAPMessage *msg = NULL;

	do {
		type = next_message(ld, id, deadline, &msg);
		if (type < 0)
			return type;
		if (type == LDAP_RES_SEARCH_ENTRY)
			add_entry(ld, msg, crls, max);
		else if (type != LDAP_RES_SEARCH_REFERENCE &&
			 ldap_parse_result(ld, msg, &code, NULL, NULL, NULL,
					   NULL, 0))
			code = LDAP_DECODING_ERROR;
		ldap_msgfree(msg);
	} while (type == LDAP_RES_SEARCH_ENTRY ||
		 type == LDAP_RES_SEARCH_REFERENCE);
	return code;
}

static int log_in(LDAP *ld, const struct attlsd_fetch_entry *entry,
		  int64_t deadline)
{
	struct berval password = {
		.bv_val = (char *)entry->password,
		.bv_len = strlen(entry->password),
	};
	int ret, id;

	if (!*entry->user)
		return LDAP_SUCCESS;
	ret = ldap_sasl_bind(ld, entry->user, LDAP_SASL_SIMPLE, &password,
			     NULL, NULL, &id);
	return ret ? ret : result_of(ld, id, deadline, NULL, 0);
}

static int search(LDAP *ld, const struct attlsd_fetch_request *req,
		  char *attribute, int64_t deadline, BIO *crls)
{
	char *attributes[] = { attribute, NULL };
	int id, ret = ldap_search_ext(ld, req->entry.dn, LDAP_SCOPE_BASE,
				      "(objectClass=*)", attributes, 0, NULL,
				      NULL, NULL, LDAP_NO_LIMIT, &id);

	return ret ? ret : result_of(ld, id, deadline, crls,
				     (int)req->max_size);
}

/* Beside a list of CAs, the other one may have no CAs. */
static int find(LDAP *ld, const struct attlsd_fetch_request *req,
		int64_t deadline, BIO *crls)
{
	int ret = LDAP_SUCCESS;

	if (req->entry.of_ca)
		ret = search(ld, req, "authorityRevocationList;binary",
			     deadline, crls);
	if (!ret && !BIO_pending(crls))
		ret = search(ld, req, "certificateRevocationList;binary",
			     deadline, crls);
	return ret;
}

/* Takes @fd. */
static int converse(int fd, const struct attlsd_fetch_request *req,
		    int64_t deadline, BIO *crls)
{
	LDAP *ld;
	int ret = ldap_init_fd(fd, LDAP_PROTO_TCP, NULL, &ld);

	if (ret) {
		close(fd);
		return ret;
	}
	ret = set_options(ld, req->max_size) ?
	      log_in(ld, &req->entry, deadline) : LDAP_LOCAL_ERROR;
	if (!ret)
		ret = find(ld, req, deadline, crls);
	ldap_unbind_ext(ld, NULL, NULL);
	return ret;
}

static enum attlsd_fetch_type meaning(int code, BIO *crls)
{
	switch (code) {
	case LDAP_SUCCESS:
		return BIO_pending(crls) ? ATTLSD_FETCH_LAST :
		       ATTLSD_FETCH_NONE;
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_NO_SUCH_ATTRIBUTE:
		return ATTLSD_FETCH_NONE;
	case LDAP_BUSY:
	case LDAP_UNAVAILABLE:
		return ATTLSD_FETCH_FAILED;
	}
	return code < 0 ? ATTLSD_FETCH_FAILED : ATTLSD_FETCH_REFUSED;
}

static enum attlsd_fetch_type ask(const char *url,
				  const struct attlsd_fetch_request *req,
				  int64_t deadline, BIO *crls, char *why)
{
	enum attlsd_fetch_type type = ATTLSD_FETCH_FAILED;
	const char *text = "is no URL of a server";
	char *host = NULL, *port = NULL;
	int fd = -1, code;

	if (OSSL_parse_url(url, NULL, NULL, &host, &port, NULL, NULL, NULL,
			   NULL))
		fd = attlsd_dial(host, port, deadline, &text);
	if (fd >= 0) {
		code = converse(fd, req, deadline, crls);
		type = meaning(code, crls);
		text = type == ATTLSD_FETCH_NONE ? "no CRL there" :
		       ldap_err2string(code);
	}
	snprintf(why, ATTLSD_WHY, "%s (%s)", text, url);
	OPENSSL_free(host);
	OPENSSL_free(port);
	return type;
}

static unsigned int count(const char *urls)
{
	unsigned int n = 1;

	for (; *urls; urls++)
		n += *urls == ' ';
	return n;
}

/*
 * The CRLs of an entry, one behind the other: of the first server that can
 * be asked, each has its share of the time.  NULL with the reason in @why, of
 * ATTLSD_WHY bytes, and in @type what it means.
 */
BIO *attlsd_ldap_get(const struct attlsd_fetch_request *req,
		     enum attlsd_fetch_type *type, char *why)
{
	int64_t deadline = attlsd_now() + req->timeout * 1000LL;
	char *urls = strdup(req->url), *next = urls;
	BIO *crls = BIO_new(BIO_s_mem());

	*type = ATTLSD_FETCH_FAILED;
	snprintf(why, ATTLSD_WHY, "no memory");
	while (crls && next && *type == ATTLSD_FETCH_FAILED) {
		int64_t share = attlsd_left(deadline) / count(next);
		const char *url = strsep(&next, " ");

		BIO_reset(crls);
		*type = ask(url, req, attlsd_now() + share, crls, why);
	}
	free(urls);
	if (*type == ATTLSD_FETCH_LAST)
		return crls;
	BIO_free(crls);
	return NULL;
}
