/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SAIO: what its C and its Rust know of each other. Bindings for Rust are made
 * from this header; functions named saio_rs_*() are written in Rust.
 *
 * The C side is what Rust cannot express on 6.12: system call entry points,
 * file operations, and wrappers around what has no Rust abstraction yet.
 */
#ifndef _LINUX_SAIO_GLUE_H
#define _LINUX_SAIO_GLUE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/socket.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/saio.h>

struct cpumask;
struct cred;
struct file;
struct mm_struct;
struct seq_file;
struct socket;
struct task_struct;
struct user_struct;

/**
 * struct saio_mem - memory of a ring; stands first in the Rust object Ring
 * @base: kernel address, in vmalloc space
 * @size: bytes, whole pages
 * @uaddr: where the owner has mapped it, 0 if it has not; only a hint
 * @user: whose RLIMIT_MEMLOCK is charged, NULL if nobody's
 * @orphans: where orphans of its flows are counted
 * @mm: who may map it; only compared, and kept so that nothing else is there
 * @mapped: whether it was mapped, which is allowed once
 */
struct saio_mem {
	void *base;
	unsigned long size;
	unsigned long uaddr;
	struct user_struct *user;
	struct saio_orphans *orphans;
	struct mm_struct *mm;
	int mapped;
};

/**
 * struct saio_home - who goes on with the flows of a ring; in the Rust object Ring
 * @lock: interrupt-safe, since flows are made ready by the network's softirq
 * @ready: flows of the ring that wait for a thread of the pool, each with a
 *	reference
 * @pool: Rust object Pool, to which the ring is attached; NULL: the workqueue
 * @slot: place of the ring in that pool
 * @no_wait: until when nobody waits for those who are at a flow, in jiffies
 */
struct saio_home {
	spinlock_t lock;
	struct list_head ready;
	void *pool;
	u32 slot;
	unsigned long no_wait;
};

void saio_home_init(struct saio_home *home);
void saio_home_set(struct saio_home *home, void *pool, u32 slot);
struct saio_sock *saio_home_pop(struct saio_home *home);
bool saio_home_has_ready(const struct saio_home *home);

/**
 * struct saio_threads - threads of a pool, as C sees them; in the Rust object Pool
 * @sleepers: those that have nothing to do, the last one first
 * @calls: how many of them are wanted and have not noticed; under the lock of
 *	@sleepers
 * @cpus: where they may run
 */
struct saio_threads {
	wait_queue_head_t sleepers;
	unsigned int calls;
	struct cpumask *cpus;
};

/**
 * struct saio_thread - a thread of a pool; in a Rust object that it owns
 * @task: itself
 * @pool: Rust object Pool
 * @busy: it runs entries: if it sleeps, it is held up
 * @held_up: it was counted out because it sleeps
 */
struct saio_thread {
	struct task_struct *task;
	void *pool;
	bool busy;
	bool held_up;
};

int saio_threads_init(struct saio_threads *threads);
void saio_threads_free(struct saio_threads *threads);
struct task_struct *saio_thread_start(struct saio_thread *thread,
				      struct saio_threads *threads,
				      const u8 *name, u32 number);
void saio_thread_wait(struct saio_threads *threads);
void saio_thread_set_cpus(struct task_struct *task,
			  struct saio_threads *threads);
void saio_threads_wake(struct saio_threads *threads);
bool saio_threads_idle_cpu(struct saio_threads *threads);
int saio_threads_get_cpus(struct saio_threads *threads,
			  struct saio_pool_attr *attr);
struct cpumask *saio_cpus_read(const struct saio_pool_attr *attr, int *err);
void saio_cpus_free(struct cpumask *cpus);
void saio_threads_swap_cpus(struct saio_threads *threads, struct cpumask *cpus);
bool saio_cpu_wanted(void);
void saio_cpu_relax(void);
void saio_resched(void);
u64 saio_clock(void);
bool saio_in_group(u32 gid);
bool saio_admin(void);

struct saio_orphans *saio_orphans_get(void);
void saio_orphans_put(struct saio_orphans *of);
bool saio_orphans_add(struct saio_orphans *of, int number, s64 bytes);

int saio_mem_alloc(struct saio_mem *mem, unsigned long size);
void saio_mem_free(struct saio_mem *mem);

