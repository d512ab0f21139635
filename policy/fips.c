// SPDX-License-Identifier: GPL-2.0-only
/*
 * FIPS140 of the group action: what FIPS 140-3 approves and nothing else.
 *
 * System SSL has levels: On and Level1 take keys worth 80 bits, Level2 takes
 * them from others, Level3 wants 112 bits of all.  OpenSSL takes less from
 * nobody anyway, so here all are what Level3 is.
 */
#include "tree.h"

#define MIN_RSA		2048		/* bits */
#define MIN_EC		224

static void refuse(struct builder *b, const struct merged *m,
		   const struct value *v, const char *text)
{
	const struct value *fips = m->from[STORE_FIPS].value;
	char hint[64];

	snprintf(hint, sizeof(hint),
		 "leave it out, or write FIPS140 Off in line %d", fips->line);
	policy_error(b, v, hint,
		     "%s %s: FIPS140 %s of TTLSGroupAction \"%s\" does not "
		     "allow it", v->param->name, text, fips->text,
		     m->from[STORE_FIPS].object->name);
}

/* Any stands for those that are allowed. */
static void check_codes(struct builder *b, const struct merged *m,
			enum store store)
{
	const struct object *o = m->from[store].object;
	const struct value *v;
	size_t i;

	for (v = o ? o->values : NULL; v; v = v->next)
		for (i = 0; v->param->store == (int)store && !v->any &&
		     i < v->codes.n; i++)
			if (!v->codes.list[i]->never &&
			    !(v->codes.list[i]->flags & POLICY_CODE_FIPS))
				refuse(b, m, v, v->codes.list[i]->name);
}

static void check_least(struct builder *b, const struct merged *m,
			enum store store, long least)
{
	const struct value *v = m->from[store].value;

	if (v && v->number < least)
		refuse(b, m, v, v->text);
}

/* SP 800-135: only so are the keys of TLS 1.2 derived as they must. */
static void check_ems(struct builder *b, const struct merged *m,
		      enum store store)
{
	const struct value *v = m->from[store].value;

	if (v && v->number != POLICY_EMS_REQUIRED)
		refuse(b, m, v, v->text);
}

void policy_fips_fill(struct policy_action *a, const struct merged *m)
{
	a->fips = policy_merged_number(m, STORE_FIPS);
	a->fips_place = policy_merged_place(m, STORE_FIPS);
	if (!a->fips)
		return;
	a->ems = POLICY_EMS_REQUIRED;
	if (a->min_rsa < MIN_RSA)
		a->min_rsa = MIN_RSA;
	if (a->min_ec < MIN_EC)
		a->min_ec = MIN_EC;
}

void policy_fips_check(struct builder *b, const struct policy_action *a,
		       const struct merged *m)
{
	bool client = a->role == ATTLS_ROLE_CLIENT;

	if (!a->fips)
		return;
	/* A profile puts the lists aside, and has what is allowed. */
	if (!policy_merged_number(m, STORE_SUITE_B)) {
		check_codes(b, m, STORE_SUITES);
		check_codes(b, m, client ? STORE_CLIENT_SHARES :
			    STORE_SERVER_SHARES);
		check_codes(b, m, client ? STORE_CLIENT_CURVES :
			    STORE_SERVER_CURVES);
	}
	check_least(b, m, STORE_MIN_RSA, MIN_RSA);
	check_least(b, m, STORE_MIN_EC, MIN_EC);
	check_ems(b, m, client ? STORE_CLIENT_EMS : STORE_SERVER_EMS);
}
