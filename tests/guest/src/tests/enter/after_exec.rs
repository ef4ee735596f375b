// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a ring whose descriptor survives execve is dead: `saio_enter` gives EBADFD and
//! plain entries that were published before did not run.

use crate::harness::*;
use std::process::ExitCode;

pub fn run() {
    let child = child(|| {
        let mut ring = RawRing::new();
        ring.push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
        ring.publish();
        expect_ok!(sys!(libc::SYS_fcntl, ring.fd, libc::F_SETFD, 0));
        let number = std::ffi::CString::new(ring.fd.to_string()).expect("a number");
        let program = c"/proc/self/exe".as_ptr();
        let flag = c"--after-exec".as_ptr();
        let arguments = [program, flag, number.as_ptr(), std::ptr::null()];
        let environment = [std::ptr::null::<u8>()];
        let got = sys!(libc::SYS_execve, program, &arguments, &environment);
        panic!("execve: {}", show(got));
    });
    assert_eq!(child.wait(), Exit::Status(libc::EBADFD));
    assert!(!exists("made"), "an unsubmitted entry ran at execve");
}

/// What the new program does: enters the ring; the exit status is the errno.
pub fn in_new_program(ring: i32) -> ExitCode {
    let errno = -sys!(ENTER, ring, 1, 0);
    ExitCode::from(u8::try_from(errno).unwrap_or(0))
}
