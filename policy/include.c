// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines outside of statements that name other files: Include and Preset of
 * ours, and the chain of the z/OS Policy Agent, of which Linux has one image.
 *
 * A file is read after the one that names it: names hold for all files, so
 * their order means nothing.
 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCES_MAX	1000

struct source *policy_source_add(struct builder *b, const char *file,
				 const struct word *at)
{
	struct policy *policy = b->policy;
	struct source *s;

	if (b->n_sources == SOURCES_MAX) {
		policy_error(b, at, "put several into one",
			     "more than %d files", SOURCES_MAX);
		return NULL;
	}
	s = policy_arena_alloc(&policy->arena, sizeof(*s));
	s->file = policy_arena_strndup(&policy->arena, file, strlen(file));
	s->parent = b->source;
	s->at = at;
	s->preset = b->source && b->source->preset;
	*b->last_source = s;
	b->last_source = &s->next;
	b->n_sources++;
	return s;
}

/* A relative name is one beside the file that has it.  For free(). */
static char *full_path(const struct builder *b, const char *name)
{
	const char *file = b->source->file;
	const char *slash = strrchr(file, '/');
	size_t dir = *name != '/' && slash ? (size_t)(slash - file) + 1 : 0;
	size_t len = strlen(name);
	char *path = policy_calloc(dir + len + 1, 1);

	memcpy(path, file, dir);
	memcpy(path + dir, name, len + 1);
	return path;
}

static int is_policy_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(".conf") && entry->d_name[0] != '.' &&
	       !strcmp(entry->d_name + len - strlen(".conf"), ".conf");
}

/* A directory: what ends in .conf, in the order of names. */
static void add_directory(struct builder *b, const char *path,
			  const struct word *at)
{
	struct dirent **entries;
	char *file;
	int n, i;

	n = scandir(path, &entries, is_policy_file, alphasort);
	if (n < 0) {
		policy_error(b, at, NULL, "%s: %s", path, strerror(errno));
		return;
	}
	for (i = 0; i < n; i++) {
		if (asprintf(&file, "%s/%s", path, entries[i]->d_name) >= 0) {
			policy_source_add(b, file, at);
			free(file);
		}
		free(entries[i]);
	}
	free(entries);
}

static void add_path(struct builder *b, const char *path,
		     const struct word *at)
{
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		add_directory(b, path, at);
	else
		policy_source_add(b, path, at);
}

/* A pattern may match nothing, as a directory may be empty. */
static void add_pattern(struct builder *b, const char *path,
			const struct word *at)
{
	glob_t found;
	size_t i;
	int ret = glob(path, GLOB_ERR, NULL, &found);

	if (ret && ret != GLOB_NOMATCH) {
		policy_error(b, at, NULL, "%s: %s", path, strerror(errno));
		return;
	}
	for (i = 0; !ret && i < found.gl_pathc; i++)
		add_path(b, found.gl_pathv[i], at);
	if (!ret)
		globfree(&found);
}

static void include(struct builder *b, const struct word *words)
{
	const struct word *name = words->next;
	char *path;

	if (!name || name->next) {
		policy_error(b, name ? name->next : words,
			     "write Include and a file, a directory or a "
			     "pattern", "%s takes one name", words->text);
		return;
	}
	path = full_path(b, name->text);
	if (strpbrk(name->text, "*?["))
		add_pattern(b, path, name);
	else
		add_path(b, path, name);
	free(path);
}

