/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libpolicy: reads a policy in the language of the z/OS Policy Agent,
 * checks all of it, merges the actions of every rule, and compiles the rule
 * set that the kernel matches against (uapi/attls_rule.h).
 *
 * Not thread-safe (it walks the user database).  Running out of memory for
 * the policy itself ends the program with a message: the input is bounded,
 * and a policy that was half read must never be used.
 */
#ifndef ATTLS_POLICY_H
#define ATTLS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/attls.h>

struct json_object;
struct policy;
struct policy_certmap;

#define POLICY_FILE_MAX		(16U << 20)	/* bytes of policy text */
#define POLICY_DIAGS_MAX	1000		/* kept; more are counted */
#define POLICY_NO_CONTEXT	(~0U)

enum policy_severity {
	POLICY_ERROR,
	POLICY_WARNING,
	POLICY_NOTE,			/* nothing is wrong */
};

struct policy_diag {
	char	*file;			/* NULL: about no file */
	int	line;			/* from 1; 0: about the whole file */
	int	column;			/* from 1, in characters */
	enum policy_severity severity;
	char	*message;
	char	*suggestion;		/* what to do about it, or NULL */
};

/* Initialise with = { 0 }; policy_diags_free() may be called at any time. */
struct policy_diags {
	struct policy_diag *diag;
	size_t	n;
	size_t	errors;			/* all, also those not kept */
	size_t	warnings;
	size_t	dropped;		/* not kept, over POLICY_DIAGS_MAX */
};

/* A number of TLS, for instance that of a cipher suite. */
struct policy_code {
	uint16_t id;			/* IANA */
	const char *name;		/* IANA's */
	const char *openssl;		/* as OpenSSL spells it, or NULL */
	const char *never;		/* why it is never offered, or NULL */
	unsigned int flags;
};

struct policy_code_list {
	const struct policy_code **code;
	size_t	n;
};

enum policy_ems {
	POLICY_EMS_OFF,
	POLICY_EMS_ON,			/* when the peer can */
	POLICY_EMS_REQUIRED,
};

/* Of an extension of TLS. */
enum policy_extension {
	POLICY_EXTENSION_UNSAID,
	POLICY_EXTENSION_OFF,
	POLICY_EXTENSION_OPTIONAL,	/* when the peer has it */
	POLICY_EXTENSION_REQUIRED,
};


#define POLICY_CODE_DEFAULT	1	/* offered when nothing is said */
#define POLICY_CODE_TLS13	2	/* of TLS 1.3, else of TLS 1.2 */
#define POLICY_CODE_WEAK	4	/* no forward secrecy */
#define POLICY_CODE_ANY		8	/* one of what z/OS calls Any */
#define POLICY_CODE_FIPS	16	/* FIPS 140-3 has it */

struct policy_place {
	const char *file;
	int	line;
	int	column;
};

struct policy_names {
	const char **name;
	struct policy_place *place;	/* of each */
	size_t	n;
};

enum policy_level {
	POLICY_REVOCATION_LOW,		/* who answers counts */
	POLICY_REVOCATION_MEDIUM,	/* one of those there are must answer */
	POLICY_REVOCATION_HIGH,		/* there must be one that answers */
};

#define POLICY_TOKEN		"*TOKEN*/"	/* in the place of a path */
#define POLICY_TOKEN_MAX	32		/* bytes of its label */

#define POLICY_URL_MAX		2083	/* characters */

/* How to get what, and how much of it to keep.  Sizes: 0 is no limit. */
struct policy_source {
	const char *proxy;		/* NULL: none */
	unsigned int proxy_port;
	unsigned int timeout;		/* seconds, 0: no limit */
	unsigned int max_size;		/* bytes of an answer */
	unsigned int cache_size;	/* answers, 0: none */
	unsigned int cache_entry;	/* bytes of a CRL; answers of a CA */
};

