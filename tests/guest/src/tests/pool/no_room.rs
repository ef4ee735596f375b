// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: while there is no room for completions threads take nothing, and nothing is lost: once
//! there is room a wake-up call gets the rest served, in order.

use crate::harness::*;
use std::{thread, time::Duration};

const ROOM: usize = 8;
const MORE: usize = 5;
const LEN: usize = 100;

pub fn run() {
    let _pool = Pool::new("room", |p| p.idle_us(MAX_IDLE_NS / 1000));
    let ring = RawRing::with(|p| {
        p.sq_entries = ROOM as u32;
        p.cq_entries = ROOM as u32;
    });
    assert_eq!(ring.attach("room", POOLED), 0);
    let mut flow = Flow::on(ring, tcp_pair(0, 0));
    let bytes = pattern(1, (ROOM + MORE) * LEN);
    flow.ring.fill_arena(0, &bytes);
    let publish = |flow: &mut Flow, range: std::ops::Range<usize>| {
        for i in range {
            flow.ring.push(flow.write(i * LEN, LEN).data(i as u64));
        }
        flow.ring.publish();
        assert_eq!(flow.ring.wake(), 0);
    };
    publish(&mut flow, 0..ROOM);
    eventually("as many complete as there is room for", || {
        flow.ring.unread() as usize == ROOM
    });
    publish(&mut flow, ROOM..ROOM + MORE);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(flow.ring.queued() as usize, MORE, "there was no room");

    assert_eq!(flow.ring.reap().len(), ROOM);
    assert_eq!(flow.ring.wake(), 0);
    eventually("the rest completes", || flow.ring.unread() as usize == MORE);
    assert!(flow.ring.reap().iter().all(|cqe| cqe.res == LEN as i64));
    expect_bytes(flow.peer, &bytes);
}
