// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: threads of pools, as far as they need what has no Rust abstraction yet:
 * making them, putting them on CPUs, letting them sleep, and being told when one
 * is held up.
 */
#include <linux/capability.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/sched/clock.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/saio.h>
#include <linux/saio_glue.h>

/* Changing a mask and using it; a mask is only read under this lock. */
static DEFINE_SPINLOCK(saio_cpus_lock);

int saio_threads_init(struct saio_threads *threads)
{
	init_waitqueue_head(&threads->sleepers);
	threads->calls = 0;
	threads->cpus = kmalloc(cpumask_size(), GFP_KERNEL_ACCOUNT);
	if (!threads->cpus)
		return -ENOMEM;
	cpumask_copy(threads->cpus, cpu_possible_mask);
	return 0;
}

void saio_threads_free(struct saio_threads *threads)
{
	kfree(threads->cpus);
}

static int saio_thread_main(void *data)
{
	struct saio_thread *thread = data;
	int ret;

	current->flags |= PF_SAIO_WORKER;
	ret = saio_rs_thread(thread);
	current->flags &= ~PF_SAIO_WORKER;
	saio_rs_thread_drop(thread);
	return ret;
}

/**
 * saio_thread_start - make a thread of a pool
 * @thread: what it is to know of itself; it drops that when it ends
 * @threads: of its pool
 * @name: of the pool
 * @number: of the thread
 *
 * Return: the task, with a reference, or an error pointer.
 */
struct task_struct *saio_thread_start(struct saio_thread *thread,
				      struct saio_threads *threads,
				      const u8 *name, u32 number)
{
	struct task_struct *task;

	task = kthread_create(saio_thread_main, thread, "saio/%.6s-%u", name,
			      number);
	if (IS_ERR(task))
		return task;
	get_task_struct(task);
	thread->task = task;
	saio_thread_set_cpus(task, threads);
	wake_up_process(task);
	return task;
}

/*
 * Sleeps until somebody wants one more thread of the pool. Who slept last is woken
 * first: its cache is warm, and the others are spares.
 */
void saio_thread_wait(struct saio_threads *threads)
{
	DEFINE_WAIT(wait);

	spin_lock_irq(&threads->sleepers.lock);
	while (!threads->calls) {
		/* Off the queue again if it was woken. */
		if (list_empty(&wait.entry))
			__add_wait_queue_exclusive(&threads->sleepers, &wait);
		__set_current_state(TASK_IDLE);
		spin_unlock_irq(&threads->sleepers.lock);
		schedule();
		spin_lock_irq(&threads->sleepers.lock);
	}
	threads->calls--;
	if (!list_empty(&wait.entry))
		__remove_wait_queue(&threads->sleepers, &wait);
	spin_unlock_irq(&threads->sleepers.lock);
	__set_current_state(TASK_RUNNING);
}

/* In any context. */
void saio_threads_wake(struct saio_threads *threads)
{
	unsigned long irq;

	spin_lock_irqsave(&threads->sleepers.lock, irq);
	threads->calls++;
	wake_up_locked(&threads->sleepers);
	spin_unlock_irqrestore(&threads->sleepers.lock, irq);
}

/*
 * Not kthread_bind(): masks change while threads run, and cpusets hold. If no
 * CPU of the mask is online the threads go where they can until one is.
 */
void saio_thread_set_cpus(struct task_struct *task,
			  struct saio_threads *threads)
{
	cpumask_var_t cpus;

	if (!alloc_cpumask_var(&cpus, GFP_KERNEL))
		return;
	spin_lock(&saio_cpus_lock);
	cpumask_copy(cpus, threads->cpus);
	spin_unlock(&saio_cpus_lock);
	if (!cpumask_intersects(cpus, cpu_online_mask))
		cpumask_copy(cpus, cpu_possible_mask);
	set_cpus_allowed_ptr(task, cpus);
	free_cpumask_var(cpus);
}

