// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a kernel crossing costs here, compared with an entry of a ring.
//!
//! A response of one write has nothing to share a crossing with but the wait at the end of the turn: queueing it saves
//! one crossing, and costs an entry, the copy into the arena and what goes with a flow. Where crossings are expensive
//! (page tables switched, predictors flushed) that is a gain; where they are not it is a loss. So it is measured, once
//! in a process, when its first ring is made.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use saio::ring::Ring;
use saio::sys::{self, saio_sqe};

use crate::settings::{self, Alone};

/// Calls of a round.
const CALLS: u32 = 32;
/// Rounds; the fastest counts, as nothing but disturbances makes one slower.
const ROUNDS: u32 = 5;
/// How often what is left of a disturbed round is tried; the next flush takes the rest.
const PATIENCE: u32 = 100;
/// A queued write costs so many times what the entry of a call costs that does nothing, in instructions of the library
/// and the kernel (docs/performance.md).
const ENTRIES: u32 = 3;

const UNKNOWN: u8 = 0;
const PAYS: u8 = 1;
const LOSES: u8 = 2;

static FOUND: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether a write that is all of a response is better queued, if the thread runs it itself. While no ring was made that
/// is not known, and it is taken to be.
#[inline]
pub fn alone_pays() -> bool {
    FOUND.load(Ordering::Relaxed) != LOSES
}

/// Whether [`find_out`] has.
#[inline]
pub fn known() -> bool {
    FOUND.load(Ordering::Relaxed) != UNKNOWN
}

/// Finds out by a new ring of this thread. Of several threads that do, the first decides.
#[cold]
pub fn find_out(ring: &mut Ring) {
    if known() {
        return;
    }
    let pays = match settings::alone() {
        Alone::Queue => true,
        Alone::Pass => false,
        // Where it is not asked for.
        Alone::Measure if settings::eager() => true,
        Alone::Measure => {
            let (crossings, entries) = measure(ring);
            // Or no round was undisturbed.
            entries == Duration::MAX || crossings > entries * ENTRIES
        }
    };
    let found = if pays { PAYS } else { LOSES };
    let _ = FOUND.compare_exchange(UNKNOWN, found, Ordering::Relaxed, Ordering::Relaxed);
}

/// How long a round of calls takes, each in a crossing of its own and all in one.
fn measure(ring: &mut Ring) -> (Duration, Duration) {
    let call = saio_sqe {
        nr: libc::SYS_getpid as u16,
        flags: sys::SQE_SKIP_SUCCESS,
        ..Default::default()
    };
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..CALLS {
            // SAFETY: the call does nothing.
            unsafe { sys::syscall(libc::SYS_getpid, [0; 6]) };
        }
        best.0 = best.0.min(begin.elapsed());
        let begin = Instant::now();
        for _ in 0..CALLS {
            ring.push(&call);
        }
        // SAFETY: as above.
        let taken = unsafe { ring.enter(CALLS, 0) };
        let entries = begin.elapsed();
        if taken == CALLS as isize {
            best.1 = best.1.min(entries);
        }
        // A signal may have come before all had run.
        for _ in 0..PATIENCE {
            while ring.pop().is_some() {}
            if ring.pending() == 0 {
                break;
            }
            // SAFETY: as above.
            unsafe { ring.enter(CALLS, 0) };
        }
        while ring.pop().is_some() {}
    }
    best
}
