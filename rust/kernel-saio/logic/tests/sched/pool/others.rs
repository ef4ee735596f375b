// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who is not of the pool: owners of rings, the network, the workqueue, the operator.

use super::{
    flows::{Op, Phase, Runner},
    rings::{Ring, ENTRIES},
    threads::Pool,
    world::{step, World},
};
use saio_logic::{
    ring::Producer,
    sched::{self, Mode, Situation},
};
use std::{rc::Rc, sync::atomic::Ordering};

/// The owner of a ring: publishes, and does what the flag tells it.
pub async fn owner(w: Rc<World>, ring: usize) {
    let ring = &w.rings[ring];
    loop {
        ring.busy.set(false);
        w.until(|| w.lively.get() || !ring.room.get()).await;
        ring.busy.set(true);
        if w.lively.get() {
            busy(&w, ring).await;
        } else {
            reap(&w, ring).await;
        }
    }
}

async fn busy(w: &World, ring: &Ring) {
    for _ in 0..=w.chance(6) {
        let op = Op {
            flow: w.chance(ring.flows.len() as u32) as usize,
            seq: 0,
            length: w.chance(4),
            due: u64::MAX,
        };
        ring.publish(op).await;
    }
    step().await;
    // Nobody else runs what a filter has to be asked about.
    let told = Producer::need_wakeup(&ring.flags) || ring.filtered;
    match w.chance(8) {
        1 | 2 if told && !ring.filtered => return ring.call_pool(w).await,
        3 => hand_over(w, ring).await,
        // Not that it had to.
        4 => submit(w, ring).await,
        5 => ring.room.set(false),
        6 => reap(w, ring).await,
        _ => {}
    }
    if told {
        submit(w, ring).await;
    }
}

/// Takes completions, and has what did not fit beside them looked at again.
async fn reap(w: &World, ring: &Ring) {
    step().await;
    if !ring.room.replace(true) {
        ring.call_pool(w).await;
    }
}

/// `saio_enter`.
async fn submit(w: &World, ring: &Ring) {
    let published = ring.producer.borrow_mut().pending(&ring.head);
    let to_submit = published - w.chance(published + 1);
    ring.gate.enter(w).await;
    step().await;
    let situation = Situation {
        mode: ring.link.mode.get(),
        entries: ring.published().min(to_submit),
        polled: ring.link.polled.get(),
        waiting: ring.link.waiting.get(),
        filtered: ring.filtered,
    };
    let mut plan = sched::plan(situation, || {
        w.pool.threads.spare(w.pool.workers.get()) && w.chance(2) == 1
    });
    if plan.wake {
        ring.wake_pool(w).await;
    }
    step().await;
    let n = ring.published().min(to_submit);
    let head = ring.head.load(Ordering::Relaxed);
    ring.link.seen.set(head.wrapping_add(n));
    let mut stopped = false;
    for _ in 0..n {
        step().await;
        // No room, or a signal.
        stopped = !ring.room.get() || w.chance(16) == 15;
        if stopped {
            break;
        }
        let op = ring.first();
        let flow = &ring.flows[op.flow];
        if plan.hand_over != 0 {
            flow.enqueue(w, ring, op).await;
            plan.hand_over -= 1;
        } else if flow.begin(w, ring, op).await {
            flow.carry(w, ring, op, Runner::Other).await;
        }
        ring.advance();
    }
    if stopped {
        // What was not taken is news again.
        ring.link.seen.set(ring.head.load(Ordering::Relaxed));
    }
    ring.gate.leave().await;
    step().await;
    if ring.link.mode.get() != Mode::Inline && ring.has_news() {
        ring.wake_pool(w).await;
    }
}

/// A hook has what is published handed over.
async fn hand_over(w: &World, ring: &Ring) {
    ring.gate.enter(w).await;
    for _ in 0..ring.published() {
        step().await;
        if !ring.room.get() {
            break;
        }
        let op = ring.first();
        ring.flows[op.flow].enqueue(w, ring, op).await;
        ring.advance();
    }
    ring.gate.leave().await;
    step().await;
    if ring.link.mode.get() != Mode::Inline && ring.has_news() {
        ring.wake_pool(w).await;
    }
}

