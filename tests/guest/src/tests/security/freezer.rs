// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a control group is frozen although an owner runs batches without a pause and another one
//! waits within `saio_enter`; they do nothing meanwhile, and go on as if nothing had been when it is
//! thawed. What the waiting one has left on its flow leaves while it is frozen.

use crate::harness::*;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

const ROUNDS: usize = 5;

pub fn run() {
    let group = Cgroup::new("");
    let words = shared(2);
    let (batches, enough) = (&words[0], &words[1]);
    let tight = tcp_pair(SMALL, SMALL);
    let is_parked = Gate::new();
    let busy = child(|| {
        group.enter();
        batch_after_batch(batches, enough);
    });
    let waiting = child(|| {
        group.enter();
        let mut flow = Flow::on(flow_ring(), tight);
        flow.park();
        is_parked.open();
        wait_for(&mut flow.ring, 2);
        let all = [CHUNK as i64; 2];
        expect_results(&in_order(flow.ring.reap()), &all);
        expect_ok!(sys!(libc::SYS_shutdown, flow.ours, libc::SHUT_WR));
    });
    is_parked.pass();
    let goes_on = |from: u64| {
        eventually("batches run", || batches.load(Ordering::SeqCst) > from + 3);
    };
    goes_on(0);
    for round in 1..=ROUNDS {
        group.write("cgroup.freeze", "1");
        eventually("the group is frozen", || {
            group.counter("cgroup.events", "frozen") == 1
        });
        let before = batches.load(Ordering::SeqCst);
        if round == ROUNDS {
            expect_bytes(tight.peer, &park_bytes());
        }
        thread::sleep(Duration::from_millis(50));
        assert_eq!(batches.load(Ordering::SeqCst), before, "it is not frozen");
        assert!(waiting.running(), "it is not frozen");
        group.write("cgroup.freeze", "0");
        goes_on(before);
    }
    assert_eq!(waiting.wait(), Exit::Status(0));
    expect_eof(tight.peer);
    enough.store(1, Ordering::SeqCst);
    assert_eq!(busy.wait(), Exit::Status(0));
}

fn batch_after_batch(batches: &AtomicU64, enough: &AtomicU64) {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, b"text");
    let pid = sys!(libc::SYS_getpid);
    while enough.load(Ordering::SeqCst) == 0 {
        let entries = [
            flow.write(0, 4).data(0),
            sqe!(libc::SYS_getpid).data(1),
            flow.write(0, 4).data(2),
            sqe!(libc::SYS_close, -1).data(3),
        ];
        for entry in entries {
            flow.ring.push(entry);
        }
        flow.ring.publish();
        wait_for(&mut flow.ring, 4);
        let results = in_order(flow.ring.reap());
        expect_results(&results, &[4, pid, 4, neg(libc::EBADF)]);
        expect_bytes(flow.peer, b"texttext");
        batches.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs what is published and waits until so many completions are there. Being frozen ends a call, as
/// it does an `epoll_wait`.
fn wait_for(ring: &mut RawRing, count: u32) {
    while ring.unread() < count {
        let result = ring.enter(ring.queued(), count);
        assert!(result >= 0 || result == neg(libc::EINTR), "{result}");
    }
}
