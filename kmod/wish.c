// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an application wishes of a handshake to come: whom it wants to meet,
 * which protocols it speaks, and the session of which other connection it
 * goes on with.  A connection keeps its wishes.  Those of a
 * socket that is none are in a table here, by its sock, for as long as it has
 * the hook table.
 *
 * Who names its peer, or demands a session, must not find itself in clear:
 * without a rule such a connect fails.
 */
#include "internal.h"
#include <linux/hashtable.h>
#include <linux/slab.h>
#include <net/tcp.h>

static DEFINE_HASHTABLE(wishes, 6);
static DEFINE_SPINLOCK(wishes_lock);
static atomic_t n_wishes;

static struct attls_wish *find(const struct sock *sk)
{
	struct attls_wish *wish;

	lockdep_assert_held(&wishes_lock);
	hash_for_each_possible(wishes, wish, node, (unsigned long)sk)
		if (wish->sk == sk)
			return wish;
	return NULL;
}

/*
 * The wishes of a socket with the hook table, which are the caller's now:
 * kfree(); or NULL.  Any context.
 */
struct attls_wish *attls_wish_take(const struct sock *sk)
{
	struct attls_wish *wish;

	if (likely(!atomic_read(&n_wishes)))
		return NULL;
	spin_lock_bh(&wishes_lock);
	wish = find(sk);
	if (wish)
		hash_del(&wish->node);
	spin_unlock_bh(&wishes_lock);
	if (wish)
		atomic_dec(&n_wishes);
	return wish;
}

/* Takes the wishes of a socket that has the hook table, and none there. */
void attls_wish_give(const struct sock *sk, struct attls_wish *wish)
{
	wish->sk = sk;
	atomic_inc(&n_wishes);
	spin_lock_bh(&wishes_lock);
	hash_add(wishes, &wish->node, (unsigned long)sk);
	spin_unlock_bh(&wishes_lock);
}

/* Would TCP without TLS betray what a socket with the hook table wishes? */
bool attls_wish_is_firm(const struct sock *sk)
{
	bool firm;

	if (likely(!atomic_read(&n_wishes)))
		return false;
	spin_lock_bh(&wishes_lock);
	firm = attls_wish_insists(find(sk));
	spin_unlock_bh(&wishes_lock);
	return firm;
}

/* Each a byte of length, not 0, and so many bytes. */
static bool are_protocols(const u8 *list, u32 len)
{
	u32 at;

	for (at = 0; at < len; at += 1 + list[at])
		if (!list[at] || list[at] >= len - at)
			return false;
	return true;
}

/* A demand needs something to demand. */
static bool is_session(const struct attls_session *session)
{
	return !(session->flags & ~ATTLS_SESSION_REQUIRED) &&
	       (!session->flags ||
		memchr_inv(session->token, 0, sizeof(session->token)));
}

/* What one setsockopt asks for. */
struct change {
	int	optname;
	u32	len;
	union {
		u8			value[ATTLS_PEER_NAME_MAX];
		struct attls_session	session;
	};
};

static int read_change(struct change *c, int optname, sockptr_t optval,
		       u32 len)
{
	c->optname = optname;
	c->len = len;
	if (len > sizeof(c->value))
		return -EINVAL;
	if (copy_from_sockptr(c->value, optval, len))
		return -EFAULT;
	if (optname == ATTLS_SO_ALPN)
		return len <= ATTLS_ALPN_MAX &&
		       are_protocols(c->value, len) ? 0 : -EINVAL;
	if (optname == ATTLS_SO_SESSION)
		return len == sizeof(c->session) &&
		       is_session(&c->session) ? 0 : -EINVAL;
	if (len && !c->value[len - 1])
		c->len = --len;
	/* A host name, or an address. */
	return len < ATTLS_PEER_NAME_MAX &&
	       attls_peer_is_plain(c->value, len, "-_.:") ? 0 : -EINVAL;
}

/* All sockets are gone. */
void attls_wish_exit(void)
{
	WARN_ON(atomic_read(&n_wishes));
}

static struct attls_wish *new_wish(void)
{
	return kzalloc(sizeof(struct attls_wish), GFP_KERNEL_ACCOUNT);
}

