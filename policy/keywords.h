/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The policy language as tables.  A statement is a row with a table of its
 * parameters; a parameter is a row that says how its value is read, what
 * values are right, its default, and which field of the merged action it
 * sets.  Adding a parameter is adding a row.
 */
#ifndef ATTLS_KEYWORDS_H
#define ATTLS_KEYWORDS_H

#include <stdbool.h>
#include <stddef.h>
#include "codes.h"
#include "policy.h"

enum statement_id {
	ST_RULE,
	ST_GROUP,
	ST_ENVIRONMENT,
	ST_CONNECTION,
	ST_GROUP_ADVANCED,
	ST_ENV_ADVANCED,
	ST_CONN_ADVANCED,
	ST_KEYRING,
	ST_CIPHERS,
	ST_GSK,
	ST_OCSP,
	ST_CDP,
	ST_LDAP,
	ST_SIGNATURES,
	ST_ADDR,
	ST_ADDR_SET,
	ST_ADDR_GROUP,
	ST_PORTS,
	ST_PORT_GROUP,
	ST_TIME,
	ST_CERT_MAP,
	ST_CERT_USER,
	ST_POLICY,			/* what stands outside of statements */
	N_STATEMENTS
};

/* Rows with the same id are forms of one parameter (X, XRef, XSetRef). */
enum param_id {
	P_LOCAL_ADDR,
	P_REMOTE_ADDR,
	P_LOCAL_PORTS,
	P_REMOTE_PORTS,
	P_JOB,
	P_USER,
	P_GID,
	P_EXE,
	P_CGROUP,
	P_NETNS,
	P_TIME,
	P_DIRECTION,
	P_PRIORITY,
	P_GROUP,
	P_ENVIRONMENT,
	P_CONNECTION,
	P_ENABLED,
	P_TRACE,
	P_ROLE,
	P_KEYRING_PARMS,
	P_CIPHER_PARMS,
	P_SIGNATURE_PARMS,
	P_ADVANCED,
	P_INSTANCE,
	P_SSLV2,
	P_SSLV3,
	P_TLSV1,
	P_TLSV1_1,
	P_TLSV1_2,
	P_TLSV1_3,
	P_HS_TIMEOUT,
	P_RESET_TIMER,
	P_CLIENT_FRAGMENT,
	P_CLIENT_FRAGMENT_LENGTH,
	P_SERVER_FRAGMENT,
	P_CLIENT_SNI,
	P_CLIENT_SNI_MATCH,
	P_CLIENT_SNI_LIST,
	P_SERVER_SNI,
	P_SERVER_SNI_MATCH,
	P_SERVER_SNI_LIST,
	P_HOST_DNS,
	P_HOST_CN,
	P_HOST_WILDCARD,
	P_MIN_RSA,
	P_MIN_EC,
	P_MIN_VERSION,
	P_APPL_CONTROLLED,
	P_CLIENT_AUTH,
	P_CERTIFICATE,
	P_CERTIFICATES,
	P_SUITE_B,
	P_MIDDLEBOX,
	P_CLIENT_EMS,
	P_SERVER_EMS,
	P_TRUNCATION,
	P_KEYRING,
	P_KEYRING_PW,
	P_V2_SUITES,
	P_SUITES,
	P_CLIENT_CURVES,
	P_CLIENT_SHARES,
	P_SERVER_CURVES,
	P_SERVER_SHARES,
	P_SIGALGS,
	P_CERT_SIGALGS,
	P_ADDR,
	P_PORTS,
	P_TIME_SPAN,
	P_MONTHS,
	P_DAYS,
	P_WEEKDAYS,
	P_CLOCK,
	P_ZONE,
	P_FROM_CLOCK,
	P_TO_CLOCK,
	P_FROM_WEEKDAY,
	P_TO_WEEKDAY,
	P_FROM_DAY,
	P_TO_DAY,
	P_FROM_MONTH,
	P_TO_MONTH,
	P_SECONDARY,
	P_FACILITY,
	P_FIPS,
	P_ENVFILE,
	P_DEFAULT_ACTION,
	P_COMPAT,
	P_STARTUP,
	P_STARTUP_USER,
	P_STARTUP_GROUP,
	P_CTRACE,
	P_GROUP_INSTANCE,
	P_CONN_INSTANCE,
	P_RENEGOTIATION,
	P_RENEG_INDICATOR,
	P_RENEG_CERT,
	P_TRUNCATED_HMAC,
	P_SCSV,
	P_VALIDATION,
	P_3DES,
	P_CLIENT_EDH,
	P_SERVER_EDH,
	P_MIN_DH,
	P_MIN_DSA,
	P_GSK,
	P_GSK_SIDCACHE,
	P_GSK_TICKET_CACHE,
	P_GSK_V2_TIMEOUT,
	P_GSK_V2_SIZE,
	P_GSK_V3_TIMEOUT,
	P_GSK_V3_SIZE,
	P_GSK_CLIENT_TICKETS,
	P_GSK_TICKET_SIZE,
	P_GSK_TICKETS_CACHED,
	P_GSK_SERVER_TICKETS,
	P_GSK_TICKET_ALGORITHM,
	P_GSK_TICKET_COUNT,
	P_GSK_TICKET_REFRESH,
	P_GSK_TICKET_TIMEOUT,
	P_CERT_MAP,
	P_CERT_USERS,
	P_CERT_USER,
	P_CERT_FINGERPRINT,
	P_CERT_SUBJECT,
	P_CERT_ISSUER,
	P_CERT_ALT,
	P_LEVEL,
	P_AIA_FIRST,
	P_MAX_SOURCE,
	P_MAX_VALID,
	P_OCSP_PARMS,
	P_OCSP_URL,
	P_OCSP_AIA,
	P_OCSP_URL_FIRST,
	P_OCSP_PROXY,
	P_OCSP_PROXY_PORT,
	P_OCSP_GET,
	P_OCSP_NONCE,
	P_OCSP_NONCE_CHECK,
	P_OCSP_NONCE_SIZE,
	P_OCSP_TIMEOUT,
	P_OCSP_MAX_SIZE,
	P_OCSP_CACHE,
	P_OCSP_CACHE_ENTRY,
	P_OCSP_STAPLING,
	P_OCSP_SIGALGS,
	P_OCSP_SIGNER,
	P_OCSP_SIGN_ALG,
	P_CRL_SIGALGS,
	P_CDP_PARMS,
	P_CDP,
	P_CDP_PROXY,
	P_CDP_PROXY_PORT,
	P_CDP_TIMEOUT,
	P_CDP_MAX_SIZE,
	P_CDP_CACHE,
	P_CDP_CACHE_ENTRY,
	P_LDAP_PARMS,
	P_LDAP_SERVER,
	P_LDAP_PORT,
	P_LDAP_USER,
	P_LDAP_PW,
	P_LDAP_KEEP,
	P_LDAP_LEVEL,
	P_LDAP_CACHE,
	P_LDAP_CACHE_ENTRY,
	P_LDAP_EXTENDED,
	P_LDAP_KEEP_NONE,
	P_LDAP_NONE_TIME,
	P_LDAP_TIMEOUT,
	N_PARAMS
};

