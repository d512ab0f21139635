// SPDX-License-Identifier: GPL-2.0-only
/* Counters: one row each, summed over the CPUs when somebody asks. */
#include "internal.h"
#include <linux/percpu.h>

DEFINE_PER_CPU(u64 [__ATTLS_STAT_MAX], attls_stats);

static const char *const names[__ATTLS_STAT_MAX] = {
	[ATTLS_STAT_LISTENERS]		= "listeners_hooked",
	[ATTLS_STAT_MAPPED_NONE]	= "mapped_no_rule",
	[ATTLS_STAT_MAPPED_TLS]		= "mapped_tls",
	[ATTLS_STAT_MAPPED_CLEAR]	= "mapped_application_controlled",
	[ATTLS_STAT_ACCEPTED_EARLY]	= "accepted_before_the_application",
	[ATTLS_STAT_HANDSHAKES_QUEUED]	= "handshakes_queued",
	[ATTLS_STAT_SECURE]		= "connections_secured",
	[ATTLS_STAT_LEFT_CLEAR]		= "left_in_clear",
	[ATTLS_STAT_CLOSED]		= "connections_closed",
	[ATTLS_STAT_STOPPED]		= "connections_stopped",
	[ATTLS_STAT_FAILED]		= "failed",
	[ATTLS_STAT_FAIL_PEER_RESET]	= "failed_peer_reset",
	[ATTLS_STAT_FAIL_AGENT_GONE]	= "failed_agent_gone",
	[ATTLS_STAT_FAIL_QUEUE_FULL]	= "failed_queue_full",
	[ATTLS_STAT_FAIL_NO_MEMORY]	= "failed_no_memory",
	[ATTLS_STAT_FAIL_INSTALL]	= "failed_install",
	[ATTLS_STAT_FAIL_MPTCP]		= "failed_mptcp",
	[ATTLS_STAT_FAIL_SOCKMAP]	= "failed_sockmap",
	[ATTLS_STAT_FAIL_TRUNCATED]	= "failed_truncated",
	[ATTLS_STAT_FAIL_ALERT]		= "failed_alert",
	[ATTLS_STAT_FAIL_RECORD]	= "failed_record",
	[ATTLS_STAT_FAIL_PROTOCOL]	= "failed_protocol",
	[ATTLS_STAT_FAIL_KEY_UPDATE]	= "failed_key_update",
	[ATTLS_STAT_FAIL_FLOOD]		= "failed_flood",
	[ATTLS_STAT_FAIL_DENIED]	= "failed_denied",
	[ATTLS_STAT_FAIL_NO_USER]	= "failed_no_user",
	[ATTLS_STAT_FAIL_CLEARTEXT]	= "failed_cleartext",
	[ATTLS_STAT_FAIL_TIMEOUT]	= "failed_timeout",
	[ATTLS_STAT_FAIL_HANDSHAKE]	= "failed_handshake",
	[ATTLS_STAT_FAIL_STOP]		= "failed_stop",
	[ATTLS_STAT_CANCELED]		= "canceled_by_application",
	[ATTLS_STAT_LINGERING]		= "closed_in_handshake",
	[ATTLS_STAT_TICKETS]		= "tickets_received",
	[ATTLS_STAT_TICKETS_DROPPED]	= "tickets_dropped",
	[ATTLS_STAT_TICKETS_SENT]	= "tickets_sent",
	[ATTLS_STAT_RESUMED]		= "sessions_resumed",
	[ATTLS_STAT_KEY_UPDATES_RECEIVED] = "key_updates_received",
	[ATTLS_STAT_KEY_UPDATES_SENT]	= "key_updates_sent",
	[ATTLS_STAT_ALERTS]		= "alerts_received",
	[ATTLS_STAT_CLOSE_NOTIFY_SENT]	= "close_notify_sent",
	[ATTLS_STAT_CLOSE_NOTIFY_LOST]	= "close_notify_lost",
	[ATTLS_STAT_FASTOPEN_HELD]	= "fastopen_held",
	[ATTLS_STAT_STARTUP_REFUSED]	= "startup_connects_refused",
	[ATTLS_STAT_STARTUP_HELD]	= "startup_accepts_held",
	[ATTLS_STAT_REPAIR_SKIPPED]	= "repair_skipped",
	[ATTLS_STAT_UNHOOKABLE]		= "unhookable",
};

