// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS records that are not application data: alerts, session tickets, key
 * updates.  kTLS decrypts one when a receive comes to it, keeps it in the
 * list of decrypted records, and gets nobody past it who brings no room for
 * its type: EIO.  Here it is taken out of that list, wherever it stands, so
 * neither a receive nor a peek of the application ever sees one.
 */
#include "internal.h"
#include <linux/tcp.h>
#include <linux/unaligned.h>
#include <net/strparser.h>
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

/*
 * So many control records a peer may send at once without data in between,
 * and one more each second: tickets and key updates come in handfuls.
 */
#define CONTROL_RUN_MAX		64

#define PIECE_LEN		128	/* of a record, looked at at once */

static u8 *type_of(struct sk_buff *skb)
{
	return &((struct sk_skb_cb *)skb->cb)->tls.control;
}

/* Peeks at one byte of data without blocking; -EIO: control is before it. */
static int peek_byte(struct socket *sock)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct kvec iov;
	u8 byte;
	int ret;

	iov = (struct kvec) { .iov_base = &byte, .iov_len = sizeof(byte) };
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &iov, 1, sizeof(byte));
	ret = attls_ktls_of(sock)->recvmsg(sock, &msg, sizeof(byte),
					   MSG_DONTWAIT | MSG_PEEK);
	memzero_explicit(&byte, sizeof(byte));
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

/*
 * The error, if any, is of kTLS's parser, about bytes that may be in clear: a
 * reader is about to take the peer's close_notify, or has.
 */
static bool is_behind_close(struct socket *sock, struct attls_conn *conn)
{
	if (!attls_may_stop(conn))
		return false;
	/* kTLS holds it from the error until the record is in the list. */
	lock_sock(sock->sk);
	release_sock(sock->sk);
	attls_control_consume(sock, conn);
	return smp_load_acquire(&conn->rx_closed);
}

/*
 * kTLS could not read a record, which is what a receive that gave @err ran
 * into, or its parser; it has said so in sk_err as well.  The errno of TCP
 * instead: the connection is reset.  Process context without lock_sock.
 */
int attls_control_bad_record(struct socket *sock, struct attls_conn *conn,
			     int err)
{
	struct sock *sk = sock->sk;

	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return err == -EBADMSG ? -ECONNRESET : err;
	if (err != -EBADMSG && READ_ONCE(sk->sk_err) != EBADMSG &&
	    !tls_sw_ctx_rx(tls_get_ctx(sk))->strp.stopped)
		return err;
	if (is_behind_close(sock, conn))
		return err == -EBADMSG ? -EAGAIN : err;
	sock_error(sk);
	refuse(sock, conn, ATTLS_REASON_RECORD, ALERT_BAD_RECORD_MAC);
	return -ECONNRESET;
}

