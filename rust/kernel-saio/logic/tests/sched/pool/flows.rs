// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A flow: the phases of `flow.rs`, and who waits for whom.

use super::{
    rings::Ring,
    world::{step, Lock, World},
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

/// Operations that a thread runs before it looks after other flows.
const TURN: u32 = 3;

/// An operation, which is an entry before it is taken.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub flow: usize,
    /// Its place among those of the flow.
    pub seq: u32,
    /// Steps that it takes.
    pub length: u32,
    /// The last decision of the pool by which it is to be taken.
    pub due: u64,
}

#[derive(Clone, Copy)]
pub enum Runner {
    Thread(usize),
    /// The owner, or the workqueue.
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Idle,
    Running,
    Parked,
}

#[derive(Default)]
pub struct Flow {
    state: Lock,
    pub phase: Cell<Phase>,
    head: Cell<Option<Op>>,
    queue: RefCell<VecDeque<Op>>,
    /// Somebody runs an operation.
    running: Cell<bool>,
    /// Entries of the flow that were published.
    pub published: Cell<u32>,
    /// Operations that have run.
    pub done: Cell<u32>,
}

impl Runner {
    /// A thread sleeps for a while, or does not. With `long` that lasts until the world lets it go
    /// on.
    pub async fn may_be_held_up(self, w: &World, long: bool) {
        let Self::Thread(me) = self else { return };
        if w.chance(8) != 7 {
            return;
        }
        w.pool.held_up(me).await;
        for _ in 0..w.chance(64) {
            step().await;
        }
        w.until(|| !long || w.releasing.get()).await;
        w.pool.goes_on(me).await;
    }
}

impl Flow {
    fn empty(&self) -> bool {
        self.head.get().is_none() && self.queue.borrow().is_empty()
    }

    /// Queues an operation unless nothing stands before it; then [`Self::carry`] has to run it.
    pub async fn begin(&self, w: &World, ring: &Ring, op: Op) -> bool {
        let state = self.state.lock(w).await;
        let begun = self.phase.get() == Phase::Idle && self.empty();
        if begun {
            self.phase.set(Phase::Running);
        }
        drop(state);
        if !begun {
            self.enqueue(w, ring, op).await;
        }
        begun
    }

    pub async fn carry(&self, w: &World, ring: &Ring, op: Op, by: Runner) {
        if self.run(w, ring, op, by).await {
            self.drain(w, ring, by).await;
        }
    }

    pub async fn enqueue(&self, w: &World, ring: &Ring, op: Op) {
        let _state = self.state.lock(w).await;
        self.queue.borrow_mut().push_back(op);
        ring.link.waiting.set(ring.link.waiting.get() + 1);
        if self.phase.get() == Phase::Idle {
            ring.link.kick(w, op.flow).await;
        }
    }

    /// The turn of a thread, or of the workqueue.
    pub async fn work(&self, w: &World, ring: &Ring, by: Runner) {
        let state = self.state.lock(w).await;
        match self.phase.get() {
            Phase::Parked => {}
            Phase::Idle if !self.empty() => {}
            _ => return,
        }
        self.phase.set(Phase::Running);
        drop(state);
        self.drain(w, ring, by).await;
    }

    async fn drain(&self, w: &World, ring: &Ring, by: Runner) {
        let mut turn = TURN;
        loop {
            let state = self.state.lock(w).await;
            let next = self.queue.borrow().front().map(|op| op.flow);
            if let (0, Some(me)) = (turn, next) {
                self.phase.set(Phase::Idle);
                ring.link.kick(w, me).await;
                return;
            }
            let op = self.head.take().or_else(|| {
                let op = self.queue.borrow_mut().pop_front()?;
                ring.link.waiting.set(ring.link.waiting.get() - 1);
                Some(op)
            });
            let Some(op) = op else {
                self.phase.set(Phase::Idle);
                return;
            };
            drop(state);
            if matches!(by, Runner::Thread(_)) {
                turn -= 1;
            }
            if !self.run(w, ring, op, by).await {
                return;
            }
        }
    }

    /// Runs an operation to its end, or parks the flow: whether it is still running.
    async fn run(&self, w: &World, ring: &Ring, mut op: Op, by: Runner) -> bool {
        assert_eq!(self.phase.get(), Phase::Running);
        assert!(!self.running.replace(true), "two run the same flow");
        assert_eq!(op.seq, self.done.get(), "out of order");
        let parks = w.chance(8) == 7;
        while op.length > 0 {
            step().await;
            by.may_be_held_up(w, true).await;
            op.length -= 1;
        }
        self.running.set(false);
        if !parks {
            self.done.set(self.done.get() + 1);
            return true;
        }
        let _state = self.state.lock(w).await;
        self.head.set(Some(op));
        self.phase.set(Phase::Parked);
        if w.chance(2) == 1 {
            // It is writable already.
            w.queue.borrow_mut().push_back((ring.link.index, op.flow));
        }
        false
    }
}
