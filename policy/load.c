// SPDX-License-Identifier: GPL-2.0-only
#include "tree.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_END	2		/* NUL bytes that the scanner wants */

/* What is wrong with a file, said where it is named. */
static int file_error(struct builder *b, const char *hint, const char *text)
{
	const struct source *s = b->source;
	const struct policy_place at = { .file = s->file };

	if (s->at)
		policy_error(b, s->at, hint, "%s: %s", s->file, text);
	else
		policy_error(b, &at, hint, "%s", text);
	return -1;
}

/* A regular file: a pipe or a device could keep a daemon waiting. */
static int open_file(struct builder *b)
{
	int fd = open(b->source->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
		      O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		file_error(b, NULL, strerror(errno));
	} else if (S_ISREG(st.st_mode)) {
		b->source->dev = st.st_dev;
		b->source->ino = st.st_ino;
		b->source->exposed = st.st_mode & S_IROTH;
		return fd;
	} else {
		file_error(b, "give the path of a policy file",
			   S_ISDIR(st.st_mode) ? "is a directory" :
			   "is not a regular file");
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool is_same(const struct source *a, const struct source *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* Read before, by whatever name: once is enough, but in a circle. */
static bool is_known(struct builder *b)
{
	const struct source *s;

	for (s = b->source->parent; s; s = s->parent)
		if (is_same(s, b->source))
			file_error(b, "remove the line", s ==
				   b->source->parent ? "includes itself" :
				   "includes itself by way of others");
	for (s = b->sources; s != b->source; s = s->next) {
		if (!is_same(s, b->source))
			continue;
		if (s->level != b->source->level)
			file_error(b, "keep one of them",
				   "is a preset that has another level already");
		return true;
	}
	return false;
}

/* The text may hold a password: no copy of it may stay behind. */
static void free_text(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

static char *more_room(char *text, size_t len, size_t *room)
{
	char *more;

	*room = *room ? *room * 2 : 16384;
	if (*room > POLICY_FILE_MAX)
		*room = POLICY_FILE_MAX + 1;
	more = policy_calloc(*room + TEXT_END, 1);
	if (len)
		memcpy(more, text, len);
	free_text(text, len);
	return more;
}

/* The text, or NULL.  A byte more than allowed is read, to know. */
static char *read_text(struct builder *b, int fd, size_t *len)
{
	size_t room = 0;
	char *text = NULL;
	ssize_t n;

	*len = 0;
	do {
		if (*len == room)
			text = more_room(text, *len, &room);
		n = read(fd, text + *len, room - *len);
		if (n > 0)
			*len += (size_t)n;
	} while ((n > 0 && *len <= POLICY_FILE_MAX) ||
		 (n < 0 && errno == EINTR));
	if (!n)
		return text;
	file_error(b, n < 0 ? NULL : "split it: no policy is that long",
		   n < 0 ? strerror(errno) : "is larger than 16 MiB");
	free_text(text, *len);
	return NULL;
}

/* Moves @at from the start of @text to its byte @offset. */
static void find_place(struct word *at, const char *text, size_t offset)
{
	size_t i;

	at->line = 1;
	at->column = 1;
	for (i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			at->line++;
			at->column = 1;
		} else if ((text[i] & 0xc0) != 0x80) {
			at->column++;
		}
	}
}

/* A file that is not text gives one error, not a thousand. */
static bool check_text(struct builder *b, const char *text, size_t len)
{
	struct word at = { .file = b->source->file };
	size_t i, n;

	/* What others include may be left empty. */
	if (!b->source->parent && strspn(text, " \t\r\n\f\v") == len) {
		file_error(b, "write at least a TTLSRule",
			   "the file is empty");
		return false;
	}
	for (i = 0; i < len; i += n) {
		n = utf8_length(text + i, len - i);
		if (n && text[i])
			continue;
		find_place(&at, text, i);
		if (n)
			policy_error(b, &at, "give the text of a policy",
				     "NUL byte: this is a binary file");
		else
			policy_error(b, &at, "convert the file, for instance "
				     "with iconv -f IBM-1047 -t UTF-8",
				     "byte 0x%02x is not UTF-8",
				     (unsigned char)text[i]);
		return false;
	}
	return true;
}

/* False when its names are not all known, so that nothing can be resolved. */
static bool read_source(struct builder *b)
{
	static const char mark[] = "\xef\xbb\xbf";
	size_t len = 0, skip = 0;
	int fd = open_file(b);
	char *text = NULL;
	bool good = true;

	if (fd < 0)
		return false;
	if (is_known(b))
		goto out;
	good = false;
	text = read_text(b, fd, &len);
	if (!text)
		goto out;
	if (!strncmp(text, mark, strlen(mark)))
		skip = strlen(mark);
	if (check_text(b, text + skip, len - skip))
		good = !policy_lex_run(b, text + skip, len - skip);
	free_text(text, len);
out:
	close(fd);
	return good;
}

/* All of them, also after one that cannot be read. */
static bool read_sources(struct builder *b)
{
	bool good = true;

	/* More are added at the end meanwhile. */
	for (b->source = b->sources; b->source; b->source = b->source->next) {
		b->config = NULL;
		b->open = 0;
		b->in_words = false;
		if (!b->source->dropped)
			good &= read_source(b);
	}
	return good;
}

struct policy *policy_load(const char *path, struct policy_diags *diags)
{
	struct policy *policy = policy_calloc(1, sizeof(*policy));
	struct builder *b = policy_calloc(1, sizeof(*b));
	const struct policy_place at = { .file = path };
	size_t errors = diags->errors;

	b->policy = policy;
	b->diags = diags;
	b->last_source = &b->sources;
	policy->tail = &policy->objects;
	policy->settings.st = &policy_statements[ST_POLICY];
	policy->settings.tail = &policy->settings.values;
	policy->file = policy_source_add(b, path, NULL)->file;
	if (read_sources(b))
		policy_resolve(b);
	if (diags->errors == errors)
		policy_merge(b);
	if (diags->errors == errors && !policy->n_rules)
		policy_warn(b, &at, NULL,
			    "no TTLSRule: no connection is protected");
	free(b);
	policy_diags_sort(diags);
	if (diags->errors == errors)
		return policy;
	policy_free(policy);
	return NULL;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	policy_arena_free(&policy->arena);
	free(policy->sorted);
	free(policy->rules);
	free(policy->actions);
	free(policy);
}

void policy_forget(struct policy *policy)
{
	const struct object *o;
	const struct value *v;

	for (o = policy->objects; o; o = o->next)
		for (v = o->values; v; v = v->next)
			if (v->param->store == STORE_KEYRING_PW)
				explicit_bzero((char *)v->text,
					       strlen(v->text));
}

size_t policy_rule_count(const struct policy *policy)
{
	return policy->n_rules;
}

unsigned int policy_context_count(const struct policy *policy)
{
	return policy->n_contexts;
}

const struct policy_action *policy_action(const struct policy *policy,
					  size_t rule_index)
{
	if (rule_index >= policy->n_rules)
		return NULL;
	return &policy->actions[rule_index];
}

bool policy_role_is_server(unsigned int role)
{
	return role >= ATTLS_ROLE_SERVER && role < __ATTLS_ROLE_MAX;
}

/* Needs certificates of CAs in the ring. */
bool policy_role_verifies(unsigned int role)
{
	return role == ATTLS_ROLE_CLIENT || role == ATTLS_ROLE_SERVER_FULL ||
	       role == ATTLS_ROLE_SERVER_REQD || role == ATTLS_ROLE_SERVER_SAF;
}

int policy_each_context(const struct policy *policy,
			int (*fn)(const struct policy_action *action,
				  void *arg), void *arg)
{
	bool *done = policy_calloc(policy->n_contexts, sizeof(*done));
	const struct policy_action *a;
	int ret = 0, error;
	size_t i;

	for (i = 0; i < policy->n_rules; i++) {
		a = &policy->actions[i];
		if (!a->enabled || done[a->context])
			continue;
		done[a->context] = true;
		error = fn(a, arg);
		if (error)
			ret = error;
	}
	free(done);
	return ret;
}
