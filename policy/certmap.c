// SPDX-License-Identifier: GPL-2.0-only
/*
 * TTLSCertificateMap: reading it, putting it in order, looking it up.
 *
 * The order is that in which RACF searches: the certificate itself, then
 * names, the longest part of a name first, those with an issuer before those
 * without.  RACF has no alternative names; they belong to one subscriber, so
 * they go between the two.
 */
#include "certmap.h"
#include "dn.h"
#include "tree.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool policy_value_dn(struct builder *b, struct value *v,
		     const struct word *word)
{
	struct policy_dn dn = { .n = 0 };
	char text[POLICY_DN_MAX];
	const char *wrong = policy_dn_parse(&dn, word->text);

	if (wrong) {
		policy_error(b, word,
			     "give it as RFC 4514 does, such as "
			     "CN=Bob,OU=Sales,O=Example,C=US: openssl x509 "
			     "-noout -subject -nameopt RFC2253 prints it so",
			     "%s \"%s\": %s", v->param->name, word->text,
			     wrong);
		return false;
	}
	policy_dn_text(&dn, text);
	v->dn = policy_arena_strndup(&b->policy->arena, text, strlen(text));
	return true;
}

static bool read_hex(const char *text, uint8_t *bytes, size_t n)
{
	char pair[3] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if (i && *text == ':')
			text++;
		if (!isxdigit((unsigned char)text[0]) ||
		    !isxdigit((unsigned char)text[1]))
			return false;
		memcpy(pair, text, 2);
		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
		text += 2;
	}
	return !*text;
}

bool policy_value_fingerprint(struct builder *b, struct value *v,
			      const struct word *word)
{
	v->fingerprint = policy_arena_alloc(&b->policy->arena,
					    POLICY_FINGERPRINT_LEN);
	if (read_hex(word->text, v->fingerprint, POLICY_FINGERPRINT_LEN))
		return true;
	policy_error(b, word, "openssl x509 -noout -fingerprint -sha256 "
		     "prints it",
		     "%s \"%s\" is not the SHA-256 of a certificate: 64 "
		     "hexadecimal digits, with or without colons",
		     v->param->name, word->text);
	return false;
}

/* What every name of the kind has, to catch a name of another. */
static bool is_alt_name(const struct param *param, const char *text)
{
	const char *at = strrchr(text, '@');

	if (param->min == POLICY_ALT_URI)
		return isalpha((unsigned char)*text) && strchr(text, ':');
	return at && at != text && at[1];
}

bool policy_value_alt_name(struct builder *b, struct value *v,
			   const struct word *word)
{
	if (is_alt_name(v->param, word->text))
		return true;
	policy_error(b, word, v->param->min == POLICY_ALT_URI ?
		     "give a URI, such as spiffe://example.com/billing" :
		     "give a name with an '@', such as bob@example.com",
		     "%s \"%s\" is not such a name", v->param->name,
		     word->text);
	return false;
}

/* The kernel shows it: what a terminal prints, and without a space. */
static bool is_plain(const char *name)
{
	for (; *name; name++)
		if (!isascii(*name) || !isgraph((unsigned char)*name))
			return false;
	return true;
}

bool policy_value_cert_user(struct builder *b, struct value *v,
			    const struct word *word)
{
	const struct passwd *pw = getpwnam(word->text);
	const char *hint;

	if (!pw) {
		hint = policy_suggest_user(word->text);
		policy_error(b, word, hint ? hint :
			     "create it first: users are looked up when the "
			     "policy is read",
			     "%s \"%s\" is not a user of this system",
			     v->param->name, word->text);
		return false;
	}
	v->number = pw->pw_uid;
	if (strlen(word->text) < ATTLS_USER_LEN && is_plain(word->text))
		return true;
	policy_error(b, word, "choose another user",
		     "%s \"%s\" is longer than %d bytes, or not plain ASCII",
		     v->param->name, word->text, ATTLS_USER_LEN - 1);
	return false;
}

static struct policy_cert_user read_user(const struct object *o)
{
	struct policy_cert_user u = {
		.place = { o->file, o->line, o->column },
	};
	const struct value *v;

