// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the CPUs of a pool that is busy are changed: once the call has returned, no thread of
//! the pool runs anything elsewhere.

use super::{load::Load, server::Manner};
use crate::harness::*;

const NAME: &str = "mask";
/// Entries that each server has to get done between two changes.
const ENTRIES: u64 = 300;

pub fn run() {
    need_cpus(2);
    let trace = Trace::start(&["dispatch", "complete"]);
    let pool = Pool::new(NAME, |p| p.workers(2).max(4));
    let manner = Manner {
        reads: true,
        wild: false,
    };
    let load = Load::start(NAME, 2, 3, manner);
    for mask in [0b01u64, 0b10, 0b11, 0b10, 0b01, 0b10] {
        pool.set(|p| p.cpus(&mask));
        trace.clear();
        assert_eq!(pool_cpus(NAME), mask);
        load.goes_on(ENTRIES);
        let threads = pool.threads();
        let of_pool = |event: &Event| threads.iter().any(|thread| thread.pid == event.pid);
        let events: Vec<Event> = trace.events().into_iter().filter(of_pool).collect();
        assert!(events.len() as u64 >= ENTRIES, "{} events", events.len());
        for event in events {
            let allowed = mask >> event.cpu & 1 == 1;
            assert!(allowed, "mask {mask:#b}: {event:?}");
        }
        let list = ["0", "1", "0-1"][mask as usize - 1];
        for thread in threads {
            assert_eq!(thread.cpus(), list);
        }
    }
    load.stop();
}
