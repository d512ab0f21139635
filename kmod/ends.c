// SPDX-License-Identifier: GPL-2.0-only
/*
 * What INSTALL says about the two ends of a connection, for programs that
 * ask: their certificates, and the protocol that they speak.
 */
#include "internal.h"
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Any context. */
void attls_ends_put(struct attls_ends *ends)
{
	attls_peer_put(ends->peer);
	attls_chain_put(ends->chain);
	attls_chain_put(ends->own_chain);
	kfree(ends->alpn);
	*ends = (struct attls_ends){};
}

static int read_alpn(const struct attls_install *keys,
		     struct attls_alpn **alpn)
{
	u32 len = keys->alpn_len;

	if (!len)
		return 0;
	if (len > ATTLS_ALPN_MAX)
		return -EINVAL;
	*alpn = kmalloc(struct_size(*alpn, name, len), GFP_KERNEL_ACCOUNT);
	if (!*alpn)
		return -ENOMEM;
	(*alpn)->len = len;
	return copy_from_user((*alpn)->name, u64_to_user_ptr(keys->alpn),
			      len) ? -EFAULT : 0;
}

/* From the memory of the agent; on error there is nothing to put. */
int attls_ends_read(struct attls_ends *ends, const struct attls_install *keys)
{
	int err;

	*ends = (struct attls_ends){};
	err = attls_peer_read(keys, &ends->peer);
	if (!err)
		err = attls_chain_read(keys->chain, keys->chain_len,
				       &ends->chain);
	if (!err)
		err = attls_chain_read(keys->own_chain, keys->own_chain_len,
				       &ends->own_chain);
	if (!err)
		err = read_alpn(keys, &ends->alpn);
	if (!err && ends->chain && !ends->peer)
		err = -EINVAL;
	if (err)
		attls_ends_put(ends);
	return err;
}
