// SPDX-License-Identifier: GPL-2.0-or-later

//! Who executed what: counters of instructions, booked to tasks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::{Interval, Task};

/// Counters of one chunk.
pub const CHUNK: usize = 4096;

/// Counters that translated code adds to. It does so without atomic
/// operations; nobody else runs meanwhile, as there is one vCPU.
pub type Chunk = &'static [AtomicU64; CHUNK];

/// All counters and what they were booked to.
#[derive(Debug, Default)]
pub struct Profile {
    chunks: Vec<Chunk>,
    /// Address of the instruction of each counter.
    addresses: Vec<u64>,
    /// Counter of each address.
    counters: HashMap<u64, usize>,
    /// Counts of this interval, by task and counter.
    tasks: BTreeMap<u64, Vec<u64>>,
    /// The task that runs: an address that is its own.
    current: u64,
    /// The mark at which this interval began; none: nothing is booked.
    begin: Option<u8>,
}

impl Profile {
    /// The counter of the instruction at an address: its chunk and its place in
    /// there. Code that is translated again goes on with the counter it had.
    /// `new` makes a chunk of zeroes; it is called when a chunk is needed that
    /// there is not yet.
    pub fn counter(&mut self, address: u64, new: impl FnOnce() -> Chunk) -> (usize, usize) {
        let counter = *self.counters.entry(address).or_insert_with(|| {
            self.addresses.push(address);
            self.addresses.len() - 1
        });
        if counter / CHUNK == self.chunks.len() {
            self.chunks.push(new());
        }
        (counter / CHUNK, counter % CHUNK)
    }

    /// All counters.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// From now on another task runs.
    pub fn switch(&mut self, task: u64) {
        if self.begin.is_some() {
            self.book();
        }
        self.current = task;
    }

    /// Ends an interval, if one is under way, and begins the next.
    pub fn mark(&mut self, nr: u8) -> Option<Interval> {
        self.book();
        let tasks = std::mem::take(&mut self.tasks);
        let begin = self.begin.replace(nr)?;
        let tasks = tasks.into_iter().map(|(task, counts)| {
            let counted = self.addresses.iter().copied().zip(counts);
            let mut counts: Vec<(u64, u64)> = counted.filter(|(_, count)| *count > 0).collect();
            counts.sort_unstable();
            Task { task, counts }
        });
        Some(Interval {
            begin,
            end: nr,
            marked_by: self.current,
            tasks: tasks.collect(),
        })
    }

    /// Books what was counted to the task that runs, and clears the counters.
    fn book(&mut self) {
        let booked = self.tasks.entry(self.current).or_default();
        booked.resize(self.addresses.len(), 0);
        let counters = self.chunks.iter().flat_map(|chunk| chunk.iter());
        for (booked, counter) in booked.iter_mut().zip(counters) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                *booked += count;
                counter.store(0, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Chunk {
        Box::leak(Box::new([const { AtomicU64::new(0) }; CHUNK]))
    }

    impl Profile {
        fn execute(&mut self, address: u64, times: u64) {
            let (index, place) = self.counter(address, chunk);
            self.chunks[index][place].fetch_add(times, Ordering::Relaxed);
        }
    }

    fn task(task: u64, counts: &[(u64, u64)]) -> Task {
        Task {
            task,
            counts: counts.to_vec(),
        }
    }

    #[test]
    fn what_is_between_marks_is_booked_to_who_ran() {
        let mut profile = Profile::default();
        profile.execute(0x30, 1000);
        profile.switch(1);
        profile.execute(0x10, 1000);
        assert_eq!(profile.mark(7), None);

        profile.execute(0x30, 3);
        profile.execute(0x10, 1);
        profile.switch(2);
        profile.execute(0x10, 5);
        profile.switch(1);
        profile.execute(0x20, 2);
        profile.execute(0x30, 1);
        let wanted = Interval {
            begin: 7,
            end: 8,
            marked_by: 1,
            tasks: vec![
                task(1, &[(0x10, 1), (0x20, 2), (0x30, 4)]),
                task(2, &[(0x10, 5)]),
            ],
        };
        assert_eq!(profile.mark(8), Some(wanted));

        let next = profile.mark(9).unwrap();
        assert_eq!((next.begin, next.tasks), (8, vec![task(1, &[])]));
    }

    #[test]
    fn an_address_has_one_counter_however_many_there_are() {
        let mut profile = Profile::default();
        let places: Vec<_> = (0..10_000)
            .map(|address| profile.counter(address, chunk))
            .collect();
        assert_eq!(places[0], (0, 0));
        assert_eq!(places[CHUNK], (1, 0));
        assert_eq!(profile.chunks.len(), 3);
        assert_eq!(profile.counter(CHUNK as u64, chunk), (1, 0));
    }
}
