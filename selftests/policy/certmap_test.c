// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names as a policy writes them against names as a certificate has them, the
 * order in which a TTLSCertificateMap is searched, and names that are none.
 * KTAP.
 */
#include "certmap.h"
#include "dn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CN	"2.5.4.3"
#define L	"2.5.4.7"
#define O	"2.5.4.10"
#define OU	"2.5.4.11"

static int count, failures;

static void report(bool good, const char *name)
{
	printf("%sok %d %s\n", good ? "" : "not ", ++count, name);
	failures += !good;
}

struct ava {
	unsigned int rdn;
	const char *oid;
	const char *value;
};

/* Of one certificate, the outermost first: O, OU and L, CN. */
static const struct ava bob[] = {
	{ 0, O, "Example  Ltd " },
	{ 1, OU, "Sales" },
	{ 1, L, "Z\xc3\xbcrich" },
	{ 2, CN, "Bob, \"the boss\"" },
};

static const struct {
	const char *text;
	const char *name;
	bool	whole;
	bool	outer;			/* a part of it, up to its end */
} names[] = {
	{ "CN=Bob\\, \\\"the boss\\\",OU=Sales+L=Z\xc3\xbcrich,O=Example Ltd",
	  "as it is", true, true },
	{ "cn = BOB\\2c \\22THE BOSS\\22 , L=Z\\C3\\BCrich+ou=sales,"
	  "2.5.4.10=example   ltd", "another way to write it", true, true },
	{ "O=Example Ltd", "the outermost part", false, true },
	{ "OU=Sales+L=Z\\C3\\BCrich,O=Example Ltd", "two parts", false, true },
	{ "OU=Sales,O=Example Ltd", "half a part", false, false },
	{ "O=Example L", "the beginning of a value", false, false },
	{ "O=ExampleLtd", "a space less", false, false },
	{ "OU=Sales+L=Z\xc3\x9crich,O=Example Ltd",
	  "only letters of ASCII are of any case", false, false },
	{ "O=Example Ltd,OU=Sales+L=Z\xc3\xbcrich", "the wrong way round",
	  false, false },
	{ "CN=x,CN=Bob\\, \\\"the boss\\\",OU=Sales+L=Z\xc3\xbcrich,"
	  "O=Example Ltd", "more than there is", false, false },
	{ "CN=O\\=Example Ltd", "an attribute in a value", false, false },
};

#define N_NAMES		(sizeof(names) / sizeof(names[0]))

static void name_of_bob(char *text)
{
	struct policy_dn dn = { .n = 0 };
	size_t i;

	for (i = 0; i < sizeof(bob) / sizeof(bob[0]); i++)
		if (!policy_dn_add(&dn, bob[i].rdn, bob[i].oid, bob[i].value,
				   strlen(bob[i].value)))
			abort();
	policy_dn_text(&dn, text);
}

static bool finds(const struct policy_cert_user *user, const char *subject)
{
	struct policy_cert_user copy = *user;
	struct policy_certmap map = { .user = &copy, .n = 1 };
	struct policy_cert cert = { .subject = subject };

	return policy_certmap_find(&map, &cert) == &copy;
}

static void test_name(size_t i)
{
	char text[POLICY_DN_MAX], subject[POLICY_DN_MAX];
	struct policy_cert_user user = { .user = "bob" };
	struct policy_dn dn = { .n = 0 };
	bool good;

	name_of_bob(subject);
	good = !policy_dn_parse(&dn, names[i].text);
	if (good) {
		policy_dn_text(&dn, text);
		user.subject = text;
		good = finds(&user, subject) == names[i].outer;
		user.subject_whole = true;
		good = good && finds(&user, subject) == names[i].whole;
	}
	report(good, names[i].name);
}

/* A name that no policy can have is no name of any entry. */
static void test_control(void)
{
	struct policy_cert_user user = { .user = "bob", .subject = "" };
	struct policy_dn dn = { .n = 0 };

	report(!policy_dn_add(&dn, 0, CN, "bob\0.example", 12) &&
	       !policy_dn_add(&dn, 0, CN, "bob\1", 4) &&
	       !policy_dn_add(&dn, 0, CN, "bob\xff", 4) &&
	       !finds(&user, NULL), "control characters in a certificate");
}

static const char policy_text[] =
	"TTLSRule r\n{\nLocalPortRange 1\nDirection Inbound\n"
	"TTLSGroupAction\n{\nTTLSEnabled On\n}\nTTLSEnvironmentAction\n{\n"
	"HandshakeRole ServerWithClientAuth\nTTLSKeyringParms\n{\n"
	"Keyring /ring\n}\nTTLSCertificateMap\n{\n%s}\n}\n}\n";

