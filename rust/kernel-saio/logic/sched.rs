// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decisions of a pool: which ring is served next, how many threads are awake, and whether an
//! entry goes to the pool at all.
//!
//! Nothing here waits or takes a lock: the words are changed by threads, by owners of rings, by the
//! network's softirq and by hooks in the scheduler.

#[cfg(not(loom))]
use core::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

/// Most rings of a pool.
pub const MAX_RINGS: usize = 64 * WORDS;
const WORDS: usize = if cfg!(loom) { 1 } else { 64 };

/// Which rings are looked at, and whose turn it is.
#[derive(Debug)]
pub struct Rings {
    polled: [AtomicU64; WORDS],
    turn: AtomicU32,
}

impl Default for Rings {
    fn default() -> Self {
        Self::new()
    }
}

impl Rings {
    /// None.
    pub fn new() -> Self {
        Self {
            polled: core::array::from_fn(|_| AtomicU64::new(0)),
            turn: AtomicU32::new(0),
        }
    }

    /// From now on the ring is looked at. Ask [`Threads::wake`] after.
    pub fn poll(&self, slot: usize) {
        self.polled[slot / 64].fetch_or(1 << (slot % 64), Ordering::SeqCst);
    }

    /// The ring is not looked at any more, unless somebody says [`Self::poll`].
    pub fn forget(&self, slot: usize) {
        self.polled[slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::SeqCst);
    }

    /// Whether any ring is looked at.
    pub fn any(&self) -> bool {
        self.polled
            .iter()
            .any(|word| word.load(Ordering::SeqCst) != 0)
    }

    /// The first ring with work, beginning with the one whose turn it is; the turn then is the
    /// next one's.
    pub fn next(&self, has_work: impl FnMut(usize) -> bool) -> Option<usize> {
        let slot = self.find(self.turn.load(Ordering::Relaxed) as usize, has_work)?;
        self.turn.store((slot + 1) as u32, Ordering::Relaxed);
        Some(slot)
    }

    /// The first ring that is looked at for which `f` says so, from `start` on and around.
    pub fn find(&self, start: usize, mut f: impl FnMut(usize) -> bool) -> Option<usize> {
        let start = if start < MAX_RINGS { start } else { 0 };
        let (first, bit) = (start / 64, start % 64);
        for i in 0..=WORDS {
            let index = (first + i) % WORDS;
            let mut word = self.polled[index].load(Ordering::Relaxed);
            // The first word is looked at twice: from the start on, and at the end up to it.
            if i == 0 {
                word &= !0 << bit;
            } else if i == WORDS {
                word &= !(!0 << bit);
            }
            while word != 0 {
                let slot = index * 64 + word.trailing_zeros() as usize;
                if f(slot) {
                    return Some(slot);
                }
                word &= word - 1;
            }
        }
        None
    }
}

/// How many threads sleep, are runnable, and of those look for work.
///
/// A thread that waits within an entry is none of them.
#[derive(Debug)]
pub struct Threads {
    word: AtomicU64,
}

#[derive(Clone, Copy)]
struct Counts {
    asleep: u16,
    runnable: u16,
    looking: u16,
}

