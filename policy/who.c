// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of the conditions on the process and where it lives: users, groups,
 * programs, control groups, network namespaces.
 */
#include "tree.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define DIGITS	"0123456789"

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts the @n ids and keeps them as ranges. */
static void keep_ids(struct builder *b, struct value *v, uint32_t *ids,
		     size_t n)
{
	struct attls_id_range *r;
	size_t i;

	qsort(ids, n, sizeof(*ids), compare_ids);
	v->ids.range = policy_arena_alloc(&b->policy->arena,
					  n * sizeof(*v->ids.range));
	for (i = 0; i < n; i++) {
		r = v->ids.n ? &v->ids.range[v->ids.n - 1] : NULL;
		if (r && ids[i] - r->hi <= 1) {
			r->hi = ids[i];
			continue;
		}
		r = &v->ids.range[v->ids.n++];
		r->lo = ids[i];
		r->hi = ids[i];
	}
}

static void add_id(uint32_t **ids, size_t *n, uint32_t id)
{
	if (!(*n & (*n - 1)))
		*ids = policy_realloc(*ids, *n ? *n * 2 : 1, sizeof(**ids));
	(*ids)[(*n)++] = id;
}

/* All users whose names begin with the @len bytes at @prefix. */
static size_t find_users(const char *prefix, size_t len, uint32_t **ids)
{
	const struct passwd *pw;
	size_t n = 0;

	setpwent();
	while ((pw = getpwent())) {
		if (strncmp(pw->pw_name, prefix, len))
			continue;
		add_id(ids, &n, pw->pw_uid);
	}
	endpwent();
	return n;
}

#define LOOKED_UP \
	" are looked up when the policy is read: create them first"

/* The @n users @ids that @word stands for; if none, what is @wrong. */
static bool keep_found(struct builder *b, struct value *v,
		       const struct word *word, uint32_t *ids, size_t n,
		       const char *hint, const char *wrong)
{
	if (n)
		keep_ids(b, v, ids, n);
	else
		policy_error(b, word, hint, "%s \"%s\"%s", v->param->name,
			     word->text, wrong);
	free(ids);
	return n;
}

static bool read_user_pattern(struct builder *b, struct value *v,
			      const struct word *word)
{
	size_t len = strlen(word->text) - 1;
	uint32_t *ids = NULL;
	size_t n;

	v->any = !len;
	if (v->any)
		return true;
	if (strchr(word->text, '*') != word->text + len) {
		policy_error(b, word, "move the '*' to the end",
			     "%s \"%s\" has a '*' before its end",
			     v->param->name, word->text);
		return false;
	}
	n = find_users(word->text, len, &ids);
	return keep_found(b, v, word, ids, n, "users" LOOKED_UP,
			  " matches no user of this system");
}

/* Those with the group as their own, and its members. */
static size_t find_members(const struct group *group, uint32_t **ids)
{
	const struct passwd *pw;
	size_t n = 0, i;

	setpwent();
	while ((pw = getpwent()))
		if (pw->pw_gid == group->gr_gid)
			add_id(ids, &n, pw->pw_uid);
	endpwent();
	for (i = 0; group->gr_mem[i]; i++) {
		pw = getpwnam(group->gr_mem[i]);
		if (pw)
			add_id(ids, &n, pw->pw_uid);
	}
	return n;
}

static bool read_group(struct builder *b, struct value *v,
		       const struct word *word)
{
	const struct group *group = getgrnam(word->text + 1);
	uint32_t *ids = NULL;
	size_t n = group ? find_members(group, &ids) : 0;

	return keep_found(b, v, word, ids, n, "members" LOOKED_UP,
			  group ? ": the group has no members" :
			  ": this system has no such group");
}

static bool read_id(const char *text, uint32_t *id)
{
	unsigned long n;

	if (!*text || strlen(text) > 10 || text[strspn(text, DIGITS)])
		return false;
	n = strtoul(text, NULL, 10);
	*id = (uint32_t)n;
	return n < UINT32_MAX;		/* which is "no user" */
}

static void keep_range(struct builder *b, struct value *v, uint32_t lo,
		       uint32_t hi)
{
	v->ids.range = policy_arena_alloc(&b->policy->arena,
					  sizeof(*v->ids.range));
	v->ids.range->lo = lo;
	v->ids.range->hi = hi;
	v->ids.n = 1;
}

