// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: sending from the arena and from files.
 *
 * All of it acts for the current task on the socket of a flow that nobody else
 * runs, and never waits for the peer.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/magic.h>
#include <linux/net.h>
#include <linux/pagemap.h>
#include <linux/sched/xacct.h>
#include <linux/shmem_fs.h>
#include <linux/splice.h>
#include <linux/saio_glue.h>
#include <net/sock.h>
#include <net/tcp.h>

/* Pages of a file in one message; one more fragment has what is before them. */
#define SAIO_MAX_PAGES	8

/**
 * saio_file_get - the source of a sendfile entry
 * @task: whose descriptor @fd is; NULL: the current task's
 * @fd: descriptor
 * @pos: position of its first byte
 * @len: bytes
 * @err: why NULL was returned
 */
struct file *saio_file_get(struct task_struct *task, unsigned int fd,
			   loff_t pos, size_t len, int *err)
{
	struct file *file = task ? fget_task(task, fd) : fget(fd);

	*err = -EBADF;
	if (!file)
		return NULL;
	/* fget_task() also gives what was opened with O_PATH; this takes none. */
	if (!(file->f_mode & FMODE_READ))
		goto out;
	*err = -EINVAL;
	if (!S_ISREG(file_inode(file)->i_mode))
		goto out;
	*err = -ESPIPE;
	if (!(file->f_mode & FMODE_PREAD))
		goto out;
	*err = -EOVERFLOW;
	if (pos < 0 || pos + (loff_t)len < pos ||
	    pos + (loff_t)len > file_inode(file)->i_sb->s_maxbytes)
		goto out;
	return file;

out:
	fput(file);
	return NULL;
}

void saio_file_put(struct file *file)
{
	fput(file);
}

static void saio_account_sendfile(struct file *in, struct file *out, size_t n)
{
	add_rchar(current, n);
	add_wchar(current, n);
	fsnotify_access(in);
	fsnotify_modify(out);
	inc_syscr(current);
	inc_syscw(current);
}

/*
 * Before a send, by which the current task begins to run an entry of the flow.
 * TLS hands a record to TCP piece by piece, each of which TCP would push: it is to
 * hold them until saio_sock_sent(). Not its business if the program corks itself.
 */
static bool saio_sock_sends(struct saio_sock *ss, int flags)
{
	struct sock *sk = ss->sock->sk;

	WRITE_ONCE(ss->runner, current);
	if (likely(!inet_csk_has_ulp(sk)) || flags & MSG_MORE ||
	    /* Whoever corks meanwhile gets a packet more or less. */
	    data_race(tcp_sk(sk)->nonagle & TCP_NAGLE_CORK))
		return false;
	tcp_sock_set_cork(sk, true);
	return true;
}

static void saio_sock_sent(struct saio_sock *ss, bool held)
{
	if (held)
		tcp_sock_set_cork(ss->sock->sk, false);
	WRITE_ONCE(ss->runner, NULL);
}

ssize_t saio_sock_send(struct saio_sock *ss, struct kvec *vec, size_t nr,
		       size_t len, int flags)
{
	struct msghdr msg = {
		.msg_flags = flags | MSG_DONTWAIT | MSG_NOSIGNAL,
	};
	bool held = saio_sock_sends(ss, flags);
	ssize_t ret = kernel_sendmsg(ss->sock, &msg, vec, nr, len);

	saio_sock_sent(ss, held);
	return ret;
}

/* As do_sendfile() does it, whose checks of the source were made by
 * saio_file_get() but for those that depend on when the entry runs.
 */
ssize_t saio_sock_sendfile(struct saio_sock *ss, struct file *in, loff_t pos,
			   size_t len, int flags)
{
	loff_t out_pos = 0;
	ssize_t ret;
	bool held;

	ret = rw_verify_area(READ, in, &pos, len);
	if (ret < 0)
		return ret;
	ret = rw_verify_area(WRITE, ss->file, &out_pos, len);
	if (ret < 0)
		return ret;

	held = saio_sock_sends(ss, flags);
	ret = do_splice_direct(in, &pos, ss->file, &out_pos, len,
			       flags & MSG_MORE ? SPLICE_F_MORE : 0);
	saio_sock_sent(ss, held);

	if (ret > 0)
		saio_account_sendfile(in, ss->file, ret);
	return ret;
}

/*
 * Whether the page cache alone says what the file has in it: file systems whose
 * splice_read asks nobody else. The others are left to splice.
 */
