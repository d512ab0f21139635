/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The boundary between the attls kernel module and attlsd and the attls
 * command: the agent device /dev/attls, the handshake files that it hands
 * out, and the generic netlink family "attls".
 *
 * All integers are in host byte order unless a comment says otherwise.
 * Addresses are 16 bytes in network byte order; an IPv4 address stands in
 * its v4-mapped form (::ffff:a.b.c.d).  Every structure starts with its own
 * size as the caller knows it; the kernel refuses a size it does not know
 * with EINVAL.
 */
#ifndef _UAPI_LINUX_ATTLS_H
#define _UAPI_LINUX_ATTLS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ATTLS_DEVICE		"attls"
#define ATTLS_NAME_LEN		48	/* with the NUL; z/OS name buffers */
#define ATTLS_COMM_LEN		16
#define ATTLS_ADDR_LEN		16
#define ATTLS_TEXT_LEN		128
#define ATTLS_USER_LEN		64	/* with the NUL */
#define ATTLS_SESSION_LEN	16	/* names a session; all 0: none */

enum attls_direction {
	ATTLS_INBOUND	= 1,		/* the socket came from accept */
	ATTLS_OUTBOUND	= 2,		/* the socket came from connect */
};

/* TTLSi_Sec_Type keeps the values of z/OS, so do these. */
enum attls_role {
	ATTLS_ROLE_UNKNOWN	= 0,
	ATTLS_ROLE_CLIENT	= 1,
	ATTLS_ROLE_SERVER	= 2,
	ATTLS_ROLE_SERVER_PASS	= 3,	/* ServerWithClientAuth + PassThru */
	ATTLS_ROLE_SERVER_FULL	= 4,
	ATTLS_ROLE_SERVER_REQD	= 5,
	ATTLS_ROLE_SERVER_SAF	= 6,
	__ATTLS_ROLE_MAX
};

/* What a conn is doing; shown by the connection dump. */
enum attls_conn_state {
	ATTLS_CONN_IDLE		= 0,	/* connect failed or not yet begun */
	ATTLS_CONN_CONNECTING	= 1,	/* TCP handshake */
	ATTLS_CONN_CLEAR	= 2,	/* ApplicationControlled, before INIT */
	ATTLS_CONN_HANDSHAKE	= 3,
	ATTLS_CONN_INSTALLING	= 4,	/* keys on their way into kTLS */
	ATTLS_CONN_SECURE	= 5,
	ATTLS_CONN_FAILED	= 6,	/* reset, or about to be */
	ATTLS_CONN_NONE		= 7,	/* no rule after all */
	ATTLS_CONN_CLOSED	= 8,	/* the application has closed */
	ATTLS_CONN_STOPPING	= 9,	/* waits for the peer's close_notify */
	__ATTLS_CONN_MAX
};

/*
 * Why a connection failed.  Values from 5001 on are the AT-TLS return codes
 * of z/OS; those below 100 are ours and name what z/OS has no code for.
 */
enum attls_reason {
	ATTLS_REASON_NONE	= 0,
	ATTLS_REASON_PEER_RESET	= 1,	/* RST or FIN during the handshake */
	ATTLS_REASON_AGENT_GONE	= 2,	/* attlsd died with the handshake */
	ATTLS_REASON_QUEUE_FULL	= 3,	/* too many pending handshakes */
	ATTLS_REASON_NO_MEMORY	= 4,
	ATTLS_REASON_INSTALL	= 5,	/* kTLS refused the keys */
	ATTLS_REASON_MPTCP	= 6,	/* a true MPTCP connection */
	ATTLS_REASON_SOCKMAP	= 7,	/* a BPF sockmap owns the socket */
	ATTLS_REASON_TRUNCATED	= 8,	/* FIN without close_notify */
	ATTLS_REASON_ALERT	= 9,	/* fatal alert from the peer */
	ATTLS_REASON_RECORD	= 10,	/* record that does not decrypt */
	ATTLS_REASON_PROTOCOL	= 11,	/* control record that we refuse */
	ATTLS_REASON_HANDSHAKE	= 12,	/* TLS library: see the log of attlsd */
	ATTLS_REASON_NO_POLICY	= 13,	/* attlsd does not know the rule */
	ATTLS_REASON_ENVIRONMENT = 14,	/* key ring or parameters unusable */
	ATTLS_REASON_ULP	= 15,	/* another user of the ULP slot */
	ATTLS_REASON_KEY_UPDATE	= 16,	/* no way to the next key */
	ATTLS_REASON_FLOOD	= 17,	/* too many control records */
	ATTLS_REASON_DENIED	= 18,	/* DefaultAction Deny */
	ATTLS_REASON_STOP_TIMEOUT = 19,	/* STOP: no close_notify of the peer */
	ATTLS_REASON_STOP_DATA	= 20,	/* STOP: kTLS keeps clear bytes */
	ATTLS_REASON_UNPROTECTED = 21,	/* no rule for who named its peer */
	ATTLS_REASON_NOT_RESUMED = 22,	/* another session than demanded */
	ATTLS_REASON_NO_CERT	= 5001,
	ATTLS_REASON_NO_USER	= 5002,	/* of the client's certificate */
	ATTLS_REASON_CLEARTEXT	= 5003,	/* clear bytes where TLS belongs */
	ATTLS_REASON_TIMEOUT	= 5004,	/* nothing from the peer */
	ATTLS_REASON_TIMEOUT2	= 5005,	/* handshake begun, not finished */
};

