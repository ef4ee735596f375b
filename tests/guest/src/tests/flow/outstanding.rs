// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: results that are outstanding keep their room in the completion queue: with all of
//! it promised to parked entries nothing more is taken, and no completion is lost.

use crate::harness::*;

pub fn run() {
    let ring = RawRing::with(|p| {
        p.sq_entries = 4;
        p.cq_entries = 4;
        p.arena_size = 1 << 20;
        p.flow_limit = 1 << 20;
    });
    let mut flow = Flow::on(ring, tcp_pair(SMALL, SMALL));
    let parked = flow.park();
    let entries: Vec<Sqe> = (2..6).map(|n| sqe!(libc::SYS_getuid).data(n)).collect();
    assert_eq!(flow.ring.submit(&entries), 2, "two results are outstanding");
    expect_errno!(flow.ring.enter(2, 0), libc::EBUSY);
    expect_results(&in_order(flow.ring.reap()), &[0, 0]);
    assert_eq!(flow.ring.enter(2, 0), 2);
    expect_errno!(flow.ring.enter(1, 5), libc::EINVAL);

    expect_bytes(flow.peer, &parked);
    let cqes = flow.ring.wait(4);
    expect_results(&in_order(cqes), &[CHUNK as i64, CHUNK as i64, 0, 0]);
}
