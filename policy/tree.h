/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the text and the compiled rule set: statements as objects that
 * hold the list of their values.
 *
 *	lex.l, parse.y	text -> words and blocks
 *	build.c		words -> objects, with value.c for each value
 *	resolve.c	names, references, what must be there
 *	merge.c		rules in precedence order and their merged actions
 *	compile.c	the rule set; print.c: the text again
 */
#ifndef ATTLS_TREE_H
#define ATTLS_TREE_H

#include <stdint.h>
#include "arena.h"
#include "attls_rule.h"
#include "keywords.h"
#include "policy.h"

#define POLICY_NAME_MAX		32	/* as on z/OS */
#define POLICY_DEPTH_MAX	32	/* blocks in blocks */
#define POLICY_MASK		"********" /* in the place of a password */

struct word {
	struct word *next;
	const char *text;		/* NULL: a brace that is not there */
	const char *file;
	int	line;
	int	column;
};

struct words {
	struct word *first;
	struct word *last;
};

struct object;

struct policy_clock {
	unsigned int from;		/* minutes of the day */
	unsigned int to;
};

struct value {
	struct value *next;
	const struct param *param;
	const char *file;
	int	line;
	int	column;
	const char *text;
	bool	broken;			/* reported; only says it was given */
	bool	any;			/* All, 0, *: no condition */
	union {
		long	number;
		struct attls_addr_range addr;
		struct attls_port_range ports;
		struct {
			struct attls_id_range *range;
			size_t	n;
		} ids;
		struct {
			const struct policy_code **list;
			size_t	n;
		} codes;
		const char *label;	/* behind text */
		uint64_t mask;		/* the first bit is bit 0 */
		struct {
			struct policy_clock *list;
			size_t	n;
		} clocks;
		struct policy_span {	/* as numbers yyyymmddhhmmss */
			uint64_t from;
			uint64_t to;
		} span;
		const char *dn;		/* as of dn.h */
		uint8_t	*fingerprint;
		struct object *object;
	};
};

struct object {
	struct object *next;		/* in file order */
	const struct statement *st;
	const char *name;		/* NULL until one is made up */
	const char *file;
	int	line;
	int	column;
	size_t	seq;			/* number in file order */
	bool	inside;			/* another, as a block */
	bool	used;			/* by reference */
	bool	preset;			/* of a file of ours */
	struct policy_certmap *certmap;	/* of a TTLSCertificateMap */
	struct value *values;
	struct value **tail;
};

struct policy {
	struct arena arena;
	const char *file;		/* the one that names the others */
	struct object settings;		/* what is outside of statements */
	struct object *objects;
	struct object **tail;
	size_t	n_objects;
	struct object **sorted;		/* by statement and name */
	struct object **rules;		/* in precedence order */
	struct policy_action *actions;	/* of rules */
	size_t	n_rules;
	unsigned int n_contexts;
};

struct frame {
	struct object *object;		/* NULL: contents are skipped */
	const struct word *at;
	bool	reported;		/* said that its '}' is missing */
};

/* A file to be read, once the one that names it has been. */
struct source {
	struct source *next;
	const struct source *parent;	/* NULL: the policy's own file */
	const char *file;
	const struct word *at;		/* where parent names it */
	unsigned long long dev;		/* once it is open */
	unsigned long long ino;
	bool	dropped;		/* another was named in its place */
	bool	exposed;		/* everybody can read it */
	bool	preset;			/* not all of it is for this policy */
	const char *level;		/* of the preset; NULL: its own */
};

/* Reading the files of a policy. */
struct builder {
	struct policy *policy;
	struct policy_diags *diags;
	struct frame frames[POLICY_DEPTH_MAX];
	int	depth;
	unsigned long compared;		/* names, for suggestions */
	bool	told[N_PARAMS];		/* that it has no effect */
	struct source *sources;		/* in the order of reading */
	struct source **last_source;
	size_t	n_sources;
	struct source *source;		/* that is being read */
	struct source *config;		/* the last TTLSConfig of it */
	const struct word *image;	/* the TcpImage, if there was one */
	/* The scanner's place. */
	int	line;
	int	column;
	int	start_column;
	int	open;			/* braces */
	bool	in_words;
};

static inline bool object_is(const struct object *o, enum statement_id id)
{
	return o->st == &policy_statements[id];
}

/* The first value of @id that was understood, or NULL. */
const struct value *policy_object_value(const struct object *o,
					enum param_id id);
long policy_object_number(const struct object *o, enum param_id id, long def);

/* Compat zOS: unsafe defaults are those of the old days. */
static inline bool policy_is_zos(const struct policy *policy)
{
	return policy_object_number(&policy->settings, P_COMPAT, COMPAT_OFF) ==
	       COMPAT_ZOS;
}

/* lex.l */
/* Takes the text apart in place; two NUL bytes must follow it. */
int policy_lex_run(struct builder *b, char *text, size_t len);

/* build.c */
struct word *policy_build_word(struct builder *b, const char *text,
			       size_t len);
void policy_build_param(struct builder *b, const struct word *words);
bool policy_build_open(struct builder *b, const struct word *words,
		       const struct word *brace);
void policy_build_close(struct builder *b, const struct word *brace);
void policy_build_stray(struct builder *b, const struct word *brace);

