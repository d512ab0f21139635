// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tickets that a server sends, RFC 8446 section 4.6.1.
 *
 * A client that writes and closes, and never reads, is a good client of TCP.
 * What reaches it then is answered with a RST, and that takes what it has
 * written away from a server that has not read it yet.  So tickets do not
 * leave by themselves: they go with the first data of the application, in the
 * same segment, when there would be bytes for the client without TLS as well.
 */
#include "internal.h"
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <net/tcp.h>
#include <net/tls.h>

#define RECORD_MAX	16384	/* RFC 8446 section 5.1 */

/* NewSessionTickets, one behind the other, for the first data. */
struct attls_tickets {
	u32	len;
	u8	data[] __counted_by(len);
};

static u32 length_of(const u8 *message)
{
	return ATTLS_HS_HEADER_LEN + get_unaligned_be24(message + 1);
}

/* Is it exactly one message, of that kind? */
bool attls_ticket_is(const u8 *message, u32 len)
{
	return len > ATTLS_HS_HEADER_LEN &&
	       message[0] == ATTLS_HS_NEW_SESSION_TICKET &&
	       length_of(message) == len;
}

static bool are_tickets(const u8 *p, u32 len)
{
	u32 at = 0, n;

	while (len - at > ATTLS_HS_HEADER_LEN) {
		n = min(length_of(p + at), len - at);
		if (!attls_ticket_is(p + at, n))
			return false;
		at += n;
	}
	return at == len;
}

/* From the memory of the agent; on error there is nothing to free. */
int attls_tickets_read(const struct attls_install *keys,
		       struct attls_tickets **to)
{
	struct attls_tickets *tickets;
	u32 len = keys->tickets_len;

	*to = NULL;
	if (!len)
		return 0;
	if (len > ATTLS_TICKETS_MAX || keys->protocol != TLS_1_3_VERSION)
		return -EINVAL;
	tickets = kmalloc(struct_size(tickets, data, len),
			  GFP_KERNEL_ACCOUNT);
	if (!tickets)
		return -ENOMEM;
	tickets->len = len;
	if (copy_from_user(tickets->data, u64_to_user_ptr(keys->tickets),
			   len)) {
		attls_tickets_free(tickets);
		return -EFAULT;
	}
	if (!are_tickets(tickets->data, len)) {
		attls_tickets_free(tickets);
		return -EINVAL;
	}
	*to = tickets;
	return 0;
}

/* NULL is taken. */
void attls_tickets_free(struct attls_tickets *tickets)
{
	kfree_sensitive(tickets);
}

/*
 * TCP refuses in the middle of what it has begun to take if its buffer is
 * full then: the record must fit, with what TCP counts besides.
 */
static bool has_room(const struct sock *sk, u32 len)
{
	return sk_stream_memory_free(sk) &&
	       sk_stream_wspace(sk) >= 2 * len + SZ_2K;
}

/* RFC 8446 section 5.3. */
static void next_number(u8 *seq)
{
	int i;

	for (i = 7; i >= 0 && !++seq[i]; i--)
		;
}

/*
 * Sends one ticket; @flags: MSG_MORE, or 0.  As attls_record_send(), and
 * -EMSGSIZE: a record of the peer's has no room; -ECONNRESET: nothing is sent
 * any more.  kTLS's tx_lock is held.
 */
int attls_ticket_send(struct attls_conn *conn, const u8 *message, u32 len,
		      int flags)
{
	struct sock *sk = conn->sk;
	struct tls_context *tls = tls_get_ctx(sk);
	int err;

	lockdep_assert_held(&tls->tx_lock);
	if (len > (conn->max_fragment ?: RECORD_MAX))
		return -EMSGSIZE;
	lock_sock(sk);
	if (sk->sk_state == TCP_CLOSE || conn->tx_closed ||
	    sk->sk_shutdown & SEND_SHUTDOWN)
		err = -ECONNRESET;
	else if (!has_room(sk, len))
		err = -EAGAIN;
	else
		err = attls_record_send(sk, tls, message, len, flags);
	if (!err)
		next_number(tls->tx.rec_seq);
	release_sock(sk);
	return err;
}

/*
 * Counts what became of a ticket, and resets the connection if some of its
 * record may have left.  Process context without lock_sock and sock_lock.
 */
int attls_ticket_result(struct attls_conn *conn, int err)
{
	switch (err) {
	case 0:
		attls_stat_inc(ATTLS_STAT_TICKETS_SENT);
		return 0;
	case -EAGAIN:
	case -ECONNRESET:
	case -EMSGSIZE:
	case -EOPNOTSUPP:
		return err;
	default:
		attls_conn_reset(conn, ATTLS_REASON_NO_MEMORY);
		return -ECONNRESET;
	}
}

/* 0 also if there is no room for them: then they are not sent at all. */
static int send_all(struct attls_conn *conn,
		    const struct attls_tickets *tickets)
{
	u32 at, n;
	int err;

	for (at = 0; at < tickets->len; at += n) {
		n = length_of(tickets->data + at);
		err = attls_ticket_send(conn, tickets->data + at, n, MSG_MORE);
		if (err == -EMSGSIZE)
			continue;
		if (err)
			return err;
		attls_stat_inc(ATTLS_STAT_TICKETS_SENT);
	}
	return 0;
}

/*
 * The application is about to send its first data.  0, or -ECONNRESET; with
 * @wait it may sleep for as long as another writer does.  Process context.
 */
int attls_tickets_first(struct attls_conn *conn, bool wait)
{
	struct tls_context *tls = tls_get_ctx(conn->sk);
	struct attls_tickets *tickets;
	int err = 0;

	/* Who does not get the lock is not the first. */
	if (wait ? mutex_lock_interruptible(&tls->tx_lock) :
		   !mutex_trylock(&tls->tx_lock))
		return 0;
	tickets = conn->tickets;
	WRITE_ONCE(conn->tickets, NULL);
	if (tickets && tls->tx_conf == TLS_SW)
		err = send_all(conn, tickets);
	mutex_unlock(&tls->tx_lock);
	attls_tickets_free(tickets);
	/* What TCP says to that, it says to the data too. */
	if (err == -EAGAIN || err == -ECONNRESET)
		return 0;
	return err ? attls_ticket_result(conn, err) : 0;
}
