// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: only the task that made a ring can use it: a forked child and another thread of
//! the same process get EPERM, and what is published stays for the owner.

use crate::harness::*;

pub fn run() {
    let mut ring = RawRing::new();
    ring.push(sqe!(libc::SYS_mkdir, c"made".as_ptr(), 0o755));
    ring.publish();
    let (number, socket) = (ring.fd, tcp_pair(0, 0).ours);
    let refused = move || {
        expect_errno!(sys!(ENTER, number, 1, 0), libc::EPERM);
        expect_errno!(sys!(ENTER, number, 0, 1), libc::EPERM);
        let mut reg: FlowReg = zeroed();
        reg.fd = socket as u32;
        let size = size_of::<FlowReg>();
        let got = sys!(REGISTER, number, REGISTER_FLOW, &mut reg, size);
        expect_errno!(got, libc::EPERM);
    };
    in_child(refused);
    std::thread::spawn(refused)
        .join()
        .expect("the thread succeeds");

    assert!(!exists("made"));
    assert_eq!(ring.enter(1, 0), 1);
    assert!(exists("made"));
    expect_results(&in_order(ring.reap()), &[0]);
}
