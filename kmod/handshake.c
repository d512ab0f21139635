// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent device /dev/attls and the handshake files.
 *
 * A conn in state HANDSHAKE waits in one queue until a worker accepts it
 * and gets a file: raw bytes in and out below the application, which is
 * held.  The file ends with INSTALL, with FAIL, or by being closed, which
 * is a failure: a worker that dies takes its handshakes with it at once.
 */
#include "internal.h"
#include <linux/anon_inodes.h>
#include <linux/ctype.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <net/tcp.h>
#include <net/tls.h>

#define RECORD_HEADER_LEN 5

/* One accepted handshake; private_data of its file. */
struct hs_file {
	struct attls_conn	*conn;		/* reference */
	struct mutex		lock;		/* what follows; read, INSTALL */
	u8			header[RECORD_HEADER_LEN];
	u8			have;		/* bytes of header so far */
	u16			left;		/* bytes of the record to come */
	bool			done;		/* INSTALL has made a session */
	struct attls_keeper	*keeper;	/* of it, or NULL; set by done */
};

static LIST_HEAD(queue);
static DEFINE_SPINLOCK(queue_lock);		/* queue, conn->queue */
static DECLARE_WAIT_QUEUE_HEAD(device_wait);
static atomic_t n_pending;			/* conns in state HANDSHAKE */

/*
 * What one pending handshake costs is a conn, a socket and its buffers:
 * some 16 KiB.  Peers can fill this, so let it take 1/64 of memory.
 */
static unsigned int max_pending;
module_param(max_pending, uint, 0644);
MODULE_PARM_DESC(max_pending, "bound on pending handshakes; more are reset");

/* Keeps the number of conns in state HANDSHAKE.  Any context. */
void attls_handshake_account(int from, int to)
{
	if (to == ATTLS_CONN_HANDSHAKE)
		atomic_inc(&n_pending);
	if (from == ATTLS_CONN_HANDSHAKE)
		atomic_dec(&n_pending);
}

/* So many pend that what can wait should. */
bool attls_handshake_is_busy(void)
{
	return atomic_read(&n_pending) > READ_ONCE(max_pending) / 2;
}

/* The socket goes away: nobody need accept @conn any more. */
void attls_handshake_forget(struct attls_conn *conn)
{
	bool queued;

	spin_lock_bh(&queue_lock);
	queued = !list_empty(&conn->queue);
	list_del_init(&conn->queue);
	spin_unlock_bh(&queue_lock);
	if (queued)
		attls_conn_put(conn);
}

/* Hands @conn to the agent.  False: over the bound.  Any context. */
bool attls_handshake_queue(struct attls_conn *conn)
{
	if (atomic_read(&n_pending) > READ_ONCE(max_pending))
		return false;
	if (!attls_conn_get(conn))
		return false;
	attls_stat_inc(ATTLS_STAT_HANDSHAKES_QUEUED);
	spin_lock_bh(&queue_lock);
	list_add_tail(&conn->queue, &queue);
	spin_unlock_bh(&queue_lock);
	/* A release that came between has not found it. */
	if (attls_conn_state(conn) == ATTLS_CONN_CLOSED)
		attls_handshake_forget(conn);
	wake_up_interruptible_poll(&device_wait, EPOLLIN | EPOLLRDNORM);
	return true;
}

/* The oldest conn that still wants a handshake, with its reference. */
static struct attls_conn *queue_pop(void)
{
	struct attls_conn *conn;

	for (;;) {
		spin_lock_bh(&queue_lock);
		conn = list_first_entry_or_null(&queue, struct attls_conn,
						queue);
		if (conn)
			list_del_init(&conn->queue);
		spin_unlock_bh(&queue_lock);
		if (!conn || attls_conn_state(conn) == ATTLS_CONN_HANDSHAKE)
			return conn;
		attls_conn_put(conn);
	}
}

/* The handshake of this file goes on; not that of another, after STOP. */
static bool is_under_way(const struct hs_file *hs)
{
	return !smp_load_acquire(&hs->done) &&
	       attls_conn_state(hs->conn) == ATTLS_CONN_HANDSHAKE;
}

/* How a handshake ended, for who still reads or writes. */
static int ended_errno(const struct attls_conn *conn)
{
	if (attls_conn_state(conn) == ATTLS_CONN_FAILED &&
	    (conn->reason == ATTLS_REASON_TIMEOUT ||
	     conn->reason == ATTLS_REASON_TIMEOUT2))
		return -ETIMEDOUT;
	return -ECONNRESET;
}

