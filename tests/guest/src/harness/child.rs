// SPDX-License-Identifier: MIT OR Apache-2.0

//! Child processes and the gates that order what they do.

use super::{expect_ok, fd, sys, zeroed};
use std::{
    io::Write,
    panic::{catch_unwind, AssertUnwindSafe},
};

/// Status of a process whose code panicked.
pub const PANICKED: i32 = 101;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl Exit {
    pub fn of_wait_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Status(libc::WEXITSTATUS(status))
        }
    }
}

/// A forked child.
pub struct Child {
    pub pid: i32,
}

/// Forks a child that runs `body` and ends: with status 0, or [`PANICKED`].
pub fn child(body: impl FnOnce()) -> Child {
    // Otherwise both processes would write what is buffered.
    let _ = std::io::stdout().flush();
    // SAFETY: the tests fork from their only thread, or their children make system calls only.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let status = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(()) => 0,
            Err(_) => PANICKED,
        };
        let _ = std::io::stdout().flush();
        // SAFETY: ends this process without running what the parent registered to run at exit.
        unsafe { libc::_exit(status) }
    }
    Child { pid }
}

impl Child {
    pub fn wait(self) -> Exit {
        let mut status = 0;
        let pid = expect_ok!(sys!(libc::SYS_wait4, self.pid, &mut status, 0, 0));
        assert_eq!(pid, i64::from(self.pid));
        Exit::of_wait_status(status)
    }

    /// Whether the child has not ended yet.
    pub fn running(&self) -> bool {
        let mut info: libc::siginfo_t = zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        expect_ok!(sys!(
            libc::SYS_waitid,
            libc::P_PID,
            self.pid,
            &mut info,
            flags,
            0
        ));
        info.si_signo == 0
    }

    pub fn kill(&self) {
        expect_ok!(sys!(libc::SYS_kill, self.pid, libc::SIGKILL));
    }
}

/// Runs `body` in a child and fails unless it succeeds.
#[track_caller]
pub fn in_child(body: impl FnOnce()) {
    let exit = child(body).wait();
    assert_eq!(exit, Exit::Status(0), "the child failed");
}

/// Makes this process one of a user that has no capabilities. Only in a child.
#[track_caller]
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    let count = groups.len();
    expect_ok!(sys!(libc::SYS_setgroups, count, groups.as_ptr()));
    expect_ok!(sys!(libc::SYS_setresgid, gid, gid, gid));
    expect_ok!(sys!(libc::SYS_setresuid, uid, uid, uid));
}

/// Changes the effective user alone, so that root can come back.
#[track_caller]
pub fn set_euid(uid: u32) {
    expect_ok!(sys!(libc::SYS_setresuid, -1, uid, -1));
}

/// Sets the soft limit of a resource, below the hard one; gives the old one.
#[track_caller]
pub fn set_limit(resource: u32, limit: u64) -> u64 {
    let mut limits: libc::rlimit = zeroed();
    expect_ok!(sys!(libc::SYS_prlimit64, 0, resource, 0, &mut limits));
    let old = limits.rlim_cur;
    limits.rlim_cur = limit;
    expect_ok!(sys!(libc::SYS_prlimit64, 0, resource, &limits, 0));
    old
}

/// A gate that one process opens and another waits for. Made before the fork.
pub struct Gate {
    read: i32,
    write: i32,
}

impl Gate {
    pub fn new() -> Self {
        let [read, write] = pipe();
        Self { read, write }
    }

    pub fn open(&self) {
        expect_ok!(sys!(libc::SYS_write, self.write, c"x".as_ptr(), 1));
    }

    /// Waits until the gate is opened; each opening lets one waiter through.
    pub fn pass(&self) {
        let mut byte = 0u8;
        assert_eq!(sys!(libc::SYS_read, self.read, &mut byte, 1), 1);
    }
}

/// A pipe: the end to read from, the end to write to.
pub fn pipe() -> [i32; 2] {
    let mut ends = [0i32; 2];
    expect_ok!(sys!(libc::SYS_pipe2, &mut ends, libc::O_CLOEXEC));
    ends
}

/// Waits to be killed.
pub fn wait_for_death() -> ! {
    loop {
        sys!(libc::SYS_pause);
    }
}

/// The lowest number that is free.
pub fn next_fd() -> i32 {
    let number = fd(sys!(libc::SYS_dup, 2));
    expect_ok!(sys!(libc::SYS_close, number));
    number
}
