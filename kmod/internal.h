/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share.  Dependencies point down:
 *
 *	main > {genl, detour} > sockopt > api > window > hook > accept > attach,
 *	wish > map > hold, connect > clear, stop > stoppable > io > send,
 *	recv > control > rekey > {conn, secondary} > own > {ktls, handshake} >
 *	announce, keeper > ticket > record > exporter, ends > policy, permit >
 *	chain, kdf, paths, peer, stats, trace
 *
 * Lock order: window_lock; listeners_mutex; conn->use; conn->sending;
 * conn->control_lock; conn->sock_lock, kTLS's tx_lock, lock_sock(sk),
 * sk->sk_callback_lock, the handshake queue lock; primaries_lock,
 * refusals_lock, conn->keeper_lock, below all of them.
 */
#ifndef _ATTLS_INTERNAL_H
#define _ATTLS_INTERNAL_H

#include <linux/atomic.h>
#include <linux/jump_label.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/task_work.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <linux/attls.h>
#include <linux/attls_sockopt.h>
#include <linux/ttls.h>
#include <attls_match.h>
#include "compat.h"

/*
 * What every connection of the machine runs through keeps its rarer parts in
 * functions of their own (noinline_for_stack): variables are cleared on entry,
 * also on the way that does not use them.
 */

#undef pr_fmt
#define pr_fmt(fmt) "attls: " fmt

/*
 * Our operations for one native table: four copies of it, each with some
 * functions replaced.  Lives as long as the module; found from sock->ops.
 */
struct attls_ops {
	const struct proto_ops	*base;	/* set last, with release */
	struct proto_ops	hook;	/* listener, or accepted and unmapped */
	struct proto_ops	held;	/* has a conn that is not SECURE */
	struct proto_ops	secure;	/* base is kTLS's table */
	struct proto_ops	stoppable;	/* the same, until STOP */
};

/* When TCP sends what MSG_MORE holds back though nothing follows. */
#define ATTLS_MORE_DELAY	(HZ / 5)

/* TLS content types, RFC 8446 section 5.1. */
enum attls_record {
	ATTLS_RECORD_ALERT	= 21,
	ATTLS_RECORD_HANDSHAKE	= 22,
	ATTLS_RECORD_DATA	= 23,
};

/* RFC 8446 section 4 */
#define ATTLS_HS_NEW_SESSION_TICKET	4
#define ATTLS_HS_KEY_UPDATE		24
#define ATTLS_HS_HEADER_LEN		4

/* A rule set in force, or still used by connections.  Immutable. */
struct attls_policy {
	refcount_t		ref;
	u32			generation;
	struct attls_set	set;	/* points into blob */
	void			*blob;	/* kvmalloc, owned */
	struct attls_filter	*filter;	/* the same */
	struct rcu_head		rcu;
};

/* Who asked for a connection: the process that connects or uses it first. */
struct attls_identity {
	u32			uid;
	u32			gid;
	pid_t			pid;
	char			comm[ATTLS_COMM_LEN];
};

/* What rules can ask of it besides; NULL: there is none. */
struct attls_paths {
	const char		*exe;
	const char		*cgroup;
};

/* The certificate of a peer: see peer.c.  Data: DER, then attls_names. */
struct attls_peer {
	refcount_t		ref;
	u32			cert_len;
	u32			names_len;
	u8			data[];
};

/* Certificates in DER, one behind the other: see chain.c.  Immutable. */
struct attls_chain {
	refcount_t		ref;
	u32			len;
	u32			hash;
	struct hlist_node	node;	/* chain.c's table */
	u8			der[];
};

/* The protocol that ALPN gave. */
struct attls_alpn {
	u8			len;
	u8			name[];
};

/* What is known of the two ends; each may be NULL: see ends.c. */
struct attls_ends {
	struct attls_peer	*peer;
	struct attls_chain	*chain;		/* what came behind it */
	struct attls_chain	*own_chain;
	struct attls_alpn	*alpn;		/* owned */
};

/* What the application wishes of the handshake: see wish.c. */
struct attls_wish {
	struct hlist_node	node;	/* wish.c's table, without a conn */
	const struct sock	*sk;	/* the same */
	char			peer_name[ATTLS_PEER_NAME_MAX];
	u32			alpn_len;
	u8			alpn[ATTLS_ALPN_MAX];
	struct attls_session	session;	/* token 0: none */
};

