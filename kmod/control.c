// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS records that are not application data: alerts, session tickets, key
 * updates.  kTLS stops in front of one and answers EIO to a receive that
 * brings no room for the record type; nothing has been copied then, and the
 * record stays at the head until somebody reads it with that room.  That is
 * what attls_control_consume() does, so the application never sees one.
 */
#include "internal.h"
#include <linux/tcp.h>
#include <linux/unaligned.h>
#include <net/tcp.h>
#include <net/tls.h>

#define ALERT_WARNING		1
#define ALERT_FATAL		2

enum alert {				/* RFC 8446 section 6 */
	ALERT_CLOSE_NOTIFY		= 0,
	ALERT_UNEXPECTED_MESSAGE	= 10,
	ALERT_BAD_RECORD_MAC		= 20,
	ALERT_INTERNAL_ERROR		= 80,
	ALERT_USER_CANCELED		= 90,
	ALERT_NO_RENEGOTIATION		= 100,
};

#define HS_HELLO_REQUEST	0
#define HS_CLIENT_HELLO		1
#define HS_NEW_SESSION_TICKET	4

/*
 * So many control records a peer may send at once without data in between,
 * and one more each second: tickets and key updates come in handfuls.
 */
#define CONTROL_RUN_MAX		64

/*
 * Reads into @buf without blocking.  @type: where the record type goes, or
 * NULL to have kTLS refuse control records with -EIO.
 */
static int ktls_read(struct socket *sock, void *buf, size_t len, int flags,
		     u8 *type)
{
	union {
		struct cmsghdr	hdr;
		char		room[CMSG_SPACE(sizeof(u8))];
	} control = {};
	struct kvec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	int ret;

	if (type) {
		*type = 0;
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &iov, 1, len);
	ret = attls_ktls_of(sock)->recvmsg(sock, &msg, len, MSG_DONTWAIT | flags);
	if (ret >= 0 && type && control.hdr.cmsg_level == SOL_TLS &&
	    control.hdr.cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *(u8 *)CMSG_DATA(&control.hdr);
	return ret;
}

static int send_alert(struct socket *sock, u8 level, u8 description)
{
	union {
		struct cmsghdr	hdr;
		char		room[CMSG_SPACE(sizeof(u8))];
	} control = {};
	u8 alert[2] = { level, description };
	struct kvec iov = { .iov_base = alert, .iov_len = sizeof(alert) };
	struct msghdr msg = {
		.msg_control = &control,
		.msg_controllen = sizeof(control),
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
	};

	control.hdr.cmsg_level = SOL_TLS;
	control.hdr.cmsg_type = TLS_SET_RECORD_TYPE;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(u8));
	*(u8 *)CMSG_DATA(&control.hdr) = ATTLS_RECORD_ALERT;
	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &iov, 1, sizeof(alert));
	return attls_ktls_of(sock)->sendmsg(sock, &msg, sizeof(alert));
}

/*
 * Tells the peer why, if no writer is in the middle of a record, and resets
 * the connection.  Process context without lock_sock.
 */
static void refuse(struct socket *sock, struct attls_conn *conn, u32 reason,
		   enum alert alert)
{
	if (!mutex_is_locked(&tls_get_ctx(sock->sk)->tx_lock))
		send_alert(sock, ALERT_FATAL, alert);
	attls_conn_reset(conn, reason);
}

/* kTLS could not read the record: it has said so in sk_err. */
void attls_control_bad_record(struct socket *sock, struct attls_conn *conn)
{
	sock_error(sock->sk);
	refuse(sock, conn, ATTLS_REASON_RECORD, ALERT_BAD_RECORD_MAC);
}