enum kind {
	KIND_CHOICE,			/* one word of a list */
	KIND_NUMBER,			/* min to max */
	KIND_KEYRING,
	KIND_PASSWORD,			/* never shown */
	KIND_STASH,
	KIND_LABEL,
	KIND_DNS,
	KIND_SNI,			/* a KIND_DNS and its KIND_LABEL */
	KIND_HOST,			/* a name or an address */
	KIND_URL,			/* of HTTP */
	KIND_SERVER,			/* a KIND_HOST and perhaps :port */
	KIND_JOB,
	KIND_USER,
	KIND_IDS,			/* n or n m */
	KIND_EXE,
	KIND_CGROUP,
	KIND_NETNS,
	KIND_SPAN,			/* from one second to another */
	KIND_MASK,			/* min or max bits */
	KIND_CLOCK,			/* hh:mm-hh:mm */
	KIND_DN,
	KIND_FINGERPRINT,
	KIND_ALT_NAME,			/* of type min */
	KIND_CERT_USER,
	KIND_WORD,			/* any */
	KIND_CODES,			/* names, or codes of min digits */
	KIND_ADDR,			/* in the ADDR_ forms of min */
	KIND_PORTS,
	KIND_REF,			/* name of a target statement */
	KIND_INLINE,			/* target statement as a block */
	N_KINDS
};

#define ADDR_ALL	1
#define ADDR_ONE	2
#define ADDR_PREFIX	4
#define ADDR_RANGE	8

#define PARAM_REQUIRED	1
#define PARAM_REPEAT	2		/* several: any, or all of them */
#define PARAM_DEFAULT	4		/* def counts */
#define PARAM_LIST	8		/* several in a line */

struct choice {
	const char *name;
	int	value;
	const char *refused;		/* why it cannot be had, or NULL */
	const char *instead;		/* what to write, with refused */
};

struct param {
	const char *name;
	enum param_id id;
	enum kind kind;
	unsigned int flags;
	long	min;
	long	max;
	long	def;
	const struct choice *choices;
	const struct policy_codes *codes;
	const char *any;		/* the word for all of codes, or NULL */
	enum statement_id target;
	int	store;			/* enum store */
	const char *idle;		/* why it has no effect, or NULL */
};

