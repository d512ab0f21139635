// SPDX-License-Identifier: GPL-2.0-only
/* What is in force for a rule, parameter by parameter, and says who. */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

static void print_list(FILE *out, const struct policy_code_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		fprintf(out, "%s%s", i ? " " : "", list->code[i]->name);
}

/* What FIPS140 makes of a default.  False: it leaves it as it is. */
static bool print_fips(FILE *out, const struct param *p,
		       const struct policy_action *a)
{
	bool client = a->role == ATTLS_ROLE_CLIENT;

	if (!a->fips)
		return false;
	if (p->store == STORE_MIN_RSA)
		fprintf(out, "%u", a->min_rsa);
	else if (p->store == STORE_MIN_EC)
		fprintf(out, "%u", a->min_ec);
	else if (p->store == STORE_CLIENT_EMS || p->store == STORE_SERVER_EMS)
		fputs("Required", out);
	else if (p->store == (client ? STORE_CLIENT_CURVES :
			      STORE_SERVER_CURVES))
		print_list(out, &a->curves);
	else if (p->store == STORE_SERVER_SHARES && !client)
		print_list(out, &a->key_shares);
	else
		return false;
	return true;
}

static void print_default(FILE *out, const struct param *p,
			  const struct policy_action *a, bool zos)
{
	long def = policy_default(p, zos);
	const struct choice *c;

	if (print_fips(out, p, a))
		return;
	if (p->store == STORE_SUITES)
		print_list(out, &a->suites);
	else if (p->store == STORE_CERT_SIGALGS && a->cert_sigalgs.n)
		print_list(out, &a->cert_sigalgs);
	else if (p->kind == KIND_CODES)
		fputs("the library's", out);
	else if (p->kind == KIND_NUMBER && p->flags & PARAM_DEFAULT)
		fprintf(out, "%ld", def);
	else if (p->kind == KIND_CHOICE && p->flags & PARAM_DEFAULT)
		for (c = p->choices; c->name; c++)
			if (!c->refused && c->value == def)
				fputs(c->name, out);
}

static void print_values(FILE *out, const struct object *o, int store)
{
	const struct value *v;
	const char *between = "";

	for (v = o->values; v; v = v->next) {
		if (v->param->store != store)
			continue;
		fputs(between, out);
		policy_print_value(v, out);
		between = " ";
	}
}

struct walk {
	struct merged m;
	const struct policy_action *action;
	bool	done[N_STORES];		/* rows of several names */
	void (*fn)(const struct policy_parameter *p, void *arg);
	void	*arg;
};

/* SuiteBProfile decides what the lists and TLSv1.3 would. */
static bool is_of_profile(const struct walk *w, const struct param *param)
{
	return policy_merged_number(&w->m, STORE_SUITE_B) &&
	       param->store != STORE_CERT_SIGALGS &&
	       param->store != STORE_CRL_SIGALGS &&
	       param->store != STORE_OCSP_SIGALGS &&
	       (param->kind == KIND_CODES || param->store == STORE_TLS13);
}

static void print_profile(FILE *out, const struct param *param,
			  const struct policy_action *a)
{
	switch (param->store) {
	case STORE_TLS13:
		fputs("Off", out);
		break;
	case STORE_SUITES:
		print_list(out, &a->suites);
		break;
	case STORE_CLIENT_CURVES:
	case STORE_SERVER_CURVES:
		print_list(out, &a->curves);
		break;
	case STORE_SIGALGS:
		print_list(out, &a->sigalgs);
		break;
	}
}

static void print_value(FILE *out, const struct walk *w,
			const struct param *param)
{
	const struct object *o = w->m.from[param->store].object;

	if (is_of_profile(w, param))
		print_profile(out, param, w->action);
	else if (o)
		print_values(out, o, param->store);
	else
		print_default(out, param, w->action, w->m.zos);
}

static void tell(struct walk *w, const struct param *param)
{
	bool profile = is_of_profile(w, param);
	int store = profile ? STORE_SUITE_B : param->store;
	const struct object *o = w->m.from[store].object;
	const struct value *v = w->m.from[store].value;
	struct policy_parameter p = { .name = param->name };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	if (v) {
		/* Printed, what is inline is a reference. */
		if (!profile && v->param->kind != KIND_REF)
			p.name = v->param->name;
		p.statement = o->st->name;
		p.object = o->name;
		p.place.file = v->file;
		p.place.line = v->line;
		p.place.column = v->column;
	}
	print_value(out, w, param);
	fclose(out);
	p.value = text;
	w->fn(&p, w->arg);
	free(text);
}

static void tell_once(struct walk *w, const struct param *param)
{
	if (param->store == STORE_NONE || w->done[param->store])
		return;
	w->done[param->store] = true;
	tell(w, param);
}

static void tell_statement(struct walk *w, enum statement_id id)
{
	const struct statement *st = &policy_statements[id];
	size_t i;

	for (i = 0; i < st->n_params; i++)
		tell_once(w, &st->params[i]);
}

/* Of a statement that is about revocation as well. */
static void tell_sessions(struct walk *w)
{
	const struct statement *st = &policy_statements[ST_GSK];
	size_t i;

	for (i = 0; i < st->n_params; i++)
		if (st->params[i].store >= STORE_V3_TIMEOUT)
			tell_once(w, &st->params[i]);
}

void policy_parameters(const struct policy *policy, size_t rule_index,
		       void (*fn)(const struct policy_parameter *p, void *arg),
		       void *arg)
{
	static const enum statement_id statements[] = {
		ST_ENVIRONMENT, ST_KEYRING, ST_CIPHERS, ST_SIGNATURES,
		ST_ENV_ADVANCED,
	};
	static const enum statement_id revocation[] = {
		ST_GSK, ST_OCSP, ST_CDP, ST_LDAP,
	};
	struct walk w = { .fn = fn, .arg = arg };
	size_t i;

	if (rule_index >= policy->n_rules)
		return;
	w.action = &policy->actions[rule_index];
	policy_merge_rule(&w.m, policy, policy->rules[rule_index]);
	tell_statement(&w, ST_GROUP);
	tell_statement(&w, ST_GROUP_ADVANCED);
	for (i = 0; w.action->enabled &&
	     i < sizeof(statements) / sizeof(statements[0]); i++)
		tell_statement(&w, statements[i]);
	if (w.action->enabled)
		tell_sessions(&w);
	for (i = 0; w.action->enabled &&
	     policy_revocation_given(&w.action->revocation) &&
	     i < sizeof(revocation) / sizeof(revocation[0]); i++)
		tell_statement(&w, revocation[i]);
}
