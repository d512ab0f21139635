// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a file to a policy in force, all or nothing.
 *
 *	read, check, read the key rings, make every SSL_CTX
 *	compile; take the number after that of the set in the kernel
 *	write what StartupWindow says, without effect yet
 *	fork the workers who know the new set and the one before
 *	the old workers stop to accept, and say so
 *	install in the kernel
 *	the old workers drain
 *
 * In this order there is no moment in which a connection maps to a rule
 * that no worker knows, and none in which nobody accepts.  Whatever fails
 * leaves the old policy and the old workers as they were.
 */
#include "attlsd.h"
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct attlsd_set *attlsd_current;
static struct attlsd_set *attlsd_previous;
static struct attlsd_team *attlsd_serving;
static char *attlsd_file;		/* what is in force came from here */

const struct attlsd_set *attlsd_reload_current(void)
{
	return attlsd_current;
}

const char *attlsd_reload_file(void)
{
	return attlsd_file;
}

/* The kernel counts generations across restarts of attlsd; we follow. */
static int next_generation(struct policy_kernel *kernel, uint32_t *generation,
			   char *error)
{
	void *blob = NULL;
	size_t len;
	int ret;

	ret = policy_kernel_read(kernel, &blob, &len, generation, error);
	free(blob);
	if (ret)
		return ret;
	if (attlsd_current && attlsd_current->generation > *generation)
		*generation = attlsd_current->generation;
	++*generation;
	return 0;
}

static int swap(struct policy_kernel *kernel, const struct attlsd_set *set,
		const void *blob, size_t len, char *error)
{
	struct attlsd_sets sets = { set, attlsd_current };
	struct attlsd_team *team = attlsd_team_new(&sets);
	int ret;

	if (!team) {
		snprintf(error, ATTLSD_WHY, "the workers could not be started");
		return -ECHILD;
	}
	if (attlsd_serving)
		attlsd_team_pause(attlsd_serving);
	ret = policy_kernel_install(kernel, blob, len, set->generation, error);
	if (ret) {
		attlsd_team_retire(team, ATTLSD_MSG_STOP);
		if (attlsd_serving)
			attlsd_team_resume(attlsd_serving);
		return ret;
	}
	if (attlsd_serving)
		attlsd_team_retire(attlsd_serving, ATTLSD_MSG_DRAIN);
	attlsd_serving = team;
	/* Those of the old policy are found by nobody any more. */
	attlsd_store_clear();
	return 0;
}

static int install(struct attlsd_set *set, struct policy_diags *diags,
		   char *error)
{
	struct policy_kernel *kernel = policy_kernel_open(error);
	void *blob = NULL;
	size_t len;
	int ret;

	if (!kernel)
		return errno ? -errno : -EIO;
	ret = next_generation(kernel, &set->generation, error);
	if (!ret) {
		ret = policy_compile(set->policy, time(NULL), &blob, &len,
				     diags);
		if (ret)
			snprintf(error, ATTLSD_WHY,
				 "the policy cannot be compiled");
	}
	if (!ret)
		ret = attlsd_startup_prepare(set->policy, error);
	if (!ret)
		ret = swap(kernel, set, blob, len, error);
	if (!ret)
		attlsd_startup_commit();
	else
		attlsd_startup_abort();
	free(blob);
	policy_kernel_close(kernel);
	return ret;
}

/* The workers of the set before the last have copies of what they need. */
static void keep(struct attlsd_set *set, char *file)
{
	if (!attlsd_current)
		attlsd_log(LOG_NOTICE,
			   "EZZ8771I attlsd CONFIG POLICY PROCESSING COMPLETE FOR attls : TTLS");
	attlsd_set_free(attlsd_previous);
	attlsd_previous = attlsd_current;
	attlsd_current = set;
	if (file != attlsd_file) {
		free(attlsd_file);
		attlsd_file = file;
	}
	attlsd_log(LOG_NOTICE, "policy of %s in force: generation %u, %zu rules",
		   attlsd_file, set->generation,
		   policy_rule_count(set->policy));
}

/* @path NULL: the same file again.  @error has ATTLSD_WHY bytes. */
int attlsd_reload(const char *path, struct policy_diags *diags, char *error)
{
	char *file = path ? strdup(path) : attlsd_file;
	struct attlsd_set *set = NULL;
	int ret = -EINVAL;

	*error = '\0';
	attlsd_users_load();
	if (file)
		set = attlsd_set_load(file, diags);
	if (set)
		ret = install(set, diags, error);
	else
		snprintf(error, ATTLSD_WHY, "the policy has errors");
	attlsd_log_diags(diags);
	if (!ret) {
		keep(set, file);
		return 0;
	}
	attlsd_log(LOG_ERR, "%s not loaded, %s: %s", file,
		   attlsd_current ? "the old policy stays" :
		   "no policy is served", error);
	attlsd_set_free(set);
	if (file != attlsd_file)
		free(file);
	return ret;
}

/*
 * The same policy again, for its time conditions: the kernel has the times
 * of the next months only.  Workers know rules by their generation.
 */
void attlsd_reload_again(void)
{
	struct policy_diags diags = { 0 };
	char error[ATTLSD_WHY] = "";
	uint32_t generation;

	if (!attlsd_current || !policy_timed(attlsd_current->policy))
		return;
	generation = attlsd_current->generation;
	if (install(attlsd_current, &diags, error)) {
		attlsd_current->generation = generation;
		attlsd_log(LOG_ERR, "time conditions not renewed: %s", error);
	} else {
		attlsd_log(LOG_INFO, "time conditions renewed: generation %u",
			   attlsd_current->generation);
	}
	policy_diags_free(&diags);
}

/* A team whose signer has died is replaced by one with another signer. */
void attlsd_reload_tend(void)
{
	const struct attlsd_sets sets = { attlsd_current, attlsd_previous };
	struct attlsd_team *team;

	if (!attlsd_serving || !attlsd_team_lacks_signer(attlsd_serving))
		return;
	team = attlsd_team_new(&sets);
	if (!team) {
		attlsd_team_signer_later(attlsd_serving);
		return;
	}
	attlsd_team_retire(attlsd_serving, ATTLSD_MSG_DRAIN);
	attlsd_serving = team;
	attlsd_log(LOG_NOTICE, "a new signer, with new workers");
}

/* The policy stays in the kernel: nothing must go out in clear. */
void attlsd_reload_stop(void)
{
	if (attlsd_serving)
		attlsd_team_retire(attlsd_serving, ATTLSD_MSG_STOP);
	attlsd_serving = NULL;
}
