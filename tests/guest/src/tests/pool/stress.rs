// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: several threads serve several processes with many connections: entries of all kinds
//! and sizes, chains, peers that read too little, connections that are closed with bytes under way.
//! Flows change threads, and every connection still gets its bytes in order.

use super::{load::Load, server::Manner};
use crate::harness::*;

const NAME: &str = "stress";
const SERVERS: usize = 3;
const LINES: usize = 6;
/// Entries that each server gets done, several times.
const ENTRIES: u64 = 1000;

pub fn run() {
    let trace = Trace::start(&["steal"]);
    let pool = Pool::new(NAME, |p| p.workers(3).max(4));
    let manner = Manner {
        reads: true,
        wild: true,
    };
    let load = Load::start(NAME, SERVERS, LINES, manner);
    for _ in 0..4 * repeat() {
        load.goes_on(ENTRIES);
    }
    load.stop();

    let stat = pool.stat();
    assert!(stat.entries > 0 && stat.parks > 0, "{stat:?}");
    assert!(stat.steals > 0, "no flow ever changed its thread");
    let events = trace.events();
    let of_pool = events.iter().filter(|event| event.text("pool") == NAME);
    let changes = of_pool.inspect(|event| assert_ne!(event.text("from"), event.text("to")));
    assert_eq!(changes.count() as u64, stat.steals);
}
