// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: `saio_enter` refuses bad arguments with the errors that the ABI names, and a
//! refused call does nothing.

use crate::harness::*;
use std::sync::atomic::Ordering;

pub fn run() {
    let mut ring = RawRing::new();
    ring.push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
    ring.publish();
    descriptors();
    arguments(&ring);
    assert!(!exists("made"), "a refused call ran an entry");
    assert_eq!(ring.sq_head().load(Ordering::Acquire), 0);
    assert_eq!(ring.cq_tail().load(Ordering::Acquire), 0);

    assert_eq!(ring.enter(1, 0), 1);
    assert!(exists("made"));
    ring.reap();
    nothing_to_wait_for(&ring);
}

fn descriptors() {
    expect_errno!(sys!(ENTER, -1, 1, 0), libc::EBADF);
    expect_errno!(sys!(ENTER, 9999, 1, 0), libc::EBADF);
    let [read, write] = pipe();
    let null = fd(sys!(libc::SYS_open, c"/dev/null".as_ptr(), libc::O_RDWR));
    for other in [read, write, null, tcp_pair(0, 0).ours] {
        expect_errno!(sys!(ENTER, other, 1, 0), libc::EOPNOTSUPP);
    }
}

fn arguments(ring: &RawRing) {
    let enter = |min_complete: u32, flags: u32, arg: u64, size: usize| {
        sys!(ENTER, ring.fd, 1, min_complete, flags, arg, size)
    };
    for flag in [2, 4, 1 << 31] {
        expect_errno!(enter(0, flag, 0, 0), libc::EINVAL);
    }
    let too_many = ring.params.cq_entries + 1;
    expect_errno!(enter(too_many, 0, 0, 0), libc::EINVAL);
    expect_errno!(enter(u32::MAX, 0, 0, 0), libc::EINVAL);

    let size = size_of::<EnterArg>();
    let good: EnterArg = zeroed();
    for short in [8, size - 1] {
        expect_errno!(enter(0, 0, Arg::arg(&good), short), libc::EINVAL);
    }
    let mut reserved: EnterArg = zeroed();
    reserved.resv = 1;
    expect_errno!(enter(0, 0, Arg::arg(&reserved), size), libc::EINVAL);
    expect_errno!(enter(0, 0, 1, size), libc::EFAULT);
    // One structure and something behind it that this kernel does not know.
    let longer = [zeroed::<EnterArg>(), reserved];
    let arg = Arg::arg(&longer);
    expect_errno!(enter(0, 0, arg, 2 * size), libc::E2BIG);
}

fn nothing_to_wait_for(ring: &RawRing) {
    expect_errno!(ring.enter(0, 1), libc::EDEADLK);
    expect_errno!(ring.enter(0, ring.params.cq_entries), libc::EDEADLK);
    assert_eq!(ring.enter(0, 0), 0);
    let second = 1_000_000_000;
    expect_errno!(ring.enter_timeout(0, 1, second), libc::EDEADLK);
}