/* RFC 8446 section 6: close_notify and user_canceled end nothing by force. */
static void on_alert(struct attls_conn *conn, u8 level, u8 description)
{
	attls_stat_inc(ATTLS_STAT_ALERTS);
	if (description == ALERT_CLOSE_NOTIFY) {
		smp_store_release(&conn->rx_closed, true);
		return;
	}
	if (description == ALERT_USER_CANCELED)
		return;
	if (conn->protocol < TLS_1_3_VERSION && level == ALERT_WARNING)
		return;
	attls_conn_reset(conn, ATTLS_REASON_ALERT);
}

/* RFC 8446 section 4.6.3.  @last: nothing else is in the record. */
static void on_key_update(struct socket *sock, struct attls_conn *conn,
			  u8 request, bool last)
{
	/* Section 5.1: a key does not change in the middle of a record. */
	if (request > 1 || !last) {
		refuse(sock, conn, ATTLS_REASON_PROTOCOL,
		       ALERT_UNEXPECTED_MESSAGE);
		return;
	}
	if (attls_rekey_rx(conn)) {
		refuse(sock, conn, ATTLS_REASON_KEY_UPDATE,
		       ALERT_INTERNAL_ERROR);
		return;
	}
	if (request)
		attls_rekey_tx(conn, false);
}

/* The header of a message is complete.  False: the connection is no more. */
static bool on_handshake_header(struct socket *sock, struct attls_conn *conn)
{
	bool tls13 = conn->protocol == TLS_1_3_VERSION;

	switch (conn->hs_header[0]) {
	case HS_NEW_SESSION_TICKET:
		attls_stat_inc(ATTLS_STAT_TICKETS);
		return true;
	case ATTLS_HS_KEY_UPDATE:
		if (tls13 && conn->hs_left == 1)
			return true;
		break;
	case HS_HELLO_REQUEST:
	case HS_CLIENT_HELLO:
		/* RFC 5246 section 7.2.2: renegotiation may be declined. */
		if (tls13)
			break;
		send_alert(sock, ALERT_WARNING, ALERT_NO_RENEGOTIATION);
		return true;
	}
	refuse(sock, conn, ATTLS_REASON_PROTOCOL, ALERT_UNEXPECTED_MESSAGE);
	return false;
}

/*
 * Post-handshake messages come several to a record and split over records.
 * All we need is the type and the length of each, and the one byte of a
 * KeyUpdate.
 */
static void on_handshake(struct socket *sock, struct attls_conn *conn,
			 const u8 *p, size_t len)
{
	size_t skip;

	lockdep_assert_held(&conn->control_lock);
	while (len) {
		if (conn->hs_left) {
			skip = min_t(size_t, len, conn->hs_left);
			conn->hs_left -= skip;
			len -= skip;
			if (conn->hs_header[0] == ATTLS_HS_KEY_UPDATE)
				on_key_update(sock, conn, *p, !len);
			p += skip;
			continue;
		}
		conn->hs_header[conn->hs_have++] = *p++;
		len--;
		if (conn->hs_have < sizeof(conn->hs_header))
			continue;
		conn->hs_have = 0;
		conn->hs_left = conn->hs_header[1] << 16 |
				conn->hs_header[2] << 8 | conn->hs_header[3];
		if (!on_handshake_header(sock, conn))
			return;
	}
}

/* The number of the record that kTLS will decrypt next. */
static u64 next_record(const struct sock *sk)
{
	return get_unaligned_be64(tls_get_ctx(sk)->rx.rec_seq);
}

/* True when the peer sends too many control records, and little else. */
static bool is_flood(struct attls_conn *conn)
{
	unsigned long seconds = (jiffies - conn->control_time) / HZ;
	u64 seq = next_record(conn->sk);

	if (seq > conn->control_seq + 1)	/* data came in between */
		conn->control_run = 0;
	conn->control_run -= min_t(unsigned long, seconds, conn->control_run);
	conn->control_time += seconds * HZ;
	conn->control_seq = seq;
	return ++conn->control_run > CONTROL_RUN_MAX;
}