#define POLICY_FETCHER		"attls-fetch" /* the Jobname of who asks */
#define POLICY_LDAP_USER_MAX	1023	/* bytes */
#define POLICY_LDAP_PW_MAX	511

/* Directories with CRLs. */
struct policy_ldap {
	const char *servers;		/* URLs, spaces between; NULL: none */
	const char *user;		/* NULL: nobody */
	const char *password;		/* until the policy is freed */
	enum policy_level level;	/* of what is there, see policy.rst */
	unsigned int keep;		/* seconds for a CRL; 0: as it says */
	unsigned int keep_none;		/* that there is none; 0: not kept */
	struct policy_source source;
};

/* What is asked whether a certificate was revoked. */
struct policy_revocation {
	enum policy_level level;
	bool	level_given;
	bool	aia;			/* OCSP responders of the certificate */
	bool	cdp;			/* HTTP servers of the certificate */
	bool	aia_first;
	const char *ocsp_url;		/* another responder, or NULL */
	bool	ocsp_url_first;
	bool	ocsp_get;
	const char *signer;		/* label of the key, or NULL */
	unsigned int sign_alg;		/* TLS's code: hash and kind of key */
	struct policy_place signer_place;
	bool	nonce;
	bool	nonce_check;
	unsigned int nonce_size;	/* bytes */
	bool	staple;			/* OcspServerStapling */
	struct policy_code_list crl_sigalgs;	/* none: any */
	struct policy_code_list ocsp_sigalgs;
	unsigned int max_source;	/* URLs of a certificate's extension */
	unsigned int max_total;		/* URLs for a chain; 0: no limit */
	struct policy_source ocsp;
	struct policy_source http;
	struct policy_ldap ldap;
};

#define POLICY_SESSIONS_MAX	2048	/* kept, of all rules together */

/* Which sessions are resumed, and how long. */
struct policy_sessions {
	bool	client_tickets;		/* a client keeps them */
	unsigned int ticket_size;	/* and of how many bytes, at most */
	bool	server_tickets;		/* a server makes them */
	unsigned int count;		/* after each full handshake */
	unsigned int key_bits;		/* of the AES that they are under */
	unsigned int refresh;		/* seconds of a key; 0: for ever */
	unsigned int timeout;		/* seconds of a ticket */
	unsigned int v3_size;		/* session ids of TLS 1.2; 0: none */
	unsigned int v3_timeout;	/* seconds of a session of TLS 1.2 */
};

/*
 * What a rule asks for after merging connection action, environment action,
 * group action and defaults.  Everything belongs to the policy.
 */
