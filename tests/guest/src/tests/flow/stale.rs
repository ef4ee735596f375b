// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: closing any descriptor of a flow's socket in the owner's file table sets STALE in
//! its status word, and the flow goes on working; what a forked child closes does not matter.

use crate::harness::*;

pub fn run() {
    let mut by_us = Flow::roomy();
    let copy = fd(sys!(libc::SYS_dup, by_us.ours));
    assert!(!by_us.has(FLOW_STALE), "a copy alone changes nothing");
    expect_ok!(sys!(libc::SYS_close, copy));
    assert!(by_us.has(FLOW_STALE), "status {:#x}", by_us.status());
    goes_on(&mut by_us);

    let mut by_child = Flow::roomy();
    in_child(|| {
        expect_ok!(sys!(libc::SYS_close, by_child.ours));
    });
    assert!(!by_child.has(FLOW_STALE), "status {:#x}", by_child.status());
    goes_on(&mut by_child);
}

fn goes_on(flow: &mut Flow) {
    assert!(!flow.has(FLOW_FAILED));
    flow.ring.fill_arena(0, b"still here");
    assert_eq!(flow.ring.run_one(flow.write(0, 10)), 10);
    expect_bytes(flow.peer, b"still here");
}
