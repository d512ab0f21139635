// SPDX-License-Identifier: GPL-2.0-only
/*
 * The buffer of version 2 of SIOCTTLSCTL: a header, then questions of four
 * numbers each, then room for answers.
 *
 * The program may write to the buffer while we read it: each part is read
 * once, and what was read is what counts.
 */
#include "internal.h"
#include <linux/slab.h>
#include <linux/uaccess.h>

static_assert(sizeof(struct TTLSHeader) == 44);
static_assert(sizeof(struct TTLSQuadruplet) == 16);

/* One question and its answer; what points elsewhere outlives the call. */
struct answer {
	struct TTLSQuadruplet	quad;
	const void		*data;
	u32			len;
};

struct query {
	u8 __user		*buffer;
	u32			size;
	u32			end;	/* of what is there, and of answers */
	u32			n_sets;
	u32			n;	/* with the sets */
	struct TTLSHeader	header;
	struct answer		answers[TTLS_QUADRUPLETS_MAX];
};

static u32 quad_at(u32 i)
{
	return sizeof(struct TTLSHeader) + i * sizeof(struct TTLSQuadruplet);
}

static int read_header(struct query *q)
{
	const struct TTLSHeader *h = &q->header;

	if (q->size < sizeof(*h) || q->size > TTLS_BUFFER_MAX)
		return -EINVAL;
	if (copy_from_user(&q->header, q->buffer, sizeof(*h)))
		return -EFAULT;
	if (memcmp(h->TTLSHeaderIdent, TTLSHdr_Ident,
		   sizeof(h->TTLSHeaderIdent)) ||
	    memchr_inv(h->TTLSHdrRsvd1, 0, sizeof(h->TTLSHdrRsvd1)) ||
	    memchr_inv(h->TTLSHdrRsvd2, 0, sizeof(h->TTLSHdrRsvd2)) ||
	    h->TTLSHdr_SetCount > TTLS_QUADRUPLETS_MAX ||
	    h->TTLSHdr_GetCount > TTLS_QUADRUPLETS_MAX -
				  h->TTLSHdr_SetCount)
		return -EINVAL;
	q->n_sets = h->TTLSHdr_SetCount;
	q->n = q->n_sets + h->TTLSHdr_GetCount;
	q->end = quad_at(q->n);
	return q->end > q->size ? -EINVAL : 0;
}

/* Sets bring data, and so does one of the Gets. */
static bool has_input(const struct query *q, u32 i)
{
	return i < q->n_sets ||
	       q->answers[i].quad.TTLSQ_Key == TTLSK_Host_Status;
}

static int read_quads(struct query *q)
{
	struct TTLSQuadruplet *quad;
	u32 i;

	for (i = 0; i < q->n; i++) {
		quad = &q->answers[i].quad;
		if (copy_from_user(quad, q->buffer + quad_at(i),
				   sizeof(*quad)))
			return -EFAULT;
		if (!has_input(q, i))
			continue;
		if (quad->TTLSQ_Offset < quad_at(q->n) ||
		    quad->TTLSQ_Offset > q->size ||
		    quad->TTLSQ_Length > q->size - quad->TTLSQ_Offset)
			return -EINVAL;
		q->end = max(q->end, quad->TTLSQ_Offset + quad->TTLSQ_Length);
	}
	return 0;
}

static void answer_text(struct answer *a, const char *text)
{
	a->data = text;
	a->len = strlen(text) + 1;
}

static void answer_name(struct answer *a, const struct attls_conn *conn,
			const struct attls_rule *rule, u32 offset)
{
	answer_text(a, rule && offset ?
		    attls_set_string(&conn->policy->set, offset) : "");
}

static void answer_certificate(struct answer *a, const struct attls_peer *peer)
{
	if (!peer) {
		a->quad.TTLSQ_Rcode = TTLSQ_NO_CERTIFICATE;
		return;
	}
	a->data = peer->data;
	a->len = peer->cert_len;
}

/* The name comes with its NUL, and without another. */
static int answer_host(struct query *q, struct answer *a,
		       const struct attls_peer *peer)
{
	u32 len = a->quad.TTLSQ_Length;
	char host[TTLS_HOST_MAX];

	if (!len || len > sizeof(host))
		return -EINVAL;
	if (copy_from_user(host, q->buffer + a->quad.TTLSQ_Offset, len))
		return -EFAULT;
	if (strnlen(host, len) != len - 1)
		return -EINVAL;
	a->quad.TTLSQ_Rcode = !peer ? TTLSQ_NO_CERTIFICATE :
			      attls_peer_is(peer, host) ? TTLSQ_OK :
			      TTLSQ_HOST_MISMATCH;
	return 0;
}

static void answer_session(struct answer *a, const struct attls_call *call)
{
	if (!memchr_inv(call->session, 0, sizeof(call->session)))
		return;
	a->data = call->session;
	a->len = sizeof(call->session);
}

