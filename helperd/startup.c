// SPDX-License-Identifier: GPL-2.0-only
/*
 * StartupWindow of the policy, for the next time that the module is loaded:
 * a file for modprobe, since the module looks at its parameters before there
 * is an attlsd.
 *
 * In two steps, so that a policy is not in force without its window, nor the
 * window of a policy that was refused: what can fail is done first, beside
 * the file, and then it is renamed.
 */
#include "attlsd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY	"/etc/modprobe.d"
#define NEW_FILE	POLICY_STARTUP_FILE ".new"
#define HEADER		"# Written by attlsd: StartupWindow of the policy."
#define TEXT_MAX	4096		/* 128 numbers of ten digits */

static enum {
	NOTHING,
	REPLACE,
	REMOVE,
} attlsd_startup_change;

static size_t put_ids(char *text, size_t len, const char *name,
		      const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		len += snprintf(text + len, TEXT_MAX - len, "%s%s%u",
				i ? "," : " ", i ? "" : name, ids[i]);
	return len;
}

static void put_text(char *text, const struct policy_startup *s)
{
	size_t len = snprintf(text, TEXT_MAX,
			      HEADER "\noptions attls startup=closed");

	len = put_ids(text, len, "startup_uids=", s->uids, s->n_uids);
	len = put_ids(text, len, "startup_gids=", s->gids, s->n_gids);
	snprintf(text + len, TEXT_MAX - len, "\n");
}

/* "" when there is none. */
static int read_text(char *text)
{
	FILE *file = fopen(POLICY_STARTUP_FILE, "re");
	size_t n;
	int ret;

	*text = '\0';
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	n = fread(text, 1, TEXT_MAX - 1, file);
	text[n] = '\0';
	ret = ferror(file) ? -EIO : 0;
	fclose(file);
	if (!ret && strncmp(text, HEADER, strlen(HEADER)))
		ret = -EEXIST;
	return ret;
}

static int write_text(const char *text)
{
	int fd = open(NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
		      O_CLOEXEC, 0644);
	size_t len = strlen(text);
	ssize_t n;
	int ret = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != (ssize_t)len)
		ret = n < 0 ? -errno : -ENOSPC;
	else if (fchmod(fd, 0644) || fsync(fd))
		ret = -errno;
	close(fd);
	if (ret)
		unlink(NEW_FILE);
	return ret;
}

/* @error has ATTLSD_WHY bytes.  Then one of the other two. */
int attlsd_startup_prepare(const struct policy *policy, char *error)
{
	char want[TEXT_MAX] = "", have[TEXT_MAX];
	struct policy_startup startup;
	int ret;

	attlsd_startup_change = NOTHING;
	policy_startup(policy, &startup);
	if (startup.closed)
		put_text(want, &startup);
	ret = read_text(have);
	if (ret == -EEXIST && !startup.closed)
		return 0;		/* somebody else's */
	if (!ret && strcmp(want, have)) {
		attlsd_startup_change = startup.closed ? REPLACE : REMOVE;
		ret = startup.closed ? write_text(want) : 0;
	}
	if (!ret)
		return 0;
	attlsd_startup_change = NOTHING;
	snprintf(error, ATTLSD_WHY, "StartupWindow: " POLICY_STARTUP_FILE
		 ": %s", ret == -EEXIST ?
		 "attlsd has not written that; remove it" : strerror(-ret));
	return ret;
}

/* A power cut must not bring the old name back. */
static void sync_directory(void)
{
	int fd = open(DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		attlsd_log(LOG_WARNING, DIRECTORY ": %m");
	if (fd >= 0)
		close(fd);
}

/* The policy is in force. */
void attlsd_startup_commit(void)
{
	int ret = 0;

	if (attlsd_startup_change == NOTHING)
		return;
	if (attlsd_startup_change == REPLACE)
		ret = rename(NEW_FILE, POLICY_STARTUP_FILE);
	else
		ret = unlink(POLICY_STARTUP_FILE);
	if (ret)
		attlsd_log(LOG_ERR, POLICY_STARTUP_FILE ": %m");
	else
		attlsd_log(LOG_NOTICE, "start-up window: %s when the module is loaded again",
			   attlsd_startup_change == REPLACE ? "closed" :
			   "open");
	sync_directory();
	attlsd_startup_change = NOTHING;
}

/* It is not. */
void attlsd_startup_abort(void)
{
	if (attlsd_startup_change == REPLACE)
		unlink(NEW_FILE);
	attlsd_startup_change = NOTHING;
}