static int is_date(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* "DATE/" of the newest presets; false: there are none. */
static bool newest(char *date, size_t size)
{
	struct dirent **entries;
	int n = scandir(POLICY_PRESETS, &entries, is_date, alphasort);
	bool found = n > 0;

	if (found)
		snprintf(date, size, "%s/", entries[n - 1]->d_name);
	while (n-- > 0)
		free(entries[n]);
	if (found)
		free(entries);
	return found;
}

/* A name, or a date and a name: POLICY_PRESETS/DATE/NAME.conf. */
bool policy_preset_path(const char *name, char *path, size_t size)
{
	char date[NAME_MAX + 2] = "";

	if (strstr(name, "..") || *name == '/' ||
	    (!strchr(name, '/') && !newest(date, sizeof(date))))
		return false;
	snprintf(path, size, POLICY_PRESETS "/%s%s.conf", date, name);
	return !access(path, R_OK);
}

static void preset(struct builder *b, const struct word *words)
{
	const struct word *name = words->next;
	const struct word *level = name ? name->next : NULL;
	char path[PATH_MAX];
	struct source *s;

	if (!name || (level && level->next)) {
		policy_error(b, name ? level->next : words,
			     "write one line for each",
			     "Preset takes a name, and a level");
	} else if (!policy_preset_path(name->text, path, sizeof(path))) {
		policy_error(b, name, "attls presets lists them",
			     "there is no preset \"%s\"", name->text);
	} else {
		s = policy_source_add(b, path, name);
		if (s)
			s->preset = true;
		if (s && level)
			s->level = policy_level_read(b, level);
	}
}

/* What the Policy Agent does at a refresh, and when it ends. */
static void read_options(struct builder *b, const struct word *word)
{
	for (; word; word = word->next) {
		if (!strcasecmp(word->text, "NOPURGE") ||
		    !strcasecmp(word->text, "FLUSH"))
			continue;
		if (!strcasecmp(word->text, "PURGE"))
			policy_warn(b, word, NULL,
				    "PURGE has no effect: the rules stay in "
				    "force when attlsd ends");
		else if (!strcasecmp(word->text, "NOFLUSH"))
			policy_warn(b, word, NULL,
				    "NOFLUSH has no effect: a reload puts the "
				    "whole policy in the place of the old one");
		else if (word->text[strspn(word->text, "0123456789")])
			policy_error(b, word, "write FLUSH or NOFLUSH, then "
				     "PURGE or NOPURGE",
				     "unknown option \"%s\"", word->text);
		else
			policy_warn(b, word, NULL,
				    "a refresh interval has no effect: attls "
				    "reload reads the files again");
	}
}

static bool is_option(const struct word *word)
{
	return !strcasecmp(word->text, "FLUSH") ||
	       !strcasecmp(word->text, "NOFLUSH") ||
	       !strcasecmp(word->text, "PURGE") ||
	       !strcasecmp(word->text, "NOPURGE");
}

static struct source *add_config(struct builder *b, const struct word *name)
{
	char *path = full_path(b, name->text);
	struct source *s = policy_source_add(b, path, name);

	free(path);
	return s;
}

/* The last one of a file counts; without a name, there is only the common. */
static void ttls_config(struct builder *b, const struct word *words)
{
	const struct word *name = words->next;

	if (b->config)
		b->config->dropped = true;
	b->config = NULL;
	if (name && !is_option(name)) {
		b->config = add_config(b, name);
		name = name->next;
	}
	read_options(b, name);
}

static void common_config(struct builder *b, const struct word *words)
{
	if (!words->next || words->next->next)
		policy_error(b, words, "write its file after it",
			     "CommonTTLSConfig takes one name");
	else
		add_config(b, words->next);
}

static void tcp_image(struct builder *b, const struct word *words)
{
	const struct word *stack = words->next;
	const struct word *name = stack ? stack->next : NULL;

	if (!name || is_option(name)) {
		policy_error(b, words, "write the stack and its file after it",
			     "TcpImage without a file");
		return;
	}
	if (b->image) {
		policy_error(b, words, "keep one of them",
			     "a second TcpImage, after that of line %d: Linux "
			     "has one policy for all network namespaces",
			     b->image->line);
		return;
	}
	b->image = words;
	add_config(b, name);
	read_options(b, name->next);
}

static const struct {
	const char *name;
	void (*read)(struct builder *b, const struct word *words);
} lines[] = {
	{ "Include", include },
	{ "Preset", preset },
	{ "TTLSConfig", ttls_config },
	{ "CommonTTLSConfig", common_config },
	{ "TcpImage", tcp_image },
};

/* False when the line names no file. */
bool policy_include(struct builder *b, const struct word *words)
{
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (strcasecmp(lines[i].name, words->text))
			continue;
		lines[i].read(b, words);
		return true;
	}
	return false;
}