/* A name first: on some systems there are users that are called 123. */
bool policy_find_user(const char *text, uint32_t *uid)
{
	const struct passwd *pw = getpwnam(text);

	if (!pw)
		return read_id(text, uid);
	*uid = pw->pw_uid;
	return true;
}

bool policy_find_group(const char *text, uint32_t *gid)
{
	const struct group *group = getgrnam(text);

	if (!group)
		return read_id(text, gid);
	*gid = group->gr_gid;
	return true;
}

bool policy_value_ids(struct builder *b, struct value *v,
		      const struct word *word)
{
	const char *second = word->next ? word->next->text : word->text;
	bool group = v->param->id == P_GID ||
		     v->param->id == P_STARTUP_GROUP;
	uint32_t lo, hi;

	if (group && !word->next && policy_find_group(word->text, &lo)) {
		keep_range(b, v, lo, lo);
		return true;
	}
	if (read_id(word->text, &lo) && read_id(second, &hi) && lo <= hi) {
		keep_range(b, v, lo, hi);
		return true;
	}
	policy_error(b, word, group ?
		     "give the name of a group, n or n m, the lower first, "
		     "below 4294967295" :
		     "give n or n m, the lower first, below 4294967295",
		     "%s \"%s%s%s\" is not a %srange of %s numbers",
		     v->param->name, word->text, word->next ? " " : "",
		     word->next ? second : "", group ? "group or a " : "",
		     group ? "group" : "user");
	return false;
}

bool policy_value_user(struct builder *b, struct value *v,
		       const struct word *word)
{
	const char *text = word->text;
	uint32_t id;

	if (*text == '@')
		return read_group(b, v, word);
	if (*text && text[strlen(text) - 1] == '*')
		return read_user_pattern(b, v, word);
	if (policy_find_user(text, &id)) {
		keep_ids(b, v, &id, 1);
		return true;
	}
	policy_error(b, word, "give a user name, or a number below 4294967295",
		     "%s \"%s\" is not a user of this system", v->param->name,
		     text);
	return false;
}

/* Absolute, without parts that the kernel's paths never have. */
static bool is_plain_path(const char *text)
{
	return *text == '/' && strlen(text) < PATH_MAX &&
	       !strstr(text, "//") && !strstr(text, "/./") &&
	       !strstr(text, "/../");
}

bool policy_value_exe(struct builder *b, struct value *v,
		      const struct word *word)
{
	size_t len = strlen(word->text);

	if (is_plain_path(word->text) && word->text[len - 1] != '/')
		return true;
	policy_error(b, word,
		     "give the absolute path of a program, with * for any "
		     "characters but '/' and ** for any",
		     "%s \"%s\" is not the path of a program", v->param->name,
		     word->text);
	return false;
}

bool policy_value_cgroup(struct builder *b, struct value *v,
			 const struct word *word)
{
	if (is_plain_path(word->text))
		return true;
	policy_error(b, word,
		     "give a path below the root of cgroup v2, "
		     "such as /system.slice/nginx.service",
		     "%s \"%s\" is not the path of a control group",
		     v->param->name, word->text);
	return false;
}

#define NETNS_DIR	"/run/netns/"

/* The inode of namespace @text: a name of ip-netns, a path, or Host. */
bool policy_find_netns(const char *text, uint32_t *inode)
{
	char path[PATH_MAX];
	struct stat st;

	if (read_id(text, inode))
		return true;
	if (!strcasecmp(text, "Host"))
		text = "/proc/1/ns/net";
	snprintf(path, sizeof(path), "%s%s", *text == '/' ? "" : NETNS_DIR,
		 text);
	if (strlen(text) + sizeof(NETNS_DIR) > sizeof(path) ||
	    stat(path, &st))
		return false;
	*inode = (uint32_t)st.st_ino;
	return true;
}

bool policy_value_netns(struct builder *b, struct value *v,
			const struct word *word)
{
	uint32_t inode;

	if (policy_find_netns(word->text, &inode)) {
		keep_range(b, v, inode, inode);
		return true;
	}
	policy_error(b, word,
		     "give a name of `ip netns`, the path of a namespace, its "
		     "inode number, or Host; it is looked up when the policy "
		     "is read: create it first",
		     "%s \"%s\": this system has no such network namespace",
		     v->param->name, word->text);
	return false;
}
