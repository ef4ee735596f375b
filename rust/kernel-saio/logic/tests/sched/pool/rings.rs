// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A ring of a pool: what `ring/gate.rs`, and in `ring/attach.rs` and `enter.rs` a thread of the pool,
//! do, in their order.

use super::{
    flows::{Flow, Op, Runner},
    link::Link,
    world::{step, World},
};
use saio_logic::{
    ring::{Consumer, Producer, NEED_WAKEUP},
    sched::{Mode, WORTH_WAKING},
};
use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU32, Ordering},
};

/// Slots of a submission queue.
pub const ENTRIES: u32 = 8;

pub struct Ring {
    pub link: Link,
    pub filtered: bool,
    pub producer: RefCell<Producer>,
    pub consumer: RefCell<Consumer>,
    pub head: AtomicU32,
    pub tail: AtomicU32,
    pub flags: AtomicU32,
    entries: RefCell<[Option<Op>; ENTRIES as usize]>,
    /// Whether there is room for completions.
    pub room: Cell<bool>,
    pub gate: Gate,
    pub flows: Vec<Flow>,
    /// The owner is at something.
    pub busy: Cell<bool>,
}

/// Who dispatches.
#[derive(Default)]
pub struct Gate {
    taken: Cell<bool>,
    wanted: Cell<bool>,
    pub owner: Cell<bool>,
}

impl Gate {
    pub async fn enter(&self, w: &World) {
        step().await;
        w.until(|| {
            self.wanted.set(self.taken.get());
            !self.taken.get()
        })
        .await;
        self.taken.set(true);
        self.owner.set(true);
    }

    async fn try_enter(&self) -> bool {
        step().await;
        !self.wanted.get() && !self.taken.replace(true)
    }

    pub async fn leave(&self) {
        step().await;
        self.owner.set(false);
        self.taken.set(false);
    }
}

impl Ring {
    /// Attached to the pool, where it is the `index`-th.
    pub fn new(index: usize, mode: Mode, filtered: bool, flows: usize) -> Self {
        Self {
            link: Link::new(index, mode),
            filtered,
            producer: RefCell::new(Producer::new(ENTRIES)),
            consumer: RefCell::new(Consumer::new(ENTRIES)),
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            flags: AtomicU32::new(NEED_WAKEUP),
            entries: RefCell::default(),
            room: Cell::new(true),
            gate: Gate::default(),
            flows: (0..flows).map(|_| Flow::default()).collect(),
            busy: Cell::new(false),
        }
    }

    pub fn published(&self) -> u32 {
        self.consumer.borrow().available(&self.tail).unwrap()
    }

    pub fn has_news(&self) -> bool {
        self.tail.load(Ordering::Acquire) != self.link.seen.get()
    }

    pub fn has_work(&self) -> bool {
        !self.link.ready.borrow().is_empty() || self.has_news() && !self.gate.taken.get()
    }

    /// Whether there is something that a thread has to do, as everybody relies on that.
    pub fn waits(&self) -> bool {
        let told = self.flags.load(Ordering::Relaxed) & NEED_WAKEUP != 0;
        let entries = !told && self.room.get() && !self.filtered && self.published() != 0;
        !self.link.ready.borrow().is_empty() || entries && !self.busy.get()
    }

    pub fn has_plenty(&self) -> bool {
        self.has_news() && self.published() > WORTH_WAKING || self.link.waiting.get() > WORTH_WAKING
    }

    /// The turn of a thread.
    pub async fn serve(&self, w: &World, me: usize) {
        let by = Runner::Thread(me);
        if let Some(flow) = self.link.pop(w).await {
            self.flows[flow].work(w, self, by).await;
        }
        self.dispatch_one(w, by).await;
    }

    async fn dispatch_one(&self, w: &World, by: Runner) {
        if !self.gate.try_enter().await {
            return;
        }
        step().await;
        if self.link.mode.get() == Mode::Inline {
            return self.gate.leave().await;
        }
        step().await;
        let tail = self.tail.load(Ordering::Acquire);
        step().await;
        if self.filtered || self.published() == 0 || !self.room.get() {
            step().await;
            self.link.seen.set(tail);
            return self.gate.leave().await;
        }
        // Memory is allocated.
        by.may_be_held_up(w, false).await;
        let op = self.first();
        assert!(w.pool.decisions.get() <= op.due, "an entry waits too long");
        let begun = self.flows[op.flow].begin(w, self, op).await;
        self.advance();
        self.gate.leave().await;
        if begun {
            self.flows[op.flow].carry(w, self, op, by).await;
        }
    }

    /// Publishes an entry, if there is room for it.
    pub async fn publish(&self, mut op: Op) {
        step().await;
        let slot = self.producer.borrow_mut().slot(&self.head);
        let Some(slot) = slot else { return };
        let seq = &self.flows[op.flow].published;
        op.seq = seq.replace(seq.get() + 1);
        self.entries.borrow_mut()[slot as usize] = Some(op);
        step().await;
        self.producer.borrow_mut().publish(&self.tail);
    }

    /// The entry to be taken next.
    pub fn first(&self) -> Op {
        let slot = self.consumer.borrow().slot() as usize;
        self.entries.borrow_mut()[slot].take().expect("taken twice")
    }

    pub fn advance(&self) {
        self.consumer.borrow_mut().advance(&self.head);
    }

    /// Entries of a flow that were published and not taken.
    pub fn left(&self, flow: usize) -> u32 {
        let entries = self.entries.borrow();
        entries
            .iter()
            .flatten()
            .filter(|op| op.flow == flow)
            .count() as u32
    }
}
