// SPDX-License-Identifier: GPL-2.0

//! Flows: the write sides of registered TCP connections.
//!
//! Whoever brings a flow from idle or parked to running (the owner within `saio_enter`, a thread of
//! the ring's pool, or the workqueue) runs its operations in order, without a lock, until there are
//! none, or until the socket takes no more; then the flow is parked, and a wait queue entry calls the
//! pool, or the workqueue if the ring has none. The owner does so mostly without the lock at all: see
//! [`phase`](crate::logic::phase).
//!
//! A flow is *leaving* once nobody may add to it: its descriptor is closed, its owner is gone, or
//! it was unregistered. What it holds still leaves; when it is idle it is detached from its socket.
//!
//! The order of locks is in the documentation, docs/design.md.

mod held;
mod leaving;
mod running;

pub(crate) use held::Begun;
pub(crate) use running::Carried;

use crate::{
    errno,
    glue::{self, Cred},
    logic::phase::{Phase, PhaseWord},
    op::{Op, Outcome},
    pool::Pool,
    ring::Ring,
    trace::{self, Where},
};
use core::{
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};
use held::Locked;
use kernel::{
    alloc::Flags,
    bindings, new_spinlock,
    prelude::*,
    rbtree::{RBTree, RBTreeNodeReservation},
    sync::{
        lock::{spinlock::SpinLockBackend, Guard},
        Arc, SpinLock,
    },
    types::{ARef, AlwaysRefCounted, Opaque},
};

/// Bits of a status word (`SAIO_FLOW_*`).
const USED: u32 = bindings::SAIO_FLOW_USED;
const STALE: u32 = bindings::SAIO_FLOW_STALE;
const FULL: u32 = bindings::SAIO_FLOW_FULL;
const FAILED: u32 = bindings::SAIO_FLOW_FAILED;
const BUSY: u32 = bindings::SAIO_FLOW_BUSY;

/// No thread of a pool; their numbers are smaller.
const NOBODY: u32 = u32::MAX;

/// Who runs the operations of a flow.
#[derive(Clone, Copy)]
pub(crate) enum Runner<'a> {
    /// The owner of the ring, in its own crossing.
    Owner,
    /// A thread of a pool, with its number.
    Thread(&'a Pool, u32),
    /// The workqueue.
    Queue,
}

impl Runner<'_> {
    fn place(self) -> Where {
        match self {
            Self::Owner => Where::Inline,
            Self::Thread(..) => Where::Pool,
            Self::Queue => Where::Queue,
        }
    }
}

struct State {
    /// As long as the lock is held; [`Flow::phase`] has it otherwise. While it is `Parked` the wait
    /// queue entry is armed.
    phase: Phase,
    /// An operation that was begun.
    head: Option<Op>,
    /// Those behind it, by sequence number.
    queue: RBTree<u64, Op>,
    /// Of the first in `queue`, and of the next to come.
    first: u64,
    next: u64,
    /// Bytes of the arena in `head`, `queue` and what runs, but for what the owner has just begun; those
    /// of files take up nothing.
    bytes: u64,
    /// Bytes in `queue`, those of files too.
    waiting: u64,
    /// Whether the owner was shown that the flow is full.
    full: bool,
    /// Whether it was shown that the flow has something to do.
    busy: bool,
    /// Whether it was parked since it was idle.
    stuck: bool,
    leaving: bool,
    detached: bool,
    /// Bytes that are counted as an orphan's, if it is one.
    orphan: Option<u64>,
    /// Who runs it, or is about to, is to reset the connection with this.
    doomed: Option<Error>,
    /// When bytes last left, in jiffies.
    progress: usize,
    /// Sides whose shutdown is queued for a system call.
    shut: u8,
}

impl State {
    fn empty(&self) -> bool {
        self.head.is_none() && self.first == self.next
    }

    /// Whether an operation can be run now.
    fn ready(&self) -> bool {
        self.phase == Phase::Idle && self.empty() && !self.detached
    }

    /// Whether there is nothing to know of the flow but its phase.
    fn simple(&self) -> bool {
        self.empty()
            && !(self.full || self.busy || self.stuck || self.leaving || self.doomed.is_some())
    }

    fn pop(&mut self) -> Option<Op> {
        if let Some(op) = self.head.take() {
            return Some(op);
        }
        let (_, node) = self.queue.cursor_front()?.remove_current();
        self.first += 1;
        let op = node.to_key_value().1;
        self.waiting -= op.left();
        Some(op)
    }

    fn data_follows(&mut self) -> bool {
        self.queue
            .cursor_front()
            .is_some_and(|cursor| cursor.current().1.is_data())
    }
}

/// The write side of a registered TCP connection.
///
/// # Invariants
///
/// `ss` is attached to a socket until `State::detached`, and the flow, once shown, in the table of its
/// ring; while the phase is `Running` neither ends, since a close makes an orphan then.
#[pin_data]
#[repr(C)]
pub(crate) struct Flow {
    /// Stands first: C knows the flow by it, and frees the memory by it.
    #[pin]
    ss: Opaque<bindings::saio_sock>,
    phase: PhaseWord,
    /// Whose completion queue, arena and status words the flow uses.
    ring: Arc<Ring>,
    index: u16,
    generation: u16,
    /// As the phase says, for a look without the lock.
    failed: AtomicBool,
    /// The thread of a pool that ran it last.
    last: AtomicU32,
    #[pin]
    state: SpinLock<State>,
}

