// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keying material for the application: RFC 5705 for TLS 1.2, RFC 8446
 * section 7.5 for TLS 1.3.  The secret that INSTALL brought stays with the
 * connection until its TLS ends; what is made of it tells nothing about it,
 * nor about the keys of the records.
 */
#include "internal.h"
#include <crypto/hash.h>
#include <linux/ctype.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <net/tls.h>

static_assert(sizeof(struct attls_master) == ATTLS_EXPORTER_SECRET_MAX);

/* What the application gave, in memory of ours. */
struct export {
	struct attls_exporter	ask;
	char			label[ATTLS_LABEL_MAX];
	u8			*context;	/* kvfree() */
	u8			out[ATTLS_EXPORT_MAX];
};

/*
 * Keeps the secret of @keys, which kTLS has; conn->sock_lock is held.  A
 * connection without one has no exporter.
 */
int attls_exporter_begin(struct attls_conn *conn,
			 const struct attls_install *keys)
{
	u16 type = tls_get_ctx(conn->sk)->prot_info.cipher_type;
	u32 len = keys->exporter_len;

	lockdep_assert_held(&conn->sock_lock);
	if (len && len != (keys->secret_len ?: sizeof(struct attls_master)))
		return -EINVAL;
	if (copy_from_user(conn->secrets.exporter,
			   u64_to_user_ptr(keys->exporter), len))
		return -EFAULT;
	conn->exporter_len = len;
	conn->exporter_hash = type == TLS_CIPHER_AES_GCM_256 ? 48 : 32;
	return 0;
}

/* TLS 1.2 makes its own keys with these, RFC 5705 section 4. */
static bool is_own_label(const char *label, u32 len)
{
	static const char *const own[] = {
		"client finished", "server finished", "master secret",
		"extended master secret", "key expansion",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(own); i++)
		if (strlen(own[i]) == len && !memcmp(own[i], label, len))
			return true;
	return false;
}

static bool is_label(const char *label, u32 len)
{
	u32 i;

	for (i = 0; i < len; i++)
		if (!isascii(label[i]) || !label[i])
			return false;
	return !is_own_label(label, len);
}

static bool are_sizes(const struct attls_exporter *ask)
{
	return !(ask->flags & ~ATTLS_EXPORTER_CONTEXT) &&
	       ask->label_len && ask->label_len <= ATTLS_LABEL_MAX &&
	       ask->context_len <= ATTLS_CONTEXT_MAX &&
	       (ask->flags & ATTLS_EXPORTER_CONTEXT || !ask->context_len) &&
	       ask->len && ask->len <= ATTLS_EXPORT_MAX;
}

static int read_context(struct export *e)
{
	void *context;

	if (!e->ask.context_len)
		return 0;
	context = vmemdup_user(u64_to_user_ptr(e->ask.context),
			       e->ask.context_len);
	if (IS_ERR(context))
		return PTR_ERR(context);
	e->context = context;
	return 0;
}

static int read_ask(struct export *e, const char __user *from)
{
	if (copy_from_user(&e->ask, from, sizeof(e->ask)))
		return -EFAULT;
	if (!are_sizes(&e->ask))
		return -EINVAL;
	if (copy_from_user(e->label, u64_to_user_ptr(e->ask.label),
			   e->ask.label_len))
		return -EFAULT;
	if (!is_label(e->label, e->ask.label_len))
		return -EINVAL;
	return read_context(e);
}

/* RFC 8446 section 7.5: Derive-Secret, then the exporter of its result. */
static int export_13(struct export *e, const struct attls_conn *conn,
		     struct crypto_shash *hmac)
{
	u8 hash[ATTLS_SECRET_MAX], secret[ATTLS_SECRET_MAX];
	u32 size = conn->exporter_hash;
	int err = attls_kdf_hash("", 0, hash, size);

	if (!err)
		err = attls_kdf_expand(hmac, conn->secrets.exporter, e->label,
				       e->ask.label_len, hash, size, secret,
				       size);
	if (!err)
		err = attls_kdf_hash(e->context, e->ask.context_len, hash,
				     size);
	if (!err)
		err = attls_kdf_expand(hmac, secret, "exporter", 8, hash, size,
				       e->out, e->ask.len);
	memzero_explicit(secret, sizeof(secret));
	return err;
}

/* RFC 5705 section 4: the randoms, then the context with its length. */
static int export_12(struct export *e, const struct attls_conn *conn,
		     struct crypto_shash *hmac)
{
	const struct attls_master *master = (void *)conn->secrets.exporter;
	u8 randoms[sizeof(master->client_random) +
		   sizeof(master->server_random) + 2];
	struct kvec seed[] = {
		{ randoms, sizeof(randoms) - 2 },
		{ e->context, e->ask.context_len },
	};

	memcpy(randoms, master->client_random, sizeof(randoms) - 2);
	if (e->ask.flags & ATTLS_EXPORTER_CONTEXT) {
		put_unaligned_be16(e->ask.context_len,
				   randoms + sizeof(randoms) - 2);
		seed[0].iov_len += 2;
	}
	return attls_kdf_prf(hmac, master->secret, sizeof(master->secret),
			     e->label, e->ask.label_len, seed, e->out,
			     e->ask.len);
}

static int make(struct export *e, struct attls_conn *conn)
{
	struct crypto_shash *hmac = attls_kdf_hmac(conn->exporter_hash);
	int err;

	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	if (conn->protocol == TLS_1_3_VERSION)
		err = export_13(e, conn, hmac);
	else
		err = export_12(e, conn, hmac);
	crypto_free_shash(hmac);
	return err;
}

/* ATTLS_SO_EXPORTER with the struct attls_exporter at @from. */
int attls_exporter_get(struct attls_conn *conn, const char __user *from)
{
	struct export *e = kzalloc(sizeof(*e), GFP_KERNEL);
	int err;

	if (!e)
		return -ENOMEM;
	err = read_ask(e, from);
	if (err)
		goto out;
	mutex_lock(&conn->sock_lock);	/* STOP wipes the secret */
	if (attls_conn_state(conn) != ATTLS_CONN_SECURE)
		err = -ENODATA;
	else if (!conn->exporter_len)
		err = -EOPNOTSUPP;
	else
		err = make(e, conn);
	mutex_unlock(&conn->sock_lock);
	if (!err && copy_to_user(u64_to_user_ptr(e->ask.out), e->out,
				 e->ask.len))
		err = -EFAULT;
out:
	kvfree(e->context);
	kfree_sensitive(e);
	return err;
}
