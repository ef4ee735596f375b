// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: entries pass the thread's seccomp filter by number and final arguments, also a
//! filter installed after the ring was made: ERRNO gives its errno, KILL kills, LOG lets through,
//! TRAP, TRACE and USER_NOTIF give EACCES; in strict mode `saio_enter` itself kills.

use crate::harness::*;

/// An errno that nothing here gives by itself.
const ODD: i32 = libc::EUCLEAN;

pub fn run() {
    in_child(errno_and_allow);
    in_child(final_arguments);
    in_child(undeliverable);
    for action in [
        libc::SECCOMP_RET_KILL_PROCESS,
        libc::SECCOMP_RET_KILL_THREAD,
    ] {
        let exit = child(|| kill(action)).wait();
        assert_eq!(exit, Exit::Signal(libc::SIGSYS));
    }
    assert!(exists("before") && !exists("after"));
    assert_eq!(child(strict).wait(), Exit::Signal(libc::SIGKILL));
    assert!(!exists("strict"));
}

fn rule(nr: i64, action: u32) -> Rule {
    Rule {
        nr,
        arg: None,
        action,
    }
}

fn make(name: &'static std::ffi::CStr) -> Sqe {
    sqe!(libc::SYS_mkdir, name.as_ptr(), 0o755)
}

fn errno_and_allow() {
    let mut ring = RawRing::new();
    let batch = [
        sqe!(libc::SYS_getuid),
        make(c"denied"),
        sqe!(libc::SYS_close, -1),
    ];
    install_filter(&[rule(libc::SYS_mkdir, ret_errno(ODD))]);
    let got = ring.run(&batch);
    expect_results(&got, &[0, neg(ODD), neg(libc::EBADF)]);
    assert!(!exists("denied"));
    // A second filter, stricter than the first.
    install_filter(&[rule(libc::SYS_getuid, ret_errno(ODD))]);
    let got = ring.run(&batch);
    expect_results(&got, &[neg(ODD), neg(ODD), neg(libc::EBADF)]);
}

fn final_arguments() {
    let mut ring = RawRing::new();
    let number = next_fd() as u32;
    let mut by_number = rule(libc::SYS_lseek, ret_errno(ODD));
    by_number.arg = Some((0, number));
    install_filter(&[by_number]);
    let seek = || sqe!(libc::SYS_lseek, -1, 0, libc::SEEK_SET);
    let got = ring.run(&[
        sqe!(libc::SYS_openat, libc::AT_FDCWD, c".".as_ptr(), 0).flag(LINK),
        // Only with its final argument is it what the filter denies.
        seek().flag(HARDLINK).result_to(0, 1),
        sqe!(libc::SYS_dup, -1).flag(LINK).result_to(0, 2),
        seek().result_to(0, 1),
    ]);
    let opened = i64::from(number);
    expect_results(&got, &[opened, neg(ODD), opened + 1, 0]);
}

fn undeliverable() {
    let mut ring = RawRing::new();
    install_filter(&[
        rule(libc::SYS_getpid, libc::SECCOMP_RET_TRAP),
        rule(libc::SYS_getppid, libc::SECCOMP_RET_TRACE),
        rule(libc::SYS_getgid, libc::SECCOMP_RET_USER_NOTIF),
        rule(libc::SYS_getuid, libc::SECCOMP_RET_LOG),
    ]);
    let got = ring.run(&[
        sqe!(libc::SYS_getpid),
        sqe!(libc::SYS_getppid),
        sqe!(libc::SYS_getgid),
        sqe!(libc::SYS_getuid),
        sqe!(libc::SYS_geteuid),
    ]);
    let denied = neg(libc::EACCES);
    expect_results(&got, &[denied, denied, denied, 0, 0]);
}

fn kill(action: u32) {
    let mut ring = RawRing::new();
    install_filter(&[rule(libc::SYS_getppid, action)]);
    let _ = std::fs::remove_dir("before");
    ring.submit(&[make(c"before"), sqe!(libc::SYS_getppid), make(c"after")]);
}

fn strict() {
    let mut ring = RawRing::new();
    ring.push(make(c"strict"));
    ring.publish();
    let mode = libc::SECCOMP_MODE_STRICT;
    expect_ok!(sys!(libc::SYS_prctl, libc::PR_SET_SECCOMP, mode));
    ring.enter(1, 0);
}
