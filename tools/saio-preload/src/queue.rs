// SPDX-License-Identifier: MIT OR Apache-2.0

//! The engine of a thread: its ring, and what is queued in it. How that gets to run: `flush`.

use std::ffi::{c_int, c_long};
use std::ptr::{self, NonNull};

use saio::arena::{Arena, Chunk};
use saio::flow::FlowRef;
use saio::preload::rules::Calls;
use saio::ring::Ring;
use saio::sys::{self, saio_sqe};

use crate::cork::Cork;
use crate::flush::refused;
use crate::stats::{bump, Counters, Flush};
use crate::tag::Tag;
use crate::tls;

/// Entries of a ring; leaves room beyond [`MAX_BATCH`] for corks and the wait.
pub const SQ_ENTRIES: u32 = 256;
/// Completions of a ring: parked entries must not stop new ones. The arena has room for a quarter
/// as many, and few of them come with more than a file and an option.
pub const CQ_ENTRIES: u32 = 4096;
/// Flows of a ring.
pub const MAX_FLOWS: usize = 1024;
/// Entries of flows that may wait; a batch more, and an uncork of each flow, must fit.
pub const MOST_OUTSTANDING: u32 = CQ_ENTRIES - SQ_ENTRIES - MAX_FLOWS as u32;
/// Corks held back at a time.
pub const MAX_CORKED: usize = 32;
/// Closes put off at a time.
pub const MAX_CLOSING: usize = 128;

/// A batch is flushed at this many entries.
const MAX_BATCH: u32 = 128;
/// A batch is flushed when it is surely this old, in nanoseconds.
const MAX_AGE: u64 = 2_000_000;
/// How often length and age are looked at, in entries; a power of two. In mode pool a thread that
/// sleeps is woken then.
const LOOK_EVERY: u32 = 16;

const ALIVE: u64 = 0x5341_494f_5249_4e47;

/// What is known of a flow besides the status word.
// Of a size by which places are cheap to find.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub struct Flow {
    /// The descriptor it was registered by.
    pub fd: c_int,
    pub flow: FlowRef,
    /// Batch that `bytes` belongs to.
    pub batch: u32,
    /// Bytes queued in that batch.
    pub bytes: u32,
    /// [`Engine::queued`] behind the last bytes from the arena in that batch: what is queued then is
    /// the next entry.
    pub head: u32,
    pub cork: Cork,
    /// The last write had `MSG_MORE`, and there was no uncork since: TCP may hold bytes.
    pub more: bool,
    /// When last looked at it was busy with entries that wait for that to end.
    pub kept: bool,
    /// How surely responses are more than one write, up to [`crate::fds::COMPANIONS`]; see [`crate::alone`].
    pub company: u8,
    /// Turn of the loop in which a write last went straight through because it stands alone.
    pub passed: u32,
    /// Turn of the loop in which the last read came out short, 0 if it did not; see [`crate::reads`].
    pub drained: u32,
}

impl Flow {
    /// Nothing.
    pub const NONE: Self = Self {
        fd: -1,
        flow: FlowRef::from_raw(0),
        batch: 0,
        bytes: 0,
        head: 0,
        cork: Cork::Unknown,
        more: false,
        kept: false,
        company: 0,
        passed: 0,
        drained: 0,
    };
}

/// Entries of a flow that were queued and need not have run: one that may have bytes of the arena,
/// and those behind it that have none.
#[derive(Clone, Copy)]
struct Sent {
    flow: FlowRef,
    chunk: Option<Chunk>,
    entries: u16,
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
    /// A pool serves the ring: its threads take entries of flows at any moment after they were
    /// published, and what was flushed may still wait for them.
    pub served: bool,
    /// How: `SAIO_MODE_*`.
    pub mode: u32,
    /// Flags of an entry of a flow. Without a pool its end is told by the flow, which is busy or not
    /// when the batch was taken. A pool takes entries at any moment, so that each has a completion.
    pub flags: u16,
    /// Writes that stand alone are queued for a pool only.
    pub sparing: bool,
    /// So many of them go straight through before one is queued again.
    pub spare: u32,
    /// Entries of flows that were queued in this batch.
    pub offered: u32,
    /// Number of the batch being collected.
    pub batch: u32,
    /// The last batch for which the pool was woken.
    pub woken: u32,
    /// Entries published since the last crossing, plus those it left. Whoever takes them meanwhile:
    /// as long as this is not zero a crossing is needed, since ordinary ones are run by no one else.
    pub queued: u32,
    /// Entries of flows that may not have run: the kernel keeps a completion for each.
    pub outstanding: u32,
    /// These entries. Not used with a pool.
    waiting: Vec<Sent>,
    /// The first of them were taken by flows that were busy then.
    kept: usize,
    /// When the oldest entry was queued.
    pub born: u64,
    /// A batch is flushed when older than this, in nanoseconds: [`MAX_AGE`] and the step of
    /// [`now`], which may come at once.
    max_age: u64,
    /// Result of the wait, once it completed.
    pub waited: Option<i64>,
    /// Waits may be entries.
    pub merge: bool,
    /// Calls that go straight through, whatever they are on.
    pub barred: Calls,
    pub closing: [c_int; MAX_CLOSING],
    pub closings: usize,
    /// Flows with a virtual cork.
    pub corked: [u16; MAX_CORKED],
    pub corks: usize,
    pub flows: [Flow; MAX_FLOWS],
    pub counters: &'static Counters,
}

