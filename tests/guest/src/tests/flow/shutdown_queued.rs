// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a plain shutdown of the write side returns 0 at once while the flow is parked and
//! takes effect behind the bytes: the peer gets them all, then the end.

use crate::harness::*;

pub fn run() {
    let (mut flow, parked) = parked();
    expect_ok!(sys!(libc::SYS_shutdown, flow.ours, libc::SHUT_WR));
    expect_bytes(flow.peer, &parked);
    expect_eof(flow.peer);
    let cqes = flow.ring.wait(2);
    expect_results(&in_order(cqes), &[CHUNK as i64, CHUNK as i64]);
    let flags = libc::MSG_NOSIGNAL;
    let text = c"x".as_ptr();
    let send = || sys!(libc::SYS_sendto, flow.ours, text, 1, flags, 0, 0);
    // The peer may see the end before the flow is done with it.
    eventually("the flow is idle", || send() != neg(libc::EAGAIN));
    expect_errno!(send(), libc::EPIPE);
    // The other direction is open.
    write_all(flow.peer, b"late request");
    set_nonblocking(flow.ours, false);
    expect_bytes(flow.ours, b"late request");
}
