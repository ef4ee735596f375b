// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a peer that resets the connection fails a parked flow: its entries complete with
//! an error and ECANCELED, the status word says FAILED, later entries fail, closing is harmless.

use crate::harness::*;

pub fn run() {
    let (mut flow, _) = parked();
    set_linger0(flow.peer);
    expect_ok!(sys!(libc::SYS_close, flow.peer));
    let results = in_order(flow.ring.wait(2));
    let reset = [neg(libc::ECONNRESET), neg(libc::EPIPE)];
    assert!(reset.contains(&results[0]), "{}", show(results[0]));
    assert_eq!(results[1], neg(libc::ECANCELED), "{}", show(results[1]));
    assert!(flow.has(FLOW_FAILED), "status {:#x}", flow.status());

    let later = flow.ring.run_one(flow.write(0, 4));
    assert!(later < 0, "an entry of a failed flow gave {later}");
    let seen = poll(flow.ours, libc::POLLOUT, 10_000);
    assert_ne!(seen & (libc::POLLERR | libc::POLLHUP), 0, "poll: {seen:#x}");
    expect_ok!(sys!(libc::SYS_close, flow.ours));
    eventually("the flow ends with its socket", || !flow.has(FLOW_USED));
    expect_alive(&mut flow.ring);
}
