// SPDX-License-Identifier: GPL-2.0-only
/*
 * The messages about connections, worded as those of z/OS so that what
 * watches its logs can watch these.  The Trace of the action says which are
 * written: 1 and 2 errors, 4 information, 8 events.
 */
#include "attlsd.h"
#include "certmap.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TRACE_ERROR	(1 | 2)
#define TRACE_INFO	4
#define TRACE_EVENT	8

#define ADDR_SIZE	(INET6_ADDRSTRLEN + 8)

static void put_addr(char *buf, const uint8_t *addr, uint16_t port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v4 = !memcmp(addr, mapped, sizeof(mapped));
	char text[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, text,
		  sizeof(text));
	snprintf(buf, ADDR_SIZE, "%s..%u", text, port);
}

static void put_user(char *buf, size_t size, uint32_t uid)
{
	const char *name = attlsd_users_name(uid);

	if (name)
		snprintf(buf, size, "%s(%u)", name, uid);
	else
		snprintf(buf, size, "%u", uid);
}

/* CONNID to RULE, the part that all messages have. */
static void put_conn(char *buf, size_t size, const struct attls_request *req)
{
	char local[ADDR_SIZE], remote[ADDR_SIZE], user[64];

	put_addr(local, req->local_addr, req->local_port);
	put_addr(remote, req->remote_addr, req->remote_port);
	put_user(user, sizeof(user), req->uid);
	snprintf(buf, size,
		 "CONNID: %08x LOCAL: %s REMOTE: %s JOBNAME: %s USERID: %s",
		 req->conn_id, local, remote, req->comm, user);
}

static const char *or_none(const char *name)
{
	return name && *name ? name : "**N/A**";
}

void attlsd_report_map(const struct attls_request *req,
		       const struct policy_action *action)
{
	char conn[256];

	if (!(action->trace & TRACE_INFO))
		return;
	put_conn(conn, sizeof(conn), req);
	attlsd_log(action->facility | LOG_INFO,
		   "EZD1281I TTLS Map %s TYPE: %s STATUS: %s RULE: %s ACTIONS: %s %s %s",
		   conn, req->direction == ATTLS_INBOUND ? "InBound" :
		   "OutBound", action->appl_controlled ? "Appl Control" :
		   "Enabled", req->rule_name, or_none(action->group),
		   or_none(action->environment), or_none(action->connection));
}

/* What the policy asked to see is written, whether or not -d was given. */
void attlsd_report_done(const struct attls_request *req,
			const struct policy_action *action, SSL *ssl,
			const struct policy_cert_user *user)
{
	char conn[256];

	if (!(action->trace & TRACE_EVENT))
		return;
	put_conn(conn, sizeof(conn), req);
	attlsd_log(action->facility | LOG_INFO,
		   "EZD1283I TTLS Event %s RULE: %s RC: 0 Initial Handshake %s %s%s%s%s",
		   conn, req->rule_name, SSL_get_version(ssl),
		   SSL_get_cipher_name(ssl),
		   SSL_session_reused(ssl) ? " RESUMED" : "",
		   user ? " CERTUSERID: " : "",
		   user ? user->user : "");
}

void attlsd_report_failed(const struct attls_request *req,
			  const struct policy_action *action,
			  const struct attlsd_failure *failure)
{
	char conn[256];

	if (action && !(action->trace & TRACE_ERROR))
		return;
	if (!attlsd_log_allowed())
		return;
	put_conn(conn, sizeof(conn), req);
	attlsd_log((action ? action->facility : 0) | failure->priority,
		   "EZD1286I TTLS Error %s RULE: %s RC: %d Initial Handshake: %s",
		   conn, req->rule_name, failure->rc, failure->text);
}