struct statement {
	const char *name;
	const char *made_up;		/* stem of the names we make up */
	const struct param *params;
	size_t	n_params;
};

enum handshake_role {
	ROLE_CLIENT,
	ROLE_SERVER,
	ROLE_SERVER_AUTH,
};

enum compat {
	COMPAT_OFF,
	COMPAT_ZOS,
};

enum suite_b {
	SUITE_B_OFF,
	SUITE_B_128,
	SUITE_B_128_MIN,
	SUITE_B_192,
	SUITE_B_192_MIN,
	SUITE_B_ALL,
};

/* Fields of the merged action; merge.c says how each is filled. */
enum store {
	STORE_NONE,
	STORE_ENABLED,
	STORE_TRACE,
	STORE_SECONDARY,
	STORE_FIPS,
	STORE_FACILITY,
	STORE_ROLE,
	STORE_INSTANCE,
	STORE_TLS12,
	STORE_TLS13,
	STORE_HS_TIMEOUT,
	STORE_RESET_TIMER,
	STORE_CLIENT_FRAGMENT,
	STORE_CLIENT_FRAGMENT_LENGTH,
	STORE_SERVER_FRAGMENT,
	STORE_CLIENT_SNI,
	STORE_CLIENT_SNI_MATCH,
	STORE_CLIENT_SNI_LIST,
	STORE_SERVER_SNI,
	STORE_SERVER_SNI_MATCH,
	STORE_SERVER_SNI_LIST,
	STORE_HOST_DNS,
	STORE_HOST_CN,
	STORE_HOST_WILDCARD,
	STORE_MIN_RSA,
	STORE_MIN_EC,
	STORE_MIN_VERSION,
	STORE_APPL_CONTROLLED,
	STORE_CLIENT_AUTH,
	STORE_CERTIFICATE,
	STORE_CERTIFICATES,
	STORE_SUITE_B,
	STORE_MIDDLEBOX,
	STORE_CLIENT_EMS,
	STORE_SERVER_EMS,
	STORE_TRUNCATION,
	STORE_KEYRING,
	STORE_KEYRING_PW,
	STORE_KEYRING_STASH,
	STORE_CERT_MAP,
	STORE_SUITES,
	STORE_CLIENT_CURVES,
	STORE_CLIENT_SHARES,
	STORE_SERVER_CURVES,
	STORE_SERVER_SHARES,
	STORE_SIGALGS,
	STORE_CERT_SIGALGS,
	STORE_LEVEL,
	STORE_AIA_FIRST,
	STORE_MAX_SOURCE,
	STORE_MAX_VALID,
	STORE_OCSP_URL,
	STORE_OCSP_AIA,
	STORE_OCSP_URL_FIRST,
	STORE_OCSP_PROXY,
	STORE_OCSP_PROXY_PORT,
	STORE_OCSP_GET,
	STORE_OCSP_NONCE,
	STORE_OCSP_NONCE_CHECK,
	STORE_OCSP_NONCE_SIZE,
	STORE_OCSP_TIMEOUT,
	STORE_OCSP_MAX_SIZE,
	STORE_OCSP_CACHE,
	STORE_OCSP_CACHE_ENTRY,
	STORE_OCSP_STAPLING,
	STORE_OCSP_SIGALGS,
	STORE_OCSP_SIGNER,
	STORE_OCSP_SIGN_ALG,
	STORE_CRL_SIGALGS,
	STORE_CDP,
	STORE_CDP_PROXY,
	STORE_CDP_PROXY_PORT,
	STORE_CDP_TIMEOUT,
	STORE_CDP_MAX_SIZE,
	STORE_CDP_CACHE,
	STORE_CDP_CACHE_ENTRY,
	STORE_LDAP_SERVER,
	STORE_LDAP_PORT,
	STORE_LDAP_USER,
	STORE_LDAP_PW,
	STORE_LDAP_KEEP,
	STORE_LDAP_LEVEL,
	STORE_LDAP_CACHE,
	STORE_LDAP_CACHE_ENTRY,
	STORE_LDAP_EXTENDED,
	STORE_LDAP_KEEP_NONE,
	STORE_LDAP_NONE_TIME,
	STORE_LDAP_TIMEOUT,
	N_STORES
};

extern const struct statement policy_statements[N_STATEMENTS];

/* NULL when @name (in any case) is none. */
const struct statement *policy_statement_find(const char *name);
const struct param *policy_param_find(const struct statement *st,
				      const char *name);

/* Known to z/OS, not to this version. */
bool policy_keyword_is_zos(const char *name);

#endif /* ATTLS_KEYWORDS_H */
