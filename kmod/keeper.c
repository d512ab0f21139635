// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keepers: the worker that has made a session keeps its handshake file, and
 * is told there what comes later: tickets of the server, and what a program
 * asks of its session.
 *
 * A session to be forgotten is so for the next handshake, though the keeper
 * may be slow: as long as one has not done it all handshakes are full ones.
 * Without a keeper there is nothing to forget; attlsd sees to that.
 */
#include "internal.h"
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/tls.h>

#define TICKETS_MAX	8	/* a keeper has not asked for yet */
#define SENDS_MAX	16	/* the same, that it is to send */

/*
 * Whom the agent has for a session that a handshake made.  Belongs to the
 * handshake file; keeper_lock of its conn.
 */
struct attls_keeper {
	bool			can_send;	/* tickets; until forget */
	bool			forget;		/* it is to be told */
	bool			forgetting;	/* it has been, and is at it */
	u32			sends;		/* tickets that it owes */
	u32			n_tickets;
	struct list_head	tickets;	/* of the peer, for it */
};

/* A NewSessionTicket of the peer, some of it still to come. */
struct attls_ticket_in {
	struct list_head	node;
	u32			len;	/* of what is here */
	u32			size;
	u8			message[] __counted_by(size);
};

static atomic_t n_forgetting;	/* keepers that are to forget a session */
static atomic_t n_lost;		/* and those that went before they had */

/*
 * For a handshake that begins: has a session been given up that a worker may
 * still offer, and how often did nobody say that he has forgotten one?
 */
bool attls_keeper_is_forgetting(u32 *lost)
{
	bool forgetting = atomic_read_acquire(&n_forgetting);

	*lost = atomic_read(&n_lost);
	return forgetting;
}

/* For the file of a handshake; NULL: no memory. */
struct attls_keeper *attls_keeper_new(bool can_send)
{
	struct attls_keeper *keeper = kzalloc(sizeof(*keeper),
					      GFP_KERNEL_ACCOUNT);

	if (!keeper)
		return NULL;
	INIT_LIST_HEAD(&keeper->tickets);
	keeper->can_send = can_send;
	return keeper;
}

/* What was told last is done. */
static void acknowledge(struct attls_keeper *keeper)
{
	if (!keeper->forgetting)
		return;
	keeper->forgetting = false;
	atomic_dec(&n_forgetting);
}

/* The file goes, and nobody has the keeper any more.  NULL is taken. */
void attls_keeper_free(struct attls_keeper *keeper)
{
	struct attls_ticket_in *ticket, *next;
	int forgetting;

	if (!keeper)
		return;
	forgetting = keeper->forget + keeper->forgetting;
	if (forgetting) {
		atomic_inc(&n_lost);
		/* Who does not see those any more sees that one. */
		atomic_fetch_sub_release(forgetting, &n_forgetting);
	}
	list_for_each_entry_safe(ticket, next, &keeper->tickets, node)
		kfree_sensitive(ticket);
	kfree(keeper);
}

/* The session begins: @keeper is that of @conn.  sock_lock is held. */
void attls_keeper_begin(struct attls_conn *conn, struct attls_keeper *keeper)
{
	lockdep_assert_held(&conn->sock_lock);
	spin_lock(&conn->keeper_lock);
	conn->keeper = keeper;
	spin_unlock(&conn->keeper_lock);
}

/*
 * The session is over, or with @keeper just that one, which may be another's
 * or NULL.  Process context.
 */
void attls_keeper_end(struct attls_conn *conn, struct attls_keeper *keeper)
{
	spin_lock(&conn->keeper_lock);
	if (!keeper || conn->keeper == keeper)
		conn->keeper = NULL;
	spin_unlock(&conn->keeper_lock);
	wake_up_interruptible_poll(&conn->agent_wait, EPOLLERR | EPOLLHUP);
}

static bool is_over(const struct attls_conn *conn,
		    const struct attls_keeper *keeper)
{
	int state = attls_conn_state(conn);

	lockdep_assert_held(&conn->keeper_lock);
	return conn->keeper != keeper ||
	       (state != ATTLS_CONN_INSTALLING && state != ATTLS_CONN_SECURE &&
		state != ATTLS_CONN_STOPPING);
}

static bool has_event(const struct attls_keeper *keeper)
{
	return keeper->forget || keeper->sends || !list_empty(&keeper->tickets);
}

/* What is to be forgotten is told before the end is. */
__poll_t attls_keeper_poll(struct attls_conn *conn,
			   struct attls_keeper *keeper)
{
	__poll_t mask = 0;

