// SPDX-License-Identifier: GPL-2.0

//! Flows: the write sides of registered TCP connections.
//!
//! Whoever brings a flow from idle or parked to running (the owner within `saio_enter`, or the
//! workqueue) runs its operations in order, without a lock, until there are none, or until the
//! socket takes no more; then the flow is parked, and a wait queue entry calls the workqueue.
//!
//! A flow is *leaving* once nobody may add to it: its descriptor is closed, its owner is gone, or
//! it was unregistered. What it holds still leaves; when it is idle it is detached from its socket.
//!
//! Lock order:
//!
//! 1. `Ring::flows`
//! 2. `Flow::state`
//! 3. `Ring::cq`, wait queue of the socket

use crate::{
    errno,
    glue::{self, Cred},
    op::{Op, Outcome},
    ring::Ring,
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
use kernel::{
    bindings, new_spinlock,
    prelude::*,
    rbtree::{RBTree, RBTreeNodeReservation},
    sync::{
        lock::{spinlock::SpinLockBackend, Guard},
        Arc, SpinLock,
    },
    time::msecs_to_jiffies,
    types::{ARef, AlwaysRefCounted, Opaque},
};

/// Longest time without progress of a flow whose owner is gone, in seconds.
const PATIENCE_SECS: usize = 60;
/// Most orphans in all, and most bytes that they may hold.
const MAX_ORPHANS: usize = 4096;
const MAX_ORPHAN_BYTES: u64 = 64 << 20;

static ORPHANS: AtomicUsize = AtomicUsize::new(0);
static ORPHAN_BYTES: AtomicU64 = AtomicU64::new(0);

/// Bits of a status word (`SAIO_FLOW_*`).
const USED: u32 = bindings::SAIO_FLOW_USED;
const STALE: u32 = bindings::SAIO_FLOW_STALE;
const FULL: u32 = bindings::SAIO_FLOW_FULL;
const FAILED: u32 = bindings::SAIO_FLOW_FAILED;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing to run.
    Idle,
    /// Somebody runs operations.
    Running,
    /// The head waits for the socket; the wait queue entry is armed.
    Parked,
    /// The connection was reset.
    Failed,
}

struct State {
    phase: Phase,
    /// An operation that was begun.
    head: Option<Op>,
    /// Those behind it, by sequence number.
    queue: RBTree<u64, Op>,
    next: u64,
    /// Bytes of the arena in `head` and `queue`; those of files take up nothing.
    bytes: u64,
    /// Whether the owner was shown that the flow is full.
    full: bool,
    leaving: bool,
    detached: bool,
    /// Bytes counted in `ORPHAN_BYTES`, if this is an orphan.
    orphan: Option<u64>,
    /// Too much is orphaned already: give up instead of waiting.
    doomed: bool,
    /// When bytes last left, in jiffies.
    progress: usize,
    /// Sides whose shutdown is queued for a system call.
    shut: u8,
}

fn patience() -> usize {
    msecs_to_jiffies(PATIENCE_SECS as u32 * 1000) as usize
}

impl State {
    fn empty(&self) -> bool {
        self.head.is_none() && self.queue.iter().next().is_none()
    }

