// SPDX-License-Identifier: MIT OR Apache-2.0

//! The engine of a thread: its ring, and what is queued in it.

use std::ffi::{c_int, c_long};
use std::ptr::NonNull;

use saio::arena::Arena;
use saio::flow::{FlowRef, Health};
use saio::ring::Ring;
use saio::sys::{self, saio_sqe};

use crate::cork::Cork;
use crate::stats::{bump, Counters, Flush};
use crate::tag::Tag;
use crate::{fds, say, tls};

/// Entries of a ring; leaves room beyond [`MAX_BATCH`] for corks and the wait.
pub const SQ_ENTRIES: u32 = 256;
/// Completions of a ring: parked entries must not stop new ones. The arena has room for a quarter
/// as many, and few of them come with more than a file and an option.
pub const CQ_ENTRIES: u32 = 4096;
/// Entries of flows that may wait; a batch more must fit.
const MOST_OUTSTANDING: u32 = CQ_ENTRIES - SQ_ENTRIES;
/// Flows of a ring.
pub const MAX_FLOWS: usize = 1024;
/// Corks held back at a time.
pub const MAX_CORKED: usize = 32;
/// Closes put off at a time.
pub const MAX_CLOSING: usize = 128;

/// A batch is flushed at this many entries.
const MAX_BATCH: u32 = 128;
/// A batch is flushed when this old, in nanoseconds.
const MAX_AGE: u64 = 2_000_000;
/// How often the age is looked at, in entries; a power of two.
const AGE_EVERY: u32 = 32;

const ALIVE: u64 = 0x5341_494f_5249_4e47;

/// What is known of a flow besides the status word.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The descriptor it was registered by.
    pub fd: c_int,
    pub flow: FlowRef,
    /// Batch that `bytes` belongs to.
    pub batch: u32,
    /// Bytes queued in that batch.
    pub bytes: u32,
    pub cork: Cork,
    /// The last write had `MSG_MORE`.
    pub more: bool,
    /// Entries queued that tell nothing when they are done.
    pub silent: u16,
}

impl Flow {
    /// Nothing.
    pub const NONE: Self = Self {
        fd: -1,
        flow: FlowRef::from_raw(0),
        batch: 0,
        bytes: 0,
        cork: Cork::Unknown,
        more: false,
        silent: 0,
    };
}

/// The engine. Its memory is wiped in a forked child, where it is not [`Self::alive`]
/// therefore (see [`Self::alive_at`]), and is never freed.
pub struct Engine {
    alive: u64,
    /// Number of the thread.
    pub id: u32,
    pub ring: Ring,
    pub arena: Arena,
    /// Arena offset of two `int`s, 1 and 0, for options.
    pub constants: u64,
    /// Number of the batch being collected.
    pub batch: u32,
    /// Entries published and not known to have been taken.
    pub queued: u32,
    /// Entries with bytes of the arena whose completion has not been seen.
    pub outstanding: u32,
    /// At least as many others as have not run: the kernel keeps a completion for each of them too.
    pub silent: u32,
    /// When the oldest entry was queued.
    pub born: u64,
    /// Result of the wait, once it completed.
    pub waited: Option<i64>,
    /// Waits may be entries.
    pub merge: bool,
    pub closing: [c_int; MAX_CLOSING],
    pub closings: usize,
    /// Flows with a virtual cork.
    pub corked: [u16; MAX_CORKED],
    pub corks: usize,
    pub flows: [Flow; MAX_FLOWS],
    pub counters: &'static Counters,
}

impl Engine {
    /// An engine on a new ring.
    pub fn new(
        id: u32,
        ring: Ring,
        arena: Arena,
        constants: u64,
        counters: &'static Counters,
    ) -> Self {
        Self {
            alive: ALIVE,
            id,
            ring,
            arena,
            constants,
            batch: 1,
            queued: 0,
            outstanding: 0,
            silent: 0,
            born: 0,
            waited: None,
            merge: true,
            closing: [-1; MAX_CLOSING],
            closings: 0,
            corked: [0; MAX_CORKED],
            corks: 0,
            flows: [Flow::NONE; MAX_FLOWS],
            counters,
        }
    }

    /// Whether the ring can be used.
    #[inline]
    pub fn alive(&self) -> bool {
        self.alive == ALIVE
    }

    /// Whether an engine is there and its ring can be used.
    ///
    /// # Safety
    ///
    /// `engine` must have been one in this process or, before a fork, in its parent.
    #[inline]
    pub unsafe fn alive_at(engine: NonNull<Self>) -> bool {
        // SAFETY: engines are never freed. In a forked child this memory is all zeros, which
        // is no engine: no reference to it is made.
        unsafe { (&raw const (*engine.as_ptr()).alive).read() == ALIVE }
    }

