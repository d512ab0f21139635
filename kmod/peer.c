// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the agent says about the certificate of the peer: the certificate, for
 * programs that want to see it, and the names in it, for those that only ask
 * whether it is for a host.  Immutable; a connection and who looks at it have
 * references.
 */
#include "internal.h"
#include <linux/ctype.h>
#include <linux/in6.h>
#include <linux/inet.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Bytes of a DNS name in text, RFC 1035 section 3.1. */
#define DNS_NAME_MAX	253

void attls_peer_put(struct attls_peer *peer)
{
	if (peer && refcount_dec_and_test(&peer->ref))
		kvfree(peer);
}

struct attls_peer *attls_peer_get(struct attls_peer *peer)
{
	if (peer)
		refcount_inc(&peer->ref);
	return peer;
}

/*
 * Letters and digits, and @others: who meets a host looks closer, but what
 * is shown or logged harms nobody.
 */
bool attls_peer_is_plain(const u8 *name, u32 len, const char *others)
{
	u32 i;

	for (i = 0; i < len; i++)
		if (!isascii(name[i]) ||
		    !(isalnum(name[i]) ||
		      (name[i] && strchr(others, name[i]))))
			return false;
	return true;
}

/* A host name, in which a whole first label may be "*". */
static bool is_pattern(const u8 *name, u8 len)
{
	return len && len <= DNS_NAME_MAX &&
	       attls_peer_is_plain(name, len, "-_.*");
}

static bool is_address(u8 len)
{
	return len == sizeof(struct in_addr) || len == sizeof(struct in6_addr);
}

static bool names_are_good(const u8 *names, u32 len)
{
	const struct attls_name *name;
	u32 at = 0;

	while (at < len) {
		name = (const void *)(names + at);
		if (len - at < sizeof(*name) ||
		    len - at - sizeof(*name) < name->len)
			return false;
		if (name->kind == ATTLS_NAME_DNS ?
		    !is_pattern(name->text, name->len) :
		    name->kind != ATTLS_NAME_ADDRESS || !is_address(name->len))
			return false;
		at += sizeof(*name) + name->len;
	}
	return true;
}

/* Copies it from the memory of the agent; NULL if the peer sent none. */
int attls_peer_read(const struct attls_install *keys, struct attls_peer **to)
{
	struct attls_peer *peer;

	if (keys->cert_len > ATTLS_CERT_MAX ||
	    keys->names_len > ATTLS_NAMES_MAX ||
	    (keys->names_len && !keys->cert_len))
		return -EINVAL;
	if (!keys->cert_len)
		return 0;
	peer = kvmalloc(sizeof(*peer) + keys->cert_len + keys->names_len,
			GFP_KERNEL_ACCOUNT);
	if (!peer)
		return -ENOMEM;
	refcount_set(&peer->ref, 1);
	peer->cert_len = keys->cert_len;
	peer->names_len = keys->names_len;
	if (copy_from_user(peer->data, u64_to_user_ptr(keys->cert),
			   keys->cert_len) ||
	    copy_from_user(peer->data + keys->cert_len,
			   u64_to_user_ptr(keys->names), keys->names_len)) {
		attls_peer_put(peer);
		return -EFAULT;
	}
	if (!names_are_good(peer->data + peer->cert_len, peer->names_len)) {
		attls_peer_put(peer);
		return -EINVAL;
	}
	*to = peer;
	return 0;
}

static bool equal(const u8 *a, const u8 *b, size_t len)
{
	while (len--)
		if (tolower(*a++) != tolower(*b++))
			return false;
	return true;
}

/*
 * RFC 9525 section 6.3: a wildcard is the whole first label and stands for
 * one label; as in OpenSSL not right before a top-level domain.
 */
static bool dns_matches(const struct attls_name *name, const char *host,
			size_t len)
{
	const char *rest;

	if (name->len < 2 || name->text[0] != '*')
		return name->len == len && equal(name->text, (u8 *)host, len);
	rest = memchr(host, '.', len);
	if (!rest || rest == host || name->text[1] != '.' ||
	    !memchr(name->text + 2, '.', name->len - 2))
		return false;
	len -= rest - host;
	return name->len - 1 == len && equal(name->text + 1, (u8 *)rest, len);
}

/* 0: it is no address. */
static u8 address_of(const char *host, u8 *address)
{
	if (in4_pton(host, -1, address, -1, NULL))
		return sizeof(struct in_addr);
	if (in6_pton(host, -1, address, -1, NULL))
		return sizeof(struct in6_addr);
	return 0;
}

/* Is the certificate one of @host, a name or an address in text? */
bool attls_peer_is(const struct attls_peer *peer, const char *host)
{
	const u8 *at = peer->data + peer->cert_len;
	const u8 *end = at + peer->names_len;
	const struct attls_name *name;
	u8 address[sizeof(struct in6_addr)];
	u8 address_len = address_of(host, address);
	size_t len = strlen(host);

	if (strchr(host, '*'))
		return false;
	if (len && host[len - 1] == '.')
		len--;
	for (; at < end; at += sizeof(*name) + name->len) {
		name = (const void *)at;
		if (name->kind == ATTLS_NAME_DNS ?
		    !address_len && dns_matches(name, host, len) :
		    address_len == name->len &&
		    !memcmp(name->text, address, address_len))
			return true;
	}
	return false;
}
