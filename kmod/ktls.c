// SPDX-License-Identifier: GPL-2.0-only
/*
 * kTLS under our sockets.
 *
 * kTLS writes its operations to sk->sk_socket->ops each time that something
 * is set, first those that still send in clear.  An application thread that
 * picked these up in between would send in clear, or read ciphertext.  So,
 * while kTLS is at it, sk->sk_socket points to a shadow: a struct socket of
 * ours with nothing behind it.  The application's socket keeps our table
 * until the one for SECURE is complete.
 */
#include "internal.h"
#include <crypto/aead.h>
#include <linux/module.h>
#include <linux/tcp.h>
#include <net/tcp.h>
#include <net/tls.h>

/*
 * Held while the module is loaded: finding and loading an algorithm at the
 * first connection would take seconds.
 */
static struct {
	const char		*name;
	struct crypto_aead	*aead;
} algorithms[] = {
	{ "gcm(aes)" },
	{ "rfc7539(chacha20,poly1305)" },
	{ "ccm(aes)" },
};

/* Only the pointer: sk_uid and sk_ino stay those of the application. */
static void set_socket(struct sock *sk, struct socket *sock)
{
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_socket = sock;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* kTLS closes what is below it: with these, nothing. */
static struct proto quiet_prots[2];		/* IPv4, IPv6 */
static DEFINE_MUTEX(quiet_lock);

static void quiet_close(struct sock *sk, long timeout)
{
}

static struct proto *quiet_prot(const struct sock *sk, const struct proto *prot)
{
	struct proto *quiet = &quiet_prots[sk->sk_family == AF_INET6];

	mutex_lock(&quiet_lock);
	if (!quiet->close) {
		*quiet = *prot;
		quiet->close = quiet_close;
	}
	mutex_unlock(&quiet_lock);
	return quiet;
}

/*
 * Takes kTLS off a socket: the ULP slot is free, sk_prot is TCP's.  Nobody
 * else is at work on the socket but who is held: its handshake failed and
 * TCP is CLOSE, or attls_ktls_remove().  Process context.
 */
void attls_ktls_take_off(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	const struct tcp_ulp_ops *ulp = icsk->icsk_ulp_ops;
	struct tls_context *tls;
	struct proto *prot;

	if (!ulp || strcmp(ulp->name, "tls"))
		return;
	tls = tls_get_ctx(sk);
	prot = tls->sk_proto;
	tls->sk_proto = quiet_prot(sk, prot);
	sk->sk_prot->close(sk, 0);
	lock_sock(sk);
	WRITE_ONCE(sk->sk_prot, prot);
	icsk->icsk_ulp_ops = NULL;
	release_sock(sk);
	module_put(ulp->owner);
}

/*
 * Takes the ULP slot for kTLS, with no keys yet: TCP's functions go on
 * below.  Early in the handshake, because kTLS insists on ESTABLISHED and a
 * peer may send its FIN with its last flight.  conn->sock_lock is held.
 */
int attls_ktls_attach(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;
	struct socket *shadow;
	char name[] = "tls";
	int err;

	lockdep_assert_held(&conn->sock_lock);
	lock_sock(sk);
	attls_attach_leave(sk);
	release_sock(sk);
	err = sock_create_lite(sk->sk_family, SOCK_STREAM, IPPROTO_TCP,
			       &shadow);
	if (err)
		return err;
	conn->native = attls_hold_base(conn->sock);
	shadow->ops = conn->native;
	conn->shadow = shadow;

	set_socket(sk, shadow);
	err = sk->sk_prot->setsockopt(sk, SOL_TCP, TCP_ULP,
				      KERNEL_SOCKPTR(name), sizeof(name) - 1);
	set_socket(sk, conn->sock);
	return err;
}

/* Lets go of the shadow; conn->sock_lock is held, or nobody else is left. */
static void shadow_free(struct attls_conn *conn)
{
	struct socket *shadow = conn->shadow;

	if (!shadow)
		return;
	conn->shadow = NULL;
	shadow->ops = NULL;		/* it never owned them */
	sock_release(shadow);
}

/*
 * The agent wants every byte of the peer: TCP tells of none below the mark
 * of SO_RCVLOWAT, which the application may have set.  lock_sock is held.
 */
static void rcvlowat_off(struct attls_conn *conn)
{
	if (conn->rcvlowat)
		return;
	conn->rcvlowat = conn->sk->sk_rcvlowat;
	WRITE_ONCE(conn->sk->sk_rcvlowat, 1);
}

static void rcvlowat_restore(struct attls_conn *conn)
{
	if (!conn->rcvlowat)
		return;
	WRITE_ONCE(conn->sk->sk_rcvlowat, conn->rcvlowat);
	conn->rcvlowat = 0;
}

void attls_ktls_detach(struct attls_conn *conn)
{
	mutex_lock(&conn->sock_lock);
	lock_sock(conn->sk);
	rcvlowat_restore(conn);
	release_sock(conn->sk);
	shadow_free(conn);
	mutex_unlock(&conn->sock_lock);
}

/* Has kTLS call @ready for each record; what it called before. */
static attls_ready_fn on_record(struct sock *sk, attls_ready_fn ready)
{
	struct tls_sw_context_rx *rx = tls_sw_ctx_rx(tls_get_ctx(sk));
	attls_ready_fn old;

	write_lock_bh(&sk->sk_callback_lock);
	old = rx->saved_data_ready;
	WRITE_ONCE(rx->saved_data_ready, ready);
	write_unlock_bh(&sk->sk_callback_lock);
	return old;
}

/* Tickets are no more, as a rule; more is data, and TCP's to acknowledge. */
#define TICKET_BYTES	SZ_4K

/*
 * An acknowledgment at once says how little room is left while nobody has
 * read.  In a small buffer that is less than a segment, and TCP at the other
 * side would send so little each 200 ms from then on.
 */
static bool has_room(const struct tcp_sock *tp)
{
	return 2 * tcp_receive_window(tp) > tp->rcv_ssthresh;
}

static bool may_be_tickets(const struct sock *sk, const struct attls_conn *conn)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return sk->sk_state == TCP_ESTABLISHED && inet_csk_ack_scheduled(sk) &&
	       tp->rcv_nxt - conn->tickets_begin <= TICKET_BYTES &&
	       has_room(tp);
}

