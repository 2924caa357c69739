/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tide

#if !defined(_TRACE_TIDE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_TIDE_H

#include <linux/tide_ops.h>
#include <linux/tracepoint.h>

TRACE_EVENT(tide_exit,

	TP_PROTO(const struct tide_exit *exit),

	TP_ARGS(exit),

	TP_STRUCT__entry(
		__field(u32, kind)
		__field(u32, family)
		__field(u64, cgroup_id)
		__string(name, exit->name)
		__string(reason, exit->reason)
	),

	TP_fast_assign(
		__entry->kind = exit->kind;
		__entry->family = exit->family;
		__entry->cgroup_id = exit->cgroup_id;
		__assign_str(name);
		__assign_str(reason);
	),

	TP_printk("kind=%u family=%u cgroup=%llu name=%s reason=%s",
		  __entry->kind, __entry->family, __entry->cgroup_id, __get_str(name),
		  __get_str(reason))
);

TRACE_EVENT(tide_ksm_unshared,

	TP_PROTO(u64 mm_id, unsigned long address, int err),

	TP_ARGS(mm_id, address, err),

	TP_STRUCT__entry(
		__field(u64, mm_id)
		__field(unsigned long, address)
		__field(int, err)
	),

	TP_fast_assign(
		__entry->mm_id = mm_id;
		__entry->address = address;
		__entry->err = err;
	),

	TP_printk("mm=%llu address=%#lx err=%d", __entry->mm_id, __entry->address, __entry->err)
);

#endif /* _TRACE_TIDE_H */

#include <trace/define_trace.h>
