// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: ten rings of one task, and rings of several threads, are each in a pool of their own;
//! every pool runs the entries of its rings and no others, also after the rings have changed places.

use crate::harness::*;
use std::sync::{Arc, Barrier};

const POOLS: usize = 10;
const THREADS: usize = 4;
const ROUNDS: usize = 5;

pub fn run() {
    let pools: Vec<Pool> = (0..POOLS)
        .map(|i| Pool::new(&format!("many{i}"), |p| p.max(1)))
        .collect();
    one_task(&pools);
    threads(&pools);
}

fn counts(pools: &[Pool]) -> Vec<u64> {
    pools.iter().map(|pool| pool.stat().entries).collect()
}

fn one_task(pools: &[Pool]) {
    let mut flows: Vec<Flow> = pools
        .iter()
        .map(|pool| Flow::on(RawRing::pooled(&pool.name), tcp_pair(0, 0)))
        .collect();
    for shift in 0..3 {
        for (i, flow) in flows.iter().enumerate() {
            let pool = &pools[(i + shift) % POOLS];
            assert_eq!(flow.ring.attach(&pool.name, POOLED), 0);
        }
        assert!(pools.iter().all(|pool| pool.rings() == 1));
        let mut expected = counts(pools);
        for (i, flow) in flows.iter_mut().enumerate() {
            // A different number for each.
            for n in 0..=i {
                let bytes = pattern((i * POOLS + n) as u64, 100);
                flow.ring.fill_arena(n * 100, &bytes);
                flow.ring.push(flow.write(n * 100, 100));
            }
            flow.ring.publish();
            flow.ring.wake_if_needed();
            expected[(i + shift) % POOLS] += i as u64 + 1;
        }
        for (i, flow) in flows.iter_mut().enumerate() {
            for n in 0..=i {
                expect_bytes(flow.peer, &pattern((i * POOLS + n) as u64, 100));
            }
            eventually("all complete", || flow.ring.unread() as usize == i + 1);
            assert!(flow.ring.reap().iter().all(|cqe| cqe.res == 100));
        }
        assert_eq!(counts(pools), expected, "shifted by {shift}");
    }
    for flow in flows {
        assert_eq!(flow.ring.attach("", INLINE), 0);
    }
    assert!(pools.iter().all(|pool| pool.rings() == 0));
}

fn threads(pools: &[Pool]) {
    let before = counts(pools);
    let ready = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            let (name, ready) = (pools[i].name.clone(), ready.clone());
            std::thread::spawn(move || serve(&name, &ready))
        })
        .collect();
    ready.wait();
    assert!(pools[..THREADS].iter().all(|pool| pool.rings() == 1));
    ready.wait();
    for thread in threads {
        thread.join().expect("the thread succeeds");
    }
    let mut expected = before;
    for count in &mut expected[..THREADS] {
        *count += ROUNDS as u64;
    }
    assert_eq!(counts(pools), expected);
    // A thread takes its ring along.
    eventually("no rings", || pools.iter().all(|pool| pool.rings() == 0));
}

fn serve(pool: &str, ready: &Barrier) {
    let mut flow = Flow::on(RawRing::pooled(pool), tcp_pair(0, 0));
    flow.ring.fill_arena(0, b"text");
    ready.wait();
    for _ in 0..ROUNDS {
        expect_ok!(flow.ring.submit(&[flow.write(0, 4)]));
        expect_bytes(flow.peer, b"text");
        expect_results(&in_order(flow.ring.wait(1)), &[4]);
    }
    ready.wait();
}
