// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: ten thousand flows are made, used, and ended by unregistering or by closing their
//! sockets; neither files nor slab nor memory grow.

use crate::harness::*;

const CONNECTIONS: usize = 1_000;
const FLOWS_OF_A_CONNECTION: usize = 10;

pub fn run() {
    let mut ring = RawRing::with(|p| p.flows = 16);
    ring.fill_arena(0, b"text");
    // The first time caches fill up.
    make_and_close(&mut ring);
    let before = Usage::now();
    make_and_close(&mut ring);
    before.expect_no_growth();
}

fn make_and_close(ring: &mut RawRing) {
    for _ in 0..CONNECTIONS {
        let pair = tcp_pair(0, 0);
        for left in (0..FLOWS_OF_A_CONNECTION).rev() {
            let flow = ring.register(pair.ours);
            let target = target(flow, pair.ours);
            let entry = sqe!(libc::SYS_write, target, 0, 4).on_flow();
            assert_eq!(ring.run_one(entry), 4);
            if left != 0 {
                expect_ok!(ring.unregister(flow));
            }
        }
        expect_bytes(pair.peer, &b"text".repeat(FLOWS_OF_A_CONNECTION));
        // With a reset, or a thousand connections would linger in TIME_WAIT.
        set_linger0(pair.ours);
        expect_ok!(sys!(libc::SYS_close, pair.ours));
        expect_ok!(sys!(libc::SYS_close, pair.peer));
    }
}
