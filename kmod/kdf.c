// SPDX-License-Identifier: GPL-2.0-only
/*
 * Key derivation: HKDF-Expand-Label of TLS 1.3, RFC 8446 section 7.1, and
 * the PRF of TLS 1.2, RFC 5246 section 5.  With the hash of the suite, which
 * is known by its length: SHA-256 or SHA-384.
 */
#include "internal.h"
#include <crypto/hash.h>
#include <linux/module.h>
#include <linux/unaligned.h>

#define LABEL_PREFIX	"tls13 "
#define PREFIX_LEN	(sizeof(LABEL_PREFIX) - 1)
/* HkdfLabel: a length, a label and a context behind a byte of length each. */
#define INFO_MAX	(2 + 1 + 255 + 1 + ATTLS_SECRET_MAX)

/* Held while the module is loaded, so that none is looked for later. */
static const char *const names[] = {
	"hmac(sha256)", "hmac(sha384)", "sha256", "sha384",
};
static struct crypto_shash *held[ARRAY_SIZE(names)];

/* The HMAC for secrets of @len bytes, or ERR_PTR; crypto_free_shash(). */
struct crypto_shash *attls_kdf_hmac(u32 len)
{
	return crypto_alloc_shash(names[len != 32], 0, 0);
}

/* The hash of @len bytes of @data, to @out. */
int attls_kdf_hash(const void *data, u32 data_len, u8 *out, u32 len)
{
	struct crypto_shash *hash = crypto_alloc_shash(names[2 + (len != 32)],
						       0, 0);
	int err;

	if (IS_ERR(hash))
		return PTR_ERR(hash);
	err = crypto_shash_tfm_digest(hash, data, data_len, out);
	crypto_free_shash(hash);
	return err;
}

static size_t make_info(u8 *info, const char *label, u32 label_len,
			const u8 *context, u32 context_len, u32 len)
{
	u8 *p = info;

	put_unaligned_be16(len, p);
	p += 2;
	*p++ = PREFIX_LEN + label_len;
	memcpy(p, LABEL_PREFIX, PREFIX_LEN);
	memcpy(p + PREFIX_LEN, label, label_len);
	p += PREFIX_LEN + label_len;
	*p++ = context_len;
	memcpy(p, context, context_len);
	return p + context_len - info;
}

/*
 * HKDF-Expand-Label(Secret, Label, Context, Length).  @secret has the length
 * of the hash; @label_len is at most ATTLS_LABEL_MAX, @context_len the
 * hash's, @len 255 hashes.  Process context.
 */
int attls_kdf_expand(struct crypto_shash *hmac, const u8 *secret,
		     const char *label, u32 label_len,
		     const u8 *context, u32 context_len, u8 *out, u32 len)
{
	u32 size = crypto_shash_digestsize(hmac), done = 0, n, from;
	/* T(i-1), the info, and the number of T(i): RFC 5869 section 2.3. */
	u8 block[ATTLS_SECRET_MAX], text[ATTLS_SECRET_MAX + INFO_MAX + 1];
	u8 *info = text + size;
	size_t info_len = make_info(info, label, label_len, context,
				    context_len, len);
	int err = crypto_shash_setkey(hmac, secret, size);

	for (info[info_len] = 1; !err && done < len; info[info_len]++) {
		from = done ? 0 : size;
		err = crypto_shash_tfm_digest(hmac, text + from,
					      size - from + info_len + 1,
					      block);
		if (err)
			break;
		n = min(len - done, size);
		memcpy(out + done, block, n);
		memcpy(text, block, size);
		done += n;
	}
	memzero_explicit(block, sizeof(block));
	memzero_explicit(text, sizeof(text));
	return err;
}

/* HMAC of up to three pieces; the key is set. */
static int hmac_of(struct shash_desc *desc, const struct kvec *pieces, int n,
		   u8 *out)
{
	int err = crypto_shash_init(desc);

	for (; n-- && !err; pieces++)
		err = crypto_shash_update(desc, pieces->iov_base,
					  pieces->iov_len);
	return err ?: crypto_shash_final(desc, out);
}

/*
 * PRF(Secret, Label, Seed) of TLS 1.2; the seed has two parts.  Process
 * context.
 */
int attls_kdf_prf(struct crypto_shash *hmac, const u8 *secret, u32 secret_len,
		  const char *label, u32 label_len,
		  const struct kvec seed[2], u8 *out, u32 len)
{
	SHASH_DESC_ON_STACK(desc, hmac);
	u32 size = crypto_shash_digestsize(hmac), done, n;
	u8 a[ATTLS_SECRET_MAX], block[ATTLS_SECRET_MAX];
	const struct kvec pieces[] = {
		{ a, size }, { (void *)label, label_len }, seed[0], seed[1],
	};
	int err = crypto_shash_setkey(hmac, secret, secret_len);

	desc->tfm = hmac;
	if (!err)
		err = hmac_of(desc, pieces + 1, 3, a);	/* A(1) */
	for (done = 0; !err && done < len; done += n) {
		n = min(len - done, size);
		err = hmac_of(desc, pieces, 4, block);
		if (!err)
			memcpy(out + done, block, n);
		if (!err)
			err = hmac_of(desc, pieces, 1, a);
	}
	shash_desc_zero(desc);
	memzero_explicit(a, sizeof(a));
	memzero_explicit(block, sizeof(block));
	return err;
}

void attls_kdf_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = crypto_alloc_shash(names[i], 0, 0);
		if (!IS_ERR(held[i]))
			continue;
		pr_notice("no %s: key updates and exporters will fail\n",
			  names[i]);
		held[i] = NULL;
	}
}

void attls_kdf_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(held); i++)
		crypto_free_shash(held[i]);
}
