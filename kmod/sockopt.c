// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of level SOL_ATTLS; see uapi/linux/attls_sockopt.h.
 */
#include "internal.h"
#include <linux/fs.h>
#include <linux/uaccess.h>
#include <net/tcp.h>

/* MPTCP has options of its own, and takes them no further. */
static bool is_tcp(const struct sock *sk)
{
	return sk_is_tcp(sk) && !sk->sk_kern_sock;
}

/* Gives the bytes of @pieces, and how many they are. */
static int answer(char __user *optval, int __user *optlen,
		  const struct kvec pieces[2])
{
	size_t need = pieces[0].iov_len + pieces[1].iov_len;
	int room;

	if (get_user(room, optlen))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (put_user(need, optlen))
		return -EFAULT;
	if (need > room)
		return -ERANGE;
	return copy_to_user(optval, pieces[0].iov_base, pieces[0].iov_len) ||
	       copy_to_user(optval + pieces[0].iov_len, pieces[1].iov_base,
			    pieces[1].iov_len) ? -EFAULT : 0;
}

static int answer_text(char __user *optval, int __user *optlen,
		       const char *text)
{
	const struct kvec pieces[2] = { { (void *)text, strlen(text) + 1 } };

	return answer(optval, optlen, pieces);
}

/* The option takes exactly @size bytes at optval. */
static int check_size(int __user *optlen, int size)
{
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	return len == size ? 0 : -EINVAL;
}

static bool is_secure(const struct attls_conn *conn)
{
	int state = attls_conn_state(conn);

	lockdep_assert_held(&conn->sock_lock);
	return state == ATTLS_CONN_SECURE || state == ATTLS_CONN_STOPPING;
}

static int get_chain(struct attls_conn *conn, bool own, char __user *optval,
		     int __user *optlen)
{
	struct kvec pieces[2] = {};
	struct attls_chain *chain = NULL;
	struct attls_peer *peer = NULL;
	bool secure;
	int err;

	mutex_lock(&conn->sock_lock);
	secure = is_secure(conn);
	if (secure) {
		chain = attls_chain_get(own ? conn->ends.own_chain : conn->ends.chain);
		peer = own ? NULL : attls_peer_get(conn->ends.peer);
	}
	mutex_unlock(&conn->sock_lock);
	if (peer)
		pieces[0] = (struct kvec){ peer->data, peer->cert_len };
	if (chain)
		pieces[1] = (struct kvec){ chain->der, chain->len };
	err = secure ? answer(optval, optlen, pieces) : -ENODATA;
	attls_chain_put(chain);
	attls_peer_put(peer);
	return err;
}

static int get_alpn(struct attls_conn *conn, char __user *optval,
		    int __user *optlen)
{
	struct kvec pieces[2] = {};
	u8 name[ATTLS_ALPN_MAX];
	bool secure;

	mutex_lock(&conn->sock_lock);
	secure = is_secure(conn);
	if (secure && conn->ends.alpn) {
		pieces[0] = (struct kvec){ name, conn->ends.alpn->len };
		memcpy(name, conn->ends.alpn->name, conn->ends.alpn->len);
	}
	mutex_unlock(&conn->sock_lock);
	return secure ? answer(optval, optlen, pieces) : -ENODATA;
}

static int get_user_name(struct attls_conn *conn, char __user *optval,
			 int __user *optlen)
{
	char user[ATTLS_USER_LEN];
	bool secure;

	mutex_lock(&conn->sock_lock);
	secure = is_secure(conn);
	strscpy(user, conn->cert_user);
	mutex_unlock(&conn->sock_lock);
	return secure ? answer_text(optval, optlen, user) : -ENODATA;
}

static int get_session(struct attls_conn *conn, char __user *optval,
		       int __user *optlen)
{
	struct attls_session session = {};
	struct kvec pieces[2] = {};
	bool secure;

	mutex_lock(&conn->sock_lock);
	secure = is_secure(conn);
	memcpy(session.token, conn->session, sizeof(session.token));
	mutex_unlock(&conn->sock_lock);
	if (memchr_inv(session.token, 0, sizeof(session.token)))
		pieces[0] = (struct kvec){ &session, sizeof(session) };
	return secure ? answer(optval, optlen, pieces) : -ENODATA;
}

