// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the temporary mask of a last entry lets the signals through that it should, once,
//! and the thread's own mask is back after the call, whether a signal came or an event.

use crate::harness::*;

pub fn run() {
    count_signal(libc::SIGUSR1, 0);
    change_mask(libc::SIG_SETMASK, mask_of(libc::SIGUSR1));
    let before = current_mask();
    assert_eq!(before, mask_of(libc::SIGUSR1));

    let mut ring = RawRing::new();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let mut events: [libc::epoll_event; 2] = [zeroed(); 2];
    let open_mask = 0u64;
    let wait = |timeout: i32, events: &mut [libc::epoll_event; 2]| {
        let (mask, size) = (&open_mask, size_of::<u64>());
        sqe!(libc::SYS_epoll_pwait, epoll, events, 2, timeout, mask, size)
    };
    let me = sys!(libc::SYS_getpid);

    // Pending and blocked: no reason to cut the batch short, but the wait lets it in.
    let got = ring.run(&[
        sqe!(libc::SYS_kill, me, libc::SIGUSR1),
        sqe!(libc::SYS_getuid),
        wait(-1, &mut events),
    ]);
    expect_results(&got, &[0, 0, neg(libc::EINTR)]);
    assert_eq!(signals_seen(), 1, "the handler runs once");
    assert_eq!(current_mask(), before);

    // Nothing comes.
    assert_eq!(ring.run_one(wait(10, &mut events)), 0);
    assert_eq!(current_mask(), before);

    // An event is there, and the signal is blocked within the wait too.
    let event = fd(sys!(libc::SYS_eventfd2, 1, 0));
    let interest = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 1,
    };
    let add = libc::EPOLL_CTL_ADD;
    expect_ok!(sys!(libc::SYS_epoll_ctl, epoll, add, event, &interest));
    let closed_mask = mask_of(libc::SIGUSR1) | mask_of(libc::SIGUSR2);
    let size = size_of::<u64>();
    let got = ring.run(&[
        sqe!(libc::SYS_kill, me, libc::SIGUSR1),
        sqe!(
            libc::SYS_epoll_pwait,
            epoll,
            &mut events,
            2,
            -1,
            &closed_mask,
            size
        ),
    ]);
    expect_results(&got, &[0, 1]);
    assert_eq!(current_mask(), before);
    assert_eq!(signals_seen(), 1, "still blocked");
    change_mask(libc::SIG_SETMASK, 0);
    assert_eq!(signals_seen(), 2);
}