/*
 * /dev/attls
 *
 * Open needs CAP_NET_ADMIN; a worker inherits the descriptor.  poll() says
 * POLLIN while requests wait; add it to epoll with EPOLLEXCLUSIVE and each
 * request wakes one worker.
 */
struct attls_request {
	__u32	size;			/* in: sizeof(struct attls_request) */
	__s32	fd;			/* out: handshake file, O_CLOEXEC */
	__u32	conn_id;
	__u32	generation;		/* of the rule set that matched */
	__u32	rule;			/* index of the rule in that set */
	__u32	timeout;		/* ms left for the peer's first bytes */
	__u64	cookie;			/* socket cookie, as in ss -e; or 0 */
	__u64	netns_cookie;
	__u32	uid;			/* identity that mapped the policy, */
	__u32	gid;			/* in the initial user namespace */
	__s32	pid;			/* thread group id, initial namespace */
	__u8	role;			/* enum attls_role */
	__u8	direction;		/* enum attls_direction */
	__u16	local_port;
	__u16	remote_port;
	__u16	reserved;		/* 0 */
	__u8	local_addr[ATTLS_ADDR_LEN];
	__u8	remote_addr[ATTLS_ADDR_LEN];
	char	comm[ATTLS_COMM_LEN];	/* of the thread group leader */
	char	rule_name[ATTLS_NAME_LEN];
	__u32	flags;			/* ATTLS_REQUEST_* */
	/*
	 * Counts the handshake files that were closed, maybe by the death of
	 * their worker, when a session was to be forgotten there.  If it is
	 * another than before, none of the sessions may be resumed.
	 */
	__u32	sessions_lost;
	__u32	reserved2;		/* 0 */
};

#define ATTLS_REQUEST_WISHES	0x0001	/* ATTLS_IOC_WISHES says which */
/*
 * No session may be resumed: an application has asked to forget one, and the
 * worker that keeps it may not have done so yet.
 */
#define ATTLS_REQUEST_FULL	0x0002

/*
 * Takes the oldest waiting handshake.  Never sleeps for one: EAGAIN when
 * none waits.  EMFILE, ENFILE and ENOMEM leave the request in the queue.
 */
#define ATTLS_IOC_ACCEPT	_IOWR(0xD9, 0x20, struct attls_request)

/*
 * Handshake file
 *
 * read() gives the peer's raw bytes, never past the end of the TLS record
 * that is being read; write() sends raw bytes.  Both are always
 * non-blocking (EAGAIN).  poll() says POLLERR | POLLHUP once the handshake
 * is over for any reason; read() and write() then fail with
 *	ETIMEDOUT	a handshake timer expired
 *	ECONNRESET	the peer reset or the application closed
 * Closing the file before INSTALL resets the connection.
 *
 * With ATTLS_INSTALL_KEEP the file goes on after INSTALL, as the keeper of
 * the session: read() and write() fail with ECONNRESET, poll() says POLLIN
 * while there is an event (ATTLS_IOC_EVENT), then POLLERR | POLLHUP once the
 * connection has no such session any more: closed, reset, or stopped.
 * Closing a keeper changes nothing for the connection.
 */
