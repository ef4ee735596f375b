// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a flow whose peer does not read holds up no other: neither another flow of its ring
//! nor another ring, although one thread serves them all.

use crate::harness::*;

const ROUNDS: usize = 100;
const LEN: usize = 1000;

pub fn run() {
    let pool = Pool::new("slow", |p| p.workers(1).max(1));
    let mut slow = Flow::on(RawRing::pooled("slow"), tcp_pair(SMALL, SMALL));
    let bytes = park_bytes();
    slow.ring.fill_arena(0, &bytes);
    let entries = [
        slow.write(0, CHUNK).data(0),
        slow.write(CHUNK, CHUNK).data(1),
    ];
    expect_ok!(slow.ring.submit(&entries));
    eventually("the flow is full", || slow.has(FLOW_FULL));
    eventually("it waits", || pool.stat().parks > 0);

    let beside = tcp_pair(0, 0);
    let id = slow.ring.register(beside.ours);
    let mut other = Flow::on(RawRing::pooled("slow"), tcp_pair(0, 0));
    slow.ring.fill_arena(SPARE, &bytes[..LEN]);
    other.ring.fill_arena(0, &bytes[..LEN]);
    for _ in 0..ROUNDS {
        let target = target(id, beside.ours);
        let entry = sqe!(libc::SYS_write, target, SPARE, LEN).on_flow();
        expect_ok!(slow.ring.submit(&[entry.data(2)]));
        expect_ok!(other.ring.submit(&[other.write(0, LEN)]));
        for (ring, peer) in [(&mut slow.ring, beside.peer), (&mut other.ring, other.peer)] {
            expect_bytes(peer, &bytes[..LEN]);
            expect_results(&in_order(ring.wait(1)), &[LEN as i64]);
        }
    }
    assert!(slow.has(FLOW_FULL) && !slow.has(FLOW_FAILED));
    slow.unpark(&bytes);
    assert_eq!(pool.stat().entries, 2 * ROUNDS as u64 + 2);
}
