/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM attls

#if !defined(_ATTLS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _ATTLS_TRACE_H

#include <linux/tracepoint.h>

/* Each step of a connection: state numbers of enum attls_conn_state. */
TRACE_EVENT(attls_conn_state,
	TP_PROTO(u32 id, int from, int to, u32 reason),
	TP_ARGS(id, from, to, reason),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(int, from)
		__field(int, to)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->from = from;
		__entry->to = to;
		__entry->reason = reason;
	),
	TP_printk("conn=%08x from=%d to=%d reason=%u",
		  __entry->id, __entry->from, __entry->to, __entry->reason)
);

#endif /* _ATTLS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