enum saio_sock_bit {
	/* Entries wait for the peer: the socket is not writable for others. */
	SAIO_SOCK_FULL_BIT,
	/* Somebody was turned away and waits until the flow is idle. */
	SAIO_SOCK_WANTED_BIT,
	/* The last descriptor is closed: the flow has the socket alone. */
	SAIO_SOCK_ORPHAN_BIT,
};

/**
 * struct saio_sock - socket side of a flow; stands first in the Rust object Flow
 * @refs: references; one is the socket's, until the private file is released
 * @state: SAIO_SOCK_* bits
 * @runner: the task that runs an entry of the flow just now
 * @sock: the socket, alive as long as @file
 * @file: private file of the flow, which nobody else has
 * @files: file table of the owner; only compared
 * @home: of the ring that the flow belongs to
 * @ready: stands in the list of @home; under its lock
 * @wait: stands in the wait queue of the socket while the flow is parked
 * @work: goes on with a parked flow; while pending it has a reference
 * @close: releases @file where that may block
 * @drained: those who wait for the flow to become idle
 * @rcu: readers of socket->saio look at this object under RCU
 */
struct saio_sock {
	refcount_t refs;
	unsigned long state;
	struct task_struct *runner;
	struct socket *sock;
	struct file *file;
	void *files;
	struct saio_home *home;
	struct list_head ready;
	struct wait_queue_entry wait;
	struct delayed_work work;
	struct work_struct close;
	wait_queue_head_t drained;
	struct rcu_head rcu;
};

int saio_sock_attach(struct saio_sock *ss, struct saio_home *home,
		     unsigned int fd);
bool saio_sock_has(const struct saio_sock *ss, unsigned int fd);
void saio_sock_get(struct saio_sock *ss);
void saio_sock_put(struct saio_sock *ss);
void saio_sock_free(struct saio_sock *ss);
ssize_t saio_sock_send(struct saio_sock *ss, struct kvec *vec, size_t nr,
		       size_t len, int flags);
ssize_t saio_sock_sendfile(struct saio_sock *ss, struct file *in, loff_t pos,
			   size_t len, int flags);
ssize_t saio_sock_send_pages(struct saio_sock *ss, struct kvec *vec, size_t nr,
			     size_t bytes, struct file *in, loff_t pos,
			     size_t len, int flags);
int saio_sock_setopt(struct saio_sock *ss, int level, int name, void *val,
		     unsigned int len);
int saio_sock_shut(struct saio_sock *ss, int how);
bool saio_sock_park(struct saio_sock *ss);
void saio_sock_unpark(struct saio_sock *ss);
void saio_sock_kick(struct saio_sock *ss, unsigned long delay);
void saio_sock_remind(struct saio_sock *ss, unsigned long delay);
void saio_sock_idle(struct saio_sock *ss, bool edge);
void saio_sock_fail(struct saio_sock *ss, int err);
void saio_sock_adopt(struct saio_sock *ss);
void saio_sock_detach(struct saio_sock *ss);
void saio_sock_set(struct saio_sock *ss, unsigned int bit, bool on);

struct file *saio_file_get(struct task_struct *task, unsigned int fd,
			   loff_t pos, size_t len, int *err);
void saio_file_put(struct file *file);
const struct cred *saio_cred_get(void);
const struct cred *saio_cred_get_of(struct task_struct *task);
void saio_cred_put(const struct cred *cred);
const struct cred *saio_cred_override(const struct cred *cred);
void saio_cred_revert(const struct cred *old);

long saio_call(unsigned int nr, struct pt_regs *regs);
bool saio_attention(void);
bool saio_between_calls(void);
bool saio_watched(void);
bool saio_filter_looks(int nr);
void saio_kill(void);
bool saio_audited(void);
void saio_audit(unsigned int nr, const u64 *args);
bool saio_allows(struct task_struct *task, const int *nrs, size_t n);
int saio_seccomp(unsigned int nr, const u64 *args, long *result);
void saio_die(void);
bool saio_interrupted(void);
struct task_struct *saio_current(void);
struct task_struct *saio_task_get_current(void);
void saio_task_put(struct task_struct *task);
void *saio_current_rings(void);
void saio_set_current_rings(void *rings);
unsigned long saio_jiffies(void);
unsigned long saio_nsecs_to_jiffies(u64 ns);