	for (v = o->values; v; v = v->next) {
		switch (v->param->id) {
		case P_CERT_USER:
			u.user = v->text;
			u.uid = (uint32_t)v->number;
			break;
		case P_CERT_FINGERPRINT:
			u.fingerprint = v->fingerprint;
			break;
		case P_CERT_SUBJECT:
			u.subject = v->dn;
			u.subject_whole = !v->param->min;
			break;
		case P_CERT_ISSUER:
			u.issuer = v->dn;
			u.issuer_whole = !v->param->min;
			break;
		default:
			u.alt.type = (enum policy_alt_type)v->param->min;
			u.alt.name = v->text;
			u.alt.len = strlen(v->text);
		}
	}
	return u;
}

/* The kinds of entries, in the order of the search. */
static int rank(const struct policy_cert_user *u)
{
	int kind = u->fingerprint ? 0 : u->alt.type ? 10 : 20;

	if (u->subject)
		return kind + (u->issuer ? 0 : 2) + !u->subject_whole;
	return kind + (!u->issuer ? 6 : u->issuer_whole ? 4 : 5);
}

static int longer_first(const char *a, const char *b)
{
	size_t x = a ? strlen(a) : 0, y = b ? strlen(b) : 0;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* 0: neither of the two is the more specific. */
static int compare_order(const struct policy_cert_user *a,
			 const struct policy_cert_user *b)
{
	int order = rank(a) - rank(b);

	if (!order)
		order = longer_first(a->subject, b->subject);
	return order ? order : longer_first(a->issuer, b->issuer);
}

static int compare_names(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* 0: they are for the same certificates. */
static int compare_criteria(const void *x, const void *y)
{
	const struct policy_cert_user *a = x, *b = y;
	int order = compare_order(a, b);

	if (!order && a->fingerprint)
		order = memcmp(a->fingerprint, b->fingerprint,
			       POLICY_FINGERPRINT_LEN);
	if (!order)
		order = (int)a->alt.type - (int)b->alt.type;
	if (!order)
		order = compare_names(a->alt.name, b->alt.name);
	if (!order)
		order = compare_names(a->subject, b->subject);
	return order ? order : compare_names(a->issuer, b->issuer);
}

static int compare_users(const void *x, const void *y)
{
	const struct policy_cert_user *a = x, *b = y;
	int order = compare_criteria(a, b);

	return order ? order : a->place.line - b->place.line;
}

static void check_user(struct builder *b, const struct object *o,
		       const struct policy_cert_user *u)
{
	if (!u->fingerprint && !u->alt.type && !u->subject && !u->issuer)
		policy_error(b, o,
			     "add Fingerprint, Subject, SubjectFilter, "
			     "IssuerFilter or one of the alternative names",
			     "CertificateUser \"%s\" does not say of which "
			     "certificates", o->name);
	if (u->subject && u->issuer && !u->issuer_whole)
		policy_error(b, o,
			     "write Issuer, with the whole name of the issuer",
			     "CertificateUser \"%s\" has IssuerFilter beside "
			     "the subject: names of part of an issuer stand "
			     "alone, as on z/OS", o->name);
}

static void check_same(struct builder *b, const struct policy_certmap *map)
{
	const struct policy_cert_user *u = map->user;
	size_t i;

	for (i = 1; i < map->n; i++)
		if (!compare_criteria(&u[i - 1], &u[i]))
			policy_error(b, &u[i].place, "keep one of them",
				     "TTLSCertificateMap \"%s\" gives the "
				     "certificates of user %s to user %s, "
				     "already in line %d", map->name,
				     u[i].user, u[i - 1].user,
				     u[i - 1].place.line);
}

static void build_map(struct builder *b, struct object *o)
{
	struct arena *arena = &b->policy->arena;
	struct policy_certmap *map = policy_arena_alloc(arena, sizeof(*map));
	const struct value *v;
	size_t n = 0;

	for (v = o->values; v; v = v->next)
		n++;
	map->name = o->name;
	map->user = policy_arena_alloc(arena, n * sizeof(*map->user));
	for (v = o->values; v; v = v->next) {
		map->user[map->n] = read_user(v->object);
		check_user(b, v->object, &map->user[map->n++]);
	}
	qsort(map->user, map->n, sizeof(*map->user), compare_users);
	check_same(b, map);
	o->certmap = map;
}

void policy_certmaps(struct builder *b)
{
	struct object *o;

	for (o = b->policy->objects; o; o = o->next)
		if (object_is(o, ST_CERT_MAP))
			build_map(b, o);
}

static bool maps(enum attls_role role)
{
	return role == ATTLS_ROLE_SERVER_FULL ||
	       role == ATTLS_ROLE_SERVER_REQD || role == ATTLS_ROLE_SERVER_SAF;
}

void policy_certmap_merge(struct builder *b, struct policy_action *a,
			  const struct merged *m)
{
	const struct value *map = m->from[STORE_CERT_MAP].value;

	if (map && maps(a->role))
		a->certmap = map->object->certmap;
	else if (map)
		policy_warn(b, map, "use HandshakeRole ServerWithClientAuth, "
			    "with ClientAuthType Full, Required or SAFCheck",
			    "%s does nothing in the role that TTLSRule \"%s\" "
			    "has: no certificate is checked there",
			    map->param->name, a->rule);
	else if (a->role == ATTLS_ROLE_SERVER_SAF)
		policy_error(b, m->from[STORE_CLIENT_AUTH].value,
			     "add TTLSCertificateMap or TTLSCertificateMapRef "
			     "to the environment action",
			     "ClientAuthType SAFCheck without a map from "
			     "certificates to users, in TTLSRule \"%s\"",
			     a->rule);
}

/* RFC 5280 7.5: of a mailbox the local part counts as it is written. */
static bool same_mailbox(const char *a, const char *b, size_t len)
{
	size_t local = (size_t)(strrchr(a, '@') - a);

	return !memcmp(a, b, local) && !strncasecmp(a + local, b + local,
						    len - local);
}

static bool same_alt(const struct policy_alt *a, const struct policy_alt *b)
{
	if (a->type != b->type || a->len != b->len)
		return false;
	switch (a->type) {
	case POLICY_ALT_URI:
		return !memcmp(a->name, b->name, a->len);
	case POLICY_ALT_EMAIL:
		return same_mailbox(a->name, b->name, a->len);
	default:
		return !strncasecmp(a->name, b->name, a->len);
	}
}

static bool has_alt(const struct policy_cert *cert,
		    const struct policy_alt *alt)
{
	size_t i;

	for (i = 0; i < cert->n_alts; i++)
		if (same_alt(alt, &cert->alt[i]))
			return true;
	return false;
}

static bool has_name(const char *name, const char *wanted, bool whole)
{
	return name && (whole ? !strcmp(name, wanted) :
			!strncmp(name, wanted, strlen(wanted)));
}

static bool matches(const struct policy_cert_user *u,
		    const struct policy_cert *cert)
{
	return (!u->fingerprint ||
		!memcmp(u->fingerprint, cert->fingerprint,
			POLICY_FINGERPRINT_LEN)) &&
	       (!u->alt.type || has_alt(cert, &u->alt)) &&
	       (!u->subject ||
		has_name(cert->subject, u->subject, u->subject_whole)) &&
	       (!u->issuer ||
		has_name(cert->issuer, u->issuer, u->issuer_whole));
}

/* Another user of @cert that is as good as @found. */
static bool is_ambiguous(const struct policy_certmap *map,
			 const struct policy_cert *cert,
			 const struct policy_cert_user *found)
{
	const struct policy_cert_user *u = found + 1;

	for (; u < map->user + map->n && !compare_order(found, u); u++)
		if (u->uid != found->uid && matches(u, cert))
			return true;
	return false;
}

const struct policy_cert_user *
policy_certmap_find(const struct policy_certmap *map,
		    const struct policy_cert *cert)
{
	size_t i;

	for (i = 0; i < map->n; i++)
		if (matches(&map->user[i], cert))
			break;
	if (i == map->n || is_ambiguous(map, cert, &map->user[i]))
		return NULL;
	return &map->user[i];
}