/* TLS 1.3 has a secret for exporters, TLS 1.2 struct attls_master. */
#define ATTLS_EXPORTER_SECRET_MAX	112

typedef void (*attls_ready_fn)(struct sock *sk);

/*
 * One socket under a rule.
 *
 * References: the socket (sk->sk_user_data, until release), the handshake
 * queue, the handshake file, the armed timer, the task work of a blocking
 * connect.  Holds a reference of the sock and of the policy.  Freed after
 * RCU, because socket callbacks look at sk_user_data without a lock.
 */
struct attls_conn {
	refcount_t		ref;
	atomic_t		state;	/* enum attls_conn_state */
	struct sock		*sk;
	struct attls_policy	*policy;
	const struct attls_rule	*rule;	/* in policy; final once established */
	u32			id;
	u8			direction;
	bool			port_known;	/* rule matched with it */
	bool			secondary;	/* rule is that of a primary */
	bool			begun;	/* TLS bytes came: second timer phase */
	bool			aborted;	/* FAILED, and TCP knows it */
	bool			canceled;	/* FAILED by shutdown() */
	bool			agent_has;	/* a worker took the handshake */
	u32			reason;	/* enum attls_reason; with FAILED */
	u64			cookie;
	struct attls_identity	who;
	struct attls_paths	*paths;	/* of a rule set that asks; lock_sock */

	/*
	 * Keeps the application's socket from going away under whoever
	 * must touch it (the agent's ioctls).  NULL once released.
	 */
	struct mutex		sock_lock;
	struct socket		*sock;		/* sock_lock */
	struct socket		*own;		/* is sock, in its place */
	u8			shut;		/* as sk_shutdown; sock_lock */
	struct socket		*shadow;	/* sock_lock; see ktls.c */
	const struct proto_ops	*native;	/* below kTLS; sock_lock */

	/*
	 * Who is in kTLS under a rule that lets the application stop it;
	 * see stoppable.c.  @use is held for writing to take kTLS off.
	 */
	struct rw_semaphore	use;
	struct rw_semaphore	sending;
	unsigned long		stop_until;	/* jiffies; 0: no timer; use */
	bool			stop_again;	/* a blocking STOP goes on */

	/* Socket callbacks as they were, or kTLS's; sk_callback_lock. */
	bool			callbacks;
	void			(*data_ready)(struct sock *sk);
	void			(*write_space)(struct sock *sk);
	void			(*state_change)(struct sock *sk);
	attls_ready_fn		record_ready;	/* kTLS's own, below ours */
	int			untold;		/* see announce.c */
	struct task_struct	*looker;
	struct work_struct	announce;
	ktime_t			stamp;		/* of a record; 0: none */
	long			sndtimeo;	/* Fast Open: see map.c */
	bool			sndtimeo_saved;
	bool			fastopen;	/* its send begins anew */

	struct hlist_node	primary;	/* see secondary.c */
	struct list_head	queue;		/* handshake queue lock */
	wait_queue_head_t	agent_wait;	/* pollers of the file */
	struct delayed_work	work;		/* timer, and abort */

	/* Nagle, cork, SO_RCVLOWAT as the application set them; lock_sock. */
	u8			nonagle;
	bool			nonagle_saved;
	int			rcvlowat;	/* 0: the socket has it */
	u32			flight_end;	/* TCP sequence after our last */
	u32			tickets_begin;	/* and of what the peer sends */
	bool			first;	/* of all data is still to be read */

	bool			connect_again;	/* interrupted: connect is 0 */

	/* TLS by the application: see clear.c; sock_lock. */
	atomic_t		gate;
	bool			initiated;	/* once at least */
	bool			init_again;	/* interrupted: INIT goes on */
	bool			started;	/* the gate was closed */
	bool			undecided;	/* HANDSHAKE, or CLEAR again? */
	unsigned long		decide_by;	/* jiffies */
	struct work_struct	look;		/* at the peer's first bytes */

