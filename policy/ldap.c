// SPDX-License-Identifier: GPL-2.0-only
/* TTLSGskLdapParms: directories that have CRLs, and who asks them. */
#include "tree.h"

#include <arpa/inet.h>
#include <string.h>

#define HOUR		3600
#define CACHE_ALL	32000		/* what z/OS takes as a number */

static bool is_v6(const char *server)
{
	uint8_t addr[16];

	return inet_pton(AF_INET6, server, addr) == 1;
}

static bool has_port(const char *server)
{
	const char *end = strrchr(server, ']');

	return !is_v6(server) && strchr(end ? end : server, ':');
}

static size_t put_url(char *to, size_t size, const char *server, long port)
{
	bool v6 = is_v6(server);

	if (has_port(server))
		return (size_t)snprintf(to, size, "ldap://%s", server);
	return (size_t)snprintf(to, size, "ldap://%s%s%s:%ld", v6 ? "[" : "",
				server, v6 ? "]" : "", port);
}

/* All of them, in the order in which they are asked; NULL: none. */
static const char *servers(struct builder *b, const struct merged *m)
{
	long port = policy_merged_number(m, STORE_LDAP_PORT);
	struct policy_names names = { 0 };
	char list[POLICY_URL_MAX + 1];
	size_t n = 0, i;

	policy_merged_names(b->policy, &names, m, STORE_LDAP_SERVER);
	for (i = 0; i < names.n && n + 1 < sizeof(list); i++) {
		if (i)
			list[n++] = ' ';
		n += put_url(list + n, sizeof(list) - n, names.name[i], port);
	}
	if (!names.n)
		return NULL;
	if (i == names.n && n < sizeof(list))
		return policy_arena_strndup(&b->policy->arena, list, n);
	policy_error(b, m->from[STORE_LDAP_SERVER].value, "name fewer of them",
		     "GSK_LDAP_SERVER: the servers have more than %d "
		     "characters", POLICY_URL_MAX);
	return "";
}

static void fill(struct policy_ldap *l, const struct merged *m)
{
	bool extended = policy_merged_number(m, STORE_LDAP_EXTENDED);
	long size = policy_merged_number(m, STORE_LDAP_CACHE);
	long keep = policy_merged_number(m, STORE_LDAP_KEEP);
	long none = policy_merged_number(m, STORE_LDAP_NONE_TIME);

	if (!extended)
		none = keep;
	if (size < 0)
		size = CACHE_ALL;
	l->user = policy_merged_text(m, STORE_LDAP_USER);
	l->password = policy_merged_text(m, STORE_LDAP_PW);
	l->level = (enum policy_level)policy_merged_number(m,
							STORE_LDAP_LEVEL);
	l->keep = extended ? 0 : (unsigned int)keep * HOUR;
	l->keep_none = policy_merged_number(m, STORE_LDAP_KEEP_NONE) ?
		       (unsigned int)none * HOUR : 0;
	l->source.timeout = (unsigned int)policy_merged_number(m,
							STORE_LDAP_TIMEOUT);
	l->source.cache_size = extended || keep ? (unsigned int)size : 0;
	l->source.cache_entry = (unsigned int)policy_merged_number(m,
						STORE_LDAP_CACHE_ENTRY);
}

static void check_length(struct builder *b, const struct value *v, size_t max)
{
	if (v && strlen(v->text) > max)
		policy_error(b, v, NULL, "%s is longer than %zu bytes",
			     v->param->name, max);
}

/* With a user and no password a server takes whoever it is for nobody. */
static void check_user(struct builder *b, const struct merged *m)
{
	const struct value *user = m->from[STORE_LDAP_USER].value;
	const struct value *password = m->from[STORE_LDAP_PW].value;

	if (!user != !password)
		policy_error(b, user ? user : password, "give both, or none",
			     "%s without %s", user ? "GSK_LDAP_USER" :
			     "GSK_LDAP_USER_PW", user ? "GSK_LDAP_USER_PW" :
			     "GSK_LDAP_USER");
	if (user && !*user->text)
		policy_error(b, user, "give a name such as cn=reader,o=example",
			     "GSK_LDAP_USER is empty");
	check_length(b, user, POLICY_LDAP_USER_MAX);
	check_length(b, password, POLICY_LDAP_PW_MAX);
}

static bool is_protected(const struct policy *policy)
{
	const struct value *job;
	size_t i;

	for (i = 0; i < policy->n_rules; i++) {
		job = policy_object_value(policy->rules[i], P_JOB);
		if (job && policy->actions[i].enabled &&
		    !strcmp(job->text, POLICY_FETCHER))
			return true;
	}
	return false;
}

/* In a context of @a, when all actions are known. */
void policy_ldap(struct builder *b, struct policy_action *a,
		 const struct merged *m)
{
	const struct value *password = m->from[STORE_LDAP_PW].value;

	fill(&a->revocation.ldap, m);
	a->revocation.ldap.servers = servers(b, m);
	check_user(b, m);
	if (password && !is_protected(b->policy))
		policy_warn(b, password, "add a TTLSRule with Jobname "
			    POLICY_FETCHER " for the port of the server",
			    "GSK_LDAP_USER_PW goes to the LDAP server in "
			    "clear");
}
