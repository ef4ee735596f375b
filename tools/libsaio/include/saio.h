/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * libsaio: system calls handed to the kernel in batches.
 *
 * docs/libsaio.md explains the model, examples/echo.c shows it at work.
 *
 * A ring belongs to the thread that opened it and may be used by that thread
 * only.  A forked child must not touch it, not even close it.
 *
 * Unless told otherwise, functions return 0 or a count if they succeed, and a
 * negated errno if not; the variable errno is left alone.  A pointer that must
 * not be NULL and is one gives -EINVAL.  Nothing here blocks but saio_submit()
 * and saio_wait().
 */
#ifndef SAIO_H
#define SAIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A ring with its arena, its flows, and what its entries hold. */
struct saio;

/**
 * struct saio_options - sizes of a ring; zero is the kernel's default
 * @sq_entries:	entries that can be queued at a time: a power of two up to
 *		4096; default 256
 * @cq_entries:	entries that can be under way at a time, queued ones and unread
 *		completions included: a power of two from @sq_entries to 16384;
 *		default twice @sq_entries
 * @flows:	flows that can be registered: up to 65536; default 1024
 * @arena_size:	bytes for what is sent: a multiple of 4096 up to 16 MiB;
 *		default 256 KiB
 * @flow_limit:	bytes that a flow may hold unsent: up to 4 MiB; default 256 KiB
 * @resv:	must be zero
 */
struct saio_options {
	uint32_t	sq_entries;
	uint32_t	cq_entries;
	uint32_t	flows;
	uint32_t	arena_size;
	uint32_t	flow_limit;
	uint32_t	resv[3];
};

/**
 * struct saio_completion - the end of an entry
 * @tag:	as the entry was called
 * @result:	what the system call returned: a value, or a negated errno
 *
 * Of entries of flows: the length when the bytes are in the socket's send
 * buffer; -ECANCELED if the flow had failed before, or the chain broke; any
 * other error is what made the flow fail.
 */
struct saio_completion {
	uint64_t	tag;
	int64_t		result;
};

/*
 * Flags of entries.
 */
/*
 * The next entry belongs to the same chain and runs only if this one succeeds;
 * otherwise it and what is linked behind it complete with -ECANCELED.
 */
#define SAIO_LINK	(1U << 0)
/* The next entry belongs to the same chain and runs whatever becomes of this. */
#define SAIO_HARDLINK	(1U << 1)
/* The completion is shown only if the entry fails. */
#define SAIO_QUIET	(1U << 2)
/*
 * More bytes follow soon, so a short segment need not leave by itself
 * (MSG_MORE).  For saio_send() and saio_sendv(), ignored elsewhere.
 */
#define SAIO_MORE	(1U << 3)

/*
 * Who runs the entries of flows, once the ring is attached to a pool; as in
 * linux/saio.h.
 */
/* The pool where that pays, otherwise this thread; the kernel decides. */
#define SAIO_MODE_AUTO		1
/* The pool. */
#define SAIO_MODE_POOL		2

/* The ring is attached to no pool. */
#define SAIO_RESTRICT_NO_POOL	(1U << 0)

/* What saio_flow_health() says. */
/* Bytes can be sent. */
#define SAIO_HEALTH_USABLE	0
/* Bytes wait for the peer: wait until the socket is writable. */
#define SAIO_HEALTH_FULL	1
/* The connection was reset; the socket has the error. */
#define SAIO_HEALTH_FAILED	2
/* The flow has ended, or a descriptor of its socket was closed. */
#define SAIO_HEALTH_GONE	3

/* Most bytes that one saio_send() or saio_sendv() accepts. */
#define SAIO_SEND_MAX		65536

/*
 * Rings
 */

/*
 * Whether the kernel has SAIO: 0, -ENOSYS if not, or another error if a filter
 * forbids it.
 */
int saio_probe(void);

/*
 * Makes a ring of the calling thread.  @options may be NULL.  On failure *ring
 * is NULL.
 *
 * A thread should keep its ring: the kernel's part of it lives as long as the
 * thread, which may have 16.
 *
 * -ENOSYS: no SAIO in this kernel.  -ENOMEM: no memory, or it would pass
 * RLIMIT_MEMLOCK.  -EINVAL: sizes out of their limits.  -EUSERS: the thread has
 * made 16 rings.  -EMFILE, -ENFILE.
 */