	u16			protocol;
	u16			cipher;
	u16			kex_group;
	bool			resumed;
	u8			session[ATTLS_SESSION_LEN];	/* sock_lock */
	spinlock_t		keeper_lock;
	struct attls_keeper	*keeper;	/* keeper_lock; or NULL */
	struct attls_ends	ends;		/* sock_lock */
	struct attls_wish	*wish;		/* or NULL; sock_lock */
	u16			max_fragment;	/* of our records; 0: any */
	u32			cert_uid;	/* of the peer's certificate */
	char			cert_user[ATTLS_USER_LEN];	/* "": none */

	/* TLS 1.3: traffic secrets in use, RFC 8446 section 7.2. */
	u32			secret_len;	/* 0: keys do not change */
	u32			exporter_len;	/* 0: none; sock_lock */
	u32			exporter_hash;	/* bytes of the suite's */
	struct {
		u8	rx[ATTLS_SECRET_MAX];	/* control_lock */
		u8	tx[ATTLS_SECRET_MAX];	/* tx_lock */
		u8	exporter[ATTLS_EXPORTER_SECRET_MAX];	/* sock_lock */
	} secrets;
	u64			tx_limit;	/* records; 0: update is due */
	unsigned long		rekey_every;	/* jiffies; 0: no timer */
	unsigned long		rekey_at;	/* then in both directions */
	bool			rekey_request;	/* by the next update */
	struct attls_tickets	*tickets;	/* or NULL; tx_lock */
	bool			more;		/* a flush is on its way */

	/* Control records; control_lock. */
	struct mutex		control_lock;
	u32			control_run;	/* without data in between */
	u64			control_seq;	/* of the record after */
	unsigned long		control_time;	/* jiffies */
	u32			ticket_len;	/* of the last; 0: none came */
	u8			hs_header[4];
	u8			hs_have;
	u32			hs_left;
	struct attls_ticket_in	*ticket;	/* in part; or NULL */
	bool			rx_shut;	/* shut down by the application */
	bool			rx_told;	/* an error: the end comes next */
	bool			rx_closed;	/* close_notify came */
	bool			rx_kept;	/* kTLS has bytes behind it */
	bool			tx_closed;	/* close_notify sent */

	struct rcu_head		rcu;
};

/*
 * The conn of a socket, for the operations of a SECURE one: they run with
 * the socket's file held, so the conn stays; those of a held one have
 * attls_hold_get().  NULL: memory was short when the socket was mapped, or
 * somebody else owns sk_user_data; such a socket is FAILED.
 */
static inline struct attls_conn *attls_conn_of(const struct sock *sk)
{
	uintptr_t data = (uintptr_t)READ_ONCE(sk->sk_user_data);

	/* A sockmap, BPF or a kernel user has other flags: it is not ours. */
	if (unlikely((data & ~SK_USER_DATA_PTRMASK) != SK_USER_DATA_NOCOPY))
		return NULL;
	return (void *)(data & SK_USER_DATA_PTRMASK);
}

static inline int attls_conn_state(const struct attls_conn *conn)
{
	return conn ? atomic_read_acquire(&conn->state) : ATTLS_CONN_FAILED;
}

/* May the application take kTLS off again? */
static inline bool attls_may_stop(const struct attls_conn *conn)
{
	return conn->rule->flags & ATTLS_RULE_APPLCNTRL;
}

/* Wishes that a connection in clear would betray. */
static inline bool attls_wish_insists(const struct attls_wish *wish)
{
	return wish && (*wish->peer_name ||
			wish->session.flags & ATTLS_SESSION_REQUIRED);
}

/* An error of the connection (sk_err), not of the call. */
static inline bool attls_is_socket_error(int err)
{
	return err <= -EPIPE && err > -ERESTARTSYS;
}

/* Does the current task return from here to a program, with a result? */
static inline bool attls_in_syscall(void)
{
	return !(current->flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER));
}

/* window.c */
void attls_window_begin(void);
void attls_window_policy(void);

/* permit.c */
DECLARE_STATIC_KEY_FALSE(attls_permit_few);
bool attls_permit_current(void);
bool attls_permit_refuse(struct sock *sk, int err);
void attls_permit_settle(struct sock *sk);
void attls_permit_refused(const struct sock *sk);
void attls_permit_drain(void);
void attls_permit_begin(void);
void attls_permit_end(void);

