// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: level-triggered epoll does not report a parked flow's socket as writable, so
//! that a loop does not spin, and does report it, again and again, once the flow has drained.

use crate::harness::*;

pub fn run() {
    let mut flow = Flow::tight();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let interest = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLOUT) as u32,
        u64: 0,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, flow.ours, &interest));
    let wait = |ms: i32| {
        let mut event: libc::epoll_event = zeroed();
        let count = expect_ok!(sys!(libc::SYS_epoll_wait, epoll, &mut event, 1, ms));
        let seen = event.events;
        (count == 1).then_some(seen as i32)
    };
    assert_eq!(wait(0), Some(libc::EPOLLOUT));
    for _ in 0..3 {
        let parked = flow.park();
        for _ in 0..10 {
            assert_eq!(wait(0), None, "parked");
        }
        assert_eq!(wait(20), None, "parked");
        write_all(flow.peer, b"x");
        assert_eq!(wait(10_000), Some(libc::EPOLLIN), "only what came in");
        read_byte(flow.ours);

        expect_bytes(flow.peer, &parked);
        for _ in 0..3 {
            assert_eq!(wait(10_000), Some(libc::EPOLLOUT), "drained");
        }
        assert_eq!(flow.ring.wait(2).len(), 2);
    }
}

/// Reads the one byte that the peer wrote.
fn read_byte(socket: i32) {
    let mut byte = 0u8;
    assert_eq!(sys!(libc::SYS_read, socket, &mut byte, 1), 1);
}