impl Engine {
    /// An engine on a new ring, attached to a pool unless `mode` is `SAIO_MODE_INLINE`.
    pub fn new(
        id: u32,
        ring: Ring,
        mode: u32,
        arena: Arena,
        constants: u64,
        counters: &'static Counters,
    ) -> Self {
        let served = mode != sys::SAIO_MODE_INLINE;
        let quiet = if served { 0 } else { sys::SQE_SKIP_SUCCESS };
        Self {
            alive: ALIVE,
            id,
            ring,
            arena,
            constants,
            served,
            mode,
            flags: sys::SQE_FLOW | quiet,
            sparing: false,
            spare: 0,
            offered: 0,
            batch: 1,
            woken: 0,
            queued: 0,
            outstanding: 0,
            waiting: Vec::with_capacity(if served { 0 } else { CQ_ENTRIES as usize }),
            kept: 0,
            born: 0,
            max_age: MAX_AGE + step(),
            waited: None,
            merge: true,
            barred: tls::barred(),
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

    /// From now on the ring is not used any more.
    pub fn kill(&mut self) {
        self.alive = 0;
    }

    /// Frees what lies elsewhere than in the engine.
    ///
    /// # Safety
    ///
    /// It must not be used any more.
    pub unsafe fn end(&mut self) {
        self.waiting = Vec::new();
        // SAFETY: by the caller's promise nobody sees that it is gone.
        unsafe { ptr::drop_in_place(&raw mut self.ring) };
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
        if self.queued & (LOOK_EVERY - 1) == 0 {
            self.look();
        }
    }

    #[cold]
    fn look(&mut self) {
        if self.queued >= MAX_BATCH {
            self.flush(Flush::Count);
        } else if now().wrapping_sub(self.born) > self.max_age {
            self.flush(Flush::Age);
        } else if self.mode == sys::SAIO_MODE_POOL
            && self.woken != self.batch
            && self.ring.need_wakeup()
        {
            // The batch is worth a call. A short one is not: the crossing that ends it wakes
            // the pool too. Once a batch, as the pool may have reasons to sleep. In mode auto only
            // the crossing wakes it: there the kernel asks whether a CPU is idle.
            self.woken = self.batch;
            bump(&self.counters.wakeups);
            self.ring.wake();
        }
    }

    /// Whether another flow entry may be queued; makes room if it can.
    #[inline]
    pub fn room(&mut self) -> bool {
        self.outstanding < MOST_OUTSTANDING || self.make_room()
    }

    #[cold]
    fn make_room(&mut self) -> bool {
        self.look_again();
        if self.outstanding < MOST_OUTSTANDING {
            return true;
        }
        self.flush(Flush::Room);
        self.alive() && self.outstanding < MOST_OUTSTANDING
    }

    /// Finds out what the pool or the workqueue has done since the last crossing.
    #[cold]
    pub fn look_again(&mut self) {
        self.reap();
        for sent in &self.waiting[..self.kept] {
            if let Some(flow) = self.flows.get_mut(sent.flow.index()) {
                flow.kept = false;
            }
        }
        self.kept -= self.sweep(0, self.kept);
    }

    /// What is known of a flow, to which something is queued in this batch.
    #[inline]
    pub fn in_batch(&mut self, flow: FlowRef) -> &mut Flow {
        let state = &mut self.flows[flow.index()];
        if state.batch != self.batch {
            (state.batch, state.bytes, state.head) = (self.batch, 0, 0);
        }
        state
    }

    /// Accounts for an entry of a flow.
    #[inline]
    pub fn sent(&mut self, flow: FlowRef, chunk: Option<Chunk>) {
        self.outstanding += 1;
        self.offered += 1;
        if self.served {
            return;
        }
        match self.waiting[self.kept..].last_mut() {
            Some(last) if last.flow == flow && chunk.is_none() => last.entries += 1,
            _ => self.waiting.push(Sent {
                flow,
                chunk,
                entries: 1,
            }),
        }
    }

    /// Everything that was queued has been taken.
    pub fn taken(&mut self) {
        self.sweep(self.kept, self.waiting.len());
        self.kept = self.waiting.len();
    }

    /// Forgets those of the waiting entries `from..to`, all of them taken, that have run: of flows
    /// that are not busy. Returns how many. Takes no memory: a signal handler may be here while
    /// the program is in `malloc`.
    fn sweep(&mut self, from: usize, to: usize) -> usize {
        let mut end = from;
        for i in from..self.waiting.len() {
            let sent = self.waiting[i];
            let index = sent.flow.index();
            if i < to {
                if !sent.flow.is_busy(self.ring.flow_word(index)) {
                    self.outstanding -= u32::from(sent.entries);
                    if let Some(chunk) = sent.chunk {
                        self.arena.free(chunk);
                    }
                    continue;
                }
                if let Some(flow) = self.flows.get_mut(index) {
                    flow.kept = true;
                }
            }
            self.waiting[end] = sent;
            end += 1;
        }
        let done = self.waiting.len() - end;
        self.waiting.truncate(end);
        done
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
                // Without a pool that is told by the flow.
                Tag::Chunk(_) | Tag::Counted if !self.served => {}
                Tag::Chunk(chunk) => {
                    self.arena.free(chunk);
                    self.outstanding -= 1;
                }
                Tag::Counted => self.outstanding -= 1,
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
        let option = entry(libc::SYS_setsockopt, self.flags, Tag::Counted, args);
        let pushed = self.push(&option);
        if pushed {
            self.sent(flow, None);
        }
        pushed
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

/// The step of [`now`] in nanoseconds.
fn step() -> u64 {
    let mut step = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours. It cannot fail for this clock.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut step) };
    step.tv_nsec as u64
}