/* The start-up window is closed. */
static inline bool attls_permit_is_limited(void)
{
	return static_branch_unlikely(&attls_permit_few);
}

/* ... to the current process. */
static inline bool attls_permit_denied(void)
{
	return attls_permit_is_limited() && !attls_permit_current();
}

/* hook.c */
int attls_hook_init(void);
void attls_hook_exit(void);
void attls_hook_wake(void);
struct attls_ops *attls_ops_get(const struct proto_ops *base);

/* accept.c */
int attls_accept_init(void);
void attls_accept_exit(void);
void attls_accept_fill(struct proto_ops *ops);
void attls_accept_listen(struct sock *sk, struct attls_ops *ops,
			 const struct attls_identity *who);
void attls_accept_unlisten(const struct sock *sk);
void attls_accept_expect(void);
void attls_accept_unhook(void);

/* map.c */
void attls_map_fill(struct proto_ops *ops);
const struct proto_ops *attls_map_base(const struct proto_ops *ops);
__poll_t attls_map_poll(struct file *file, struct socket *sock,
			struct poll_table_struct *wait);
void attls_map_use(struct socket *sock);
struct attls_conn *attls_map_conn(struct socket *sock,
				  struct attls_policy *policy, int rule,
				  bool secondary,
				  const struct attls_identity *who,
				  u8 direction, gfp_t gfp);
void attls_map_hold(struct socket *sock, struct attls_ops *ops,
		    struct attls_conn *conn);
bool attls_map_refuse(struct sock *sk, struct sock *ssk, int err);
void attls_map_accepted(struct socket *sock, const struct attls_identity *who);
bool attls_is_hook(const struct proto_ops *ops);
bool attls_map_drop_fastopen(struct sock *sk);
void attls_map_subflow(struct socket *sock, struct sock *ssk);
void attls_map_outbound(struct socket *sock);
bool attls_map_final(struct attls_conn *conn);

/* Has the socket a table of ours that goes with a conn? */
static inline bool attls_has_conn(const struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	return ops->owner == THIS_MODULE && !attls_is_hook(ops);
}

/* attach.c */
int attls_attach_init(void);
void attls_attach_exit(void);
bool attls_attach_asks(int level, int optname, sockptr_t optval,
		       unsigned int optlen);
void attls_attach_leave(struct sock *sk);
int attls_attach_unconnected(struct socket *sock);

/* wish.c */
struct attls_wish *attls_wish_take(const struct sock *sk);
void attls_wish_give(const struct sock *sk, struct attls_wish *wish);
bool attls_wish_is_firm(const struct sock *sk);
void attls_wish_exit(void);
int attls_wish_set(struct socket *sock, int optname, sockptr_t optval,
		   u32 len);
int attls_wish_session(struct attls_conn *conn, const u8 *token, u32 flags);
void attls_wish_peer_name(struct socket *sock, char to[ATTLS_PEER_NAME_MAX]);

/* sockopt.c */
int attls_sockopt_get(struct socket *sock, int optname, char __user *optval,
		      int __user *optlen);
int attls_sockopt_set(struct socket *sock, int optname, sockptr_t optval,
		      unsigned int optlen);

/* conn.c */
int attls_conn_init(void);
void attls_conn_exit(void);
struct attls_conn *attls_conn_create(struct socket *sock,
				     struct attls_policy *policy, int rule,
				     const struct attls_identity *who,
				     u8 direction, gfp_t gfp);
