// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink client.  One socket, one request at a time; a request is
 * sent, then replies are taken until its end (ACK, or DONE of a dump).
 */
#include "kernel.h"
#include "attls_rule.h"

#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECEIVE_SIZE	65536		/* more than the kernel puts in one */
#define READ_TRIES	10		/* for a set that changes under us */
#define MESSAGE_ROOM	256		/* headers and small attributes */

struct policy_kernel {
	struct nl_sock *sock;
	int	family;
	char	ack[256];		/* the kernel's text, or "" */
	int	error;			/* negative errno, or 0 */
	int	done;			/* the request got its last reply */
	int	startup_closed;		/* when the policy was read */
};

static void say(char *err, const char *what, const char *why)
{
	snprintf(err, POLICY_KERNEL_ERR, "%s: %s", what, why);
}

static int open_socket(struct policy_kernel *k, char *err)
{
	int on = 1, fd, ret;

	k->sock = nl_socket_alloc();
	if (!k->sock)
		return -ENOMEM;
	ret = genl_connect(k->sock);
	if (ret < 0) {
		say(err, "cannot open a netlink socket", nl_geterror(ret));
		return -EPROTO;
	}
	fd = nl_socket_get_fd(k->sock);
	/* CAP_ACK: an error must not carry megabytes of rules back. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	nl_socket_set_msg_buf_size(k->sock, RECEIVE_SIZE);
	k->family = genl_ctrl_resolve(k->sock, ATTLS_GENL_NAME);
	if (k->family >= 0)
		return 0;
	say(err, "the attls kernel module is not loaded",
	    "run modprobe attls");
	return -ENOENT;
}

struct policy_kernel *policy_kernel_open(char *err)
{
	struct policy_kernel *k = calloc(1, sizeof(*k));
	int ret = -ENOMEM;

	say(err, "cannot open a netlink socket", strerror(ENOMEM));
	if (k)
		ret = open_socket(k, err);
	if (!ret) {
		err[0] = '\0';
		return k;
	}
	policy_kernel_close(k);
	errno = -ret;
	return NULL;
}

void policy_kernel_close(struct policy_kernel *kernel)
{
	if (!kernel)
		return;
	nl_socket_free(kernel->sock);
	free(kernel);
}

/* Takes the text of an extended ack out of @h, the message of @e. */
static void read_ack(struct policy_kernel *k, const struct nlmsgerr *e)
{
	const struct nlmsghdr *h = (const void *)
		((const char *)e - NLMSG_HDRLEN);
	size_t skip = sizeof(*e), left = h->nlmsg_len - NLMSG_HDRLEN;
	const struct nlattr *text;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (skip > left)
		return;
	text = nla_find((const void *)((const char *)e + skip),
			(int)(left - skip), NLMSGERR_ATTR_MSG);
	if (text)
		snprintf(k->ack, sizeof(k->ack), "%.*s", nla_len(text),
			 (const char *)nla_data(text));
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct policy_kernel *k = arg;

	k->error = e->error;
	k->done = 1;
	read_ack(k, e);
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct policy_kernel *k = arg;

	k->done = 1;
	return NL_STOP;
}

/* A dump ends in an int: 0, or the errno that cut it short. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	struct policy_kernel *k = arg;
	const struct nlmsghdr *h = nlmsg_hdr(msg);

	if (nlmsg_datalen(h) >= (int)sizeof(int))
		memcpy(&k->error, nlmsg_data(h), sizeof(int));
	k->done = 1;
	return NL_STOP;
}

/*
 * Sends @msg, which it frees, and takes replies to the end.  -EINTR: the
 * dump was not consistent.
 */
static int talk(struct policy_kernel *k, struct nl_msg *msg,
		nl_recvmsg_msg_cb_t fn, void *arg)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret = -NLE_NOMEM;

	k->error = 0;
	k->done = 0;
	k->ack[0] = '\0';
	if (cb) {
		nl_cb_err(cb, NL_CB_CUSTOM, on_error, k);
		nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, k);
		nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, k);
		if (fn)
			nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, fn, arg);
		ret = nl_send_auto(k->sock, msg);
		/* A reply and its ACK come in two datagrams. */
		while (ret >= 0 && !k->done)
			ret = nl_recvmsgs(k->sock, cb);
		nl_cb_put(cb);
	}
	nlmsg_free(msg);
	if (k->error)
		return k->error;
	if (ret == -NLE_DUMP_INTR)
		return -EINTR;
	if (ret < 0)
		snprintf(k->ack, sizeof(k->ack), "%s", nl_geterror(ret));
	return ret < 0 ? -EIO : 0;
}

