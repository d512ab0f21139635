// SPDX-License-Identifier: GPL-2.0-only
/*
 * The password of a key ring: of the policy, or of a stash file.
 *
 * A stash file of GSKit has 129 bytes, each the password's, or noise after its
 * end, with some bits turned over.  That hides nothing, so what counts is who
 * can read it.  Any other file has the password as its first line.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STASH_LEN	129
#define STASH_MASK	0xf5
#define FILE_MAX	4096

/* The file, or a negative errno with the reason in @why. */
static int open_stash(const char *path, struct keyring_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int ret = -EPERM;

	if (fd < 0 || fstat(fd, &st))
		ret = keyring_explain(why, -errno, NULL, "%s: %s", path,
				      strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		keyring_explain(why, ret, NULL, "%s: is no stash file", path);
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		keyring_explain(why, ret, "chmod 600",
				"%s: others can read this password", path);
	else if (st.st_uid)
		keyring_explain(why, ret, "chown root",
				"%s: belongs to another user", path);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return ret;
}

static bool is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return len;
}

/* True: @data was what GSKit makes, and is the password now. */
static bool unstash(char *data, size_t len)
{
	char plain[STASH_LEN + 1] = "";
	bool good;

	for (size_t i = 0; i < len && i < STASH_LEN; i++)
		plain[i] = (char)(data[i] ^ STASH_MASK);
	good = len == STASH_LEN && strlen(plain) < STASH_LEN &&
	       is_text(plain, strlen(plain));
	if (good)
		memcpy(data, plain, STASH_LEN);
	OPENSSL_cleanse(plain, sizeof(plain));
	return good;
}

/* @data has room for a byte behind its @len. */
static int take(struct keyring_password *pw, const char *path, char *data,
		size_t len, struct keyring_why *why)
{
	size_t n;

	data[len] = '\0';
	n = unstash(data, len) ? strlen(data) : strcspn(data, "\r\n");
	if (!is_text(data, n))
		return keyring_explain(why, -EBADMSG,
			"write the password as its first line",
			"%s: has no password in its first line, and is no stash file of 129 bytes",
			path);
	if (n >= sizeof(pw->text))
		return keyring_explain(why, -EBADMSG, NULL,
				       "%s: the password is too long", path);
	memcpy(pw->text, data, n);
	pw->text[n] = '\0';
	pw->given = true;
	return 0;
}

static int read_stash(struct keyring_password *pw, const char *path,
		      struct keyring_why *why)
{
	char data[FILE_MAX + 1];
	int fd = open_stash(path, why);
	ssize_t n;
	int ret;

	if (fd < 0)
		return fd;
	n = read(fd, data, FILE_MAX);
	if (n < 0)
		ret = keyring_explain(why, -errno, NULL, "%s: %s", path,
				      strerror(errno));
	else
		ret = take(pw, path, data, (size_t)n, why);
	OPENSSL_cleanse(data, sizeof(data));
	close(fd);
	return ret;
}

int keyring_password_get(struct keyring_password *pw,
			 const struct policy_action *action,
			 struct keyring_why *why)
{
	pw->given = false;
	if (action->keyring_stash)
		return read_stash(pw, action->keyring_stash, why);
	if (!action->keyring_pw)
		return 0;
	pw->given = true;
	if (snprintf(pw->text, sizeof(pw->text), "%s", action->keyring_pw) <
	    (int)sizeof(pw->text))
		return 0;
	return keyring_explain(why, -EINVAL, NULL,
			       "%s: KeyringPw is too long", action->keyring);
}

/* The kernel wipes it in each child, before that runs. */
struct keyring_password *
keyring_password_keep(const struct keyring_password *pw)
{
	struct keyring_password *copy;

	copy = mmap(NULL, sizeof(*copy), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return NULL;
	if (madvise(copy, sizeof(*copy), MADV_WIPEONFORK) ||
	    madvise(copy, sizeof(*copy), MADV_DONTDUMP)) {
		munmap(copy, sizeof(*copy));
		return NULL;
	}
	*copy = *pw;
	return copy;
}

void keyring_password_drop(struct keyring_password *pw)
{
	if (!pw)
		return;
	OPENSSL_cleanse(pw, sizeof(*pw));
	munmap(pw, sizeof(*pw));
}

void keyring_password_wipe(struct keyring_password *pw)
{
	OPENSSL_cleanse(pw, sizeof(*pw));
}
