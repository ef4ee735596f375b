// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel for tests: it takes the entries of one ring by the rules of docs/abi.md, but runs none,
//! unless it is told to run ordinary ones ([`Kernel::run_calls`]).
//! Of those of flows it knows which bytes leave, and what TCP would hold back.
//! Its pool is whoever calls [`Kernel::take`] and [`Kernel::work`], from any thread.

mod state;

use std::io;
use std::mem::{self, offset_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use saio_logic::chain::Chain;
use saio_logic::ring::{awake, NEED_WAKEUP};

use crate::flow::{FlowRef, Health};
use crate::sys::{self, saio_cqe, saio_params, saio_ring, saio_sqe};
use state::{Op, State};

/// Page of the mapping.
const PAGE: u32 = 4096;

// Where the words are.
const SQ_HEAD: usize = offset_of!(saio_ring, sq_head);
const SQ_FLAGS: usize = offset_of!(saio_ring, sq_flags);
const SQ_TAIL: usize = offset_of!(saio_ring, sq_tail);
const CQ_HEAD: usize = offset_of!(saio_ring, cq_head);
const CQ_TAIL: usize = offset_of!(saio_ring, cq_tail);

/// What stands for the kernel behind a [`crate::ring::Ring`].
///
/// # Invariants
///
/// The offsets in `params` lie within the mapping at `base`, which lives as long as the value.
#[derive(Debug)]
pub struct Kernel {
    base: NonNull<u8>,
    params: saio_params,
    /// Who has it may take entries.
    gate: Mutex<State>,
}

/// What TCP knows of a flow's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// `TCP_CORK` is set.
    pub corked: bool,
    /// There are bytes that wait for more.
    pub holds: bool,
}

impl Socket {
    fn cork(&mut self, on: bool) {
        self.corked = on;
        self.holds &= on;
    }
}

// SAFETY: of the mapping, words are used atomically; entries are read, and completions written,
// under the lock, and the other side uses neither at that time by the protocol of the queues.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

