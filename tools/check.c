// SPDX-License-Identifier: GPL-2.0-only
#include "attls.h"
#include "certmap.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <time.h>

static struct json_object *names_json(const struct policy_names *names)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < names->n; i++)
		json_object_array_add(list,
				      json_object_new_string(names->name[i]));
	return list;
}

/* Nothing for what is left to the library. */
static void add_codes(struct json_object *o, const char *key,
		      const struct policy_code_list *codes)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < codes->n; i++)
		json_object_array_add(list, json_object_new_string(
						codes->code[i]->name));
	if (codes->n)
		json_object_object_add(o, key, list);
	else
		json_object_put(list);
}

/* What few ask for is only there when it is asked for. */
static void add_sni(struct json_object *o, const struct policy_action *a)
{
	static const char *const words[] = {
		[POLICY_EXTENSION_OFF] = "Off",
		[POLICY_EXTENSION_OPTIONAL] = "Optional",
		[POLICY_EXTENSION_REQUIRED] = "Required",
	};

	if (!a->sni_names.n && a->sni < POLICY_EXTENSION_OPTIONAL)
		return;
	json_add(o, "sni", words[a->sni]);
	json_add_bool(o, "sni_match", a->sni_match);
	json_object_object_add(o, "sni_names", names_json(&a->sni_names));
	json_object_object_add(o, "sni_labels", names_json(&a->sni_labels));
}

/* In the order in which they are tried. */
static void add_certmap(struct json_object *o,
			const struct policy_certmap *map)
{
	struct json_object *users = json_object_new_array();
	size_t i;

	for (i = 0; i < map->n; i++)
		json_object_array_add(users, json_object_new_string(
					      map->user[i].user));
	json_add(o, "certificate_map", map->name);
	json_object_object_add(o, "certificate_users", users);
}

static void add_source(struct json_object *o, const char *key,
		       const struct policy_source *source)
{
	struct json_object *to = json_object_new_object();

	json_add(to, "proxy", source->proxy);
	json_add_number(to, "proxy_port", source->proxy_port);
	json_add_number(to, "timeout", source->timeout);
	json_add_number(to, "max_size", source->max_size);
	json_add_number(to, "cache_size", source->cache_size);
	json_add_number(to, "cache_entry", source->cache_entry);
	json_object_object_add(o, key, to);
}

static const char *const levels[] = { "Low", "Medium", "High" };

static void add_ldap(struct json_object *o, const struct policy_ldap *ldap)
{
	struct json_object *to;

	if (!ldap->servers)
		return;
	to = json_object_new_object();
	json_add(to, "servers", ldap->servers);
	json_add(to, "user", ldap->user);
	json_add(to, "level", levels[ldap->level]);
	json_add_number(to, "keep", ldap->keep);
	json_add_number(to, "keep_none", ldap->keep_none);
	add_source(to, "source", &ldap->source);
	json_object_object_add(o, "ldap", to);
}

static struct json_object *revocation_json(const struct policy_revocation *r)
{
	struct json_object *o = json_object_new_object();

	json_add(o, "level", levels[r->level]);
	json_add(o, "ocsp_url", r->ocsp_url);
	json_add_bool(o, "ocsp_url_first", r->ocsp_url_first);
	json_add_bool(o, "aia", r->aia);
	json_add_bool(o, "aia_first", r->aia_first);
	json_add_bool(o, "cdp", r->cdp);
	json_add_bool(o, "get", r->ocsp_get);
	json_add(o, "signer", r->signer);
	json_add_number(o, "sign_alg", r->sign_alg);
	json_add_bool(o, "nonce", r->nonce);
	json_add_bool(o, "nonce_check", r->nonce_check);
	json_add_number(o, "nonce_size", r->nonce_size);
	json_add_bool(o, "staple", r->staple);
	add_codes(o, "crl_signatures", &r->crl_sigalgs);
	add_codes(o, "ocsp_signatures", &r->ocsp_sigalgs);
	json_add_number(o, "max_source", r->max_source);
	json_add_number(o, "max_total", r->max_total);
	add_source(o, "ocsp", &r->ocsp);
	add_source(o, "http", &r->http);
	add_ldap(o, &r->ldap);
	return o;
}

static struct json_object *action_json(const struct policy_action *a)
{
	struct json_object *o = json_object_new_object();

	json_add(o, "rule", a->rule);
	json_add(o, "group", a->group);
	json_add_bool(o, "enabled", a->enabled);
	json_add_number(o, "trace", a->trace);
	if (!a->enabled)
		return o;
	json_add(o, "environment", a->environment);
	json_add(o, "connection", a->connection);
	json_add_number(o, "context", a->context);
	if (a->fips)
		json_add_bool(o, "fips", true);
	json_add(o, "role", name_of_role((uint8_t)a->role));
	json_add(o, "keyring", a->keyring);
	json_object_object_add(o, "certificates",
			       names_json(&a->certificates));
	if (a->certmap)
		add_certmap(o, a->certmap);
	json_add_bool(o, "tls12", a->tls12);
	json_add_bool(o, "tls13", a->tls13);
	add_codes(o, "cipher_suites", &a->suites);
	add_codes(o, "key_shares", &a->key_shares);
	add_codes(o, "curves", &a->curves);
	add_codes(o, "signatures", &a->sigalgs);
	add_codes(o, "certificate_signatures", &a->cert_sigalgs);
	json_add_number(o, "handshake_timeout", a->hs_timeout);
	if (a->reset_timer)
		json_add_number(o, "reset_cipher_timer", a->reset_timer);
	json_add_bool(o, "application_controlled", a->appl_controlled);
	json_add_bool(o, "truncation_check", a->truncation_check);
	json_add_number(o, "instance", a->instance);
	json_object_object_add(o, "host_reference_id_dns",
			       names_json(&a->host_dns));
	json_object_object_add(o, "host_reference_id_cn",
			       names_json(&a->host_cn));
	if (a->fragment_length)
		json_add_number(o, "max_fragment", a->fragment_length);
	if (a->fragment == POLICY_EXTENSION_REQUIRED)
		json_add_bool(o, "max_fragment_required", true);
	add_sni(o, a);
	json_add_bool(o, "host_wildcard", a->host_wildcard);
	json_add_number(o, "peer_min_rsa", a->min_rsa);
	json_add_number(o, "peer_min_ecc", a->min_ec);
	json_add_number(o, "peer_min_version", a->min_v3 ? 3 : 1);
	if (policy_revocation_given(&a->revocation))
		json_object_object_add(o, "revocation",
				       revocation_json(&a->revocation));
	return o;
}

