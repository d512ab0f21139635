// SPDX-License-Identifier: GPL-2.0-only
/*
 * The signer of a team of workers, as the parent sees it; see signer.c.
 *
 * What a worker has of it is a socket, from before its sandbox on.  So with a
 * new signer come new workers, as after a reload; those before fail what they
 * cannot sign, and end what needs no signature.
 */
#include "attlsd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DELAY_MIN	1000		/* ms */
#define DELAY_MAX	60000
#define QUICK		90000		/* who dies younger has a problem */

static int64_t attlsd_signing_started;	/* ms */
static int64_t attlsd_signing_delay;

static int is_token(const struct keyring *ring, void *arg)
{
	return !!ring->token;
}

static bool has_tokens(const struct attlsd_set *set)
{
	return set && keyrings_each(&set->rings, is_token, NULL);
}

static int add(const struct keyring *ring, void *arg)
{
	return keyring_signer_add(arg, ring);
}

static int add_all(struct keyring_signer *signer,
		   const struct attlsd_sets *sets)
{
	int ret = keyrings_each(&sets->current->rings, add, signer);

	if (!ret && sets->previous)
		ret = keyrings_each(&sets->previous->rings, add, signer);
	return ret;
}

/* None is started when no token is named. */
int attlsd_signing_start(struct keyring_signer *signer,
			 const struct attlsd_sets *sets)
{
	int ret;

	if (!has_tokens(sets->current) && !has_tokens(sets->previous))
		return 0;
	ret = keyring_signer_start(signer);
	if (!ret)
		ret = add_all(signer, sets);
	if (ret)
		attlsd_log(LOG_ERR, "cannot start the signer: %s",
			   strerror(-ret));
	attlsd_signing_started = attlsd_now();
	return ret;
}

static int number(const struct keyring *ring, void *arg)
{
	return keyring_signer_number(ring, arg);
}

/* Other teams may have numbered the keys since this signer got them. */
static int number_all(const struct attlsd_sets *sets)
{
	size_t n = 0;
	int ret = keyrings_each(&sets->current->rings, number, &n);

	if (!ret && sets->previous)
		ret = keyrings_each(&sets->previous->rings, number, &n);
	return ret;
}

/* For one worker; -1: it gets no signatures, and fails what needs them. */
int attlsd_signing_client(struct keyring_signer *signer,
			  const struct attlsd_sets *sets)
{
	int client;

	if (!signer->pid || number_all(sets))
		return -1;
	client = keyring_signer_client(signer);
	if (client >= 0)
		return client;
	attlsd_log(LOG_ERR, "a worker without the signer: %s",
		   strerror(-client));
	return -1;
}

/* When to start the next one, in ms. */
int64_t attlsd_signing_lost(void)
{
	int64_t now = attlsd_now();

	attlsd_signing_delay *= 2;
	if (now - attlsd_signing_started > QUICK ||
	    attlsd_signing_delay < DELAY_MIN)
		attlsd_signing_delay = DELAY_MIN;
	if (attlsd_signing_delay > DELAY_MAX)
		attlsd_signing_delay = DELAY_MAX;
	return now + attlsd_signing_delay;
}
