// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: bad pointers in entries give EFAULT as in plain calls, kernel addresses too, and
//! the batch goes on.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    let zeros = fd(sys!(libc::SYS_open, c"/dev/zero".as_ptr(), 0));
    let target = file("f", b"");
    let kernel: u64 = 0xffff_8880_0000_1000;
    let not_canonical: u64 = 0x8000_0000_0000_0000;
    for bad in [1, kernel, not_canonical, u64::MAX - 4095] {
        let got = ring.run(&[
            sqe!(libc::SYS_read, zeros, bad, 16),
            sqe!(libc::SYS_getuid),
            sqe!(libc::SYS_write, target, bad, 16),
            sqe!(libc::SYS_openat, libc::AT_FDCWD, bad, 0),
            sqe!(libc::SYS_fstat, target, bad),
            sqe!(libc::SYS_pipe2, bad, 0),
            sqe!(libc::SYS_getuid),
        ]);
        let fault = neg(libc::EFAULT);
        let want = [fault, 0, fault, fault, fault, fault, 0];
        assert!(got == want, "pointer {bad:#x}: {got:?}");
    }
    let length = expect_ok!(sys!(libc::SYS_lseek, target, 0, libc::SEEK_END));
    assert_eq!(length, 0, "nothing was written");
}
