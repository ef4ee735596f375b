// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a file that is shorter than its sendfile entry promises fails the connection: no
//! later response may be taken for the rest of this one.

use crate::harness::*;

const PROMISED: usize = 5000;

pub fn run() {
    let content = pattern(4, 1000);
    let source = file("short", &content);
    let mut flow = Flow::roomy();
    let entries = [
        flow.sendfile(source, 0, PROMISED).data(0),
        flow.write(0, 10).data(1),
    ];
    assert_eq!(flow.ring.submit(&entries), 2);
    let results = in_order(flow.ring.wait(2));
    assert!(results[0] < 0, "{}", show(results[0]));
    assert_eq!(results[1], neg(libc::ECANCELED), "{}", show(results[1]));
    assert!(flow.has(FLOW_FAILED));
    let error = get_option(flow.ours, libc::SOL_SOCKET, libc::SO_ERROR);
    assert_ne!(error, 0, "the socket has no error");
    let got = expect_reset(flow.peer);
    assert!(got.len() <= content.len());
    expect_same(&got, &content[..got.len()]);

    // A file that shrinks while its entry is queued is no better.
    let (mut flow, parked) = parked();
    let source = file("shrinking", &pattern(6, PROMISED));
    let entry = flow.sendfile(source, 0, PROMISED).data(2);
    assert_eq!(flow.ring.submit(&[entry]), 1);
    expect_ok!(sys!(libc::SYS_ftruncate, source, 10));
    let got = expect_reset(flow.peer);
    let common = parked.len().min(got.len());
    expect_same(&got[..common], &parked[..common]);
    assert!(got.len() <= parked.len() + 10);
    let results = in_order(flow.ring.wait(3));
    assert!(results[2] < 0, "{}", show(results[2]));
    assert!(flow.has(FLOW_FAILED));
}
