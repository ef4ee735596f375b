/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * SAIO: system calls in batches through shared memory.
 *
 * This header is the only description of the ABI; every binding is generated
 * from it.  docs/abi.md explains it at length.
 */
#ifndef _UAPI_LINUX_SAIO_H
#define _UAPI_LINUX_SAIO_H

#include <linux/types.h>

/*
 * System call numbers: one out-of-tree range, the same on every architecture.
 * A kernel built with SAIO has them in its own table as well.
 */
#ifndef __NR_saio_setup
#define __NR_saio_setup		1000
#define __NR_saio_enter		1001
#define __NR_saio_register	1002
#define __NR_saio_pool		1003
#endif

/**
 * struct saio_sqe - submission queue entry: one system call
 * @nr:		system call number
 * @flags:	SAIO_SQE_* bits; an unknown one fails the entry with EINVAL
 * @ctl:	control word of SAIO_SQE_RESULT_TO_ARG, otherwise zero
 * @user_data:	copied to the completion
 * @args:	arguments, as in registers
 */
struct saio_sqe {
	__u16	nr;
	__u16	flags;
	__u32	ctl;
	__u64	user_data;
	__u64	args[6];
};

enum saio_sqe_flags_bit {
	SAIO_SQE_LINK_BIT,
	SAIO_SQE_HARDLINK_BIT,
	SAIO_SQE_RESULT_TO_ARG_BIT,
	SAIO_SQE_SKIP_SUCCESS_BIT,
	SAIO_SQE_FLOW_BIT,
};

/* The next entry belongs to this chain and runs only if this one succeeded. */
#define SAIO_SQE_LINK		(1U << SAIO_SQE_LINK_BIT)
/* The next entry belongs to this chain and runs whatever this one returned. */
#define SAIO_SQE_HARDLINK	(1U << SAIO_SQE_HARDLINK_BIT)
/* An argument is the result of an earlier entry of the chain, see @ctl. */
#define SAIO_SQE_RESULT_TO_ARG	(1U << SAIO_SQE_RESULT_TO_ARG_BIT)
/* No completion if the result is not negative. */
#define SAIO_SQE_SKIP_SUCCESS	(1U << SAIO_SQE_SKIP_SUCCESS_BIT)
/*
 * The call acts on a registered flow: the high half of args[0] is the flow
 * reference, its low half the file descriptor number that seccomp filters and
 * traces see; pointers are byte offsets into the arena.  Allowed calls: write,
 * writev, sendto, sendmsg, sendfile, setsockopt, shutdown.  Of sendfile, args[2]
 * is the file position itself.
 */
#define SAIO_SQE_FLOW		(1U << SAIO_SQE_FLOW_BIT)

/*
 * Control word of SAIO_SQE_RESULT_TO_ARG: bits 0-7 the index of the argument
 * that is replaced, bits 8-15 how many entries back in the chain the result
 * comes from (1 to SAIO_MAX_BACK).
 */
#define SAIO_CTL(arg, back)	((__u32)(arg) | (__u32)(back) << 8)
#define SAIO_MAX_BACK		8

/* Data entries of a flow carry at most this many iovecs. */
#define SAIO_FLOW_MAX_IOV	8

/**
 * struct saio_cqe - completion queue entry
 * @user_data:	of the submission queue entry
 * @res:	what the system call returned: a value, or a negated errno
 */
struct saio_cqe {
	__u64	user_data;
	__s64	res;
};

/**
 * struct saio_ring - control words at the start of the mapping
 * @sq_head:	kernel: entries up to here are copied (not: have run)
 * @sq_flags:	kernel: SAIO_RING_* bits
 * @mode:	kernel: SAIO_MODE_*
 * @pool:	kernel: number of the pool that serves the ring, 0 if none
 * @sq_tail:	user: entries up to here are published
 * @cq_head:	user: completions up to here are consumed
 * @cq_tail:	kernel: completions up to here are posted
 *
 * All indices run freely and wrap at 2^32; masked by the queue size they are
 * slots.  Store @sq_tail and @cq_head with release, load @sq_head and @cq_tail
 * with acquire semantics.  The kernel trusts none of these words: it keeps its
 * own copies and only ever stores its own words.
 */
struct saio_ring {
	__u32	sq_head;
	__u32	sq_flags;
	__u32	mode;
	__u32	pool;
	__u32	__resv0[12];

