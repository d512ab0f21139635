// SPDX-License-Identifier: GPL-2.0-only
/* SIOCTTLSCTL, on any socket: see detour.c for how it comes here. */
#include "internal.h"
#include <linux/uaccess.h>
#include <net/tcp.h>

static_assert(sizeof(struct TTLS_IOCTL) == 56);

static int reason(struct attls_call *call, u32 reason, int err)
{
	call->io.TTLSi_Reason = reason;
	return err;
}

static bool is_tcp(const struct sock *sk)
{
	return (sk->sk_family == AF_INET || sk->sk_family == AF_INET6) &&
	       sk->sk_type == SOCK_STREAM &&
	       (sk->sk_protocol == IPPROTO_TCP ||
		sk->sk_protocol == IPPROTO_MPTCP);
}

static bool is_connected(const struct sock *sk)
{
	const int not_yet_or_closed = TCPF_CLOSE | TCPF_LISTEN |
				      TCPF_SYN_SENT | TCPF_SYN_RECV |
				      TCPF_NEW_SYN_RECV | TCPF_TIME_WAIT;

	return !((1 << READ_ONCE(sk->sk_state)) & not_yet_or_closed);
}

#define REQUESTS (TTLS_RETURN_CERTIFICATE | TTLS_INIT_CONNECTION | \
		  TTLS_RESET_SESSION | TTLS_RESET_CIPHER | \
		  TTLS_STOP_CONNECTION | TTLS_RESET_WRITE_CIPHER | \
		  TTLS_SEND_SESSION_TICKET | TTLS_ALLOW_HSTIMEOUT)

/* What may be asked for in one call. */
static bool is_legal(u16 req)
{
	switch (req & ~TTLS_RETURN_CERTIFICATE) {
	case TTLS_QUERY_ONLY:
	case TTLS_INIT_CONNECTION:
	case TTLS_INIT_CONNECTION | TTLS_ALLOW_HSTIMEOUT:
	case TTLS_RESET_SESSION:
	case TTLS_RESET_CIPHER:
	case TTLS_RESET_SESSION | TTLS_RESET_CIPHER:
	case TTLS_RESET_WRITE_CIPHER:
		return true;
	case TTLS_STOP_CONNECTION:
	case TTLS_SEND_SESSION_TICKET:
		return !(req & TTLS_RETURN_CERTIFICATE);
	default:
		return false;
	}
}

/* What the call asks of the connection, not about it. */
static u16 controls(const struct attls_call *call)
{
	return call->io.TTLSi_Req_Type & ~TTLS_RETURN_CERTIFICATE;
}

/* A buffer is there if, and only if, there is something to put into it. */
static bool is_buffer_good(const struct TTLS_IOCTL *io)
{
	bool has = io->TTLSi_BufferPtr && io->TTLSi_BufferLen;

	if (io->TTLSi_Ver == TTLS_VERSION2)
		return has && !io->TTLSi_Req_Type;
	if (io->TTLSi_Req_Type & TTLS_RETURN_CERTIFICATE)
		return has;
	return !io->TTLSi_BufferPtr && !io->TTLSi_BufferLen;
}

static int check_arguments(struct attls_call *call)
{
	const struct TTLS_IOCTL *io = &call->io;

	if (io->TTLSi_Ver != TTLS_VERSION1 && io->TTLSi_Ver != TTLS_VERSION2)
		return reason(call, TTLS_JrInvalidVersion, -EINVAL);
	if (io->TTLSi_Req_Type & ~REQUESTS || io->TTLSi_Rsvd1 ||
	    io->TTLSi_Rsvd2 || io->TTLSi_Rsvd3)
		return reason(call, TTLS_JrSocketCallParmError, -EINVAL);
	if (!is_legal(io->TTLSi_Req_Type))
		return -EPERM;
	if (!is_buffer_good(io))
		return reason(call, TTLS_JrSocketCallParmError, -EINVAL);
	return 0;
}

