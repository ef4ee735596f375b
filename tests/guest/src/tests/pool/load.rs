// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers that keep a pool busy until they are told to stop.

use super::{
    server::{Manner, Server},
    stream::Streams,
};
use crate::harness::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds in which a server must get something done.
const PATIENCE: u32 = 60;

pub struct Load {
    children: Vec<Child>,
    /// Whether to stop; then for each server the entries that are done.
    words: &'static [AtomicU64],
}

impl Load {
    /// Starts servers with some connections each.
    pub fn start(pool: &'static str, servers: usize, lines: usize, manner: Manner) -> Self {
        let words = shared(1 + servers);
        let streams = Streams::new();
        let serve = |number: usize| {
            let mut server = Server::new(pool, number as u64 + 1, &streams, manner);
            for _ in 0..lines {
                server.add_new();
            }
            while words[0].load(Ordering::Relaxed) == 0 {
                server.step();
                words[1 + number].store(server.completed, Ordering::Relaxed);
            }
            server.finish(manner.wild);
        };
        let children = (0..servers).map(|number| child(|| serve(number)));
        let children = children.collect();
        let load = Self { children, words };
        load.goes_on(1);
        load
    }

    /// Waits until every server has got so many more entries done.
    #[track_caller]
    pub fn goes_on(&self, entries: u64) {
        let done = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let before: Vec<u64> = self.words[1..].iter().map(done).collect();
        within(PATIENCE, "every server goes on", || {
            let failed = self.children.iter().any(|child| !child.running());
            assert!(!failed, "a server has ended");
            let now = self.words[1..].iter().map(done);
            now.zip(&before)
                .all(|(now, before)| now >= before + entries)
        });
    }

    /// Has the servers finish; each must have got all through.
    #[track_caller]
    pub fn stop(self) {
        self.words[0].store(1, Ordering::Relaxed);
        for child in self.children {
            assert_eq!(child.wait(), Exit::Status(0), "a server failed");
        }
    }
}
