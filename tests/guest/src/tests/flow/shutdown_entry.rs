// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a shutdown entry runs behind the data entries before it, also when these are
//! parked.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, b"bye");
    let got = flow
        .ring
        .run(&[flow.write(0, 3), flow.shutdown(libc::SHUT_WR)]);
    expect_results(&got, &[3, 0]);
    expect_bytes(flow.peer, b"bye");
    expect_eof(flow.peer);

    let (mut flow, parked) = parked();
    let entry = flow.shutdown(libc::SHUT_WR).data(2);
    assert_eq!(flow.ring.submit(&[entry]), 1);
    expect_bytes(flow.peer, &parked);
    expect_eof(flow.peer);
    let results = in_order(flow.ring.wait(3));
    expect_results(&results, &[CHUNK as i64, CHUNK as i64, 0]);
}