    fn pop(&mut self) -> Option<Op> {
        if let Some(op) = self.head.take() {
            return Some(op);
        }
        let (_, node) = self.queue.cursor_front()?.remove_current();
        Some(node.to_key_value().1)
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
/// `ss` is attached to a socket until `State::detached`; while the phase is `Running` the socket
/// is not released, since a close makes an orphan then.
#[pin_data]
#[repr(C)]
pub(crate) struct Flow {
    /// Stands first: C knows the flow by it, and frees the memory by it.
    #[pin]
    ss: Opaque<bindings::saio_sock>,
    /// Whose completion queue, arena and status words the flow uses.
    ring: Arc<Ring>,
    index: u16,
    generation: u16,
    /// As the phase says, for a look without the lock.
    failed: AtomicBool,
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
                ring,
                index,
                generation,
                failed: AtomicBool::new(false),
                state <- new_spinlock!(State {
                    phase: Phase::Idle,
                    head: None,
                    queue: RBTree::new(),
                    next: 0,
                    bytes: 0,
                    full: false,
                    leaving: false,
                    detached: false,
                    orphan: None,
                    doomed: false,
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
        kernel::error::to_result(unsafe { bindings::saio_sock_attach(flow.ss.get(), fd) })?;
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

    /// Whether the connection was reset.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Runs `op` now if nothing stands before it, otherwise queues it; `follows` says that more
    /// bytes come at once. To be called by the owner.
    ///
    /// Returns what can be said of the result: of an operation that waits for the socket, that
    /// it will be done. `ENOMEM`: the flow is as it was, and the operation lost.
    #[inline]
    pub(crate) fn submit(&self, mut op: Op, follows: bool) -> Result<i64> {
        let total = op.left() as i64;
        let mut st = self.state.lock();
        if st.phase != Phase::Idle || !st.empty() || st.detached {
            drop(st);
            self.enqueue(op)?;
            return Ok(total);
        }
        st.phase = Phase::Running;
        st.bytes = op.held();
        drop(st);

        // SAFETY: The phase is `Running`, so by the type invariant the socket is there, and nobody
        // else runs operations.
        let outcome = unsafe { op.run(self.ss.get(), &self.ring.mem, follows) };
        if let Outcome::Done(result) = outcome {
            let st = self.state.lock();
            if st.empty() && !st.doomed {
                self.rest(st);
                self.complete(op, result);
                return Ok(result);
            }
            drop(st);
        }
        let (answer, on) = self.ran(op, 0, outcome);
        if on {
            self.drain();
        }
        Ok(answer)
    }

    /// Puts `op` behind what the flow holds and sees to it that the workqueue runs it.
    ///
    /// `ENOMEM`: the flow is as it was, and the operation lost.
    pub(crate) fn enqueue(&self, mut op: Op) -> Result {
        let place = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        if op.cred.is_none() {
            op.cred = Some(Cred::current());
        }

        let mut st = self.state.lock();
        if st.phase == Phase::Failed || st.detached {
            let err = if st.detached {
                EBADF
            } else {
                errno::ecanceled()
            };
            drop(st);
            self.complete(op, err.to_errno().into());
            return Ok(());
        }
        let over = op.is_data() && st.bytes > 2 * u64::from(self.ring.mem.layout.flow_limit);
        st.bytes += op.held();
        let seq = st.next;
        st.next += 1;
        st.queue.insert(place.into_node(seq, op));
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

    /// Runs what the flow holds, for whom each operation belongs to. The caller has made the phase
    /// `Running`.
    fn drain(&self) {
        loop {
            let mut st = self.state.lock();
            if st.doomed {
                drop(st);
                return self.fail(None, errno::enobufs());
            }
            let Some(mut op) = st.pop() else {
                return self.rest(st);
            };
            let follows = st.data_follows();
            drop(st);

            let before = op.done;
            let cred = op.cred.take();
            // SAFETY: The phase is `Running`, so by the type invariant the socket is there, and
            // nobody else runs operations.
            let mut run = || unsafe { op.run(self.ss.get(), &self.ring.mem, follows) };
            let outcome = match &cred {
                Some(cred) => cred.with(run),
                None => run(),
            };
            op.cred = cred;
            if !self.ran(op, before, outcome).1 {
                return;
            }
        }
    }

    /// Does what follows from how `op` ran, of which `before` bytes had left already: returns what
    /// can be said of its result, and whether the flow is still running.
    fn ran(&self, mut op: Op, before: u64, outcome: Outcome) -> (i64, bool) {
        match outcome {
            Outcome::Done(result) => {
                let mut st = self.state.lock();
                st.bytes = st.bytes.saturating_sub(op.held());
                drop(st);
                self.complete(op, result);
                (result, true)
            }
            Outcome::Failed(err) => {
                self.fail(Some(op), err);
                (err.to_errno().into(), false)
            }
            Outcome::Again | Outcome::Interrupted => {
                let answer = op.total as i64;
                let moved = op.done - before;
                op.cred.get_or_insert_with(Cred::current);
                if let Err(op) = self.park(op, moved, matches!(outcome, Outcome::Interrupted)) {
                    self.fail(Some(op), errno::etimedout());
                }
                (answer, false)
            }
        }
    }

    /// Lets the flow wait for the socket with `op` at its head; gives `op` back if it has waited
    /// too long.
    fn park(&self, op: Op, moved: u64, kick: bool) -> core::result::Result<(), Op> {
        let mut st = self.state.lock();
        let now = glue::jiffies();
        if moved != 0 || !st.full {
            st.progress = now;
        }
        if st.doomed || self.alone(&st) && now.wrapping_sub(st.progress) > patience() {
            return Err(op);
        }
        st.head = Some(op);
        st.phase = Phase::Parked;
        if !st.full {
            st.full = true;
            self.mark(bindings::saio_sock_bit_SAIO_SOCK_FULL_BIT, true);
            self.set_status(FULL);
        }
        // SAFETY: The flow is attached, and its state lock is held.
        let writable = unsafe { bindings::saio_sock_park(self.ss.get()) };
        if writable || kick {
            self.kick(1);
        } else if self.alone(&st) {
            self.remind();
        }
        Ok(())
    }

    /// Whether nobody is left who could give up waiting for the peer.
    fn alone(&self, st: &State) -> bool {
        st.orphan.is_some() || self.ring.is_dead()
    }

    /// The flow has become idle.
    fn rest(&self, mut st: Guard<'_, State, SpinLockBackend>) {
        st.phase = Phase::Idle;
        st.bytes = 0;
        let edge = self.clear_full(&mut st);
        // Who is turned away from now on looks once more and finds the flow idle.
        if edge || self.is_marked(bindings::saio_sock_bit_SAIO_SOCK_WANTED_BIT) {
            // SAFETY: The flow is attached; under its state lock it stays so.
            unsafe { bindings::saio_sock_idle(self.ss.get(), edge) };
        }
        if st.leaving {
            self.part(st);
        }
    }

    /// Detaches the flow, which is idle or failed and leaving, unless entries that the owner has
    /// published and not handed over yet name it.
    fn part(&self, mut st: Guard<'_, State, SpinLockBackend>) {
        if st.detached || !matches!(st.phase, Phase::Idle | Phase::Failed) {
            return;
        }
        if st.phase == Phase::Idle && self.ring.names(self.reference()) {
            if st.orphan.is_some() {
                self.remind();
            }
            return;
        }
        st.detached = true;
        if let Some(bytes) = st.orphan.take() {
            ORPHANS.fetch_sub(1, Ordering::Relaxed);
            ORPHAN_BYTES.fetch_sub(bytes, Ordering::Relaxed);
        }
        // SAFETY: The flow is attached, and its state lock is held; this happens once.
        unsafe { bindings::saio_sock_detach(self.ss.get()) };
        drop(st);
        self.ring.forget(self.index, self.generation);
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

    /// Resets the connection because `op`, or what was promised, cannot be done. The caller has
    /// made the phase `Running`.
    fn fail(&self, op: Option<Op>, err: Error) {
        self.set_status(FAILED);
        self.failed.store(true, Ordering::Relaxed);
        // SAFETY: The phase is `Running`, so the socket is there.
        unsafe { bindings::saio_sock_fail(self.ss.get(), -err.to_errno()) };
        if let Some(op) = op {
            self.complete(op, err.to_errno().into());
        }
        loop {
            let mut st = self.state.lock();
            if let Some(op) = st.pop() {
                drop(st);
                self.complete(op, errno::ecanceled().to_errno().into());
                continue;
            }
            st.phase = Phase::Failed;
            st.bytes = 0;
            self.clear_full(&mut st);
            // SAFETY: The flow is attached; under its state lock it stays so.
            unsafe { bindings::saio_sock_idle(self.ss.get(), true) };
            if st.leaving {
                self.part(st);
            }
            return;
        }
    }

    /// Resets the connection because an entry of the owner cannot even be queued.
    pub(crate) fn abort(&self, err: Error) {
        let mut st = self.state.lock();
        match st.phase {
            Phase::Failed => return,
            Phase::Running => {
                st.doomed = true;
                return;
            }
            Phase::Parked => self.unpark(),
            Phase::Idle => {}
        }
        if st.detached {
            return;
        }
        st.phase = Phase::Running;
        drop(st);
        self.fail(None, err);
    }

    #[inline]
    fn complete(&self, op: Op, result: i64) {
        op.complete(result, &self.ring);
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

    /// Has the workqueue look after the patience with the peer has ended.
    fn remind(&self) {
        let delay = msecs_to_jiffies(PATIENCE_SECS as u32 * 1000 + 100);
        // SAFETY: The flow is attached, so its work is set up.
        unsafe { bindings::saio_sock_remind(self.ss.get(), delay as _) };
    }

    fn unpark(&self) {
        // SAFETY: The caller holds the state lock of a parked flow.
        unsafe { bindings::saio_sock_unpark(self.ss.get()) };
    }

    /// The workqueue's turn.
    pub(crate) fn work(&self) {
        let mut st = self.state.lock();
        match st.phase {
            Phase::Parked => self.unpark(),
            Phase::Idle if st.detached => return,
            Phase::Idle if !st.empty() => {}
            // An orphan that waits for what its owner has published and does not let go.
            Phase::Idle if st.orphan.is_some() => {
                let waited = glue::jiffies().wrapping_sub(st.progress);
                if !st.doomed && waited <= patience() {
                    self.remind();
                    return;
                }
                st.doomed = true;
            }
            _ => return,
        }
        st.phase = Phase::Running;
        drop(st);
        self.drain();
    }

    /// Whether the owner has published something that was not handed over. What stands in a batch
    /// behind the call that is running comes after it.
    fn pending(&self) -> bool {
        !self.ring.dispatching_here() && self.ring.names(self.reference())
    }

    /// Whether anything that was published has not run; then the one who asks has to wait until
    /// the flow is idle.
    pub(crate) fn busy(&self) -> bool {
        self.ring.hand_over();
        let st = self.state.lock();
        match st.phase {
            Phase::Failed => false,
            _ if st.detached => false,
            Phase::Idle if st.empty() => self.pending(),
            _ => true,
        }
    }

    /// The last descriptor is closed. Returns whether the socket has to live on.
    pub(crate) fn closed(&self) -> bool {
        self.ring.hand_over();
        let mut st = self.state.lock();
        if st.detached {
            return false;
        }
        st.leaving = true;
        // Under the lock: whoever dispatches meanwhile comes later, and sees that it is leaving.
        let pending = self.pending();
        st.progress = glue::jiffies();
        if st.phase == Phase::Failed || st.phase == Phase::Idle && st.empty() && !pending {
            // What is named from here on was published after the close.
            st.phase = Phase::Failed;
            self.part(st);
            return false;
        }

        let bytes = st.bytes;
        let number = ORPHANS.fetch_add(1, Ordering::Relaxed);
        let held = ORPHAN_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes;
        st.orphan = Some(bytes);
        // SAFETY: The flow is attached, and the holder's file is being released.
        unsafe { bindings::saio_sock_adopt(self.ss.get()) };
        if number >= MAX_ORPHANS || held > MAX_ORPHAN_BYTES {
            st.doomed = true;
            self.kick(0);
        } else {
            self.remind();
        }
        true
    }

    /// Nobody is to add to the flow any more; it ends when what it holds has left.
    pub(crate) fn leave(&self) {
        let mut st = self.state.lock();
        st.leaving = true;
        match st.phase {
            Phase::Parked => {
                st.progress = glue::jiffies();
                self.remind();
            }
            Phase::Idle if !st.empty() => {}
            _ => self.part(st),
        }
    }

    /// Does what was put off while published entries named the flow.
    pub(crate) fn settle(&self) {
        let st = self.state.lock();
        if st.phase != Phase::Idle || !st.empty() {
            return;
        }
        if !st.detached {
            // SAFETY: Under its state lock a flow that is not detached stays attached.
            unsafe { bindings::saio_sock_idle(self.ss.get(), false) };
        }
        if st.leaving {
            self.part(st);
        }
    }

    /// A descriptor of the socket was closed in the owner's table.
    pub(crate) fn stale(&self) {
        let st = self.state.lock();
        if !st.detached {
            self.set_status(STALE);
        }
    }

    /// A system call wants to end the write side: `Ok(true)` if that was queued.
    pub(crate) fn shutdown(&self, how: i32) -> Result<bool> {
        if !self.busy() {
            return Ok(false);
        }
        if self.pending() {
            // Those entries have to be before it.
            return Err(EAGAIN);
        }
        let sides = (how + 1) as u8;
        {
            let mut st = self.state.lock();
            if st.detached {
                return Ok(false);
            }
            if st.shut & sides == sides {
                return Ok(true);
            }
            st.shut |= sides;
        }
        self.enqueue(Op::shutdown(how)).inspect_err(|_| {
            self.state.lock().shut &= !sides;
        })?;
        Ok(true)
    }
}
