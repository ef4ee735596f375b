// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a pool without work uses no CPU. When its threads have looked for long enough they
//! sleep, the ring asks for a wake-up call, and then nothing happens: no event, no switch, no time.

use crate::harness::*;
use std::{thread, time::Duration};

const NAME: &str = "idle";

pub fn run() {
    let trace = Trace::start(&[
        "submit",
        "dispatch",
        "complete",
        "thread_sleep",
        "thread_wake",
    ]);
    let pool = Pool::new(NAME, |p| p.workers(2).max(3).idle_us(1000));
    let mut flow = Flow::on(RawRing::pooled(NAME), tcp_pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    for _ in 0..3 {
        assert_eq!(flow.ring.submit(&[flow.write(0, 4)]), 1);
        expect_bytes(flow.peer, b"text");
        sleeps(&flow, &pool);
    }
    let events = trace.events();
    for name in ["thread_wake", "thread_sleep"] {
        let of_pool = events.iter().filter(|event| event.name == name);
        let count = of_pool.filter(|event| event.text("pool") == NAME).count();
        assert!(count >= 3, "{name}: {count}");
    }

    let threads = pool.threads();
    assert_eq!(threads.len(), 3);
    let used = || threads.iter().map(Kthread::used).collect::<Vec<_>>();
    // A thread tells that it goes to sleep just before it does, which may take a while on a busy
    // host.
    let mut last = used();
    eventually("the threads are off their CPUs", || {
        thread::sleep(Duration::from_secs(1));
        let now = used();
        std::mem::replace(&mut last, now.clone()) == now
    });
    trace.clear();
    let (before, stat) = (used(), pool.stat());
    thread::sleep(Duration::from_secs(3));
    let now = pool.stat();
    assert_eq!(used(), before, "the threads used CPU time");
    assert_eq!((now.wakeups, now.sleeps), (stat.wakeups, stat.sleeps));
    assert_eq!((now.spin_ns, now.run_ns), (stat.spin_ns, stat.run_ns));
    let events = trace.events();
    assert!(events.is_empty(), "{events:?}");

    // Nobody looks: what is published stays until somebody says so. No file may be closed
    // meanwhile, which would hand it over.
    flow.ring.push(flow.write(0, 4));
    flow.ring.publish();
    assert_eq!(poll(flow.peer, libc::POLLIN, 300), 0);
    assert_eq!(flow.ring.queued(), 1);
    assert_eq!(flow.ring.wake(), 0);
    expect_bytes(flow.peer, b"text");
    sleeps(&flow, &pool);
}

/// Waits until all threads sleep.
#[track_caller]
fn sleeps(flow: &Flow, pool: &Pool) {
    eventually("the pool sleeps", || {
        flow.ring.needs_wakeup() && pool.stat().runnable == 0
    });
    // Counted as asleep, the last one may still be on its way there.
    thread::sleep(Duration::from_millis(200));
}
