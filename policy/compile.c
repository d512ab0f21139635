// SPDX-License-Identifier: GPL-2.0-only
/* Rules in precedence order to the rule set of uapi/attls_rule.h. */
#include "format.h"
#include "set.h"
#include "times.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct compiler {
	const struct policy *policy;
	int64_t	now;
	struct policy_calendar *calendar; /* NULL: no rule has a time */
	struct set_tables set;
	uint32_t *name;			/* string offset by object, or 0 */
	struct attls_slice *slice;	/* of a shared condition by object */
	size_t	bytes;			/* of the set so far */
};

/* NULL over the bound of a set: the caller's table then stays as it was. */
static void *table_add(struct compiler *c, struct table *t, size_t n)
{
	c->bytes += n * t->size;
	return c->bytes > ATTLS_SET_MAX_BYTES ? NULL :
	       policy_table_add(t, n);
}

static uint32_t add_name(struct compiler *c, const struct object *o)
{
	size_t size;
	char *text;

	if (!o)
		return 0;
	if (c->name[o->seq])
		return c->name[o->seq];
	size = strlen(o->name) + 1;
	c->name[o->seq] = (uint32_t)c->set.strings.n;
	text = table_add(c, &c->set.strings, size);
	if (text)
		memcpy(text, o->name, size);
	return c->name[o->seq];
}

static void add_range(struct compiler *c, const uint8_t *lo, const uint8_t *hi)
{
	struct attls_addr_range *r = table_add(c, &c->set.addrs, 1);

	if (!r)
		return;
	memcpy(r->lo, lo, sizeof(r->lo));
	memcpy(r->hi, hi, sizeof(r->hi));
}

/*
 * IPv4 lives inside the IPv6 numbers, but ::/0 means every IPv6 address and
 * no IPv4: a range that goes past both ends of the mapped block leaves it
 * out.
 */
