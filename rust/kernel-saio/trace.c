// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: tracepoints for Rust, and the lines of /proc/PID/fdinfo for a ring.
 */
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/saio_glue.h>

/* How many of the tracepoints of entries and flows are listened to. */
int saio_tracing;

int saio_trace_reg(void)
{
	WRITE_ONCE(saio_tracing, saio_tracing + 1);
	return 0;
}

void saio_trace_unreg(void)
{
	WRITE_ONCE(saio_tracing, saio_tracing - 1);
}

#define CREATE_TRACE_POINTS
#include <trace/events/saio.h>

static int saio_pid(const struct task_struct *owner)
{
	return task_pid_nr((struct task_struct *)owner);
}

void saio_trace_submit(u32 ring, const struct task_struct *owner, u32 to_submit,
		       u32 published)
{
	trace_saio_submit(ring, saio_pid(owner), to_submit, published);
}

void saio_trace_dispatch(u32 ring, const struct task_struct *owner,
			 const struct saio_sqe *sqe, u32 where)
{
	trace_saio_dispatch(ring, saio_pid(owner), sqe, where);
}

void saio_trace_complete(u32 ring, const struct task_struct *owner, u32 nr,
			 u64 user_data, u32 flow, s64 result, u32 where)
{
	trace_saio_complete(ring, saio_pid(owner), nr, user_data, flow, result,
			    where);
}

void saio_trace_park(u32 ring, const struct task_struct *owner, u32 flow,
		     u64 left)
{
	trace_saio_park(ring, saio_pid(owner), flow, left);
}

void saio_trace_steal(u32 ring, const struct task_struct *owner, u32 flow,
		      const u8 *pool, u32 from, u32 to)
{
	trace_saio_steal(ring, saio_pid(owner), flow, pool, from, to);
}

void saio_trace_thread(enum saio_thread_event event, const u8 *pool, u32 thread)
{
	switch (event) {
	case SAIO_THREAD_START:
		trace_saio_thread_start(pool, thread);
		break;
	case SAIO_THREAD_SLEEP:
		trace_saio_thread_sleep(pool, thread);
		break;
	case SAIO_THREAD_WAKE:
		trace_saio_thread_wake(pool, thread);
		break;
	}
}

#ifdef CONFIG_PROC_FS
void saio_show_fdinfo(struct seq_file *m, struct file *file)
{
	static const char * const modes[] = { "inline", "auto", "pool" };
	struct saio_ring_info info = {};
	struct pid_namespace *ns;
	unsigned int i;

	saio_rs_ring_info(file->private_data, &info);
	ns = proc_pid_ns(file_inode(m->file)->i_sb);
	seq_printf(m, "saio-owner:\t%d\n", task_pid_nr_ns(info.owner, ns));
	seq_printf(m, "saio-ring:\t%u\n", info.ring);
	seq_printf(m, "saio-mode:\t%s\n", modes[info.mode]);
	seq_printf(m, "saio-pool:\t%s\n", info.pool[0] ? (char *)info.pool : "-");
	seq_printf(m, "saio-restricted:\t%s%s\n", info.restricted ? "yes" : "no",
		   info.no_pool ? ", no pool" : "");
	seq_printf(m, "saio-sq:\t%u/%u\n", info.published, info.sq_entries);
	seq_printf(m, "saio-flows:\t%u\n", info.flows);
	seq_printf(m, "saio-calls:\t%llu\n", info.calls);
	seq_printf(m, "saio-inline:\t%llu\n", info.run_inline);
	seq_printf(m, "saio-pooled:\t%llu\n", info.pooled);
	seq_printf(m, "saio-queued:\t%llu\n", info.queued);
	seq_printf(m, "saio-bytes:\t%llu\n", info.bytes);
	seq_printf(m, "saio-parks:\t%llu\n", info.parks);
	seq_printf(m, "saio-steals:\t%llu\n", info.steals);
	seq_printf(m, "saio-wakeups:\t%llu\n", info.wakeups);
	seq_printf(m, "saio-why-inline:\tmode=%llu idle=%llu small=%llu busy=%llu filter=%llu chain=%llu\n",
		   info.why[0], info.why[1], info.why[2], info.why[3],
		   info.why[4], info.why[5]);
	seq_puts(m, "saio-wait-hist:\t");
	for (i = 0; i < SAIO_HIST_BUCKETS; i++)
		seq_printf(m, "%llu%c", info.wait_hist[i],
			   i + 1 < SAIO_HIST_BUCKETS ? ' ' : '\n');
}
#endif
