// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS 1.3 key updates, RFC 8446 sections 4.6.3 and 7.2.
 *
 * INSTALL left the traffic secrets with the conn, so the next key is made
 * here, in the context of whoever reads or writes: it needs no agent, and
 * no reader waits for one.  The new key goes into kTLS's own context, under
 * the locks by which kTLS guards it, as its rekey of 7.2 does; 6.12 has
 * none.  What the strparser holds stays: it does not know of keys.
 *
 * Receiving: the record with the KeyUpdate stays at the head of kTLS's list
 * of decrypted records until the key is in.  No reader gets past it.
 *
 * Sending: tx_lock and lock_sock keep all others out between our KeyUpdate
 * and the new key; see record.c.
 *
 * A KeyUpdate that ResetCipherTimer asked for requests one of the peer: both
 * directions get new keys.
 */
#include "internal.h"
#include <crypto/aead.h>
#include <crypto/hash.h>
#include <linux/module.h>
#include <linux/tcp.h>
#include <net/tcp.h>
#include <net/tls.h>

#define IV_LEN			12
#define KEY_MAX			32

/*
 * RFC 8446 section 5.5 lets AES-GCM have 2^24.5 records under one key.  A
 * writer looks before each of its calls, and one call can be 2^17 records.
 */
static ulong rekey_records = 1UL << 22;
module_param(rekey_records, ulong, 0644);
MODULE_PARM_DESC(rekey_records, "records sent under one AES key of TLS 1.3");

/* Tests cannot wait for a real one. */
static uint reset_timer_minute = 60;
module_param(reset_timer_minute, uint, 0644);
MODULE_PARM_DESC(reset_timer_minute,
		 "seconds in a minute of ResetCipherTimer");

struct next_key {
	u8	secret[ATTLS_SECRET_MAX];
	u8	key[KEY_MAX];
	u8	iv[IV_LEN];
	u32	key_len;
};

/* HKDF-Expand-Label(Secret, Label, "", Length). */
static int expand(struct crypto_shash *hmac, const u8 *secret,
		  const char *label, u8 *out, u32 len)
{
	return attls_kdf_expand(hmac, secret, label, strlen(label), NULL, 0,
				out, len);
}

static u32 key_len_of(u16 cipher_type)
{
	return cipher_type == TLS_CIPHER_AES_GCM_128 ||
	       cipher_type == TLS_CIPHER_AES_CCM_128 ? 16 : 32;
}

/* The generation after @secret: secret, key and IV.  May sleep. */
static int make_next(const struct attls_conn *conn, const u8 *secret,
		     struct next_key *next)
{
	const struct tls_context *tls = tls_get_ctx(conn->sk);
	struct crypto_shash *hmac;
	u32 len = conn->secret_len;
	int err;

	if (!len)
		return -EOPNOTSUPP;
	hmac = attls_kdf_hmac(len);
	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	next->key_len = key_len_of(tls->prot_info.cipher_type);
	err = expand(hmac, secret, "traffic upd", next->secret, len);
	if (!err)
		err = expand(hmac, next->secret, "key", next->key,
			     next->key_len);
	if (!err)
		err = expand(hmac, next->secret, "iv", next->iv, IV_LEN);
	crypto_free_shash(hmac);
	return err;
}

/* Puts @next to work for one direction.  lock_sock is held. */
static int use_next(struct crypto_aead *aead, struct cipher_context *cipher,
		    union tls_crypto_context *copy, u8 *secret,
		    const struct next_key *next)
{
	int err = crypto_aead_setkey(aead, next->key, next->key_len);

	if (err)
		return err;
	/* salt and IV of kTLS are one nonce, cut in two or not */
	memcpy(cipher->iv, next->iv, IV_LEN);
	memset(cipher->rec_seq, 0, sizeof(cipher->rec_seq));
	/* kTLS's copy of the key serves getsockopt only, which is denied. */
	memzero_explicit((u8 *)copy + sizeof(copy->info),
			 sizeof(*copy) - sizeof(copy->info));
	memcpy(secret, next->secret, sizeof(next->secret));
	return 0;
}

static void tx_limit_set(struct attls_conn *conn)
{
	const struct tls_context *tls = tls_get_ctx(conn->sk);
	bool unlimited = !conn->secret_len || tls->tx_conf != TLS_SW ||
			 tls->prot_info.cipher_type ==
				TLS_CIPHER_CHACHA20_POLY1305;

	WRITE_ONCE(conn->tx_limit, unlimited ? U64_MAX : rekey_records);
}

/* Connections whose keys cannot change have no timer. */
static void timer_set(struct attls_conn *conn)
{
	const struct tls_context *tls = tls_get_ctx(conn->sk);
	unsigned long every = conn->rule->reset_timer;

	if (!every || !conn->secret_len || tls->tx_conf != TLS_SW ||
	    tls->rx_conf != TLS_SW)
		return;
	every *= READ_ONCE(reset_timer_minute) * HZ;
	WRITE_ONCE(conn->rekey_at, jiffies + every);
	WRITE_ONCE(conn->rekey_every, every ?: 1);
}

/*
 * Takes the traffic secrets of @keys from the caller's memory.  State
 * INSTALLING, kTLS has its keys.
 */
int attls_rekey_begin(struct attls_conn *conn, const struct attls_install *keys)
{
	u16 type = tls_get_ctx(conn->sk)->prot_info.cipher_type;
	u32 len = keys->secret_len;

	if (len && len != (type == TLS_CIPHER_AES_GCM_256 ? 48 : 32))
		return -EINVAL;
	if (copy_from_user(conn->secrets.tx, u64_to_user_ptr(keys->tx_secret),
			   len) ||
	    copy_from_user(conn->secrets.rx, u64_to_user_ptr(keys->rx_secret),
			   len))
		return -EFAULT;
	conn->secret_len = len;
	tx_limit_set(conn);
	timer_set(conn);
	return 0;
}

