// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the memory of rings counts against RLIMIT_MEMLOCK of the user, is given back
//! when their owner has ended, and is not limited for a holder of CAP_IPC_LOCK.

use crate::harness::*;

const LIMIT: u64 = 1 << 20;
/// A user that nobody else is.
const USER: u32 = 54321;

pub fn run() {
    limit_memory(0);
    RawRing::new();

    let Some(first) = rings_of_user() else {
        panic!("an ordinary user must reach the limit of {LIMIT} bytes");
    };
    assert_ne!(first, 0, "a ring of the default size must fit");
    // The rings of the child that has ended must not count any more.
    eventually("a second process can make as many rings", || {
        rings_of_user() == Some(first)
    });
}

fn limit_memory(bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: LIMIT,
    };
    expect_ok!(sys!(libc::SYS_setrlimit, libc::RLIMIT_MEMLOCK, &limit));
}

/// How many rings a process of the user can make before ENOMEM; `None`: more than fit.
fn rings_of_user() -> Option<i32> {
    let child = child(|| {
        limit_memory(LIMIT);
        expect_ok!(sys!(libc::SYS_setresgid, USER, USER, USER));
        expect_ok!(sys!(libc::SYS_setresuid, USER, USER, USER));
        let mut bytes = 0;
        let mut made = 0;
        loop {
            let mut params: Params = zeroed();
            match setup(&mut params) {
                0.. => bytes += u64::from(params.map_size),
                errno => {
                    expect_errno!(errno, libc::ENOMEM);
                    break;
                }
            }
            assert!(bytes <= LIMIT, "{bytes} bytes of rings and no error");
            made += 1;
        }
        // SAFETY: ends the child with its answer.
        unsafe { libc::_exit(made) }
    });
    match child.wait() {
        Exit::Status(PANICKED) | Exit::Signal(_) => None,
        Exit::Status(made) => Some(made),
    }
}
