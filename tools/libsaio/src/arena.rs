// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which parts of a payload arena are in use.
//!
//! A bitmap of granules, searched from where the last chunk was found (next fit).
//! Chunks are given back in any order, so that one slow reader holds only its own bytes.

use crate::sys::SAIO_MAX_ARENA;

/// Bytes of a granule, the unit of allocation.
pub const GRANULE: usize = 256;

const WORDS: usize = SAIO_MAX_ARENA as usize / GRANULE / 64;

/// A run of granules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First granule.
    pub start: u16,
    /// Granules, at least one.
    pub len: u16,
}

impl Chunk {
    /// Where the chunk begins in the arena, in bytes.
    #[inline]
    pub const fn offset(self) -> usize {
        self.start as usize * GRANULE
    }

    /// Bytes that fit.
    #[inline]
    pub const fn size(self) -> usize {
        self.len as usize * GRANULE
    }
}

/// The allocator. It never touches the arena itself and takes no memory.
#[derive(Debug)]
pub struct Arena {
    /// A bit for each granule, set while in use.
    used: [u64; WORDS],
    granules: usize,
    cursor: usize,
}

impl Arena {
    /// An unused arena of `size` bytes; what is beyond the ABI's limit is ignored.
    pub const fn new(size: usize) -> Self {
        let granules = size / GRANULE;
        Self {
            used: [0; WORDS],
            granules: if granules < WORDS * 64 {
                granules
            } else {
                WORDS * 64
            },
            cursor: 0,
        }
    }

    /// A chunk for `bytes` bytes, or `None` if no run of that length is free. Nothing
    /// is given for zero bytes, or for more than 65535 granules.
    #[inline]
    pub fn alloc(&mut self, bytes: usize) -> Option<Chunk> {
        let n = bytes.div_ceil(GRANULE);
        if n == 0 || n > u16::MAX as usize {
            return None;
        }
        // As chunks mostly come back in order, what is at the cursor is mostly free; and mostly it
        // lies in one word.
        let start = self.cursor;
        if let (true, Some(mask)) = (start + n <= self.granules, in_one_word(start, n)) {
            let word = &mut self.used[start / 64];
            if *word & mask == 0 {
                *word |= mask;
                self.cursor += n;
                return Some(Chunk {
                    start: start as u16,
                    len: n as u16,
                });
            }
        }
        let start = match self.run(self.cursor, self.granules.min(self.cursor + n), n) {
            Some(start) => start,
            None => self.search(n)?,
        };
        self.mark(start, n, true);
        self.cursor = start + n;
        Some(Chunk {
            start: start as u16,
            len: n as u16,
        })
    }

    /// Gives a chunk back.
    #[inline]
    pub fn free(&mut self, chunk: Chunk) {
        let (start, n) = (chunk.start as usize, chunk.len as usize);
        match in_one_word(start, n) {
            Some(mask) => self.used[start / 64] &= !mask,
            None => self.mark(start, n, false),
        }
    }

    /// Granules not in use.
    pub fn available(&self) -> usize {
        let used: u32 = self.used.iter().map(|word| word.count_ones()).sum();
        self.granules - used as usize
    }

    #[cold]
    fn search(&self, n: usize) -> Option<usize> {
        self.run(self.cursor, self.granules, n)
            .or_else(|| self.run(0, self.granules.min(self.cursor + n), n))
    }

    /// The first run of `n` free granules that lies within `from..to`.
    fn run(&self, from: usize, to: usize, n: usize) -> Option<usize> {
        let mut start = from;
        let mut at = from;
        while at < to {
            let rest = self.used[at / 64] >> (at % 64);
            let span = (64 - at % 64).min(to - at);
            let free = (rest.trailing_zeros() as usize).min(span);
            at += free;
            if at - start >= n {
                return Some(start);
            }
            if free < span {
                // Something is in use here: start anew behind it.
                let taken = (rest >> free).trailing_ones() as usize;
                at += taken;
                start = at;
            }
        }
        None
    }

