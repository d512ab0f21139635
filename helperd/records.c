// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the record layer stands when the handshake ends.
 *
 * kTLS must go on at exactly the record at which OpenSSL stopped, and
 * OpenSSL has no public way to ask.  So the records are counted as they
 * pass.  The message callback sees each header at the moment its record is
 * encrypted or taken in, which is the moment that matters next to a change
 * of keys.  What it does not show is the explicit nonce of TLS 1.2; that is
 * picked from the bytes on their way to the handshake file.
 */
#include "attlsd.h"

#include <errno.h>
#include <string.h>

#define HEADER_LEN	5
#define HANDSHAKE_HEADER_LEN	4
#define LIST_HEADER_LEN	3
#define TYPE_CCS	20
#define TYPE_V2_HELLO	0x80

/*
 * A TLS 1.2 key begins at the ChangeCipherSpec, a TLS 1.3 key when its
 * secret is derived.  The ChangeCipherSpec of TLS 1.3 is decoration and
 * takes no sequence number.
 */
static void count_header(struct attlsd_flow *flow, const uint8_t *header)
{
	if (header[0] != TYPE_CCS)
		flow->count++;
	else if (!flow->keyed)
		flow->count = 0;
}

/*
 * Who is asked for a certificate and has none to show sends a message with an
 * empty list of them.  In TLS 1.3 the context of the request is before it.
 */
static bool has_certificate(const uint8_t *message, size_t len, int version)
{
	size_t at = HANDSHAKE_HEADER_LEN;

	if (message[0] != SSL3_MT_CERTIFICATE)
		return false;
	if (version == TLS1_3_VERSION && at < len)
		at += 1 + message[at];
	return at + LIST_HEADER_LEN < len;
}

static void on_message(int out, int version, int type, const void *buf,
		       size_t len, SSL *ssl, void *arg)
{
	struct attlsd_records *rec = arg;
	const uint8_t *bytes = buf;

	if (!rec)
		return;
	if (type == SSL3_RT_HEADER && len >= HEADER_LEN)
		count_header(out ? &rec->tx : &rec->rx, bytes);
	else if (type == SSL3_RT_ALERT && len >= 2 && out)
		rec->alert_sent = bytes[1];
	else if (type == SSL3_RT_ALERT && len >= 2)
		rec->alert_received = bytes[1];
	else if (type == SSL3_RT_HANDSHAKE && len && out)
		rec->shown |= has_certificate(bytes, len, version);
}

/* The start of a record has been seen in full. */
static void end_of_head(struct attlsd_flow *flow)
{
	if (flow->head[0] == TYPE_CCS) {
		flow->passed = 0;
		flow->ccs = true;
	} else if (flow->ccs) {
		flow->passed++;
		memcpy(flow->nonce, flow->head + HEADER_LEN, 8);
	}
}

static size_t take_head(struct attlsd_flow *flow, const uint8_t *p, size_t n)
{
	size_t want = HEADER_LEN;

	if (flow->have >= HEADER_LEN)
		want += flow->left < 8 ? flow->left : 8;
	if (n > want - flow->have)
		n = want - flow->have;
	memcpy(flow->head + flow->have, p, n);
	flow->have += n;
	if (flow->have == HEADER_LEN && want == HEADER_LEN)
		flow->left = flow->head[3] << 8 | flow->head[4];
	return n;
}

/* Head: the header and the eight bytes behind it, or as many as there are. */
static bool head_complete(const struct attlsd_flow *flow)
{
	uint32_t body = flow->left < 8 ? flow->left : 8;

	return flow->have >= HEADER_LEN && flow->have == HEADER_LEN + body;
}

static void follow(struct attlsd_flow *flow, const uint8_t *p, size_t n)
{
	while (n) {
		size_t used;

		if (!flow->skip) {
			used = take_head(flow, p, n);
			if (head_complete(flow)) {
				end_of_head(flow);
				flow->skip = flow->left - (flow->have -
							   HEADER_LEN);
				flow->have = 0;
			}
		} else {
			used = n < flow->skip ? n : flow->skip;
			flow->skip -= used;
		}
		p += used;
		n -= used;
	}
}

static void note_start(struct attlsd_records *rec, const uint8_t *p, size_t n)
{
	while (n-- && rec->start_len < sizeof(rec->start))
		rec->start[rec->start_len++] = *p++;
}

static long on_bio(BIO *bio, int oper, const char *argp, size_t len, int argi,
		   long argl, int ret, size_t *processed)
{
	struct attlsd_records *rec = (void *)BIO_get_callback_arg(bio);
	int error = errno;

	if (oper != (BIO_CB_READ | BIO_CB_RETURN) &&
	    oper != (BIO_CB_WRITE | BIO_CB_RETURN))
		return ret;
	if (ret > 0 && processed && oper & BIO_CB_RETURN) {
		bool out = (oper & ~BIO_CB_RETURN) == BIO_CB_WRITE;

		follow(out ? &rec->tx : &rec->rx, (void *)argp, *processed);
		if (!out)
			note_start(rec, (void *)argp, *processed);
	} else if (!BIO_should_retry(bio)) {
		if (ret < 0)
			rec->io_error = error;
		else if (oper == (BIO_CB_READ | BIO_CB_RETURN))
			rec->eof = true;
	}
	return ret;
}

void attlsd_records_watch(struct attlsd_records *rec, SSL *ssl, BIO *bio)
{
	memset(rec, 0, sizeof(*rec));
	rec->alert_sent = -1;
	rec->alert_received = -1;
	SSL_set_msg_callback(ssl, on_message);
	SSL_set_msg_callback_arg(ssl, rec);
	BIO_set_callback_arg(bio, (char *)rec);
	BIO_set_callback_ex(bio, on_bio);
}

void attlsd_records_keyed(struct attlsd_flow *flow)
{
	flow->keyed = true;
	flow->count = 0;
}

/* What came first does not look like any TLS, nor like an SSL 2 hello. */
bool attlsd_records_cleartext(const struct attlsd_records *rec)
{
	const uint8_t *s = rec->start;

	if (!rec->start_len)
		return false;
	if (s[0] & TYPE_V2_HELLO)
		return rec->start_len > 2 && s[2] != 1;
	if (s[0] < TYPE_CCS || s[0] > 23)
		return true;
	return rec->start_len > 1 && s[1] != 3;
}

/* The callbacks of an SSL_CTX have no other way to say it. */
void attlsd_records_refused(const SSL *ssl, const char *why)
{
	attlsd_ours(ssl)->secrets->rec.refused = why;
}
