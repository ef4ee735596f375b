/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SAIO: tracepoints. docs/observing.md explains them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM saio

#if !defined(_TRACE_SAIO_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_SAIO_H

#include <linux/saio_glue.h>
#include <linux/tracepoint.h>

TRACE_DEFINE_ENUM(SAIO_WHERE_INLINE);
TRACE_DEFINE_ENUM(SAIO_WHERE_POOL);
TRACE_DEFINE_ENUM(SAIO_WHERE_QUEUE);

#define saio_show_where(where)				\
	__print_symbolic(where,				\
		{ SAIO_WHERE_INLINE,	"inline" },	\
		{ SAIO_WHERE_POOL,	"pool" },	\
		{ SAIO_WHERE_QUEUE,	"queue" })

/* The owner enters. */
TRACE_EVENT_FN(saio_submit,
	TP_PROTO(u32 ring, int owner, u32 to_submit, u32 published),
	TP_ARGS(ring, owner, to_submit, published),
	TP_STRUCT__entry(
		__field(u32, ring)
		__field(int, owner)
		__field(u32, to_submit)
		__field(u32, published)
	),
	TP_fast_assign(
		__entry->ring = ring;
		__entry->owner = owner;
		__entry->to_submit = to_submit;
		__entry->published = published;
	),
	TP_printk("ring=%u owner=%d to_submit=%u published=%u", __entry->ring,
		  __entry->owner, __entry->to_submit, __entry->published),
	saio_trace_reg, saio_trace_unreg
);

/* An entry was taken off the queue, or is run by its owner. */
TRACE_EVENT_FN(saio_dispatch,
	TP_PROTO(u32 ring, int owner, const struct saio_sqe *sqe, u32 where),
	TP_ARGS(ring, owner, sqe, where),
	TP_STRUCT__entry(
		__field(u32, ring)
		__field(int, owner)
		__field(u16, nr)
		__field(u16, flags)
		__field(u32, flow)
		__field(u32, where)
		__field(u64, user_data)
		__array(u64, args, 6)
	),
	TP_fast_assign(
		__entry->ring = ring;
		__entry->owner = owner;
		__entry->nr = sqe->nr;
		__entry->flags = sqe->flags;
		__entry->flow = sqe->flags & SAIO_SQE_FLOW ?
				sqe->args[0] >> 32 : 0;
		__entry->where = where;
		__entry->user_data = sqe->user_data;
		memcpy(__entry->args, sqe->args, sizeof(__entry->args));
	),
	TP_printk("ring=%u owner=%d nr=%u flags=0x%x user_data=0x%llx flow=0x%x args=0x%llx,0x%llx,0x%llx,0x%llx,0x%llx,0x%llx where=%s",
		  __entry->ring, __entry->owner, __entry->nr, __entry->flags,
		  __entry->user_data, __entry->flow, __entry->args[0],
		  __entry->args[1], __entry->args[2], __entry->args[3],
		  __entry->args[4], __entry->args[5],
		  saio_show_where(__entry->where)),
	saio_trace_reg, saio_trace_unreg
);

/* An entry is done. */
TRACE_EVENT_FN(saio_complete,
	TP_PROTO(u32 ring, int owner, u32 nr, u64 user_data, u32 flow,
		 s64 result, u32 where),
	TP_ARGS(ring, owner, nr, user_data, flow, result, where),
	TP_STRUCT__entry(
		__field(u32, ring)
		__field(int, owner)
		__field(u32, nr)
		__field(u32, flow)
		__field(u64, user_data)
		__field(s64, result)
		__field(u32, where)
	),
	TP_fast_assign(
		__entry->ring = ring;
		__entry->owner = owner;
		__entry->nr = nr;
		__entry->flow = flow;
		__entry->user_data = user_data;
		__entry->result = result;
		__entry->where = where;
	),
	TP_printk("ring=%u owner=%d nr=%u user_data=0x%llx flow=0x%x result=%lld where=%s",
		  __entry->ring, __entry->owner, __entry->nr,
		  __entry->user_data, __entry->flow, __entry->result,
		  saio_show_where(__entry->where)),
	saio_trace_reg, saio_trace_unreg
);

/* A flow waits for its peer. */
TRACE_EVENT_FN(saio_park,
	TP_PROTO(u32 ring, int owner, u32 flow, u64 left),
	TP_ARGS(ring, owner, flow, left),
	TP_STRUCT__entry(
		__field(u32, ring)
		__field(int, owner)
		__field(u32, flow)
		__field(u64, left)
	),
	TP_fast_assign(
		__entry->ring = ring;
		__entry->owner = owner;
		__entry->flow = flow;
		__entry->left = left;
	),
	TP_printk("ring=%u owner=%d flow=0x%x left=%llu", __entry->ring,
		  __entry->owner, __entry->flow, __entry->left),
	saio_trace_reg, saio_trace_unreg
);

/* A flow goes on with another thread than before. */
TRACE_EVENT_FN(saio_steal,
	TP_PROTO(u32 ring, int owner, u32 flow, const u8 *pool, u32 from, u32 to),
	TP_ARGS(ring, owner, flow, pool, from, to),
	TP_STRUCT__entry(
		__field(u32, ring)
		__field(int, owner)
		__field(u32, flow)
		__string(pool, (const char *)pool)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->ring = ring;
		__entry->owner = owner;
		__entry->flow = flow;
		__assign_str(pool);
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("ring=%u owner=%d flow=0x%x pool=%s from=%u to=%u",
		  __entry->ring, __entry->owner, __entry->flow,
		  __get_str(pool), __entry->from, __entry->to),
	saio_trace_reg, saio_trace_unreg
);

DECLARE_EVENT_CLASS(saio_thread,
	TP_PROTO(const u8 *pool, u32 thread),
	TP_ARGS(pool, thread),
	TP_STRUCT__entry(
		__string(pool, (const char *)pool)
		__field(u32, thread)
	),
	TP_fast_assign(
		__assign_str(pool);
		__entry->thread = thread;
	),
	TP_printk("pool=%s thread=%u", __get_str(pool), __entry->thread)
);

/* A thread was made. */
DEFINE_EVENT(saio_thread, saio_thread_start,
	TP_PROTO(const u8 *pool, u32 thread), TP_ARGS(pool, thread));

/* A thread goes to sleep. */
DEFINE_EVENT(saio_thread, saio_thread_sleep,
	TP_PROTO(const u8 *pool, u32 thread), TP_ARGS(pool, thread));

/* A thread was woken. */
DEFINE_EVENT(saio_thread, saio_thread_wake,
	TP_PROTO(const u8 *pool, u32 thread), TP_ARGS(pool, thread));

#endif /* _TRACE_SAIO_H */

#include <trace/define_trace.h>