/*
 * The peer has begun: the second phase of the timer, but for a socket that
 * the application has closed.
 */
static void note_begun(struct attls_conn *conn)
{
	lockdep_assert_held(&conn->sock_lock);
	if (READ_ONCE(conn->begun))
		return;
	WRITE_ONCE(conn->begun, true);
	if (!conn->rule->hs_timeout || conn->own)
		return;
	attls_conn_arm(conn, 10UL * conn->rule->hs_timeout * HZ);
	/* Somebody may have asked for the reset just before. */
	if (attls_conn_state(conn) != ATTLS_CONN_HANDSHAKE)
		attls_conn_arm(conn, 0);
}

/* An sk_read_actor_t: as much as the caller has room for. */
static int copy_raw(read_descriptor_t *desc, struct sk_buff *skb,
		    unsigned int offset, size_t len)
{
	len = min(len, desc->count);
	if (skb_copy_datagram_iter(skb, offset, desc->arg.data, len))
		return -EFAULT;
	desc->count -= len;
	return len;
}

/*
 * Why there is nothing to read, as tcp_recvmsg() says it, but for what
 * OpenSSL would try again.  No TLS has urgent data, behind which
 * tcp_read_sock() does not go.
 */
static int nothing_raw(const struct sock *sk)
{
	if (tcp_sk(sk)->urg_data && !skb_queue_empty(&sk->sk_receive_queue))
		return -EBADMSG;
	if (sock_flag(sk, SOCK_DONE))
		return 0;
	if (sk->sk_err)
		return -sk->sk_err;
	if (sk->sk_shutdown & RCV_SHUTDOWN)
		return 0;
	return sk->sk_state == TCP_CLOSE ? -ECONNRESET : -EAGAIN;
}

/*
 * Reads at most @len raw bytes of the peer; never waits.  Not by recvmsg():
 * the socket's error is for the application alone, and that takes it away.
 */
static ssize_t read_raw(struct sock *sk, struct iov_iter *to, size_t len)
{
	read_descriptor_t desc = { .arg.data = to, .count = len };
	int ret;

	lock_sock(sk);
	ret = tcp_read_sock(sk, &desc, copy_raw);
	if (!ret)
		ret = nothing_raw(sk);
	release_sock(sk);
	return ret;
}

/* Header bytes pass through us, to know where the record ends. */
static ssize_t read_header(struct hs_file *hs, struct iov_iter *to)
{
	u8 *p = hs->header + hs->have;
	size_t len = min_t(size_t, iov_iter_count(to),
			   RECORD_HEADER_LEN - hs->have);
	struct kvec iov = { .iov_base = p, .iov_len = len };
	struct iov_iter header;
	ssize_t ret;

	iov_iter_kvec(&header, ITER_DEST, &iov, 1, len);
	ret = read_raw(hs->conn->sk, &header, len);
	if (ret <= 0)
		return ret;
	if (copy_to_iter(p, ret, to) != ret)
		return -EFAULT;
	hs->have += ret;
	if (hs->have == RECORD_HEADER_LEN) {
		hs->left = hs->header[3] << 8 | hs->header[4];
		if (!hs->left)
			hs->have = 0;
	}
	return ret;
}

static ssize_t read_body(struct hs_file *hs, struct iov_iter *to)
{
	ssize_t ret;

	ret = read_raw(hs->conn->sk, to,
		       min_t(size_t, iov_iter_count(to), hs->left));
	if (ret <= 0)
		return ret;
	hs->left -= ret;
	if (!hs->left)
		hs->have = 0;
	return ret;
}

static ssize_t hs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct hs_file *hs = iocb->ki_filp->private_data;
	struct attls_conn *conn = hs->conn;
	ssize_t ret;

	mutex_lock(&hs->lock);
	mutex_lock(&conn->sock_lock);
	if (!conn->sock || !is_under_way(hs))
		ret = ended_errno(conn);
	else if (!iov_iter_count(to))
		ret = 0;
	else if (hs->have < RECORD_HEADER_LEN)
		ret = read_header(hs, to);
	else
		ret = read_body(hs, to);
	if (ret > 0)
		note_begun(conn);
	mutex_unlock(&conn->sock_lock);
	mutex_unlock(&hs->lock);
	return ret;
}