    /// Whether nothing waits for a flush.
    #[inline]
    pub fn idle(&self) -> bool {
        self.queued == 0 && self.corks == 0
    }

    /// Publishes an entry. `false` if there is no room for it.
    #[inline]
    pub fn push(&mut self, entry: &saio_sqe) -> bool {
        if !self.ring.push(entry) {
            return false;
        }
        if self.queued == 0 {
            self.born = now();
        }
        self.queued += 1;
        true
    }

    /// Flushes if the batch is long or old. For the end of each operation.
    #[inline]
    pub fn tick(&mut self) {
        if self.queued >= MAX_BATCH {
            self.flush(Flush::Count);
        } else if self.queued & (AGE_EVERY - 1) == 0 && now().wrapping_sub(self.born) > MAX_AGE {
            self.flush(Flush::Age);
        }
    }

    /// Whether another flow entry may be queued; flushes to make room.
    #[inline]
    pub fn room(&mut self) -> bool {
        self.outstanding + self.silent < MOST_OUTSTANDING || self.make_room()
    }

    #[cold]
    fn make_room(&mut self) -> bool {
        self.flush(Flush::Room);
        if !self.alive() {
            return false;
        }
        // All was taken: only flows that are full, or left so, still hold entries.
        self.silent = 0;
        for index in 0..MAX_FLOWS {
            let word = self.ring.flow_word(index);
            let state = &mut self.flows[index];
            let other = word >> 16 != state.flow.raw() >> 16;
            if other || state.flow.health(word) == Health::Usable {
                state.silent = 0;
            }
            self.silent += u32::from(state.silent);
        }
        self.outstanding + self.silent < MOST_OUTSTANDING
    }

    /// Accounts for an entry of a flow that tells nothing when it is done.
    #[inline]
    pub fn queued_silently(&mut self, index: usize) {
        self.silent += 1;
        if let Some(flow) = self.flows.get_mut(index) {
            flow.silent = flow.silent.saturating_add(1);
        }
    }

    /// Flushes if there is anything to flush.
    pub fn sync(&mut self, why: Flush) {
        if !self.idle() {
            self.flush(why);
        }
    }

    /// Has everything that is queued run, and takes completions.
    #[cold]
    pub fn flush(&mut self, why: Flush) {
        self.cork_for_real();
        self.release();
        self.reap();
        bump(&self.counters.flushes[why as usize]);
        let mut failures = 0;
        loop {
            // The kernel may have taken entries before, without running all of them: when a
            // number left the file table by a way that is not seen here. Then it runs the rest
            // when it is entered, also for nothing.
            let n = self.ring.pending();
            if n == 0 && self.queued == 0 {
                break;
            }
            let taken = self.cross(n);
            if taken > 0 || taken == 0 && n == 0 {
                self.queued = self.ring.pending();
                continue;
            }
            failures += 1;
            match -taken as i32 {
                // Its handler has run by now.
                libc::EINTR => {}
                libc::EBUSY | libc::ENOMEM if failures < 100 => yield_cpu(),
                // Peers that do not read hold every completion. The rest stays published.
                libc::EBUSY => {
                    self.queued = self.ring.pending().max(1);
                    return;
                }
                // A child that has our memory (vfork in assembly, clone): the entries are the parent's.
                libc::EPERM => return,
                errno => return self.give_up(errno),
            }
        }
        self.settle();
    }

    /// Has everything that is queued run and then a wait, in one crossing: the call
    /// `nr` with `args`. Returns its kernel result; `None`: nothing is queued any more,
    /// make the call yourself.
    ///
    /// # Safety
    ///
    /// The arguments must be good for the call.
    pub unsafe fn wait(&mut self, nr: c_long, args: [u64; 6]) -> Option<isize> {
        self.cork_for_real();
        self.waited = None;
        if !self.merge || !self.push(&entry(nr, 0, Tag::Wait, args)) {
            self.flush(Flush::Wait);
            return None;
        }
        bump(&self.counters.flushes[Flush::Wait as usize]);
        self.release();
        let n = self.ring.pending();
        let taken = self.cross(n);

        if let Some(result) = self.waited.take() {
            self.settle();
            if refused(result) {
                // By a seccomp filter or the policy. The call itself may be allowed.
                self.merge = false;
                return None;
            }
            bump(&self.counters.waits);
            return Some(result as isize);
        }
        if self.ring.pending() == 0 {
            self.settle();
            return None;
        }

        // Cut short before the wait, which must not run in a later batch.
        self.ring.replace_newest(&nothing());
        if taken < 0 && taken != -(libc::EINTR as isize) {
            self.flush(Flush::Wait);
            return None;
        }
        // A signal handler has run. The program must see that before it sleeps, as it
        // would have without SAIO: there the calls of this batch, during which the signal
        // came, lie before the loop's look at what its handlers left.
        self.flush(Flush::Signal);
        Some(-(libc::EINTR as isize))
    }

