// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a pool with rings is not removed unless by force; one whose rings were taken away, or
//! whose rings' owners have ended, is. Its threads end, its name is free.

use crate::harness::*;

const NAME: &str = "remove";

pub fn run() {
    let pool = Pool::new(NAME, |p| p);
    let ring = RawRing::pooled(NAME);
    let (attached, end) = (Gate::new(), Gate::new());
    let owner = child(|| {
        let flow = Flow::on(RawRing::pooled(NAME), tcp_pair(0, 0));
        assert_eq!(flow.ring.wake(), 0);
        attached.open();
        end.pass();
    });
    attached.pass();
    assert_eq!(pool.rings(), 2);
    expect_errno!(pool_remove(NAME, 0), libc::EBUSY);
    assert_eq!(ring.attach("", INLINE), 0);
    assert_eq!(pool.rings(), 1);
    expect_errno!(pool_remove(NAME, 0), libc::EBUSY);
    // A refusal changes nothing: rings still come.
    assert_eq!(ring.attach(NAME, POOLED), 0);
    assert_eq!(ring.attach("default", AUTO), 0);

    end.open();
    assert_eq!(owner.wait(), Exit::Status(0));
    assert_eq!(pool.rings(), 0, "the owner has ended");
    assert_eq!(pool.threads().len(), 2, "threads wait for the next ring");
    assert_eq!(pool_remove(NAME, 0), 0);
    expect_errno!(pool_remove(NAME, 0), libc::ENOENT);
    expect_errno!(ring.attach(NAME, POOLED), libc::ENOENT);
    eventually("its threads end", || pool.threads().is_empty());

    let again = Pool::new(NAME, |p| p);
    assert_eq!(ring.attach(NAME, POOLED), 0);
    assert_eq!((again.rings(), again.stat().entries), (1, 0));
}
