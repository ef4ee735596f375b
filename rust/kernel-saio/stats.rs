// SPDX-License-Identifier: GPL-2.0

//! What is counted of rings and pools, for operators to see.

use crate::logic::sched::{Why, WHYS};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::bindings;

/// Buckets of a histogram.
const BUCKETS: usize = bindings::SAIO_HIST_BUCKETS as usize;

/// Something counted.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts `n`; anybody may.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts `n` without a locked operation: only one task ever counts here.
    #[inline]
    pub(crate) fn add_alone(&self, n: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Times in nanoseconds, by their magnitude.
#[derive(Default)]
pub(crate) struct Histogram([Counter; BUCKETS]);

impl Histogram {
    pub(crate) fn add(&self, ns: u64) {
        self.0[(ns | 1).ilog2().min(BUCKETS as u32 - 1) as usize].add(1);
    }

    pub(crate) fn get(&self) -> [u64; BUCKETS] {
        core::array::from_fn(|i| self.0[i].get())
    }
}

/// Counters of a ring.
#[derive(Default)]
pub(crate) struct RingStats {
    /// Ordinary entries; only the owner counts.
    pub(crate) calls: Counter,
    /// Flow entries that the owner ran; only it counts.
    pub(crate) inline: Counter,
    /// Why; only the owner counts.
    why: [Counter; WHYS],
    /// Flow entries that threads of a pool ran.
    pub(crate) pooled: Counter,
    /// Flow entries that the workqueue ran.
    pub(crate) queued: Counter,
    /// Bytes that the owner sent; only it counts.
    pub(crate) bytes_inline: Counter,
    /// Bytes that others sent.
    pub(crate) bytes: Counter,
    pub(crate) parks: Counter,
    pub(crate) steals: Counter,
    /// Times that a thread had to be woken for the ring's queue.
    pub(crate) wakeups: Counter,
    /// How long operations waited before they first ran.
    pub(crate) waits: Histogram,
}

impl RingStats {
    pub(crate) fn ran_inline(&self, n: u64, why: Why) {
        self.inline.add_alone(n);
        self.why[why as usize].add_alone(n);
    }

    pub(crate) fn why(&self) -> [u64; WHYS] {
        core::array::from_fn(|i| self.why[i].get())
    }
}

/// Counters of a pool.
#[derive(Default)]
pub(crate) struct PoolStats {
    pub(crate) entries: Counter,
    pub(crate) bytes: Counter,
    pub(crate) parks: Counter,
    pub(crate) steals: Counter,
    pub(crate) wakeups: Counter,
    pub(crate) sleeps: Counter,
    /// Threads held up within an entry while another was woken.
    pub(crate) replaced: Counter,
    pub(crate) run_ns: Counter,
    pub(crate) spin_ns: Counter,
    pub(crate) waits: Histogram,
}