	__u32	sq_tail;
	__u32	cq_head;
	__u32	__resv1[14];

	__u32	cq_tail;
	__u32	__resv2[15];
};

/* Nobody looks at the queue by itself: call saio_enter() after publishing. */
#define SAIO_RING_NEED_WAKEUP	(1U << 0)

/*
 * Who runs the entries of flows.  Other entries are always run by the owner,
 * within saio_enter(); those of flows may overtake them, unless they are in one
 * chain: a chain with an entry that the owner has to run is run by it whole.
 */
/* The owner. */
#define SAIO_MODE_INLINE	0
/* The pool where that pays, otherwise the owner. */
#define SAIO_MODE_AUTO		1
/* The pool. */
#define SAIO_MODE_POOL		2

/**
 * struct saio_params - argument of saio_setup(), in and out
 * @flags:	must be zero
 * @sq_entries:	slots of the submission queue, a power of two up to
 *		SAIO_MAX_SQ_ENTRIES; 0: default
 * @cq_entries:	slots of the completion queue, a power of two, at least
 *		@sq_entries; 0: default
 * @flows:	flows that can be registered, up to SAIO_MAX_FLOWS; 0: default
 * @arena_size:	bytes, a multiple of the page size, up to SAIO_MAX_ARENA;
 *		0: default
 * @flow_limit:	bytes that a flow may hold unsent, up to SAIO_MAX_FLOW_LIMIT;
 *		0: default
 * @features:	out: SAIO_FEAT_* bits
 * @sq_off:	out: offset of the submission queue in the mapping
 * @cq_off:	out: offset of the completion queue
 * @flow_off:	out: offset of the status words, one __u32 for each flow
 * @arena_off:	out: offset of the arena
 * @map_size:	out: bytes to mmap at offset 0; struct saio_ring stands first
 * @resv:	must be zero
 */
struct saio_params {
	__u32	flags;
	__u32	sq_entries;
	__u32	cq_entries;
	__u32	flows;
	__u32	arena_size;
	__u32	flow_limit;
	__u32	features;
	__u32	sq_off;
	__u32	cq_off;
	__u32	flow_off;
	__u32	arena_off;
	__u32	map_size;
	__u64	resv[2];
};

#define SAIO_PARAMS_SIZE_VER0	64

#define SAIO_MAX_SQ_ENTRIES	4096
#define SAIO_MAX_CQ_ENTRIES	16384
#define SAIO_MAX_FLOWS		65536
#define SAIO_MAX_ARENA		(16U << 20)
#define SAIO_MAX_FLOW_LIMIT	(4U << 20)

#define SAIO_FEAT_INLINE	(1U << 0)
#define SAIO_FEAT_FLOWS		(1U << 1)
#define SAIO_FEAT_POOLS		(1U << 2)

/*
 * Status word of a flow, written by the kernel: bits 16-31 the generation,
 * which with the index in the low half makes the flow reference.
 */
/* The slot belongs to a flow of this generation. */
#define SAIO_FLOW_USED		(1U << 0)
/* The owner's table lost a descriptor of the socket: answer early no more. */
#define SAIO_FLOW_STALE		(1U << 1)
/* Bytes wait for the peer: a write would get EAGAIN. */
#define SAIO_FLOW_FULL		(1U << 2)
/* The connection failed; the socket has the error. */
#define SAIO_FLOW_FAILED	(1U << 3)
/*
 * Operations wait, or somebody else than the owner runs them. Once a saio_enter()
 * has returned that left nothing in the queue, the entries of a flow that does
 * not show this are done, and their arena bytes may be used again. For the owner
 * between its calls: what it runs itself is not shown, nor are entries that were
 * put aside for its next call.
 */
#define SAIO_FLOW_BUSY		(1U << 4)

#define SAIO_FLOW_REF(index, gen)	((__u32)(gen) << 16 | (__u32)(index))
#define SAIO_FLOW_INDEX(ref)		((__u32)(ref) & 0xffff)
#define SAIO_FLOW_GEN(word)		((__u32)(word) >> 16)

/*
 * saio_enter() flag: wake the pool for what is published. Alone, with nothing
 * to submit or wait for, it leaves all of that to the pool.
 */