/* RFC 8446 section 6: close_notify and user_canceled end nothing by force. */
static void on_alert(struct attls_conn *conn, u8 level, u8 description)
{
	attls_stat_inc(ATTLS_STAT_ALERTS);
	if (description == ALERT_CLOSE_NOTIFY) {
		if (attls_may_stop(conn))
			attls_ktls_end_rx(conn);
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
		attls_rekey_answer(conn);
}

/* The header of a message is complete.  False: the connection is no more. */
static bool on_handshake_header(struct socket *sock, struct attls_conn *conn)
{
	bool tls13 = conn->protocol == TLS_1_3_VERSION;

	switch (conn->hs_header[0]) {
	case ATTLS_HS_NEW_SESSION_TICKET:
		attls_stat_inc(ATTLS_STAT_TICKETS);
		WRITE_ONCE(conn->ticket_len,
			   conn->hs_left + sizeof(conn->hs_header));
		attls_keeper_expect(conn, conn->hs_header, conn->hs_left);
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
 * All we need is the type and the length of each, the one byte of a
 * KeyUpdate, and tickets for the agent.  @last: nothing of the record is
 * behind these bytes.
 */
static void on_handshake(struct socket *sock, struct attls_conn *conn,
			 const u8 *p, size_t len, bool last)
{
	size_t skip;

	lockdep_assert_held(&conn->control_lock);
	while (len) {
		if (conn->hs_left) {
			skip = min_t(size_t, len, conn->hs_left);
			conn->hs_left -= skip;
			len -= skip;
			if (conn->hs_header[0] == ATTLS_HS_KEY_UPDATE)
				on_key_update(sock, conn, *p, last && !len);
			else if (conn->hs_header[0] ==
				 ATTLS_HS_NEW_SESSION_TICKET)
				attls_keeper_ticket(conn, p, skip);
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

/* True when the peer sends too many records without data, and little else. */
static bool is_flood(struct attls_conn *conn, u32 records)
{
	unsigned long seconds = (jiffies - conn->control_time) / HZ;
	u64 seq = next_record(conn->sk);

	if (seq > conn->control_seq + records)	/* data came in between */
		conn->control_run = 0;
	conn->control_run -= min_t(unsigned long, seconds, conn->control_run);
	conn->control_time += seconds * HZ;
	conn->control_seq = seq;
	conn->control_run += records;
	return conn->control_run > CONTROL_RUN_MAX;
}

static void take(struct sk_buff *skb, struct sk_buff_head *list)
{
	__skb_unlink(skb, list);
	consume_skb(skb);
}

/*
 * The first control record in kTLS's list of decrypted ones; records of no
 * data before it, which a peek would only pile up, are dropped and counted
 * in @empty.  lock_sock is held, under which kTLS changes its list.
 */
static struct sk_buff *first_control(struct tls_sw_context_rx *rx, u32 *empty)
{
	struct sk_buff *skb, *next;

	skb_queue_walk_safe(&rx->rx_list, skb, next) {
		if (*type_of(skb) != ATTLS_RECORD_DATA)
			return skb;
		if (strp_msg(skb)->full_len)
			continue;
		take(skb, &rx->rx_list);
		++*empty;
	}
	return NULL;
}

/* The next control record: how long it is, of what type.  False: none. */
static bool next_control(struct attls_conn *conn, size_t *len, u8 *type)
{
	struct sock *sk = conn->sk;
	struct sk_buff *skb;
	u32 empty = 0;

	lock_sock(sk);
	skb = first_control(tls_sw_ctx_rx(tls_get_ctx(sk)), &empty);
	if (skb) {
		*len = strp_msg(skb)->full_len;
		*type = *type_of(skb);
	}
	release_sock(sk);
	if (empty && is_flood(conn, empty))
		attls_conn_reset(conn, ATTLS_REASON_FLOOD);
	return skb;
}

/*
 * Copies the @len bytes at @off of the next control record.  The record
 * stays: no receive gets past it, and so past a KeyUpdate without the next
 * key.  In pieces, so that no memory is needed.
 */
static bool read_control(struct sock *sk, size_t off, u8 *buf, size_t len)
{
	struct sk_buff *skb;
	u32 empty = 0;
	bool ok;

	lock_sock(sk);
	skb = first_control(tls_sw_ctx_rx(tls_get_ctx(sk)), &empty);
	ok = skb && !skb_copy_bits(skb, strp_msg(skb)->offset + off, buf, len);
	release_sock(sk);
	return ok;
}

static void drop_control(struct sock *sk)
{
	struct tls_sw_context_rx *rx = tls_sw_ctx_rx(tls_get_ctx(sk));
	struct sk_buff *skb;
	u32 empty = 0;

	lock_sock(sk);
	skb = first_control(rx, &empty);
	if (skb)
		take(skb, &rx->rx_list);
	release_sock(sk);
}

/* A record of type @type, whose @len bytes are next in kTLS's list. */
static void on_record(struct socket *sock, struct attls_conn *conn, u8 type,
		      size_t len)
{
	u8 piece[PIECE_LEN];
	size_t off, n;

	if (is_flood(conn, 1)) {
		refuse(sock, conn, ATTLS_REASON_FLOOD,
		       ALERT_UNEXPECTED_MESSAGE);
		return;
	}
	if (!len || (type == ATTLS_RECORD_ALERT && len != 2) ||
	    (type != ATTLS_RECORD_ALERT && type != ATTLS_RECORD_HANDSHAKE)) {
		refuse(sock, conn, ATTLS_REASON_PROTOCOL,
		       ALERT_UNEXPECTED_MESSAGE);
		return;
	}
	for (off = 0; off < len; off += n) {
		n = min(len - off, sizeof(piece));
		if (!read_control(sock->sk, off, piece, n))
			return;
		if (type == ATTLS_RECORD_ALERT)
			on_alert(conn, piece[0], piece[1]);
		else
			on_handshake(sock, conn, piece, n, off + n == len);
		if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
			return;
	}
}

/* What a record changes for the next one, and for who waits for it. */
static void after_record(struct attls_conn *conn)
{
	/* After a key update the count begins anew. */
	conn->control_seq = min(conn->control_seq, next_record(conn->sk));
	if (attls_ktls_resume(tls_sw_ctx_rx(tls_get_ctx(conn->sk))))
		attls_announce_later(conn);
}

/* Has kTLS decrypted anything that no receive has taken yet? */
static bool holds_records(const struct sock *sk)
{
	return !skb_queue_empty_lockless(
			&tls_sw_ctx_rx(tls_get_ctx(sk))->rx_list);
}

/*
 * The peer has sent close_notify, and the data before it has been read: a
 * peek gets past data, and so to an alert, that is still to be read.
 */
bool attls_control_closed(const struct attls_conn *conn)
{
	return smp_load_acquire(&conn->rx_closed) && !holds_records(conn->sk);
}

/*
 * Acts on the control records that kTLS has decrypted, and takes them away.
 * Two threads may have met one: the lock gives it to the first.  Process
 * context.  The number of records taken; -ECONNRESET when one ended the
 * connection.
 */
int attls_control_consume(struct socket *sock, struct attls_conn *conn)
{
	int taken = 0;
	size_t len;
	u8 type;

	if (!holds_records(sock->sk))
		return 0;
	mutex_lock(&conn->control_lock);
	while (attls_conn_state(conn) != ATTLS_CONN_FAILED &&
	       next_control(conn, &len, &type)) {
		on_record(sock, conn, type, len);
		after_record(conn);
		drop_control(sock->sk);
		taken++;
	}
	mutex_unlock(&conn->control_lock);
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return -ECONNRESET;
	return taken;
}

/* An error that a call took and did not tell is for the next one. */
void attls_control_keep_error(struct sock *sk, int err)
{
	if (attls_is_socket_error(err))
		cmpxchg(&sk->sk_err, 0, -err);
}

/* Nothing more will come, and all that came has been read. */
bool attls_control_at_end(struct sock *sk)
{
	struct tls_sw_context_rx *rx = tls_sw_ctx_rx(tls_get_ctx(sk));
	bool end;

	lock_sock(sk);
	end = (sk->sk_shutdown & RCV_SHUTDOWN || sock_flag(sk, SOCK_DONE) ||
	       sk->sk_state == TCP_CLOSE) &&
	      skb_queue_empty(&rx->rx_list) && !rx->strp.msg_ready;
	release_sock(sk);
	return end;
}

/*
 * Takes control records until something else is at the head.  Does not wait
 * for the network.  1: application data; 0: the end of it (close_notify,
 * or a FIN); -EAGAIN: nothing yet; other errors as from recvmsg, which will
 * tell them again.
 */
int attls_control_peek(struct socket *sock, struct attls_conn *conn)
{
	struct sock *sk = sock->sk;
	int ret, err;

	for (;;) {
		if (attls_control_closed(conn))
			return 0;
		ret = peek_byte(sock);
		if (ret > 0)
			return ret;
		err = attls_control_consume(sock, conn);
		if (err < 0)
			return err;
		if (err || ret == -EIO)
			continue;
		ret = attls_control_bad_record(sock, conn, ret);
		if (attls_conn_state(conn) == ATTLS_CONN_FAILED)
			return ret;
		if (ret || attls_control_at_end(sk)) {
			attls_control_keep_error(sk, ret);
			return ret;
		}
	}
}

/*
 * A full send buffer is no reason to lose it, so it is made room for.  As
 * kTLS's sendmsg.
 */
static int send_close_notify(struct socket *sock)
{
	struct sock *sk = sock->sk;
	int sndbuf = READ_ONCE(sk->sk_sndbuf);
	int ret;

	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	ret = send_alert(sock, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
	WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	return ret;
}

/* No memory for the record, and kTLS sends nothing more. */
static bool is_record_lost(struct sock *sk, int before)
{
	if (before || READ_ONCE(sk->sk_err) != EBADMSG)
		return false;
	sock_error(sk);
	return true;
}

/*
 * Sends close_notify once, without blocking: before a FIN, from close or
 * shutdown.  A writer in the middle of a record is a reason to lose it (the
 * peer sees a truncation, which is what it is).
 */
void attls_control_close_notify(struct socket *sock, struct attls_conn *conn)
{
	struct tls_context *ctx = tls_get_ctx(sock->sk);
	struct sock *sk = sock->sk;
	int ret = -EBUSY, before = READ_ONCE(sk->sk_err);

	if (conn->tx_closed || (sk->sk_shutdown & SEND_SHUTDOWN) ||
	    !((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)))
		return;
	conn->tx_closed = true;
	if (!mutex_is_locked(&ctx->tx_lock))
		ret = send_close_notify(sock);
	attls_stat_inc(ret > 0 ? ATTLS_STAT_CLOSE_NOTIFY_SENT :
				 ATTLS_STAT_CLOSE_NOTIFY_LOST);
	if (is_record_lost(sk, before)) {
		conn->agent_has = false;
		attls_conn_fail(conn, ATTLS_CONN_SECURE,
				ATTLS_REASON_NO_MEMORY);
	}
}

/*
 * The same for STOP, while there are no writers.  0, or an error: then it was
 * not sent, and the connection is as before, or reset.
 */
int attls_control_stop(struct socket *sock, struct attls_conn *conn)
{
	int ret, before = READ_ONCE(sock->sk->sk_err);

	conn->tx_closed = true;
	ret = send_close_notify(sock);
	if (ret > 0) {
		attls_stat_inc(ATTLS_STAT_CLOSE_NOTIFY_SENT);
		return 0;
	}
	conn->tx_closed = false;
	if (is_record_lost(sock->sk, before))
		attls_conn_reset(conn, ATTLS_REASON_NO_MEMORY);
	return ret ?: -EPIPE;
}
