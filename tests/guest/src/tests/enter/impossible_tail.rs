// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a shared tail that is further ahead than the queue is long, or behind, gives
//! EINVAL and nothing runs; with a sensible tail the ring goes on.

use crate::harness::*;
use std::sync::atomic::Ordering;

pub fn run() {
    let mut ring = RawRing::with(|p| p.sq_entries = 16);
    // Not at index 0, so that "behind" does not mean "wrapped".
    for _ in 0..10 {
        expect_alive(&mut ring);
    }
    let head = ring.sq_head().load(Ordering::Acquire);
    assert_eq!(head, ring.next_index());
    ring.push(sqe!(libc::SYS_mkdir, c"a".as_ptr(), 0o755));
    ring.push(sqe!(libc::SYS_mkdir, c"b".as_ptr(), 0o755));

    for tail in [head + 17, head + 4096, head ^ 1 << 31, head - 1, head - 16] {
        ring.set_tail_raw(tail);
        expect_errno!(ring.enter(2, 0), libc::EINVAL);
    }
    assert!(!exists("a") && !exists("b"));
    assert!(ring.reap().is_empty());

    ring.publish();
    assert_eq!(ring.enter(2, 0), 2);
    assert!(exists("a") && exists("b"));
    expect_results(&in_order(ring.reap()), &[0, 0]);
}