/*
 * The one who may send on a socket that is mute: attls_conn_mute().  An
 * error of the socket stays there, for the application.
 */
static int send_muted(struct sock *sk, struct msghdr *msg, size_t len)
{
	bool muted;
	int ret;

	lock_sock(sk);
	if (sk->sk_err) {
		ret = -sk->sk_err;
		goto out;
	}
	muted = sk->sk_shutdown & SEND_SHUTDOWN;
	attls_conn_unmute(sk);
	ret = tcp_sendmsg_locked(sk, msg, len);	/* never waits, never unlocks */
	if (muted)
		attls_conn_mute(sk);
out:
	release_sock(sk);
	return ret;
}

static ssize_t hs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct hs_file *hs = iocb->ki_filp->private_data;
	struct attls_conn *conn = hs->conn;
	struct msghdr msg = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
		.msg_iter = *from,
	};
	ssize_t ret;

	mutex_lock(&hs->lock);
	mutex_lock(&conn->sock_lock);
	if (!conn->sock || !is_under_way(hs))
		ret = ended_errno(conn);
	else
		ret = send_muted(conn->sk, &msg, iov_iter_count(from));
	mutex_unlock(&conn->sock_lock);
	mutex_unlock(&hs->lock);
	return ret == -EPIPE ? -ECONNRESET : ret;
}

static void want_write_space(struct sock *sk)
{
	read_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_socket)
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	read_unlock_bh(&sk->sk_callback_lock);
}

static __poll_t hs_poll(struct file *file, struct poll_table_struct *wait)
{
	struct hs_file *hs = file->private_data;
	struct attls_conn *conn = hs->conn;
	struct sock *sk = conn->sk;
	__poll_t mask = 0;

	poll_wait(file, &conn->agent_wait, wait);
	if (smp_load_acquire(&hs->done) && hs->keeper)
		return attls_keeper_poll(conn, hs->keeper);
	if (!is_under_way(hs))
		return EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLOUT;
	if (!skb_queue_empty_lockless(&sk->sk_receive_queue) || sk->sk_err ||
	    (sk->sk_shutdown & RCV_SHUTDOWN))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!sk_stream_is_writeable(sk)) {
		want_write_space(sk);
		smp_mb__after_atomic();	/* space may have come just now */
	}
	if (sk_stream_is_writeable(sk))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

/* RFC 6066 section 4. */
static bool is_max_fragment(u16 len)
{
	return !len || (is_power_of_2(len) && len >= 512 && len <= 4096);
}

/* It goes to terminals and logs as it is. */
static bool is_user(const struct attls_install *keys)
{
	size_t len = strnlen(keys->cert_user, sizeof(keys->cert_user));
	size_t i;

	if (len == sizeof(keys->cert_user) || (!len && keys->cert_uid))
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(keys->cert_user[i]) ||
		    !isgraph(keys->cert_user[i]))
			return false;
	return !memchr_inv(keys->cert_user + len, 0,
			   sizeof(keys->cert_user) - len);
}

static bool are_flags(const struct attls_install *keys)
{
	const u16 known = ATTLS_INSTALL_RESUMED | ATTLS_INSTALL_KEEP |
			  ATTLS_INSTALL_TICKETS;

	if (keys->flags & ~known)
		return false;
	return !(keys->flags & ATTLS_INSTALL_TICKETS) ||
	       (keys->flags & ATTLS_INSTALL_KEEP &&
		keys->protocol == TLS_1_3_VERSION);
}

static int install_check(const struct attls_install *keys)
{
	if (keys->size != sizeof(*keys) || !are_flags(keys) ||
	    keys->reserved || keys->reserved2 || keys->reserved3 ||
	    keys->reserved4 ||
	    !is_max_fragment(keys->max_fragment) || !is_user(keys))
		return -EINVAL;
	if (keys->protocol == TLS_1_3_VERSION ?
	    keys->secret_len != 32 && keys->secret_len != 48 :
	    keys->secret_len)
		return -EINVAL;
	if (keys->protocol != TLS_1_2_VERSION &&
	    keys->protocol != TLS_1_3_VERSION)
		return -EINVAL;
	if (keys->tx_len < sizeof(struct tls_crypto_info) ||
	    keys->rx_len < sizeof(struct tls_crypto_info))
		return -EINVAL;
	return 0;
}

