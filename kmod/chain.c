// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chains of certificates in DER, for programs that ask for them.  Many
 * connections have the same one, of one server or of one authority: it is
 * in memory once, found by its bytes.
 */
#include "internal.h"
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static DEFINE_HASHTABLE(chains, 8);
static DEFINE_SPINLOCK(chains_lock);		/* chains, and the last put */
static u32 seed __read_mostly;

#define DER_SEQUENCE	0x30

/* Bytes of the sequence that begins at @der, or 0: there is none. */
static u32 sequence_len(const u8 *der, u32 left)
{
	u32 len, bytes, i;

	if (left < 2 || der[0] != DER_SEQUENCE)
		return 0;
	if (der[1] < 0x80)
		return der[1] + 2 <= left ? der[1] + 2 : 0;
	bytes = der[1] & 0x7f;
	if (!bytes || bytes > 3 || left < 2 + bytes)
		return 0;
	for (len = 0, i = 0; i < bytes; i++)
		len = len << 8 | der[2 + i];
	return len <= left - 2 - bytes ? len + 2 + bytes : 0;
}

static bool are_sequences(const u8 *der, u32 len)
{
	u32 n;

	for (; len; der += n, len -= n) {
		n = sequence_len(der, len);
		if (!n)
			return false;
	}
	return true;
}

/* Any context. */
void attls_chain_put(struct attls_chain *chain)
{
	unsigned long flags;

	if (!chain || !refcount_dec_and_lock_irqsave(&chain->ref, &chains_lock,
						     &flags))
		return;
	hash_del(&chain->node);
	spin_unlock_irqrestore(&chains_lock, flags);
	kvfree(chain);
}

struct attls_chain *attls_chain_get(struct attls_chain *chain)
{
	if (chain)
		refcount_inc(&chain->ref);
	return chain;
}

static struct attls_chain *find(const struct attls_chain *same)
{
	struct attls_chain *chain;

	lockdep_assert_held(&chains_lock);
	hash_for_each_possible(chains, chain, node, same->hash)
		if (chain->hash == same->hash && chain->len == same->len &&
		    !memcmp(chain->der, same->der, same->len))
			return chain;
	return NULL;
}

/* The one in memory with the bytes of @chain, which is taken. */
static struct attls_chain *intern(struct attls_chain *chain)
{
	struct attls_chain *old;
	unsigned long flags;

	get_random_once(&seed, sizeof(seed));
	chain->hash = jhash(chain->der, chain->len, seed);
	spin_lock_irqsave(&chains_lock, flags);
	old = attls_chain_get(find(chain));
	if (!old)
		hash_add(chains, &chain->node, chain->hash);
	spin_unlock_irqrestore(&chains_lock, flags);
	if (old)
		kvfree(chain);
	return old ?: chain;
}

/* All connections are gone. */
void attls_chain_exit(void)
{
	WARN_ON(!hash_empty(chains));
}

/*
 * From the memory of the agent, @len bytes at @from; *@to stays NULL if there
 * are none.  May sleep.  -EINVAL: no certificates; -EFAULT, -ENOMEM.
 */
int attls_chain_read(u64 from, u32 len, struct attls_chain **to)
{
	struct attls_chain *chain;
	int err = -EFAULT;

	if (!len)
		return 0;
	if (len > ATTLS_CERT_MAX)
		return -EINVAL;
	chain = kvmalloc(struct_size(chain, der, len), GFP_KERNEL_ACCOUNT);
	if (!chain)
		return -ENOMEM;
	refcount_set(&chain->ref, 1);
	chain->len = len;
	if (copy_from_user(chain->der, u64_to_user_ptr(from), len))
		goto err_free;
	err = -EINVAL;
	if (!are_sequences(chain->der, len))
		goto err_free;
	*to = intern(chain);
	return 0;

err_free:
	kvfree(chain);
	return err;
}
