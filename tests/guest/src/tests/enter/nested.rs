// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: an entry cannot be a call of SAIO itself; the batch around it goes on.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    let other = RawRing::new();
    let mut params: Params = zeroed();
    let size = size_of::<Params>();
    let free = next_fd();
    let got = ring.run(&[
        sqe!(ENTER, ring.fd, 1, 0),
        sqe!(ENTER, other.fd, 0, 0),
        sqe!(SETUP, &mut params, size),
        sqe!(REGISTER, ring.fd, 0, 0, 0),
        sqe!(POOL, 0, 0, 0),
        sqe!(libc::SYS_getpid),
    ]);
    let refused = neg(libc::EOPNOTSUPP);
    let pid = sys!(libc::SYS_getpid);
    expect_results(&got, &[refused, refused, refused, refused, refused, pid]);
    assert_eq!(next_fd(), free, "a ring was made");
}
