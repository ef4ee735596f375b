// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: the socket side of a flow, and the hooks in net/socket.c.
 *
 * A flow has a private file for its socket. socket->saio points to the flow from
 * saio_sock_attach() until that file is released, which is always later than the
 * release of the holder's own file: what the flow still has to send keeps the
 * socket, as an orphan.
 *
 * Lock order: state lock of the flow (Rust) -> lock of the socket's wait queue ->
 * lock of the ring's home.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/net.h>
#include <linux/sockptr.h>
#include <linux/tcp.h>
#include <uapi/linux/tls.h>
#include <linux/saio.h>
#include <linux/saio_glue.h>
#include <net/sock.h>
#include <net/tcp.h>

/* How long a call that must not block waits for a flow that is being sent. */
#define SAIO_WAIT	(HZ / 10)
/* For how long none waits on flows of a ring for which one has waited in vain. */
#define SAIO_NO_WAIT	HZ

static struct workqueue_struct *saio_wq;
/* A close may wait for the socket lock; it must not hold up what others send. */
static struct workqueue_struct *saio_close_wq;

void saio_sock_get(struct saio_sock *ss)
{
	refcount_inc(&ss->refs);
}

/* Drops the Rust object; its memory stays until RCU readers have gone. */
void saio_sock_put(struct saio_sock *ss)
{
	if (refcount_dec_and_test(&ss->refs))
		saio_rs_flow_drop(ss);
}

void saio_sock_free(struct saio_sock *ss)
{
	kfree_rcu(ss, rcu);
}

/*
 * The flow of a socket, with a reference; NULL also if the current task runs an
 * entry of that flow, which @own tells if it is not NULL.
 */
static struct saio_sock *__saio_sock_lookup(struct socket *sock, bool *own)
{
	struct saio_sock *ss;
	bool runs = false;

	rcu_read_lock();
	ss = rcu_dereference(sock->saio);
	if (ss)
		runs = READ_ONCE(ss->runner) == current;
	if (ss && (runs || !refcount_inc_not_zero(&ss->refs)))
		ss = NULL;
	rcu_read_unlock();
	if (own)
		*own = runs;
	return ss;
}

static struct saio_sock *saio_sock_lookup(struct socket *sock)
{
	return __saio_sock_lookup(sock, NULL);
}

void saio_sock_set(struct saio_sock *ss, unsigned int bit, bool on)
{
	assign_bit(bit, &ss->state, on);
}

/* Let a thread of the pool go on with the flow, if the ring has a pool. */
static bool saio_sock_to_pool(struct saio_sock *ss)
{
	struct saio_home *home = ss->home;
	unsigned long irq;
	bool pool;

	spin_lock_irqsave(&home->lock, irq);
	pool = home->pool;
	if (pool) {
		if (list_empty(&ss->ready)) {
			saio_sock_get(ss);
			list_add_tail(&ss->ready, &home->ready);
		}
		saio_rs_pool_ready(home->pool, home->slot);
	}
	spin_unlock_irqrestore(&home->lock, irq);
	return pool;
}

static void saio_sock_work(struct work_struct *work)
{
	struct saio_sock *ss = container_of(to_delayed_work(work),
					    struct saio_sock, work);

	if (!saio_sock_to_pool(ss))
		saio_rs_flow_work(ss);
	saio_sock_put(ss);
}

static void saio_sock_close_work(struct work_struct *work)
{
	struct saio_sock *ss = container_of(work, struct saio_sock, close);

	struct sock *sk = ss->sock->sk;

	/*
	 * Nobody waits for this close, so it must not linger: peers that do not
	 * read could hold all workers up. With linger 0 it still resets.
	 */
	lock_sock(sk);
	if (sk->sk_lingertime)
		sock_reset_flag(sk, SOCK_LINGER);
	release_sock(sk);

	/* sock_close() comes back to __saio_sock_close() below. */
	__fput_sync(ss->file);
	saio_sock_put(ss);
}

/* Let the work of the flow run in @delay jiffies, instead of when it was due. */
void saio_sock_kick(struct saio_sock *ss, unsigned long delay)
{
	if (!delay && saio_sock_to_pool(ss))
		return;
	saio_sock_get(ss);
	if (mod_delayed_work(saio_wq, &ss->work, delay))
		saio_sock_put(ss);
}

/* As saio_sock_kick(), but never later than it is due already. */
void saio_sock_remind(struct saio_sock *ss, unsigned long delay)
{
	saio_sock_get(ss);
	if (!queue_delayed_work(saio_wq, &ss->work, delay))
		saio_sock_put(ss);
}