#define SAIO_ENTER_WAKEUP	(1U << 0)

/**
 * struct saio_enter_arg - optional argument of saio_enter()
 * @timeout_ns:	longest wait for @min_complete completions in nanoseconds,
 *		0: no limit
 * @resv:	must be zero
 */
struct saio_enter_arg {
	__u64	timeout_ns;
	__u64	resv;
};

#define SAIO_ENTER_ARG_SIZE_VER0	16

enum saio_register_op {
	/* struct saio_flow_reg: makes a flow of a connected TCP socket. */
	SAIO_REGISTER_FLOW,
	/* struct saio_flow_reg: gives a flow up; what it holds still leaves. */
	SAIO_UNREGISTER_FLOW,
	/* struct saio_ring_pool: attaches the ring to a pool. */
	SAIO_REGISTER_POOL,
	/* struct saio_restriction: takes from the ring what it need not do. */
	SAIO_REGISTER_RESTRICT,

	/* this goes last */
	SAIO_REGISTER_LAST
};

/**
 * struct saio_flow_reg - argument of SAIO_REGISTER_FLOW and _UNREGISTER_FLOW
 * @fd:		non-blocking TCP socket, connected; zero to unregister
 * @flags:	must be zero
 * @flow:	flow reference: out when registering, in when unregistering
 * @resv:	must be zero
 */
struct saio_flow_reg {
	__u32	fd;
	__u32	flags;
	__u32	flow;
	__u32	resv;
};

#define SAIO_FLOW_REG_SIZE_VER0	16

/* Bytes of a pool's name: letters, digits, '-', '_', '.', then zeros to the end. */
#define SAIO_POOL_NAME_LEN	32

/**
 * struct saio_ring_pool - argument of SAIO_REGISTER_POOL
 * @name:	pool; empty: "default"
 * @mode:	SAIO_MODE_*; with SAIO_MODE_INLINE the ring leaves its pool, and
 *		@name must be empty
 * @flags:	must be zero
 * @resv:	must be zero
 *
 * EACCES: the caller is neither in the group of the pool nor has CAP_SYS_ADMIN,
 * or the ring was restricted to no pool.
 */
struct saio_ring_pool {
	__u8	name[SAIO_POOL_NAME_LEN];
	__u32	mode;
	__u32	flags;
	__u64	resv;
};

#define SAIO_RING_POOL_SIZE_VER0	48

#define SAIO_RESTRICTION_WORDS	8

/**
 * struct saio_restriction - argument of SAIO_REGISTER_RESTRICT
 * @calls:	bit nr % 64 of word nr / 64: entries may name the system call nr
 * @flags:	SAIO_RESTRICT_* bits
 * @resv:	must be zero
 *
 * For the life of the ring.  What is asked for again takes away more, and gives
 * nothing back.  Entries with other calls fail with EACCES; if they are to send
 * bytes on a flow, the connection fails with them.
 */
struct saio_restriction {
	__u64	calls[SAIO_RESTRICTION_WORDS];
	__u32	flags;
	__u32	resv;
};

#define SAIO_RESTRICTION_SIZE_VER0	72

/* The ring is attached to no pool; EBUSY if it is now. */
#define SAIO_RESTRICT_NO_POOL	(1U << 0)

/* Commands of saio_pool(); all but those to look need CAP_SYS_ADMIN. */
enum saio_pool_cmd {
	/* struct saio_pool_attr: makes a pool, with defaults for what is not set. */
	SAIO_POOL_CREATE,
	/* struct saio_pool_attr: changes what @set names; it holds at once. */
	SAIO_POOL_SET,
	/* struct saio_pool_attr: reads the pool called @name. */
	SAIO_POOL_GET,
	/* struct saio_pool_attr: reads the first pool whose number is at least @id. */
	SAIO_POOL_NEXT,
	/* struct saio_pool_attr: removes a pool. */
	SAIO_POOL_REMOVE,
	/* struct saio_pool_stat: reads the counters of the pool called @name. */
	SAIO_POOL_STAT,

	/* this goes last */
	SAIO_POOL_LAST
};

/* Bits of @set: which attributes are given. */
#define SAIO_POOL_SET_WORKERS	(1U << 0)
#define SAIO_POOL_SET_MAX	(1U << 1)
#define SAIO_POOL_SET_IDLE	(1U << 2)
#define SAIO_POOL_SET_CPUS	(1U << 3)
#define SAIO_POOL_SET_GROUP	(1U << 4)

