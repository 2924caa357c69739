/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of virtio_tide: orders in, batches out, runs, relief. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM virtio_tide

#if !defined(VIRTIO_TIDE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VIRTIO_TIDE_TRACE_H

#include <linux/tracepoint.h>

struct tide_orders;

TRACE_EVENT(tide_orders,
	TP_PROTO(const struct tide_orders *orders),
	TP_ARGS(orders),
	TP_STRUCT__entry(
		__field(u32, generation)
		__field(unsigned long, target)
		__field(unsigned long, ceiling)
		__field(unsigned long, floor)
		__field(u32, flags)
		__field(u32, grant)
	),
	TP_fast_assign(
		__entry->generation = orders->generation;
		__entry->target = orders->target;
		__entry->ceiling = orders->ceiling;
		__entry->floor = orders->floor;
		__entry->flags = orders->flags;
		__entry->grant = orders->grant;
	),
	TP_printk("generation=%u target=%lu ceiling=%lu floor=%lu flags=%#x grant=%u",
		  __entry->generation, __entry->target, __entry->ceiling, __entry->floor,
		  __entry->flags, __entry->grant)
);

TRACE_EVENT(tide_batch,
	TP_PROTO(unsigned int takes, unsigned int gives, unsigned long pages, u32 fence,
		 u32 status, u32 done),
	TP_ARGS(takes, gives, pages, fence, status, done),
	TP_STRUCT__entry(
		__field(unsigned int, takes)
		__field(unsigned int, gives)
		__field(unsigned long, pages)
		__field(u32, fence)
		__field(u32, status)
		__field(u32, done)
	),
	TP_fast_assign(
		__entry->takes = takes;
		__entry->gives = gives;
		__entry->pages = pages;
		__entry->fence = fence;
		__entry->status = status;
		__entry->done = done;
	),
	TP_printk("takes=%u gives=%u pages=%lu fence=%u status=%u done=%u",
		  __entry->takes, __entry->gives, __entry->pages, __entry->fence,
		  __entry->status, __entry->done)
);

TRACE_EVENT(tide_moved,
	TP_PROTO(unsigned long gave, unsigned long took, u64 ns),
	TP_ARGS(gave, took, ns),
	TP_STRUCT__entry(
		__field(unsigned long, gave)
		__field(unsigned long, took)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->gave = gave;
		__entry->took = took;
		__entry->ns = ns;
	),
	TP_printk("gave=%lu took=%lu ns=%llu", __entry->gave, __entry->took, __entry->ns)
);

TRACE_EVENT(tide_relief,
	TP_PROTO(unsigned long pages, u32 path, u64 ns),
	TP_ARGS(pages, path, ns),
	TP_STRUCT__entry(
		__field(unsigned long, pages)
		__field(u32, path)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->pages = pages;
		__entry->path = path;
		__entry->ns = ns;
	),
	TP_printk("pages=%lu path=%u ns=%llu", __entry->pages, __entry->path, __entry->ns)
);

TRACE_EVENT(tide_claim,
	TP_PROTO(unsigned long pages, u32 urgency),
	TP_ARGS(pages, urgency),
	TP_STRUCT__entry(
		__field(unsigned long, pages)
		__field(u32, urgency)
	),
	TP_fast_assign(
		__entry->pages = pages;
		__entry->urgency = urgency;
	),
	TP_printk("pages=%lu urgency=%u", __entry->pages, __entry->urgency)
);

#endif /* VIRTIO_TIDE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