/* Fills @err for the result of talk(). */
static int explain(const struct policy_kernel *k, int ret, const char *what,
		   char *err)
{
	if (!ret)
		err[0] = '\0';
	else if (k->ack[0])
		say(err, what, k->ack);
	else if (ret == -EPERM)
		say(err, what, "needs the capability CAP_NET_ADMIN (root)");
	else if (ret == -ESTALE)
		say(err, what, "the kernel has a policy of a higher generation");
	else
		say(err, what, strerror(-ret));
	return ret;
}

static struct nl_msg *request(struct policy_kernel *k, uint8_t command,
			      int flags, size_t room)
{
	struct nl_msg *msg = nlmsg_alloc_size(room + MESSAGE_ROOM);

	if (msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, k->family, 0,
			       flags, command, ATTLS_GENL_VERSION))
		return msg;
	nlmsg_free(msg);
	return NULL;
}

static struct nl_msg *install_request(struct policy_kernel *k,
				      const char *blob, size_t len,
				      uint32_t generation)
{
	size_t chunks = len / ATTLS_CHUNK_MAX + 1;
	struct nl_msg *msg;
	size_t at, n;

	msg = request(k, ATTLS_CMD_POLICY_SET, NLM_F_REQUEST | NLM_F_ACK,
		      len + chunks * 2 * NLA_HDRLEN);
	if (!msg || nla_put_u32(msg, ATTLS_A_GENERATION, generation))
		goto fail;
	for (at = 0; at < len; at += n) {
		n = len - at < ATTLS_CHUNK_MAX ? len - at : ATTLS_CHUNK_MAX;
		if (nla_put(msg, ATTLS_A_CHUNK, (int)n, blob + at))
			goto fail;
	}
	return msg;
fail:
	nlmsg_free(msg);
	return NULL;
}

/* A message must fit into the send buffer whole. */
static void grow_send_buffer(struct policy_kernel *k, size_t len)
{
	int fd = nl_socket_get_fd(k->sock);
	int want = (int)len + RECEIVE_SIZE;

	/* FORCE goes over net.core.wmem_max but needs CAP_NET_ADMIN. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
}

int policy_kernel_install(struct policy_kernel *kernel, const void *blob,
			  size_t len, uint32_t generation, char *err)
{
	static const char what[] = "cannot install the policy in the kernel";
	struct nl_msg *msg;

	if (len > ATTLS_SET_MAX_BYTES) {
		say(err, what, strerror(E2BIG));
		return -E2BIG;
	}
	msg = install_request(kernel, blob, len, generation);
	if (!msg) {
		say(err, what, strerror(ENOMEM));
		return -ENOMEM;
	}
	grow_send_buffer(kernel, len);
	return explain(kernel, talk(kernel, msg, NULL, NULL), what, err);
}

static int parse(struct nl_msg *msg, struct nlattr **attrs)
{
	/* Lengths are checked where the values are used: no policy here. */
	return genlmsg_parse(nlmsg_hdr(msg), 0, attrs, ATTLS_A_MAX, NULL);
}