/* SAIO_POOL_REMOVE: rings that are attached go to the pool "default". */
#define SAIO_POOL_FORCE		(1U << 0)

/* @gid: everybody may attach. */
#define SAIO_POOL_ANYBODY	0xffffffffU

#define SAIO_POOL_MAX_THREADS	256
#define SAIO_POOL_MAX_IDLE_NS	1000000000U
#define SAIO_MAX_POOLS		256

/**
 * struct saio_pool_attr - argument of saio_pool()
 * @name:	of the pool; out for SAIO_POOL_NEXT
 * @id:		number of the pool, 1 and up, never used again; out, but for
 *		SAIO_POOL_NEXT also in
 * @set:	SAIO_POOL_SET_* bits when creating and setting, otherwise zero
 * @flags:	SAIO_POOL_FORCE when removing, otherwise zero
 * @workers:	threads that may be runnable at a time, 1 to @max; default 1
 * @max:	threads in all, up to SAIO_POOL_MAX_THREADS: one that waits for the
 *		disk is replaced meanwhile; default: twice @workers, and raised to
 *		@workers if only those are set
 * @gid:	group that may attach rings, or SAIO_POOL_ANYBODY; default 0
 * @idle_ns:	how long a thread looks for work before it sleeps, in
 *		nanoseconds, up to SAIO_POOL_MAX_IDLE_NS; default 200000
 * @cpus:	address of a bit mask of CPUs, as of sched_setaffinity(); default:
 *		all CPUs. When reading: where to store it, 0: nowhere
 * @cpus_len:	bytes at @cpus; when reading the rest is zeroed, and EINVAL if
 *		the mask does not fit
 * @rings:	out: rings that are attached
 * @resv:	must be zero
 *
 * Errors: EPERM without CAP_SYS_ADMIN; EINVAL for a bad name, an unknown bit, a
 * number out of its range, a mask without a CPU that is possible; ENOENT: no such
 * pool, or no more; EEXIST; ENOSPC: too many pools; EBUSY: the pool has rings, or
 * is "default", which cannot be removed; ENOMEM, EAGAIN: no thread.
 */
struct saio_pool_attr {
	__u8	name[SAIO_POOL_NAME_LEN];
	__u32	id;
	__u32	set;
	__u32	flags;
	__u32	workers;
	__u32	max;
	__u32	gid;
	__u64	idle_ns;
	__u64	cpus;
	__u32	cpus_len;
	__u32	rings;
	__u64	resv[2];
};

#define SAIO_POOL_ATTR_SIZE_VER0	96

/* Buckets of a histogram of nanoseconds: bucket i counts 2^i to 2^(i+1) - 1. */
#define SAIO_HIST_BUCKETS	32

/**
 * struct saio_pool_stat - argument of SAIO_POOL_STAT; everything since the pool
 * was made
 * @name:	in: of the pool
 * @id:		out: number of the pool
 * @threads:	threads there are
 * @runnable:	of these, awake and not held up
 * @resv:	must be zero
 * @entries:	entries that the threads have run
 * @bytes:	bytes that these entries have sent
 * @parks:	times that a flow had to wait for its peer
 * @steals:	times that a flow went on with another thread than before
 * @wakeups:	times that a thread was woken
 * @sleeps:	times that a thread went to sleep
 * @replaced:	times that a thread was held up in an entry and another woken
 * @run_ns:	time that threads had work, in nanoseconds
 * @spin_ns:	time that threads looked for work
 * @wait_hist:	how long operations waited in the kernel before they first ran
 */
struct saio_pool_stat {
	__u8	name[SAIO_POOL_NAME_LEN];
	__u32	id;
	__u32	threads;
	__u32	runnable;
	__u32	resv;
	__u64	entries;
	__u64	bytes;
	__u64	parks;
	__u64	steals;
	__u64	wakeups;
	__u64	sleeps;
	__u64	replaced;
	__u64	run_ns;
	__u64	spin_ns;
	__u64	wait_hist[SAIO_HIST_BUCKETS];
};

#define SAIO_POOL_STAT_SIZE_VER0	376

#endif /* _UAPI_LINUX_SAIO_H */
