// SPDX-License-Identifier: GPL-2.0-only
/* The key rings of a policy, used as attlsd would. */
#include "attls.h"
#include "keyring.h"
#include "signer.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

struct rings {
	struct keyrings rings;
	struct policy_diags *diags;
};

/* Only root reads private keys, which is as it should be. */
static int unreadable(const struct rings *r, const struct policy_action *action,
		      const struct keyring_why *why)
{
	if (why->error == -EACCES && geteuid())
		policy_diags_add(r->diags, POLICY_NOTE, &action->keyring_place,
				 "run attls check as root, or with --no-rings",
				 "the key ring is not checked: %s", why->text);
	else
		policy_diags_add(r->diags, POLICY_ERROR,
				 &action->keyring_place, why->hint, "%s",
				 why->text);
	return why->error;
}

/* What a server shows for the names of its list. */
static void check_names(const struct rings *r, const struct keyring *ring,
			SSL_CTX *ctx, const struct policy_action *action)
{
	for (size_t i = 0; i < action->sni_labels.n; i++) {
		SSL_CTX *shown = keyring_show(ring, ctx, action, i, r->diags);

		if (shown)
			keyring_advise_shown(ring, shown, action,
					     POLICY_ERROR, r->diags);
		SSL_CTX_free(shown);
	}
}

static int check_ring(const struct policy_action *action, void *arg)
{
	struct rings *r = arg;
	const struct keyring *ring;
	struct keyring_why why;
	SSL_CTX *ctx;
	int ret;

	ret = keyring_fips_init(action, r->diags);
	if (ret)
		return ret;
	ring = keyrings_get(&r->rings, action, &why);
	if (!ring)
		return unreadable(r, action, &why);
	ctx = keyring_ssl_ctx(action);
	if (!ctx) {
		policy_diags_add(r->diags, POLICY_ERROR,
				 &action->keyring_place, NULL,
				 "OpenSSL makes no SSL_CTX");
		return -ENOMEM;
	}
	keyring_use(ring, ctx, action, r->diags);
	keyring_advise(ring, ctx, action, POLICY_ERROR, r->diags);
	check_names(r, ring, ctx, action);
	SSL_CTX_free(ctx);
	return 0;
}

/* Tokens are opened by the attlsd that was installed with this program. */
static void find_attlsd(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return;
	slash[1] = '\0';
	if (strlen(path) + sizeof("attlsd") > sizeof(path))
		return;
	strcat(path, "attlsd");
	keyring_signer_program(path);
}

void rings_check(const struct policy *policy, struct policy_diags *diags)
{
	struct rings r = { .diags = diags };

	find_attlsd();

	policy_each_context(policy, check_ring, &r);
	keyrings_free(&r.rings);
	policy_diags_sort(diags);
}
