// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: closing the socket of a parked flow works at once for the holder: the number is
//! free and the socket gone from epoll; the peer still gets every byte, then the end.

use crate::harness::*;

pub fn run() {
    let (mut flow, parked) = parked();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let interest = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP) as u32,
        u64: 0,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, flow.ours, &interest));
    assert_eq!(watched(epoll), 1);

    expect_ok!(sys!(libc::SYS_close, flow.ours));
    expect_errno!(sys!(libc::SYS_close, flow.ours), libc::EBADF);
    assert_eq!(watched(epoll), 0, "still in the epoll set");
    let number = sys!(libc::SYS_fcntl, 2, libc::F_DUPFD, flow.ours);
    assert_eq!(number, i64::from(flow.ours), "the number is free");

    expect_bytes(flow.peer, &parked);
    expect_eof(flow.peer);
    let mut event: libc::epoll_event = zeroed();
    let seen = sys!(libc::SYS_epoll_wait, epoll, &mut event, 1, 20);
    assert_eq!(seen, 0, "an event of a closed socket");
    let cqes = flow.ring.wait(2);
    expect_results(&in_order(cqes), &[CHUNK as i64, CHUNK as i64]);
    eventually("the flow ends with its socket", || !flow.has(FLOW_USED));
}

/// How many files an epoll set watches.
fn watched(epoll: i32) -> usize {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{epoll}"));
    let info = info.expect("/proc is mounted");
    info.lines().filter(|line| line.starts_with("tfd:")).count()
}