#define USER(criteria)	"CertificateUser\n{\nUserid root\n" criteria "\n}\n"
#define ZERO		"0000000000000000000000000000000000000000000000000000000000000000"

/* For one certificate, the least specific first. */
static const char entries[] =
	USER("IssuerFilter O=X")
	USER("IssuerFilter OU=CA,O=X")
	USER("Issuer CN=1,OU=CA,O=X")
	USER("SubjectFilter O=Y")
	USER("SubjectFilter OU=A,O=Y")
	USER("Subject CN=2,OU=A,O=Y")
	USER("SubjectFilter O=Y\nIssuer CN=1,OU=CA,O=X")
	USER("SubjectFilter OU=A,O=Y\nIssuer CN=1,OU=CA,O=X")
	USER("Subject CN=2,OU=A,O=Y\nIssuer CN=1,OU=CA,O=X")
	USER("SubjectAltNameDNS a.example")
	USER("SubjectAltNameDNS a.example\nIssuerFilter O=X")
	USER("SubjectAltNameDNS a.example\nSubject CN=2,OU=A,O=Y")
	USER("Fingerprint " ZERO)
	USER("Fingerprint " ZERO "\nSubjectAltNameDNS a.example\n"
	     "SubjectFilter O=Y");

#define N_ENTRIES	14

static struct policy *load(void)
{
	struct policy_diags diags = { 0 };
	char path[] = "/tmp/certmap_test.XXXXXX";
	int fd = mkstemp(path);
	struct policy *policy;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		abort();
	fprintf(f, policy_text, entries);
	fclose(f);
	policy = policy_load(path, &diags);
	policy_diags_print(stderr, &diags);
	policy_diags_free(&diags);
	remove(path);
	return policy;
}

/* Whatever is taken away from its beginning, the first of the rest decides. */
static bool is_ordered(const struct policy_certmap *map,
		       const struct policy_cert *cert)
{
	struct policy_certmap rest;
	size_t i;

	for (i = 0; i < map->n; i++) {
		rest = (struct policy_certmap){ .user = map->user + i,
						.n = map->n - i };
		if (policy_certmap_find(&rest, cert) != rest.user)
			return false;
		/* As they stand in the file, the last first. */
		if (i && map->user[i].place.line >=
		    map->user[i - 1].place.line)
			return false;
	}
	return true;
}

static void test_order(void)
{
	const struct policy_alt alt = { POLICY_ALT_DNS, "A.example", 9 };
	struct policy_cert cert = { .alt = &alt, .n_alts = 1 };
	char subject[POLICY_DN_MAX], issuer[POLICY_DN_MAX];
	struct policy_dn dn = { .n = 0 };
	struct policy *policy = load();
	const struct policy_certmap *map;

	if (!policy || policy_dn_parse(&dn, "CN=2,OU=A,O=Y"))
		abort();
	policy_dn_text(&dn, subject);
	dn.n = dn.used = 0;
	if (policy_dn_parse(&dn, "CN=1,OU=CA,O=X"))
		abort();
	policy_dn_text(&dn, issuer);
	cert.subject = subject;
	cert.issuer = issuer;
	map = policy_action(policy, 0)->certmap;
	report(map && map->n == N_ENTRIES && is_ordered(map, &cert),
	       "the most specific first");
	policy_free(policy);
}

/* Text that is hardly a name: refused, or a name that fits. */
static void test_random(void)
{
	static const char alphabet[] = "CNOU=,+\\ #\"a1.\xc3\xbc";
	char text[64], out[POLICY_DN_MAX];
	size_t good = 0, i, j, n;
	struct policy_dn dn;

	srandom(1);
	for (i = 0; i < 200000; i++) {
		n = (size_t)random() % (sizeof(text) - 1);
		for (j = 0; j < n; j++)
			text[j] = alphabet[(size_t)random() %
					   (sizeof(alphabet) - 1)];
		memcpy(text, "CN=", n < 3 ? n : 3);
		text[n] = '\0';
		dn.n = dn.used = 0;
		if (policy_dn_parse(&dn, text))
			continue;
		policy_dn_text(&dn, out);
		if (strlen(out) < 9 || strlen(out) > 2 * sizeof(text))
			break;
		good++;
	}
	report(i == 200000 && good > 1000, "random names");
}

int main(void)
{
	size_t i;

	printf("KTAP version 1\n1..%zu\n", N_NAMES + 3);
	for (i = 0; i < N_NAMES; i++)
		test_name(i);
	test_control();
	test_order();
	test_random();
	return failures ? 1 : 0;
}
