// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: processes are killed at random moments while a pool serves them: each peer gets all
//! that was published, in order, then the end; nothing is left in the pool or in the kernel, and the
//! threads live on.

use super::{
    server::{Line, Manner, Promise, Server},
    stream::{Stream, Streams},
};
use crate::harness::*;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "kill";
const ROUNDS: u32 = 200;
/// Rounds in which caches fill up.
const FIRST_ROUNDS: u32 = 10;
const LINES: usize = 3;

pub fn run() {
    let pool = Pool::new(NAME, |p| p.workers(2).max(4));
    let streams = Streams::new();
    let words = shared(1 + 2 * LINES);
    let mut rng = Rng::new(13);
    for _ in 0..FIRST_ROUNDS {
        round(&pool, &streams, words, &mut rng);
    }
    let (before, threads) = (Usage::now(), pool.threads());
    for _ in 0..repeat() * ROUNDS {
        round(&pool, &streams, words, &mut rng);
    }
    before.expect_no_growth();
    assert_eq!(pool.threads(), threads, "threads have ended");
    let stat = pool.stat();
    assert_eq!(stat.threads as usize, threads.len());
    assert!(stat.entries > 0);
    eventually("the pool sleeps", || pool.stat().runnable == 0);
}

fn round(pool: &Pool, streams: &Streams, words: &'static [AtomicU64], rng: &mut Rng) {
    for word in words {
        word.store(0, Ordering::Relaxed);
    }
    let lines: Vec<Line> = (0..LINES)
        .map(|number| {
            let size = [0, SMALL][rng.below(2)];
            Line {
                ends: tcp_pair(size, size),
                stream: Stream::new(rng.below(1000)),
                promise: Some(Promise {
                    published: &words[1 + 2 * number],
                    planned: &words[2 + 2 * number],
                }),
            }
        })
        .collect();
    let manner = Manner {
        reads: false,
        wild: false,
    };
    let seed = rng.next();
    let server = child(|| {
        let mut server = Server::new(NAME, seed % 1000, streams, manner);
        for line in &lines {
            server.add(*line);
        }
        loop {
            server.step();
            words[0].store(server.completed, Ordering::Relaxed);
        }
    });
    for line in &lines {
        expect_ok!(sys!(libc::SYS_close, line.ends.ours));
    }

    let mut got: Vec<Stream> = lines.iter().map(|line| line.stream).collect();
    let enough = rng.below(200) as u64;
    within(60, "the server gets entries done", || {
        assert!(server.running(), "the server has ended");
        for (line, got) in lines.iter().zip(&mut got) {
            streams.receive(
                line.ends.peer,
                got,
                1 + rng.below(32 << 10),
                libc::MSG_DONTWAIT,
            );
        }
        words[0].load(Ordering::Relaxed) >= enough
    });
    for _ in 0..rng.below(100_000) {
        std::hint::spin_loop();
    }
    server.kill();
    assert_eq!(server.wait(), Exit::Signal(libc::SIGKILL));
    assert_eq!(pool.rings(), 0, "a dead owner's ring");

    for (line, mut got) in lines.iter().zip(got) {
        streams.receive_all(line.ends.peer, &mut got);
        let promise = line.promise.expect("made above");
        let published = promise.published.load(Ordering::Acquire);
        let planned = promise.planned.load(Ordering::Acquire);
        let got = got.done as u64;
        assert!(got >= published, "{got} of {published} bytes came");
        assert!(got <= planned, "{got} bytes came, {planned} were meant to");
        expect_ok!(sys!(libc::SYS_close, line.ends.peer));
    }
}
