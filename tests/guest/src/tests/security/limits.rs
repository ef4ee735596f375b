// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: limits bind entries as they bind calls, as they are when an entry is taken: no number
//! above RLIMIT_NOFILE is given out (EMFILE), no byte behind RLIMIT_FSIZE is written (EFBIG, and SIGXFSZ,
//! which ends the batch behind the entry, or the process).

use crate::harness::*;

const LIMIT: usize = 100;

pub fn run() {
    in_child(descriptors);
    in_child(size_refused);
    in_child(size_handled);
    let file = file("killed", b"");
    assert_eq!(
        child(|| size_kills(file)).wait(),
        Exit::Signal(libc::SIGXFSZ)
    );
    let written = std::fs::metadata("killed").expect("it was made").len();
    assert_eq!(written, LIMIT as u64);
    assert!(!exists("behind"));
}

fn descriptors() {
    let mut ring = RawRing::new();
    let dup = sqe!(libc::SYS_dup, 2);
    let next = next_fd();
    ring.push(dup.data(0));
    ring.push(dup.data(1));
    ring.publish();
    let old = set_limit(libc::RLIMIT_NOFILE, next as u64 + 1);
    assert_eq!(ring.enter(2, 0), 2);
    let results = in_order(ring.reap());
    expect_results(&results, &[next.into(), neg(libc::EMFILE)]);
    let open = sqe!(
        libc::SYS_openat,
        libc::AT_FDCWD,
        c".".as_ptr(),
        libc::O_RDONLY
    );
    let results = ring.run(&[
        open,
        sqe!(libc::SYS_close, next),
        open,
        sqe!(libc::SYS_close, next),
    ]);
    expect_results(&results, &[neg(libc::EMFILE), 0, next.into(), 0]);
    // Set by an entry, for the next one.
    let more = libc::rlimit {
        rlim_cur: next as u64,
        rlim_max: old.max(next as u64),
    };
    let set = sqe!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &more, 0);
    expect_results(&ring.run(&[set, dup]), &[0, neg(libc::EMFILE)]);
}

/// Writes up to the limit, and over it.
fn writes(file: i32) -> [Sqe; 4] {
    let text = [b'x'; LIMIT].as_ptr();
    [
        sqe!(libc::SYS_pwrite64, file, text, LIMIT - 10, 0).data(0),
        // As much as fits.
        sqe!(libc::SYS_pwrite64, file, text, 20, LIMIT - 10).data(1),
        sqe!(libc::SYS_pwrite64, file, text, 20, LIMIT).data(2),
        sqe!(libc::SYS_mkdir, c"behind".as_ptr(), 0o755).data(3),
    ]
}

const RESULTS: [i64; 4] = [LIMIT as i64 - 10, 10, neg(libc::EFBIG), 0];

fn size_refused() {
    let file = file("refused", b"");
    // SAFETY: no handler is involved.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let mut ring = RawRing::new();
    for entry in writes(file) {
        ring.push(entry);
    }
    ring.publish();
    set_limit(libc::RLIMIT_FSIZE, LIMIT as u64);
    assert_eq!(ring.enter(4, 0), 4);
    expect_results(&in_order(ring.reap()), &RESULTS);
    for call in [
        sqe!(libc::SYS_ftruncate, file, LIMIT + 1),
        sqe!(libc::SYS_fallocate, file, 0, 0, LIMIT + 1),
        sqe!(libc::SYS_pwrite64, file, c"x".as_ptr(), 1, LIMIT + 1),
    ] {
        expect_errno!(ring.run_one(call), libc::EFBIG);
    }
    std::fs::remove_dir("behind").expect("the last entry made it");
}

fn size_handled() {
    let file = file("handled", b"");
    count_signal(libc::SIGXFSZ, 0);
    set_limit(libc::RLIMIT_FSIZE, LIMIT as u64);
    let mut ring = RawRing::new();
    assert_eq!(ring.submit(&writes(file)), 3);
    assert_eq!(signals_seen(), 1);
    assert!(!exists("behind"));
    assert_eq!(ring.enter(1, 0), 1);
    expect_results(&in_order(ring.reap()), &RESULTS);
    std::fs::remove_dir("behind").expect("the last entry made it");
}

fn size_kills(file: i32) {
    set_limit(libc::RLIMIT_CORE, 0);
    set_limit(libc::RLIMIT_FSIZE, LIMIT as u64);
    RawRing::new().submit(&writes(file));
}
