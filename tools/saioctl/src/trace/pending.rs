// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries that were dispatched and have no result yet.

use std::collections::{HashMap, VecDeque};

use saio::flow::FlowRef;

use super::event::{Complete, Dispatch};

/// Entries that are kept for each flow; a ring has no more slots.
const MOST: usize = 4096;

/// A dispatched entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// When, in microseconds on the monotonic clock.
    pub time_us: u64,
    /// Number of the ring.
    pub ring: u64,
    /// The thread that owns it.
    pub owner: u32,
    /// The entry.
    pub entry: Dispatch,
}

/// All of them, by ring and flow. What is on one flow, or on none, ends in its order.
#[derive(Default)]
pub struct Pending(HashMap<(u64, Option<u32>), VecDeque<Started>>);

impl Pending {
    /// An entry begins to run.
    pub fn start(&mut self, started: Started) {
        let queue = self
            .0
            .entry((started.ring, started.entry.flow.map(FlowRef::raw)))
            .or_default();
        if queue.len() == MOST {
            queue.pop_front();
        }
        queue.push_back(started);
    }

    /// The entry that a result belongs to; `None` if it never ran, or began before the trace.
    pub fn finish(&mut self, ring: u64, complete: &Complete) -> Option<Started> {
        let key = (ring, complete.flow.map(FlowRef::raw));
        let queue = self.0.get_mut(&key)?;
        let index = queue.iter().position(|started| {
            let entry = &started.entry;
            entry.nr == complete.nr && entry.user_data == complete.user_data
        })?;
        let started = queue.remove(index);
        if queue.is_empty() {
            self.0.remove(&key);
        }
        started
    }

    /// Takes everything, in the order of time.
    pub fn take(&mut self) -> Vec<Started> {
        let mut all: Vec<Started> = self.0.drain().flat_map(|(_, queue)| queue).collect();
        all.sort_by_key(|started| started.time_us);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Where;
    use super::*;

    fn started(time_us: u64, flow: Option<FlowRef>, user_data: u64) -> Started {
        Started {
            time_us,
            ring: 7,
            owner: 1,
            entry: Dispatch {
                nr: 1,
                flags: 0,
                user_data,
                flow,
                args: [0; 6],
                place: Where::Inline,
            },
        }
    }

    fn complete(flow: Option<FlowRef>, user_data: u64) -> Complete {
        Complete {
            nr: 1,
            user_data,
            flow,
            result: 0,
            place: Where::Inline,
        }
    }

    #[test]
    fn results_find_their_entries() {
        let flow = Some(FlowRef::from_raw(0x10002));
        let mut pending = Pending::default();
        // The same user data again and again, as of entries that want no completion.
        pending.start(started(1, flow, 0));
        pending.start(started(2, None, 0));
        pending.start(started(3, flow, 0));
        pending.start(started(4, flow, 9));
        let mut time = |ring, flow, user_data| {
            let started = pending.finish(ring, &complete(flow, user_data));
            started.map(|started| started.time_us)
        };
        assert_eq!(time(7, flow, 0), Some(1));
        assert_eq!(time(7, flow, 9), Some(4));
        assert_eq!(time(8, flow, 0), None);
        assert_eq!(time(7, flow, 0), Some(3));
        assert_eq!(time(7, flow, 0), None);
        assert_eq!(time(7, None, 0), Some(2));
    }

    #[test]
    fn no_more_than_can_be() {
        let mut pending = Pending::default();
        for time in 0..=MOST as u64 {
            pending.start(started(time, None, 0));
        }
        let rest = pending.take();
        assert_eq!((rest.len(), rest[0].time_us), (MOST, 1));
        assert!(pending.take().is_empty());
    }
}
