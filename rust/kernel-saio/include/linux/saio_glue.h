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

#include <linux/refcount.h>
#include <linux/socket.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/saio.h>

struct cred;
struct file;
struct mm_struct;
struct socket;
struct task_struct;
struct user_struct;

/**
 * struct saio_mem - memory of a ring; stands first in the Rust object Ring
 * @base: kernel address, in vmalloc space
 * @size: bytes, whole pages
 * @uaddr: where the owner has mapped it, 0 if it has not; only a hint
 * @user: whose RLIMIT_MEMLOCK is charged, NULL if nobody's
 * @mm: who may map it; only compared
 * @mapped: whether it was mapped, which is allowed once
 */
struct saio_mem {
	void *base;
	unsigned long size;
	unsigned long uaddr;
	struct user_struct *user;
	struct mm_struct *mm;
	int mapped;
};

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
	struct wait_queue_entry wait;
	struct delayed_work work;
	struct work_struct close;
	wait_queue_head_t drained;
	struct rcu_head rcu;
};

int saio_sock_attach(struct saio_sock *ss, unsigned int fd);
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
bool saio_sock_test(struct saio_sock *ss, unsigned int bit);
void saio_sock_set(struct saio_sock *ss, unsigned int bit, bool on);

struct file *saio_file_get(unsigned int fd, loff_t pos, size_t len, int *err);
void saio_file_put(struct file *file);
const struct cred *saio_cred_get(void);
void saio_cred_put(const struct cred *cred);
const struct cred *saio_cred_override(const struct cred *cred);
void saio_cred_revert(const struct cred *old);

long saio_call(unsigned int nr, const u64 *args);
bool saio_filtered(void);
int saio_seccomp(unsigned int nr, const u64 *args, long *result);
void saio_die(void);
bool saio_interrupted(void);
struct task_struct *saio_current(void);
void *saio_current_rings(void);
void saio_set_current_rings(void *rings);
unsigned long saio_jiffies(void);
unsigned long saio_nsecs_to_jiffies(u64 ns);

void *saio_rs_setup(struct saio_params *params);
void saio_rs_setup_undo(void *ring);
void saio_rs_ring_put(void *ring);
long saio_rs_enter(void *ring, u32 to_submit, u32 min_complete, u64 timeout_ns,
		   bool *die);
long saio_rs_register(void *ring, u32 op, struct saio_flow_reg *reg);
void saio_rs_task_end(void *rings);
void saio_rs_hand_over(void);
bool saio_rs_flow_busy(struct saio_sock *ss);
void saio_rs_flow_work(struct saio_sock *ss);
bool saio_rs_flow_closed(struct saio_sock *ss);
void saio_rs_flow_stale(struct saio_sock *ss);
int saio_rs_flow_shutdown(struct saio_sock *ss, int how);
void saio_rs_flow_drop(struct saio_sock *ss);

#endif /* _LINUX_SAIO_GLUE_H */