int saio_ring_open(struct saio **ring, const struct saio_options *options);

/*
 * Closes a ring.  What was accepted for flows leaves.  Ordinary calls that were
 * not submitted do not run; only if entries of flows stand in chains that were
 * not submitted, everything is submitted.  Afterwards no memory is used any
 * more.  NULL is ignored.
 */
void saio_ring_close(struct saio *ring);

/*
 * Attaches the ring to a pool of kernel threads that run the entries of flows.
 * @pool may be NULL: "default".  @mode is SAIO_MODE_*.  Other entries are run by
 * this thread as before; those of flows may overtake them, unless they are in
 * one chain.
 *
 * -ENOENT: no such pool.  -EACCES: not in its group.  -EINVAL: a bad name or
 * mode, or a kernel without pools.  -ENOSPC, -ENOMEM, -EAGAIN.
 */
int saio_pool_attach(struct saio *ring, const char *pool, unsigned int mode);

/*
 * Takes from the ring what it can do without, for good: entries may name the @n
 * numbers (SYS_...) in @calls only; NULL: all.  With SAIO_RESTRICT_NO_POOL in
 * @flags the ring is attached to no pool.  Other entries fail with EACCES, and if
 * they are to send on a flow, its connection fails with them.  What is asked for
 * again takes away more, and gives nothing back.
 *
 * -EBUSY: it is to have no pool, and has one.  -EINVAL: unknown flags, or a kernel
 * without restrictions.
 */
int saio_restrict(struct saio *ring, const long *calls, size_t n,
		  unsigned int flags);

/*
 * Flows
 */

/*
 * Makes a flow of the connected, non-blocking TCP socket @fd and writes its
 * reference to *flow.  It ends when it is unregistered, or when the last
 * descriptor of the socket is closed.  From now on send on the flow: while bytes
 * of it wait, other writes to the socket get EAGAIN.
 *
 * -EOPNOTSUPP: not a TCP socket.  -ENOTCONN: not connected.  -EWOULDBLOCK: it is
 * blocking.  -EEXIST: it has a flow already.  -ENOSPC: all flows are in use.
 * -EBADF, -ENOTSOCK, -ENOMEM, -ENFILE, -EPERM (not the thread of the ring).
 */
int saio_flow_register(struct saio *ring, int fd, uint32_t *flow);

/*
 * Gives a flow up.  What it holds still leaves.
 *
 * -EBADF: it is not registered any more.  -EBUSY: entries in a chain name it:
 * submit first.
 */
int saio_flow_unregister(struct saio *ring, uint32_t flow);

/* SAIO_HEALTH_*, without a system call. */
int saio_flow_health(const struct saio *ring, uint32_t flow);

/*
 * Entries of flows.  They run in order; @tag comes back with the completion.
 *
 * -EBADF: the flow has ended, or a descriptor of its socket was closed.
 * -ECONNABORTED: it has failed; the socket has the error.  -ENOBUFS: arena or
 * entries are used up, or the flow holds flow_limit bytes: submit and take
 * completions, then try again; if that does not help, write to the socket: the
 * kernel keeps the order (EAGAIN, and writable when it is this one's turn).
 * -EAGAIN (bytes and files only): bytes wait for the peer; the socket becomes
 * writable when they have left.  -EINVAL: unknown flag, or both links.
 */

/*
 * Sends bytes.  They are copied.  Returns how many were accepted, at most
 * SAIO_SEND_MAX; as with write() the rest is for another call.  What was accepted
 * leaves in order, or the connection is reset.
 */
ssize_t saio_send(struct saio *ring, uint32_t flow, const void *buf, size_t len,
		  unsigned int flags, uint64_t tag);

/* As saio_send(), with the bytes of @n buffers, at most 1024. */
ssize_t saio_sendv(struct saio *ring, uint32_t flow, const struct iovec *iov,
		   int n, unsigned int flags, uint64_t tag);

