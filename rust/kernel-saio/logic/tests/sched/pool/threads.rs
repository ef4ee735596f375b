// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The pool: what `pool.rs` does, in its order.

use super::{
    checks::Passed,
    world::{step, Lock, World},
};
use saio_logic::sched::{Rings, Threads};
use std::{cell::Cell, cell::RefCell, rc::Rc};

/// What a thread is at, apart from the counts that the pool keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Asleep,
    Up { looking: bool },
    HeldUp,
    Gone,
}

pub struct Pool {
    pub rings: Rings,
    pub threads: Threads,
    pub workers: Cell<u16>,
    pub max: Cell<u32>,
    pub excess: Cell<u32>,
    pub stopped: Cell<bool>,
    pub alive: Cell<u32>,
    pub tasks: Lock,
    table: Lock,
    /// Which ring has which slot; guarded by `table`.
    pub slots: RefCell<Vec<Option<usize>>>,
    /// The completion: so many sleepers may go on.
    completions: Cell<u32>,
    /// Threads that were counted as awake and do not know it yet.
    pub claims: Cell<u32>,
    /// Threads that run and were not counted yet.
    pub unborn: Cell<u32>,
    pub states: RefCell<Vec<State>>,
    /// Whether a thread has asked if it is one too many since it woke, went on, or `workers` shrank.
    pub checked: RefCell<Vec<bool>>,
    /// Threads that were woken to end and may be one that looks too many.
    pub to_end: Cell<u32>,
    /// Who is about to see to it that work is looked at.
    pub errands: Cell<u32>,
    pub passed: Passed,
    /// Turns given to rings.
    pub decisions: Cell<u64>,
}

pub struct Errand<'a>(&'a Cell<u32>);

impl Drop for Errand<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Pool {
    pub fn new(workers: u16, max: u32, rings: usize) -> Self {
        Self {
            rings: Rings::new(),
            threads: Threads::new(),
            workers: Cell::new(workers),
            max: Cell::new(max),
            excess: Cell::new(0),
            stopped: Cell::new(false),
            alive: Cell::new(0),
            tasks: Lock::default(),
            table: Lock::default(),
            // Room for one ring more, which moves.
            slots: RefCell::new((0..rings).map(Some).chain([None]).collect()),
            completions: Cell::new(0),
            claims: Cell::new(0),
            unborn: Cell::new(0),
            states: RefCell::default(),
            checked: RefCell::default(),
            to_end: Cell::new(0),
            errands: Cell::new(0),
            passed: Passed::new(rings + 1),
            decisions: Cell::new(0),
        }
    }

    pub fn set(&self, me: usize, state: State) {
        self.states.borrow_mut()[me] = state;
    }