static uint64_t get(const struct nlattr *a)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (a ? nla_len(a) : 0) {
	case 1:
		return *(const uint8_t *)nla_data(a);
	case 2:
		memcpy(&v16, nla_data(a), sizeof(v16));
		return v16;
	case 4:
		memcpy(&v32, nla_data(a), sizeof(v32));
		return v32;
	case 8:
		memcpy(&v64, nla_data(a), sizeof(v64));
		return v64;
	}
	return 0;
}

/* "" for what is absent or does not end. */
static const char *get_string(const struct nlattr *a)
{
	if (!a || !nla_len(a) ||
	    !memchr(nla_data(a), '\0', (size_t)nla_len(a)))
		return "";
	return nla_data(a);
}

struct reading {
	char	*blob;
	size_t	len;
	uint32_t generation;
	int	startup_closed;
	int	error;
};

static int on_chunk(struct nl_msg *msg, void *arg)
{
	struct nlattr *a[ATTLS_A_MAX + 1];
	struct reading *r = arg;
	size_t n;
	char *more;

	if (parse(msg, a))
		return NL_SKIP;
	r->generation = (uint32_t)get(a[ATTLS_A_GENERATION]);
	r->startup_closed = a[ATTLS_A_STARTUP_CLOSED] != NULL;
	if (!a[ATTLS_A_CHUNK] || r->error)
		return NL_OK;
	n = (size_t)nla_len(a[ATTLS_A_CHUNK]);
	if (r->len + n > ATTLS_SET_MAX_BYTES) {
		r->error = -E2BIG;
		return NL_OK;
	}
	more = realloc(r->blob, r->len + n + 1);
	if (!more) {
		r->error = -ENOMEM;
		return NL_OK;
	}
	memcpy(more + r->len, nla_data(a[ATTLS_A_CHUNK]), n);
	r->blob = more;
	r->len += n;
	return NL_OK;
}

static int dump(struct policy_kernel *k, uint8_t command, int flags,
		nl_recvmsg_msg_cb_t fn, void *arg)
{
	struct nl_msg *msg = request(k, command, NLM_F_REQUEST | flags, 0);

	k->ack[0] = '\0';
	return msg ? talk(k, msg, fn, arg) : -ENOMEM;
}

int policy_kernel_read(struct policy_kernel *kernel, void **blob, size_t *len,
		       uint32_t *generation, char *err)
{
	struct reading r = { 0 };
	int tries, ret = -EINTR;

	for (tries = 0; tries < READ_TRIES && ret == -EINTR; tries++) {
		free(r.blob);
		memset(&r, 0, sizeof(r));
		ret = dump(kernel, ATTLS_CMD_POLICY_GET, NLM_F_DUMP,
			   on_chunk, &r);
	}
	if (!ret)
		ret = r.error;
	if (ret) {
		free(r.blob);
		memset(&r, 0, sizeof(r));
	}
	*blob = r.blob;
	*len = r.len;
	*generation = r.generation;
	kernel->startup_closed = r.startup_closed;
	return explain(kernel, ret, "cannot read the policy of the kernel",
		       err);
}

int policy_kernel_startup_closed(const struct policy_kernel *kernel)
{
	return kernel->startup_closed;
}

struct listing {
	void (*conn)(const struct policy_kernel_conn *conn, void *arg);
	void (*stat)(const char *name, uint64_t value, void *arg);
	void *arg;
};

static void get_addr(uint8_t *addr, const struct nlattr *a)
{
	if (a && nla_len(a) == ATTLS_ADDR_LEN)
		memcpy(addr, nla_data(a), ATTLS_ADDR_LEN);
}