bool attls_conn_get(struct attls_conn *conn);
void attls_conn_put(struct attls_conn *conn);
struct attls_conn *attls_conn_next(unsigned long *id);
bool attls_conn_move(struct attls_conn *conn, int from, int to);
void attls_conn_mute(struct sock *sk);
void attls_conn_unmute(struct sock *sk);
void attls_conn_shake(struct attls_conn *conn);
void attls_conn_begin(struct attls_conn *conn);
bool attls_conn_fail(struct attls_conn *conn, int from, u32 reason);
int attls_conn_error(struct sock *sk, struct attls_conn *conn);
bool attls_conn_cancel(struct attls_conn *conn);
void attls_conn_settle_install(struct attls_conn *conn);
void attls_conn_reset(struct attls_conn *conn, u32 reason);
void attls_conn_arm(struct attls_conn *conn, unsigned long delay);
void attls_conn_disarm(struct attls_conn *conn);
void attls_conn_queue(struct attls_conn *conn, struct work_struct *work);
void attls_conn_wake(struct attls_conn *conn);
void attls_conn_settle(struct attls_conn *conn);
void attls_conn_watch(struct attls_conn *conn);
void attls_conn_unwatch(struct attls_conn *conn);
void attls_conn_unhang(struct attls_conn *conn);
void attls_conn_part(struct attls_conn *conn);
void attls_conn_release(struct socket *sock, struct attls_conn *conn);
bool attls_conn_drop(struct socket *sock, struct attls_conn *conn);
void attls_conn_tuple(const struct sock *sk, struct attls_tuple *t);
void attls_identity_current(struct attls_identity *who);

/* own.c */
struct socket *attls_own_create(const struct sock *sk);
void attls_own_move(struct socket *from, struct socket *to);
bool attls_own_linger(struct socket *sock, struct attls_conn *conn);
void attls_own_close(struct attls_conn *conn);

/* hold.c */
void attls_hold_fill(struct proto_ops *ops);
struct attls_conn *attls_hold_get(const struct socket *sock);
void attls_hold_put(struct attls_conn *conn);
bool attls_hold_pending(const struct attls_conn *conn);
int attls_hold_wait(struct sock *sk, struct attls_conn *conn, long timeo);
const struct proto_ops *attls_hold_base(const struct socket *sock);
int attls_hold_refused(struct socket *sock);
void attls_hold_settle(struct attls_conn *conn);
void attls_hold_unconnect(struct socket *sock, struct attls_conn *conn);

/* clear.c */
bool attls_clear_enter(struct attls_conn *conn);
void attls_clear_leave(struct attls_conn *conn);
void attls_clear_open(struct attls_conn *conn);
int attls_clear_init(struct attls_conn *conn, bool allow);
void attls_clear_decide(struct attls_conn *conn);
void attls_clear_close(struct attls_conn *conn);
bool attls_clear_sendmsg(struct socket *sock, struct attls_conn *conn,
			 struct msghdr *msg, size_t len, int *ret);
bool attls_clear_recvmsg(struct socket *sock, struct attls_conn *conn,
			 struct msghdr *msg, size_t len, int flags,
			 long *timeo, int *ret);
bool attls_clear_splice_read(struct socket *sock, struct attls_conn *conn,
			     loff_t *pos, struct pipe_inode_info *pipe,
			     size_t len, unsigned int flags, ssize_t *ret);

/* connect.c */
int attls_held_connect(struct socket *sock, struct sockaddr_unsized *addr,
		       int addr_len, int flags);
bool attls_hold_connect(struct attls_conn *conn);
void attls_fastopen_taken(struct attls_conn *conn, struct msghdr *msg);

/* send.c */
int attls_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);

/* recv.c */
int attls_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		  int flags);
ssize_t attls_splice_read(struct socket *sock, loff_t *pos,
			  struct pipe_inode_info *pipe, size_t len,
			  unsigned int flags);
__poll_t attls_poll(struct file *file, struct socket *sock,
		    struct poll_table_struct *wait);
#define ATTLS_RECV_BYTES_MAX SZ_64K
int attls_recv_bytes(struct socket *sock, size_t most);
bool attls_recv_has(struct socket *sock, struct attls_conn *conn, int want);
int attls_recv_wait(struct socket *sock, unsigned long start, long timeo,
		    bool (*ready)(struct socket *sock, int want), int want);

/*
 * The functions of a SECURE socket, for who keeps it so: all of them, but
 * where kTLS may be taken off, only who is in a function of stoppable.c or
 * holds conn->sock_lock.
 */
static inline const struct proto_ops *
attls_secure_ops(const struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	if (likely(ops->recvmsg == attls_recvmsg))
		return ops;
	return &container_of(ops, struct attls_ops, stoppable)->secure;
}

/* kTLS's own table, below the one of a SECURE socket. */
static inline const struct proto_ops *attls_ktls_of(const struct socket *sock)
{
	return container_of(attls_secure_ops(sock), struct attls_ops,
			    secure)->base;
}