    /// Takes completions.
    #[inline]
    pub fn reap(&mut self) {
        while let Some(done) = self.ring.pop() {
            let tag = Tag::unpack(done.user_data);
            match tag {
                Tag::Wait => {
                    self.waited = Some(done.res);
                    continue;
                }
                Tag::Chunk(chunk) => {
                    self.arena.free(chunk);
                    self.outstanding = self.outstanding.saturating_sub(1);
                }
                Tag::Close(fd) if refused(done.res) => {
                    sys::close(fd);
                }
                Tag::Close(_) | Tag::Ignore => {}
            }
            if done.res < 0 {
                bump(&self.counters.errors);
            }
        }
    }

    /// Queues an option of a flow.
    pub fn push_option(&mut self, fd: c_int, flow: FlowRef, name: c_int, on: bool) -> bool {
        let value = self.constants + if on { 0 } else { size_of::<c_int>() as u64 };
        let args = [
            flow.arg(fd),
            libc::IPPROTO_TCP as u64,
            name as u64,
            value,
            size_of::<c_int>() as u64,
            0,
        ];
        let flags = sys::SQE_FLOW | sys::SQE_SKIP_SUCCESS;
        let pushed = self.push(&entry(libc::SYS_setsockopt, flags, Tag::Ignore, args));
        if pushed {
            self.queued_silently(flow.index());
        }
        pushed
    }

    /// Tells the kernel of corks that it has not been told of: the batch ends here.
    fn cork_for_real(&mut self) {
        while self.corks > 0 {
            self.corks -= 1;
            let index = self.corked[self.corks] as usize;
            let Some(flow) = self.flows.get_mut(index) else {
                continue;
            };
            // The slot may have another flow by now.
            if flow.cork != Cork::Virtual {
                continue;
            }
            flow.cork = Cork::Real;
            let (fd, flow) = (flow.fd, flow.flow);
            if flow.health(self.ring.flow_word(index)) != Health::Gone {
                self.push_option(fd, flow, libc::TCP_CORK, true);
            }
        }
    }

    fn cross(&mut self, n: u32) -> isize {
        bump(&self.counters.crossings);
        // SAFETY: entries name descriptors and arena bytes only, but for a wait, whose
        // arguments are good by the contract of `wait`, which is under way.
        let taken = unsafe { self.ring.enter(n, 0) };
        self.reap();
        taken
    }

    /// Before a crossing: in it the kernel gives the numbers that are closed to any thread, and
    /// this one may sleep. Nobody can have them before.
    fn release(&mut self) {
        for fd in &self.closing[..self.closings] {
            fds::closed(*fd, self.id);
        }
        self.closings = 0;
    }

    /// Everything queued has run: a new batch begins.
    fn settle(&mut self) {
        self.batch = self.batch.wrapping_add(1);
        self.queued = 0;
    }

    /// The ring does not work any more: the thread goes on without.
    #[cold]
    fn give_up(&mut self, errno: i32) {
        say::stderr(format_args!(
            "a ring failed (saio_enter: errno {errno}); its thread goes on without it"
        ));
        self.alive = 0;
        self.queued = 0;
        self.corks = 0;
        tls::refuse();
    }
}

/// An entry without chain.
#[inline]
pub fn entry(nr: c_long, flags: u16, tag: Tag, args: [u64; 6]) -> saio_sqe {
    saio_sqe {
        nr: nr as u16,
        flags,
        ctl: 0,
        user_data: tag.pack(),
        args,
    }
}

/// An entry that does nothing.
fn nothing() -> saio_sqe {
    entry(libc::SYS_getpid, sys::SQE_SKIP_SUCCESS, Tag::Ignore, [0; 6])
}

/// Whether the call was not made at all.
fn refused(result: i64) -> bool {
    matches!(
        -result as i32,
        libc::EOPNOTSUPP | libc::EACCES | libc::EPERM | libc::ENOSYS
    )
}

/// Time in nanoseconds, as coarse as the timer tick but without a kernel crossing.
#[inline]
fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours. It cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn yield_cpu() {
    // SAFETY: no memory is involved.
    unsafe { sys::syscall(libc::SYS_sched_yield, [0; 6]) };
}
