// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: eight processes that all have more to do than a pool of two threads can do get equal
//! shares of it, within a fifth, and never are more than two threads awake.

use crate::harness::*;
use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

const NAME: &str = "fair";
const PROCESSES: usize = 8;
const THREADS: u32 = 2;
/// Entries of each ring, as many as fit.
const ENTRIES: u32 = 4096;
/// Short, so that all of them fit into the sockets: a flow that waits for its peer has no share.
const LEN: usize = 8;

// Words that the processes share: descriptors of the rings behind them.
const READY: usize = 0;
const START: usize = 1;
const DONE: usize = 2;
const RINGS: usize = 3;

pub fn run() {
    let trace = Trace::start(&["thread_sleep", "thread_wake"]);
    let pool = Pool::new(NAME, |p| p.workers(THREADS).max(THREADS));
    let words = shared(RINGS + PROCESSES);
    let children: Vec<Child> = (0..PROCESSES)
        .map(|number| child(|| publishes(words, number)))
        .collect();
    let word = |index: usize| words[index].load(Ordering::Acquire);
    within(30, "all have published", || word(READY) == PROCESSES as u64);
    assert_eq!(pool.rings(), PROCESSES as u32);
    words[START].store(1, Ordering::Release);

    // A share is what was run after the last ring has begun and before the first is done.
    let run = |number: usize| {
        let ring = word(RINGS + number) as i32;
        let info = RingInfo::of(children[number].pid, ring);
        info.expect("the child lives").number("pooled")
    };
    let mut begin = None;
    let shares = loop {
        let now: Vec<u64> = (0..PROCESSES).map(run).collect();
        let stat = pool.stat();
        assert!(stat.runnable <= THREADS, "{} are runnable", stat.runnable);
        assert!(stat.threads <= THREADS, "{} threads", stat.threads);
        if begin.is_none() && now.iter().all(|count| *count > 0) {
            begin = Some(now.clone());
        }
        if now.iter().any(|count| *count >= u64::from(ENTRIES)) {
            let begin = begin.expect("a ring was done before the last has begun");
            let shares = now.iter().zip(begin).map(|(now, begin)| now - begin);
            break shares.collect::<Vec<u64>>();
        }
        thread::sleep(Duration::from_millis(1));
    };
    let (most, least) = (shares.iter().max(), shares.iter().min());
    let (most, least) = (most.expect("some"), least.expect("some"));
    assert!(*most > u64::from(ENTRIES) / 4, "too short: {shares:?}");
    assert!(least * 5 >= most * 4, "shares: {shares:?}");

    words[DONE].store(1, Ordering::Release);
    for child in children {
        assert_eq!(child.wait(), Exit::Status(0), "a child failed");
    }
    assert_eq!(pool.stat().entries, PROCESSES as u64 * u64::from(ENTRIES));
    let numbers: HashSet<String> = (trace.events().iter())
        .filter(|event| event.text("pool") == NAME)
        .map(|event| event.text("thread").to_owned())
        .collect();
    assert_eq!(numbers.len(), THREADS as usize, "both were needed");
}

/// A process: all that its ring can hold at once, and nothing else to do.
fn publishes(words: &[AtomicU64], number: usize) {
    let ring = RawRing::with(|p| p.sq_entries = ENTRIES);
    expect_ok!(ring.attach(NAME, POOLED));
    let mut flow = Flow::on(ring, tcp_pair(0, 0));
    let bytes = pattern(number as u64, LEN * 16);
    flow.ring.fill_arena(0, &bytes);
    for i in 0..ENTRIES {
        flow.ring.push(flow.write(i as usize % 16 * LEN, LEN));
    }
    flow.ring.publish();
    words[RINGS + number].store(flow.ring.fd as u64, Ordering::Relaxed);
    words[READY].fetch_add(1, Ordering::AcqRel);
    within(60, "the start", || {
        words[START].load(Ordering::Acquire) == 1
    });
    assert_eq!(flow.ring.wake(), 0);

    within(60, "every entry completes", || {
        flow.ring.wake_if_needed();
        flow.ring.unread() == ENTRIES
    });
    let cqes = flow.ring.reap();
    assert!(cqes.iter().all(|cqe| cqe.res == LEN as i64));
    expect_bytes(flow.peer, &bytes.repeat(ENTRIES as usize / 16));
    within(60, "the end", || words[DONE].load(Ordering::Acquire) == 1);
}
