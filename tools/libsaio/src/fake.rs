// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel for tests: it takes the entries of one ring by the rules of docs/abi.md, but runs none.
//! Of those of flows it knows what TCP would hold back.
//! Its pool is whoever calls [`Kernel::take`] and [`Kernel::work`], from any thread.

use std::collections::VecDeque;
use std::io;
use std::mem::{self, offset_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use saio_logic::ring::{awake, Consumer, Poster, NEED_WAKEUP};

use crate::sys::{self, saio_cqe, saio_params, saio_ring, saio_sqe};

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

/// An operation on a flow: an entry, or bytes and the file behind them, sent in one message.
#[derive(Debug)]
struct Op {
    sqe: saio_sqe,
    file: Option<saio_sqe>,
}

impl Op {
    fn entries(&self) -> u32 {
        1 + u32::from(self.file.is_some())
    }

    /// The slot of its flow.
    fn flow(&self) -> usize {
        (self.sqe.args[0] >> 32) as usize & 0xffff
    }

    /// Whether the message asks TCP to wait for more: that of two entries as the second does.
    fn more(&self) -> bool {
        let sqe = self.file.as_ref().unwrap_or(&self.sqe);
        calls(sqe, libc::SYS_sendto) && sqe.args[3] & libc::MSG_MORE as u64 != 0
    }
}

#[derive(Debug)]
struct State {
    consumer: Consumer,
    poster: Poster,
    /// Ordinary entries that were taken because of what is behind them.
    aside: VecDeque<saio_sqe>,
    /// Operations on flows that were taken and have not run.
    handed: VecDeque<Op>,
    ran: Vec<saio_sqe>,
    /// By the index of the flow.
    sockets: Vec<Socket>,
    /// Entries that are taken before the next call of the owner gets in, and whether by the rules.
    race: (u32, bool),
    /// What the next calls of the owner say instead of doing anything.
    refusals: VecDeque<i32>,
    /// A signal comes when the owner has run so many entries more.
    signal: Option<u32>,
    wakeups: u32,
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
            gate: Mutex::new(State {
                consumer: Consumer::new(params.sq_entries),
                poster: Poster::new(params.cq_entries),
                aside: VecDeque::new(),
                handed: VecDeque::new(),
                ran: Vec::new(),
                sockets: vec![Socket::default(); params.flows as usize],
                race: (0, true),
                refusals: VecDeque::new(),
                signal: None,
                wakeups: 0,
            }),
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

    fn flow_word(&self, index: usize) -> &AtomicU32 {
        assert!(index < self.params.flows as usize);
        self.word(self.params.flow_off as usize + index * 4)
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

    /// An `int` of the arena.
    fn int(&self, offset: u64) -> i32 {
        let place = offset as usize;
        assert!(place + size_of::<i32>() <= self.params.arena_size as usize);
        let place = self.params.arena_off as usize + place;
        // SAFETY: within the mapping, as just seen. Its owner does not write to what it published.
        unsafe { self.base.as_ptr().add(place).cast::<i32>().read_unaligned() }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // SAFETY: the ring, which is the other user, keeps a reference to this.
        unsafe { sys::unmap(self.base, self.params.map_size as usize) };
    }
}

impl State {
    fn published(&self, kernel: &Kernel) -> u32 {
        self.consumer.available(kernel.word(SQ_TAIL)).unwrap_or(0)
    }

    fn reserve(&mut self, kernel: &Kernel) -> bool {
        self.poster.reserve(1, kernel.word(CQ_HEAD)) == 1
    }

    fn take(&mut self, kernel: &Kernel, n: u32, by_rules: bool) -> u32 {
        let published = self.published(kernel);
        let behind = |i: &u32| is_flow(&kernel.sqe(self.consumer.slot().wrapping_add(*i)));
        let may = match by_rules {
            true => (0..published).rev().find(behind).map_or(0, |i| i + 1),
            false => published,
        };
        let n = n.min(may);
        let mut taken = 0;
        while taken < n {
            let sqe = kernel.sqe(self.consumer.slot());
            if !is_flow(&sqe) {
                self.aside.push_back(sqe);
                self.consumer.advance(kernel.word(SQ_HEAD));
                taken += 1;
            } else if self.reserve(kernel) {
                let op = self.op(kernel, n - taken);
                taken += op.entries();
                self.hand(kernel, op);
            } else {
                break;
            }
        }
        taken
    }

    /// Takes an entry of a flow, whose completion is set aside, and of `left` that may be taken
    /// the one behind it, if both are sent as one.
    fn op(&mut self, kernel: &Kernel, left: u32) -> Op {
        let sqe = kernel.sqe(self.consumer.slot());
        self.consumer.advance(kernel.word(SQ_HEAD));
        let mut file = None;
        if left > 1 && calls(&sqe, libc::SYS_sendto) {
            let next = kernel.sqe(self.consumer.slot());
            let fits = is_flow(&next) && calls(&next, libc::SYS_sendfile);
            if fits && next.args[0] == sqe.args[0] && self.reserve(kernel) {
                self.consumer.advance(kernel.word(SQ_HEAD));
                file = Some(next);
            }
        }
        Op { sqe, file }
    }

    /// The owner's call.
    fn run(&mut self, kernel: &Kernel, to_submit: u32, taken: &mut u32) -> Result<(), i32> {
        while let Some(sqe) = self.aside.front().copied() {
            self.may_go_on(kernel)?;
            self.aside.pop_front();
            self.finish(kernel, &sqe);
        }
        let n = to_submit.min(self.published(kernel));
        while *taken < n {
            self.may_go_on(kernel)?;
            let sqe = kernel.sqe(self.consumer.slot());
            if !is_flow(&sqe) {
                self.consumer.advance(kernel.word(SQ_HEAD));
                *taken += 1;
                self.finish(kernel, &sqe);
                continue;
            }
            let op = self.op(kernel, n - *taken);
            *taken += op.entries();
            let waits = |other: &Op| other.flow() == op.flow();
            if kernel.looks() || self.handed.iter().any(waits) {
                self.hand(kernel, op);
            } else {
                self.carry(kernel, &op);
            }
        }
        Ok(())
    }

    /// Whether the owner may take another entry, whose completion is set aside then.
    fn may_go_on(&mut self, kernel: &Kernel) -> Result<(), i32> {
        match &mut self.signal {
            Some(0) => {
                self.signal = None;
                return Err(libc::EINTR);
            }
            Some(n) => *n -= 1,
            None => {}
        }
        match self.reserve(kernel) {
            true => Ok(()),
            false => Err(libc::EBUSY),
        }
    }

    /// Leaves an operation to the pool.
    fn hand(&mut self, kernel: &Kernel, op: Op) {
        let busy = kernel.flow_word(op.flow());
        busy.fetch_or(sys::SAIO_FLOW_BUSY, Ordering::Release);
        self.handed.push_back(op);
    }

    /// Has an operation run, as far as TCP is concerned.
    fn carry(&mut self, kernel: &Kernel, op: &Op) {
        let sqe = &op.sqe;
        if let Some(socket) = self.sockets.get_mut(op.flow()) {
            if !calls(sqe, libc::SYS_setsockopt) {
                socket.holds = socket.corked || op.more();
            } else if sqe.args[2] == libc::TCP_CORK as u64 {
                socket.cork(kernel.int(sqe.args[3]) != 0);
            }
        }
        self.finish(kernel, sqe);
        if let Some(file) = &op.file {
            self.finish(kernel, file);
        }
    }

    /// Notes that an entry has run, as well as can be, and completes it.
    fn finish(&mut self, kernel: &Kernel, sqe: &saio_sqe) {
        self.ran.push(*sqe);
        if sqe.flags & sys::SQE_SKIP_SUCCESS != 0 {
            return self.poster.cancel(1);
        }
        let cqe = saio_cqe {
            user_data: sqe.user_data,
            res: 0,
        };
        let slot = self.poster.slot() as usize;
        let offset = kernel.params.cq_off as usize + slot * size_of::<saio_cqe>();
        // SAFETY: a slot of the queue, by the invariant of the kernel, and reserved.
        unsafe {
            kernel
                .base
                .as_ptr()
                .add(offset)
                .cast::<saio_cqe>()
                .write(cqe)
        };
        self.poster.post(kernel.word(CQ_TAIL));
    }
}

fn calls(sqe: &saio_sqe, nr: libc::c_long) -> bool {
    i64::from(sqe.nr) == nr
}

fn is_flow(sqe: &saio_sqe) -> bool {
    sqe.flags & sys::SQE_FLOW != 0
}
