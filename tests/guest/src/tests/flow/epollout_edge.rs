// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: edge-triggered epoll gets its edge when a parked flow has drained, and none
//! before: a loop that sleeps until the edge must not sleep for ever.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::tight();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let interest = libc::epoll_event {
        events: (libc::EPOLLOUT | libc::EPOLLET) as u32,
        u64: 0,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, flow.ours, &interest));
    let mut event: libc::epoll_event = zeroed();
    let mut wait = |ms: i32| sys!(libc::SYS_epoll_wait, epoll, &mut event, 1, ms);
    assert_eq!(wait(0), 1, "the first edge");
    assert_eq!(wait(0), 0);

    for round in 0..5 {
        let parked = flow.park();
        assert_eq!(wait(20), 0, "parked, round {round}");
        // Part of the bytes is no reason to wake anybody.
        let (some, rest) = parked.split_at(CHUNK / 2);
        expect_bytes(flow.peer, some);
        assert_eq!(wait(20), 0, "still parked, round {round}");
        expect_bytes(flow.peer, rest);
        assert_eq!(wait(10_000), 1, "the edge, round {round}");
        assert!(!flow.has(FLOW_FULL), "an edge, but FULL");
        assert_eq!(poll(flow.ours, libc::POLLOUT, 0), libc::POLLOUT);
        assert_eq!(flow.ring.wait(2).len(), 2);
        // What the last acknowledgements may raise belongs to this round.
        while wait(20) == 1 {}
    }
}