/* stop.c */
int attls_stop(struct socket *sock, struct attls_conn *conn, bool nonblock,
	       u32 *reason);
void attls_stop_work(struct attls_conn *conn);
int attls_reset_cipher(struct attls_conn *conn, bool write_only, u32 *reason);

/* stoppable.c */
void attls_stoppable_fill(struct proto_ops *ops);

/* io.c */
void attls_io_fill(struct proto_ops *ops);
bool attls_sockopt_denied(int level, int optname);
int attls_io_getsockopt(const struct proto_ops *ops, struct socket *sock,
			int level, int optname, char __user *optval,
			int __user *optlen);

/* control.c */
int attls_control_consume(struct socket *sock, struct attls_conn *conn);
int attls_control_peek(struct socket *sock, struct attls_conn *conn);
bool attls_control_closed(const struct attls_conn *conn);
bool attls_control_at_end(struct sock *sk);
void attls_control_keep_error(struct sock *sk, int err);
int attls_control_bad_record(struct socket *sock, struct attls_conn *conn,
			     int err);
void attls_control_close_notify(struct socket *sock, struct attls_conn *conn);
int attls_control_stop(struct socket *sock, struct attls_conn *conn);

/* announce.c */
void attls_announce_record(struct sock *sk);
void attls_announce_later(struct attls_conn *conn);
void attls_announce_now(struct attls_conn *conn);
void attls_announce_work(struct work_struct *work);

/* rekey.c */
int attls_rekey_begin(struct attls_conn *conn,
		      const struct attls_install *keys);
void attls_rekey_end(struct attls_conn *conn);
int attls_rekey_rx(struct attls_conn *conn);
int attls_rekey_tx(struct attls_conn *conn, bool wait);
void attls_rekey_answer(struct attls_conn *conn);
int attls_rekey_ask(struct attls_conn *conn, bool request);

/* ResetCipherTimer has run out. */
static inline bool attls_rekey_is_time(const struct attls_conn *conn)
{
	return READ_ONCE(conn->rekey_every) &&
	       time_after_eq(jiffies, READ_ONCE(conn->rekey_at));
}

/* ktls.c */
int attls_ktls_init(void);
void attls_ktls_exit(void);
int attls_ktls_attach(struct attls_conn *conn);
void attls_ktls_detach(struct attls_conn *conn);
void attls_ktls_take_off(struct sock *sk);
int attls_ktls_install(struct attls_conn *conn,
		       const struct attls_install *keys);
void attls_ktls_release(struct attls_conn *conn);
void attls_ktls_end_rx(struct attls_conn *conn);
bool attls_ktls_is_idle(const struct tls_context *tls);
bool attls_ktls_is_sending(struct sock *sk);
void attls_ktls_remove(struct attls_conn *conn);
bool attls_ktls_flush(struct attls_conn *conn);
void attls_ktls_nagle_off(struct attls_conn *conn);
void attls_ktls_nagle_restore(struct attls_conn *conn);
void attls_ktls_first_data(struct attls_conn *conn);

/* record.c */
int attls_record_send(struct sock *sk, struct tls_context *tls,
		      const u8 *message, size_t len, int flags);

/* ticket.c */
int attls_tickets_read(const struct attls_install *keys,
		       struct attls_tickets **to);
void attls_tickets_free(struct attls_tickets *tickets);
int attls_tickets_first(struct attls_conn *conn, bool wait);
bool attls_ticket_is(const u8 *message, u32 len);
int attls_ticket_send(struct attls_conn *conn, const u8 *message, u32 len,
		      int flags);
int attls_ticket_result(struct attls_conn *conn, int err);

/* keeper.c */
bool attls_keeper_is_forgetting(u32 *lost);
struct attls_keeper *attls_keeper_new(bool can_send);
void attls_keeper_free(struct attls_keeper *keeper);
void attls_keeper_begin(struct attls_conn *conn, struct attls_keeper *keeper);
void attls_keeper_end(struct attls_conn *conn, struct attls_keeper *keeper);
__poll_t attls_keeper_poll(struct attls_conn *conn,
			   struct attls_keeper *keeper);