impl Counts {
    fn unpack(word: u64) -> Self {
        Self {
            asleep: word as u16,
            runnable: (word >> 16) as u16,
            looking: (word >> 32) as u16,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.asleep) | u64::from(self.runnable) << 16 | u64::from(self.looking) << 32
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl Threads {
    /// None.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    fn change(&self, mut f: impl FnMut(&mut Counts) -> bool) -> bool {
        let mut word = self.word.load(Ordering::SeqCst);
        loop {
            let mut counts = Counts::unpack(word);
            if !f(&mut counts) {
                return false;
            }
            match self.word.compare_exchange_weak(
                word,
                counts.pack(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// A thread is there, asleep.
    pub fn born(&self) {
        self.change(|c| {
            c.asleep += 1;
            true
        });
    }

    /// A thread that was awake, and not looking for work, ends.
    pub fn gone(&self) {
        self.change(|c| {
            c.runnable -= 1;
            true
        });
    }

    /// There may be work: whether one thread more is to be woken, which then counts as looking
    /// for it.
    ///
    /// Not if one looks already, nor if `workers` are runnable: those look again when they are done.
    pub fn wake(&self, workers: u16) -> bool {
        // What was published before must be seen by who goes to sleep, or their sleep be seen here;
        // the partner stands in `sleep`.
        fence(Ordering::SeqCst);
        self.change(|c| {
            let wanted = c.asleep > 0 && c.runnable < workers && c.looking == 0;
            if wanted {
                c.asleep -= 1;
                c.runnable += 1;
                c.looking += 1;
            }
            wanted
        })
    }

    /// Wakes a thread whatever the others do, so that it finds out that it is to end.
    pub fn wake_to_end(&self) -> bool {
        self.change(|c| {
            let any = c.asleep > 0;
            if any {
                c.asleep -= 1;
                c.runnable += 1;
                c.looking += 1;
            }
            any
        })
    }

    /// A thread that was looking has found work, or ends.
    pub fn found(&self) {
        self.change(|c| {
            c.looking -= 1;
            true
        });
    }

    /// A thread without work wants to look for some: one at a time does.
    pub fn look(&self) -> bool {
        self.change(|c| {
            let first = c.looking == 0;
            c.looking += u16::from(first);
            first
        })
    }

    /// A thread goes to sleep, if it is not the last that is runnable: then rings have to be told.
    ///
    /// Who was looking looks once more after it, as behind [`Self::sleep`].
    pub fn sleep_beside(&self, looking: bool) -> bool {
        let slept = self.change(|c| {
            let others = c.runnable > 1;
            if others {
                c.sleep(looking);
            }
            others
        });
        if slept {
            fence(Ordering::SeqCst);
        }
        slept
    }

    /// A thread goes to sleep. Whoever calls this looks once more whether there is work after
    /// it, and then asks [`Self::wake`].
    pub fn sleep(&self, looking: bool) {
        self.change(|c| {
            c.sleep(looking);
            true
        });
        fence(Ordering::SeqCst);
    }

    /// A thread goes to sleep if more than `workers` are runnable.
    pub fn sleep_if_over(&self, workers: u16, looking: bool) -> bool {
        self.change(|c| {
            let over = c.runnable > workers;
            if over {
                c.sleep(looking);
            }
            over
        })
    }

    /// A thread waits within an entry.
    pub fn held_up(&self) {
        self.gone();
    }

    /// It goes on.
    pub fn goes_on(&self) {
        self.change(|c| {
            c.runnable += 1;
            true
        });
    }

    /// How many are runnable.
    pub fn runnable(&self) -> u16 {
        Counts::unpack(self.word.load(Ordering::Relaxed)).runnable
    }

    /// Whether one could be woken besides those that are runnable.
    pub fn spare(&self, workers: u16) -> bool {
        let counts = Counts::unpack(self.word.load(Ordering::Relaxed));
        counts.asleep > 0 && counts.runnable < workers
    }
}

impl Counts {
    fn sleep(&mut self, looking: bool) {
        self.asleep += 1;
        self.runnable -= 1;
        self.looking -= u16::from(looking);
    }
}

/// Who runs the flow entries that the owner brings to a crossing (`SAIO_MODE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The owner.
    Inline,
    /// Whoever is better.
    Auto,
    /// The pool.
    Pool,
}

impl Mode {
    /// The mode with a number, if there is one.
    pub fn from_number(mode: u32) -> Option<Self> {
        [Self::Inline, Self::Auto, Self::Pool]
            .into_iter()
            .find(|m| *m as u32 == mode)
    }
}

/// Why an entry of a flow is run by the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The mode says so.
    Mode,
    /// No thread looks at the ring, and no CPU is idle to wake one on.
    Idle,
    /// No thread looks at the ring, and the batch does not pay for waking one.
    Small,
    /// The pool has enough to do for this ring.
    Busy,
    /// There is a seccomp filter that has to be asked, which only the owner can.
    Filter,
    /// It belongs to a chain.
    Chain,
}

/// How many reasons there are.
pub const WHYS: usize = 6;

/// Flow entries in a batch that pay for waking a thread: two responses of header and file.
pub const WORTH_WAKING: u32 = 4;
/// Operations of a ring that may wait for the pool before the owner helps, in mode auto.
pub const MOST_WAITING: u32 = 32;

/// What is known when the owner brings a batch.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The ring's mode.
    pub mode: Mode,
    /// Flow entries in the batch, at least.
    pub entries: u32,
    /// A thread looks at the ring.
    pub polled: bool,
    /// Operations of the ring that wait for the pool.
    pub waiting: u32,
    /// The owner has a filter that has to be asked.
    pub filtered: bool,
}

/// What becomes of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// So many operations go to the pool, the others are run by the owner.
    pub hand_over: u32,
    /// Why not more.
    pub why: Why,
    /// A thread has to be woken.
    pub wake: bool,
}

/// Decides where the entries of a batch run; `idle` says whether a thread could be woken on an
/// idle CPU, and is only asked if that matters.
pub fn plan(s: Situation, idle: impl FnOnce() -> bool) -> Plan {
    let inline = |why| Plan {
        hand_over: 0,
        why,
        wake: false,
    };
    match s.mode {
        Mode::Inline => inline(Why::Mode),
        _ if s.filtered => inline(Why::Filter),
        Mode::Pool => Plan {
            hand_over: u32::MAX,
            why: Why::Chain,
            wake: !s.polled && s.entries != 0,
        },
        Mode::Auto if s.polled => Plan {
            hand_over: MOST_WAITING.saturating_sub(s.waiting),
            why: Why::Busy,
            wake: false,
        },
        Mode::Auto if s.entries < WORTH_WAKING => inline(Why::Small),
        Mode::Auto if !idle() => inline(Why::Idle),
        Mode::Auto => Plan {
            hand_over: MOST_WAITING,
            why: Why::Busy,
            wake: true,
        },
    }
}
