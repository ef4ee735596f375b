// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a flow may hold its limit of bytes, and fails when an owner that does not heed
//! FULL goes on with more than that waiting.

use crate::harness::*;

const LIMIT: u32 = 64 << 10;
const PART: usize = 32 << 10;
/// More than twice the limit and what both sockets can hold.
const PARTS: usize = 32;

pub fn run() {
    let ring = RawRing::with(|p| {
        p.arena_size = 1 << 20;
        p.flow_limit = LIMIT;
    });
    let mut flow = Flow::on(ring, tcp_pair(SMALL, SMALL));
    let bytes = pattern(6, PART);
    flow.ring.fill_arena(0, &bytes);

    let mut submitted = 0;
    while !flow.has(FLOW_FULL) {
        let entry = flow.write(0, PART).data(submitted as u64);
        assert_eq!(flow.ring.submit(&[entry]), 1);
        submitted += 1;
        assert!(submitted < PARTS, "the sockets hold everything");
    }
    assert!(!flow.has(FLOW_FAILED), "one part is within the limit");

    while submitted < PARTS {
        let entry = flow.write(0, PART).data(submitted as u64);
        assert_eq!(flow.ring.submit(&[entry]), 1);
        submitted += 1;
    }
    eventually("the flow fails", || flow.has(FLOW_FAILED));
    eventually("every entry completes", || {
        flow.ring.unread() as usize == PARTS
    });
    let results = in_order(flow.ring.reap());
    assert!(results[PARTS - 1] < 0);
    let got = expect_reset(flow.peer);
    expect_same(&got, &bytes.repeat(PARTS)[..got.len()]);
}
