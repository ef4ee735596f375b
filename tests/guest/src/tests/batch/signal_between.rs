// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a signal that becomes pending between two entries ends the call short: what was
//! taken has run, the handler runs, and the rest runs in the next call; each entry once.

use crate::harness::*;

pub fn run() {
    let me = sys!(libc::SYS_getpid);
    let thread = sys!(libc::SYS_gettid);
    let [read, broken] = pipe();
    expect_ok!(sys!(libc::SYS_close, read));
    let pipe_error = neg(libc::EPIPE);
    let signals = [
        (libc::SIGUSR1, sqe!(libc::SYS_kill, me, libc::SIGUSR1), 0),
        (
            libc::SIGUSR2,
            sqe!(libc::SYS_tgkill, me, thread, libc::SIGUSR2),
            0,
        ),
        (
            libc::SIGPIPE,
            sqe!(libc::SYS_write, broken, c"x".as_ptr(), 1),
            pipe_error,
        ),
    ];
    let mut ring = RawRing::new();
    for (place, (signal, sends, result)) in signals.into_iter().enumerate() {
        for flags in [0, libc::SA_RESTART] {
            count_signal(signal, flags);
            cut_short(&mut ring, sends, result, &format!("log{place}{flags}"));
        }
    }
}

fn cut_short(ring: &mut RawRing, sends: Sqe, result: i64, name: &str) {
    let log = file(name, b"");
    let write = |letter: &'static u8| sqe!(libc::SYS_write, log, letter, 1);
    let entries = [
        write(&b'a'),
        sends,
        write(&b'b'),
        write(&b'c'),
        sends,
        write(&b'd'),
    ];
    let seen = signals_seen();
    for (place, entry) in entries.into_iter().enumerate() {
        ring.push(entry.data(place as u64));
    }
    ring.publish();
    assert_eq!(ring.enter(6, 0), 2, "the first signal ends the call");
    assert_eq!(signals_seen(), seen + 1);
    assert_eq!(std::fs::read(name).expect("it was made above"), b"a");
    expect_results(&in_order(ring.reap()), &[1, result]);

    assert_eq!(ring.enter(4, 0), 3, "the second signal ends the call");
    assert_eq!(signals_seen(), seen + 2);
    assert_eq!(ring.enter(1, 0), 1);
    assert_eq!(ring.enter(1, 0), 0, "nothing is left");
    expect_results(&in_order(ring.reap()), &[1, 1, result, 1]);
    assert_eq!(std::fs::read(name).expect("it was made above"), b"abcd");
    expect_ok!(sys!(libc::SYS_close, log));
}
