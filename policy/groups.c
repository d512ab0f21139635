// SPDX-License-Identifier: GPL-2.0-only
/*
 * The groups of key exchange that System SSL and OpenSSL know, by IANA's
 * name or another, and by their code, which z/OS writes in decimal.
 */
#include "codes.h"

#include <strings.h>

#define WEAK	"it is too small: less than 112 bits of security"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

#define FIPS	POLICY_CODE_FIPS

/* Offered when nothing is said; with "Any"; when named; never. */
#define DEFAULT(i, n, f) \
	{ i, n, n, NULL, POLICY_CODE_DEFAULT | POLICY_CODE_ANY | (f) }
#define ANY(i, n)		{ i, n, n, NULL, POLICY_CODE_ANY }
#define NAMED(i, n)		{ i, n, n, NULL, FIPS }
#define NEVER(i, n, why)	{ i, n, NULL, why, 0 }

static const struct policy_code codes[] = {
	DEFAULT(4588, "X25519MLKEM768", FIPS),
	DEFAULT(29, "x25519", 0),
	DEFAULT(23, "secp256r1", FIPS),
	DEFAULT(30, "x448", 0),
	DEFAULT(24, "secp384r1", FIPS),
	DEFAULT(25, "secp521r1", FIPS),
	DEFAULT(256, "ffdhe2048", FIPS),
	DEFAULT(257, "ffdhe3072", FIPS),
	ANY(21, "secp224r1"),
	ANY(26, "brainpoolP256r1"),
	ANY(27, "brainpoolP384r1"),
	ANY(28, "brainpoolP512r1"),
	ANY(31, "brainpoolP256r1tls13"),
	ANY(32, "brainpoolP384r1tls13"),
	ANY(33, "brainpoolP512r1tls13"),
	NAMED(258, "ffdhe4096"),
	NAMED(259, "ffdhe6144"),
	NAMED(260, "ffdhe8192"),
	NAMED(4587, "SecP256r1MLKEM768"),
	NAMED(4589, "SecP384r1MLKEM1024"),
	NAMED(512, "MLKEM512"),
	NAMED(513, "MLKEM768"),
	NAMED(514, "MLKEM1024"),
	NEVER(19, "secp192r1", WEAK),
};

static const struct {
	const char *name;
	uint16_t id;
} aliases[] = {
	{ "P-256", 23 }, { "prime256v1", 23 }, { "P-384", 24 },
	{ "P-521", 25 }, { "P-224", 21 }, { "P-192", 19 },
	{ "prime192v1", 19 },
};

static bool is_named(const struct policy_code *code, const char *name)
{
	size_t i;

	if (!strcasecmp(code->name, name))
		return true;
	for (i = 0; i < COUNT(aliases); i++)
		if (aliases[i].id == code->id &&
		    !strcasecmp(aliases[i].name, name))
			return true;
	return false;
}

const struct policy_codes policy_groups = {
	"group of key exchange", codes, COUNT(codes), 10, "0023", is_named
};

const struct policy_code *policy_group_named(const char *name)
{
	return policy_code_named(&policy_groups, name);
}
