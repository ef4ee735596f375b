// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: unregistering a parked flow returns at once; what it holds still leaves, and
//! plain writes come behind it.

use crate::harness::*;

pub fn run() {
    let (mut flow, parked) = parked();
    expect_ok!(flow.ring.unregister(flow.id));
    expect_errno!(flow.ring.unregister(flow.id), libc::EBADF);
    assert_eq!(
        flow.ring.run_one(flow.write(0, 4).data(2)),
        neg(libc::EBADF)
    );
    let text = c"behind".as_ptr();
    expect_errno!(sys!(libc::SYS_write, flow.ours, text, 6), libc::EAGAIN);

    expect_bytes(flow.peer, &parked);
    let cqes = flow.ring.wait(2);
    expect_results(&in_order(cqes), &[CHUNK as i64, CHUNK as i64]);
    assert_eq!(poll(flow.ours, libc::POLLOUT, 10_000), libc::POLLOUT);
    write_all(flow.ours, b"behind");
    expect_bytes(flow.peer, b"behind");
    eventually("the socket can be registered again", || {
        flow.ring.register_errno(flow.ours) == 0
    });
}
