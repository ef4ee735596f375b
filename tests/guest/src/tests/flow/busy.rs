// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a flow that does not show BUSY has run what was taken off the queue for it, so that
//! entries need no completion to say that their bytes of the arena are free. It shows BUSY while
//! entries are parked, or handed to a workqueue by a call that passes by the ring.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::tight();
    flow.ring.fill_arena(SPARE, b"text");
    // What runs at once, or by the time that the flow is idle.
    let quiet = flow.write(SPARE, 4).flag(SKIP_SUCCESS);
    assert_eq!(flow.ring.submit(&[quiet]), 1);
    idle(&flow);
    left(&flow);
    expect_bytes(flow.peer, b"text");

    // What waits for the peer.
    let parked = flow.park();
    assert!(flow.has(FLOW_BUSY), "parked, status {:#x}", flow.status());
    assert_eq!(flow.ring.submit(&[quiet]), 1);
    assert!(flow.has(FLOW_BUSY), "queued, status {:#x}", flow.status());
    expect_bytes(flow.peer, &parked);
    expect_bytes(flow.peer, b"text");
    idle(&flow);
    let chunk = CHUNK as i64;
    expect_results(&in_order(flow.ring.wait(2)), &[chunk, chunk]);

    // What a close hands over. Whoever runs it, it has left when the flow does not say BUSY.
    flow.ring.push(quiet);
    flow.ring.publish();
    let copy = expect_ok!(sys!(libc::SYS_dup, flow.ours)) as i32;
    expect_ok!(sys!(libc::SYS_close, copy));
    eventually("it is taken", || flow.ring.queued() == 0);
    idle(&flow);
    left(&flow);
    expect_bytes(flow.peer, b"text");

    // A failure ends it, and is told.
    let mut flow = Flow::tight();
    flow.park();
    let failed = flow.write(1 << 31, 4).flag(SKIP_SUCCESS);
    assert_eq!(flow.ring.submit(&[failed.data(2)]), 1);
    eventually("it fails", || flow.has(FLOW_FAILED));
    idle(&flow);
    assert_eq!(flow.ring.wait(3).len(), 3);
}

fn idle(flow: &Flow) {
    eventually("the flow is idle", || !flow.has(FLOW_BUSY));
}

/// TCP has it; the peer sees it soon.
fn left(flow: &Flow) {
    assert_eq!(poll(flow.peer, libc::POLLIN, 1000), libc::POLLIN);
}
