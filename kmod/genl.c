// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "attls": policy in and out, connections,
 * counters.  uapi/linux/attls.h documents the messages.
 */
#include "internal.h"
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>

static const struct nla_policy set_policy[ATTLS_A_CHUNK + 1] = {
	[ATTLS_A_GENERATION]	= NLA_POLICY_MIN(NLA_U32, 1),
	[ATTLS_A_CHUNK]		= { .type = NLA_BINARY,
				    .len = ATTLS_CHUNK_MAX },
};

/* Copies the chunks of the message, in order, to @to if there is one. */
static u64 each_chunk(struct genl_info *info, void *to)
{
	struct nlattr *attr;
	u64 len = 0;
	int rem;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != ATTLS_A_CHUNK)
			continue;
		if (to)
			memcpy(to + len, nla_data(attr), nla_len(attr));
		len += nla_len(attr);
	}
	return len;
}

static void *gather_chunks(struct genl_info *info, u32 *total)
{
	u64 len = each_chunk(info, NULL);
	void *blob;

	if (!len || len > ATTLS_SET_MAX_BYTES)
		return ERR_PTR(len ? -E2BIG : -EINVAL);
	blob = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!blob)
		return ERR_PTR(-ENOMEM);
	*total = each_chunk(info, blob);
	return blob;
}

static int policy_set(struct sk_buff *skb, struct genl_info *info)
{
	const char *wrong = NULL;
	u32 len, where, generation;
	void *blob;
	int err;

	/* Root of a container has the capability, and not the host. */
	if (!net_eq(genl_info_net(info), &init_net)) {
		GENL_SET_ERR_MSG(info, "the policy of all network namespaces is set from the first");
		return -EPERM;
	}
	if (GENL_REQ_ATTR_CHECK(info, ATTLS_A_GENERATION) ||
	    GENL_REQ_ATTR_CHECK(info, ATTLS_A_CHUNK))
		return -EINVAL;
	generation = nla_get_u32(info->attrs[ATTLS_A_GENERATION]);
	blob = gather_chunks(info, &len);
	if (IS_ERR(blob)) {
		GENL_SET_ERR_MSG(info, "rule set is empty, too large, or there is no memory for it");
		return PTR_ERR(blob);
	}
	err = attls_policy_install(blob, len, generation, &wrong, &where);
	if (wrong)
		GENL_SET_ERR_MSG_FMT(info, "rule set refused: %s (rule %u)",
				     wrong, where);
	else if (err == -ESTALE)
		GENL_SET_ERR_MSG(info, "a rule set of this or a later generation is in force");
	else if (!err)
		attls_window_policy();
	return err;
}

struct policy_dump {
	struct attls_policy	*policy;
	u32			offset;
	bool			done;
};

static int policy_get_start(struct netlink_callback *cb)
{
	struct policy_dump *dump = (void *)cb->ctx;

	NL_ASSERT_CTX_FITS(struct policy_dump);
	dump->policy = attls_policy_get();
	return 0;
}

static int policy_get_done(struct netlink_callback *cb)
{
	struct policy_dump *dump = (void *)cb->ctx;

	attls_policy_put(dump->policy);
	return 0;
}

static void *put_header(struct sk_buff *skb, struct netlink_callback *cb,
			u8 cmd);

/* Small enough for the reply buffer that every reader gets. */
#define DUMP_CHUNK 3072

static int policy_get_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct policy_dump *dump = (void *)cb->ctx;
	struct attls_policy *policy = dump->policy;
	u32 total = policy ? policy->set.header->total_len : 0;
	void *hdr;
	u32 len;

	while (!dump->done) {
		hdr = put_header(skb, cb, ATTLS_CMD_POLICY_GET);
		if (!hdr)
			break;
		len = min_t(u32, DUMP_CHUNK, total - dump->offset);
		if (nla_put_u32(skb, ATTLS_A_GENERATION,
				policy ? policy->generation : 0) ||
		    (attls_permit_is_limited() &&
		     nla_put_flag(skb, ATTLS_A_STARTUP_CLOSED)) ||
		    (len && nla_put(skb, ATTLS_A_CHUNK, len,
				    policy->blob + dump->offset))) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		dump->offset += len;
		dump->done = dump->offset == total;
	}
	return skb->len;
}

static struct genl_family family;

static void *put_header(struct sk_buff *skb, struct netlink_callback *cb,
			u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &family, NLM_F_MULTI, cmd);
}

static int put_names(struct sk_buff *skb, const struct attls_conn *conn)
{
	const struct attls_set *set = &conn->policy->set;
	const struct attls_rule *rule = READ_ONCE(conn->rule);

	return nla_put_string(skb, ATTLS_A_CONN_RULE,
			      attls_set_string(set, rule->name)) ||
	       nla_put_string(skb, ATTLS_A_CONN_GROUP,
			      attls_set_string(set, rule->group)) ||
	       nla_put_string(skb, ATTLS_A_CONN_ENVIRONMENT,
			      attls_set_string(set, rule->environment)) ||
	       (rule->connection &&
		nla_put_string(skb, ATTLS_A_CONN_CONNECTION,
			       attls_set_string(set, rule->connection))) ||
	       nla_put_u8(skb, ATTLS_A_CONN_ROLE, rule->role);
}

