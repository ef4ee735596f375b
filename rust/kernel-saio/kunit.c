// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: what its KUnit tests, which are written in Rust, need of C.
 */
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/net.h>
#include <linux/socket.h>
#include <linux/syscalls.h>
#include <linux/saio.h>
#include <linux/saio_glue.h>
#include <asm/syscall.h>
#include <net/sock.h>
#include <net/inet_sock.h>

/* An address space for the running case, with one page in it; 0: no memory. */
unsigned long saio_test_user_page(void)
{
	return kunit_vm_mmap(kunit_get_current_test(), NULL, 0, PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
}

/* Whether this kernel's table has a call of that number. */
bool saio_test_has_call(unsigned int nr)
{
	return nr < NR_syscalls &&
	       sys_call_table[nr] != __x64_sys_ni_syscall;
}

/* The flags of what the current task has mapped at @addr; 0: nothing. */
unsigned long saio_test_vm_flags(unsigned long addr)
{
	struct vm_area_struct *vma;
	unsigned long flags = 0;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma)
		flags = vma->vm_flags;
	mmap_read_unlock(current->mm);
	return flags;
}

/* Places in what user space shares with the kernel, as the C compiler sees them; -1: no more. */
int saio_test_layout(unsigned int i)
{
	static const int places[] = {
		offsetof(struct saio_sqe, flags),
		offsetof(struct saio_sqe, ctl),
		offsetof(struct saio_sqe, user_data),
		offsetof(struct saio_sqe, args),
		sizeof(struct saio_sqe),
		offsetof(struct saio_cqe, res),
		sizeof(struct saio_cqe),
		offsetof(struct saio_ring, sq_tail),
		offsetof(struct saio_ring, cq_head),
		offsetof(struct saio_ring, cq_tail),
		sizeof(struct saio_ring),
		offsetof(struct saio_params, resv),
		sizeof(struct saio_params),
		sizeof(struct saio_enter_arg),
		sizeof(struct saio_flow_reg),
		sizeof(struct saio_ring_pool),
		sizeof(struct saio_restriction),
		sizeof(struct saio_pool_attr),
		sizeof(struct saio_pool_stat),
	};

	return i < ARRAY_SIZE(places) ? places[i] : -1;
}

/*
 * A socket of internet protocol version 4. There is no network yet: @connected
 * says it is, and nothing must be sent.
 */
int saio_test_socket(int type, bool connected)
{
	int fd = __sys_socket(AF_INET, type, 0);

	if (fd >= 0 && connected) {
		CLASS(fd, f)(fd);

		inet_sk_state_store(sock_from_file(fd_file(f))->sk,
				    TCP_ESTABLISHED);
	}
	return fd;
}

static int saio_test_marker_release(struct inode *inode, struct file *file)
{
	complete(file->private_data);
	return 0;
}

static const struct file_operations saio_test_marker_fops = {
	.release	= saio_test_marker_release,
};

/*
 * Wait until what was closed has been released: kernel threads leave that to a
 * work item, which takes all there is at a time, in any order. So when the second
 * marker has gone, all has that came before the first one. With a socket its flow
 * may go, and that closes one more file: twice.
 */
void saio_test_settle(void)
{
	for (int i = 0; i < 4; i++) {
		DECLARE_COMPLETION_ONSTACK(released);
		struct file *file;

		file = anon_inode_getfile("[saio-test]", &saio_test_marker_fops,
					  &released, O_RDONLY);
		if (IS_ERR(file))
			return;
		fput(file);
		wait_for_completion(&released);
	}
}

/* Whether the socket has a flow. */
bool saio_test_has_flow(unsigned int fd)
{
	CLASS(fd, f)(fd);

	return saio_sock_has_flow(sock_from_file(fd_file(f)));
}

/* Closes a descriptor; a socket is not to say goodbye to a peer that it does not have. */
void saio_test_close(unsigned int fd)
{
	{
		CLASS(fd, f)(fd);
		struct socket *sock = sock_from_file(fd_file(f));

		if (sock)
			inet_sk_state_store(sock->sk, TCP_CLOSE);
	}
	close_fd(fd);
}
