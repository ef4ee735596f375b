// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What ties a ring to the pool: what `ring/attach.rs` and the home in `sock.c` do, in their order.

use super::{
    rings::Ring,
    threads::Pool,
    world::{step, Lock, World},
};
use saio_logic::{
    ring::{awake, prepare_sleep, NEED_WAKEUP},
    sched::Mode,
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::atomic::Ordering,
};

pub struct Link {
    /// The ring's place among all.
    pub index: usize,
    /// The mode that it has where it is attached.
    wish: Mode,
    pub mode: Cell<Mode>,
    attachment: Lock,
    /// Its slot in the pool; guarded by `attachment`.
    slot: Cell<Option<usize>>,
    pub polled: Cell<bool>,
    pub seen: Cell<u32>,
    /// Operations in the queues of flows.
    pub waiting: Cell<u32>,
    home: Lock,
    /// Where flows that are ready go; guarded by `home`, as is the list of them.
    home_slot: Cell<Option<usize>>,
    pub ready: RefCell<VecDeque<usize>>,
}

impl Link {
    pub fn new(index: usize, mode: Mode) -> Self {
        Self {
            index,
            wish: mode,
            mode: Cell::new(mode),
            attachment: Lock::default(),
            slot: Cell::new(Some(index)),
            polled: Cell::new(false),
            seen: Cell::new(0),
            waiting: Cell::new(0),
            home: Lock::default(),
            home_slot: Cell::new(Some(index)),
            ready: RefCell::default(),
        }
    }

    /// A flow that waits for a thread.
    pub async fn pop(&self, w: &World) -> Option<usize> {
        let _home = self.home.lock(w).await;
        self.ready.borrow_mut().pop_front()
    }

    /// Has a thread look after a flow, if there are any.
    pub async fn to_pool(&self, w: &World, flow: usize) -> bool {
        let _home = self.home.lock(w).await;
        let Some(slot) = self.home_slot.get() else {
            return false;
        };
        let _errand = w.pool.errand();
        if !self.ready.borrow().contains(&flow) {
            self.ready.borrow_mut().push_back(flow);
        }
        w.pool.ready(slot).await;
        true
    }

    /// Has a thread, or the workqueue, look after a flow.
    pub async fn kick(&self, w: &World, flow: usize) {
        if !self.to_pool(w, flow).await {
            w.queue.borrow_mut().push_back((self.index, flow));
        }
    }

    async fn set_home(&self, w: &World, slot: Option<usize>) {
        let home = self.home.lock(w).await;
        let _errand = w.pool.errand();
        self.home_slot.set(slot);
        if let Some(slot) = slot {
            if !self.ready.borrow().is_empty() {
                w.pool.ready(slot).await;
            }
            return;
        }
        drop(home);
        while let Some(flow) = self.pop(w).await {
            self.kick(w, flow).await;
        }
    }
}

impl Ring {
    /// Attaches the ring to the pool, as if that were another one: in another slot.
    pub async fn attach(&self, w: &Rc<World>) {
        let _errand = w.pool.errand();
        let slot = w.pool.admit(w, self.link.index).await;
        // If there are no threads to be had, all stays as it was.
        if !Pool::staff(w).await {
            return w.pool.dismiss(w, slot).await;
        }
        self.leave_pool(w).await;
        let attachment = self.link.attachment.lock(w).await;
        self.link.slot.set(Some(slot));
        drop(attachment);
        self.link.set_home(w, Some(slot)).await;
        step().await;
        self.link.mode.set(self.link.wish);
        step().await;
        if self.has_news() {
            self.wake_pool(w).await;
        }
    }

    pub async fn leave_pool(&self, w: &World) {
        let attachment = self.link.attachment.lock(w).await;
        let Some(slot) = self.link.slot.take() else {
            return;
        };
        drop(attachment);
        step().await;
        self.link.mode.set(Mode::Inline);
        self.link.set_home(w, None).await;
        w.pool.dismiss(w, slot).await;
        step().await;
        self.link.polled.set(false);
        step().await;
        self.flags.fetch_or(NEED_WAKEUP, Ordering::Relaxed);
    }

    pub async fn call_pool(&self, w: &World) {
        self.gate.enter(w).await;
        self.link.seen.set(self.head.load(Ordering::Relaxed));
        self.gate.leave().await;
        self.wake_pool(w).await;
    }

    pub async fn wake_pool(&self, w: &World) {
        if self.filtered {
            return;
        }
        let _attachment = self.link.attachment.lock(w).await;
        let Some(slot) = self.link.slot.get() else {
            return;
        };
        if !self.link.polled.replace(true) {
            step().await;
            awake(&self.flags);
            step().await;
            w.pool.rings.poll(slot);
        }
        w.pool.wake().await;
    }

    /// Under the lock of the table.
    pub async fn doze(&self, pool: &Pool, slot: usize) -> bool {
        step().await;
        pool.rings.forget(slot);
        step().await;
        self.link.polled.set(false);
        step().await;
        let mut quiet = prepare_sleep(&self.flags, &self.tail, self.link.seen.get());
        if !quiet {
            step().await;
            quiet = self.gate.owner.get();
        }
        step().await;
        if quiet && self.link.ready.borrow().is_empty() {
            step().await;
            self.flags.fetch_or(NEED_WAKEUP, Ordering::Relaxed);
            return true;
        }
        step().await;
        self.link.polled.set(true);
        step().await;
        awake(&self.flags);
        step().await;
        pool.rings.poll(slot);
        false
    }
}