/* What INSTALL brings besides keys; what is not taken is put. */
struct brought {
	struct attls_ends	ends;
	struct attls_keeper	*keeper;	/* or NULL */
	struct attls_tickets	*tickets;	/* or NULL */
};

static void brought_put(struct brought *b)
{
	attls_tickets_free(b->tickets);
	attls_keeper_free(b->keeper);
	attls_ends_put(&b->ends);
}

/* From the memory of the agent; on error there is nothing to put. */
static int brought_read(struct brought *b, const struct attls_install *keys)
{
	int err;

	*b = (struct brought){};
	err = attls_ends_read(&b->ends, keys);
	if (!err)
		err = attls_tickets_read(keys, &b->tickets);
	if (!err && keys->flags & ATTLS_INSTALL_KEEP) {
		b->keeper = attls_keeper_new(keys->flags &
					     ATTLS_INSTALL_TICKETS);
		err = b->keeper ? 0 : -ENOMEM;
	}
	if (err)
		brought_put(b);
	return err;
}

/*
 * sock_lock is held: the application cannot release the socket meanwhile.
 * What is in @b is taken, and what the connection had comes back there; but
 * the keeper, which is the file's.
 */
static int install(struct attls_conn *conn, const struct attls_install *keys,
		   struct brought *b)
{
	lockdep_assert_held(&conn->sock_lock);
	if (!conn->sock || !attls_conn_move(conn, ATTLS_CONN_HANDSHAKE,
					    ATTLS_CONN_INSTALLING))
		return -ECANCELED;
	attls_conn_disarm(conn);
	attls_conn_unwatch(conn);
	conn->protocol = keys->protocol;
	conn->cipher = keys->cipher;
	conn->kex_group = keys->group;
	conn->resumed = keys->flags & ATTLS_INSTALL_RESUMED;
	memcpy(conn->session, keys->session, sizeof(conn->session));
	conn->cert_uid = keys->cert_uid;
	memcpy(conn->cert_user, keys->cert_user, sizeof(conn->cert_user));
	swap(conn->ends, b->ends);
	swap(conn->tickets, b->tickets);
	if (attls_ktls_install(conn, keys)) {
		attls_conn_fail(conn, ATTLS_CONN_INSTALLING,
				ATTLS_REASON_INSTALL);
		return -EPROTO;
	}
	tcp_sock_set_quickack(conn->sk, 1);
	attls_keeper_begin(conn, b->keeper);
	attls_conn_move(conn, ATTLS_CONN_INSTALLING, ATTLS_CONN_SECURE);
	attls_stat_inc(ATTLS_STAT_SECURE);
	if (conn->resumed)
		attls_stat_inc(ATTLS_STAT_RESUMED);
	if (conn->shut)
		attls_secure_ops(conn->sock)->shutdown(conn->sock,
						       conn->shut - 1);
	attls_conn_wake(conn);
	return 0;
}

static int hs_install(struct hs_file *hs, void __user *arg)
{
	struct attls_conn *conn = hs->conn;
	struct attls_install keys;
	struct brought b;
	int err;

	if (copy_from_user(&keys, arg, sizeof(keys)))
		return -EFAULT;
	err = install_check(&keys);
	if (err)
		return err;
	err = brought_read(&b, &keys);
	if (err)
		return err;
	mutex_lock(&hs->lock);
	mutex_lock(&conn->sock_lock);
	err = hs->done ? -ECANCELED : install(conn, &keys, &b);
	if (!err) {
		swap(hs->keeper, b.keeper);
		smp_store_release(&hs->done, true);
	}
	mutex_unlock(&conn->sock_lock);
	mutex_unlock(&hs->lock);
	brought_put(&b);
	return err;
}

static int hs_fail(struct hs_file *hs, void __user *arg)
{
	struct attls_fail fail;

	if (copy_from_user(&fail, arg, sizeof(fail)))
		return -EFAULT;
	if (fail.size != sizeof(fail) || fail.reason == ATTLS_REASON_NONE)
		return -EINVAL;
	if (smp_load_acquire(&hs->done) ||
	    !attls_conn_fail(hs->conn, ATTLS_CONN_HANDSHAKE, fail.reason))
		return -ECANCELED;
	return 0;
}