static void apply(struct attls_wish *wish, const struct change *c)
{
	switch (c->optname) {
	case ATTLS_SO_ALPN:
		wish->alpn_len = c->len;
		memcpy(wish->alpn, c->value, c->len);
		return;
	case ATTLS_SO_SESSION:
		wish->session = c->session;
		return;
	default:
		memset(wish->peer_name, 0, sizeof(wish->peer_name));
		memcpy(wish->peer_name, c->value, c->len);
	}
}

/* A socket without a conn, which gets our table for it. */
static int set_unconnected(struct socket *sock, const struct change *c)
{
	struct sock *sk = sock->sk;
	struct attls_wish *wish;
	int err;

	lock_sock(sk);
	if (sk->sk_state == TCP_LISTEN)
		err = -EINVAL;
	else if (sk->sk_state != TCP_CLOSE || sock->state != SS_UNCONNECTED)
		err = -EISCONN;
	else
		err = attls_attach_unconnected(sock);
	if (!err && !attls_is_hook(sock->ops))
		err = -EISCONN;		/* FAILED, for want of memory */
	if (!err) {
		wish = attls_wish_take(sk) ?: new_wish();
		err = wish ? 0 : -ENOMEM;
	}
	if (!err) {
		apply(wish, c);
		attls_wish_give(sk, wish);
	}
	release_sock(sk);
	return err;
}

/* Its handshake is still to come, or to be tried again. */
static int set_locked(struct attls_conn *conn, const struct change *c)
{
	int state = attls_conn_state(conn);

	lockdep_assert_held(&conn->sock_lock);
	if (state != ATTLS_CONN_IDLE && state != ATTLS_CONN_CLEAR)
		return -EISCONN;
	if (c->optname == ATTLS_SO_PEER_NAME &&
	    conn->rule->role >= ATTLS_ROLE_SERVER)
		return -EOPNOTSUPP;
	if (!conn->wish)
		conn->wish = new_wish();
	if (!conn->wish)
		return -ENOMEM;
	apply(conn->wish, c);
	return 0;
}

/* The locks under which a conn leaves CLEAR, and IDLE. */
static int set_conn(struct attls_conn *conn, const struct change *c)
{
	int err;

	mutex_lock(&conn->sock_lock);
	lock_sock(conn->sk);
	err = set_locked(conn, c);
	release_sock(conn->sk);
	mutex_unlock(&conn->sock_lock);
	return err;
}

/* The same as ATTLS_SO_SESSION, of a connection.  Process context. */
int attls_wish_session(struct attls_conn *conn, const u8 *token, u32 flags)
{
	struct change c = {
		.optname = ATTLS_SO_SESSION,
		.session.flags = flags,
	};

	memcpy(c.session.token, token, sizeof(c.session.token));
	return is_session(&c.session) ? set_conn(conn, &c) : -EINVAL;
}

/* The options that are wishes.  Process context. */
int attls_wish_set(struct socket *sock, int optname, sockptr_t optval,
		   u32 len)
{
	struct attls_conn *conn = NULL;
	struct change c;
	int err;

	err = read_change(&c, optname, optval, len);
	if (err)
		return err;
	attls_map_use(sock);
	if (attls_has_conn(sock))
		conn = attls_hold_get(sock);
	else
		__module_get(THIS_MODULE);
	err = conn ? set_conn(conn, &c) : set_unconnected(sock, &c);
	attls_hold_put(conn);
	return err;
}

static void copy_name(const struct attls_wish *wish, char *to)
{
	if (wish)
		strscpy(to, wish->peer_name, ATTLS_PEER_NAME_MAX);
}

static void conn_name(struct socket *sock, char *to)
{
	struct attls_conn *conn = attls_hold_get(sock);

	if (conn) {
		mutex_lock(&conn->sock_lock);
		copy_name(conn->wish, to);
		mutex_unlock(&conn->sock_lock);
	}
	attls_hold_put(conn);
}

/* Copies the name to @to, "" without one.  Process context. */
void attls_wish_peer_name(struct socket *sock, char to[ATTLS_PEER_NAME_MAX])
{
	memset(to, 0, ATTLS_PEER_NAME_MAX);
	if (attls_has_conn(sock)) {
		conn_name(sock, to);
		return;
	}
	lock_sock(sock->sk);		/* as who changes it */
	spin_lock_bh(&wishes_lock);
	copy_name(find(sock->sk), to);
	spin_unlock_bh(&wishes_lock);
	release_sock(sock->sk);
}
