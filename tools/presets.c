// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that come with attls: what there is, and switching them on and off.
 * One that is on is a file of one line in policy.d, which the policy
 * includes.
 */
#include "attls.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLICY		"/etc/attls/policy.conf"
#define POLICY_DIR	"/etc/attls/policy.d"
#define LEVELS		"levels.conf"	/* what the others name */

/* The first line of a preset says what it is for. */
static void read_title(const char *path, char *title, size_t size)
{
	FILE *file = fopen(path, "re");

	*title = '\0';
	if (!file)
		return;
	if (!fgets(title, (int)size, file) || strncmp(title, "# ", 2))
		*title = '\0';
	else
		memmove(title, title + 2, strlen(title + 2) + 1);
	title[strcspn(title, "\n")] = '\0';
	fclose(file);
}

static void enabled_path(const char *name, char *path, size_t size)
{
	const char *slash = strrchr(name, '/');

	snprintf(path, size, POLICY_DIR "/%s.conf", slash ? slash + 1 : name);
}

/* Of the file that switches a preset on; "" for the preset's own. */
static void read_level(const char *path, char *level)
{
	FILE *file = fopen(path, "re");

	if (!file || fscanf(file, "Preset %*s %31s", level) != 1)
		*level = '\0';
	if (file)
		fclose(file);
}

static void add_preset(struct json_object *list, const char *date,
		       const char *file)
{
	struct json_object *o;
	char path[PATH_MAX], title[200], name[NAME_MAX], level[32];

	snprintf(name, sizeof(name), "%.*s",
		 (int)(strlen(file) - strlen(".conf")), file);
	snprintf(path, sizeof(path), POLICY_PRESETS "/%s/%s", date, file);
	read_title(path, title, sizeof(title));
	enabled_path(name, path, sizeof(path));
	o = json_object_new_object();
	json_add(o, "name", name);
	json_add(o, "date", date);
	json_add(o, "title", title);
	json_add_bool(o, "enabled", !access(path, F_OK));
	read_level(path, level);
	json_add(o, "level", *level ? level : NULL);
	json_object_array_add(list, o);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strcmp(entry->d_name, LEVELS);
}

static void add_date(struct json_object *list, const char *date)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int n, i;

	snprintf(path, sizeof(path), POLICY_PRESETS "/%s", date);
	n = scandir(path, &entries, is_visible, alphasort);
	for (i = 0; i < n; i++) {
		add_preset(list, date, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static struct json_object *all_presets(void)
{
	struct json_object *list = json_object_new_array();
	struct dirent **dates;
	int n = scandir(POLICY_PRESETS, &dates, is_visible, alphasort), i;

	for (i = 0; i < n; i++) {
		add_date(list, dates[i]->d_name);
		free(dates[i]);
	}
	if (n >= 0)
		free(dates);
	return list;
}

int presets_main(const struct options *o, int argc, char **argv)
{
	static const char *const headers[] = {
		"Preset", "Date", "Enabled", "What it is for"
	};
	struct json_object *list = all_presets(), *p;
	struct table t;
	size_t i;

	if (o->json)
		return output_json(list);
	table_begin(&t, headers, 4);
	for (i = 0; i < json_object_array_length(list); i++) {
		p = json_object_array_get_idx(list, i);
		table_cell(&t, "%s", json_text(p, "name"));
		table_cell(&t, "%s", json_text(p, "date"));
		table_cell(&t, "%s", *json_text(p, "level") ?
			   json_text(p, "level") :
			   !strcmp(json_text(p, "enabled"), "true") ? "yes" :
			   "-");
		table_cell(&t, "%s", json_text(p, "title"));
	}
	table_end(&t);
	json_object_put(list);
	return output_finish(EXIT_OK);
}

/* Does the policy in /etc have the rules of the preset at @path? */
static bool is_included(const struct policy *policy, const char *path)
{
	struct policy_diags ignored = { 0 };
	struct policy *preset = policy_load(path, &ignored);
	size_t n = preset ? policy_rule_count(preset) : 0;
	bool found = false;
	size_t i;

	for (i = 0; n && i < policy_rule_count(policy); i++)
		found |= !strcmp(policy_action(policy, i)->rule,
				 policy_action(preset, 0)->rule);
	policy_free(preset);
	policy_diags_free(&ignored);
	return found;
}

/* EXIT_OK when the policy is right, and has what @path is to add. */
static int check_policy(const struct options *o, const char *path)
{
	struct policy_diags diags = { 0 };
	struct policy *policy = policy_load(POLICY, &diags);
	int code = EXIT_OK;

	if (!policy) {
		policy_diags_print(stderr, &diags);
		code = output_error(o, EXIT_FAILED, "%s has errors", POLICY);
	} else if (path && !is_included(policy, path)) {
		code = output_error(o, EXIT_FAILED,
				    "%s does not read %s: add the line "
				    "\"Include %s\" outside of statements",
				    POLICY, POLICY_DIR, POLICY_DIR);
	}
	policy_free(policy);
	policy_diags_free(&diags);
	return code;
}

/*
 * One line, with the date: what is on does not change under anybody.
 * @level: NULL for that of the preset.
 */
static int write_preset(const char *path, const char *file, const char *level)
{
	const char *preset = file + strlen(POLICY_PRESETS "/");
	FILE *out = fopen(path, "wxe");
	int ret;

	if (!out)
		return -errno;
	fprintf(out, "Preset %.*s%s%s\n",
		(int)(strlen(preset) - strlen(".conf")), preset,
		level ? " " : "", level ? level : "");
	ret = ferror(out) ? -EIO : 0;
	if (fclose(out) && !ret)
		ret = -errno;
	if (ret)
		unlink(path);
	return ret;
}

int enable_main(const struct options *o, int argc, char **argv)
{
	char path[PATH_MAX], file[PATH_MAX];
	int ret, code;

	if (!policy_preset_path(argv[0], file, sizeof(file)))
		return output_error(o, EXIT_FAILED, "there is no preset \"%s\":"
				    " attls presets lists them", argv[0]);
	enabled_path(argv[0], path, sizeof(path));
	ret = write_preset(path, file, o->level);
	if (ret)
		return output_error(o, EXIT_FAILED, "%s: %s", path,
				    ret == -EEXIST ? "it is enabled already" :
				    strerror(-ret));
	code = check_policy(o, file);
	if (!code)
		return reload_main(o, 0, NULL);
	unlink(path);
	return code;
}

int disable_main(const struct options *o, int argc, char **argv)
{
	char path[PATH_MAX];

	enabled_path(argv[0], path, sizeof(path));
	if (unlink(path))
		return output_error(o, EXIT_FAILED, "%s: %s", path,
				    errno == ENOENT ? "it is not enabled" :
				    strerror(errno));
	return reload_main(o, 0, NULL);
}