void attls_keeper_forget(struct attls_conn *conn);
int attls_keeper_send(struct attls_conn *conn);
void attls_keeper_expect(struct attls_conn *conn, const u8 *header, u32 left);
void attls_keeper_cancel(struct attls_conn *conn);
void attls_keeper_ticket(struct attls_conn *conn, const u8 *p, u32 len);
int attls_keeper_event(struct attls_conn *conn, struct attls_keeper *keeper,
		       void __user *arg);
int attls_keeper_send_ticket(struct attls_conn *conn,
			     struct attls_keeper *keeper, void __user *arg);

/* handshake.c */
int attls_handshake_init(void);
void attls_handshake_exit(void);
bool attls_handshake_queue(struct attls_conn *conn);
void attls_handshake_forget(struct attls_conn *conn);
void attls_handshake_account(int from, int to);
bool attls_handshake_is_busy(void);

/* ends.c */
int attls_ends_read(struct attls_ends *ends, const struct attls_install *keys);
void attls_ends_put(struct attls_ends *ends);

/* peer.c */
int attls_peer_read(const struct attls_install *keys,
		    struct attls_peer **to);
struct attls_peer *attls_peer_get(struct attls_peer *peer);
void attls_peer_put(struct attls_peer *peer);
bool attls_peer_is(const struct attls_peer *peer, const char *host);
bool attls_peer_is_plain(const u8 *name, u32 len, const char *others);

/* chain.c */
int attls_chain_read(u64 from, u32 len, struct attls_chain **to);
struct attls_chain *attls_chain_get(struct attls_chain *chain);
void attls_chain_put(struct attls_chain *chain);
void attls_chain_exit(void);

/* kdf.c */
struct crypto_shash;
void attls_kdf_init(void);
void attls_kdf_exit(void);
struct crypto_shash *attls_kdf_hmac(u32 len);
int attls_kdf_hash(const void *data, u32 data_len, u8 *out, u32 len);
int attls_kdf_expand(struct crypto_shash *hmac, const u8 *secret,
		     const char *label, u32 label_len,
		     const u8 *context, u32 context_len, u8 *out, u32 len);
int attls_kdf_prf(struct crypto_shash *hmac, const u8 *secret, u32 secret_len,
		  const char *label, u32 label_len,
		  const struct kvec seed[2], u8 *out, u32 len);

/* exporter.c */
int attls_exporter_begin(struct attls_conn *conn,
			 const struct attls_install *keys);
int attls_exporter_get(struct attls_conn *conn, const char __user *from);

/* secondary.c */
void attls_secondary_add(struct attls_conn *conn);
void attls_secondary_del(struct attls_conn *conn);
const struct attls_rule *attls_secondary_rule(const struct attls_conn *conn);
int attls_secondary_find(struct attls_policy **policy, const struct sock *sk,
			 const struct attls_identity *who, u8 direction,
			 bool *secondary);

/* paths.c */
int attls_paths_prepare(void);
void attls_paths_current(struct attls_paths *paths);
struct attls_paths *attls_paths_save(void);
void attls_paths_exit(void);

/* policy.c */
struct attls_policy *attls_policy_get(void);
void attls_policy_put(struct attls_policy *policy);
void attls_policy_hold(struct attls_policy *policy);
int attls_policy_install(void *blob, u32 len, u32 generation,
			 const char **wrong, u32 *where);
int attls_policy_match(const struct attls_policy *policy,
		       const struct sock *sk,
		       const struct attls_identity *who,
		       const struct attls_paths *paths, u8 direction);
int attls_policy_find(struct attls_policy **policy, const struct sock *sk,
		      const struct attls_identity *who, u8 direction);
bool attls_policy_serves_peer(const struct sock *sk);
bool attls_policy_empty(void);

/* Does rule @rule of @policy, if there is one, have TLS begin by itself? */
static inline bool attls_policy_protects(const struct attls_policy *policy,
					 int rule)
{
	return rule >= 0 &&
	       (policy->set.rules[rule].flags &
		(ATTLS_RULE_ENABLED | ATTLS_RULE_APPLCNTRL)) ==
	       ATTLS_RULE_ENABLED;
}
void attls_policy_exit(void);

