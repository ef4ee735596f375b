// SPDX-License-Identifier: GPL-2.0

//! Rings: the shared memory, its two queues and the table of flows.
//!
//! [`gate`] has who may dispatch, [`attach`] the way to a pool, [`restriction`] what a ring does without.

mod attach;
mod gate;
mod restriction;

use crate::{
    errno,
    flow::{Begun, Flow},
    glue::{Caller, Task},
    logic::{
        chain::Chain,
        ring::{Consumer, Poster},
        sched::Mode,
    },
    mem::{Layout, Mem, Sqe},
    pool::NO_NAME,
    stats::RingStats,
};
use attach::Link;
use core::sync::atomic::{fence, AtomicBool, AtomicU32, Ordering};
use gate::Gate;
pub(crate) use gate::SqGuard;
use kernel::{
    bindings, new_condvar, new_spinlock,
    prelude::*,
    sync::{Arc, ArcBorrow, CondVar, CondVarTimeoutResult, SpinLock},
    types::ARef,
};
pub(crate) use restriction::Fate;
use restriction::Restriction;

/// Numbers of rings.
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// The dispatching end of the submission queue.
pub(crate) struct Sq {
    pub(crate) consumer: Consumer,
    pub(crate) chain: Chain,
    /// Entries that were copied because a hook had to, and wait for the owner's next crossing.
    pub(crate) deferred: KVec<Sqe>,
    /// How many of these have run.
    pub(crate) deferred_done: usize,
}

struct Cq {
    poster: Poster,
    waiting: bool,
}

struct Slot {
    flow: Option<ARef<Flow>>,
    generation: u16,
    /// The owner has given the flow up: entries cannot name it any more.
    given_up: bool,
}

struct Flows {
    slots: KVVec<Slot>,
    /// Where to look for a free slot first.
    hint: usize,
}

/// A ring.
#[pin_data]
#[repr(C)]
pub(crate) struct Ring {
    /// Stands first: C knows the ring by it.
    pub(crate) mem: Mem,
    #[pin]
    pub(crate) link: Link,
    pub(crate) id: u32,
    pub(crate) owner: Task,
    pub(crate) stats: RingStats,
    restriction: Restriction,
    /// The owner has ended, or got another program.
    dead: AtomicBool,
    /// Somebody was told to wait until published entries are dispatched.
    attention: AtomicBool,
    /// How far the submission queue was dispatched; the shared word is only for show.
    head: AtomicU32,
    /// How many of the deferred entries act on flows.
    pub(crate) deferred_flows: AtomicU32,
    #[pin]
    gate: Gate,
    #[pin]
    cq: SpinLock<Cq>,
    #[pin]
    posted: CondVar,
    #[pin]
    flows: SpinLock<Flows>,
}

