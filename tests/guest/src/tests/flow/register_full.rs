// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: when all flows of a ring are in use the next gives ENOSPC; unregistering a flow
//! or closing its socket frees the slot, which comes back with another generation.

use crate::harness::*;

pub fn run() {
    let ring = RawRing::with(|p| p.flows = 1);
    let (a, b) = (tcp_pair(0, 0), tcp_pair(0, 0));
    let first = ring.register(a.ours);
    expect_errno!(ring.register_errno(b.ours), libc::ENOSPC);
    expect_ok!(ring.unregister(first));

    let second = ring.register(b.ours);
    expect_newer(&ring, first, second);
    expect_ok!(sys!(libc::SYS_close, b.ours));
    assert_eq!(ring.status(second) & FLOW_USED, 0, "closed, nothing queued");
    expect_eof(b.peer);

    let third = ring.register(a.ours);
    expect_newer(&ring, second, third);
    assert_ne!(third, first);
}

/// The slot is the same, the reference is not, and the old one is dead.
fn expect_newer(ring: &RawRing, old: u32, new: u32) {
    assert_eq!(old & 0xffff, new & 0xffff);
    assert_ne!(old, new);
    assert_eq!(ring.status(new) >> 16, new >> 16);
    expect_errno!(ring.unregister(old), libc::EBADF);
}
