/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SAIO: what the rest of the kernel calls.
 *
 * Every hook costs one load and one test of a task or socket that does not use
 * SAIO, and nothing at all without CONFIG_SAIO.
 */
#ifndef _LINUX_SAIO_H
#define _LINUX_SAIO_H

#include <linux/fs.h>
#include <linux/net.h>
#include <linux/sched.h>

#ifdef CONFIG_SAIO

void __saio_task_exit(void);
void __saio_task_exec(void);
void __saio_fd_leaves(void);
bool saio_is_ring(const struct file *file);
void __saio_filp_flush(struct socket *sock);
int __saio_sock_sendmsg(struct socket *sock, struct msghdr *msg);
__poll_t __saio_sock_poll(struct socket *sock, __poll_t mask);
bool __saio_sock_close(struct socket *sock, struct file *file);
int __saio_sock_setsockopt(struct socket *sock, int level, int optname);
int __saio_sock_connect(struct socket *sock);
int __saio_sock_shutdown(struct socket *sock, int how);
void saio_worker_sleeping(struct task_struct *tsk);
void saio_worker_running(struct task_struct *tsk);

static inline bool saio_sock_has_flow(const struct socket *sock)
{
	return unlikely(rcu_access_pointer(sock->saio));
}

/* The task exits: hand over what it has published, while its filter stands. */
static inline void saio_task_exit(void)
{
	if (unlikely(current->saio))
		__saio_task_exit();
}

/* The task gets another program: as at its exit. */
static inline void saio_task_exec(void)
{
	if (unlikely(current->saio))
		__saio_task_exec();
}

/* A number leaves the file table, whose lock is not held: pin what it names. */
static inline void saio_fd_leaves(void)
{
	if (unlikely(current->saio))
		__saio_fd_leaves();
}

/* A descriptor of @file was closed. */
static inline void saio_filp_flush(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	if (unlikely(sock) && saio_sock_has_flow(sock))
		__saio_filp_flush(sock);
}

/* 0: send; otherwise the error to return. */
static inline int saio_sock_sendmsg(struct socket *sock, struct msghdr *msg)
{
	return saio_sock_has_flow(sock) ? __saio_sock_sendmsg(sock, msg) : 0;
}

static inline __poll_t saio_sock_poll(struct socket *sock, __poll_t mask)
{
	return saio_sock_has_flow(sock) ? __saio_sock_poll(sock, mask) : mask;
}

/* True: the socket lives on. */
static inline bool saio_sock_close(struct socket *sock, struct file *file)
{
	return saio_sock_has_flow(sock) && __saio_sock_close(sock, file);
}

static inline int saio_sock_setsockopt(struct socket *sock, int level,
				       int optname)
{
	return saio_sock_has_flow(sock) ?
	       __saio_sock_setsockopt(sock, level, optname) : 0;
}

static inline int saio_sock_connect(struct socket *sock)
{
	return saio_sock_has_flow(sock) ? __saio_sock_connect(sock) : 0;
}

/* 0: go on; 1: queued; otherwise the error to return. */
static inline int saio_sock_shutdown(struct socket *sock, int how)
{
	return saio_sock_has_flow(sock) ? __saio_sock_shutdown(sock, how) : 0;
}

#else

static inline void saio_task_exit(void) { }
static inline void saio_task_exec(void) { }
static inline void saio_fd_leaves(void) { }
static inline void saio_filp_flush(struct file *file) { }
static inline void saio_worker_sleeping(struct task_struct *tsk) { }
static inline void saio_worker_running(struct task_struct *tsk) { }

static inline bool saio_is_ring(const struct file *file)
{
	return false;
}

static inline int saio_sock_sendmsg(struct socket *sock, struct msghdr *msg)
{
	return 0;
}

static inline __poll_t saio_sock_poll(struct socket *sock, __poll_t mask)
{
	return mask;
}

static inline bool saio_sock_close(struct socket *sock, struct file *file)
{
	return false;
}

static inline int saio_sock_setsockopt(struct socket *sock, int level,
				       int optname)
{
	return 0;
}

static inline int saio_sock_connect(struct socket *sock)
{
	return 0;
}

static inline int saio_sock_shutdown(struct socket *sock, int how)
{
	return 0;
}

#endif /* CONFIG_SAIO */

#endif /* _LINUX_SAIO_H */
