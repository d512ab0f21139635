// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names for the user numbers in log lines.  A worker has no file system and
 * must not ask a directory server in the middle of a handshake: the names of
 * local users are read before it is forked, all others stay numbers.
 */
#include "attlsd.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_MAX	4096

struct user {
	uid_t	uid;
	char	name[33];
};

static struct user *attlsd_users;
static size_t attlsd_n_users;

static int by_uid(const void *a, const void *b)
{
	const struct user *l = a, *r = b;

	return l->uid < r->uid ? -1 : l->uid > r->uid;
}

static void add_all(FILE *f)
{
	struct passwd *pw;

	while (attlsd_n_users < USERS_MAX && (pw = fgetpwent(f))) {
		struct user *user = &attlsd_users[attlsd_n_users++];

		user->uid = pw->pw_uid;
		snprintf(user->name, sizeof(user->name), "%s", pw->pw_name);
	}
}

void attlsd_users_load(void)
{
	FILE *f = fopen("/etc/passwd", "re");

	attlsd_n_users = 0;
	if (!attlsd_users)
		attlsd_users = calloc(USERS_MAX, sizeof(*attlsd_users));
	if (f && attlsd_users)
		add_all(f);
	if (f)
		fclose(f);
	if (attlsd_n_users)
		qsort(attlsd_users, attlsd_n_users, sizeof(*attlsd_users),
		      by_uid);
}

const char *attlsd_users_name(uid_t uid)
{
	struct user key = { .uid = uid };
	const struct user *user = NULL;

	if (attlsd_n_users)
		user = bsearch(&key, attlsd_users, attlsd_n_users,
			       sizeof(key), by_uid);
	return user ? user->name : NULL;
}