static const struct {
	u32		reason;
	enum attls_stat	stat;
} failures[] = {
	{ ATTLS_REASON_PEER_RESET,	ATTLS_STAT_FAIL_PEER_RESET },
	{ ATTLS_REASON_AGENT_GONE,	ATTLS_STAT_FAIL_AGENT_GONE },
	{ ATTLS_REASON_QUEUE_FULL,	ATTLS_STAT_FAIL_QUEUE_FULL },
	{ ATTLS_REASON_NO_MEMORY,	ATTLS_STAT_FAIL_NO_MEMORY },
	{ ATTLS_REASON_INSTALL,		ATTLS_STAT_FAIL_INSTALL },
	{ ATTLS_REASON_ULP,		ATTLS_STAT_FAIL_INSTALL },
	{ ATTLS_REASON_MPTCP,		ATTLS_STAT_FAIL_MPTCP },
	{ ATTLS_REASON_SOCKMAP,		ATTLS_STAT_FAIL_SOCKMAP },
	{ ATTLS_REASON_TRUNCATED,	ATTLS_STAT_FAIL_TRUNCATED },
	{ ATTLS_REASON_ALERT,		ATTLS_STAT_FAIL_ALERT },
	{ ATTLS_REASON_RECORD,		ATTLS_STAT_FAIL_RECORD },
	{ ATTLS_REASON_PROTOCOL,	ATTLS_STAT_FAIL_PROTOCOL },
	{ ATTLS_REASON_KEY_UPDATE,	ATTLS_STAT_FAIL_KEY_UPDATE },
	{ ATTLS_REASON_FLOOD,		ATTLS_STAT_FAIL_FLOOD },
	{ ATTLS_REASON_DENIED,		ATTLS_STAT_FAIL_DENIED },
	{ ATTLS_REASON_UNPROTECTED,	ATTLS_STAT_FAIL_DENIED },
	{ ATTLS_REASON_STOP_TIMEOUT,	ATTLS_STAT_FAIL_STOP },
	{ ATTLS_REASON_STOP_DATA,	ATTLS_STAT_FAIL_STOP },
	{ ATTLS_REASON_NO_USER,		ATTLS_STAT_FAIL_NO_USER },
	{ ATTLS_REASON_CLEARTEXT,	ATTLS_STAT_FAIL_CLEARTEXT },
	{ ATTLS_REASON_TIMEOUT,		ATTLS_STAT_FAIL_TIMEOUT },
	{ ATTLS_REASON_TIMEOUT2,	ATTLS_STAT_FAIL_TIMEOUT },
};

/* The sum over all CPUs; a moment's value, not a snapshot. */
u64 attls_stat_read(enum attls_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(attls_stats, cpu)[stat];
	return sum;
}

const char *attls_stat_name(enum attls_stat stat)
{
	return names[stat];
}

/* Counts a failed connection under its reason.  Any context. */
void attls_stat_failure(u32 reason)
{
	size_t i;

	if (reason == ATTLS_REASON_NONE)
		return;			/* the application ended it */
	attls_stat_inc(ATTLS_STAT_FAILED);
	for (i = 0; i < ARRAY_SIZE(failures); i++) {
		if (failures[i].reason == reason) {
			attls_stat_inc(failures[i].stat);
			return;
		}
	}
	/* Whatever the agent says beyond these is a failed handshake. */
	attls_stat_inc(ATTLS_STAT_FAIL_HANDSHAKE);
}