struct attls_install {
	__u32	size;			/* sizeof(struct attls_install) */
	__u16	protocol;		/* 0x0303 TLS 1.2, 0x0304 TLS 1.3 */
	__u16	cipher;			/* IANA cipher suite */
	__u16	group;			/* IANA supported group, 0 = none */
	__u16	flags;			/* ATTLS_INSTALL_*, others EINVAL */
	__u32	tx_len;			/* bytes at tx */
	__u32	rx_len;			/* bytes at rx */
	__u32	secret_len;		/* 32 or 48; TLS 1.2: 0 */
	__u16	max_fragment;		/* RFC 6066 section 4: bytes of data */
					/* in a record of ours; 0 = 16384 */
	__u16	reserved;		/* 0 */
	__u32	reserved2;		/* 0 */
	__u64	tx;			/* user pointers to the structure */
	__u64	rx;			/* tls12_crypto_info_* of the cipher */
	__u64	tx_secret;		/* user pointers to the traffic */
	__u64	rx_secret;		/* secrets, RFC 8446 section 7.2 */
	__u32	cert_uid;		/* of cert_user, or 0 */
	__u32	reserved3;		/* 0 */
	/*
	 * The user whose certificate the peer has, "" for none: printable
	 * ASCII without spaces, all behind the NUL is 0.
	 */
	char	cert_user[ATTLS_USER_LEN];
	__u32	cert_len;		/* bytes at cert; 0: none was sent */
	__u32	names_len;		/* bytes at names */
	__u64	cert;			/* DER, the peer's own certificate */
	__u64	names;			/* struct attls_name, one by one */
	/*
	 * The certificates that came behind the peer's own, and those that
	 * we have sent, our own first: DER, one behind the other.  One of
	 * more than ATTLS_CERT_MAX bytes is left out, which is no reason to
	 * end a connection that both sides have agreed to.
	 */
	__u32	chain_len;		/* bytes at chain; cert_len 0: 0 */
	__u32	own_chain_len;		/* bytes at own_chain */
	__u64	chain;
	__u64	own_chain;
	__u32	alpn_len;		/* bytes at alpn; 0: none */
	/*
	 * For keying material.  TLS 1.3: exporter_master_secret, secret_len
	 * bytes.  TLS 1.2: struct attls_master.  0: there will be none.
	 */
	__u32	exporter_len;
	__u64	alpn;			/* the protocol chosen */
	__u64	exporter;
	/*
	 * The session, and those that were resumed from it or that it was
	 * resumed from, on whatever connection; all 0: it is never resumed.
	 */
	__u8	session[ATTLS_SESSION_LEN];
	/*
	 * Of a server of TLS 1.3: NewSessionTickets with their headers, one
	 * behind the other.  They go with the first data that the application
	 * sends, and only with it: a peer that reads nothing, and has closed,
	 * would answer them with a reset.
	 */
	__u32	tickets_len;		/* bytes at tickets */
	__u32	reserved4;		/* 0 */
	__u64	tickets;
};

/* RFC 5246 section 8.1, with extended_master_secret (RFC 7627) only. */
struct attls_master {
	__u8	secret[48];
	__u8	client_random[32];
	__u8	server_random[32];
};

#define ATTLS_SECRET_MAX	48
#define ATTLS_CERT_MAX		102400	/* as OpenSSL takes from a peer; */
					/* the same for each chain */
#define ATTLS_NAMES_MAX		16384

/*
 * A host that the certificate is for: a DNS name in ASCII, whose first label
 * may be "*", or an address of 4 or 16 bytes in network byte order.
 */
#define ATTLS_NAME_DNS		1
#define ATTLS_NAME_ADDRESS	2

struct attls_name {
	__u8	kind;
	__u8	len;			/* bytes of text */
	__u8	text[];
};

#define ATTLS_INSTALL_RESUMED	0x0001	/* no certificates were sent */
#define ATTLS_INSTALL_KEEP	0x0002	/* the file is kept, for events */
#define ATTLS_INSTALL_TICKETS	0x0004	/* TLS 1.3, server: the keeper can */
					/* make more of them; with KEEP */

