// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What has to hold: always, and when nobody can go on.

use super::{
    rings::Ring,
    threads::{Pool, State},
    world::World,
};
use saio_logic::{ring::NEED_WAKEUP, sched::Threads};
use std::{cell::RefCell, sync::atomic::Ordering};

/// How often rings with work had to stand back since they were served.
pub struct Passed(RefCell<Vec<usize>>);

impl Passed {
    pub fn new(slots: usize) -> Self {
        Self(RefCell::new(vec![0; slots]))
    }

    /// The turn was that of `slot`: nobody stands back twice for the same.
    pub fn served(&self, w: &World, slot: usize) {
        let mut passed = self.0.borrow_mut();
        let slots = passed.len();
        for (other, passed) in passed.iter_mut().enumerate() {
            let waits = other != slot && is_polled(&w.pool, other) && w.pool.has_work(w, other);
            *passed = if waits { *passed + 1 } else { 0 };
            assert!(*passed < slots, "slot {other} stands back again");
        }
    }
}

fn is_polled(pool: &Pool, slot: usize) -> bool {
    pool.rings.find(slot, |_| true) == Some(slot)
}

/// The threads that a pool believes to be asleep.
fn asleep(threads: &Threads) -> usize {
    let mut n = 0;
    while threads.wake_to_end() {
        n += 1;
    }
    (0..n).for_each(|_| threads.sleep(true));
    n
}

/// Whether the pool believes that nobody looks for work.
fn nobody_looks(threads: &Threads) -> bool {
    let nobody = threads.look();
    if nobody {
        threads.found();
    }
    nobody
}

/// After every step.
pub fn always(w: &World) {
    let pool = &w.pool;
    let states = pool.states.borrow();
    let count = |f: fn(&State) -> bool| states.iter().filter(|state| f(state)).count();
    let claims = pool.claims.get() as usize;
    let up = count(|s| matches!(s, State::Up { .. }));
    let looking = count(|s| *s == State::Up { looking: true }) + claims;
    // The counts say what the threads are at.
    assert_eq!(usize::from(pool.threads.runnable()), up + claims);
    let unborn = pool.unborn.get() as usize;
    let sleepers = count(|s| *s == State::Asleep);
    assert_eq!(asleep(&pool.threads) + claims + unborn, sleepers);
    assert_eq!(nobody_looks(&pool.threads), looking == 0);
    // One looks, and those that were woken to end until they find out whether they are to.
    if looking == 0 {
        pool.to_end.set(0);
    }
    assert!(looking <= 1 + pool.to_end.get() as usize, "too many look");
    // Nobody sleeps beside work while nobody is awake, or about to wake them.
    let work = w.rings.iter().any(Ring::waits);
    let nobody = pool.threads.runnable() == 0 && pool.errands.get() == 0;
    assert!(
        !(work && nobody && sleepers > unborn),
        "they sleep beside work"
    );
    // Who has looked how many may run is not one too many.
    let checked = pool.checked.borrow();
    let run = states.iter().zip(checked.iter());
    let run = run.filter(|(s, checked)| matches!(s, State::Up { .. }) && **checked);
    assert!(run.count() <= usize::from(pool.workers.get()), "too many");
}

/// Nobody can go on: all is as [`always`] wants it, and nobody is about to do anything about it.
pub fn at_rest(w: &World) {
    let pool = &w.pool;
    let states = pool.states.borrow();
    assert_eq!((pool.claims.get(), pool.threads.runnable()), (0, 0));
    assert_eq!(pool.errands.get(), 0);
    assert!(w.rings.iter().all(|ring| !ring.busy.get()));
    let sleep = states.contains(&State::Asleep);
    assert_eq!(pool.threads.spare(u16::MAX), sleep);
    assert!(pool.excess.get() == 0 || !sleep, "who is to end sleeps");
}

/// As [`at_rest`], and nobody is held up: nothing is left to do, and owners know that nobody looks.
pub fn done(w: &World) {
    at_rest(w);
    let pool = &w.pool;
    let states = pool.states.borrow();
    let alive = states.iter().filter(|s| **s == State::Asleep).count() as u32;
    assert!(!states.contains(&State::HeldUp));
    assert_eq!((alive, pool.excess.get()), (pool.alive.get(), 0));
    assert!(alive > 0 && alive <= pool.max.get(), "{alive} threads");
    assert!(!pool.rings.any(), "rings are looked at by nobody");
    w.rings.iter().for_each(served);
}

fn served(ring: &Ring) {
    assert!(!ring.link.polled.get());
    assert_eq!(ring.flags.load(Ordering::Relaxed), NEED_WAKEUP);
    assert_eq!(ring.link.waiting.get(), 0);
    for (i, flow) in ring.flows.iter().enumerate() {
        let left = ring.left(i);
        assert_eq!(flow.done.get() + left, flow.published.get());
        assert!(left == 0 || ring.filtered, "an entry was not taken");
    }
}

/// There is nobody any more.
pub fn removed(w: &World) {
    let pool = &w.pool;
    assert!(pool.states.borrow().iter().all(|s| *s == State::Gone));
    assert_eq!((pool.alive.get(), pool.claims.get()), (0, 0));
    assert!(!pool.rings.any());
}