/*
 * Sends @len bytes of the regular file @fd from position @offset on.  They are
 * promised now: if the file turns out to be shorter, or is none that can be
 * read, the connection is reset.  @fd may be closed when the entry has run; the
 * kernel also lets it be closed before, unless the entry stands in a chain.
 */
int saio_sendfile(struct saio *ring, uint32_t flow, int fd, uint64_t offset,
		  uint64_t len, unsigned int flags, uint64_t tag);

/*
 * Sets an option behind what was queued before: TCP_NODELAY, TCP_CORK,
 * TCP_QUICKACK, TCP_NOTSENT_LOWAT, TCP_USER_TIMEOUT; SO_SNDBUF, SO_KEEPALIVE,
 * SO_PRIORITY, SO_LINGER.  @len is 1 to 16; the value is copied.
 */
int saio_setsockopt(struct saio *ring, uint32_t flow, int level, int name,
		    const void *value, size_t len, unsigned int flags,
		    uint64_t tag);

/* shutdown() behind what was queued before. */
int saio_shutdown(struct saio *ring, uint32_t flow, int how, unsigned int flags,
		  uint64_t tag);

/*
 * Ordinary calls
 */

/*
 * Queues the system call @nr (SYS_*).  It is run by this thread in
 * saio_submit() or saio_wait().  What pointers among @args point to must be good
 * until the completion was taken or the ring is closed:
 *
 *	saio_call(ring, SYS_read, (uint64_t[6]){ fd, (uintptr_t)buf, n }, 0, tag);
 *
 * The kernel refuses some calls in a batch: -EOPNOTSUPP in the completion.
 *
 * -ENOBUFS: entries are used up: submit and take completions, then try again.
 * -ENOSYS: @nr is no call.  -EINVAL: unknown flag, or both links.
 */
int saio_call(struct saio *ring, unsigned int nr, const uint64_t args[6],
	      unsigned int flags, uint64_t tag);

/*
 * As saio_call(), with argument @arg, 0 to 5, replaced by the result of the
 * entry @back places before this one in the chain, 1 to 8.  If that failed, this
 * one completes with -ECANCELED.
 */
int saio_call_result(struct saio *ring, unsigned int nr, const uint64_t args[6],
		     unsigned int arg, unsigned int back, unsigned int flags,
		     uint64_t tag);

/*
 * Running and waiting
 */

/*
 * How many entries can be queued now.  Ask before queueing a chain: one that
 * does not fit as a whole falls apart.
 */
int saio_room(struct saio *ring);

/*
 * Has everything that is queued run, or with a pool handed to it.  Ordinary
 * calls have run when it returns, also those that wait; what is sent may still
 * wait for the peer.  A chain ends here.  Returns how many entries it took.
 *
 * Nothing was taken: -EINTR (a signal came), -ENOMEM, -EBADFD (the thread has
 * called execve), -EPERM (not the thread of the ring).  What was not taken stays
 * queued.
 */
int saio_submit(struct saio *ring);

/*
 * As saio_submit(), and then waits until @n completions can be taken, quiet ones
 * included, or @timeout_ns nanoseconds have passed; negative: no limit.
 *
 * If nothing was taken also -ETIME, -EINTR, -EDEADLK (nothing is under way that
 * could complete), -EINVAL (@n is above cq_entries).  If something was, look at
 * the completions.
 */
int saio_wait(struct saio *ring, unsigned int n, int64_t timeout_ns);

/*
 * Takes the oldest completion, without a system call: 1, or 0 if there is none.
 * Take them always: that is what makes room for entries and in the arena.
 */
int saio_next_completion(struct saio *ring, struct saio_completion *completion);

/*
 * The bare system calls, which linux/saio.h and docs/abi.md describe.  They
 * return what the kernel does, and set errno no more than the rest.
 */
struct saio_params;
struct saio_enter_arg;

int saio_sys_setup(struct saio_params *params, size_t size);
int saio_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
		   uint32_t flags, struct saio_enter_arg *arg, size_t size);
int saio_sys_register(int fd, uint32_t op, void *arg, size_t size);
int saio_sys_pool(uint32_t cmd, void *attr, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* SAIO_H */