/* Under the lock of the wait queue, often in softirq. */
static int saio_sock_wake(struct wait_queue_entry *wait, unsigned int mode,
			  int sync, void *key)
{
	struct saio_sock *ss = container_of(wait, struct saio_sock, wait);

	if (!key || key_to_poll(key) & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		saio_sock_kick(ss, 0);
	return 0;
}

void saio_home_init(struct saio_home *home)
{
	spin_lock_init(&home->lock);
	INIT_LIST_HEAD(&home->ready);
	home->pool = NULL;
	home->slot = 0;
	home->no_wait = jiffies;
}

bool saio_home_has_ready(const struct saio_home *home)
{
	return !list_empty(&home->ready);
}

/* The first flow that wants a thread, with a reference. */
struct saio_sock *saio_home_pop(struct saio_home *home)
{
	struct saio_sock *ss;

	spin_lock_irq(&home->lock);
	ss = list_first_entry_or_null(&home->ready, struct saio_sock, ready);
	if (ss)
		list_del_init(&ss->ready);
	spin_unlock_irq(&home->lock);
	return ss;
}

/* The ring goes to another pool, or with NULL to none; what is ready goes too. */
void saio_home_set(struct saio_home *home, void *pool, u32 slot)
{
	struct saio_sock *ss;

	spin_lock_irq(&home->lock);
	home->pool = pool;
	home->slot = slot;
	if (pool && !list_empty(&home->ready))
		saio_rs_pool_ready(pool, slot);
	spin_unlock_irq(&home->lock);
	if (pool)
		return;
	while ((ss = saio_home_pop(home))) {
		saio_sock_kick(ss, 0);
		saio_sock_put(ss);
	}
}

/* Whether @fd of the current task is a descriptor of this flow's socket. */
bool saio_sock_has(const struct saio_sock *ss, unsigned int fd)
{
	struct socket *sock;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return false;
	sock = sock_from_file(fd_file(f));
	return sock && rcu_access_pointer(sock->saio) == ss;
}

/**
 * saio_sock_attach - make a flow of a socket
 * @ss: zeroed but for @refs, which is 1 and belongs to the caller
 * @home: of the ring, which lives as long as the flow
 * @fd: descriptor of the socket in the table of the current task
 *
 * On success the socket has a reference of its own to @ss.
 */
int saio_sock_attach(struct saio_sock *ss, struct saio_home *home,
		     unsigned int fd)
{
	struct saio_sock *none = NULL;
	struct socket *sock;
	struct file *file;
	struct sock *sk;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	sock = sock_from_file(fd_file(f));
	if (!sock)
		return -ENOTSOCK;
	sk = sock->sk;
	if (sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP ||
	    (sk->sk_family != AF_INET && sk->sk_family != AF_INET6))
		return -EOPNOTSUPP;
	if (!((1 << inet_sk_state_load(sk)) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)))
		return -ENOTCONN;
	if (!(fd_file(f)->f_flags & O_NONBLOCK))
		return -EWOULDBLOCK;

	ss->sock = sock;
	ss->files = current->files;
	ss->home = home;
	INIT_LIST_HEAD(&ss->ready);
	init_waitqueue_func_entry(&ss->wait, saio_sock_wake);
	INIT_DELAYED_WORK(&ss->work, saio_sock_work);
	INIT_WORK(&ss->close, saio_sock_close_work);
	init_waitqueue_head(&ss->drained);

	/* The socket cannot be closed meanwhile: we hold its file. */
	saio_sock_get(ss);
	if (!try_cmpxchg((__force struct saio_sock **)&sock->saio, &none, ss)) {
		saio_sock_put(ss);
		return -EEXIST;
	}

	file = alloc_file_clone(fd_file(f), O_RDWR | O_NONBLOCK,
				fd_file(f)->f_op);
	if (IS_ERR(file)) {
		RCU_INIT_POINTER(sock->saio, NULL);
		saio_sock_put(ss);
		return PTR_ERR(file);
	}
	file->private_data = sock;
	stream_open(SOCK_INODE(sock), file);
	ss->file = file;
	return 0;
}

/* The holder's file is being released, the flow takes the socket over. */
void saio_sock_adopt(struct saio_sock *ss)
{
	struct sock *sk = ss->sock->sk;

	set_bit(SAIO_SOCK_ORPHAN_BIT, &ss->state);
	/* Netfilter looks at sk_socket->file under this lock. */
	write_lock_bh(&sk->sk_callback_lock);
	WRITE_ONCE(ss->sock->file, ss->file);
	write_unlock_bh(&sk->sk_callback_lock);
}