static int set_session(struct query *q, struct answer *a,
		       const struct attls_call *call, u32 flags)
{
	u8 token[ATTLS_SESSION_LEN];
	int err = -EISCONN;

	if (a->quad.TTLSQ_Length != sizeof(token))
		return -EINVAL;
	if (copy_from_user(token, q->buffer + a->quad.TTLSQ_Offset,
			   sizeof(token)))
		return -EFAULT;
	if (attls_api_rule(call))
		err = attls_wish_session(call->conn, token, flags);
	a->quad.TTLSQ_Rcode = err ? TTLSQ_TOO_LATE : TTLSQ_OK;
	return err == -EISCONN ? 0 : err;
}

static int set(struct query *q, struct answer *a,
	       const struct attls_call *call)
{
	switch (a->quad.TTLSQ_Key) {
	case TTLSK_Session_Reuse:
		return set_session(q, a, call, 0);
	case TTLSK_Session_Reuse_Required:
		return set_session(q, a, call, ATTLS_SESSION_REQUIRED);
	default:
		a->quad.TTLSQ_Rcode = TTLSQ_KEY_UNKNOWN;
		return 0;
	}
}

static int answer(struct query *q, struct answer *a,
		  const struct attls_call *call)
{
	const struct attls_conn *conn = call->conn;
	const struct attls_rule *rule = attls_api_rule(call);

	a->quad.TTLSQ_Rcode = TTLSQ_OK;
	switch (a->quad.TTLSQ_Key) {
	case TTLSK_TTLSRuleName:
		answer_name(a, conn, rule, rule ? rule->name : 0);
		return 0;
	case TTLSK_TTLSGroupActionName:
		answer_name(a, conn, rule, rule ? rule->group : 0);
		return 0;
	case TTLSK_TTLSEnvironmentActionName:
		answer_name(a, conn, rule, rule ? rule->environment : 0);
		return 0;
	case TTLSK_TTLSConnectionActionName:
		answer_name(a, conn, rule, rule ? rule->connection : 0);
		return 0;
	case TTLSK_Certificate:
		answer_certificate(a, call->peer);
		return 0;
	case TTLSK_Host_Status:
		return answer_host(q, a, call->peer);
	case TTLSK_UserID:
		answer_text(a, call->user);
		return 0;
	case TTLSK_Session_Token:
		answer_session(a, call);
		return 0;
	default:
		a->quad.TTLSQ_Rcode = TTLSQ_KEY_UNKNOWN;
		return 0;
	}
}

/* Where each answer goes; -ENOBUFS: there is not enough room for all. */
static int place(struct query *q)
{
	u64 end = q->end;
	u32 i;

	for (i = q->n_sets; i < q->n; i++) {
		if (has_input(q, i))
			continue;
		q->answers[i].quad.TTLSQ_Offset = end;
		q->answers[i].quad.TTLSQ_Length = q->answers[i].len;
		end += q->answers[i].len;
	}
	q->header.TTLSHdr_BytesNeeded = end;
	return end > q->size ? -ENOBUFS : 0;
}

static bool put(struct query *q, u32 at, const void *from, size_t len)
{
	return !len || !copy_to_user(q->buffer + at, from, len);
}

static int write_answers(struct query *q)
{
	const struct answer *a;
	u32 i;

	for (i = 0; i < q->n; i++) {
		a = &q->answers[i];
		if (!put(q, quad_at(i), &a->quad, sizeof(a->quad)) ||
		    !put(q, a->quad.TTLSQ_Offset, a->data, a->len))
			return -EFAULT;
	}
	return 0;
}

static int ask(struct query *q, const struct attls_call *call)
{
	int err = read_header(q) ?: read_quads(q);
	u32 i;

	for (i = 0; i < q->n && !err; i++)
		err = i < q->n_sets ? set(q, &q->answers[i], call) :
				      answer(q, &q->answers[i], call);
	if (err)
		return err;
	if (!place(q))
		return write_answers(q);
	return put(q, 0, &q->header, sizeof(q->header)) ? -ENOBUFS : -EFAULT;
}

/* Answers what the buffer of @call asks. */
int attls_api_query(struct attls_call *call)
{
	struct query *q = kzalloc(sizeof(*q), GFP_KERNEL);
	int err;

	if (!q)
		return -ENOMEM;
	q->buffer = u64_to_user_ptr(call->io.TTLSi_BufferPtr);
	q->size = call->io.TTLSi_BufferLen;
	err = ask(q, call);
	if (err == -EINVAL)
		call->io.TTLSi_Reason = TTLS_JrSocketCallParmError;
	else if (err == -ENOBUFS)
		call->io.TTLSi_Reason = TTLS_JrBuffTooSmall;
	kfree(q);
	return err;
}