	spin_lock(&conn->keeper_lock);
	if (has_event(keeper))
		mask = EPOLLIN | EPOLLRDNORM;
	else if (is_over(conn, keeper))
		mask = EPOLLERR | EPOLLHUP;
	spin_unlock(&conn->keeper_lock);
	return mask;
}

static void wake(struct attls_conn *conn)
{
	wake_up_interruptible_poll(&conn->agent_wait, EPOLLIN | EPOLLRDNORM);
}

/*
 * RESET_SESSION: no handshake from here on resumes it, and no ticket leaves
 * that would.  Process context.
 */
void attls_keeper_forget(struct attls_conn *conn)
{
	struct attls_keeper *keeper;

	spin_lock(&conn->keeper_lock);
	keeper = conn->keeper;
	if (keeper && !keeper->forget) {
		keeper->forget = true;
		atomic_inc(&n_forgetting);
	}
	if (keeper)
		WRITE_ONCE(keeper->can_send, false);
	spin_unlock(&conn->keeper_lock);
	wake(conn);
}

/*
 * SEND_SESSION_TICKET.  -EOPNOTSUPP: nobody makes tickets for it; -ENOBUFS:
 * so many are under way.  Process context.
 */
int attls_keeper_send(struct attls_conn *conn)
{
	struct attls_keeper *keeper;
	int err = 0;

	spin_lock(&conn->keeper_lock);
	keeper = conn->keeper;
	if (!keeper || !keeper->can_send)
		err = -EOPNOTSUPP;
	else if (keeper->sends == SENDS_MAX)
		err = -ENOBUFS;
	else
		keeper->sends++;
	spin_unlock(&conn->keeper_lock);
	if (!err)
		wake(conn);
	return err;
}

/*
 * The header of a NewSessionTicket has come.  Who takes no tickets, or has no
 * memory for one, goes without.  control_lock is held.
 */
void attls_keeper_expect(struct attls_conn *conn, const u8 *header, u32 left)
{
	struct attls_ticket_in *ticket;
	u32 size = ATTLS_HS_HEADER_LEN + left;

	lockdep_assert_held(&conn->control_lock);
	attls_keeper_cancel(conn);
	if (conn->protocol != TLS_1_3_VERSION || !READ_ONCE(conn->keeper) ||
	    conn->rule->role != ATTLS_ROLE_CLIENT)
		return;
	ticket = size > ATTLS_TICKET_MAX ? NULL :
		 kmalloc(struct_size(ticket, message, size),
			 GFP_KERNEL_ACCOUNT);
	if (!ticket) {
		attls_stat_inc(ATTLS_STAT_TICKETS_DROPPED);
		return;
	}
	ticket->size = size;
	ticket->len = ATTLS_HS_HEADER_LEN;
	memcpy(ticket->message, header, ATTLS_HS_HEADER_LEN);
	conn->ticket = ticket;
}

/* What has come of a ticket goes with the session.  As expect. */
void attls_keeper_cancel(struct attls_conn *conn)
{
	kfree_sensitive(conn->ticket);
	conn->ticket = NULL;
}

static void deliver(struct attls_conn *conn, struct attls_ticket_in *ticket)
{
	struct attls_keeper *keeper;
	bool taken = false;

	spin_lock(&conn->keeper_lock);
	keeper = conn->keeper;
	if (keeper && keeper->n_tickets < TICKETS_MAX) {
		list_add_tail(&ticket->node, &keeper->tickets);
		keeper->n_tickets++;
		taken = true;
	}
	spin_unlock(&conn->keeper_lock);
	if (taken) {
		wake(conn);
		return;
	}
	attls_stat_inc(ATTLS_STAT_TICKETS_DROPPED);
	kfree_sensitive(ticket);
}

/* The next @len bytes of the message that is expected.  As expect. */
void attls_keeper_ticket(struct attls_conn *conn, const u8 *p, u32 len)
{
	struct attls_ticket_in *ticket = conn->ticket;

	lockdep_assert_held(&conn->control_lock);
	if (!ticket)
		return;
	if (WARN_ON_ONCE(len > ticket->size - ticket->len))
		return;
	memcpy(ticket->message + ticket->len, p, len);
	ticket->len += len;
	if (ticket->len < ticket->size)
		return;
	conn->ticket = NULL;
	deliver(conn, ticket);
}