struct policy_action {
	const char *rule;
	const char *group;
	const char *environment;	/* NULL without one */
	const char *connection;		/* NULL without one */
	/*
	 * Rules with the same environment and connection action, and the
	 * same FIPS140, have the same context, a number below
	 * policy_context_count(): one SSL_CTX serves them all.  POLICY_NO_CONTEXT when TTLSEnabled is Off.
	 * Counted anew by each policy_load().
	 */
	unsigned int context;
	bool	enabled;		/* TTLSEnabled */
	bool	fips;			/* FIPS140, of any level */
	enum attls_role role;		/* UNKNOWN when not enabled */
	const char *keyring;		/* or a token; NULL when not enabled */
	const char *keyring_pw;		/* NULL: none */
	const char *keyring_stash;	/* the file that has it; NULL: none */
	const struct policy_certmap *certmap; /* whose clients' are; or NULL */
	struct policy_names certificates; /* labels; none: of each type */
	bool	tls12;			/* On, and suites has some of it */
	bool	tls13;
	struct policy_code_list suites;	/* the preferred first */
	/*
	 * Groups of key exchange; none: those of the library.  A client
	 * offers both lists and sends shares for the first; a server takes
	 * key_shares in TLS 1.3 and curves in TLS 1.2.
	 */
	struct policy_code_list key_shares;
	struct policy_code_list curves;
	struct policy_code_list sigalgs; /* none: the library's */
	struct policy_code_list cert_sigalgs; /* of the peer's; none: any */
	unsigned int hs_timeout;	/* seconds, 0 = no timer */
	unsigned int reset_timer;	/* minutes, 0 = no timer */
	bool	appl_controlled;
	bool	truncation_check;
	bool	secondary_map;
	/* What the certificate of a server must have: one of them. */
	struct policy_names host_dns;	/* as subjectAltName */
	struct policy_names host_cn;	/* as CN, if there is no such */
	bool	host_address;		/* no names: the address of the peer */
	bool	host_wildcard;		/* *.example.com will do */
	/* What any certificate of a peer must have. */
	unsigned int min_rsa;		/* bits */
	unsigned int min_ec;
	bool	min_v3;			/* X.509 version 3 */
	bool	middlebox;		/* RFC 8446 appendix D.4 */
	enum policy_ems ems;		/* RFC 7627 */
	enum policy_extension fragment;	/* smaller records, RFC 6066 */
	unsigned int fragment_length;	/* that a client asks for, bytes */
	/*
	 * Server name, RFC 6066 section 3.  Unsaid: a client asks for the
	 * first of host_dns.  A name that is not known ends the handshake
	 * with sni_match.
	 */
	enum policy_extension sni;
	bool	sni_match;
	struct policy_names sni_names;	/* a client asks for the first */
	struct policy_names sni_labels;	/* of a server, one for each name */
	struct policy_revocation revocation;
	struct policy_sessions sessions;
	unsigned int trace;		/* 0-255, bits as on z/OS */
	int	facility;		/* of syslog(3) */
	unsigned int instance;		/* EnvironmentUserInstance */
	/* Where to point when the text is fine but the world is not. */
	struct policy_place rule_place;
	struct policy_place keyring_place;
	struct policy_place fips_place;
};

/* load.c */

/*
 * Reads and checks the file at @path.  Adds every error and warning of the
 * file to @diags (which may hold others already).  NULL when there was any
 * error; otherwise the policy, for policy_free().
 */
struct policy *policy_load(const char *path, struct policy_diags *diags);
void policy_free(struct policy *policy);

/* Wipes the passwords of key rings; they are needed no more. */
void policy_forget(struct policy *policy);

/* include.c */

/* Directories by date, with files that `Preset` names. */
#define POLICY_PRESETS	ATTLS_DATA "/presets"

/*
 * The file of a preset, of the newest date if @name has none, into @path of
 * @size bytes.  False: there is no such preset.
 */
bool policy_preset_path(const char *name, char *path, size_t size);

/* The number of rules; 0 is a policy that protects nothing. */
size_t policy_rule_count(const struct policy *policy);

/* The number of different contexts, see struct policy_action. */
unsigned int policy_context_count(const struct policy *policy);

/*
 * The merged action of rule @rule_index in compiled order (priority
 * descending, then name), which is the rule of struct attls_request.  NULL
 * when there is no such rule.
 */
const struct policy_action *policy_action(const struct policy *policy,
					  size_t rule_index);

/* load.c: what a handshake role needs */
bool policy_role_is_server(unsigned int role);
bool policy_role_verifies(unsigned int role);

/*
 * Calls @fn for one action of each context, for all of them; the last that it
 * returned other than 0, or 0.
 */
int policy_each_context(const struct policy *policy,
			int (*fn)(const struct policy_action *action,
				  void *arg), void *arg);

/* startup.c: what the module is to do until there is a policy */
#define POLICY_STARTUP_MAX	64	/* that the module takes, of each */
#define POLICY_STARTUP_FILE	"/etc/modprobe.d/attls-startup.conf"

struct policy_startup {
	bool	closed;
	uint32_t uids[POLICY_STARTUP_MAX];	/* who need not wait */
	size_t	n_uids;
	uint32_t gids[POLICY_STARTUP_MAX];
	size_t	n_gids;
};