struct attls_fail {
	__u32	size;			/* sizeof(struct attls_fail) */
	__u32	reason;			/* enum attls_reason, not 0 */
};

struct attls_status {
	__u32	size;			/* sizeof(struct attls_status) */
	__u32	state;			/* out: enum attls_conn_state */
	__u32	reason;			/* out: enum attls_reason */
	__u32	reserved;		/* 0 */
};

/* What the application wishes of the handshake: see attls_sockopt.h. */
struct attls_wishes {
	__u32	size;			/* sizeof(struct attls_wishes) */
	__u32	alpn_len;		/* out: bytes of alpn */
	__u8	alpn[256];		/* out: as of ATTLS_SO_ALPN */
	char	peer_name[256];		/* out: as of ATTLS_SO_PEER_NAME */
	__u8	session[ATTLS_SESSION_LEN];	/* out: to resume; or 0 */
	__u32	session_flags;		/* out: ATTLS_SESSION_* */
	__u32	reserved;		/* out: 0 */
};

/* What a keeper is told; tickets come in their order. */
enum attls_event_kind {
	/*
	 * A NewSessionTicket of the server, RFC 8446 section 4.6.1: the
	 * handshake message with its header, at most ATTLS_TICKET_MAX bytes.
	 */
	ATTLS_EVENT_TICKET	= 1,
	/* The application wants its client to have one more ticket. */
	ATTLS_EVENT_SEND_TICKET	= 2,
	/*
	 * The application wants the session forgotten.  It is once the next
	 * event is asked for, or the file closed; until then requests have
	 * ATTLS_REQUEST_FULL.
	 */
	ATTLS_EVENT_FORGET	= 3,
};

struct attls_event {
	__u32	size;			/* sizeof(struct attls_event) */
	__u32	kind;			/* out: enum attls_event_kind */
	__u32	len;			/* in: bytes at data, at least */
					/* ATTLS_TICKET_MAX; out: used */
	__u32	reserved;		/* 0 */
	__u64	data;			/* user pointer */
};

struct attls_ticket {
	__u32	size;			/* sizeof(struct attls_ticket) */
	__u32	len;			/* bytes at data */
	__u64	data;			/* a NewSessionTicket with its header */
};

#define ATTLS_TICKET_MAX	16384
#define ATTLS_TICKETS_MAX	65536

/*
 * Hands the keys to kTLS and lets the application go on.  EPROTO: kTLS
 * refused them and the connection has been reset.  ECANCELED: somebody else
 * ended the handshake first (timer, peer, application).
 */
#define ATTLS_IOC_INSTALL	_IOW(0xD9, 0x21, struct attls_install)

/* Resets the connection.  ECANCELED as above. */
#define ATTLS_IOC_FAIL		_IOW(0xD9, 0x22, struct attls_fail)

/* What became of the handshake; the answer never changes once it ended. */
#define ATTLS_IOC_STATUS	_IOWR(0xD9, 0x23, struct attls_status)

/* Without ATTLS_REQUEST_WISHES all of it is 0.  The same at all times. */
#define ATTLS_IOC_WISHES	_IOWR(0xD9, 0x24, struct attls_wishes)

/*
 * A keeper's next event.  Never sleeps for one: EAGAIN when there is none;
 * ECONNRESET: there is none, and the session is over.  EFAULT leaves it there.
 */
#define ATTLS_IOC_EVENT		_IOWR(0xD9, 0x25, struct attls_event)

/*
 * Sends a ticket of a keeper with ATTLS_INSTALL_TICKETS, in a record of its
 * own.  Never sleeps for the peer or another writer: EAGAIN, and nothing has
 * been sent; try again later.  EINVAL: no NewSessionTicket; EMSGSIZE: more
 * than one record takes; EOPNOTSUPP: a device encrypts; ECONNRESET: the
 * session is over.
 */
#define ATTLS_IOC_TICKET	_IOW(0xD9, 0x26, struct attls_ticket)