/* value.c, condition.c: false when they have reported an error */
const char *policy_keyring_path(struct policy *policy, const char *name);
bool policy_value_read(struct builder *b, struct value *v,
		       const struct word *word);
bool policy_value_addr(struct builder *b, struct value *v,
		       const struct word *word);
bool policy_value_ports(struct builder *b, struct value *v,
			const struct word *word);
bool policy_value_codes(struct builder *b, struct value *v,
			const struct word *word);

/* who.c: the same */
bool policy_value_ids(struct builder *b, struct value *v,
		      const struct word *word);
bool policy_value_user(struct builder *b, struct value *v,
		       const struct word *word);
bool policy_value_exe(struct builder *b, struct value *v,
		      const struct word *word);
bool policy_value_cgroup(struct builder *b, struct value *v,
			 const struct word *word);
bool policy_value_netns(struct builder *b, struct value *v,
			const struct word *word);

/* times.c: the same */
bool policy_value_span(struct builder *b, struct value *v,
		       const struct word *word);
bool policy_value_mask(struct builder *b, struct value *v,
		       const struct word *word);
bool policy_value_clock(struct builder *b, struct value *v,
			const struct word *word);

/* certmap.c: the same */
bool policy_value_dn(struct builder *b, struct value *v,
		     const struct word *word);
bool policy_value_fingerprint(struct builder *b, struct value *v,
			      const struct word *word);
bool policy_value_alt_name(struct builder *b, struct value *v,
			   const struct word *word);
bool policy_value_cert_user(struct builder *b, struct value *v,
			    const struct word *word);

/* url.c: the same */
bool policy_value_dns(struct builder *b, struct value *v,
		      const struct word *word);
bool policy_value_host(struct builder *b, struct value *v,
		       const struct word *word);
bool policy_value_url(struct builder *b, struct value *v,
		      const struct word *word);
bool policy_value_server(struct builder *b, struct value *v,
			 const struct word *word);

/* include.c */
bool policy_include(struct builder *b, const struct word *words);
struct source *policy_source_add(struct builder *b, const char *file,
				 const struct word *at);

/* level.c */
const char *policy_level_read(struct builder *b, const struct word *word);
void policy_level_apply(struct builder *b, struct value *v);

/* resolve.c */
void policy_resolve(struct builder *b);

/* merge.c */

/* Where the value of each field comes from, NULL: the default. */
struct merged {
	bool	zos;			/* defaults are those of z/OS */
	struct {
		const struct object *object;
		const struct value *value;
	} from[N_STORES];
};

void policy_merge_rule(struct merged *m, const struct policy *policy,
		       const struct object *rule);
long policy_default(const struct param *param, bool zos);
long policy_merged_number(const struct merged *m, enum store store);
const char *policy_merged_text(const struct merged *m, enum store store);
struct policy_place policy_merged_place(const struct merged *m,
					enum store store);
void policy_merged_names(struct policy *policy, struct policy_names *names,
			 const struct merged *m, enum store store);
void policy_merge(struct builder *b);

/* certmap.c */
void policy_certmaps(struct builder *b);
void policy_certmap_merge(struct builder *b, struct policy_action *a,
			  const struct merged *m);

/* revocation.c */
void policy_revocation_fill(struct policy_revocation *r,
			    const struct merged *m);
void policy_revocation_check(struct builder *b, const struct policy_action *a,
			     const struct merged *m);

/* sessions.c */
void policy_sessions_fill(struct policy_sessions *s, const struct merged *m);
void policy_sessions_check(struct builder *b, const struct merged *m);

/* ldap.c */
void policy_ldap(struct builder *b, struct policy_action *a,
		 const struct merged *m);

/* offer.c */
void policy_offer(struct builder *b, struct policy_action *a,
		  const struct merged *m);

/* fips.c */
void policy_fips_fill(struct policy_action *a, const struct merged *m);
void policy_fips_check(struct builder *b, const struct policy_action *a,
		       const struct merged *m);

/* startup.c */
void policy_startup_check(struct builder *b);

/* sni.c */
void policy_sni_fill(struct policy_action *a, const struct merged *m);
void policy_sni(struct builder *b, struct policy_action *a,
		const struct merged *m);

/* print.c */
void policy_print_value(const struct value *v, FILE *out);

/* suggest.c */
const char *policy_suggest_param(const struct statement *st, const char *word,
				 const struct param **param);
const char *policy_suggest_statement(const char *word,
				     const struct statement **st);
const char *policy_suggest_choice(const struct choice *choices,
				  const char *word);
const char *policy_suggest_code(const struct policy_codes *codes,
				const char *word);
const char *policy_suggest_user(const char *word);
const char *policy_suggest_name(struct builder *b, enum statement_id id,
				const char *word);

/* What has a place: a word, a value, an object, a policy_place. */
#define policy_report(b, severity, at, suggestion, ...) \
	policy_diags_add((b)->diags, severity, &(struct policy_place) { \
		(at)->file, (at)->line, (at)->column }, suggestion, \
		__VA_ARGS__)
#define policy_error(b, at, suggestion, ...) \
	policy_report(b, POLICY_ERROR, at, suggestion, __VA_ARGS__)
#define policy_warn(b, at, suggestion, ...) \
	policy_report(b, POLICY_WARNING, at, suggestion, __VA_ARGS__)

#endif /* ATTLS_TREE_H */
