// SPDX-License-Identifier: GPL-2.0-only
/* TTLSGskAdvancedParms: which sessions are resumed, and how long. */
#include "tree.h"

#define COUNT_MAX	16		/* tickets that a client can use */
#define TIMEOUT_MAX	604800		/* RFC 8446 section 4.6.1 */

static unsigned int number(const struct merged *m, enum store store)
{
	return (unsigned int)policy_merged_number(m, store);
}

static unsigned int bounded(const struct merged *m, enum store store,
			    unsigned int max)
{
	unsigned int n = number(m, store);

	return n < max ? n : max;
}

void policy_sessions_fill(struct policy_sessions *s, const struct merged *m)
{
	s->client_tickets = number(m, STORE_CLIENT_TICKETS) &&
			    number(m, STORE_TICKETS_CACHED);
	s->ticket_size = number(m, STORE_TICKET_SIZE);
	s->server_tickets = number(m, STORE_SERVER_TICKETS);
	s->count = bounded(m, STORE_TICKET_COUNT, COUNT_MAX);
	s->key_bits = number(m, STORE_TICKET_ALGORITHM);
	s->refresh = number(m, STORE_TICKET_REFRESH);
	s->timeout = bounded(m, STORE_TICKET_TIMEOUT, TIMEOUT_MAX);
	s->v3_size = bounded(m, STORE_V3_SIZE, POLICY_SESSIONS_MAX);
	s->v3_timeout = number(m, STORE_V3_TIMEOUT);
}

/* Once for all of them, as policies of z/OS have it everywhere. */
static void tell_bound(struct builder *b, const struct value *v, long max,
		       const char *why)
{
	if (!v || v->number <= max || b->told[v->param->id])
		return;
	b->told[v->param->id] = true;
	policy_warn(b, v, NULL, "%s %ld is taken as %ld: %s", v->param->name,
		    v->number, max, why);
}

static void tell_idle(struct builder *b, const struct value *v)
{
	if (!v || !v->number || b->told[v->param->id])
		return;
	b->told[v->param->id] = true;
	policy_warn(b, v, NULL, "%s %ld has no effect: attlsd keeps %d "
		    "sessions, of all rules together", v->param->name,
		    v->number, POLICY_SESSIONS_MAX);
}

void policy_sessions_check(struct builder *b, const struct merged *m)
{
	tell_bound(b, m->from[STORE_V3_SIZE].value, POLICY_SESSIONS_MAX,
		   "attlsd keeps no more sessions");
	tell_bound(b, m->from[STORE_TICKET_COUNT].value, COUNT_MAX,
		   "no client can use more tickets");
	tell_bound(b, m->from[STORE_TICKET_TIMEOUT].value, TIMEOUT_MAX,
		   "no ticket lasts longer than a week (RFC 8446)");
	tell_idle(b, m->from[STORE_TICKETS_CACHED].value);
}