int saio_sock_setopt(struct saio_sock *ss, int level, int name, void *val,
		     unsigned int len)
{
	int ret;

	WRITE_ONCE(ss->runner, current);
	ret = do_sock_setsockopt(ss->sock, false, level, name,
				 KERNEL_SOCKPTR(val), len);
	WRITE_ONCE(ss->runner, NULL);
	return ret;
}

int saio_sock_shut(struct saio_sock *ss, int how)
{
	int ret;

	WRITE_ONCE(ss->runner, current);
	ret = __sys_shutdown_sock(ss->sock, how);
	WRITE_ONCE(ss->runner, NULL);
	return ret;
}

/**
 * saio_sock_park - wait for the socket to become writable
 * @ss: parked flow, its state lock held
 *
 * Return: true if it is writable, or broken, already; the caller then kicks it.
 */
bool saio_sock_park(struct saio_sock *ss)
{
	struct sock *sk = ss->sock->sk;

	/* Who waits for those who are at it has nobody to wait for now. */
	if (test_bit(SAIO_SOCK_WANTED_BIT, &ss->state))
		wake_up_all(&ss->drained);
	add_wait_queue(&ss->sock->wq.wait, &ss->wait);
	/* As tcp_poll(): without this bit nobody tells us that there is space. */
	set_bit(SOCK_NOSPACE, &ss->sock->flags);
	/* Pairs with the barrier in tcp_check_space(). */
	smp_mb__after_atomic();
	return sk_stream_is_writeable(sk) || READ_ONCE(sk->sk_err) ||
	       (READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN) ||
	       inet_sk_state_load(sk) == TCP_CLOSE;
}

void saio_sock_unpark(struct saio_sock *ss)
{
	remove_wait_queue(&ss->sock->wq.wait, &ss->wait);
}

/* The flow is idle: let go who waits for that, and make an edge if @edge. */
void saio_sock_idle(struct saio_sock *ss, bool edge)
{
	struct sock *sk = ss->sock->sk;
	struct socket_wq *wq;

	if (test_and_clear_bit(SAIO_SOCK_WANTED_BIT, &ss->state)) {
		wake_up_all(&ss->drained);
		edge = true;
	}
	if (!edge || test_bit(SAIO_SOCK_ORPHAN_BIT, &ss->state) || !sk)
		return;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(wq))
		wake_up_interruptible_poll(&wq->wait, EPOLLOUT | EPOLLWRNORM |
						      EPOLLWRBAND);
	sk_wake_async_rcu(sk, SOCK_WAKE_SPACE, POLL_OUT);
	rcu_read_unlock();
}

/* The flow ends; its state lock is held. */
void saio_sock_detach(struct saio_sock *ss)
{
	saio_sock_idle(ss, false);
	if (cancel_delayed_work(&ss->work))
		saio_sock_put(ss);
	if (test_bit(SAIO_SOCK_ORPHAN_BIT, &ss->state)) {
		saio_sock_get(ss);
		queue_work(saio_close_wq, &ss->close);
	} else {
		fput(ss->file);
	}
}

/* Reset the connection; the holder of the socket finds @err (positive) on it. */
void saio_sock_fail(struct saio_sock *ss, int err)
{
	struct sock *sk = ss->sock->sk;

	if (!tcp_abort(sk, err))
		return;

	/* Closed already; our own send may have consumed the holder's error. */
	lock_sock(sk);
	if (!sk->sk_err) {
		WRITE_ONCE(sk->sk_err, err);
		if (!sock_flag(sk, SOCK_DEAD))
			sk_error_report(sk);
	}
	release_sock(sk);
}

/* The hooks */