static void on_record(struct socket *sock, struct attls_conn *conn, u8 type,
		      const u8 *p, size_t len)
{
	if (is_flood(conn))
		refuse(sock, conn, ATTLS_REASON_FLOOD,
		       ALERT_UNEXPECTED_MESSAGE);
	else if (type == ATTLS_RECORD_ALERT && len == 2)
		on_alert(conn, p[0], p[1]);
	else if (type == ATTLS_RECORD_HANDSHAKE && len)
		on_handshake(sock, conn, p, len);
	else
		refuse(sock, conn, ATTLS_REASON_PROTOCOL,
		       ALERT_UNEXPECTED_MESSAGE);
	/* After a key update the count begins anew. */
	conn->control_seq = min(conn->control_seq, next_record(conn->sk));
	if (attls_ktls_resume(tls_sw_ctx_rx(tls_get_ctx(conn->sk))))
		attls_conn_wake(conn);
}

/*
 * Acts on the control record at the head and takes it away, if there still
 * is one: two threads may have met it.  The lock makes sure that what is
 * read as control is control; application data is never taken.  The record
 * stays where it is until it has been acted on: behind a KeyUpdate nothing
 * can be read without the next key.  Process context.  0, or -ECONNRESET
 * when the record ended the connection.
 */
int attls_control_consume(struct socket *sock, struct attls_conn *conn)
{
	u8 *buf, type;
	int ret;

	buf = kmalloc(TLS_MAX_PAYLOAD_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	mutex_lock(&conn->control_lock);
	ret = ktls_read(sock, buf, TLS_MAX_PAYLOAD_SIZE, MSG_PEEK, &type);
	if (ret >= 0 && type && type != ATTLS_RECORD_DATA) {
		on_record(sock, conn, type, buf, ret);
		if (attls_conn_state(conn) != ATTLS_CONN_FAILED)
			ktls_read(sock, buf, ret, 0, &type);
	}
	mutex_unlock(&conn->control_lock);
	/* It may hold application data: peeked, not taken. */
	memzero_explicit(buf, TLS_MAX_PAYLOAD_SIZE);
	kfree(buf);
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return -ECONNRESET;
	return 0;
}

/*
 * Eats control records until something else is at the head.  Does not wait
 * for the network.  1: application data; 0: the end of it (close_notify,
 * or a FIN); -EAGAIN: nothing yet; other errors as from recvmsg.
 */
int attls_control_peek(struct socket *sock, struct attls_conn *conn)
{
	u8 byte;
	int ret;

	for (;;) {
		if (smp_load_acquire(&conn->rx_closed))
			return 0;
		ret = ktls_read(sock, &byte, sizeof(byte), MSG_PEEK, NULL);
		memzero_explicit(&byte, sizeof(byte));
		if (ret != -EIO)
			return ret;
		ret = attls_control_consume(sock, conn);
		if (ret)
			return ret;
	}
}

/*
 * Sends close_notify once, without blocking: before a FIN, from close or
 * shutdown.  A full send buffer is no reason to lose it, so it is made room
 * for; a writer in the middle of a record is (the peer sees a truncation,
 * which is what it is).
 */
void attls_control_close_notify(struct socket *sock, struct attls_conn *conn)
{
	struct tls_context *ctx = tls_get_ctx(sock->sk);
	struct sock *sk = sock->sk;
	int ret = -EBUSY, sndbuf;

	if (conn->tx_closed || (sk->sk_shutdown & SEND_SHUTDOWN) ||
	    !((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)))
		return;
	conn->tx_closed = true;
	if (!mutex_is_locked(&ctx->tx_lock)) {
		sndbuf = READ_ONCE(sk->sk_sndbuf);
		WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
		ret = send_alert(sock, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
		WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	}
	attls_stat_inc(ret > 0 ? ATTLS_STAT_CLOSE_NOTIFY_SENT :
				 ATTLS_STAT_CLOSE_NOTIFY_LOST);
}