/* Maps the policy, if nothing has, and finds the conn of a connection. */
int attls_api_find(struct attls_call *call)
{
	struct socket *sock = call->sock;
	struct sock *sk = sock->sk;
	const struct proto_ops *ops;
	bool ours;

	if (!is_connected(sk))
		return -ENOTCONN;
	attls_map_use(sock);
	lock_sock(sk);		/* the table and the conn come and go in it */
	ops = sock->ops;
	ours = ops->owner == THIS_MODULE && !attls_is_hook(ops);
	if (ours)
		call->conn = attls_hold_get(sock);
	release_sock(sk);
	if (ours && !call->conn)
		attls_hold_put(NULL);
	if (!is_connected(sk) || attls_is_hook(ops))
		return -ENOTCONN;
	if (ours && !call->conn)
		return reason(call, TTLS_JrUnexpectedErr, -EIO);
	return 0;
}

/* The rule of the connection, or NULL. */
const struct attls_rule *attls_api_rule(const struct attls_call *call)
{
	if (!call->conn || attls_conn_state(call->conn) == ATTLS_CONN_NONE)
		return NULL;
	return READ_ONCE(call->conn->rule);
}

/* May the application control the connection? */
static int check_control(struct attls_call *call)
{
	const struct attls_rule *rule = attls_api_rule(call);

	if (!controls(call))
		return 0;
	if (!rule || !(rule->flags & ATTLS_RULE_ENABLED))
		return -EOPNOTSUPP;
	if (!(rule->flags & ATTLS_RULE_APPLCNTRL))
		return reason(call, TTLS_JrConnDeniedPolicy, -EACCES);
	return 0;
}

/*
 * Waits for the end of a handshake, up to @timeo jiffies; -EAGAIN: they are
 * over.
 */
int attls_api_wait(struct attls_call *call, long timeo)
{
	struct attls_conn *conn = call->conn;
	int err;

	if (!conn || attls_conn_state(conn) == ATTLS_CONN_STOPPING)
		return 0;
	/* It may have read data already, and need not wait for what it knows. */
	if (attls_conn_state(conn) == ATTLS_CONN_INSTALLING)
		attls_conn_settle_install(conn);
	err = attls_hold_wait(conn->sk, conn, timeo);
	if (!err && attls_conn_state(conn) == ATTLS_CONN_FAILED)
		return reason(call, TTLS_JrTTLSHandshakeFailed, -ECONNRESET);
	return err;
}

/* As long as the handshake timer says. */
static int wait_handshake(struct attls_call *call)
{
	return attls_api_wait(call, call->nonblock ? 0 : MAX_SCHEDULE_TIMEOUT);
}

/* Lets go of what a call has come to hold. */
void attls_api_done(struct attls_call *call)
{
	attls_peer_put(call->peer);
	if (call->conn)
		attls_hold_put(call->conn);
}

/* Who can leave it to the peer: a server that does not wait for ever. */
static bool can_allow_clear(const struct attls_rule *rule)
{
	return rule->role >= ATTLS_ROLE_SERVER && rule->hs_timeout;
}

/* A blocking call that a signal interrupted is the same when it comes again. */
static int init_connection(struct attls_call *call)
{
	bool allow = controls(call) & TTLS_ALLOW_HSTIMEOUT;
	struct attls_conn *conn = call->conn;
	bool again;
	int err;

	if (allow && !can_allow_clear(conn->rule))
		return reason(call, TTLS_JrConnDeniedPolicy, -EPROTO);
	again = xchg(&conn->init_again, false);
	err = attls_clear_init(conn, allow);
	if (err == -EALREADY && !again)
		return reason(call, TTLS_JrAlreadyActive, err);
	if (err && err != -EALREADY)
		return err;
	if (call->nonblock && attls_hold_pending(conn))
		return -EINPROGRESS;
	err = wait_handshake(call);
	if (err == -ERESTARTSYS)
		WRITE_ONCE(conn->init_again, true);
	return err;
}

/* The session goes when the new keys are certain. */
static int reset_both(struct attls_conn *conn, u32 *reason)
{
	int err = attls_reset_cipher(conn, false, reason);

	if (!err)
		attls_keeper_forget(conn);
	return err;
}