/* Whether a CPU of the pool has nothing to do. */
bool saio_threads_idle_cpu(struct saio_threads *threads)
{
	bool found = false;
	unsigned int cpu;

	spin_lock(&saio_cpus_lock);
	for_each_cpu_and(cpu, threads->cpus, cpu_online_mask) {
		if (available_idle_cpu(cpu)) {
			found = true;
			break;
		}
	}
	spin_unlock(&saio_cpus_lock);
	return found;
}

/* The mask that user space gives, or NULL and why. */
struct cpumask *saio_cpus_read(const struct saio_pool_attr *attr, int *err)
{
	size_t len = min_t(size_t, attr->cpus_len, cpumask_size());
	struct cpumask *cpus = kzalloc(cpumask_size(), GFP_KERNEL_ACCOUNT);

	*err = -ENOMEM;
	if (!cpus)
		return NULL;
	*err = -EFAULT;
	if (copy_from_user(cpus, u64_to_user_ptr(attr->cpus), len))
		goto out;
	*err = -EINVAL;
	cpumask_and(cpus, cpus, cpu_possible_mask);
	if (!cpumask_empty(cpus))
		return cpus;
out:
	kfree(cpus);
	return NULL;
}

void saio_cpus_free(struct cpumask *cpus)
{
	kfree(cpus);
}

/* Takes @cpus over. */
void saio_threads_swap_cpus(struct saio_threads *threads, struct cpumask *cpus)
{
	spin_lock(&saio_cpus_lock);
	swap(threads->cpus, cpus);
	spin_unlock(&saio_cpus_lock);
	kfree(cpus);
}

/* Stores the mask where @attr says. */
int saio_threads_get_cpus(struct saio_threads *threads,
			  struct saio_pool_attr *attr)
{
	size_t bytes = BITS_TO_BYTES(nr_cpu_ids);
	cpumask_var_t cpus;
	int err = 0;

	if (!attr->cpus)
		return 0;
	if (attr->cpus_len < bytes || attr->cpus_len > PAGE_SIZE)
		return -EINVAL;
	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	spin_lock(&saio_cpus_lock);
	cpumask_copy(cpus, threads->cpus);
	spin_unlock(&saio_cpus_lock);
	if (copy_to_user(u64_to_user_ptr(attr->cpus), cpumask_bits(cpus), bytes) ||
	    clear_user(u64_to_user_ptr(attr->cpus) + bytes, attr->cpus_len - bytes))
		err = -EFAULT;
	free_cpumask_var(cpus);
	return err;
}

/* Whether others want the CPU on which the current thread only looks for work. */
bool saio_cpu_wanted(void)
{
	return !single_task_running();
}

void saio_cpu_relax(void)
{
	cpu_relax();
}

void saio_resched(void)
{
	cond_resched();
}

/* Nanoseconds, for differences on one CPU or so. */
u64 saio_clock(void)
{
	return local_clock();
}

bool saio_in_group(u32 gid)
{
	return in_egroup_p(make_kgid(&init_user_ns, gid));
}

bool saio_admin(void)
{
	return capable(CAP_SYS_ADMIN);
}

/*
 * The hooks in the scheduler. A thread that looks for work sleeps because it wants
 * to; one that runs an entry is held up, and another may take its place.
 */
void saio_worker_sleeping(struct task_struct *tsk)
{
	struct saio_thread *thread = kthread_data(tsk);

	if (!thread->busy || thread->held_up)
		return;
	thread->held_up = true;
	saio_rs_pool_held_up(thread->pool);
}

void saio_worker_running(struct task_struct *tsk)
{
	struct saio_thread *thread = kthread_data(tsk);

	if (!thread->held_up)
		return;
	thread->held_up = false;
	saio_rs_pool_goes_on(thread->pool);
}

/* Threads that had to leave their CPUs when those went come back. */
static int saio_cpu_online(unsigned int cpu)
{
	saio_rs_pools_set_cpus();
	return 0;
}

static int __init saio_thread_init(void)
{
	int ret = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "saio:online",
					    saio_cpu_online, NULL);

	return ret < 0 ? ret : 0;
}
late_initcall(saio_thread_init);
