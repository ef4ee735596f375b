// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a call with a temporary signal mask is allowed as the last entry that one
//! `saio_enter` takes and is EINVAL elsewhere; without a mask it may stand anywhere.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let event = fd(sys!(libc::SYS_eventfd2, 1, 0));
    let interest = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 1,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, event, &interest));

    let mut events: [libc::epoll_event; 2] = [zeroed(); 2];
    let out = events.as_mut_ptr();
    let mut item = libc::pollfd {
        fd: event,
        events: libc::POLLIN,
        revents: 0,
    };
    let item = &raw mut item;
    let mask = mask_of(libc::SIGUSR1);
    let size = size_of::<u64>();
    let none = std::ptr::null::<u64>();
    let packed: [u64; 2] = [Arg::arg(mask), size as u64];

    // Each call with a mask, and without.
    let calls = [
        (
            sqe!(libc::SYS_epoll_pwait, epoll, out, 2, -1, &mask, size),
            sqe!(libc::SYS_epoll_pwait, epoll, out, 2, -1, none, size),
        ),
        (
            sqe!(libc::SYS_epoll_pwait2, epoll, out, 2, none, &mask, size),
            sqe!(libc::SYS_epoll_pwait2, epoll, out, 2, none, none, size),
        ),
        (
            sqe!(libc::SYS_ppoll, item, 1, none, &mask, size),
            sqe!(libc::SYS_ppoll, item, 1, none, none, size),
        ),
    ];
    let user = || sqe!(libc::SYS_getuid);
    for (masked, plain) in calls {
        let nr = masked.nr;
        let got = ring.run(&[user(), masked, user()]);
        assert_eq!(got, [0, neg(libc::EINVAL), 0], "call {nr} in the middle");
        let got = ring.run(&[user(), plain, user()]);
        assert_eq!(got, [0, 1, 0], "call {nr} without a mask");
        let got = ring.run(&[user(), user(), masked]);
        assert_eq!(got, [0, 0, 1], "call {nr} as last entry");

        // The last that is taken, though more is published.
        ring.push(masked.data(0));
        ring.push(user().data(1));
        ring.publish();
        assert_eq!(ring.enter(1, 0), 1);
        assert_eq!(ring.enter(1, 0), 1);
        expect_results(&in_order(ring.reap()), &[1, 0]);
    }

    let select = sqe!(libc::SYS_pselect6, 0, 0, 0, 0, none, &packed);
    expect_results(&ring.run(&[select, user()]), &[neg(libc::EINVAL), 0]);
}
