// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library context of rules with FIPS140: OpenSSL's FIPS provider, and for
 * what is no cryptography the base provider.  Nothing else is in reach there.
 *
 * What the FIPS provider wants to know of its own file, openssl fipsinstall
 * has written down.  What of that could make it less strict is not asked for.
 *
 * Records are encrypted by the kernel, whose cryptography is only then that of
 * FIPS 140 when it was booted so.
 */
#include "keyring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#define KERNEL		"/proc/sys/crypto/fips_enabled"
#define CONFIG		"/etc/ssl/fipsmodule.cnf"
#define SECTION		"fips_sect"
#define PARAMS_MAX	64

static OSSL_LIB_CTX *keyring_fips_ctx;

static const struct {
	const char *name;
	const char *value;
} strict[] = {
	{ "security-checks", "1" },
	{ "conditional-errors", "1" },
	{ "tls1-prf-ems-check", "1" },
};

#define N_STRICT	(sizeof(strict) / sizeof(*strict))

static bool is_strict(const char *name)
{
	for (size_t i = 0; i < N_STRICT; i++)
		if (!strcmp(strict[i].name, name))
			return true;
	return false;
}

static bool kernel_is_in_fips_mode(void)
{
	FILE *f = fopen(KERNEL, "re");
	int on = 0;

	if (!f)
		return false;
	if (fscanf(f, "%d", &on) != 1)
		on = 0;
	fclose(f);
	return on == 1;
}

static OSSL_PARAM text(const char *name, const char *value)
{
	return OSSL_PARAM_construct_utf8_string(name, (char *)value, 0);
}

static void fill(OSSL_PARAM *params, const STACK_OF(CONF_VALUE) *given)
{
	size_t n = 0;

	for (size_t i = 0; i < N_STRICT; i++)
		params[n++] = text(strict[i].name, strict[i].value);
	for (int i = 0; i < sk_CONF_VALUE_num(given) && n < PARAMS_MAX; i++) {
		const CONF_VALUE *v = sk_CONF_VALUE_value(given, i);

		if (!is_strict(v->name))
			params[n++] = text(v->name, v->value);
	}
	params[n] = OSSL_PARAM_construct_end();
}

static bool load_fips(OSSL_LIB_CTX *ctx)
{
	OSSL_PARAM params[PARAMS_MAX + 1];
	CONF *conf = NCONF_new(NULL);
	STACK_OF(CONF_VALUE) *given = NULL;
	bool ok = false;

	if (conf && NCONF_load(conf, CONFIG, NULL) > 0)
		given = NCONF_get_section(conf, SECTION);
	if (given) {
		fill(params, given);
		ok = OSSL_PROVIDER_load_ex(ctx, "fips", params);
	}
	NCONF_free(conf);
	return ok;
}

static OSSL_LIB_CTX *new_context(void)
{
	OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();

	if (ctx && load_fips(ctx) && OSSL_PROVIDER_load(ctx, "base") &&
	    EVP_set_default_properties(ctx, "fips=yes"))
		return ctx;
	OSSL_LIB_CTX_free(ctx);
	return NULL;
}

static int no_provider(const struct policy_action *action,
		       struct policy_diags *diags)
{
	char reason[128];

	keyring_openssl_text(reason, sizeof(reason));
	policy_diags_add(diags, POLICY_ERROR, &action->fips_place,
			 "install OpenSSL's FIPS provider, and write that file with openssl fipsinstall; see policy.rst",
			 "FIPS140: OpenSSL's FIPS provider does not start with "
			 CONFIG ": %s", reason);
	return -ENOPKG;
}

int keyring_fips_init(const struct policy_action *action,
		      struct policy_diags *diags)
{
	if (!action->fips)
		return 0;
	if (!kernel_is_in_fips_mode()) {
		policy_diags_add(diags, POLICY_ERROR, &action->fips_place,
				 "boot one that has it (CONFIG_CRYPTO_FIPS) with fips=1, or write Off",
				 "FIPS140: the kernel, which encrypts what is sent, is not in FIPS mode");
		return -EOPNOTSUPP;
	}
	ERR_clear_error();
	if (!keyring_fips_ctx)
		keyring_fips_ctx = new_context();
	return keyring_fips_ctx ? 0 : no_provider(action, diags);
}

OSSL_LIB_CTX *keyring_context(const struct policy_action *action)
{
	return action->fips ? keyring_fips_ctx : NULL;
}

SSL_CTX *keyring_ssl_ctx(const struct policy_action *action)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(keyring_context(action), NULL,
				      TLS_method());

	if (ctx)
		SSL_CTX_set_security_level(ctx, KEYRING_SECURITY_LEVEL);
	return ctx;
}
