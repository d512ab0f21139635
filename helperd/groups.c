// SPDX-License-Identifier: GPL-2.0-only
/* The key exchange group as IANA numbers it; OpenSSL tells only its name. */
#include "attlsd.h"

#include <strings.h>

static const struct {
	const char *name;
	uint16_t id;
} groups[] = {
	{ "X25519MLKEM768",	4588 },
	{ "SecP256r1MLKEM768",	4587 },
	{ "SecP384r1MLKEM1024",	4589 },
	{ "MLKEM512",		512 },
	{ "MLKEM768",		513 },
	{ "MLKEM1024",		514 },
	{ "x25519",		29 },
	{ "x448",		30 },
	{ "secp256r1",		23 },
	{ "prime256v1",		23 },
	{ "P-256",		23 },
	{ "secp384r1",		24 },
	{ "P-384",		24 },
	{ "secp521r1",		25 },
	{ "P-521",		25 },
	{ "brainpoolP256r1",	26 },
	{ "brainpoolP384r1",	27 },
	{ "brainpoolP512r1",	28 },
	{ "brainpoolP256r1tls13", 31 },
	{ "brainpoolP384r1tls13", 32 },
	{ "brainpoolP512r1tls13", 33 },
	{ "ffdhe2048",		256 },
	{ "ffdhe3072",		257 },
	{ "ffdhe4096",		258 },
	{ "ffdhe6144",		259 },
	{ "ffdhe8192",		260 },
};

uint16_t attlsd_group_id(const SSL *ssl)
{
	const char *name = SSL_get0_group_name((SSL *)ssl);

	for (size_t i = 0; name && i < sizeof(groups) / sizeof(*groups); i++)
		if (!strcasecmp(name, groups[i].name))
			return groups[i].id;
	return 0;
}
