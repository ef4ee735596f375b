// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: an entry is taken only if its result has room: a full completion queue ends the
//! call short or with EBUSY, and once it is read nothing has been lost or run twice. An index of
//! the reader that makes no sense counts as a full queue.

use crate::harness::*;
use std::sync::atomic::Ordering;

pub fn run() {
    let mut ring = RawRing::with(|p| {
        p.sq_entries = 4;
        p.cq_entries = 4;
    });
    let log = file("log", b"");
    let letters = b"abcdefgh";
    let push = |ring: &mut RawRing, from: usize| {
        for (place, letter) in letters.iter().enumerate().skip(from).take(4) {
            ring.push(sqe!(libc::SYS_write, log, letter, 1).data(place as u64));
        }
        ring.publish();
    };

    push(&mut ring, 0);
    assert_eq!(ring.enter(4, 0), 4);
    push(&mut ring, 4);
    expect_errno!(ring.enter(4, 0), libc::EBUSY);
    expect_errno!(ring.enter(4, 0), libc::EBUSY);
    senseless_heads(&ring);

    let mut order: Vec<u64> = Vec::new();
    let mut note = |ring: &mut RawRing, count: u32| {
        order.extend(ring.reap_up_to(count).iter().map(|cqe| cqe.user_data));
    };
    note(&mut ring, 1);
    assert_eq!(ring.enter(4, 0), 1, "room for one");
    expect_errno!(ring.enter(4, 0), libc::EBUSY);
    note(&mut ring, 4);
    assert_eq!(ring.enter(4, 0), 3, "room for the rest");
    note(&mut ring, 4);
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
    let written = std::fs::read("log").expect("it was made above");
    expect_same(&written, letters);

    chain_goes_on(&mut ring);
}

/// With the queue full, as it is now.
fn senseless_heads(ring: &RawRing) {
    let head = ring.cq_head().load(Ordering::Acquire);
    let tail = ring.cq_tail().load(Ordering::Acquire);
    for senseless in [
        tail.wrapping_add(1),
        tail.wrapping_add(1 << 31),
        tail.wrapping_sub(5),
        tail.wrapping_sub(1 << 20),
    ] {
        ring.cq_head().store(senseless, Ordering::Release);
        expect_errno!(ring.enter(4, 0), libc::EBUSY);
    }
    ring.cq_head().store(head, Ordering::Release);
}

/// A chain that a full queue cuts in two is still one chain.
fn chain_goes_on(ring: &mut RawRing) {
    assert_eq!(ring.submit(&[sqe!(libc::SYS_getuid); 3]), 3);
    let chain = [
        sqe!(libc::SYS_close, -1).flag(LINK).data(0),
        sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755).data(1),
    ];
    assert_eq!(ring.submit(&chain), 1);
    assert_eq!(ring.reap().len(), 4);
    assert_eq!(ring.enter(1, 0), 1);
    let cqes = ring.reap();
    assert_eq!((cqes[0].user_data, cqes[0].res), (1, neg(libc::ECANCELED)));
    assert!(!exists("made"));
}