impl Kernel {
    pub(crate) fn new(mut params: saio_params) -> io::Result<Self> {
        params.sq_off = size_of::<saio_ring>() as u32;
        params.cq_off = params.sq_off + params.sq_entries * size_of::<saio_sqe>() as u32;
        params.flow_off = params.cq_off + params.cq_entries * size_of::<saio_cqe>() as u32;
        params.arena_off = (params.flow_off + params.flows * 4).next_multiple_of(PAGE);
        params.map_size = params.arena_off + params.arena_size;
        let kernel = Self {
            base: sys::map(None, params.map_size as usize)?,
            params,
            gate: Mutex::new(State::new(&params)),
        };
        kernel.doze();
        Ok(kernel)
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn params(&self) -> &saio_params {
        &self.params
    }

    pub(crate) fn enter(&self, to_submit: u32) -> isize {
        let mut state = self.state();
        let (n, by_rules) = mem::replace(&mut state.race, (0, true));
        state.take(self, n, by_rules);
        if let Some(errno) = state.refusals.pop_front() {
            return -errno as isize;
        }
        let mut taken = 0;
        match state.run(self, to_submit, &mut taken) {
            Err(errno) if taken == 0 => -errno as isize,
            _ => taken as isize,
        }
    }

    pub(crate) fn wake(&self) -> isize {
        self.state().wakeups += 1;
        self.look();
        0
    }

    /// The pool takes up to `n` entries, as far as it may. Returns how many.
    pub fn take(&self, n: u32) -> u32 {
        self.state().take(self, n, true)
    }

    /// The pool runs up to `n` operations that were taken.
    pub fn work(&self, n: u32) {
        let mut state = self.state();
        for _ in 0..n {
            let Some(op) = state.handed.pop_front() else {
                return;
            };
            state.carry(self, &op);
            if !state.handed.iter().any(|other| other.flow() == op.flow()) {
                let busy = self.flow_word(op.flow());
                busy.fetch_and(!sys::SAIO_FLOW_BUSY, Ordering::Release);
            }
        }
    }

    /// A `setsockopt` of `TCP_CORK` that is no entry: it overtakes those that have not run.
    pub fn cork(&self, index: usize, on: bool) {
        self.state().sockets[index].cork(on);
    }

    /// The socket of a flow.
    pub fn socket(&self, index: usize) -> Socket {
        self.state().sockets[index]
    }

    /// All bytes of the arena that a flow has sent.
    pub fn sent(&self, index: usize) -> Vec<u8> {
        self.state().sent[index].clone()
    }

    /// From now on ordinary entries are run, as system calls of the thread that enters, and chains
    /// are minded.
    ///
    /// # Safety
    ///
    /// What the owner publishes must be good for that.
    pub unsafe fn run_calls(&self) {
        self.state().chain = Some(Chain::new());
    }

    /// A flow in the first free slot, of a new generation.
    pub(crate) fn register(&self) -> io::Result<FlowRef> {
        let word = |index| self.flow_word(index).load(Ordering::Relaxed);
        let index = (0..self.params.flows as usize)
            .find(|index| word(*index) & sys::SAIO_FLOW_USED == 0)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        let generation = (word(index) >> 16).max(1);
        self.set_flow_word(index, generation << 16 | sys::SAIO_FLOW_USED);
        Ok(FlowRef::from_raw(generation << 16 | index as u32))
    }

    /// Whether a flow has ended.
    pub fn flow_ended(&self, raw: u32) -> bool {
        let flow = FlowRef::from_raw(raw);
        flow.health(self.flow_word(flow.index()).load(Ordering::Acquire)) == Health::Gone
    }

    /// Ends a flow: its slot is free.
    pub(crate) fn unregister(&self, flow: FlowRef) -> io::Result<()> {
        let generation = flow.raw() >> 16;
        if self.flow_word(flow.index()).load(Ordering::Relaxed) >> 16 != generation {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        self.set_flow_word(flow.index(), (generation + 1) << 16);
        Ok(())
    }

    /// The next call of the owner comes after the pool has taken `n` entries more.
    pub fn race(&self, n: u32) {
        self.state().race = (n, true);
    }

    /// The next call of the owner comes after everything was taken, also what the rules leave in
    /// the queue.
    pub fn break_rules(&self) {
        self.state().race = (u32::MAX, false);
    }

    /// The next call of the owner does nothing and fails.
    pub fn refuse(&self, errno: i32) {
        self.state().refusals.push_back(errno);
    }

    /// A signal comes when the owner has run `n` entries more.
    pub fn interrupt(&self, n: u32) {
        self.state().signal = Some(n);
    }

    /// A thread looks at the queue: what the owner brings is handed to the pool.
    pub fn look(&self) {
        awake(self.word(SQ_FLAGS));
    }

    /// No thread looks at the queue: the owner runs what it brings.
    pub fn doze(&self) {
        self.word(SQ_FLAGS).fetch_or(NEED_WAKEUP, Ordering::SeqCst);
    }

    /// Writes the status word of a flow.
    pub fn set_flow_word(&self, index: usize, word: u32) {
        self.flow_word(index).store(word, Ordering::Release);
    }

    fn flow_word(&self, index: usize) -> &AtomicU32 {
        assert!(index < self.params.flows as usize);
        self.word(self.params.flow_off as usize + index * 4)
    }

    /// Entries that have run, in that order; they are forgotten here.
    pub fn ran(&self) -> Vec<saio_sqe> {
        mem::take(&mut self.state().ran)
    }

    /// How many entries were taken and have not run: ordinary ones, and those of flows.
    pub fn held(&self) -> (usize, usize) {
        let state = self.state();
        let handed: u32 = state.handed.iter().map(Op::entries).sum();
        (state.aside.len(), handed as usize)
    }

    /// How often the owner has called for the pool.
    pub fn wakeups(&self) -> u32 {
        self.state().wakeups
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: by the invariant, for the offsets that are used in this module.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    fn looks(&self) -> bool {
        let flags = self.word(SQ_FLAGS);
        flags.load(Ordering::SeqCst) & NEED_WAKEUP == 0
    }

    fn sqe(&self, slot: u32) -> saio_sqe {
        let slot = slot & (self.params.sq_entries - 1);
        let offset = self.params.sq_off as usize + slot as usize * size_of::<saio_sqe>();
        // SAFETY: a slot of the queue, by the invariant.
        unsafe { self.base.as_ptr().add(offset).cast::<saio_sqe>().read() }
    }

    /// Bytes of the arena.
    fn bytes(&self, offset: u64, len: u64) -> &[u8] {
        let (place, len) = (offset as usize, len as usize);
        assert!(place + len <= self.params.arena_size as usize);
        let place = self.params.arena_off as usize + place;
        // SAFETY: within the mapping, as just seen. Its owner does not write to what it published.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(place), len) }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // SAFETY: the ring, which is the other user, keeps a reference to this.
        unsafe { sys::unmap(self.base, self.params.map_size as usize) };
    }
}