impl Ring {
    /// Makes a ring that belongs to the current task.
    pub(crate) fn new(layout: Layout) -> Result<Arc<Self>> {
        let mem = Mem::new(layout)?;
        let mut slots = KVVec::with_capacity(layout.flows as usize, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..layout.flows {
            slots.push(
                Slot {
                    flow: None,
                    // So that no reference is zero.
                    generation: 1,
                    given_up: false,
                },
                GFP_KERNEL_ACCOUNT,
            )?;
        }
        let ring = Arc::pin_init(
            pin_init!(Self {
                mem,
                link <- Link::new(),
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                owner: Task::current(),
                stats: RingStats::default(),
                restriction: Restriction::none(),
                dead: AtomicBool::new(false),
                attention: AtomicBool::new(false),
                head: AtomicU32::new(0),
                deferred_flows: AtomicU32::new(0),
                gate <- Gate::new(Sq {
                    consumer: Consumer::new(layout.sq_entries),
                    chain: Chain::new(),
                    deferred: KVec::new(),
                    deferred_done: 0,
                }),
                cq <- new_spinlock!(Cq {
                    poster: Poster::new(layout.cq_entries),
                    waiting: false,
                }, "saio::Ring::cq"),
                posted <- new_condvar!("saio::Ring::posted"),
                flows <- new_spinlock!(Flows { slots, hint: 0 }, "saio::Ring::flows"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        // Nobody looks at the queue by itself until it is attached to a pool.
        ring.mem
            .sq_flags()
            .store(bindings::SAIO_RING_NEED_WAKEUP, Ordering::Relaxed);
        Ok(ring)
    }

    /// Whether the current task may use the ring.
    pub(crate) fn check_owner(&self) -> Result {
        if !self.owner.is_current() {
            return Err(EPERM);
        }
        if self.dead.load(Ordering::Relaxed) {
            return Err(errno::ebadfd());
        }
        Ok(())
    }

    /// The submission queue for its owner, unless the ring is dead, or the current task is not the
    /// owner or is dispatching already.
    pub(crate) fn sq(&self) -> Option<SqGuard<'_>> {
        if self.is_dead() || !self.owner.is_current() {
            return None;
        }
        self.gate.enter()
    }

    /// The submission queue for a thread of the pool, unless somebody has it.
    pub(crate) fn sq_for_thread(&self) -> Option<SqGuard<'_>> {
        let sq = self.gate.try_enter()?;
        // Inside: the owner passes the gate after it has left the pool, and before it gets another
        // program or ends.
        if self.is_dead() || self.mode() == Mode::Inline {
            return None;
        }
        Some(sq)
    }

    /// Whether the ring has seen the last of its owner.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Sets up to `n` completions aside.
    pub(crate) fn reserve(&self, n: u32) -> u32 {
        self.cq.lock().poster.reserve(n, self.mem.cq_head())
    }

    /// Gives `n` completions that were set aside back.
    pub(crate) fn cancel(&self, n: u32) {
        if n != 0 {
            self.cq.lock().poster.cancel(n);
        }
    }

    /// Posts a completion that was set aside.
    #[inline]
    pub(crate) fn post_one(&self, user_data: u64, result: i64) {
        let mut cq = self.cq.lock();
        self.fill(&mut cq, user_data, result);
        if cq.waiting {
            self.posted.notify_all();
        }
    }

    #[inline]
    fn fill(&self, cq: &mut Cq, user_data: u64, result: i64) {
        self.mem.set_cqe(cq.poster.slot(), user_data, result);
        cq.poster.post(self.mem.cq_tail());
    }

    /// Posts completions that were set aside: user data, result, and whether only a failure is to
    /// be posted.
    #[inline]
    pub(crate) fn post(&self, completions: &[Option<(u64, i64, bool)>]) {
        let mut cq = self.cq.lock();
        for (user_data, result, only_failure) in completions.iter().copied().flatten() {
            if only_failure && result >= 0 {
                cq.poster.cancel(1);
            } else {
                self.fill(&mut cq, user_data, result);
            }
        }
        if cq.waiting {
            self.posted.notify_all();
        }
    }

    /// Waits until `want` completions are unread; `timeout` in jiffies, if any.
    pub(crate) fn wait(&self, want: u32, timeout: Option<usize>) -> Result {
        let mut left = timeout.map(|t| t as _);
        let mut cq = self.cq.lock();
        loop {
            let unread = cq.poster.unread(self.mem.cq_head());
            if unread >= want {
                return Ok(());
            }
            if unread + cq.poster.reserved() < want {
                return Err(errno::edeadlk());
            }
            cq.waiting = true;
            let signal = match left {
                None => self.posted.wait_interruptible(&mut cq),
                Some(jiffies) => match self.posted.wait_interruptible_timeout(&mut cq, jiffies) {
                    CondVarTimeoutResult::Woken { jiffies } => {
                        left = Some(jiffies);
                        false
                    }
                    CondVarTimeoutResult::Timeout => {
                        cq.waiting = false;
                        return Err(errno::etime());
                    }
                    CondVarTimeoutResult::Signal { .. } => true,
                },
            };
            cq.waiting = false;
            if signal {
                return Err(EINTR);
            }
        }
    }

    /// Makes a flow of the socket `fd` and returns its reference.
    pub(crate) fn register(ring: ArcBorrow<'_, Self>, fd: u32) -> Result<u32> {
        let (index, generation) = {
            let mut flows = ring.flows.lock();
            let n = flows.slots.len();
            let start = flows.hint;
            let index = (0..n)
                .map(|i| (start + i) % n)
                .find(|i| flows.slots.as_slice()[*i].flow.is_none())
                .ok_or(ENOSPC)?;
            flows.hint = (index + 1) % n;
            (index as u16, flows.slots.as_slice()[index].generation)
        };

        let flow = Flow::attach(ring.into(), fd, index, generation)?;
        let reference = flow.reference();
        let mut flows = ring.flows.lock();
        let slot = &mut flows.slots.as_mut_slice()[usize::from(index)];
        // Only the owner adds flows, but another thread may have closed this one already.
        if slot.generation != generation {
            drop(flows);
            return Err(EBADF);
        }
        flow.show();
        slot.flow = Some(flow);
        slot.given_up = false;
        Ok(reference)
    }

    /// The flow that an entry names.
    pub(crate) fn flow(&self, reference: u32) -> Option<ARef<Flow>> {
        let flows = self.flows.lock();
        let index = nospec((reference & 0xffff) as usize, flows.slots.len())?;
        let slot = &flows.slots.as_slice()[index];
        if u32::from(slot.generation) != reference >> 16 || slot.given_up {
            return None;
        }
        slot.flow.clone()
    }

    /// Makes the flow that an entry names run for the owner, if it is that simple.
    #[inline]
    pub(crate) fn begin(&self, reference: u32) -> Option<Begun<'_>> {
        let flows = self.flows.lock();
        let index = nospec((reference & 0xffff) as usize, flows.slots.len())?;
        let slot = &flows.slots.as_slice()[index];
        if u32::from(slot.generation) != reference >> 16 || slot.given_up {
            return None;
        }
        // SAFETY: The table has a reference, and is locked.
        unsafe { slot.flow.as_ref()?.begin() }
    }

    /// Gives a flow up; what it holds still leaves.
    pub(crate) fn unregister(&self, reference: u32) -> Result {
        self.hand_over(Caller::Hook);
        let flow = self.flow(reference).ok_or(EBADF)?;
        if self.named(reference) {
            return Err(EBUSY);
        }
        self.give_up(reference);
        flow.leave();
        Ok(())
    }

    /// From now on entries cannot name the flow.
    pub(crate) fn give_up(&self, reference: u32) {
        let mut flows = self.flows.lock();
        let len = flows.slots.len();
        let Some(index) = nospec((reference & 0xffff) as usize, len) else {
            return;
        };
        let slot = &mut flows.slots.as_mut_slice()[index];
        // Another thread may have closed it meanwhile.
        if u32::from(slot.generation) == reference >> 16 {
            slot.given_up = true;
        }
    }

    /// Drops a flow that was detached from the table and frees its slot.
    pub(crate) fn forget(&self, index: u16, generation: u16) {
        let mut flows = self.flows.lock();
        let slot = &mut flows.slots.as_mut_slice()[usize::from(index)];
        if slot.generation != generation {
            return;
        }
        let flow = slot.flow.take();
        slot.generation = generation.checked_add(1).unwrap_or(1);
        slot.given_up = false;
        self.mem
            .status(index)
            .store(u32::from(slot.generation) << 16, Ordering::Release);
        drop(flows);
        drop(flow);
    }

    /// Takes the entry that was copied off the queue.
    #[inline]
    pub(crate) fn advance(&self, sq: &mut Sq) {
        sq.consumer.advance(self.mem.sq_head());
        self.head.store(sq.consumer.head(), Ordering::Release);
    }

    /// Whether the current task is the owner.
    pub(crate) fn is_owned_here(&self) -> bool {
        self.owner.is_current()
    }

    /// Whether the owner is dispatching.
    #[inline]
    pub(crate) fn owner_inside(&self) -> bool {
        self.gate.owner_inside()
    }

    /// Whether the current task is the owner and runs a batch.
    pub(crate) fn dispatching_here(&self) -> bool {
        self.owner.is_current() && self.owner_inside()
    }

    /// Whether entries that are published and not dispatched name the flow. Whoever is told to
    /// wait for them is let go by [`Self::settle`].
    pub(crate) fn names(&self, reference: u32) -> bool {
        if self.is_dead() || !self.named(reference) {
            return false;
        }
        // Either the owner sees the wish when it has dispatched them, or we see that it has: the
        // barriers pair with the one in `settle`.
        self.attention.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.named(reference)
    }

    /// Whether all that was published so far is dispatched.
    #[inline]
    pub(crate) fn nothing_published(&self) -> bool {
        // In this order, as for `named`.
        let head = self.head.load(Ordering::Acquire);
        self.mem.sq_tail().load(Ordering::Acquire) == head
            && self.deferred_flows.load(Ordering::Acquire) == 0
    }

    fn named(&self, reference: u32) -> bool {
        // In this order: an entry that is deferred counts there before it is off the queue.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.mem.sq_tail().load(Ordering::Acquire);
        if self.deferred_flows.load(Ordering::Relaxed) != 0 {
            return true;
        }
        let published = tail.wrapping_sub(head).min(self.mem.layout.sq_entries);
        (0..published).any(|i| names(&self.mem.entry(head.wrapping_add(i)).copy(), reference))
    }

    /// Looks after the flows about which somebody was told to wait for a dispatch.
    pub(crate) fn settle(&self) {
        fence(Ordering::SeqCst);
        if self.attention.load(Ordering::Relaxed) {
            self.attention.store(false, Ordering::SeqCst);
            self.each_flow(Flow::settle);
        }
    }

    /// What is shown to operators.
    pub(crate) fn info(&self) -> bindings::saio_ring_info {
        let flows = self.flows.lock();
        let used = flows.slots.iter().filter(|slot| slot.flow.is_some());
        let used = used.count() as u32;
        drop(flows);
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.mem.sq_tail().load(Ordering::Relaxed);
        let stats = &self.stats;
        bindings::saio_ring_info {
            owner: self.owner.as_ptr(),
            ring: self.id,
            mode: self.mode() as u32,
            pool: self.pool().map_or(NO_NAME, |pool| pool.name),
            published: tail.wrapping_sub(head).min(self.mem.layout.sq_entries),
            sq_entries: self.mem.layout.sq_entries,
            flows: used,
            restricted: self.restricted(),
            no_pool: !self.permits_pool(),
            calls: stats.calls.get(),
            run_inline: stats.inline.get(),
            pooled: stats.pooled.get(),
            queued: stats.queued.get(),
            bytes: stats.bytes.get() + stats.bytes_inline.get(),
            parks: stats.parks.get(),
            steals: stats.steals.get(),
            wakeups: stats.wakeups.get(),
            why: stats.why(),
            wait_hist: stats.waits.get(),
        }
    }

    /// Calls `f` for every flow, without a lock held.
    fn each_flow(&self, f: impl Fn(&Flow)) {
        for index in 0..self.mem.layout.flows as usize {
            let flow = self.flows.lock().slots.as_slice()[index].flow.clone();
            if let Some(flow) = flow {
                f(&flow);
            }
        }
    }

    /// The owner ends: what is published is handed over, and every flow is left to itself.
    pub(crate) fn end(&self) {
        self.detach(true);
        self.dispatch_at_end();
        self.dead.store(true, Ordering::SeqCst);
        self.each_flow(Flow::leave);
    }
}

/// The flow that an entry with `SAIO_SQE_FLOW` names.
#[inline]
pub(crate) fn reference(sqe: &Sqe) -> u32 {
    (sqe.args[0] >> 32) as u32
}

/// Whether the entry acts on the flow.
pub(crate) fn names(sqe: &Sqe, flow: u32) -> bool {
    sqe.flags & crate::logic::chain::flags::FLOW != 0 && reference(sqe) == flow
}

/// `index` if it is below `len`, also under speculation.
#[inline]
pub(crate) fn nospec(index: usize, len: usize) -> Option<usize> {
    if index >= len {
        return None;
    }
    let index = core::hint::black_box(index);
    // All ones if `index` is below `len`, otherwise zero; as `array_index_mask_nospec`.
    let mask = (!(index | (len - 1).wrapping_sub(index)) as isize >> (usize::BITS - 1)) as usize;
    Some(index & mask)
}