/*
 * Generic netlink family "attls", version 1
 *
 * ATTLS_CMD_POLICY_SET (CAP_NET_ADMIN, initial network namespace)
 *	ATTLS_A_GENERATION	u32, must be higher than the one in force
 *	ATTLS_A_CHUNK		binary, repeated; the concatenation in message
 *				order is a rule set as of attls_rule.h
 *	The set is validated whole and swapped in at once, or nothing
 *	changes: EINVAL (with an extended ack that says where), ESTALE
 *	(generation), E2BIG (over the bound), ENOMEM.
 * ATTLS_CMD_POLICY_GET, dump
 *	Each reply has ATTLS_A_GENERATION and one ATTLS_A_CHUNK; a set that
 *	changes under the dump sets NLM_F_DUMP_INTR.  Without any set ever
 *	installed: one reply with generation 0 and no chunk.  As long as the
 *	start-up window is closed each has ATTLS_A_STARTUP_CLOSED.
 * ATTLS_CMD_CONN_GET, dump (CAP_NET_ADMIN)
 *	One reply a connection: the ATTLS_A_CONN_* attributes.
 * ATTLS_CMD_STATS_GET, do
 *	ATTLS_A_STAT nests, each a name and a value.
 */
#define ATTLS_GENL_NAME		"attls"
#define ATTLS_GENL_VERSION	1

enum attls_cmd {
	ATTLS_CMD_UNSPEC,
	ATTLS_CMD_POLICY_SET,
	ATTLS_CMD_POLICY_GET,
	ATTLS_CMD_CONN_GET,
	ATTLS_CMD_STATS_GET,
	__ATTLS_CMD_MAX
};

enum attls_attr {
	ATTLS_A_UNSPEC,
	ATTLS_A_PAD,
	ATTLS_A_GENERATION,		/* u32 */
	ATTLS_A_CHUNK,			/* binary, at most ATTLS_CHUNK_MAX */
	ATTLS_A_CONN_ID,		/* u32 */
	ATTLS_A_CONN_COOKIE,		/* u64 */
	ATTLS_A_CONN_NETNS,		/* u64, netns cookie */
	ATTLS_A_CONN_LOCAL_ADDR,	/* binary, 16 bytes */
	ATTLS_A_CONN_REMOTE_ADDR,	/* binary, 16 bytes */
	ATTLS_A_CONN_LOCAL_PORT,	/* u16 */
	ATTLS_A_CONN_REMOTE_PORT,	/* u16 */
	ATTLS_A_CONN_STATE,		/* u8, enum attls_conn_state */
	ATTLS_A_CONN_DIRECTION,		/* u8, enum attls_direction */
	ATTLS_A_CONN_ROLE,		/* u8, enum attls_role */
	ATTLS_A_CONN_UID,		/* u32 */
	ATTLS_A_CONN_PID,		/* u32 */
	ATTLS_A_CONN_COMM,		/* string */
	ATTLS_A_CONN_RULE,		/* string */
	ATTLS_A_CONN_GROUP,		/* string, TTLSGroupAction */
	ATTLS_A_CONN_ENVIRONMENT,	/* string */
	ATTLS_A_CONN_CONNECTION,	/* string, absent without one */
	ATTLS_A_CONN_PROTOCOL,		/* u16, 0 until secure */
	ATTLS_A_CONN_CIPHER,		/* u16, 0 until secure */
	ATTLS_A_CONN_KEX_GROUP,		/* u16, 0 until secure */
	ATTLS_A_CONN_REASON,		/* u32, enum attls_reason */
	ATTLS_A_STAT,			/* nest */
	ATTLS_A_STAT_NAME,		/* string */
	ATTLS_A_STAT_VALUE,		/* u64 */
	ATTLS_A_CONN_SECONDARY,		/* u8: mapped by SecondaryMap */
	ATTLS_A_CONN_CERT_USER,		/* string; of the peer's certificate, */
	ATTLS_A_CONN_CERT_UID,		/* u32; both absent without one */
	ATTLS_A_STARTUP_CLOSED,		/* flag */
	ATTLS_A_CONN_RESUMED,		/* flag: session of an earlier one */
	__ATTLS_A_MAX
};

#define ATTLS_CMD_MAX		(__ATTLS_CMD_MAX - 1)
#define ATTLS_A_MAX		(__ATTLS_A_MAX - 1)
#define ATTLS_CHUNK_MAX		32768

#endif /* _UAPI_LINUX_ATTLS_H */