static int put_addresses(struct sk_buff *skb, const struct attls_conn *conn)
{
	struct attls_tuple t;

	attls_conn_tuple(conn->sk, &t);
	return nla_put(skb, ATTLS_A_CONN_LOCAL_ADDR, ATTLS_ADDR_LEN,
		       t.local_addr) ||
	       nla_put(skb, ATTLS_A_CONN_REMOTE_ADDR, ATTLS_ADDR_LEN,
		       t.remote_addr) ||
	       nla_put_u16(skb, ATTLS_A_CONN_LOCAL_PORT, t.local_port) ||
	       nla_put_u16(skb, ATTLS_A_CONN_REMOTE_PORT, t.remote_port) ||
	       nla_put_u64_64bit(skb, ATTLS_A_CONN_NETNS,
				 sock_net(conn->sk)->net_cookie, ATTLS_A_PAD);
}

/* Whose certificate the peer has shown. */
static int put_cert_user(struct sk_buff *skb, const struct attls_conn *conn)
{
	if (!conn->cert_user[0])
		return 0;
	return nla_put_string(skb, ATTLS_A_CONN_CERT_USER, conn->cert_user) ||
	       nla_put_u32(skb, ATTLS_A_CONN_CERT_UID, conn->cert_uid);
}

static int put_conn(struct sk_buff *skb, const struct attls_conn *conn)
{
	return nla_put_u32(skb, ATTLS_A_CONN_ID, conn->id) ||
	       nla_put_u64_64bit(skb, ATTLS_A_CONN_COOKIE, conn->cookie,
				 ATTLS_A_PAD) ||
	       put_addresses(skb, conn) ||
	       nla_put_u8(skb, ATTLS_A_CONN_STATE, attls_conn_state(conn)) ||
	       nla_put_u8(skb, ATTLS_A_CONN_DIRECTION, conn->direction) ||
	       nla_put_u32(skb, ATTLS_A_CONN_UID, conn->who.uid) ||
	       nla_put_u32(skb, ATTLS_A_CONN_PID, conn->who.pid) ||
	       nla_put_string(skb, ATTLS_A_CONN_COMM, conn->who.comm) ||
	       put_names(skb, conn) ||
	       nla_put_u16(skb, ATTLS_A_CONN_PROTOCOL, conn->protocol) ||
	       nla_put_u16(skb, ATTLS_A_CONN_CIPHER, conn->cipher) ||
	       nla_put_u16(skb, ATTLS_A_CONN_KEX_GROUP, conn->kex_group) ||
	       nla_put_u32(skb, ATTLS_A_CONN_REASON, READ_ONCE(conn->reason)) ||
	       nla_put_u8(skb, ATTLS_A_CONN_SECONDARY, conn->secondary) ||
	       (conn->resumed && nla_put_flag(skb, ATTLS_A_CONN_RESUMED)) ||
	       put_cert_user(skb, conn);
}

static int conn_get_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long *last = (unsigned long *)cb->ctx, id = *last;
	struct attls_conn *conn;
	void *hdr;

	while ((conn = attls_conn_next(&id))) {
		hdr = put_header(skb, cb, ATTLS_CMD_CONN_GET);
		if (!hdr || put_conn(skb, conn)) {
			if (hdr)
				genlmsg_cancel(skb, hdr);
			attls_conn_put(conn);
			break;
		}
		genlmsg_end(skb, hdr);
		attls_conn_put(conn);
		*last = id;
	}
	return skb->len;
}

static int put_stat(struct sk_buff *skb, enum attls_stat stat)
{
	struct nlattr *nest = nla_nest_start(skb, ATTLS_A_STAT);

	if (!nest ||
	    nla_put_string(skb, ATTLS_A_STAT_NAME, attls_stat_name(stat)) ||
	    nla_put_u64_64bit(skb, ATTLS_A_STAT_VALUE, attls_stat_read(stat),
			      ATTLS_A_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;
	int i;

	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &family, 0, ATTLS_CMD_STATS_GET);
	if (!hdr)
		goto err_free;
	for (i = 0; i < __ATTLS_STAT_MAX; i++)
		if (put_stat(reply, i))
			goto err_free;
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);

err_free:
	nlmsg_free(reply);
	return -EMSGSIZE;
}

static const struct genl_ops ops[] = {
	{
		.cmd		= ATTLS_CMD_POLICY_SET,
		.flags		= GENL_ADMIN_PERM,
		.policy		= set_policy,
		.maxattr	= ATTLS_A_CHUNK,
		.doit		= policy_set,
	},
	{
		.cmd		= ATTLS_CMD_POLICY_GET,
		.flags		= GENL_ADMIN_PERM,
		.start		= policy_get_start,
		.dumpit		= policy_get_dump,
		.done		= policy_get_done,
	},
	{
		.cmd		= ATTLS_CMD_CONN_GET,
		.flags		= GENL_ADMIN_PERM,
		.dumpit		= conn_get_dump,
	},
	{
		.cmd		= ATTLS_CMD_STATS_GET,
		.doit		= stats_get,
	},
};

static struct genl_family family __ro_after_init = {
	.name		= ATTLS_GENL_NAME,
	.version	= ATTLS_GENL_VERSION,
	.module		= THIS_MODULE,
	.netnsok	= true,
	.ops		= ops,
	.n_ops		= ARRAY_SIZE(ops),
	.resv_start_op	= __ATTLS_CMD_MAX,
};

int attls_genl_init(void)
{
	return genl_register_family(&family);
}

void attls_genl_exit(void)
{
	genl_unregister_family(&family);
}
