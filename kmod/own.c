// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets of our own: a struct socket that no file leads to, in the place of
 * the application's.  Below it everything is as ever: it has the table that
 * the application's socket had, the sock points to it, conn->sock is it.
 *
 * An accepted socket that is closed during the handshake goes on in one
 * until TLS is up, and ends as one that is closed later does: TCP, too,
 * lets the peer have an end of the data instead of a reset.  The other use
 * is in accept.c.
 */
#include "internal.h"
#include <linux/module.h>
#include <net/tcp.h>

/* A socket for @sk, still without it.  NULL: no memory.  Sleeps. */
struct socket *attls_own_create(const struct sock *sk)
{
	struct socket *own;

	if (sock_create_lite(sk->sk_family, SOCK_STREAM, IPPROTO_TCP, &own))
		return NULL;
	/* The sock takes it from here, and routes may depend on it. */
	SOCK_INODE(own)->i_uid = sock_net_uid(sock_net(sk), sk);
	set_bit(SOCK_SUPPORT_ZC, &own->flags);
	return own;
}

/*
 * Gives the sock of @from to @to, which has none, with all that @from knows
 * about it but its table.  conn->sock_lock is held where there is a conn, so
 * kTLS is not at it.  Process context.
 */
void attls_own_move(struct socket *from, struct socket *to)
{
	struct sock *sk = from->sk;
	struct attls_conn *conn = attls_conn_of(sk);

	lock_sock(sk);
	if (test_bit(SOCK_SUPPORT_ZC, &from->flags))
		set_bit(SOCK_SUPPORT_ZC, &to->flags);
	to->state = from->state;
	/* Who waits for room to write is told by this bit of the socket. */
	set_bit(SOCK_NOSPACE, &to->flags);
	sock_graft(sk, to);
	from->sk = NULL;
	if (conn) {
		lockdep_assert_held(&conn->sock_lock);
		conn->sock = to;
	}
	release_sock(sk);
}

/* In jiffies; at most as long as TCP keeps an orphan in FIN_WAIT_2. */
static unsigned long linger_time(const struct attls_conn *conn)
{
	unsigned long time = conn->rule->hs_timeout * HZ;

	return time ? min_t(unsigned long, time, TCP_FIN_TIMEOUT) :
		      TCP_FIN_TIMEOUT;
}

static void linger(struct socket *sock, struct socket *own,
		   struct attls_conn *conn)
{
	struct sock *sk = sock->sk;

	lockdep_assert_held(&conn->sock_lock);
	lock_sock(sk);
	sock_reset_flag(sk, SOCK_LINGER);	/* nobody waits for it */
	release_sock(sk);
	attls_conn_arm(conn, linger_time(conn));
	own->ops = sock->ops;
	__module_get(THIS_MODULE);
	attls_own_move(sock, own);
	WRITE_ONCE(conn->own, own);
	attls_stat_inc(ATTLS_STAT_LINGERING);
}

/*
 * The application closes @sock, which was accepted, during the handshake of
 * @conn.  True: the sock goes on without it, @sock has none any more.
 * False: close it; the state is another by now, memory is short, or the
 * application wants the reset (SO_LINGER with no time).
 */
bool attls_own_linger(struct socket *sock, struct attls_conn *conn)
{
	struct sock *sk = sock->sk;
	struct socket *own;
	bool lingers;

	if (conn->direction != ATTLS_INBOUND ||
	    attls_conn_state(conn) != ATTLS_CONN_HANDSHAKE ||
	    (sock_flag(sk, SOCK_LINGER) && !READ_ONCE(sk->sk_lingertime)))
		return false;
	own = attls_own_create(sk);
	if (!own)
		return false;
	if (!attls_conn_get(conn)) {	/* the socket's is for own now */
		sock_release(own);
		return false;
	}
	mutex_lock(&conn->sock_lock);
	lingers = attls_conn_state(conn) == ATTLS_CONN_HANDSHAKE;
	if (lingers)
		linger(sock, own, conn);
	mutex_unlock(&conn->sock_lock);
	/* Decided in between: nobody has seen that there is one to close. */
	if (lingers)
		attls_conn_settle(conn);
	else
		sock_release(own);
	attls_conn_put(conn);
	return lingers;
}

/* The end of it, once the state is decided.  Process context. */
void attls_own_close(struct attls_conn *conn)
{
	struct socket *own = xchg(&conn->own, NULL);

	if (own)
		sock_release(own);
}
