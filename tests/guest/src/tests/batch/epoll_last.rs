// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: epoll_wait as the last entry of a batch waits and returns what the entries
//! before it caused, or 0 after its timeout: flush and wait in one crossing.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    let [read, write] = pipe();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let interest = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 4711,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, read, &interest));

    let mut events: [libc::epoll_event; 4] = [zeroed(); 4];
    let got = ring.run(&[
        sqe!(libc::SYS_epoll_wait, epoll, &mut events, 4, 0),
        sqe!(libc::SYS_write, write, c"x".as_ptr(), 1),
        sqe!(libc::SYS_epoll_wait, epoll, &mut events, 4, -1),
    ]);
    expect_results(&got, &[0, 1, 1]);
    let (seen, data) = (events[0].events, events[0].u64);
    assert_eq!((seen, data), (libc::EPOLLIN as u32, 4711));

    let mut byte = 0u8;
    let got = ring.run(&[
        sqe!(libc::SYS_read, read, &mut byte, 1),
        sqe!(libc::SYS_epoll_wait, epoll, &mut events, 4, 20),
    ]);
    expect_results(&got, &[1, 0]);
    assert_eq!(byte, b'x');

    // Woken by another process while it waits.
    let child = child(|| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        write_all(write, b"y");
    });
    assert_eq!(
        ring.run_one(sqe!(libc::SYS_epoll_wait, epoll, &mut events, 4, -1)),
        1
    );
    assert_eq!(child.wait(), Exit::Status(0));
}
