// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a connection is reset when nothing has left for 60 s and its socket is closed or
//! the owner is gone: bytes that wait for a peer, bytes that wait for an owner to enter. A peer
//! that takes some in between gets them all, as does one whose server still has both.
//!
//! One test for all, as each takes a minute.

use crate::harness::*;
use std::time::{Duration, Instant};

/// Seconds without progress after which the kernel gives up.
const PATIENCE: u64 = 60;

pub fn run() {
    let start = Instant::now();
    // The first to be closed, so that it has waited longest when the others are reset.
    let (mut slow, slow_bytes) = parked();
    expect_ok!(sys!(libc::SYS_close, slow.ours));
    // Children have copies of all that is open, so they come before what is closed last.
    // Threads of a pool would take what is published.
    let not_entered = in_pool().is_none().then(published_only);
    let ownerless = owner_gone();
    let (mut orphan, orphan_bytes) = parked();
    expect_ok!(sys!(libc::SYS_close, orphan.ours));
    let (mut served, served_bytes) = parked();

    sleep_until(start, PATIENCE / 2);
    expect_bytes(slow.peer, &slow_bytes[..CHUNK]);

    sleep_until(start, PATIENCE - 2);
    let mut ends = vec![("no owner", ownerless.peer), ("orphan", orphan.peer)];
    if let Some((_, peer)) = &not_entered {
        ends.push(("not entered", *peer));
    }
    for &(what, peer) in &ends {
        assert_eq!(poll(peer, 0, 0), 0, "{what}: reset too early");
    }
    for (what, peer) in ends {
        let seen = poll(peer, 0, 20_000);
        let seconds = start.elapsed().as_secs();
        assert_ne!(seen & libc::POLLHUP, 0, "{what}: no reset in {seconds} s");
    }

    expect_start(&expect_reset(ownerless.peer), &park_bytes());
    let error = get_option(ownerless.ours, libc::SOL_SOCKET, libc::SO_ERROR);
    assert_eq!(error, libc::ETIMEDOUT, "the holder's error");
    expect_start(&expect_reset(orphan.peer), &orphan_bytes);
    let results = in_order(orphan.ring.wait(2));
    expect_results(&results, &[neg(libc::ETIMEDOUT), neg(libc::ECANCELED)]);
    eventually("the flow ends with its socket", || !orphan.has(FLOW_USED));

    expect_bytes(slow.peer, &slow_bytes[CHUNK..]);
    expect_eof(slow.peer);
    let results = in_order(slow.ring.wait(2));
    expect_results(&results, &[CHUNK as i64, CHUNK as i64]);
    served.unpark(&served_bytes);

    if let Some((owner, peer)) = not_entered {
        assert!(expect_reset(peer).is_empty());
        assert!(owner.running(), "the owner has ended before its time");
        owner.kill();
        assert_eq!(owner.wait(), Exit::Signal(libc::SIGKILL));
    }
}

/// An owner that publishes an entry and does not enter, although the last descriptor of the
/// socket is closed by us. Gives it and the peer.
fn published_only() -> (Child, i32) {
    let pair = tcp_pair(0, 0);
    let published = Gate::new();
    let owner = child(|| {
        let mut flow = Flow::on(flow_ring(), pair);
        // Before the entry is published: a close hands over what is.
        expect_ok!(sys!(libc::SYS_close, pair.ours));
        flow.ring.push(flow.write(0, 100));
        flow.ring.publish();
        published.open();
        wait_for_death();
    });
    published.pass();
    expect_ok!(sys!(libc::SYS_close, pair.ours));
    (owner, pair.peer)
}

/// A connection with bytes that wait, of which we have the socket; the owner has exited.
fn owner_gone() -> Pair {
    let pair = tcp_pair(SMALL, SMALL);
    in_child(|| {
        Flow::on(flow_ring(), pair).park();
    });
    pair
}

/// Sleeps until so many seconds after `start`.
fn sleep_until(start: Instant, seconds: u64) {
    let end = start + Duration::from_secs(seconds);
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
}

/// Bytes that came must be the first of those that were sent.
#[track_caller]
fn expect_start(got: &[u8], sent: &[u8]) {
    assert!(got.len() <= sent.len(), "{} bytes came", got.len());
    expect_same(got, &sent[..got.len()]);
}