static struct json_object *ids_json(const uint32_t *ids, size_t n)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_int64(ids[i]));
	return list;
}

/* Only where it is asked for, like much else. */
static void add_startup(struct json_object *o, const struct policy *policy)
{
	struct json_object *window;
	struct policy_startup s;

	policy_startup(policy, &s);
	if (!s.closed)
		return;
	window = json_object_new_object();
	json_add_bool(window, "closed", true);
	json_object_object_add(window, "users", ids_json(s.uids, s.n_uids));
	json_object_object_add(window, "groups", ids_json(s.gids, s.n_gids));
	json_object_object_add(o, "startup", window);
}

static int print_json(const struct policy *policy,
		      const struct policy_diags *diags)
{
	struct json_object *o = json_object_new_object();
	struct json_object *rules = json_object_new_array();
	size_t i;

	for (i = 0; policy && i < policy_rule_count(policy); i++)
		json_object_array_add(rules,
				      action_json(policy_action(policy, i)));
	json_add_bool(o, "ok", policy && !diags->errors);
	if (policy)
		add_startup(o, policy);
	json_object_object_add(o, "rules", rules);
	json_object_object_add(o, "diags", policy_diags_json(diags));
	return output_json(o);
}

static void print_rules(const struct policy *policy)
{
	static const char *const headers[] = {
		"Rule", "TLS", "Role", "Protocols", "Timeout", "Key ring",
		"Certificate", "Group", "Environment", "Connection"
	};
	const struct policy_action *a;
	struct table t;
	size_t i;

	table_begin(&t, headers, sizeof(headers) / sizeof(headers[0]));
	for (i = 0; i < policy_rule_count(policy); i++) {
		a = policy_action(policy, i);
		table_cell(&t, "%s", a->rule);
		table_cell(&t, "%s", a->enabled ? "On" : "Off");
		table_cell(&t, "%s", name_of_role((uint8_t)a->role));
		table_cell(&t, "%s%s%s", a->tls12 ? "1.2" : "",
			   a->tls12 && a->tls13 ? "," : "",
			   a->tls13 ? "1.3" : "");
		table_cell(&t, "%u", a->hs_timeout);
		table_cell(&t, "%s", a->keyring ? a->keyring : "");
		table_cell(&t, "%s%s", a->certificates.n ?
			   a->certificates.name[0] : "",
			   a->certificates.n > 1 ? ",..." : "");
		table_cell(&t, "%s", a->group);
		table_cell(&t, "%s", a->environment ? a->environment : "");
		table_cell(&t, "%s", a->connection ? a->connection : "");
	}
	table_end(&t);
}

static void print_ids(const char *what, const uint32_t *ids, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		printf("%s%u", i ? ", " : what, ids[i]);
}

static void print_startup(const struct policy *policy)
{
	struct policy_startup s;

	policy_startup(policy, &s);
	if (!s.closed)
		return;
	fputs("start-up window closed when the module is loaded again", stdout);
	print_ids(", but for users ", s.uids, s.n_uids);
	print_ids(s.n_uids ? " and groups " : ", but for groups ", s.gids,
		  s.n_gids);
	putchar('\n');
}

/* @len: bytes of the compiled rules. */
static void print_text(const struct options *o, const char *file,
		       const struct policy *policy, size_t len,
		       const struct policy_diags *diags)
{
	size_t n;

	policy_diags_print(stderr, diags);
	if (!policy || diags->errors) {
		fprintf(stderr, "%s: %zu error%s\n", file, diags->errors,
			diags->errors == 1 ? "" : "s");
		return;
	}
	if (o->print) {
		policy_print(policy, stdout);
		return;
	}
	if (o->verbose)
		print_rules(policy);
	print_startup(policy);
	n = policy_rule_count(policy);
	printf("%s: %zu rule%s, no errors, %zu KiB in the kernel\n", file, n,
	       n == 1 ? "" : "s", (len + 1023) / 1024);
}

int check_main(const struct options *o, int argc, char **argv)
{
	struct policy_diags diags = { 0 };
	struct policy *policy = policy_load(argv[0], &diags);
	void *blob = NULL;
	int code = EXIT_OK;
	size_t len = 0;

	/* Only compiling tells whether the kernel would take it. */
	if (policy && policy_compile(policy, time(NULL), &blob, &len, &diags)) {
		policy_free(policy);
		policy = NULL;
	}
	if (policy)
		policy_lint(policy, blob, len, &diags);
	free(blob);
	/* For the canonical form they need not be there. */
	if (policy && !o->no_rings && !o->print)
		rings_check(policy, &diags);
	if (o->json)
		code = print_json(policy, &diags);
	else
		print_text(o, argv[0], policy, len, &diags);
	if (!policy || diags.errors)
		code = EXIT_FAILED;
	policy_free(policy);
	policy_diags_free(&diags);
	return output_finish(code);
}
