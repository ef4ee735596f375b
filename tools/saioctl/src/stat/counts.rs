// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is counted: totals as integers, rates as fractions.

use std::time::Duration;

use saio::pool::Stat;
use serde::Serialize;

/// Buckets of a histogram.
pub const BUCKETS: usize = saio::pool::WAIT_BUCKETS;

/// How many operations waited 2^i to 2^(i+1) - 1 nanoseconds.
pub type Hist = [u64; BUCKETS];

/// Counters that can be compared with those of an earlier sample.
macro_rules! counts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
        pub struct $name<T> {
            $($(#[$field_doc])* pub $field: T,)*
        }

        impl<T: Copy> $name<T> {
            /// Puts two together, field by field.
            pub fn zip<U>(&self, other: &Self, join: impl Fn(T, T) -> U) -> $name<U> {
                $name { $($field: join(self.$field, other.$field),)* }
            }
        }
    };
}

counts! {
    /// Why entries of flows ran inline.
    Why {
        /// The ring's mode is inline.
        mode,
        /// No thread of the pool was awake and no CPU idle.
        idle,
        /// The batch was too small to wake a thread for.
        small,
        /// The pool had a backlog.
        busy,
        /// The owner has a seccomp filter.
        filter,
        /// Part of a chain.
        chain,
    }
}

counts! {
    /// Counters of a ring.
    Ring {
        /// Ordinary entries, run by the owner.
        calls,
        /// Entries of flows run by the owner in its crossing.
        inline,
        /// Entries of flows run by threads of a pool.
        pooled,
        /// Entries of flows run by the kernel's workqueue.
        queued,
        /// Bytes sent by entries of flows.
        sent_bytes,
        /// Times that a flow waited for its peer.
        parks,
        /// Times that a flow went on with another thread.
        steals,
        /// Times that the owner had to wake the pool.
        wakeups,
    }
}

counts! {
    /// Counters of a pool.
    Pool {
        /// Entries that the threads ran.
        entries,
        /// Bytes that these sent.
        sent_bytes,
        /// Times that a flow waited for its peer.
        parks,
        /// Times that a flow went on with another thread.
        steals,
        /// Times that a thread was woken.
        wakeups,
        /// Times that a thread went to sleep.
        sleeps,
        /// Times that a thread was held up in an entry and another woken.
        replaced,
        /// Nanoseconds that threads had work.
        run_ns,
        /// Nanoseconds that threads looked for work.
        spin_ns,
    }
}

impl From<&Stat> for Pool<u64> {
    fn from(stat: &Stat) -> Self {
        // Nanoseconds of 64 bits are 584 years.
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            entries: stat.entries,
            sent_bytes: stat.bytes,
            parks: stat.parks,
            steals: stat.steals,
            wakeups: stat.wakeups,
            sleeps: stat.sleeps,
            replaced: stat.replaced,
            run_ns: ns(stat.run),
            spin_ns: ns(stat.spin),
        }
    }
}

impl Why<f64> {
    /// All reasons, with words for people.
    pub fn reasons(&self) -> [(f64, &'static str); 6] {
        [
            (self.mode, "mode is inline"),
            (self.idle, "no idle CPU"),
            (self.small, "batch too small"),
            (self.busy, "pool busy"),
            (self.filter, "seccomp filter"),
            (self.chain, "in a chain"),
        ]
    }
}

/// What came between two histograms.
pub fn between(now: &Hist, before: &Hist) -> Hist {
    std::array::from_fn(|bucket| now[bucket].saturating_sub(before[bucket]))
}

/// The wait in nanoseconds that a share of all waits does not pass: the upper end of the bucket that it falls in.
/// `None` if nothing was counted.
pub fn percentile(hist: &Hist, share: f64) -> Option<u64> {
    let all: u64 = hist.iter().sum();
    if all == 0 {
        return None;
    }
    let rank = ((all as f64 * share).ceil() as u64).clamp(1, all);
    let mut seen = 0;
    let bucket = hist.iter().position(|&count| {
        seen += count;
        seen >= rank
    })?;
    Some((2 << bucket) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hist(counts: &[(usize, u64)]) -> Hist {
        let mut hist = [0; BUCKETS];
        for &(bucket, count) in counts {
            hist[bucket] = count;
        }
        hist
    }

    #[test]
    fn percentiles_are_upper_ends() {
        assert_eq!(percentile(&hist(&[]), 0.5), None);
        let waits = hist(&[(3, 98), (10, 1), (20, 1)]);
        assert_eq!(percentile(&waits, 0.5), Some(15));
        assert_eq!(percentile(&waits, 0.99), Some(2047));
        assert_eq!(percentile(&waits, 1.0), Some((1 << 21) - 1));
        assert_eq!(
            percentile(&hist(&[(31, 1)]), 0.01),
            Some(u64::from(u32::MAX))
        );
        assert_eq!(percentile(&hist(&[(0, 1)]), 0.5), Some(1));
    }

    #[test]
    fn differences_never_wrap() {
        let now = Pool::<u64> {
            entries: 5,
            parks: 1,
            ..Default::default()
        };
        let before = Pool::<u64> {
            entries: 2,
            parks: 3,
            ..Default::default()
        };
        let rate = now.zip(&before, |now, before| now.saturating_sub(before));
        assert_eq!((rate.entries, rate.parks), (3, 0));
        assert_eq!(
            between(&hist(&[(2, 5)]), &hist(&[(2, 3), (4, 1)])),
            hist(&[(2, 2)])
        );
    }
}
