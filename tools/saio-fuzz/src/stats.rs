// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is counted, in memory that all processes of a run share.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Rows of [`Stats::results`]: system calls, then SAIO's own, then numbers that are none.
pub const ROWS: usize = 512;
/// Row of `saio_setup`; the other three follow.
pub const OWN_ROW: usize = 500;
const NO_CALL: usize = ROWS - 1;
/// Columns: success, then the errors by number.
pub const COLUMNS: usize = 136;
/// Workers that can say what they are at.
pub const WORKERS: usize = 64;

/// Ways in which a case can end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Its first process exited.
    Exited,
    /// A signal ended it.
    Signal,
    /// It took too long and was killed.
    Killed,
}

/// Counters of a run. The processes under test have them mapped too, and may spoil them: they
/// are for people to read, and decide nothing.
#[repr(C)]
pub struct Stats {
    /// Cases that are over.
    pub cases: AtomicU64,
    /// How they ended, see [`End`].
    pub ends: [AtomicU64; 3],
    /// Steps taken.
    pub steps: AtomicU64,
    /// Entries that were put into queues.
    pub entries: AtomicU64,
    /// Of these, entries of flows.
    pub flow_entries: AtomicU64,
    /// Entries that `saio_enter` said that it took.
    pub taken: AtomicU64,
    /// Completions that were read.
    pub completions: AtomicU64,
    /// Allocations that were made to fail.
    pub failed_allocations: AtomicU64,
    /// Not zero: workers begin no further case.
    pub stop: AtomicU64,
    /// The case that a worker is at.
    pub current: [AtomicU64; WORKERS],
    /// Results of entries by call, and of SAIO's own calls.
    pub results: [[AtomicU32; COLUMNS]; ROWS],
}

impl Stats {
    /// Makes counters that forked processes share.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn shared() -> io::Result<&'static Self> {
        let size = size_of::<Self>();
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping harms nobody.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size, prot, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is large enough, aligned to a page, zeroed, which is a valid value
        // of atomic integers, and never unmapped.
        Ok(unsafe { &*base.cast::<Self>() })
    }

    /// Counts a result of a call.
    pub fn result(&self, nr: u64, result: i64) {
        let row = match nr {
            0..500 => nr as usize,
            1000..1004 => OWN_ROW + (nr as usize - 1000),
            _ => NO_CALL,
        };
        let column = match result {
            0.. => 0,
            -134..0 => -result as usize,
            _ => COLUMNS - 1,
        };
        self.results[row][column].fetch_add(1, Relaxed);
    }

    /// Counts the end of a case.
    pub fn ended(&self, end: End) {
        self.cases.fetch_add(1, Relaxed);
        self.ends[end as usize].fetch_add(1, Relaxed);
    }

    /// Number of pairs of call and result that came up.
    pub fn pairs(&self) -> usize {
        let cells = self.results.iter().flatten();
        cells.filter(|cell| cell.load(Relaxed) != 0).count()
    }

    /// How many of these rows have a success, and how many an error.
    pub fn answered(&self, rows: impl Iterator<Item = usize>) -> (usize, usize) {
        let (mut good, mut bad) = (0, 0);
        for row in rows.map(|row| &self.results[row]) {
            good += usize::from(row[0].load(Relaxed) != 0);
            bad += usize::from(row[1..].iter().any(|cell| cell.load(Relaxed) != 0));
        }
        (good, bad)
    }

    /// Results by error number, the most frequent first; 0 is success.
    pub fn histogram(&self) -> Vec<(usize, u64)> {
        let mut sums: Vec<(usize, u64)> = (0..COLUMNS)
            .map(|column| {
                let cells = self.results.iter().map(|row| &row[column]);
                (
                    column,
                    cells.map(|cell| u64::from(cell.load(Relaxed))).sum(),
                )
            })
            .filter(|(_, sum)| *sum > 0)
            .collect();
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_call_and_error() {
        let stats = Stats::shared().unwrap();
        stats.result(1, 5);
        stats.result(1, -i64::from(libc::EBADF));
        stats.result(1, -i64::from(libc::EBADF));
        stats.result(1001, -i64::from(libc::EBUSY));
        stats.result(60_000, -4000);
        assert_eq!(stats.pairs(), 4);
        assert_eq!(stats.answered(0..2), (1, 1));
        assert_eq!(stats.answered([OWN_ROW + 1].into_iter()), (0, 1));
        assert_eq!(stats.histogram()[0], (libc::EBADF as usize, 2));
    }
}