// SAFETY: The C side is made for any task; the rest is `Send` and `Sync`.
unsafe impl Send for Flow {}
// SAFETY: As above.
unsafe impl Sync for Flow {}

// SAFETY: `saio_sock_get` and `saio_sock_put` count references to the flow, and the last one
// drops it.
unsafe impl AlwaysRefCounted for Flow {
    fn inc_ref(&self) {
        // SAFETY: `self` is alive, so its count is not zero.
        unsafe { bindings::saio_sock_get(self.ss.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives a reference up.
        unsafe { bindings::saio_sock_put(obj.cast().as_ptr()) };
    }
}

impl Flow {
    /// Makes a flow of the socket `fd` of the current task, which is entry `index` of the ring's
    /// table in its generation `generation`.
    pub(crate) fn attach(
        ring: Arc<Ring>,
        fd: u32,
        index: u16,
        generation: u16,
    ) -> Result<ARef<Self>> {
        let flow = KBox::pin_init(
            pin_init!(Self {
                ss <- Opaque::ffi_init(|ss: *mut bindings::saio_sock| {
                    // SAFETY: `ss` is ours to initialise, and zeroed is what C asks for.
                    unsafe {
                        ss.write_bytes(0, 1);
                        (*ss).refs.refs.counter = 1;
                    }
                }),
                phase: PhaseWord::new(),
                ring,
                index,
                generation,
                failed: AtomicBool::new(false),
                last: AtomicU32::new(NOBODY),
                state <- new_spinlock!(State {
                    phase: Phase::Idle,
                    head: None,
                    queue: RBTree::new(),
                    first: 0,
                    next: 0,
                    bytes: 0,
                    waiting: 0,
                    full: false,
                    busy: false,
                    stuck: false,
                    leaving: false,
                    detached: false,
                    orphan: None,
                    doomed: None,
                    progress: 0,
                    shut: 0,
                }, "saio::Flow::state"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        // SAFETY: The flow is not moved any more: it is freed by its reference count.
        let raw = KBox::into_raw(unsafe { Pin::into_inner_unchecked(flow) });
        // SAFETY: `raw` is valid and its count is 1, which is ours.
        let flow = unsafe { ARef::from_raw(NonNull::new_unchecked(raw)) };
        // SAFETY: `ss` is as the function wants it.
        kernel::error::to_result(unsafe {
            bindings::saio_sock_attach(flow.ss.get(), flow.ring.link.home.as_ptr(), fd)
        })?;
        Ok(flow)
    }

    /// The flow that `ss` belongs to.
    ///
    /// # Safety
    ///
    /// `ss` must be the C side of a flow, and the caller must hold a reference to it for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ss: *mut bindings::saio_sock) -> &'a Self {
        // SAFETY: `ss` stands first in a `Flow` that lives for `'a` by the caller's promise.
        unsafe { &*ss.cast() }
    }

    /// Takes over a reference that C has.
    ///
    /// # Safety
    ///
    /// `ss` must be the C side of a flow, not null, and the reference the caller's.
    pub(crate) unsafe fn take(ss: *mut bindings::saio_sock) -> ARef<Self> {
        // SAFETY: By the caller's promise; `ss` stands first in a `Flow`.
        unsafe { ARef::from_raw(NonNull::new_unchecked(ss.cast())) }
    }

    /// Ends a flow whose last reference is gone.
    ///
    /// # Safety
    ///
    /// To be called once, by C, when the count has become zero.
    pub(crate) unsafe fn free(ss: *mut bindings::saio_sock) {
        // SAFETY: Nobody else has a reference. The memory stays until RCU readers, which look at
        // the C side only, have gone; that side has no drop glue.
        unsafe {
            core::ptr::drop_in_place(ss.cast::<Self>());
            bindings::saio_sock_free(ss);
        }
    }

    /// The reference by which entries name this flow.
    pub(crate) fn reference(&self) -> u32 {
        u32::from(self.generation) << 16 | u32::from(self.index)
    }

    fn set_status(&self, bits: u32) {
        let word = u32::from(self.generation) << 16 | USED | bits;
        self.ring
            .mem
            .status(self.index)
            .fetch_or(word, Ordering::Release);
    }

    fn clear_status(&self, bits: u32) {
        self.ring
            .mem
            .status(self.index)
            .fetch_and(!bits, Ordering::Release);
    }

    /// Shows the flow to the owner, before it knows the reference.
    pub(crate) fn show(&self) {
        self.set_status(0);
    }

    /// Whether `fd` of the current task is a descriptor of the flow's socket.
    pub(crate) fn has_descriptor(&self, fd: u32) -> bool {
        // SAFETY: The socket side is valid as long as the flow; the function looks the descriptor up itself.
        unsafe { bindings::saio_sock_has(self.ss.get(), fd) }
    }

    /// Whether the connection was reset.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Everything that the lock protects, and the phase, which nobody changes meanwhile.
    fn lock(&self) -> Locked<'_> {
        let mut st = self.state.lock();
        st.phase = self.phase.freeze();
        Locked { flow: self, st }
    }

    /// Makes the flow run for the owner, if nothing stands before what it brings.
    ///
    /// # Safety
    ///
    /// Until this returns the caller must keep the flow from being dropped; from then on the table of
    /// its ring does, which must outlive `'a`.
    #[inline]
    pub(crate) unsafe fn begin<'a>(&self) -> Option<Begun<'a>> {
        if !self.phase.begin() && !self.begin_locked() {
            return None;
        }
        // SAFETY: By the type invariant it is not detached, and so not taken out of the table, until its
        // phase is not `Running` any more. That is the runner's to change, and nobody touches the flow
        // after that.
        let flow = unsafe { &*ptr::from_ref(self) };
        // INVARIANT: The phase has just become `Running`.
        Some(Begun(flow))
    }

    /// Somebody has looked at the flow, or has to.
    #[cold]
    fn begin_locked(&self) -> bool {
        let mut st = self.lock();
        let idle = st.ready();
        if idle {
            st.phase = Phase::Running;
        }
        idle
    }

    /// Makes the flow run `op` for somebody else than the owner, who is shown that, if nothing stands
    /// before it: then [`Self::carry`] has to follow, otherwise [`Self::enqueue`].
    pub(crate) fn begin_shown(&self, op: &Op) -> bool {
        let mut st = self.lock();
        if !st.ready() {
            return false;
        }
        st.phase = Phase::Running;
        st.bytes = op.held();
        self.show_busy(&mut st);
        true
    }

    /// Puts `op` behind what the flow holds and sees to it that the pool or the workqueue runs it.
    /// What can be said of its result is that it will be done.
    ///
    /// `ENOMEM`: the flow is as it was, and the operation lost.
    pub(crate) fn enqueue(&self, mut op: Op, gfp: Flags) -> Result {
        let place = RBTreeNodeReservation::new(gfp)?;
        if op.cred.is_none() {
            op.cred = Some(Cred::current());
        }
        op.since = glue::clock();

        let mut st = self.lock();
        if st.phase == Phase::Failed || st.detached {
            let err = if st.detached {
                EBADF
            } else {
                errno::ecanceled()
            };
            drop(st);
            self.complete(&op, err.to_errno().into(), Runner::Queue);
            return Ok(());
        }
        let limit = u64::from(self.ring.mem.layout.flow_limit);
        let over = op.is_data() && st.bytes > 2 * limit;
        st.bytes += op.held();
        st.waiting += op.left();
        if st.waiting > limit {
            self.show_full(&mut st);
        }
        let seq = st.next;
        st.next += 1;
        st.queue.insert(place.into_node(seq, op));
        self.show_busy(&mut st);
        self.ring.link.waiting.fetch_add(1, Ordering::Relaxed);
        if st.phase == Phase::Idle {
            self.kick(0);
        }
        drop(st);
        if over {
            // What does not fit was promised nevertheless, by a library with a fault.
            self.abort(errno::enobufs());
        }
        Ok(())
    }

    /// Tells the owner that what is taken off the queue from now on may not be done.
    fn show_busy(&self, st: &mut State) {
        if !st.busy {
            st.busy = true;
            self.set_status(BUSY);
        }
    }

    /// Tells the owner that nothing of the arena is in use any more.
    fn clear_busy(&self, st: &mut State) {
        if st.busy {
            st.busy = false;
            self.clear_status(BUSY);
        }
    }

    /// Tells owner and pollers that the flow takes no more.
    fn show_full(&self, st: &mut State) {
        if !st.full {
            st.full = true;
            self.mark(bindings::saio_sock_bit_SAIO_SOCK_FULL_BIT, true);
            self.set_status(FULL);
        }
    }

    fn clear_full(&self, st: &mut State) -> bool {
        if !st.full {
            return false;
        }
        st.full = false;
        // In this order: who sees the socket writable must not find the word say otherwise.
        self.clear_status(FULL);
        self.mark(bindings::saio_sock_bit_SAIO_SOCK_FULL_BIT, false);
        true
    }

    fn mark(&self, bit: bindings::saio_sock_bit, on: bool) {
        // SAFETY: `ss` is alive.
        unsafe { bindings::saio_sock_set(self.ss.get(), bit, on) };
    }

    fn is_marked(&self, bit: bindings::saio_sock_bit) -> bool {
        // SAFETY: `ss` is alive, and the word is only changed by atomic operations.
        unsafe { (&raw const (*self.ss.get()).state).read_volatile() & 1 << bit != 0 }
    }

    fn kick(&self, delay: usize) {
        // SAFETY: The flow is attached, so its work is set up.
        unsafe { bindings::saio_sock_kick(self.ss.get(), delay as _) };
    }

    fn unpark(&self) {
        // SAFETY: The caller holds the state lock of a parked flow.
        unsafe { bindings::saio_sock_unpark(self.ss.get()) };
    }
}
