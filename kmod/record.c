// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS 1.3 handshake messages that we send past kTLS.
 *
 * kTLS's sendmsg would do, but it waits for its tx_lock, which a writer keeps
 * for as long as the peer does not read; and after a KeyUpdate it would let
 * another thread's record go first.  So the records are made here, while the
 * caller keeps all others out, and only when all earlier ones have left.
 */
#include "internal.h"
#include <crypto/aead.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <net/tcp.h>
#include <net/tls.h>

#define HEADER_LEN	5
#define TAG_LEN		16	/* of all suites of TLS 1.3 here */
#define OVERHEAD	(HEADER_LEN + 1 + TAG_LEN)	/* type, RFC 8446 5.2 */
#define IV_LEN		12
#define NONCE_MAX	16	/* CCM: its first byte, 15 used */

/* The nonce of the next record, as crypto_aead_encrypt() wants it. */
static void make_nonce(const struct tls_context *tls, u8 *nonce)
{
	u8 *p = nonce;
	int i;

	if (tls->prot_info.cipher_type == TLS_CIPHER_AES_CCM_128)
		*p++ = 2;	/* RFC 3610: a length field of three bytes */
	memcpy(p, tls->tx.iv, IV_LEN);
	for (i = 0; i < 8; i++)
		p[IV_LEN - 8 + i] ^= tls->tx.rec_seq[i];
}

/* Encrypts the @len bytes after the header of @record, type included. */
static int seal(struct tls_context *tls, u8 *record, size_t len)
{
	struct crypto_aead *aead = tls_sw_ctx_tx(tls)->aead_send;
	u8 nonce[NONCE_MAX] = {};
	struct aead_request *req;
	DECLARE_CRYPTO_WAIT(wait);
	struct scatterlist sg;
	int err;

	req = aead_request_alloc(aead, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	make_nonce(tls, nonce);
	sg_init_one(&sg, record, HEADER_LEN + len + TAG_LEN);
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				  crypto_req_done, &wait);
	aead_request_set_ad(req, HEADER_LEN);
	aead_request_set_crypt(req, &sg, &sg, len, nonce);
	err = crypto_wait_req(crypto_aead_encrypt(req), &wait);
	aead_request_free(req);
	return err;
}

static int make_record(struct tls_context *tls, u8 *record,
		       const u8 *message, size_t len)
{
	record[0] = ATTLS_RECORD_DATA;	/* opaque_type */
	put_unaligned_be16(TLS_1_2_VERSION, record + 1);
	put_unaligned_be16(len + 1 + TAG_LEN, record + 3);
	memcpy(record + HEADER_LEN, message, len);
	record[HEADER_LEN + len] = ATTLS_RECORD_HANDSHAKE;
	return seal(tls, record, len + 1);
}

/* TCP takes all of @len bytes, or nothing; or the stream is broken. */
static int send_all(struct sock *sk, u8 *bytes, size_t len, int flags)
{
	struct msghdr msg = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | flags,
	};
	struct kvec iov = { .iov_base = bytes, .iov_len = len };
	int ret;

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &iov, 1, len);
	ret = tcp_sendmsg_locked(sk, &msg, len);
	if (ret < 0)
		return ret;
	return ret == len ? 0 : -EPIPE;
}

/*
 * Sends a handshake message of @len bytes in a record of its own; @flags:
 * MSG_MORE, data follows at once; or 0.  0; -EAGAIN: there is no room or
 * memory, or kTLS has records to send: nothing was sent; else the stream is
 * broken.  May sleep; kTLS's tx_lock and lock_sock are held.
 */
int attls_record_send(struct sock *sk, struct tls_context *tls,
		      const u8 *message, size_t len, int flags)
{
	u8 *record;
	int err;

	lockdep_assert_held(&tls->tx_lock);
	if (!attls_ktls_is_idle(tls))
		return -EAGAIN;
	/* For the scatterlist: a stack may be virtually mapped. */
	record = kmalloc(len + OVERHEAD, GFP_KERNEL);
	if (!record)
		return -EAGAIN;
	err = make_record(tls, record, message, len);
	if (!err)
		err = send_all(sk, record, len + OVERHEAD, flags);
	else if (err == -ENOMEM)
		err = -EAGAIN;
	/* In clear as long as it is not encrypted. */
	kfree_sensitive(record);
	return err;
}
