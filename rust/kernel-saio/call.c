// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: running a system call by number, and the questions asked about the
 * current task around it.
 */
#include <linux/audit.h>
#include <linux/cred.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/seccomp.h>
#include <linux/task_work.h>
#include <linux/saio_glue.h>
#include <asm/syscall.h>

/* Whether audit rules want to know of entries, in saio_enter() and not in a hook. */
bool saio_audited(void)
{
	return unlikely(!audit_dummy_context()) &&
	       task_pt_regs(current)->orig_ax == __NR_saio_enter;
}

/*
 * A task has one record at a time. That of saio_enter() ends here, without a
 * result, and goes on in another one.
 */
static void saio_audit_entry(unsigned int nr, struct pt_regs *regs)
{
	regs->ax = 0;
	audit_syscall_exit(regs);
	audit_syscall_entry(nr, regs->di, regs->si, regs->dx, regs->r10);
}

static void saio_audit_exit(struct pt_regs *regs, long ret)
{
	struct pt_regs *own = task_pt_regs(current);

	regs->ax = ret;
	audit_syscall_exit(regs);
	audit_syscall_entry(own->orig_ax, own->di, own->si, own->dx, own->r10);
}

/**
 * saio_audit - tell audit of an entry that runs by itself, on a flow
 * @nr: number
 * @args: the six arguments, as a filter sees them
 *
 * Only if saio_audited(). The record says that it was taken: what becomes of it is
 * not known yet.
 */
void saio_audit(unsigned int nr, const u64 *args)
{
	struct pt_regs regs = {
		.di = args[0], .si = args[1], .dx = args[2], .r10 = args[3],
	};

	saio_audit_entry(nr, &regs);
	saio_audit_exit(&regs, 0);
}

/**
 * saio_call - run a system call for the current task
 * @nr: number, which the policy table has allowed
 * @regs: with the registers of its arguments, and nothing else
 *
 * Calls that look at the registers of the current task are excluded by the policy
 * table. What earlier entries have put off to the return to user space, the last
 * fput() of a closed file say, is done first, as it would have been done between
 * two system calls.
 *
 * Return: the result; restart codes are EINTR, since nobody could restart it.
 */
long saio_call(unsigned int nr, struct pt_regs *regs)
{
	long ret;

	if (unlikely(nr >= NR_syscalls))
		return -ENOSYS;
	nr = array_index_nospec(nr, NR_syscalls);

	if (unlikely(task_work_pending(current)))
		task_work_run();

	regs->orig_ax = nr;
	if (unlikely(saio_audited())) {
		saio_audit_entry(nr, regs);
		ret = x64_sys_call(regs, nr);
		saio_audit_exit(regs, ret);
	} else {
		ret = x64_sys_call(regs, nr);
	}
	if (likely(ret >= 0))
		return ret;

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

/* Whether the filter or audit may want to see the entries of the current task. */
bool saio_watched(void)
{
	return test_syscall_work(SECCOMP) || !audit_dummy_context();
}

/* Whether the current task has a filter whose answer depends on arguments. */
bool saio_filter_looks(int nr)
{
	return test_syscall_work(SECCOMP) &&
	       !seccomp_always_allows(current, &nr, 1);
}

/*
 * Whether another task may make all of these calls without its filters being
 * asked, or audit being told.
 */
bool saio_allows(struct task_struct *task, const int *nrs, size_t n)
{
#ifdef CONFIG_AUDITSYSCALL
	if (unlikely(test_task_syscall_work(task, SYSCALL_AUDIT)) &&
	    READ_ONCE(audit_n_rules))
		return false;
#endif
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
	force_exit_sig(SIGSYS);
}

/* For a thread that ends: a signal of its own would end with it. */
void saio_kill(void)
{
	do_send_sig_info(SIGKILL, SEND_SIG_PRIV, current, PIDTYPE_TGID);
}

/*
 * Whether something has to be looked at before the current task makes another call:
 * a signal, a task that waits for the CPU, the filter.
 */
bool saio_attention(void)
{
	return read_thread_flags() & (_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL |
				      _TIF_NEED_RESCHED) ||
	       test_syscall_work(SECCOMP);
}

/*
 * A batch is as long as its owner wants: others get the CPU where they would have
 * got it between two system calls. Whether there is a signal.
 */
bool saio_between_calls(void)
{
	cond_resched();
	return signal_pending(current);
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
