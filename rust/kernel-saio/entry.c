// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: system call entry points, the file of a ring, and the hooks of a task.
 *
 * Everything here checks and copies what user space gave, and calls Rust.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/syscalls.h>
#include <linux/vmalloc.h>
#include <linux/saio.h>
#include <linux/saio_glue.h>

static int saio_ring_release(struct inode *inode, struct file *file)
{
	saio_rs_ring_put(file->private_data);
	return 0;
}

static int saio_ring_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct saio_mem *mem = file->private_data;
	int err;

	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != mem->size)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || (vma->vm_flags & VM_EXEC))
		return -EINVAL;
	if (current->mm != mem->mm)
		return -EPERM;
	if (xchg(&mem->mapped, 1))
		return -EBUSY;

	/* A forked child must not write to the queue of its parent. */
	vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYEXEC);
	err = remap_vmalloc_range(vma, mem->base, 0);
	if (err) {
		WRITE_ONCE(mem->mapped, 0);
		return err;
	}
	WRITE_ONCE(mem->uaddr, vma->vm_start);
	return 0;
}

static const struct file_operations saio_ring_fops = {
	.owner		= THIS_MODULE,
	.release	= saio_ring_release,
	.mmap		= saio_ring_mmap,
#ifdef CONFIG_PROC_FS
	.show_fdinfo	= saio_show_fdinfo,
#endif
	.llseek		= noop_llseek,
};

bool saio_is_ring(const struct file *file)
{
	return file->f_op == &saio_ring_fops;
}

SYSCALL_DEFINE2(saio_setup, struct saio_params __user *, uparams, size_t, size)
{
	struct saio_params params;
	struct file *file;
	void *ring;
	int fd, err;

	BUILD_BUG_ON(sizeof(struct saio_params) != SAIO_PARAMS_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct saio_sqe) != 64);
	BUILD_BUG_ON(__NR_saio_setup != 1000 || __NR_saio_pool != 1003);

	if (in_compat_syscall())
		return -ENOSYS;
	if (size < SAIO_PARAMS_SIZE_VER0)
		return -EINVAL;
	err = copy_struct_from_user(&params, sizeof(params), uparams, size);
	if (err)
		return err;

	if (!saio_allowed())
		return -EPERM;

	ring = saio_rs_setup(&params);
	if (IS_ERR(ring))
		return PTR_ERR(ring);

	fd = get_unused_fd_flags(O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto err_ring;
	}
	/* On success the file has the reference to the ring. */
	file = anon_inode_getfile("[saio]", &saio_ring_fops, ring,
				  O_RDWR | O_CLOEXEC);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_fd;
	}
	if (copy_to_user(uparams, &params, sizeof(params))) {
		saio_rs_setup_undo(ring);
		fput(file);
		put_unused_fd(fd);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;

err_fd:
	put_unused_fd(fd);
err_ring:
	saio_rs_setup_undo(ring);
	saio_rs_ring_put(ring);
	return err;
}

SYSCALL_DEFINE6(saio_enter, unsigned int, fd, u32, to_submit, u32, min_complete,
		u32, flags, struct saio_enter_arg __user *, uarg, size_t, size)
{
	struct saio_enter_arg arg = {};
	bool die = false;
	long ret;

	BUILD_BUG_ON(sizeof(arg) != SAIO_ENTER_ARG_SIZE_VER0);

	if (in_compat_syscall())
		return -ENOSYS;
	if (unlikely(flags & ~SAIO_ENTER_WAKEUP))
		return -EINVAL;
	if (uarg) {
		if (size < SAIO_ENTER_ARG_SIZE_VER0)
			return -EINVAL;
		ret = copy_struct_from_user(&arg, sizeof(arg), uarg, size);
		if (ret)
			return ret;
		if (arg.resv)
			return -EINVAL;
	} else if (size) {
		return -EINVAL;
	}

	{
		CLASS(fd, f)(fd);

		if (fd_empty(f))
			return -EBADF;
		if (!saio_is_ring(fd_file(f)))
			return -EOPNOTSUPP;
		/*
		 * An entry may close this very descriptor: the ring is alive
		 * nevertheless, since its owner, the current task, has a
		 * reference to it until it exits.
		 */
		ret = saio_rs_enter(fd_file(f)->private_data, to_submit,
				    min_complete, flags, arg.timeout_ns, &die);
	}
	if (unlikely(die))
		do_exit(SIGSYS);
	return ret;
}

static long saio_register_flow(void *ring, u32 op, void __user *uarg,
			       size_t size)
{
	struct saio_flow_reg reg;
	long ret;

	BUILD_BUG_ON(sizeof(reg) != SAIO_FLOW_REG_SIZE_VER0);

	if (size < SAIO_FLOW_REG_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&reg, sizeof(reg), uarg, size);
	if (ret)
		return ret;
	ret = saio_rs_register(ring, op, &reg);
	if (!ret && op == SAIO_REGISTER_FLOW &&
	    copy_to_user(uarg, &reg, sizeof(reg))) {
		reg.fd = 0;
		saio_rs_register(ring, SAIO_UNREGISTER_FLOW, &reg);
		ret = -EFAULT;
	}
	return ret;
}

