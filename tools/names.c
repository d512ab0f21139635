// SPDX-License-Identifier: GPL-2.0-only
/* Numbers of the kernel as the words that people know. */
#include "attls.h"

#include <linux/attls.h>
#include <grp.h>
#include <pwd.h>

struct number_name {
	uint32_t number;
	const char *name;
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static const struct number_name protocols[] = {
	{ 0x0303, "TLSv1.2" },
	{ 0x0304, "TLSv1.3" },
};

static const struct number_name states[] = {
	{ ATTLS_CONN_IDLE, "idle" },
	{ ATTLS_CONN_CONNECTING, "connecting" },
	{ ATTLS_CONN_CLEAR, "clear" },
	{ ATTLS_CONN_HANDSHAKE, "handshake" },
	{ ATTLS_CONN_INSTALLING, "installing" },
	{ ATTLS_CONN_SECURE, "secure" },
	{ ATTLS_CONN_FAILED, "failed" },
	{ ATTLS_CONN_NONE, "none" },
	{ ATTLS_CONN_CLOSED, "closed" },
	{ ATTLS_CONN_STOPPING, "stopping" },
};

/* As the policy writes them. */
static const struct number_name roles[] = {
	{ ATTLS_ROLE_CLIENT, "Client" },
	{ ATTLS_ROLE_SERVER, "Server" },
	{ ATTLS_ROLE_SERVER_PASS, "Server+PassThru" },
	{ ATTLS_ROLE_SERVER_FULL, "Server+Full" },
	{ ATTLS_ROLE_SERVER_REQD, "Server+Required" },
	{ ATTLS_ROLE_SERVER_SAF, "Server+SAFCheck" },
};

static const struct number_name directions[] = {
	{ ATTLS_INBOUND, "Inbound" },
	{ ATTLS_OUTBOUND, "Outbound" },
	{ ATTLS_INBOUND | ATTLS_OUTBOUND, "Both" },
};

static const struct number_name reasons[] = {
	{ ATTLS_REASON_PEER_RESET, "peer closed during the handshake" },
	{ ATTLS_REASON_AGENT_GONE, "attlsd ended during the handshake" },
	{ ATTLS_REASON_QUEUE_FULL, "too many pending handshakes" },
	{ ATTLS_REASON_NO_MEMORY, "out of memory" },
	{ ATTLS_REASON_INSTALL, "kernel TLS refused the keys" },
	{ ATTLS_REASON_MPTCP, "MPTCP connection, see net.mptcp.enabled" },
	{ ATTLS_REASON_SOCKMAP, "a BPF sockmap owns the socket" },
	{ ATTLS_REASON_TRUNCATED, "FIN without close_notify" },
	{ ATTLS_REASON_ALERT, "fatal alert from the peer" },
	{ ATTLS_REASON_RECORD, "record that does not decrypt" },
	{ ATTLS_REASON_PROTOCOL, "control record that is not allowed" },
	{ ATTLS_REASON_KEY_UPDATE, "key update that could not be followed" },
	{ ATTLS_REASON_FLOOD, "flood of control records" },
	{ ATTLS_REASON_DENIED, "no rule, and DefaultAction is Deny" },
	{ ATTLS_REASON_UNPROTECTED,
	  "no rule, and the application has named its peer or session" },
	{ ATTLS_REASON_NOT_RESUMED, "not the session that was demanded" },
	{ ATTLS_REASON_STOP_TIMEOUT, "STOP without the peer's close_notify" },
	{ ATTLS_REASON_STOP_DATA, "STOP could not give clear data back" },
	{ ATTLS_REASON_HANDSHAKE, "TLS handshake failed, see log of attlsd" },
	{ ATTLS_REASON_NO_POLICY, "attlsd does not know the rule" },
	{ ATTLS_REASON_ENVIRONMENT, "key ring or parameters unusable" },
	{ ATTLS_REASON_ULP, "the socket has another upper layer protocol" },
	{ ATTLS_REASON_NO_CERT, "5001 no certificate" },
	{ ATTLS_REASON_NO_USER, "5002 no user for the certificate" },
	{ ATTLS_REASON_CLEARTEXT, "5003 clear text where TLS belongs" },
	{ ATTLS_REASON_TIMEOUT, "5004 nothing from the peer in time" },
	{ ATTLS_REASON_TIMEOUT2, "5005 handshake not finished in time" },
};

static const char *look_up(const struct number_name *names, size_t n,
			   uint32_t number)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

static const char *or_text(const char *name, const char *text)
{
	return name ? name : text;
}

const char *name_of_cipher(uint16_t cipher, char *buf, size_t size)
{
	const struct policy_code *code = policy_suite(cipher);

	if (!cipher)
		return "";
	if (code)
		return code->name;
	snprintf(buf, size, "0x%04X", cipher);
	return buf;
}

/* How the keys came about; nothing until they are there. */
const char *name_of_session(const struct policy_kernel_conn *conn)
{
	if (!conn->protocol)
		return "";
	return conn->resumed ? "Resumed" : "Full";
}

const char *name_of_protocol(uint16_t protocol)
{
	return or_text(look_up(protocols, COUNT(protocols), protocol),
		       protocol ? "?" : "");
}

const char *name_of_state(uint8_t state)
{
	return or_text(look_up(states, COUNT(states), state), "?");
}

const char *name_of_role(uint8_t role)
{
	return or_text(look_up(roles, COUNT(roles), role), "");
}

const char *name_of_direction(uint8_t direction)
{
	return or_text(look_up(directions, COUNT(directions), direction), "?");
}

const char *name_of_reason(uint32_t reason, char *buf, size_t size)
{
	const char *name = look_up(reasons, COUNT(reasons), reason);

	if (name || !reason)
		return or_text(name, "");
	snprintf(buf, size, "%u", reason);
	return buf;
}

static const char *name_or_number(const char *name, uint32_t number, char *buf,
				  size_t size)
{
	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%u", number);
	return buf;
}

const char *name_of_user(uint32_t uid, char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(uid);

	return name_or_number(pw ? pw->pw_name : NULL, uid, buf, size);
}

const char *name_of_group(uint32_t gid, char *buf, size_t size)
{
	const struct group *group = getgrgid(gid);

	return name_or_number(group ? group->gr_name : NULL, gid, buf, size);
}