static int hs_status(struct hs_file *hs, void __user *arg)
{
	struct attls_status status;

	if (copy_from_user(&status, arg, sizeof(status)))
		return -EFAULT;
	if (status.size != sizeof(status) || status.reserved)
		return -EINVAL;
	status.state = attls_conn_state(hs->conn);
	status.reason = READ_ONCE(hs->conn->reason);
	return copy_to_user(arg, &status, sizeof(status)) ? -EFAULT : 0;
}

static int hs_wishes(struct hs_file *hs, void __user *arg)
{
	struct attls_conn *conn = hs->conn;
	struct attls_wishes wishes;

	if (copy_from_user(&wishes.size, arg, sizeof(wishes.size)))
		return -EFAULT;
	if (wishes.size != sizeof(wishes))
		return -EINVAL;
	memset(&wishes, 0, sizeof(wishes));
	wishes.size = sizeof(wishes);
	mutex_lock(&conn->sock_lock);
	if (conn->wish) {
		wishes.alpn_len = conn->wish->alpn_len;
		memcpy(wishes.alpn, conn->wish->alpn, conn->wish->alpn_len);
		strscpy(wishes.peer_name, conn->wish->peer_name);
		memcpy(wishes.session, conn->wish->session.token,
		       sizeof(wishes.session));
		wishes.session_flags = conn->wish->session.flags;
	}
	mutex_unlock(&conn->sock_lock);
	return copy_to_user(arg, &wishes, sizeof(wishes)) ? -EFAULT : 0;
}

static int hs_keeper(struct hs_file *hs, unsigned int cmd, void __user *arg)
{
	if (!smp_load_acquire(&hs->done) || !hs->keeper)
		return -EINVAL;
	if (cmd == ATTLS_IOC_EVENT)
		return attls_keeper_event(hs->conn, hs->keeper, arg);
	return attls_keeper_send_ticket(hs->conn, hs->keeper, arg);
}

static long hs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hs_file *hs = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case ATTLS_IOC_INSTALL:
		return hs_install(hs, uarg);
	case ATTLS_IOC_FAIL:
		return hs_fail(hs, uarg);
	case ATTLS_IOC_STATUS:
		return hs_status(hs, uarg);
	case ATTLS_IOC_WISHES:
		return hs_wishes(hs, uarg);
	case ATTLS_IOC_EVENT:
	case ATTLS_IOC_TICKET:
		return hs_keeper(hs, cmd, uarg);
	default:
		return -ENOTTY;
	}
}

static int hs_release(struct inode *inode, struct file *file)
{
	struct hs_file *hs = file->private_data;
	struct attls_conn *conn = hs->conn;

	if (conn && !hs->done) {
		attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
				ATTLS_REASON_AGENT_GONE);
		attls_ktls_detach(conn);
	}
	if (hs->keeper)
		attls_keeper_end(conn, hs->keeper);
	attls_keeper_free(hs->keeper);
	if (conn)
		attls_conn_put(conn);
	kfree(hs);
	return 0;
}

static const struct file_operations hs_fops = {
	.owner		= THIS_MODULE,
	.read_iter	= hs_read_iter,
	.write_iter	= hs_write_iter,
	.poll		= hs_poll,
	.unlocked_ioctl	= hs_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= hs_release,
};

/* A file with no handshake in it yet. */
static struct file *hs_open(void)
{
	struct hs_file *hs = kzalloc(sizeof(*hs), GFP_KERNEL);
	struct file *file;

	if (!hs)
		return ERR_PTR(-ENOMEM);
	mutex_init(&hs->lock);
	file = anon_inode_getfile("[attls]", &hs_fops, hs, O_RDWR | O_NONBLOCK);
	if (IS_ERR(file))
		kfree(hs);
	return file;
}

static u64 socket_cookie(struct attls_conn *conn)
{
	int len = sizeof(u64);
	u64 cookie = 0;

	lockdep_assert_held(&conn->sock_lock);
	if (conn->sock)
		do_sock_getsockopt(conn->sock, false, SOL_SOCKET, SO_COOKIE,
				   KERNEL_SOCKPTR(&cookie),
				   KERNEL_SOCKPTR(&len));
	return cookie;
}