    /// Until it is dropped, work may be there that nobody looks at.
    pub fn errand(&self) -> Errand<'_> {
        self.errands.set(self.errands.get() + 1);
        Errand(&self.errands)
    }

    pub fn unchecked(&self, me: usize) {
        self.checked.borrow_mut()[me] = false;
    }

    /// `saio_thread_wait`.
    pub async fn wait(&self, w: &World, me: usize) {
        w.until(|| self.completions.get() != 0).await;
        self.completions.set(self.completions.get() - 1);
        self.claims.set(self.claims.get() - 1);
        self.set(me, State::Up { looking: true });
        self.unchecked(me);
    }

    pub async fn wake(&self) -> bool {
        step().await;
        let workers = self.workers.get();
        step().await;
        let wake = self.threads.wake(workers);
        if wake {
            assert!(self.threads.runnable() <= workers, "one too many was woken");
            self.wake_one().await;
        }
        wake
    }

    /// Its caller has just counted somebody as awake.
    async fn wake_one(&self) {
        self.claims.set(self.claims.get() + 1);
        step().await;
        self.completions.set(self.completions.get() + 1);
    }

    async fn wake_to_end(&self) -> bool {
        step().await;
        let any = self.threads.wake_to_end();
        if any {
            self.to_end.set(self.to_end.get() + 1);
            self.wake_one().await;
        }
        any
    }

    pub async fn held_up(&self, me: usize) {
        step().await;
        let _errand = self.errand();
        self.threads.held_up();
        self.set(me, State::HeldUp);
        step().await;
        if self.rings.any() {
            self.wake().await;
        }
    }

    pub async fn goes_on(&self, me: usize) {
        step().await;
        self.threads.goes_on();
        self.set(me, State::Up { looking: false });
        self.unchecked(me);
    }

    /// A ring is looked at from now on, and somebody sees that.
    pub async fn ready(&self, slot: usize) {
        step().await;
        self.rings.poll(slot);
        self.wake().await;
    }

    /// The ring whose turn it is.
    pub async fn next(&self, w: &World) -> Option<usize> {
        let _table = self.table.lock(w).await;
        let slot = self.rings.next(|slot| self.has_work(w, slot))?;
        self.decisions.set(self.decisions.get() + 1);
        self.passed.served(w, slot);
        self.slots.borrow()[slot]
    }

    pub fn has_work(&self, w: &World, slot: usize) -> bool {
        self.slots.borrow()[slot].is_some_and(|ring| w.rings[ring].has_work())
    }

    pub async fn any_has_work(&self, w: &World) -> bool {
        let _table = self.table.lock(w).await;
        self.rings.find(0, |slot| self.has_work(w, slot)).is_some()
    }

    pub async fn has_more(&self, w: &World, ring: usize) -> bool {
        step().await;
        if w.rings[ring].has_plenty() {
            return true;
        }
        let _table = self.table.lock(w).await;
        let other = |slot: usize| {
            let other = self.slots.borrow()[slot];
            other.is_some_and(|other| other != ring && w.rings[other].has_work())
        };
        self.rings.find(0, other).is_some()
    }

    pub async fn doze(&self, w: &World) -> bool {
        let _table = self.table.lock(w).await;
        // What a word of the set says is read once, before the rings in it are asked.
        let mut polled = Vec::new();
        self.rings.find(0, |slot| {
            polled.push(slot);
            false
        });
        for slot in polled {
            let ring = self.slots.borrow()[slot];
            if let Some(ring) = ring {
                if !w.rings[ring].doze(self, slot).await {
                    return false;
                }
            }
        }
        true
    }

    /// Gives a ring a slot, besides the one that it has.
    pub async fn admit(&self, w: &World, ring: usize) -> usize {
        let _table = self.table.lock(w).await;
        let mut slots = self.slots.borrow_mut();
        let slot = slots.iter().position(Option::is_none).unwrap();
        slots[slot] = Some(ring);
        slot
    }

    pub async fn dismiss(&self, w: &World, slot: usize) {
        let _table = self.table.lock(w).await;
        self.rings.forget(slot);
        self.slots.borrow_mut()[slot] = None;
    }

    fn some_end(&self) -> bool {
        self.stopped.get() || self.excess.get() != 0
    }

    pub async fn ends(&self, w: &World) -> bool {
        step().await;
        if !self.some_end() {
            return false;
        }
        let _tasks = self.tasks.lock(w).await;
        let excess = self.excess.get();
        if excess != 0 {
            self.excess.set(excess - 1);
        } else if !self.stopped.get() {
            return false;
        }
        self.alive.set(self.alive.get() - 1);
        true
    }

    pub async fn wake_who_ends(&self) {
        step().await;
        if self.some_end() {
            self.wake_to_end().await;
        }
    }

    /// Makes threads, or has some end: whether that could be done.
    pub async fn staff(w: &Rc<World>) -> bool {
        let pool = &w.pool;
        let _tasks = pool.tasks.lock(w).await;
        let (alive, max) = (pool.alive.get(), pool.max.get());
        step().await;
        pool.excess.set(alive.saturating_sub(max));
        for _ in max..alive {
            pool.wake_to_end().await;
        }
        while pool.alive.get() < max {
            step().await;
            if w.chance(8) == 7 {
                // There is no memory for one.
                return false;
            }
            let me = pool.states.borrow().len();
            pool.states.borrow_mut().push(State::Asleep);
            pool.checked.borrow_mut().push(false);
            pool.unborn.set(1);
            let thread = super::worker::run(w.clone(), me);
            w.coming.borrow_mut().push(Box::pin(thread));
            step().await;
            pool.unborn.set(0);
            pool.threads.born();
            pool.alive.set(pool.alive.get() + 1);
        }
        true
    }

    pub async fn stop(&self) {
        step().await;
        self.stopped.set(true);
        while self.wake_to_end().await {}
    }
}
