// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: `saio_pool` is reserved and answers ENOSYS whatever it is given.

use crate::harness::*;

pub fn run() {
    expect_errno!(sys!(POOL, 0, 0, 0), libc::ENOSYS);
    expect_errno!(sys!(POOL, -1, 1, -1), libc::ENOSYS);
}