/*
 * In the place of kTLS's, until the application has read data: what comes
 * before may be tickets, which TCP would acknowledge late, as nobody reads
 * them, and kTLS tells of the first record only, not of the data behind it.
 */
static void first_data_ready(struct sock *sk)
{
	struct attls_conn *conn;
	attls_ready_fn ready = NULL;

	rcu_read_lock();
	conn = attls_conn_of(sk);
	if (conn)
		ready = READ_ONCE(conn->data_ready);
	if (ready)
		ready(sk);
	if (conn && may_be_tickets(sk, conn))
		__tcp_send_ack(sk, tcp_sk(sk)->rcv_nxt, 0);
	/* Who has begun to wait since the ticket came is to hear of data. */
	if (conn && READ_ONCE(conn->untold))
		attls_announce_later(conn);
	else
		sk_wake_async(sk, SOCK_WAKE_WAITD, POLL_IN);
	rcu_read_unlock();
}

static void first_data_watch(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	write_lock_bh(&sk->sk_callback_lock);
	WRITE_ONCE(conn->data_ready, sk->sk_data_ready);
	WRITE_ONCE(sk->sk_data_ready, first_data_ready);
	write_unlock_bh(&sk->sk_callback_lock);
}

static void first_data_unwatch(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_data_ready == first_data_ready)
		WRITE_ONCE(sk->sk_data_ready, conn->data_ready);
	write_unlock_bh(&sk->sk_callback_lock);
}

/* kTLS is about to give the socket back, without a function of ours in it. */
void attls_ktls_release(struct attls_conn *conn)
{
	if (!conn->record_ready)
		return;
	first_data_unwatch(conn);
	on_record(conn->sk, conn->record_ready);
}

/*
 * The peer's close_notify is in kTLS's list: what follows is not TLS any
 * more.  kTLS's parser has looked at it already, may have called it an error,
 * and must not look again; the bytes stay with TCP, unless it has copied
 * them.  Nobody reads on: no receive gets past the record.  Process context.
 */
