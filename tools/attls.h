/* SPDX-License-Identifier: GPL-2.0-only */
/* The attls command: what its files share. */
#ifndef ATTLS_COMMAND_H
#define ATTLS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernel.h"
#include "policy.h"

struct json_object;

enum exit_code {
	EXIT_OK		= 0,
	EXIT_FAILED	= 1,		/* the policy or the operation */
	EXIT_USAGE	= 2,
	EXIT_NO_PEER	= 3,		/* kernel module or attlsd */
};

struct options {
	bool	json;
	bool	verbose;
	bool	print;
	bool	no_rings;
	const char *socket;
	const char *level;		/* of what is enabled; NULL: its own */
	/* The connection that explain is asked about; NULL: not said. */
	uint8_t	direction;		/* enum attls_direction, 0: not said */
	const char *local;
	const char *remote;
	const char *user;
	const char *job;
	const char *group;
	const char *exe;
	const char *cgroup;
	const char *netns;
	const char *at;
};

struct command {
	const char *name;
	int	(*run)(const struct options *o, int argc, char **argv);
	const char *arguments;
	const char *help;
	const char *details;
	int	n_arguments;		/* at least and at most */
	int	max_arguments;
};

/* main.c */
extern const struct command commands[];

/* One file per command. */
int check_main(const struct options *o, int argc, char **argv);
int explain_main(const struct options *o, int argc, char **argv);
int load_main(const struct options *o, int argc, char **argv);
int hold_main(const struct options *o, int argc, char **argv);
int reload_main(const struct options *o, int argc, char **argv);
int presets_main(const struct options *o, int argc, char **argv);
int enable_main(const struct options *o, int argc, char **argv);
int disable_main(const struct options *o, int argc, char **argv);
int show_main(const struct options *o, int argc, char **argv);
int netstat_main(const struct options *o, int argc, char **argv);
int stats_main(const struct options *o, int argc, char **argv);
int help_main(const struct options *o, int argc, char **argv);

/* output.c */

/* Rows of text in columns, measured when they are printed. */
struct table {
	const char *const *headers;
	size_t	columns;
	char	**cells;
	size_t	n;			/* cells */
	size_t	room;
};

void table_begin(struct table *t, const char *const *headers, size_t columns);
/* The next cell, from left to right; what no terminal should see is '?'. */
void table_cell(struct table *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints and frees. */
void table_end(struct table *t);

/* Prints and frees; EXIT_FAILED when standard output does not take it. */
int output_json(struct json_object *o);
int output_finish(int code);
void json_add(struct json_object *o, const char *key, const char *text);
void json_add_number(struct json_object *o, const char *key, uint64_t number);
void json_add_bool(struct json_object *o, const char *key, bool on);
/* "" when there is none. */
const char *json_text(struct json_object *o, const char *key);
/* Adds an error object or prints the text; returns @code. */
int output_error(const struct options *o, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* rule.c */
struct attls_set;
struct attls_rule;
struct json_object *rule_json(const struct attls_set *set,
			      const struct attls_rule *r);
/* "a,b,c" of the list @key; "any" without a condition.  For free(). */
char *rule_list(struct json_object *rule, const char *key);

/* rings.c: what is wrong with the key rings of @policy */
void rings_check(const struct policy *policy, struct policy_diags *diags);

/* names.c; never NULL */
const char *name_of_cipher(uint16_t cipher, char *buf, size_t size);
const char *name_of_protocol(uint16_t protocol);
const char *name_of_session(const struct policy_kernel_conn *conn);
const char *name_of_state(uint8_t state);
const char *name_of_role(uint8_t role);
const char *name_of_direction(uint8_t direction);
const char *name_of_reason(uint32_t reason, char *buf, size_t size);
const char *name_of_user(uint32_t uid, char *buf, size_t size);
const char *name_of_group(uint32_t gid, char *buf, size_t size);

/* kernel access of show, netstat and stats; the exit code on failure */
int kernel_open(const struct options *o, struct policy_kernel **kernel);

#endif /* ATTLS_COMMAND_H */
