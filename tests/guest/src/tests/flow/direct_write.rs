// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a non-blocking write by another way waits for entries that somebody is at, and comes
//! behind them; it does not wait for a peer that does not read.

use crate::harness::*;
use std::time::{Duration, Instant};

const ROUNDS: usize = 8;
/// Less than the longest wait, which is 100 ms.
const SHORT: Duration = Duration::from_millis(60);
/// For so long nobody waits after a wait in vain.
const NO_WAIT: Duration = Duration::from_millis(1100);

pub fn run() {
    let mut flow = Flow::roomy();
    flow.ring.fill_arena(0, b"queued");
    let mut waited = 0;
    for _ in 0..ROUNDS {
        flow.ring.push(flow.write(0, 6).flag(SKIP_SUCCESS));
        flow.ring.publish();
        let ret = write(&flow, b"plain");
        expect_bytes(flow.peer, b"queued");
        if ret == 5 {
            expect_bytes(flow.peer, b"plain");
            waited += 1;
        } else {
            // A busy machine may take too long.
            expect_errno!(ret, libc::EAGAIN);
            std::thread::sleep(NO_WAIT);
        }
        // What was put aside is run.
        flow.ring.enter(0, 0);
    }
    assert!(waited >= ROUNDS / 2, "{waited} of {ROUNDS} writes waited");

    let took = (0..ROUNDS).map(|_| not_reading()).min();
    assert!(took < Some(SHORT), "took {took:?} at least");
}

/// How long a write takes that finds entries which do not fit, and must not wait for the peer.
fn not_reading() -> Duration {
    let mut flow = Flow::tight();
    let bytes = park_bytes();
    flow.ring.fill_arena(0, &bytes);
    flow.ring.push(flow.write(0, CHUNK).flag(SKIP_SUCCESS));
    flow.ring.publish();
    let start = Instant::now();
    expect_errno!(write(&flow, b"plain"), libc::EAGAIN);
    let took = start.elapsed();
    eventually("the flow is full", || flow.has(FLOW_FULL));
    expect_bytes(flow.peer, &bytes[..CHUNK]);
    took
}

fn write(flow: &Flow, bytes: &[u8]) -> i64 {
    sys!(libc::SYS_write, flow.ours, bytes.as_ptr(), bytes.len())
}