void attls_ktls_end_rx(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;
	struct tls_strparser *strp = &tls_sw_ctx_rx(tls_get_ctx(sk))->strp;

	lock_sock(sk);
	if (strp->stopped && sk->sk_state != TCP_CLOSE)
		sock_error(sk);
	strp->stopped = 1;
	strp->msg_ready = 0;
	if (strp->copy_mode)
		conn->rx_kept = strp->anchor->len;
	else
		memset(&strp->stm, 0, sizeof(strp->stm));
	release_sock(sk);
}

/* All records have left kTLS, but an open one.  lock_sock is held. */
bool attls_ktls_is_idle(const struct tls_context *tls)
{
	struct tls_sw_context_tx *tx = tls_sw_ctx_tx(tls);

	return list_empty(&tx->tx_list) && !tls->partially_sent_record &&
	       atomic_read(&tx->encrypt_pending) == 1;
}

/* Does kTLS have anything that TCP has not taken yet?  Process context. */
bool attls_ktls_is_sending(struct sock *sk)
{
	struct tls_context *tls = tls_get_ctx(sk);
	bool sending;

	lock_sock(sk);
	sending = tls->pending_open_record_frags || !attls_ktls_is_idle(tls);
	release_sock(sk);
	return sending;
}

/*
 * The end of TLS on a socket that goes on in clear: its table is that of a
 * held one.  Nobody is in a function of the other, nor will be: conn->use is
 * held for writing, the state is STOPPING.
 */
void attls_ktls_remove(struct attls_conn *conn)
{
	lockdep_assert_held_write(&conn->use);
	lockdep_assert_held(&conn->sock_lock);
	attls_ktls_release(conn);
	conn->record_ready = NULL;
	attls_ktls_take_off(conn->sk);
	attls_ktls_nagle_restore(conn);
	WRITE_ONCE(conn->sock->ops, &attls_ops_get(conn->native)->held);
}

/* kTLS asks the route for a device, and the kernel log is for errors. */
static void find_route(struct sock *sk)
{
	lock_sock(sk);
	if (sk->sk_state != TCP_CLOSE && !__sk_dst_get(sk))
		inet_csk(sk)->icsk_af_ops->rebuild_header(sk);
	release_sock(sk);
}

static int set_key(struct sock *sk, int optname, u64 key, u32 len)
{
	/* From the worker's memory: 7.2 warns about a kernel pointer. */
	return sk->sk_prot->setsockopt(sk, SOL_TLS, optname,
				       USER_SOCKPTR(u64_to_user_ptr(key)),
				       len);
}

/* The peer takes only small records: kTLS makes them, or send.c. */
static int set_max_fragment(struct attls_conn *conn, u16 len)
{
	struct sock *sk = conn->sk;

	conn->max_fragment = len;
	if (!len || !ATTLS_TX_MAX_PAYLOAD_LEN)
		return 0;
	return sk->sk_prot->setsockopt(sk, SOL_TLS, ATTLS_TX_MAX_PAYLOAD_LEN,
				       KERNEL_SOCKPTR(&len), sizeof(len));
}

/*
 * Gives kTLS the keys of both directions, from the memory of the caller,
 * and the socket the operations of SECURE.  State INSTALLING, sock_lock
 * held.  On error the socket is still held; the caller must reset it.
 */
