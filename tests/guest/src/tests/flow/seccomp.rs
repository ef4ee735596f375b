// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: flow entries pass the seccomp filter with the plain descriptor number as their
//! first argument; a data entry that the filter refuses fails the flow.

use crate::harness::*;

pub fn run() {
    let mut allowed = Flow::roomy();
    let mut denied = Flow::roomy();
    for flow in [&allowed, &denied] {
        flow.ring.fill_arena(0, b"text");
    }
    install_filter(&[Rule {
        nr: libc::SYS_write,
        arg: Some((0, denied.ours as u32)),
        action: ret_errno(libc::EUCLEAN),
    }]);
    assert_eq!(allowed.ring.run_one(allowed.write(0, 4)), 4);
    expect_bytes(allowed.peer, b"text");

    let got = denied.ring.run(&[denied.write(0, 4), denied.write(0, 4)]);
    expect_results(&got, &[neg(libc::EUCLEAN), neg(libc::ECANCELED)]);
    assert!(denied.has(FLOW_FAILED));
    assert!(expect_reset(denied.peer).is_empty());
}