static int on_conn(struct nl_msg *msg, void *arg)
{
	struct nlattr *a[ATTLS_A_MAX + 1];
	struct policy_kernel_conn c = { 0 };
	const struct listing *l = arg;

	if (parse(msg, a))
		return NL_SKIP;
	c.id = (uint32_t)get(a[ATTLS_A_CONN_ID]);
	c.cookie = get(a[ATTLS_A_CONN_COOKIE]);
	c.netns = get(a[ATTLS_A_CONN_NETNS]);
	get_addr(c.local_addr, a[ATTLS_A_CONN_LOCAL_ADDR]);
	get_addr(c.remote_addr, a[ATTLS_A_CONN_REMOTE_ADDR]);
	c.local_port = (uint16_t)get(a[ATTLS_A_CONN_LOCAL_PORT]);
	c.remote_port = (uint16_t)get(a[ATTLS_A_CONN_REMOTE_PORT]);
	c.state = (uint8_t)get(a[ATTLS_A_CONN_STATE]);
	c.direction = (uint8_t)get(a[ATTLS_A_CONN_DIRECTION]);
	c.role = (uint8_t)get(a[ATTLS_A_CONN_ROLE]);
	c.uid = (uint32_t)get(a[ATTLS_A_CONN_UID]);
	c.pid = (uint32_t)get(a[ATTLS_A_CONN_PID]);
	c.comm = get_string(a[ATTLS_A_CONN_COMM]);
	c.rule = get_string(a[ATTLS_A_CONN_RULE]);
	c.group = get_string(a[ATTLS_A_CONN_GROUP]);
	c.environment = get_string(a[ATTLS_A_CONN_ENVIRONMENT]);
	c.connection = get_string(a[ATTLS_A_CONN_CONNECTION]);
	c.protocol = (uint16_t)get(a[ATTLS_A_CONN_PROTOCOL]);
	c.cipher = (uint16_t)get(a[ATTLS_A_CONN_CIPHER]);
	c.kex_group = (uint16_t)get(a[ATTLS_A_CONN_KEX_GROUP]);
	c.reason = (uint32_t)get(a[ATTLS_A_CONN_REASON]);
	c.secondary = (uint8_t)get(a[ATTLS_A_CONN_SECONDARY]);
	c.cert_user = get_string(a[ATTLS_A_CONN_CERT_USER]);
	c.cert_uid = (uint32_t)get(a[ATTLS_A_CONN_CERT_UID]);
	c.resumed = a[ATTLS_A_CONN_RESUMED] != NULL;
	l->conn(&c, l->arg);
	return NL_OK;
}

int policy_kernel_conns(struct policy_kernel *kernel,
			void (*fn)(const struct policy_kernel_conn *conn,
				   void *arg),
			void *arg, char *err)
{
	struct listing l = { .conn = fn, .arg = arg };
	int ret = dump(kernel, ATTLS_CMD_CONN_GET, NLM_F_DUMP, on_conn, &l);

	/* They come and go: nobody can list those of one instant. */
	if (ret == -EINTR)
		ret = 0;
	return explain(kernel, ret, "cannot list the connections", err);
}

static int on_stats(struct nl_msg *msg, void *arg)
{
	struct nlattr *a[ATTLS_A_MAX + 1];
	const struct listing *l = arg;
	struct nlattr *pos;
	int left;

	nlmsg_for_each_attr(pos, nlmsg_hdr(msg), GENL_HDRLEN, left) {
		if (nla_type(pos) != ATTLS_A_STAT ||
		    nla_parse_nested(a, ATTLS_A_MAX, pos, NULL))
			continue;
		l->stat(get_string(a[ATTLS_A_STAT_NAME]),
			get(a[ATTLS_A_STAT_VALUE]), l->arg);
	}
	return NL_OK;
}

int policy_kernel_stats(struct policy_kernel *kernel,
			void (*fn)(const char *name, uint64_t value, void *arg),
			void *arg, char *err)
{
	struct listing l = { .stat = fn, .arg = arg };

	return explain(kernel, dump(kernel, ATTLS_CMD_STATS_GET, NLM_F_ACK,
				    on_stats, &l),
		       "cannot read the counters", err);
}
