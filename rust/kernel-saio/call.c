// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: running a system call by number, and the questions asked about the
 * current task around it.
 */
#include <linux/cred.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seccomp.h>
#include <linux/task_work.h>
#include <linux/saio_glue.h>
#include <asm/syscall.h>

/**
 * saio_call - run a system call for the current task
 * @nr: number, which the policy table has allowed
 * @args: the six arguments
 *
 * The registers are built on the stack: calls that look at those of the current
 * task are excluded by the policy table. What earlier entries have put off to the
 * return to user space, the last fput() of a closed file say, is done first, as it
 * would have been done between two system calls.
 *
 * Return: the result; restart codes are EINTR, since nobody could restart it.
 */
long saio_call(unsigned int nr, const u64 *args)
{
	struct pt_regs regs __uninitialized;
	long ret;

	if (unlikely(nr >= NR_syscalls))
		return -ENOSYS;
	nr = array_index_nospec(nr, NR_syscalls);

	if (unlikely(task_work_pending(current)))
		task_work_run();

	regs.orig_ax = nr;
	regs.di = args[0];
	regs.si = args[1];
	regs.dx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	ret = x64_sys_call(&regs, nr);

	switch (ret) {
	case -ERESTART_RESTARTBLOCK:
		current->restart_block.fn = do_no_restart_syscall;
		fallthrough;
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
		return -EINTR;
	}
	return ret;
}

bool saio_filtered(void)
{
	return test_syscall_work(SECCOMP);
}

/* Whether another task may make all of these calls without its filters being asked. */
bool saio_allows(struct task_struct *task, const int *nrs, size_t n)
{
	return likely(!test_task_syscall_work(task, SECCOMP)) ||
	       seccomp_always_allows(task, nrs, n);
}

/* As seccomp_check_entry(). */
int saio_seccomp(unsigned int nr, const u64 *args, long *result)
{
	if (likely(!test_syscall_work(SECCOMP)))
		return 0;
	return seccomp_check_entry(nr, args, result);
}

/*
 * The filter wants the current thread to end, in the middle of a hook that cannot
 * do_exit(). The whole process goes: more than was asked for, but nothing less.
 */
void saio_die(void)
{
	force_fatal_sig(SIGSYS);
}

/* Whether the current task should go back to user space soon. */
bool saio_interrupted(void)
{
	return signal_pending(current);
}

struct task_struct *saio_current(void)
{
	return current;
}

struct task_struct *saio_task_get_current(void)
{
	return get_task_struct(current);
}

void saio_task_put(struct task_struct *task)
{
	put_task_struct(task);
}

void *saio_current_rings(void)
{
	return current->saio;
}

void saio_set_current_rings(void *rings)
{
	current->saio = rings;
}

unsigned long saio_jiffies(void)
{
	return jiffies;
}

unsigned long saio_nsecs_to_jiffies(u64 ns)
{
	return nsecs_to_jiffies(ns) + 1;
}

const struct cred *saio_cred_get(void)
{
	return get_current_cred();
}

/* The credentials that a task has now. */
const struct cred *saio_cred_get_of(struct task_struct *task)
{
	return get_task_cred(task);
}

void saio_cred_put(const struct cred *cred)
{
	put_cred(cred);
}

const struct cred *saio_cred_override(const struct cred *cred)
{
	return override_creds(cred);
}

void saio_cred_revert(const struct cred *old)
{
	revert_creds(old);
}
