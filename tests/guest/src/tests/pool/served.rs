// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: with a thread awake, what is published leaves and completes without any crossing of
//! its owner: one wake-up call, then stores to memory only. Should the thread sleep in between, as it
//! may if others want its CPU, the flag says so.

use crate::harness::*;
use std::collections::HashSet;

const ENTRIES: usize = 200;
const LEN: usize = 100;

pub fn run() {
    need_cpus(2);
    let trace = Trace::start(&["submit", "dispatch", "complete"]);
    let second = 1u64 << 1;
    let pool = Pool::new("served", |p| p.idle_us(MAX_IDLE_NS / 1000).cpus(&second));
    run_on(0);

    let mut flow = Flow::on(RawRing::pooled("served"), tcp_pair(0, 0));
    let bytes = pattern(1, ENTRIES * LEN);
    flow.ring.fill_arena(0, &bytes);
    assert_eq!(flow.ring.wake(), 0);
    let mut calls = 1;
    for i in 0..ENTRIES {
        flow.ring.push(flow.write(i * LEN, LEN).data(i as u64));
        flow.ring.publish();
        calls += u64::from(flow.ring.wake_if_needed());
        eventually("the entry is taken", || flow.ring.queued() == 0);
    }
    expect_bytes(flow.peer, &bytes);
    let mut results = Vec::new();
    eventually("every entry completes", || {
        results.extend(flow.ring.reap());
        results.len() == ENTRIES
    });
    expect_results(&in_order(results), &[LEN as i64; ENTRIES]);
    assert!(calls < ENTRIES as u64 / 2, "{calls} wake-up calls");

    let info = flow.ring.info();
    assert_eq!(info.number("pooled"), ENTRIES as u64);
    assert_eq!((info.number("inline"), info.number("queued")), (0, 0));
    assert_eq!(info.number("bytes"), bytes.len() as u64);
    assert!(info.number("wakeups") <= calls);
    let stat = pool.stat();
    assert_eq!(
        (stat.entries, stat.bytes),
        (ENTRIES as u64, bytes.len() as u64)
    );
    who_did_it(&trace, &pool, &flow.ring.info());
}

/// The trace must have each entry as run by a thread of the pool, and no crossing.
fn who_did_it(trace: &Trace, pool: &Pool, info: &RingInfo) {
    let threads: HashSet<i32> = pool.threads().iter().map(|thread| thread.pid).collect();
    let events = trace.events();
    let ring = info.text("ring");
    for name in ["dispatch", "complete"] {
        let seen = events
            .iter()
            .filter(|event| event.name == name && event.text("ring") == ring)
            .inspect(|event| {
                assert_eq!(event.text("where"), "pool", "{event:?}");
                assert!(threads.contains(&event.pid), "{event:?}, not {threads:?}");
            });
        assert_eq!(seen.count(), ENTRIES, "{name}");
    }
    let crossing = events.iter().find(|event| event.name == "submit");
    assert!(crossing.is_none(), "{crossing:?}");
}