int attls_ktls_install(struct attls_conn *conn,
		       const struct attls_install *keys)
{
	struct sock *sk = conn->sk;
	struct attls_ops *ops;
	int err;

	lockdep_assert_held(&conn->sock_lock);
	if (!conn->shadow)
		return -EINVAL;
	find_route(sk);
	set_socket(sk, conn->shadow);
	err = set_key(sk, TLS_TX, keys->tx, keys->tx_len);
	if (!err)
		err = set_key(sk, TLS_RX, keys->rx, keys->rx_len);
	if (!err)
		err = set_max_fragment(conn, keys->max_fragment);
	set_socket(sk, conn->sock);
	if (!err)
		err = attls_rekey_begin(conn, keys);
	if (!err)
		err = attls_exporter_begin(conn, keys);
	if (err)
		return err;

	ops = attls_ops_get(conn->shadow->ops);
	if (!ops)
		return -ENOMEM;
	/*
	 * From here on TCP's sendmsg is kTLS's: nothing can leave in clear,
	 * but what a thread brings that has been inside TCP's own since
	 * before the socket was held.
	 */
	lock_sock(sk);
	if (sk->sk_write_pending)
		err = -EBUSY;
	else if (sk->sk_state != TCP_CLOSE)
		attls_conn_unmute(sk);
	conn->flight_end = tcp_sk(sk)->write_seq;
	conn->tickets_begin = tcp_sk(sk)->copied_seq;
	conn->ticket_len = 0;
	rcvlowat_restore(conn);
	release_sock(sk);
	if (err)
		return err;
	conn->record_ready = on_record(sk, attls_announce_record);
	first_data_watch(conn);
	conn->first = true;
	WRITE_ONCE(conn->sock->ops,
		   attls_may_stop(conn) ? &ops->stoppable : &ops->secure);
	shadow_free(conn);
	return 0;
}

/*
 * Sends the record that kTLS keeps open.  The release of the socket waits
 * for sock_lock, so kTLS is there.  False: a writer is at work, try later.
 */
bool attls_ktls_flush(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;
	struct tls_context *tls;
	bool done = true;

	mutex_lock(&conn->sock_lock);
	if (!conn->sock || attls_conn_state(conn) != ATTLS_CONN_SECURE)
		goto out;
	tls = tls_get_ctx(sk);
	done = mutex_trylock(&tls->tx_lock);
	if (!done)
		goto out;
	WRITE_ONCE(conn->more, false);
	lock_sock(sk);
	if (tls->pending_open_record_frags)
		tls->push_pending_record(sk, MSG_DONTWAIT | MSG_NOSIGNAL);
	release_sock(sk);
	mutex_unlock(&tls->tx_lock);
out:
	mutex_unlock(&conn->sock_lock);
	return done;
}

/*
 * The handshake's flights are small and each waits for the other side:
 * neither Nagle nor a cork of the application may delay them, nor the mark
 * of SO_RCVLOWAT, and the peer's last flight is acknowledged at once.
 * Process context.
 */
void attls_ktls_nagle_off(struct attls_conn *conn)
{
	struct tcp_sock *tp = tcp_sk(conn->sk);

	lock_sock(conn->sk);
	if (!conn->nonagle_saved) {
		conn->nonagle = tp->nonagle &
				(TCP_NAGLE_OFF | TCP_NAGLE_CORK);
		conn->nonagle_saved = true;
	}
	tp->nonagle = TCP_NAGLE_OFF;
	rcvlowat_off(conn);
	release_sock(conn->sk);
}

static void nagle_restore(struct attls_conn *conn)
{
	if (!conn->nonagle_saved)
		return;
	tcp_sk(conn->sk)->nonagle = conn->nonagle;
	conn->nonagle_saved = false;
}

/* Back to what the application had set: it looks, or sets anew. */
void attls_ktls_nagle_restore(struct attls_conn *conn)
{
	lock_sock(conn->sk);
	nagle_restore(conn);
	release_sock(conn->sk);
}

/*
 * The application has read data.  The peer need not have seen our last
 * flight for that: it may have sent its data before our tickets came.  As
 * long as they are not acknowledged Nagle would hold the answer back.
 */
void attls_ktls_first_data(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;

	lock_sock(sk);
	first_data_unwatch(conn);
	if (!before(tcp_sk(sk)->snd_una, conn->flight_end)) {
		nagle_restore(conn);
		WRITE_ONCE(conn->first, false);
	}
	release_sock(sk);
}

int attls_ktls_init(void)
{
	struct crypto_aead *aead;
	size_t i;

	if (request_module("tls"))
		pr_notice("the module tls could not be loaded; if it is not built in, connections under a rule will be reset\n");
	for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
		aead = crypto_alloc_aead(algorithms[i].name, 0, 0);
		if (IS_ERR(aead)) {
			pr_notice("no %s: suites with it will fail\n",
				  algorithms[i].name);
			continue;
		}
		algorithms[i].aead = aead;
	}
	return 0;
}

void attls_ktls_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algorithms); i++)
		crypto_free_aead(algorithms[i].aead);
}
