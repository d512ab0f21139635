// SPDX-License-Identifier: GPL-2.0-only
/*
 * The peer's certificate as the kernel keeps it, for programs that ask: the
 * certificate itself, and what hosts it is for.
 *
 * As in OpenSSL the common name counts only where there is no DNS name.  A
 * name that no host has, or for which there is no room, is left out: the
 * certificate then is not for that host.
 */
#include "attlsd.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/x509v3.h>

#define DNS_NAME_MAX	253

static bool is_host(const unsigned char *name, int len)
{
	if (len < 1 || len > DNS_NAME_MAX)
		return false;
	for (int i = 0; i < len; i++)
		if (!isascii(name[i]) ||
		    !(isalnum(name[i]) || strchr("-_.*", name[i])))
			return false;
	return true;
}

static void add(struct attlsd_peer *peer, uint8_t kind,
		const unsigned char *text, int len)
{
	struct attls_name *name;

	if (sizeof(*name) + len > sizeof(peer->names) - peer->names_len)
		return;
	name = (struct attls_name *)(peer->names + peer->names_len);
	name->kind = kind;
	name->len = len;
	memcpy(name->text, text, len);
	peer->names_len += sizeof(*name) + len;
}

/* True: it is a DNS name, usable or not. */
static bool add_alternative(struct attlsd_peer *peer, const GENERAL_NAME *name)
{
	const ASN1_STRING *value;
	int len;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return false;
	value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
	len = ASN1_STRING_length(value);
	if (name->type == GEN_IPADD) {
		if (len == 4 || len == ATTLS_ADDR_LEN)
			add(peer, ATTLS_NAME_ADDRESS,
			    ASN1_STRING_get0_data(value), len);
		return false;
	}
	if (is_host(ASN1_STRING_get0_data(value), len))
		add(peer, ATTLS_NAME_DNS, ASN1_STRING_get0_data(value), len);
	return true;
}

/* False: @cert has no DNS name. */
static bool add_alternatives(struct attlsd_peer *peer, const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name,
						NULL, NULL);
	bool has_dns = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		has_dns |= add_alternative(peer,
					   sk_GENERAL_NAME_value(names, i));
	GENERAL_NAMES_free(names);
	return has_dns;
}

static int add_common_names(struct attlsd_peer *peer, const X509 *cert)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	unsigned char *text;
	int i = -1, len;

	while ((i = X509_NAME_get_index_by_NID(subject, NID_commonName,
					       i)) >= 0) {
		len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(
				X509_NAME_get_entry(subject, i)));
		if (len < 0)
			return -ENOMEM;
		if (is_host(text, len))
			add(peer, ATTLS_NAME_DNS, text, len);
		OPENSSL_free(text);
	}
	return 0;
}

/* @cert may be NULL.  Even after an error attlsd_peer_free() is due. */
int attlsd_peer_init(struct attlsd_peer *peer, const X509 *cert)
{
	peer->der = NULL;
	peer->der_len = 0;
	peer->names_len = 0;
	if (!cert)
		return 0;
	peer->der_len = i2d_X509(cert, &peer->der);
	if (peer->der_len <= 0)
		return -ENOMEM;
	return add_alternatives(peer, cert) ? 0 : add_common_names(peer, cert);
}

void attlsd_peer_free(struct attlsd_peer *peer)
{
	OPENSSL_free(peer->der);
}

static const char *name_text(const struct attls_name *name, char *buf,
			     size_t size)
{
	if (name->kind == ATTLS_NAME_ADDRESS)
		return inet_ntop(name->len == 4 ? AF_INET : AF_INET6,
				 name->text, buf, size);
	snprintf(buf, size, "%.*s", name->len, (const char *)name->text);
	return buf;
}

/* The subjectAltNames of hosts, for people, as many as fit. */
void attlsd_peer_text(const X509 *cert, char *buf, size_t size)
{
	struct attlsd_peer peer = { .names_len = 0 };
	const struct attls_name *name;
	char text[DNS_NAME_MAX + 1];
	size_t at = 0;

	snprintf(buf, size, "no host");
	add_alternatives(&peer, cert);
	for (uint32_t i = 0; i < peer.names_len && at < size;
	     i += sizeof(*name) + name->len) {
		name = (const struct attls_name *)(peer.names + i);
		at += snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
			       name_text(name, text, sizeof(text)));
	}
}
