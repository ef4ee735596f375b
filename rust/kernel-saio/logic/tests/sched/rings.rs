// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Which rings are looked at, and whose turn it is.

use proptest::prelude::*;
use saio_logic::sched::{Rings, MAX_RINGS};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread,
};

const DECISIONS: usize = 1000;

/// Slots with their neighbours at the seams of words and of the whole.
fn slot() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 0..MAX_RINGS,
        1 => prop::sample::select(vec![0, 1, 63, 64, 65, 127, 128, MAX_RINGS - 64, MAX_RINGS - 1]),
    ]
}

fn slots(n: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(slot(), n)
}

fn polling(slots: &BTreeSet<usize>) -> Rings {
    let rings = Rings::new();
    slots.iter().for_each(|slot| rings.poll(*slot));
    rings
}

/// The first of `set` from `start` on and around.
fn around(set: &BTreeSet<usize>, start: usize) -> Option<usize> {
    (set.range(start..).next())
        .or_else(|| set.iter().next())
        .copied()
}

/// Every ring got what is its due, within a tenth.
fn assert_fair(turns: &BTreeMap<usize, usize>, rings: usize, decisions: usize) {
    let due = decisions as f64 / rings as f64;
    assert_eq!(turns.len(), rings, "a ring got nothing");
    for (slot, got) in turns {
        let off = (*got as f64 - due).abs();
        // A turn more or less is what does not divide.
        assert!(off <= (due / 10.0).max(1.0), "ring {slot}: {got} of {due}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Poll(usize),
    Forget(usize),
    /// Those with work among the rings that are looked at.
    Next(BTreeSet<usize>),
    Find(usize, BTreeSet<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            4 => slot().prop_map(Step::Poll),
            2 => slot().prop_map(Step::Forget),
            2 => slots(0..8).prop_map(Step::Next),
            2 => (0..=MAX_RINGS, slots(0..8)).prop_map(|(start, slots)| Step::Find(start, slots)),
        ],
        1..100,
    )
}

proptest! {
    /// The set of rings is a set, and a search begins where it is told to.
    #[test]
    fn rings_are_a_set_with_a_turn(steps in steps()) {
        let rings = Rings::new();
        let (mut polled, mut turn) = (BTreeSet::new(), 0);
        for step in steps {
            match step {
                Step::Poll(slot) => {
                    rings.poll(slot);
                    polled.insert(slot);
                }
                Step::Forget(slot) => {
                    rings.forget(slot);
                    polled.remove(&slot);
                }
                Step::Next(work) => {
                    // Some of them are looked at, or nothing would ever be found.
                    let work = &work | &polled.iter().step_by(3).copied().collect();
                    let want = around(&(&polled & &work), turn);
                    prop_assert_eq!(rings.next(|slot| work.contains(&slot)), want);
                    turn = want.map_or(turn, |slot| (slot + 1) % MAX_RINGS);
                }
                Step::Find(start, work) => {
                    let work = &work | &polled.iter().step_by(2).copied().collect();
                    let want = around(&(&polled & &work), start % MAX_RINGS);
                    prop_assert_eq!(rings.find(start, |slot| work.contains(&slot)), want);
                }
            }
            prop_assert_eq!(rings.any(), !polled.is_empty());
        }
    }

    /// A search that finds nothing has looked at every ring once.
    #[test]
    fn a_search_looks_at_every_ring_once(slots in slots(0..40), start in 0..=MAX_RINGS) {
        let mut seen = Vec::new();
        polling(&slots).find(start, |slot| {
            seen.push(slot);
            false
        });
        prop_assert_eq!(seen.len(), slots.len());
        prop_assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), slots);
    }

    /// Rings that always have work get the same, whatever stands between them.
    #[test]
    fn turns_are_shared_alike(busy in slots(1..50), idle in slots(0..50)) {
        let rings = polling(&(&busy | &idle));
        let mut turns = BTreeMap::new();
        for _ in 0..DECISIONS {
            let slot = rings.next(|slot| busy.contains(&slot)).unwrap();
            *turns.entry(slot).or_default() += 1;
        }
        assert_fair(&turns, busy.len(), DECISIONS);
    }

    /// Between two turns of a ring that always has work no other has two, whoever comes and goes.
    #[test]
    fn nobody_is_served_twice_before_another(
        busy in slots(1..10),
        others in prop::collection::vec((slot(), any::<bool>()), 1..300),
    ) {
        let rings = polling(&busy);
        let mut since: BTreeMap<usize, BTreeSet<usize>> =
            busy.iter().map(|slot| (*slot, BTreeSet::new())).collect();
        for (slot, comes) in others {
            if comes {
                rings.poll(slot);
            } else if !busy.contains(&slot) {
                rings.forget(slot);
            }
            let served = rings.next(|_| true).unwrap();
            for (ring, others) in &mut since {
                if *ring == served {
                    others.clear();
                } else {
                    prop_assert!(others.insert(served), "{served} twice before {ring}");
                }
            }
        }
    }
}

/// As threads do it: each decision under the lock of the table, in any order of threads.
#[test]
fn turns_are_shared_alike_among_threads() {
    let slots: BTreeSet<usize> = (0..7).map(|i| i * 61).collect();
    let rings = polling(&slots);
    let turns = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..DECISIONS / 4 {
                    let mut turns = turns.lock().unwrap();
                    let slot = rings.next(|_| true).unwrap();
                    *turns.entry(slot).or_default() += 1;
                    drop(turns);
                    thread::yield_now();
                }
            });
        }
    });
    assert_fair(&turns.into_inner().unwrap(), slots.len(), DECISIONS);
}

/// Owners and the network's softirq change the set without that lock: what stays in it keeps its
/// share.
#[test]
fn rings_that_come_and_go_take_nothing_away() {
    let slots: BTreeSet<usize> = (0..7).map(|i| i * 2).collect();
    let rings = polling(&slots);
    let mut turns = BTreeMap::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 * DECISIONS {
                // In the same word, between the others.
                (0..7).for_each(|i| rings.poll(i * 2 + 1));
                (0..7).for_each(|i| rings.forget(i * 2 + 1));
            }
        });
        let mut decisions = 0;
        while decisions < DECISIONS {
            let slot = rings.next(|_| true).unwrap();
            if slots.contains(&slot) {
                *turns.entry(slot).or_default() += 1;
                decisions += 1;
            }
        }
    });
    assert_fair(&turns, slots.len(), DECISIONS);
}
