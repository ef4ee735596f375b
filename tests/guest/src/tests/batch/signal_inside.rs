// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a signal that ends the wait of an entry completes it with EINTR, also where a
//! plain call would be restarted; the entries behind it are left for the next call; nothing runs
//! twice, and no internal code gets out.

use crate::harness::*;

pub fn run() {
    let [read, write] = pipe();
    let epoll = fd(sys!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    let mut events: [libc::epoll_event; 1] = [zeroed()];
    let mut byte = 0u8;
    let hour = libc::timespec {
        tv_sec: 3600,
        tv_nsec: 0,
    };
    let mut left: libc::timespec = zeroed();
    let mut item = libc::pollfd {
        fd: read,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut status = 0;
    let sleeper = child(|| {
        sys!(libc::SYS_pause);
    });
    let waits = [
        sqe!(libc::SYS_read, read, &mut byte, 1),
        sqe!(libc::SYS_epoll_wait, epoll, &mut events, 1, -1),
        sqe!(libc::SYS_poll, &mut item, 1, -1),
        // Each of the two is restarted in a way of its own.
        sqe!(libc::SYS_nanosleep, &hour, &mut left),
        sqe!(libc::SYS_wait4, sleeper.pid, &mut status, 0, 0),
        sqe!(libc::SYS_pause),
    ];

    let mut ring = RawRing::new();
    for (place, wait) in waits.into_iter().enumerate() {
        for flags in [0, libc::SA_RESTART] {
            count_signal(libc::SIGALRM, flags);
            let name = format!("log{place}{flags}");
            interrupted(&mut ring, wait, &name);
        }
    }
    assert_eq!(byte, 0);
    sleeper.kill();

    // The same read, when there is something, gets it once.
    write_all(write, b"xy");
    assert_eq!(ring.run_one(waits[0]), 1);
    assert_eq!(byte, b'x');
    expect_bytes(read, b"y");
}

fn interrupted(ring: &mut RawRing, wait: Sqe, name: &str) {
    let log = file(name, b"");
    let letters = b"abc";
    let write = |place: usize| sqe!(libc::SYS_write, log, &letters[place], 1);
    let entries = [write(0), wait, write(1), write(2)];
    for (place, entry) in entries.into_iter().enumerate() {
        ring.push(entry.data(place as u64));
    }
    ring.publish();

    let seen = signals_seen();
    alarm_every(20);
    // A signal may come at any place. Go on until all are taken; more than one call is needed,
    // as one signal at least ends the wait.
    let (mut taken, mut calls) = (0, 0);
    while taken < 4 {
        match ring.enter(4, 0) {
            count @ 0..=4 => taken += count,
            errno => expect_errno!(errno, libc::EINTR),
        }
        calls += 1;
    }
    alarm_every(0);
    assert!(signals_seen() > seen && calls > 1);
    assert_eq!(taken, 4);
    expect_results(&in_order(ring.reap()), &[1, neg(libc::EINTR), 1, 1]);
    let written = std::fs::read(name).expect("it was made above");
    assert_eq!(written, letters, "each write once, in order");
    expect_ok!(sys!(libc::SYS_close, log));
}