static long saio_register_pool(void *ring, void __user *uarg, size_t size)
{
	struct saio_ring_pool attach;
	long ret;

	BUILD_BUG_ON(sizeof(attach) != SAIO_RING_POOL_SIZE_VER0);

	if (size < SAIO_RING_POOL_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&attach, sizeof(attach), uarg, size);
	if (ret)
		return ret;
	return saio_rs_attach(ring, &attach);
}

static long saio_register_restrict(void *ring, void __user *uarg, size_t size)
{
	struct saio_restriction restriction;
	long ret;

	BUILD_BUG_ON(sizeof(restriction) != SAIO_RESTRICTION_SIZE_VER0);

	if (size < SAIO_RESTRICTION_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&restriction, sizeof(restriction), uarg,
				    size);
	if (ret)
		return ret;
	return saio_rs_restrict(ring, &restriction);
}

SYSCALL_DEFINE4(saio_register, unsigned int, fd, u32, op, void __user *, uarg,
		size_t, size)
{
	if (in_compat_syscall())
		return -ENOSYS;
	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	if (!saio_is_ring(fd_file(f)))
		return -EOPNOTSUPP;
	switch (op) {
	case SAIO_REGISTER_FLOW:
	case SAIO_UNREGISTER_FLOW:
		return saio_register_flow(fd_file(f)->private_data, op, uarg,
					  size);
	case SAIO_REGISTER_POOL:
		return saio_register_pool(fd_file(f)->private_data, uarg, size);
	case SAIO_REGISTER_RESTRICT:
		return saio_register_restrict(fd_file(f)->private_data, uarg,
					      size);
	default:
		return -EINVAL;
	}
}

static long saio_pool_read_stat(void __user *uattr, size_t size)
{
	struct saio_pool_stat stat;
	long ret;

	BUILD_BUG_ON(sizeof(stat) != SAIO_POOL_STAT_SIZE_VER0);

	if (size < SAIO_POOL_STAT_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&stat, sizeof(stat), uattr, size);
	if (ret)
		return ret;
	ret = saio_rs_pool_stat(&stat);
	if (!ret && copy_to_user(uattr, &stat, sizeof(stat)))
		ret = -EFAULT;
	return ret;
}

SYSCALL_DEFINE3(saio_pool, u32, cmd, void __user *, uattr, size_t, size)
{
	bool changes = cmd == SAIO_POOL_CREATE || cmd == SAIO_POOL_SET ||
		       cmd == SAIO_POOL_REMOVE;
	struct cpumask *cpus = NULL;
	struct saio_pool_attr attr;
	long ret;
	int err;

	BUILD_BUG_ON(sizeof(attr) != SAIO_POOL_ATTR_SIZE_VER0);

	if (in_compat_syscall())
		return -ENOSYS;
	if (cmd >= SAIO_POOL_LAST)
		return -EINVAL;
	if (changes && !saio_admin())
		return -EPERM;
	if (cmd == SAIO_POOL_CREATE && !saio_allowed())
		return -EPERM;
	if (cmd == SAIO_POOL_STAT)
		return saio_pool_read_stat(uattr, size);

	if (size < SAIO_POOL_ATTR_SIZE_VER0)
		return -EINVAL;
	ret = copy_struct_from_user(&attr, sizeof(attr), uattr, size);
	if (ret)
		return ret;
	if (changes && attr.set & SAIO_POOL_SET_CPUS) {
		cpus = saio_cpus_read(&attr, &err);
		if (!cpus)
			return err;
	}
	ret = saio_rs_pool(cmd, &attr, &cpus);
	if (!ret && cmd != SAIO_POOL_REMOVE &&
	    copy_to_user(uattr, &attr, sizeof(attr)))
		ret = -EFAULT;
	return ret;
}

void __saio_task_exit(void)
{
	void *rings = current->saio;

	/* No hook is to find the rings while they are torn down. */
	current->saio = NULL;
	saio_rs_task_end(rings);
}

void __saio_task_exec(void)
{
	__saio_task_exit();
	/*
	 * The filter may have wanted this thread to end on the way; the process
	 * goes, since nobody up the stack can exit alone. Another signal could
	 * be caught, or held back by a tracer, once the new program has
	 * handlers of its own.
	 */
	if (current->seccomp.mode > SECCOMP_MODE_FILTER)
		force_fatal_sig(SIGKILL);
}

void __saio_fd_leaves(void)
{
	saio_rs_hand_over();
}