static int get_exporter(struct attls_conn *conn, char __user *optval,
			int __user *optlen)
{
	int err = check_size(optlen, sizeof(struct attls_exporter));

	return err ?: attls_exporter_get(conn, optval);
}

/* What a handshake has left. */
static int get_of(struct attls_conn *conn, int optname, char __user *optval,
		  int __user *optlen)
{
	switch (optname) {
	case ATTLS_SO_ALPN:
		return get_alpn(conn, optval, optlen);
	case ATTLS_SO_PEER_CHAIN:
	case ATTLS_SO_OWN_CHAIN:
		return get_chain(conn, optname == ATTLS_SO_OWN_CHAIN, optval,
				 optlen);
	case ATTLS_SO_USER:
		return get_user_name(conn, optval, optlen);
	case ATTLS_SO_SESSION:
		return get_session(conn, optval, optlen);
	default:
		return get_exporter(conn, optval, optlen);
	}
}

static bool is_nonblocking(const struct socket *sock)
{
	return sock->file && sock->file->f_flags & O_NONBLOCK;
}

static int get_secure(struct socket *sock, int optname, char __user *optval,
		      int __user *optlen)
{
	struct attls_call call = { .sock = sock };
	long timeo = is_nonblocking(sock) ? 0 : MAX_SCHEDULE_TIMEOUT;
	int err = attls_api_find(&call);

	if (!err)
		err = attls_api_wait(&call, timeo);
	if (!err)
		err = call.conn ? get_of(call.conn, optname, optval, optlen) :
		      -ENODATA;
	attls_api_done(&call);
	return err;
}

static int get_peer_name(struct socket *sock, char __user *optval,
			 int __user *optlen)
{
	char name[ATTLS_PEER_NAME_MAX];

	attls_wish_peer_name(sock, name);
	return answer_text(optval, optlen, name);
}

static int get_ttls(struct socket *sock, char __user *optval,
		    int __user *optlen)
{
	int err = check_size(optlen, sizeof(struct TTLS_IOCTL));

	return err ?: attls_api_call(sock, is_nonblocking(sock), optval);
}

/* getsockopt(SOL_ATTLS) of any socket.  Process context, no lock is held. */
int attls_sockopt_get(struct socket *sock, int optname, char __user *optval,
		      int __user *optlen)
{
	if (!is_tcp(sock->sk))
		return -ENOPROTOOPT;
	switch (optname) {
	case ATTLS_SO_TTLS:
		return get_ttls(sock, optval, optlen);
	case ATTLS_SO_PEER_NAME:
		return get_peer_name(sock, optval, optlen);
	case ATTLS_SO_ALPN:
	case ATTLS_SO_PEER_CHAIN:
	case ATTLS_SO_OWN_CHAIN:
	case ATTLS_SO_USER:
	case ATTLS_SO_EXPORTER:
	case ATTLS_SO_SESSION:
		return get_secure(sock, optname, optval, optlen);
	default:
		return -ENOPROTOOPT;
	}
}

static int set_wait(struct socket *sock, sockptr_t optval,
		    unsigned int optlen)
{
	struct attls_call call = { .sock = sock };
	u32 ms;
	int err;

	if (optlen != sizeof(ms))
		return -EINVAL;
	if (copy_from_sockptr(&ms, optval, sizeof(ms)))
		return -EFAULT;
	err = attls_api_find(&call);
	if (!err)
		err = attls_api_wait(&call, ms == ATTLS_WAIT_FOREVER ?
				     MAX_SCHEDULE_TIMEOUT :
				     msecs_to_jiffies(ms));
	attls_api_done(&call);
	return err;
}

/* setsockopt(SOL_ATTLS) of any socket.  Process context, no lock is held. */
int attls_sockopt_set(struct socket *sock, int optname, sockptr_t optval,
		      unsigned int optlen)
{
	if (!is_tcp(sock->sk))
		return -ENOPROTOOPT;
	switch (optname) {
	case ATTLS_SO_PEER_NAME:
	case ATTLS_SO_ALPN:
	case ATTLS_SO_SESSION:
		return attls_wish_set(sock, optname, optval, optlen);
	case ATTLS_SO_WAIT:
		return set_wait(sock, optval, optlen);
	default:
		return -ENOPROTOOPT;
	}
}
