// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the descriptor of a ring is close-on-exec.

use crate::harness::*;

pub fn run() {
    let ring = RawRing::new();
    let flags = expect_ok!(sys!(libc::SYS_fcntl, ring.fd, libc::F_GETFD));
    assert_ne!(flags & i64::from(libc::FD_CLOEXEC), 0);
}