/* No keys any more: nobody is at work on the connection. */
void attls_rekey_end(struct attls_conn *conn)
{
	memzero_explicit(&conn->secrets, sizeof(conn->secrets));
	conn->secret_len = 0;
	conn->rekey_request = false;
	WRITE_ONCE(conn->rekey_every, 0);
}

/*
 * The peer's KeyUpdate is at the head of the stream: what follows it is
 * under the next key.  Process context, control_lock held.  An error leaves
 * nothing but to reset the connection.
 */
int attls_rekey_rx(struct attls_conn *conn)
{
	struct sock *sk = conn->sk;
	struct tls_context *tls = tls_get_ctx(sk);
	struct next_key next;
	int err;

	lockdep_assert_held(&conn->control_lock);
	err = tls->rx_conf == TLS_SW ? 0 : -EOPNOTSUPP;
	if (!err)
		err = make_next(conn, conn->secrets.rx, &next);
	if (!err) {
		lock_sock(sk);
		err = use_next(tls_sw_ctx_rx(tls)->aead_recv, &tls->rx,
			       &tls->crypto_recv, conn->secrets.rx, &next);
		release_sock(sk);
	}
	memzero_explicit(&next, sizeof(next));
	if (!err)
		attls_stat_inc(ATTLS_STAT_KEY_UPDATES_RECEIVED);
	return err;
}

/* @request: the peer is to send one too.  As attls_record_send(). */
static int send_key_update(struct sock *sk, struct tls_context *tls,
			   bool request)
{
	const u8 message[] = { ATTLS_HS_KEY_UPDATE, 0, 0, 1, request };

	return attls_record_send(sk, tls, message, sizeof(message), 0);
}

/* 0; -EAGAIN: not now; else the stream is broken. */
static int tx_update(struct attls_conn *conn, struct tls_context *tls,
		     const struct next_key *next)
{
	bool timed = attls_rekey_is_time(conn);
	bool asked = xchg(&conn->rekey_request, false);
	struct sock *sk = conn->sk;
	int err = 0;

	lockdep_assert_held(&tls->tx_lock);
	lock_sock(sk);
	if (sk->sk_state == TCP_CLOSE || conn->tx_closed ||
	    sk->sk_shutdown & SEND_SHUTDOWN) {
		/* Nothing will be sent any more. */
		WRITE_ONCE(conn->rekey_every, 0);
		goto out;
	}
	err = send_key_update(sk, tls, timed || asked);
	if (!err)
		err = use_next(tls_sw_ctx_tx(tls)->aead_send, &tls->tx,
			       &tls->crypto_send, conn->secrets.tx, next);
	if (!err)
		attls_stat_inc(ATTLS_STAT_KEY_UPDATES_SENT);
	if (!err && timed)
		WRITE_ONCE(conn->rekey_at, jiffies + conn->rekey_every);
	if (err && asked)
		WRITE_ONCE(conn->rekey_request, true);
out:
	if (!err)
		tx_limit_set(conn);
	release_sock(sk);
	return err;
}

/* tx_work sends what room in TCP allows; it waits for no peer. */
static void tx_flush(struct tls_context *tls)
{
	flush_delayed_work(&tls_sw_ctx_tx(tls)->tx_work.work);
}

/* Makes the next key and puts it to work.  As tx_update(); tx_lock held. */
static int tx_next(struct attls_conn *conn, struct tls_context *tls)
{
	struct next_key next;
	int err;

	err = make_next(conn, conn->secrets.tx, &next);
	if (!err)
		err = tx_update(conn, tls, &next);
	else if (err == -ENOMEM)
		err = -EAGAIN;
	memzero_explicit(&next, sizeof(next));
	return err;
}

/* @asked: by the peer, whom no update that was due anyway answers. */
static int rekey_tx(struct attls_conn *conn, bool wait, bool asked)
{
	struct tls_context *tls = tls_get_ctx(conn->sk);
	int err = 0;

	if (!conn->secret_len || tls->tx_conf != TLS_SW)
		return 0;
	WRITE_ONCE(conn->tx_limit, 0);		/* due */
	tx_flush(tls);
	if (wait && mutex_lock_interruptible(&tls->tx_lock))
		return 0;
	if (!wait && !mutex_trylock(&tls->tx_lock))
		return 0;
	/* Of all who waited, the first has made it. */
	if (asked || !READ_ONCE(conn->tx_limit))
		err = tx_next(conn, tls);
	mutex_unlock(&tls->tx_lock);
	if (!err || err == -EAGAIN)
		return 0;
	attls_conn_reset(conn, ATTLS_REASON_KEY_UPDATE);
	return -ECONNRESET;
}

/*
 * Sends a KeyUpdate and goes on with the next key, or, where records of the
 * old one still wait, leaves that to the next writer.  Process context; with
 * @wait it may sleep for as long as another writer does.  0, or -ECONNRESET.
 */
int attls_rekey_tx(struct attls_conn *conn, bool wait)
{
	return rekey_tx(conn, wait, false);
}

/* The same, for a peer that has requested one. */
void attls_rekey_answer(struct attls_conn *conn)
{
	rekey_tx(conn, false, true);
}

/* The same, now; @request: the peer is to send one too. */
int attls_rekey_ask(struct attls_conn *conn, bool request)
{
	if (request)
		WRITE_ONCE(conn->rekey_request, true);
	return rekey_tx(conn, false, true);
}