    fn mark(&mut self, start: usize, n: usize, used: bool) {
        let end = start + n;
        let mut at = start;
        while at < end {
            let span = (64 - at % 64).min(end - at);
            let mask = (u64::MAX >> (64 - span)) << (at % 64);
            let word = &mut self.used[at / 64];
            debug_assert_eq!(*word & mask, if used { 0 } else { mask });
            if used {
                *word |= mask;
            } else {
                *word &= !mask;
            }
            at += span;
        }
    }
}

/// The bits of `n` granules, at least one, from `start` on, if they lie in one word.
#[inline]
fn in_one_word(start: usize, n: usize) -> Option<u64> {
    let bit = start % 64;
    (bit + n <= 64).then(|| (u64::MAX >> (64 - n)) << bit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: usize = 200 * GRANULE;

    #[test]
    fn nothing_for_nothing_or_too_much() {
        let mut arena = Arena::new(SIZE);
        assert_eq!(arena.alloc(0), None);
        assert_eq!(arena.alloc(SIZE + 1), None);
        assert_eq!(arena.alloc(usize::MAX), None);
        assert_eq!(arena.alloc(SIZE), Some(Chunk { start: 0, len: 200 }));
        assert_eq!(arena.available(), 0);
    }

    #[test]
    fn goes_round() {
        let mut arena = Arena::new(SIZE);
        let first = arena.alloc(150 * GRANULE).unwrap();
        let second = arena.alloc(40 * GRANULE).unwrap();
        assert_eq!(arena.alloc(20 * GRANULE), None);
        arena.free(first);
        let third = arena.alloc(20 * GRANULE).unwrap();
        assert_eq!(third.start, 0);
        arena.free(second);
        arena.free(third);
        assert_eq!(arena.available(), 200);
    }

    #[test]
    fn single_hole_across_words_is_found() {
        let mut arena = Arena::new(SIZE);
        let chunks: Vec<_> = (0..200).map(|_| arena.alloc(1).unwrap()).collect();
        assert_eq!(arena.alloc(1), None);
        for chunk in &chunks[60..70] {
            arena.free(*chunk);
        }
        assert_eq!(arena.alloc(11 * GRANULE), None);
        assert_eq!(
            arena.alloc(10 * GRANULE),
            Some(Chunk { start: 60, len: 10 })
        );
    }

    #[test]
    fn largest_arena() {
        let mut arena = Arena::new(SAIO_MAX_ARENA as usize);
        let big = arena.alloc(65535 * GRANULE).unwrap();
        let last = arena.alloc(GRANULE).unwrap();
        assert_eq!((big.start, last.start), (0, 65535));
        assert_eq!(arena.alloc(1), None);
    }

    proptest! {
        /// No overlap, no loss, and `None` only if there really is no such run.
        #[test]
        fn as_a_plain_array(
            granules in 1usize..300,
            steps in prop::collection::vec((any::<bool>(), 1usize..80, any::<prop::sample::Index>()), 1..300),
        ) {
            let mut arena = Arena::new(granules * GRANULE);
            let mut model = vec![false; granules];
            let mut held: Vec<Chunk> = Vec::new();
            for (take, n, which) in steps {
                if take || held.is_empty() {
                    match arena.alloc(n * GRANULE) {
                        Some(chunk) => {
                            let range = chunk.start as usize..chunk.start as usize + n;
                            prop_assert_eq!(chunk.len as usize, n);
                            prop_assert!(range.end <= granules);
                            for used in &mut model[range] {
                                prop_assert!(!*used);
                                *used = true;
                            }
                            held.push(chunk);
                        }
                        None => prop_assert!(!model.windows(n).any(|w| w.iter().all(|used| !used))),
                    }
                } else {
                    let chunk = held.swap_remove(which.index(held.len()));
                    let start = chunk.start as usize;
                    model[start..start + chunk.len as usize].fill(false);
                    arena.free(chunk);
                }
                let free = model.iter().filter(|used| !**used).count();
                prop_assert_eq!(arena.available(), free);
            }
        }
    }
}
