// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a blocking write to the socket of a parked flow, by another process, waits until
//! the flow has drained and comes behind its bytes.

use crate::harness::*;

pub fn run() {
    let (mut flow, parked) = parked();
    let gate = Gate::new();
    let writer = child(|| {
        set_nonblocking(flow.ours, false);
        gate.open();
        write_all(flow.ours, b"behind");
    });
    gate.pass();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(writer.running(), "the write did not wait");

    expect_bytes(flow.peer, &parked);
    expect_bytes(flow.peer, b"behind");
    assert_eq!(writer.wait(), Exit::Status(0));
    let cqes = flow.ring.wait(2);
    expect_results(&in_order(cqes), &[CHUNK as i64, CHUNK as i64]);
}