static int send_ticket(struct attls_call *call)
{
	int err;

	if (attls_conn_state(call->conn) != ATTLS_CONN_SECURE)
		return -EPIPE;
	err = attls_keeper_send(call->conn);
	return err == -EOPNOTSUPP ? reason(call, TTLS_JrNoTicket, err) : err;
}

/* Without INIT there is nothing to end or to renew. */
static int control(struct attls_call *call)
{
	struct attls_conn *conn = call->conn;
	u32 *why = &call->io.TTLSi_Reason;

	if (!READ_ONCE(conn->initiated))
		return -EPROTO;
	switch (controls(call)) {
	case TTLS_STOP_CONNECTION:
		return attls_stop(call->sock, conn, call->nonblock, why);
	case TTLS_RESET_CIPHER:
		return attls_reset_cipher(conn, false, why);
	case TTLS_RESET_SESSION | TTLS_RESET_CIPHER:
		return reset_both(conn, why);
	case TTLS_RESET_WRITE_CIPHER:
		return attls_reset_cipher(conn, true, why);
	case TTLS_RESET_SESSION:
		attls_keeper_forget(conn);
		return 0;
	default:
		return send_ticket(call);
	}
}

/*
 * Of a connection that no rule holds.  It may be older than the policy, so
 * what the policy says today is not always how it is.
 */
static u8 status_without(struct sock *sk)
{
	static const u8 directions[] = { ATTLS_INBOUND, ATTLS_OUTBOUND };
	struct attls_policy *policy = attls_policy_get();
	struct attls_identity who;
	u8 status = policy ? TTLS_POL_NO_POLICY : TTLS_POL_OFF;
	size_t i;
	int rule;

	attls_policy_put(policy);
	attls_identity_current(&who);
	lock_sock(sk);
	for (i = 0; i < ARRAY_SIZE(directions); i++) {
		rule = attls_policy_find(&policy, sk, &who, directions[i]);
		if (rule >= 0 && !(policy->set.rules[rule].flags &
				   (ATTLS_RULE_ENABLED | ATTLS_RULE_DENY)))
			status = TTLS_POL_NOT_ENABLED;
		attls_policy_put(policy);
	}
	release_sock(sk);
	return status;
}

static u8 status_of(const struct attls_conn *conn)
{
	switch (attls_conn_state(conn)) {
	case ATTLS_CONN_HANDSHAKE:
	case ATTLS_CONN_INSTALLING:
		return TTLS_CONN_HS_INPROGRESS;
	case ATTLS_CONN_SECURE:
	case ATTLS_CONN_STOPPING:
		return TTLS_CONN_SECURE;
	default:
		return TTLS_CONN_NOTSECURE;
	}
}

static void digits(char *to, size_t len, const char *format, u16 number)
{
	char text[8];

	snprintf(text, sizeof(text), format, number);
	memcpy(to, text, len);
}

static void fill_cipher(struct TTLS_IOCTL *io, const struct attls_conn *conn)
{
	digits(io->TTLSi_Neg_Cipher4, sizeof(io->TTLSi_Neg_Cipher4), "%04X",
	       conn->cipher);
	if (conn->cipher < 0x100)
		digits(io->TTLSi_Neg_Cipher, sizeof(io->TTLSi_Neg_Cipher),
		       "%02X", conn->cipher);
	else
		memcpy(io->TTLSi_Neg_Cipher, "4X",
		       sizeof(io->TTLSi_Neg_Cipher));
	if (conn->protocol == TTLS_PROT_TLSV1_3)
		digits(io->TTLSi_Neg_KeyShare, sizeof(io->TTLSi_Neg_KeyShare),
		       "%04u", conn->kex_group);
}

static void fill_user(struct TTLS_IOCTL *io, const struct attls_conn *conn)
{
	size_t len = strlen(conn->cert_user);

	if (len < sizeof(io->TTLSi_UserID)) {
		io->TTLSi_UserID_Len = len;
		memcpy(io->TTLSi_UserID, conn->cert_user, len);
	} else {
		io->TTLSi_Flags |= TTLS_FLAG_USERID_LONG;
	}
}