/// An owner that never runs anything itself and never has enough, whose entries are to be taken
/// within `due` decisions of the pool for each that stands in the queue.
pub async fn eager(w: Rc<World>, ring: usize, due: u64) {
    let ring = &w.rings[ring];
    loop {
        ring.busy.set(false);
        w.until(|| w.lively.get()).await;
        ring.busy.set(true);
        step().await;
        let number = ring.tail.load(Ordering::Relaxed);
        let ahead = u64::from(ring.published().min(ENTRIES - 1)) + 1;
        let op = Op {
            flow: number as usize % ring.flows.len(),
            seq: 0,
            length: number % 4,
            due: w.pool.decisions.get() + ahead * due,
        };
        ring.publish(op).await;
        step().await;
        if Producer::need_wakeup(&ring.flags) {
            ring.wake_pool(&w).await;
        }
    }
}

/// The network: sockets become writable, and sometimes somebody is told so for nothing.
pub async fn network(w: Rc<World>) {
    let all = || {
        let flows = |ring: &Ring| 0..ring.flows.len();
        let rings = w.rings.iter();
        rings.flat_map(move |ring| flows(ring).map(move |i| (ring, i)))
    };
    let parked = |(ring, i): &(&Ring, usize)| {
        ring.flows[*i].phase.get() == Phase::Parked && !ring.link.ready.borrow().contains(i)
    };
    loop {
        w.until(|| w.lively.get() || all().any(|it| parked(&it)))
            .await;
        step().await;
        let everybody = w.chance(4) == 3;
        let kicked: Vec<_> = all().filter(|it| everybody || parked(it)).collect();
        for (ring, i) in kicked {
            ring.link.kick(&w, i).await;
        }
    }
}

/// The workqueue: flows of rings that have no pool, or not any more.
pub async fn workqueue(w: Rc<World>) {
    loop {
        w.until(|| !w.queue.borrow().is_empty()).await;
        let (ring, i) = w.queue.borrow_mut().pop_front().unwrap();
        let ring = &w.rings[ring];
        if !ring.link.to_pool(&w, i).await {
            ring.flows[i].work(&w, ring, Runner::Other).await;
        }
    }
}

/// The operator: changes what holds.
pub async fn operator(w: Rc<World>) {
    loop {
        w.until(|| w.lively.get()).await;
        step().await;
        let pool = &w.pool;
        let errand = pool.errand();
        let before = (pool.workers.get(), pool.max.get());
        let workers = 1 + w.chance(3) as u16;
        set(pool, workers, u32::from(workers) + w.chance(3)).await;
        if Pool::staff(&w).await {
            pool.wake().await;
        } else {
            set(pool, before.0, before.1).await;
            assert!(Pool::staff(&w).await);
        }
        drop(errand);
        for _ in 0..w.chance(64) {
            step().await;
        }
    }
}

async fn set(pool: &Pool, workers: u16, max: u32) {
    if workers < pool.workers.get() {
        pool.checked.borrow_mut().fill(false);
    }
    pool.workers.set(workers);
    step().await;
    pool.max.set(max);
}

/// Pools are removed, and their rings go on elsewhere.
pub async fn mover(w: Rc<World>) {
    loop {
        w.until(|| w.lively.get()).await;
        step().await;
        let ring = w.chance(w.rings.len() as u32) as usize;
        w.rings[ring].attach(&w).await;
        for _ in 0..w.chance(64) {
            step().await;
        }
    }
}

/// The pool itself is removed.
pub async fn remover(w: Rc<World>) {
    // What is left is not the pool's any more.
    let errand = w.pool.errand();
    for ring in &w.rings {
        ring.leave_pool(&w).await;
    }
    w.pool.stop().await;
    core::mem::forget(errand);
}
