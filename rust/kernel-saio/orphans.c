// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: how many connections are orphans, and what they still have to send. Nobody
 * is left who could close them, so they are counted for each user and in all.
 */
#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/saio_glue.h>

/* Of one user; four times as much of all together. */
#define SAIO_ORPHANS		4096
#define SAIO_ORPHAN_BYTES	(64LL << 20)
#define SAIO_ALL		4

/**
 * struct saio_orphans - the orphans of a user
 * @node: in saio_users, by @uid
 * @uid: who made the rings
 * @refs: rings of the user; changed to zero under saio_users_lock
 * @number: orphans
 * @bytes: bytes of arenas that they hold
 */
struct saio_orphans {
	struct hlist_node node;
	kuid_t uid;
	refcount_t refs;
	atomic_t number;
	atomic64_t bytes;
};

static DEFINE_HASHTABLE(saio_users, 6);
static DEFINE_SPINLOCK(saio_users_lock);

static atomic_t saio_all_orphans;
static atomic64_t saio_all_orphan_bytes;

/* Those of the current user, with a reference; NULL: no memory. */
struct saio_orphans *saio_orphans_get(void)
{
	kuid_t uid = current_uid();
	struct saio_orphans *new, *of;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	new->uid = uid;
	refcount_set(&new->refs, 1);

	spin_lock(&saio_users_lock);
	hash_for_each_possible(saio_users, of, node, __kuid_val(uid)) {
		if (uid_eq(of->uid, uid)) {
			refcount_inc(&of->refs);
			spin_unlock(&saio_users_lock);
			kfree(new);
			return of;
		}
	}
	hash_add(saio_users, &new->node, __kuid_val(uid));
	spin_unlock(&saio_users_lock);
	return new;
}

void saio_orphans_put(struct saio_orphans *of)
{
	if (!refcount_dec_and_lock(&of->refs, &saio_users_lock))
		return;
	hash_del(&of->node);
	spin_unlock(&saio_users_lock);
	kfree(of);
}

/**
 * saio_orphans_add - count orphans of a user
 * @of: the user's
 * @number: how many there are more, or less
 * @bytes: bytes of arenas that they hold more, or less
 *
 * Return: whether there may be so many, or so much, now: what does not change is not
 * judged. It is counted in any case.
 */
bool saio_orphans_add(struct saio_orphans *of, int number, s64 bytes)
{
	int own = atomic_add_return(number, &of->number);
	int all = atomic_add_return(number, &saio_all_orphans);
	s64 own_bytes = atomic64_add_return(bytes, &of->bytes);
	s64 all_bytes = atomic64_add_return(bytes, &saio_all_orphan_bytes);

	if (number && (own > SAIO_ORPHANS || all > SAIO_ALL * SAIO_ORPHANS))
		return false;
	return !bytes || (own_bytes <= SAIO_ORPHAN_BYTES &&
			  all_bytes <= SAIO_ALL * SAIO_ORPHAN_BYTES);
}