/* Who runs an entry. */
enum saio_where {
	SAIO_WHERE_INLINE,
	SAIO_WHERE_POOL,
	SAIO_WHERE_QUEUE,
};

enum saio_thread_event {
	SAIO_THREAD_START,
	SAIO_THREAD_SLEEP,
	SAIO_THREAD_WAKE,
};

extern int saio_tracing;
int saio_trace_reg(void);
void saio_trace_unreg(void);
void saio_trace_submit(u32 ring, const struct task_struct *owner, u32 to_submit,
		       u32 published);
void saio_trace_dispatch(u32 ring, const struct task_struct *owner,
			 const struct saio_sqe *sqe, u32 where);
void saio_trace_complete(u32 ring, const struct task_struct *owner, u32 nr,
			 u64 user_data, u32 flow, s64 result, u32 where);
void saio_trace_park(u32 ring, const struct task_struct *owner, u32 flow,
		     u64 left);
void saio_trace_steal(u32 ring, const struct task_struct *owner, u32 flow,
		      const u8 *pool, u32 from, u32 to);
void saio_trace_thread(enum saio_thread_event event, const u8 *pool, u32 thread);

/**
 * struct saio_ring_info - what is shown of a ring; docs/observing.md has the meanings
 * @owner: the task, valid as long as the ring
 * @why: for each reason (enum Why in Rust) how many entries ran inline
 */
struct saio_ring_info {
	struct task_struct *owner;
	u32 ring;
	u32 mode;
	u8 pool[SAIO_POOL_NAME_LEN];
	u32 published;
	u32 sq_entries;
	u32 flows;
	bool restricted;
	bool no_pool;
	u64 calls;
	u64 run_inline;
	u64 pooled;
	u64 queued;
	u64 bytes;
	u64 parks;
	u64 steals;
	u64 wakeups;
	u64 why[6];
	u64 wait_hist[SAIO_HIST_BUCKETS];
};

bool saio_allowed(void);
void saio_show_fdinfo(struct seq_file *m, struct file *file);
void saio_rs_ring_info(void *ring, struct saio_ring_info *info);

void *saio_rs_setup(struct saio_params *params);
void saio_rs_setup_undo(void *ring);
void saio_rs_ring_put(void *ring);
long saio_rs_enter(void *ring, u32 to_submit, u32 min_complete, u32 flags,
		   u64 timeout_ns, bool *die);
long saio_rs_register(void *ring, u32 op, struct saio_flow_reg *reg);
long saio_rs_attach(void *ring, const struct saio_ring_pool *attach);
long saio_rs_restrict(void *ring, const struct saio_restriction *restriction);
long saio_rs_pool(u32 cmd, struct saio_pool_attr *attr, struct cpumask **cpus);
long saio_rs_pool_stat(struct saio_pool_stat *stat);
int saio_rs_init(void);
int saio_rs_thread(struct saio_thread *thread);
void saio_rs_thread_drop(struct saio_thread *thread);
void saio_rs_pool_ready(void *pool, u32 slot);
void saio_rs_pool_held_up(void *pool);
void saio_rs_pool_goes_on(void *pool);
void saio_rs_pools_set_cpus(void);
void saio_rs_task_end(void *rings);
void saio_rs_hand_over(void);
bool saio_rs_flow_busy(struct saio_sock *ss);
bool saio_rs_flow_stuck(struct saio_sock *ss);
bool saio_rs_flow_runs(struct saio_sock *ss);
void saio_rs_flow_work(struct saio_sock *ss);
bool saio_rs_flow_closed(struct saio_sock *ss);
void saio_rs_flow_stale(struct saio_sock *ss);
int saio_rs_flow_shutdown(struct saio_sock *ss, int how);
void saio_rs_flow_drop(struct saio_sock *ss);

#ifdef CONFIG_SAIO_KUNIT_TEST
unsigned long saio_test_user_page(void);
bool saio_test_has_call(unsigned int nr);
unsigned long saio_test_vm_flags(unsigned long addr);
int saio_test_layout(unsigned int i);
int saio_test_socket(int type, bool connected);
void saio_test_settle(void);
bool saio_test_has_flow(unsigned int fd);
void saio_test_close(unsigned int fd);
#endif

#endif /* _LINUX_SAIO_GLUE_H */