/* Makes the socket ready for the handshake: kTLS in place, no delays. */
static bool prepare(struct attls_conn *conn)
{
	int err = -ECANCELED;

	mutex_lock(&conn->sock_lock);
	if (conn->sock) {
		conn->cookie = socket_cookie(conn);
		err = attls_ktls_attach(conn);
		if (!err)
			attls_ktls_nagle_off(conn);
	}
	mutex_unlock(&conn->sock_lock);
	if (!err)
		return true;
	attls_conn_fail(conn, ATTLS_CONN_HANDSHAKE,
			err == -EEXIST ? ATTLS_REASON_ULP :
			err == -ENOTCONN ? ATTLS_REASON_PEER_RESET :
			err == -ENOMEM ? ATTLS_REASON_NO_MEMORY :
			ATTLS_REASON_INSTALL);
	attls_ktls_detach(conn);
	return false;
}

static void describe(struct attls_conn *conn, struct attls_request *req)
{
	const struct attls_policy *policy = conn->policy;
	struct attls_tuple t;

	attls_conn_tuple(conn->sk, &t);
	mutex_lock(&conn->sock_lock);		/* who */
	*req = (struct attls_request) {
		.size = sizeof(*req),
		.conn_id = conn->id,
		.generation = policy->generation,
		.rule = conn->rule - policy->set.rules,
		.timeout = conn->rule->hs_timeout * MSEC_PER_SEC,
		.cookie = conn->cookie,
		.netns_cookie = sock_net(conn->sk)->net_cookie,
		.uid = conn->who.uid,
		.gid = conn->who.gid,
		.pid = conn->who.pid,
		.role = conn->rule->role,
		.direction = conn->direction,
		.local_port = t.local_port,
		.remote_port = t.remote_port,
		.flags = conn->wish ? ATTLS_REQUEST_WISHES : 0,
	};
	if (attls_keeper_is_forgetting(&req->sessions_lost))
		req->flags |= ATTLS_REQUEST_FULL;
	memcpy(req->local_addr, t.local_addr, sizeof(req->local_addr));
	memcpy(req->remote_addr, t.remote_addr, sizeof(req->remote_addr));
	strscpy(req->comm, conn->who.comm, sizeof(req->comm));
	mutex_unlock(&conn->sock_lock);
	strscpy(req->rule_name,
		attls_set_string(&policy->set, conn->rule->name),
		sizeof(req->rule_name));
}

/* The next handshake that can be done; its reference is the caller's. */
static struct attls_conn *next_handshake(void)
{
	struct attls_conn *conn;

	while ((conn = queue_pop())) {
		if (prepare(conn))
			break;
		attls_conn_put(conn);
	}
	return conn;
}

static long device_accept(void __user *arg)
{
	struct attls_request req;
	struct hs_file *hs;
	struct file *file;
	int fd, err;
	u32 size;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size != sizeof(req))
		return -EINVAL;
	/* All that can fail comes first: a popped conn has no way back. */
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = hs_open();
	err = PTR_ERR(file);
	if (IS_ERR(file))
		goto err_put_fd;
	hs = file->private_data;
	hs->conn = next_handshake();
	err = -EAGAIN;
	if (!hs->conn)
		goto err_put_file;
	describe(hs->conn, &req);
	req.fd = fd;
	err = -EFAULT;
	if (copy_to_user(arg, &req, sizeof(req)))
		goto err_put_file;	/* fails the handshake */
	hs->conn->agent_has = true;
	fd_install(fd, file);
	return 0;

err_put_file:
	fput(file);
err_put_fd:
	put_unused_fd(fd);
	return err;
}

static long device_ioctl(struct file *file, unsigned int cmd,
			 unsigned long arg)
{
	if (cmd != ATTLS_IOC_ACCEPT)
		return -ENOTTY;
	return device_accept((void __user *)arg);
}

static __poll_t device_poll(struct file *file, struct poll_table_struct *wait)
{
	poll_wait(file, &device_wait, wait);
	return list_empty_careful(&queue) ? 0 : EPOLLIN | EPOLLRDNORM;
}

static int device_open(struct inode *inode, struct file *file)
{
	return capable(CAP_NET_ADMIN) ? 0 : -EPERM;
}

static const struct file_operations device_fops = {
	.owner		= THIS_MODULE,
	.open		= device_open,
	.poll		= device_poll,
	.unlocked_ioctl	= device_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= ATTLS_DEVICE,
	.fops	= &device_fops,
	.mode	= 0600,
};

int attls_handshake_init(void)
{
	if (!max_pending)
		max_pending = max_t(unsigned long, 16384,
				    (totalram_pages() << PAGE_SHIFT) / 64 /
				    (16 << 10));
	return misc_register(&device);
}

void attls_handshake_exit(void)
{
	misc_deregister(&device);
}