/* api.c */
struct attls_call {			/* of SIOCTTLSCTL, SOL_ATTLS */
	struct socket		*sock;
	struct attls_conn	*conn;	/* reference; NULL: under no rule */
	bool			nonblock;
	struct TTLS_IOCTL	io;
	/* Of a secure connection, as they were when io was filled in. */
	struct attls_peer	*peer;	/* reference, or NULL */
	char			user[ATTLS_USER_LEN];
	u8			session[ATTLS_SESSION_LEN];
};

const struct attls_rule *attls_api_rule(const struct attls_call *call);
int attls_api_call(struct socket *sock, bool nonblock, void __user *arg);
int attls_api_find(struct attls_call *call);
int attls_api_wait(struct attls_call *call, long timeo);
void attls_api_done(struct attls_call *call);

/* detour.c */
int attls_detour_init(void);
void attls_detour_exit(void);

/* api_v2.c */
int attls_api_query(struct attls_call *call);

/* genl.c */
int attls_genl_init(void);
void attls_genl_exit(void);

/* stats.c */
enum attls_stat {
	ATTLS_STAT_LISTENERS,
	ATTLS_STAT_MAPPED_NONE,
	ATTLS_STAT_MAPPED_TLS,
	ATTLS_STAT_MAPPED_CLEAR,
	ATTLS_STAT_ACCEPTED_EARLY,
	ATTLS_STAT_HANDSHAKES_QUEUED,
	ATTLS_STAT_SECURE,
	ATTLS_STAT_LEFT_CLEAR,
	ATTLS_STAT_CLOSED,
	ATTLS_STAT_STOPPED,
	ATTLS_STAT_FAILED,
	ATTLS_STAT_FAIL_PEER_RESET,
	ATTLS_STAT_FAIL_AGENT_GONE,
	ATTLS_STAT_FAIL_QUEUE_FULL,
	ATTLS_STAT_FAIL_NO_MEMORY,
	ATTLS_STAT_FAIL_INSTALL,
	ATTLS_STAT_FAIL_MPTCP,
	ATTLS_STAT_FAIL_SOCKMAP,
	ATTLS_STAT_FAIL_TRUNCATED,
	ATTLS_STAT_FAIL_ALERT,
	ATTLS_STAT_FAIL_RECORD,
	ATTLS_STAT_FAIL_PROTOCOL,
	ATTLS_STAT_FAIL_KEY_UPDATE,
	ATTLS_STAT_FAIL_FLOOD,
	ATTLS_STAT_FAIL_DENIED,
	ATTLS_STAT_FAIL_NO_USER,
	ATTLS_STAT_FAIL_CLEARTEXT,
	ATTLS_STAT_FAIL_TIMEOUT,
	ATTLS_STAT_FAIL_HANDSHAKE,
	ATTLS_STAT_FAIL_STOP,
	ATTLS_STAT_CANCELED,
	ATTLS_STAT_LINGERING,
	ATTLS_STAT_TICKETS,
	ATTLS_STAT_TICKETS_DROPPED,
	ATTLS_STAT_TICKETS_SENT,
	ATTLS_STAT_RESUMED,
	ATTLS_STAT_KEY_UPDATES_RECEIVED,
	ATTLS_STAT_KEY_UPDATES_SENT,
	ATTLS_STAT_ALERTS,
	ATTLS_STAT_CLOSE_NOTIFY_SENT,
	ATTLS_STAT_CLOSE_NOTIFY_LOST,
	ATTLS_STAT_FASTOPEN_HELD,
	ATTLS_STAT_STARTUP_REFUSED,
	ATTLS_STAT_STARTUP_HELD,
	ATTLS_STAT_REPAIR_SKIPPED,
	ATTLS_STAT_UNHOOKABLE,
	__ATTLS_STAT_MAX
};

DECLARE_PER_CPU(u64 [__ATTLS_STAT_MAX], attls_stats);
#define attls_stat_inc(stat)	this_cpu_inc(attls_stats[stat])
u64 attls_stat_read(enum attls_stat stat);
const char *attls_stat_name(enum attls_stat stat);
void attls_stat_failure(u32 reason);

#endif /* _ATTLS_INTERNAL_H */