void policy_startup(const struct policy *policy,
		    struct policy_startup *startup);

/* suites.c, groups.c: NULL for one that we do not know. */
const struct policy_code *policy_suite(unsigned long id);
const struct policy_code *policy_group_named(const char *name);

/*
 * who.c: a user or a group by name or number, a network namespace as in a
 * policy.  False: this system has none such.
 */
bool policy_find_user(const char *text, uint32_t *uid);
bool policy_find_group(const char *text, uint32_t *gid);
bool policy_find_netns(const char *text, uint32_t *inode);

/*
 * suggest.c: "did you mean" the nearest of @names, or NULL; valid until the
 * next one.
 */
const char *policy_suggest(const struct policy_names *names, const char *word);

/* revocation.c: the rule says something about it. */
bool policy_revocation_given(const struct policy_revocation *r);

/* url.c: NULL, or what is wrong with a host name. */
const char *policy_dns_wrong(const char *name);
/* It can be asked for with plain HTTP. */
bool policy_url_is_http(const char *url);

/* effective.c */

/* One parameter as it is in force for a rule. */
struct policy_parameter {
	const char *name;
	const char *value;		/* "" when there is none */
	const char *statement;		/* that gives it; NULL: the default */
	const char *object;		/* name of that statement */
	struct policy_place place;
};

/*
 * Calls @fn for each parameter of rule @rule_index, in the order of the
 * documentation; what it is given lives for the call.  A rule with
 * TTLSEnabled Off has those of its group action only.
 */
void policy_parameters(const struct policy *policy, size_t rule_index,
		       void (*fn)(const struct policy_parameter *p, void *arg),
		       void *arg);

/* compile.c */

/*
 * Compiles the rule set into *@blob (for free(), aligned to 8) of *@len
 * bytes.  Its time conditions are known for more than a year from @now on,
 * in seconds since 1970.  0, or -E2BIG, -ENOMEM or -EINVAL with the reason in @diags and
 * *@blob NULL.
 */
int policy_compile(const struct policy *policy, int64_t now, void **blob,
		   size_t *len, struct policy_diags *diags);

/*
 * times.c: true when a rule has a time condition.  What was compiled is then
 * to be compiled again, best every day and when the clock was set.
 */
bool policy_timed(const struct policy *policy);

/* lint.c */

/*
 * Adds warnings about what is right and hardly meant, of the rule set @blob
 * that was compiled from @policy.
 */
void policy_lint(const struct policy *policy, const void *blob, size_t len,
		 struct policy_diags *diags);

/* print.c */

/*
 * Prints the policy in canonical form: every statement named and at top
 * level, keywords in their documented spelling.  Reading that back and
 * printing it gives the same text.  0, or -EIO.
 */
int policy_print(const struct policy *policy, FILE *out);

/* diags.c */

/*
 * Adds a diagnostic.  @file may be NULL; @suggestion may be NULL and is
 * copied.  Never fails; over POLICY_DIAGS_MAX it only counts.
 */
void policy_diags_add(struct policy_diags *diags, enum policy_severity severity,
		      const struct policy_place *place, const char *suggestion,
		      const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/*
 * Sorts by file, line and column, and keeps one of what is there twice;
 * policy_load() has done so already.
 */
void policy_diags_sort(struct policy_diags *diags);

/* file:line:column: error: message, then the suggestion indented. */
void policy_diags_print(FILE *out, const struct policy_diags *diags);

/*
 * An array of {file, line, column, severity, message, suggestion}; file,
 * line, column and suggestion are left out when there is none.  The caller
 * owns the object (json_object_put).
 */
struct json_object *policy_diags_json(const struct policy_diags *diags);
void policy_diags_free(struct policy_diags *diags);

#endif /* ATTLS_POLICY_H */