static bool saio_page_cache_only(struct file *in)
{
	unsigned long magic = file_inode(in)->i_sb->s_magic;

	/* As do_splice_read(); and a stacked file may bring another's pages. */
	if ((in->f_flags & O_DIRECT) || IS_DAX(in->f_mapping->host) ||
	    in->f_mapping != file_inode(in)->i_mapping)
		return false;
	return in->f_op->splice_read == filemap_splice_read ||
	       shmem_mapping(in->f_mapping) ||
	       magic == EXT4_SUPER_MAGIC || magic == XFS_SUPER_MAGIC;
}

/* The pages of @len bytes from @pos, with references; 0 if they are not all there. */
static unsigned int saio_get_pages(struct file *in, loff_t pos, size_t len,
				   struct bio_vec *bvec, unsigned int max)
{
	struct folio *folio;
	unsigned int n = 0;
	size_t part;

	while (len) {
		if (n == max)
			goto none;
		folio = filemap_get_folio(in->f_mapping, pos >> PAGE_SHIFT);
		if (IS_ERR(folio))
			goto none;
		part = min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
		bvec_set_page(&bvec[n++], folio_file_page(folio, pos >> PAGE_SHIFT),
			      part, offset_in_page(pos));
		/* A page that is to start readahead is for splice, which does. */
		if (!folio_test_uptodate(folio) || folio_test_readahead(folio) ||
		    PageHWPoison(bvec[n - 1].bv_page))
			goto none;
		folio_mark_accessed(folio);
		pos += part;
		len -= part;
	}
	/*
	 * As filemap_read(): the size is looked at after the pages were found up
	 * to date, so that nothing behind the end is sent.
	 */
	if (pos <= i_size_read(file_inode(in))) {
		in->f_ra.prev_pos = pos;
		return n;
	}
none:
	while (n)
		put_page(bvec[--n].bv_page);
	return 0;
}

/**
 * saio_sock_send_pages - send memory and the pages of a file in one message
 * @ss: flow
 * @vec: memory
 * @nr: pieces in @vec
 * @bytes: bytes in @vec, all of them
 * @in: regular file
 * @pos: position of the first byte to send
 * @len: bytes to send from there
 * @flags: MSG_MORE if more follows
 *
 * The pages are not copied, and there is no pipe to go through, which for small
 * files is most of the cost of sendfile.
 *
 * Return: bytes that were sent, those of @vec first; 0 if this is not possible
 * for this file, or not now.
 */
ssize_t saio_sock_send_pages(struct saio_sock *ss, struct kvec *vec, size_t nr,
			     size_t bytes, struct file *in, loff_t pos,
			     size_t len, int flags)
{
	struct page_frag *frag = &current->task_frag;
	struct bio_vec bvec[SAIO_MAX_PAGES + 1] __uninitialized;
	unsigned int first = bytes ? 1 : 0;
	struct msghdr msg = {
		.msg_flags = MSG_SPLICE_PAGES | MSG_DONTWAIT | MSG_NOSIGNAL,
	};
	size_t part = min_t(size_t, len, SAIO_MAX_PAGES * PAGE_SIZE -
					 offset_in_page(pos));
	ssize_t ret, file_bytes;
	unsigned int n, i;
	bool held;

	if (bytes > PAGE_SIZE || !saio_page_cache_only(in))
		return 0;
	ret = rw_verify_area(READ, in, &pos, part);
	if (ret < 0)
		return ret;
	n = saio_get_pages(in, pos, part, bvec + first, SAIO_MAX_PAGES);
	if (!n)
		return 0;

	ret = 0;
	if (bytes) {
		if (!skb_page_frag_refill(bytes, frag, GFP_KERNEL))
			goto out;
		bvec_set_page(&bvec[0], frag->page, bytes, frag->offset);
		for (i = 0; i < nr; i++) {
			memcpy(page_address(frag->page) + frag->offset,
			       vec[i].iov_base, vec[i].iov_len);
			frag->offset += vec[i].iov_len;
		}
		/*
		 * The socket may use the fragment as well, and keeps the page:
		 * these bytes are nobody else's from here on.
		 */
		get_page(frag->page);
	}
	if (flags & MSG_MORE || part < len)
		msg.msg_flags |= MSG_MORE;
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bvec, first + n, bytes + part);

	held = saio_sock_sends(ss, msg.msg_flags);
	ret = sock_sendmsg(ss->sock, &msg);
	saio_sock_sent(ss, held);

	if (bytes)
		put_page(bvec[0].bv_page);
	file_bytes = ret - (ssize_t)bytes;
	if (file_bytes > 0) {
		file_accessed(in);
		saio_account_sendfile(in, ss->file, file_bytes);
	}
out:
	for (i = 0; i < n; i++)
		put_page(bvec[first + i].bv_page);
	return ret;
}
