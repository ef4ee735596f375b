// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: memory of a ring, charged to RLIMIT_MEMLOCK and the memory cgroup.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/vmalloc.h>
#include <linux/saio_glue.h>

/* As io_uring does it: for each user, and not at all with CAP_IPC_LOCK. */
static int saio_mem_charge(struct saio_mem *mem)
{
	unsigned long pages = mem->size >> PAGE_SHIFT;
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long old, new;

	if (capable(CAP_IPC_LOCK))
		return 0;

	mem->user = get_uid(current_user());
	old = atomic_long_read(&mem->user->locked_vm);
	do {
		new = old + pages;
		if (new > limit) {
			free_uid(mem->user);
			mem->user = NULL;
			return -ENOMEM;
		}
	} while (!atomic_long_try_cmpxchg(&mem->user->locked_vm,
					  (long *)&old, new));
	return 0;
}

static void saio_mem_uncharge(struct saio_mem *mem)
{
	if (!mem->user)
		return;
	atomic_long_sub(mem->size >> PAGE_SHIFT, &mem->user->locked_vm);
	free_uid(mem->user);
	mem->user = NULL;
}

int saio_mem_alloc(struct saio_mem *mem, unsigned long size)
{
	int err;

	mem->size = size;
	mem->orphans = saio_orphans_get();
	if (!mem->orphans)
		return -ENOMEM;
	err = saio_mem_charge(mem);
	if (err)
		goto out_orphans;

	mem->base = __vmalloc_node_range(size, SHMLBA, VMALLOC_START,
					 VMALLOC_END,
					 GFP_KERNEL_ACCOUNT | __GFP_ZERO |
					 __GFP_NOWARN,
					 PAGE_KERNEL, VM_USERMAP, NUMA_NO_NODE,
					 __builtin_return_address(0));
	if (!mem->base) {
		err = -ENOMEM;
		goto out_charge;
	}
	/* Kept, so that no other one gets its address. */
	mem->mm = current->mm;
	mmgrab(mem->mm);
	return 0;

out_charge:
	saio_mem_uncharge(mem);
out_orphans:
	saio_orphans_put(mem->orphans);
	return err;
}

void saio_mem_free(struct saio_mem *mem)
{
	vfree(mem->base);
	saio_mem_uncharge(mem);
	saio_orphans_put(mem->orphans);
	mmdrop(mem->mm);
}
