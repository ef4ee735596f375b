// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: SO_LINGER with time 0 still makes a close reset the connection, of an empty flow
//! at once and of a parked one when its turn comes; the holder's close never waits.

use crate::harness::*;

pub fn run() {
    let empty = Flow::roomy();
    set_linger0(empty.ours);
    expect_ok!(sys!(libc::SYS_close, empty.ours));
    assert!(expect_reset(empty.peer).is_empty());

    let (flow, parked) = parked();
    set_linger0(flow.ours);
    expect_ok!(sys!(libc::SYS_close, flow.ours));
    let got = expect_reset(flow.peer);
    assert!(got.len() <= parked.len());
    expect_same(&got, &parked[..got.len()]);
}