/* The next event, its kind in @kind, with the ticket if it is one. */
static int take(struct attls_conn *conn, struct attls_keeper *keeper,
		u32 *kind, struct attls_ticket_in **ticket)
{
	int err = 0;

	*ticket = NULL;
	spin_lock(&conn->keeper_lock);
	acknowledge(keeper);
	if (keeper->forget) {
		*kind = ATTLS_EVENT_FORGET;
		keeper->forget = false;
		keeper->forgetting = true;
	} else if (keeper->sends) {
		*kind = ATTLS_EVENT_SEND_TICKET;
		keeper->sends--;
	} else if (!list_empty(&keeper->tickets)) {
		*kind = ATTLS_EVENT_TICKET;
		*ticket = list_first_entry(&keeper->tickets,
					   struct attls_ticket_in, node);
		list_del(&(*ticket)->node);
		keeper->n_tickets--;
	} else {
		err = is_over(conn, keeper) ? -ECONNRESET : -EAGAIN;
	}
	spin_unlock(&conn->keeper_lock);
	return err;
}

/* Nobody has been told. */
static void put_back(struct attls_conn *conn, struct attls_keeper *keeper,
		     u32 kind, struct attls_ticket_in *ticket)
{
	spin_lock(&conn->keeper_lock);
	if (ticket) {
		list_add(&ticket->node, &keeper->tickets);
		keeper->n_tickets++;
	} else if (kind == ATTLS_EVENT_SEND_TICKET) {
		keeper->sends++;
	} else if (keeper->forget) {
		acknowledge(keeper);	/* it comes once more */
	} else {
		keeper->forget = true;
		keeper->forgetting = false;
	}
	spin_unlock(&conn->keeper_lock);
}

/* ATTLS_IOC_EVENT. */
int attls_keeper_event(struct attls_conn *conn, struct attls_keeper *keeper,
		       void __user *arg)
{
	struct attls_ticket_in *ticket;
	struct attls_event event;
	int err;

	if (copy_from_user(&event, arg, sizeof(event)))
		return -EFAULT;
	if (event.size != sizeof(event) || event.reserved ||
	    event.len < ATTLS_TICKET_MAX)
		return -EINVAL;
	err = take(conn, keeper, &event.kind, &ticket);
	if (err)
		return err;
	event.len = ticket ? ticket->size : 0;
	if ((ticket && copy_to_user(u64_to_user_ptr(event.data),
				    ticket->message, ticket->size)) ||
	    copy_to_user(arg, &event, sizeof(event))) {
		put_back(conn, keeper, event.kind, ticket);
		return -EFAULT;
	}
	kfree_sensitive(ticket);
	return 0;
}

/* sock_lock keeps STOP and the release of the socket away. */
static int send_ticket(struct attls_conn *conn, struct attls_keeper *keeper,
		       const u8 *message, u32 len)
{
	struct tls_context *tls;
	bool over;
	int err;

	lockdep_assert_held(&conn->sock_lock);
	spin_lock(&conn->keeper_lock);
	over = is_over(conn, keeper);
	spin_unlock(&conn->keeper_lock);
	if (over || !conn->sock ||
	    attls_conn_state(conn) != ATTLS_CONN_SECURE)
		return -ECONNRESET;
	tls = tls_get_ctx(conn->sk);
	if (tls->tx_conf != TLS_SW)
		return -EOPNOTSUPP;
	if (!mutex_trylock(&tls->tx_lock))
		return -EAGAIN;
	err = attls_ticket_send(conn, message, len, 0);
	mutex_unlock(&tls->tx_lock);
	return err;
}

static int send_message(struct attls_conn *conn, struct attls_keeper *keeper,
			const u8 *message, u32 len)
{
	int err;

	mutex_lock(&conn->sock_lock);
	err = send_ticket(conn, keeper, message, len);
	mutex_unlock(&conn->sock_lock);
	return attls_ticket_result(conn, err);
}

/* ATTLS_IOC_TICKET. */
int attls_keeper_send_ticket(struct attls_conn *conn,
			     struct attls_keeper *keeper, void __user *arg)
{
	struct attls_ticket ticket;
	u8 *message;
	int err;

	if (copy_from_user(&ticket, arg, sizeof(ticket)))
		return -EFAULT;
	if (ticket.size != sizeof(ticket) || !ticket.len ||
	    ticket.len > ATTLS_TICKET_MAX || !READ_ONCE(keeper->can_send))
		return -EINVAL;
	message = memdup_user(u64_to_user_ptr(ticket.data), ticket.len);
	if (IS_ERR(message))
		return PTR_ERR(message);
	err = attls_ticket_is(message, ticket.len) ?
	      send_message(conn, keeper, message, ticket.len) : -EINVAL;
	kfree_sensitive(message);
	return err;
}