__poll_t __saio_sock_poll(struct socket *sock, __poll_t mask)
{
	struct saio_sock *ss;

	rcu_read_lock();
	ss = rcu_dereference(sock->saio);
	if (ss && READ_ONCE(ss->state) & (BIT(SAIO_SOCK_FULL_BIT) |
					  BIT(SAIO_SOCK_WANTED_BIT)))
		mask &= ~(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	rcu_read_unlock();
	return mask;
}

static bool saio_sock_turn_away(struct saio_sock *ss)
{
	if (!saio_rs_flow_busy(ss))
		return false;
	set_bit(SAIO_SOCK_WANTED_BIT, &ss->state);
	/*
	 * Who is running it looks at the bit when it becomes idle, if somebody
	 * has looked at the flow since it began: look once more.
	 */
	smp_mb__after_atomic();
	if (saio_rs_flow_busy(ss))
		return true;
	/* Not just clear_bit(): somebody else may have set it meanwhile. */
	saio_sock_idle(ss, false);
	return false;
}

/*
 * Whether the flow is idle, now or soon. A peer that does not read is not waited
 * for, nor is an owner that has to dispatch: only those who are at it, as who
 * wants the lock of the socket waits for them. Where those have too much to do, or
 * cannot go on, one call finds out and not each.
 */
static bool saio_sock_idle_soon(struct saio_sock *ss)
{
	struct saio_home *home = ss->home;

	if (!saio_sock_turn_away(ss))
		return true;
	if (time_before(jiffies, READ_ONCE(home->no_wait)))
		return false;
	if (!wait_event_killable_timeout(ss->drained,
			!test_bit(SAIO_SOCK_WANTED_BIT, &ss->state) ||
			!saio_rs_flow_runs(ss), SAIO_WAIT))
		WRITE_ONCE(home->no_wait, jiffies + SAIO_NO_WAIT);
	return !saio_sock_turn_away(ss);
}

int __saio_sock_sendmsg(struct socket *sock, struct msghdr *msg)
{
	struct saio_sock *ss;
	long timeo, left;
	int ret = 0;
	bool own;

	ss = __saio_sock_lookup(sock, &own);
	/* Splice cannot be told: an entry raises no SIGPIPE. */
	if (own)
		msg->msg_flags |= MSG_NOSIGNAL;
	if (!ss)
		return 0;
	timeo = sock_sndtimeo(sock->sk, msg->msg_flags & MSG_DONTWAIT);
	if (!timeo && !saio_sock_idle_soon(ss))
		ret = -EAGAIN;
	while (timeo && saio_sock_turn_away(ss)) {
		/* Nobody could let the owner go who does not dispatch itself. */
		if (saio_rs_flow_stuck(ss)) {
			ret = -EAGAIN;
			break;
		}
		/* What was waited for may be over each time, and wait again. */
		if (signal_pending(current)) {
			ret = sock_intr_errno(timeo);
			break;
		}
		left = wait_event_interruptible_timeout(ss->drained,
			!test_bit(SAIO_SOCK_WANTED_BIT, &ss->state), timeo);
		if (left <= 0) {
			ret = left ? sock_intr_errno(timeo) : -EAGAIN;
			break;
		}
		timeo = left;
	}
	saio_sock_put(ss);
	return ret;
}

/* What would change the meaning of bytes that wait. */
static int saio_sock_busy(struct socket *sock)
{
	struct saio_sock *ss = saio_sock_lookup(sock);
	int ret = 0;

	if (ss) {
		ret = saio_sock_idle_soon(ss) ? 0 : -EBUSY;
		saio_sock_put(ss);
	}
	return ret;
}

int __saio_sock_setsockopt(struct socket *sock, int level, int optname)
{
	if ((level == SOL_TCP && (optname == TCP_ULP || optname == TCP_REPAIR)) ||
	    (level == SOL_TLS && optname == TLS_TX))
		return saio_sock_busy(sock);
	return 0;
}

/* A flow is connected, so this is a disconnect or an error anyway. */
int __saio_sock_connect(struct socket *sock)
{
	return saio_sock_busy(sock);
}

int __saio_sock_shutdown(struct socket *sock, int how)
{
	struct saio_sock *ss;
	int ret;

	if (how != SHUT_WR && how != SHUT_RDWR)
		return 0;
	ss = saio_sock_lookup(sock);
	if (!ss)
		return 0;
	ret = saio_rs_flow_shutdown(ss, how);
	saio_sock_put(ss);
	return ret;
}

bool __saio_sock_close(struct socket *sock, struct file *file)
{
	struct saio_sock *ss = saio_sock_lookup(sock);
	bool keep;

	if (!ss)
		return false;
	if (file == ss->file) {
		/* With this the flow is gone; an orphan's socket goes too. */
		keep = !test_bit(SAIO_SOCK_ORPHAN_BIT, &ss->state);
		rcu_assign_pointer(sock->saio, NULL);
		saio_sock_put(ss);
	} else {
		keep = saio_rs_flow_closed(ss);
	}
	saio_sock_put(ss);
	return keep;
}

void __saio_filp_flush(struct socket *sock)
{
	struct saio_sock *ss = saio_sock_lookup(sock);

	if (!ss)
		return;
	/* Only in the owner's table does a number lose its meaning for it. */
	if (ss->files == current->files)
		saio_rs_flow_stale(ss);
	saio_sock_put(ss);
}

static int __init saio_init(void)
{
	/* Bounded by the default of the workqueue code for each. */
	saio_wq = alloc_workqueue("saio", WQ_UNBOUND, 0);
	saio_close_wq = alloc_workqueue("saio_close", WQ_UNBOUND, 0);
	if (!saio_wq || !saio_close_wq || saio_rs_init())
		panic("saio: no memory\n");
	return 0;
}
core_initcall(saio_init);
