// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a chain that a signal cuts in two goes on in the next call: links, cancellation
//! and earlier results reach across the cut.

use crate::harness::*;

pub fn run() {
    count_signal(libc::SIGUSR1, 0);
    let mut ring = RawRing::new();
    let me = sys!(libc::SYS_getpid);
    let interrupt = || sqe!(libc::SYS_kill, me, libc::SIGUSR1);

    // The second half takes a result of the first.
    std::fs::write("f", "text").expect("the directory can be written");
    let free = next_fd();
    let mut text = [0u8; 8];
    let entries = [
        sqe!(libc::SYS_openat, libc::AT_FDCWD, c"f".as_ptr(), 0).flag(LINK),
        interrupt().flag(LINK),
        sqe!(libc::SYS_read, -1, &mut text, 8)
            .flag(LINK)
            .result_to(0, 2),
        sqe!(libc::SYS_close, -1).result_to(0, 3),
    ];
    assert_eq!(ring.submit(&entries), 2);
    assert_eq!(ring.enter(2, 0), 2);
    assert_eq!(next_fd(), free);
    assert_eq!(&text[..4], b"text");
    let results: Vec<i64> = ring.reap().iter().map(|cqe| cqe.res).collect();
    expect_results(&results, &[i64::from(free), 0, 4, 0]);

    // A failure in the second half cancels what is behind it.
    let make = |name: &'static std::ffi::CStr| sqe!(libc::SYS_mkdir, name.as_ptr(), 0o755);
    let entries = [
        make(c"a").flag(LINK),
        interrupt().flag(LINK),
        make(c"a").flag(LINK),
        make(c"b"),
        make(c"c"),
    ];
    assert_eq!(ring.submit(&entries), 2);
    assert_eq!(ring.enter(3, 0), 3);
    let results: Vec<i64> = ring.reap().iter().map(|cqe| cqe.res).collect();
    let (twice, cancelled) = (neg(libc::EEXIST), neg(libc::ECANCELED));
    expect_results(&results, &[0, 0, twice, cancelled, 0]);
    assert!(exists("a") && !exists("b") && exists("c"));
    assert_eq!(signals_seen(), 2);
}
