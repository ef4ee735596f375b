// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: another thread that scribbles over slots and shared indices while the owner
//! enters can make the owner's own results senseless, and nothing worse: the kernel counts for
//! itself, and afterwards the ring works.

use crate::harness::*;
use std::sync::{
    atomic::{AtomicBool, AtomicU32, Ordering},
    Arc,
};

const ROUNDS: u32 = 2000;

/// Calls that do no harm whatever their arguments are, and some that are refused.
const NUMBERS: [i64; 10] = [
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_fork,
    libc::SYS_exit_group,
    libc::SYS_setuid,
    ENTER,
    60_000,
];

/// What the other thread writes to. It holds addresses as numbers, to pass them to the thread.
struct Target {
    slots: usize,
    entries: usize,
    words: [usize; 4],
    flow_word: usize,
}

pub fn run() {
    let ring = RawRing::with(|p| p.sq_entries = 16);
    let base = ring.base as usize;
    let word = |atomic: &AtomicU32| std::ptr::from_ref(atomic) as usize;
    let target = Target {
        slots: base + ring.params.sq_off as usize,
        entries: 16,
        words: [
            word(ring.sq_tail()),
            word(ring.cq_head()),
            word(ring.sq_head()),
            word(ring.word(std::mem::offset_of!(RingHeader, sq_flags))),
        ],
        flow_word: base + ring.params.flow_off as usize,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || scribble(&target, &stop)
    });

    let mut taken = 0u32;
    for round in 0..ROUNDS {
        for index in 0..8 {
            // SAFETY: the slot lies in the mapping; that another thread writes it is the point.
            unsafe {
                ring.slot(taken.wrapping_add(index))
                    .write_volatile(sqe!(libc::SYS_getppid));
            }
        }
        ring.set_tail_raw(taken.wrapping_add(8));
        ring.cq_head()
            .store(ring.cq_tail().load(Ordering::Acquire), Ordering::Release);
        match ring.enter(16, 0) {
            count @ 0..=16 => taken = taken.wrapping_add(count as u32),
            error if error == neg(libc::EINVAL) || error == neg(libc::EBUSY) => (),
            other => panic!("round {round}: saio_enter gave {}", show(other)),
        }
        if round % 16 == 0 {
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::Release);
    thread.join().expect("the thread ends");
    assert_ne!(taken, 0);
    still_works(&ring, taken);
}

/// The kernel's own index is what was taken, whatever the shared words say.
fn still_works(ring: &RawRing, taken: u32) {
    // The first entry may belong to a chain that a full completion queue cut in two.
    let pid = sys!(libc::SYS_getpid);
    let first = run_at(ring, taken);
    assert!(
        first == pid || first == neg(libc::ECANCELED),
        "{}",
        show(first)
    );
    assert_eq!(run_at(ring, taken.wrapping_add(1)), pid);
}

/// Runs getpid as the entry of this index; gives its result.
fn run_at(ring: &RawRing, index: u32) -> i64 {
    let completions = ring.cq_tail().load(Ordering::Acquire);
    ring.cq_head().store(completions, Ordering::Release);
    // SAFETY: the slot lies in the mapping; the other thread has ended.
    unsafe {
        ring.slot(index)
            .write_volatile(sqe!(libc::SYS_getpid).data(77));
    }
    ring.set_tail_raw(index.wrapping_add(1));
    assert_eq!(ring.enter(16, 0), 1, "exactly the one new entry");
    let one_more = |before: u32| before.wrapping_add(1);
    assert_eq!(ring.sq_head().load(Ordering::Acquire), one_more(index));
    assert_eq!(
        ring.cq_tail().load(Ordering::Acquire),
        one_more(completions)
    );
    let slot = (completions & (ring.params.cq_entries - 1)) as usize;
    let offset = ring.params.cq_off as usize + slot * size_of::<Cqe>();
    // SAFETY: the completion queue lies in the mapping.
    let cqe = unsafe { ring.base.add(offset).cast::<Cqe>().read_volatile() };
    assert_eq!(cqe.user_data, 77);
    cqe.res
}

fn scribble(target: &Target, stop: &AtomicBool) {
    let mut rng = Rng::new(99);
    while !stop.load(Ordering::Acquire) {
        let mut entry = sqe!(NUMBERS[rng.below(NUMBERS.len())]);
        entry.flags = rng.next() as u16 & 0x3f;
        entry.ctl = rng.next() as u32 & 0x0003_0307;
        entry.user_data = rng.next();
        entry.args = [rng.next(); 6];
        let slot = target.slots + rng.below(target.entries) * size_of::<Sqe>();
        let word = target.words[rng.below(target.words.len())];
        // SAFETY: both addresses lie in the mapping, which lives as long as the process.
        unsafe {
            (slot as *mut Sqe).write_volatile(entry);
            let word = AtomicU32::from_ptr(word as *mut u32);
            let near = word
                .load(Ordering::Relaxed)
                .wrapping_add(rng.below(40) as u32);
            let far = rng.next() as u32;
            word.store(if far & 1 == 0 { near } else { far }, Ordering::Release);
            (target.flow_word as *mut u32).write_volatile(far);
        }
    }
}
