// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a blocking write by the owner to the socket of a flow, while entries for it are
//! published that only the owner can dispatch (in a chain; with no room for their completions), is
//! EAGAIN and does not wait for the writer itself.

use crate::harness::*;

pub fn run() {
    in_chain();
    without_room();
}

fn in_chain() {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, b"first");
    let entry = flow.write(0, 5).flag(LINK);
    flow.ring.push(entry);
    flow.ring.push(sqe!(libc::SYS_getppid));
    flow.ring.publish();
    again(&flow);

    // The hook has put the first one aside for this.
    assert_eq!(flow.ring.enter(2, 0), 1);
    write_all(flow.ours, b"second");
    expect_bytes(flow.peer, b"firstsecond");
}

fn without_room() {
    let ring = RawRing::with(|params| {
        params.sq_entries = 8;
        params.cq_entries = 8;
    });
    let mut flow = Flow::on(ring, tcp_pair(0, 0));
    for _ in 0..8 {
        assert_eq!(flow.ring.submit(&[sqe!(libc::SYS_getppid)]), 1);
    }
    flow.ring.fill_arena(0, b"first");
    let entry = flow.write(0, 5);
    assert_eq!(flow.ring.submit(&[entry]), -i64::from(libc::EBUSY));
    again(&flow);

    assert_eq!(flow.ring.reap().len(), 8);
    assert_eq!(flow.ring.enter(1, 0), 1);
    write_all(flow.ours, b"second");
    expect_bytes(flow.peer, b"firstsecond");
}

fn again(flow: &Flow) {
    set_nonblocking(flow.ours, false);
    let result = sys!(libc::SYS_write, flow.ours, b"x".as_ptr(), 1);
    assert_eq!(result, -i64::from(libc::EAGAIN));
    set_nonblocking(flow.ours, true);
}