static void add_addr(struct compiler *c, const struct attls_addr_range *r)
{
	static const uint8_t below[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
		0xfe, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t above[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
		0, 0, 0, 0 };

	if (memcmp(r->lo, below, sizeof(below)) > 0 ||
	    memcmp(r->hi, above, sizeof(above)) < 0) {
		add_range(c, r->lo, r->hi);
		return;
	}
	add_range(c, r->lo, below);
	add_range(c, above, r->hi);
}

static void add_port(struct compiler *c, const struct attls_port_range *ports)
{
	struct attls_port_range *r = table_add(c, &c->set.ports, 1);

	if (r)
		*r = *ports;
}

/* Adds the values of @id of @o and of all it refers to; true: any at all. */
static bool add_conditions(struct compiler *c, const struct object *o,
			   enum param_id id)
{
	const struct value *v;
	bool any = false;

	for (v = o->values; v; v = v->next) {
		if (v->param->id != id)
			continue;
		if (v->any)
			any = true;
		else if (v->param->kind == KIND_ADDR)
			add_addr(c, &v->addr);
		else if (v->param->kind == KIND_PORTS)
			add_port(c, &v->ports);
		else		/* a shared statement has one kind of value */
			any |= add_conditions(c, v->object,
					      v->object->values->param->id);
	}
	return any;
}

/* A condition that is nothing but one shared statement, or NULL. */
static const struct object *shared(const struct object *rule, enum param_id id)
{
	const struct value *v = policy_object_value(rule, id);
	const struct value *other;

	if (!v || v->param->kind != KIND_REF)
		return NULL;
	for (other = v->next; other; other = other->next)
		if (other->param->id == id)
			return NULL;
	return v->object;
}

static struct attls_slice conditions(struct compiler *c, struct table *t,
				     const struct object *rule,
				     enum param_id id)
{
	struct attls_slice slice = { (uint32_t)t->n, 0 };
	const struct object *o = shared(rule, id);

	if (o && c->slice[o->seq].count)
		return c->slice[o->seq];
	if (add_conditions(c, rule, id)) {
		/* The others add nothing to any. */
		c->bytes -= (t->n - slice.first) * t->size;
		t->n = slice.first;
	}
	slice.count = (uint32_t)(t->n - slice.first);
	if (o)
		c->slice[o->seq] = slice;
	return slice;
}

/* All ids of the values of @id; any of them: none. */
static struct attls_slice ids(struct compiler *c, const struct object *rule,
			      enum param_id id)
{
	struct attls_slice slice = { (uint32_t)c->set.ids.n, 0 };
	struct attls_id_range *r;
	const struct value *v;

	for (v = rule->values; v; v = v->next) {
		if (v->param->id != id || v->any)
			continue;
		r = table_add(c, &c->set.ids, v->ids.n);
		if (r)
			memcpy(r, v->ids.range, v->ids.n * sizeof(*r));
	}
	slice.count = (uint32_t)c->set.ids.n - slice.first;
	return slice;
}

static uint32_t add_text(struct compiler *c, const char *text)
{
	uint32_t at = (uint32_t)c->set.strings.n;
	char *to = table_add(c, &c->set.strings, strlen(text) + 1);

	if (to)
		strcpy(to, text);
	return at;
}

static struct attls_slice paths(struct compiler *c, const struct object *rule,
				enum param_id id)
{
	struct attls_slice slice = { (uint32_t)c->set.refs.n, 0 };
	const struct value *v;
	uint32_t *ref;

	for (v = rule->values; v; v = v->next) {
		if (v->param->id != id)
			continue;
		ref = table_add(c, &c->set.refs, 1);
		if (ref)
			*ref = add_text(c, v->text);
	}
	slice.count = (uint32_t)c->set.refs.n - slice.first;
	return slice;
}

static struct attls_slice add_times(struct compiler *c,
				    const struct object *rule)
{
	struct table ranges = { .size = sizeof(struct attls_time_range) };
	struct attls_slice slice = { (uint32_t)c->set.times.n, 0 };
	const struct value *v;
	void *to;

	for (v = rule->values; v; v = v->next)
		if (v->param->id == P_TIME)
			policy_times_add(v->object, c->calendar, &ranges);
	policy_times_sort(&ranges);
	to = table_add(c, &c->set.times, ranges.n);
	if (to)
		memcpy(to, ranges.data, ranges.n * ranges.size);
	slice.count = (uint32_t)c->set.times.n - slice.first;
	free(ranges.data);
	return slice;
}

static struct attls_slice times(struct compiler *c, const struct object *rule)
{
	const struct object *o = shared(rule, P_TIME);
	struct attls_slice slice = { 0 };

	if (!policy_object_value(rule, P_TIME))
		return slice;
	if (!o)
		return add_times(c, rule);
	if (!c->slice[o->seq].count)
		c->slice[o->seq] = add_times(c, rule);
	return c->slice[o->seq];
}

static void set_job(struct attls_rule *r, const struct object *rule)
{
	const struct value *v = policy_object_value(rule, P_JOB);
	size_t len;

	if (!v)
		return;
	len = strcspn(v->text, "*");
	if (v->text[len])
		r->flags |= ATTLS_RULE_JOB_PREFIX;
	memcpy(r->job, v->text, len);
	r->job_len = (uint8_t)len;
}

static const struct object *named(const struct object *rule, enum param_id id)
{
	return policy_object_value(rule, id) ?
	       policy_object_value(rule, id)->object : NULL;
}

static void set_action(struct compiler *c, struct attls_rule *r,
		       const struct object *rule,
		       const struct policy_action *a)
{
	r->group = add_name(c, named(rule, P_GROUP));
	if (!a->enabled)
		return;
	r->environment = add_name(c, named(rule, P_ENVIRONMENT));
	r->connection = add_name(c, named(rule, P_CONNECTION));
	r->role = (uint8_t)a->role;
	r->hs_timeout = (uint16_t)a->hs_timeout;
	r->reset_timer = (uint16_t)a->reset_timer;
	r->flags |= ATTLS_RULE_ENABLED;
	if (a->appl_controlled)
		r->flags |= ATTLS_RULE_APPLCNTRL;
	if (!a->truncation_check)
		r->flags |= ATTLS_RULE_TRUNC_OK;
	if (a->secondary_map)
		r->flags |= ATTLS_RULE_SECONDARY;
	if (a->fips)
		r->flags |= ATTLS_RULE_FIPS;
}

static void add_rule(struct compiler *c, const struct object *rule,
		     const struct policy_action *a)
{
	struct attls_rule r = { 0 };
	struct attls_rule *slot;

	r.name = add_name(c, rule);
	r.priority = (uint32_t)policy_object_number(rule, P_PRIORITY, 1);
	r.direction = (uint8_t)policy_object_number(rule, P_DIRECTION, 0);
	set_job(&r, rule);
	set_action(c, &r, rule, a);
	r.local_addrs = conditions(c, &c->set.addrs, rule, P_LOCAL_ADDR);
	r.remote_addrs = conditions(c, &c->set.addrs, rule, P_REMOTE_ADDR);
	r.local_ports = conditions(c, &c->set.ports, rule, P_LOCAL_PORTS);
	r.remote_ports = conditions(c, &c->set.ports, rule, P_REMOTE_PORTS);
	r.uids = ids(c, rule, P_USER);
	r.gids = ids(c, rule, P_GID);
	r.netns = ids(c, rule, P_NETNS);
	r.times = times(c, rule);
	r.exes = paths(c, rule, P_EXE);
	r.cgroups = paths(c, rule, P_CGROUP);
	slot = table_add(c, &c->set.rules, 1);
	if (slot)
		*slot = r;
}

/* What nothing else is for. */
static void add_denial(struct compiler *c)
{
	struct attls_rule *r = table_add(c, &c->set.rules, 1);
	uint32_t name = add_text(c, "DefaultAction");

	if (!r)
		return;
	r->name = name;
	r->direction = ATTLS_INBOUND | ATTLS_OUTBOUND;
	r->flags = ATTLS_RULE_DENY;
}

static void begin(struct compiler *c, const struct policy *policy,
		  int64_t now)
{
	memset(c, 0, sizeof(*c));
	c->policy = policy;
	c->now = now;
	if (policy_timed(policy))
		c->calendar = policy_calendar_make(now);
	c->name = policy_calloc(policy->n_objects, sizeof(*c->name));
	c->slice = policy_calloc(policy->n_objects, sizeof(*c->slice));
	policy_set_begin(&c->set);
	c->bytes = policy_set_size(&c->set);
}

static void end(struct compiler *c)
{
	policy_set_free(&c->set);
	free(c->name);
	free(c->slice);
	free(c->calendar);
}

/* The kernel would refuse what this refuses; say it while it can be said. */
static int self_check(const struct compiler *c, const void *blob,
		      struct policy_diags *diags)
{
	const struct policy_place at = { c->policy->file, 0, 0 };
	struct attls_set set;
	const char *wrong;
	__u32 where;

	wrong = attls_set_parse(&set, blob, (__u32)c->bytes, &where);
	if (!wrong)
		return 0;
	policy_diags_add(diags, POLICY_ERROR, &at, "please report this",
			 "the compiled rule set is wrong at rule %u: %s",
			 where, wrong);
	return -EINVAL;
}

static bool fits(const struct compiler *c)
{
	return c->set.rules.n <= ATTLS_SET_MAX_RULES &&
	       c->bytes <= ATTLS_SET_MAX_BYTES;
}

static int finish(struct compiler *c, void **blob, size_t *len,
		  struct policy_diags *diags)
{
	const struct policy_place at = { c->policy->file, 0, 0 };
	struct attls_set_header *header;
	int ret;

	if (fits(c)) {
		policy_set_index(&c->set);
		c->bytes = policy_set_size(&c->set);
	}
	if (!fits(c)) {
		policy_diags_add(diags, POLICY_ERROR, &at,
				 "use IpAddrGroup, PortGroup and "
				 "IpTimeCondition by reference, which rules "
				 "share",
				 "the policy is too large: at most %u rules "
				 "and %u MiB when compiled",
				 ATTLS_SET_MAX_RULES,
				 ATTLS_SET_MAX_BYTES >> 20);
		return -E2BIG;
	}
	header = policy_set_assemble(&c->set);
	if (!header) {
		policy_diags_add(diags, POLICY_ERROR, &at, NULL,
				 "no memory for %zu bytes", c->bytes);
		return -ENOMEM;
	}
	policy_times_known(c->now, header);
	*blob = header;
	*len = c->bytes;
	ret = self_check(c, *blob, diags);
	if (ret) {
		free(*blob);
		*blob = NULL;
	}
	return ret;
}

int policy_compile(const struct policy *policy, int64_t now, void **blob,
		   size_t *len, struct policy_diags *diags)
{
	struct compiler c;
	size_t i;
	int ret;

	*blob = NULL;
	*len = 0;
	begin(&c, policy, now);
	for (i = 0; i < policy->n_rules && c.bytes <= ATTLS_SET_MAX_BYTES; i++)
		add_rule(&c, policy->rules[i], &policy->actions[i]);
	if (policy_object_number(&policy->settings, P_DEFAULT_ACTION, 0))
		add_denial(&c);
	ret = finish(&c, blob, len, diags);
	end(&c);
	return ret;
}
