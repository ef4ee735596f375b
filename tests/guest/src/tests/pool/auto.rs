// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: in mode AUTO a small batch does not wake the pool and is run by the owner, counted as
//! too small; what is brought while a thread looks at the ring goes to the pool.

use crate::harness::*;

pub fn run() {
    let pool = Pool::new("auto", |p| p.idle_us(MAX_IDLE_NS / 1000));
    let ring = flow_ring();
    assert_eq!(ring.attach("auto", AUTO), 0);
    let mut flow = Flow::on(ring, tcp_pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    for count in 1..=3 {
        assert_eq!(flow.ring.submit(&[flow.write(0, 4)]), 1);
        expect_results(&in_order(flow.ring.reap()), &[4]);
        expect_bytes(flow.peer, b"text");
        let info = flow.ring.info();
        assert_eq!((info.why("small"), info.number("inline")), (count, count));
    }
    assert!(flow.ring.needs_wakeup());
    assert_eq!((pool.stat().wakeups, pool.stat().entries), (0, 0));

    let mut pooled = 0;
    for _ in 0..100 {
        flow.ring.wake_if_needed();
        expect_ok!(flow.ring.submit(&[flow.write(0, 4)]));
        expect_results(&in_order(flow.ring.wait(1)), &[4]);
        expect_bytes(flow.peer, b"text");
        pooled = flow.ring.info().number("pooled");
    }
    // The thread may have gone to sleep between two steps, if others wanted its CPU.
    assert!(pooled > 0, "nothing went to a thread that was awake");
    assert_eq!(pool.stat().entries, pooled);
}