static void clear_results(struct TTLS_IOCTL *io)
{
	const size_t from = offsetof(struct TTLS_IOCTL, TTLSi_Stat_Policy);

	memset((u8 *)io + from, 0,
	       offsetof(struct TTLS_IOCTL, TTLSi_BufferLen) - from);
}

static void fill(struct attls_call *call)
{
	const struct attls_rule *rule = attls_api_rule(call);
	struct attls_conn *conn = call->conn;
	struct TTLS_IOCTL *io = &call->io;

	clear_results(io);
	io->TTLSi_Stat_Conn = TTLS_CONN_NOTSECURE;
	if (!rule) {
		io->TTLSi_Stat_Policy = status_without(call->sock->sk);
		return;
	}
	io->TTLSi_Stat_Policy = rule->flags & ATTLS_RULE_APPLCNTRL ?
				TTLS_POL_APPLCNTRL : TTLS_POL_ENABLED;
	io->TTLSi_Sec_Type = rule->role;
	io->TTLSi_FIPS140 = !!(rule->flags & ATTLS_RULE_FIPS);
	mutex_lock(&conn->sock_lock);
	io->TTLSi_Stat_Conn = status_of(conn);
	if (io->TTLSi_Stat_Conn == TTLS_CONN_SECURE) {
		io->TTLSi_SSL_Protocol.TTLSi_SSL_Prot = conn->protocol;
		if (conn->resumed)
			io->TTLSi_Flags |= TTLS_FLAG_RESUMED;
		fill_cipher(io, conn);
		fill_user(io, conn);
		call->peer = attls_peer_get(conn->ends.peer);
		strscpy(call->user, conn->cert_user);
		memcpy(call->session, conn->session, sizeof(call->session));
	}
	mutex_unlock(&conn->sock_lock);
}

/* True: the results are as good as those of a call without an error. */
static bool has_results(int err)
{
	switch (err) {
	case 0:
	case -EACCES:
	case -EALREADY:
	case -EINPROGRESS:
	case -ENOBUFS:
	case -EOPNOTSUPP:
	case -EPIPE:
	case -EPROTO:
		return true;
	default:
		return false;
	}
}

static int return_certificate(struct attls_call *call)
{
	struct TTLS_IOCTL *io = &call->io;
	const struct attls_peer *peer = call->peer;

	if (!peer)
		return 0;
	io->TTLSi_Cert_Len = peer->cert_len;
	if (io->TTLSi_BufferLen < peer->cert_len)
		return reason(call, TTLS_JrBuffTooSmall, -ENOBUFS);
	return copy_to_user(u64_to_user_ptr(io->TTLSi_BufferPtr), peer->data,
			    peer->cert_len) ? -EFAULT : 0;
}

static int do_request(struct attls_call *call)
{
	int err = check_control(call);

	if (err)
		return err;
	if (controls(call) & TTLS_INIT_CONNECTION)
		return init_connection(call);
	err = wait_handshake(call);
	if (!err && controls(call))
		err = control(call);
	return err;
}

static int serve(struct attls_call *call)
{
	int err = attls_api_find(call) ?: do_request(call);

	if (has_results(err))
		fill(call);
	if (err)
		return err;
	if (call->io.TTLSi_Ver == TTLS_VERSION2)
		return attls_api_query(call);
	if (call->io.TTLSi_Req_Type & TTLS_RETURN_CERTIFICATE)
		return return_certificate(call);
	return 0;
}

/*
 * SIOCTTLSCTL on any socket, with the struct TTLS_IOCTL at @arg, which is
 * read once and written once.  Process context, no lock is held.
 */
int attls_api_call(struct socket *sock, bool nonblock, void __user *arg)
{
	struct attls_call call = {
		.sock = sock,
		.nonblock = nonblock,
	};
	int err;

	if (!is_tcp(sock->sk))
		return -EPROTOTYPE;
	if (copy_from_user(&call.io, arg, sizeof(call.io)))
		return -EFAULT;
	call.io.TTLSi_Reason = TTLS_JrOK;
	err = check_arguments(&call);
	if (!err)
		err = serve(&call);
	attls_api_done(&call);
	if (copy_to_user(arg, &call.io, sizeof(call.io)))
		err = -EFAULT;
	return err;
}
