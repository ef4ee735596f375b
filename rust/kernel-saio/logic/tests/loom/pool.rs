// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A pool with one ring, and what threads, the owner, the network's softirq and the operator do with its
//! words: what `pool.rs`, `pool/worker.rs` and `ring/attach.rs` do, in their order.

use loom::{
    sync::{
        atomic::{fence, AtomicBool, AtomicU32, Ordering},
        Arc,
    },
    thread,
};
use saio_logic::{
    ring::{awake, prepare_sleep, Producer, NEED_WAKEUP},
    sched::{Rings, Threads},
};

/// A pool with one ring, in slot 0.
#[derive(Default)]
pub struct Pool {
    workers: AtomicU32,
    pub threads: Threads,
    pub rings: Rings,
    /// The completion: so many sleepers go on.
    completions: AtomicU32,
    excess: AtomicU32,
    pauses: AtomicU32,

    pub tail: AtomicU32,
    pub flags: AtomicU32,
    seen: AtomicU32,
    polled: AtomicBool,
    /// A flow is ready.
    ready: AtomicBool,
    pub owner_inside: AtomicBool,
}

impl Pool {
    /// `runnable` threads have work and `asleep` do not. The ring is looked at.
    pub fn new(workers: u16, runnable: usize, asleep: usize) -> Self {
        let pool = Self::default();
        pool.workers.store(workers.into(), Ordering::Relaxed);
        // Loom takes values in one order for all only if they were stored so, not those at first.
        pool.excess.store(0, Ordering::SeqCst);
        for _ in 0..runnable {
            pool.threads.born();
            assert!(pool.threads.wake_to_end());
            pool.threads.found();
        }
        (0..asleep).for_each(|_| pool.threads.born());
        pool.rings.poll(0);
        pool.polled.store(true, Ordering::SeqCst);
        pool
    }

    /// The same, but nobody looks at the ring.
    pub fn quiet(self) -> Self {
        self.rings.forget(0);
        self.polled.store(false, Ordering::SeqCst);
        self.flags.store(NEED_WAKEUP, Ordering::SeqCst);
        self
    }

    /// The same, and one of those that were runnable looks for work.
    pub fn one_looks(self) -> Self {
        assert!(self.threads.look());
        self
    }

    pub fn workers(&self) -> u16 {
        self.workers.load(Ordering::Relaxed) as u16
    }

    /// Somebody may come in between: loom lets them at accesses that may meet another's, and not at a
    /// fence.
    pub fn pause(&self) {
        self.pauses.store(0, Ordering::Relaxed);
    }

    pub fn wake(&self) -> bool {
        self.pause();
        let wake = self.threads.wake(self.workers());
        if wake {
            self.complete();
        }
        wake
    }

    fn complete(&self) {
        self.completions.fetch_add(1, Ordering::SeqCst);
    }

    pub fn held_up(&self) {
        self.threads.held_up();
        if self.rings.any() {
            self.wake();
        }
    }

    /// A thread ends.
    pub fn ends(&self, looking: bool) {
        if looking {
            self.threads.found();
        }
        self.threads.gone();
        if self.rings.any() {
            self.wake();
        }
    }

    pub fn wake_who_ends(&self) {
        if self.excess.load(Ordering::SeqCst) != 0 && self.threads.wake_to_end() {
            self.complete();
        }
    }

    /// The operator wants one thread less.
    pub fn shrink(&self) {
        self.excess.store(1, Ordering::SeqCst);
        if self.threads.wake_to_end() {
            self.complete();
        }
    }

    fn doze(&self) -> bool {
        self.rings.forget(0);
        self.polled.store(false, Ordering::SeqCst);
        let seen = self.seen.load(Ordering::Relaxed);
        let quiet = prepare_sleep(&self.flags, &self.tail, seen)
            || self.owner_inside.load(Ordering::Relaxed);
        self.pause();
        if quiet && !self.ready.load(Ordering::Relaxed) {
            self.flags.fetch_or(NEED_WAKEUP, Ordering::Relaxed);
            return true;
        }
        self.polled.store(true, Ordering::SeqCst);
        awake(&self.flags);
        self.rings.poll(0);
        false
    }

    /// A thread that looks has looked for long enough: whether it sleeps.
    pub fn has_enough(&self) -> bool {
        if self.threads.sleep_beside(true) {
            if self.has_work() {
                self.wake();
            }
            return true;
        }
        if !self.doze() {
            return false;
        }
        self.threads.sleep(true);
        if self.rings.any() {
            self.wake();
        }
        true
    }

    /// A thread that has worked finds nothing more: whether it sleeps.
    pub fn finds_nothing(&self) -> bool {
        if self.threads.look() {
            return self.has_enough();
        }
        self.threads.sleep_beside(false)
    }

    pub fn wake_pool(&self) {
        if !self.polled.swap(true, Ordering::SeqCst) {
            awake(&self.flags);
            self.rings.poll(0);
        }
        self.wake();
    }

    /// The owner publishes an entry, and has it looked at.
    pub fn publish(&self) {
        let mut producer = Producer::new(2);
        producer.publish(&self.tail);
        self.pause();
        if Producer::need_wakeup(&self.flags) {
            self.wake_pool();
        }
    }

    /// The ring comes from another pool, where it was looked at.
    pub fn comes(&self) {
        self.rings.forget(0);
        self.polled.store(false, Ordering::SeqCst);
        self.flags.fetch_or(NEED_WAKEUP, Ordering::Relaxed);
        self.pause();
        fence(Ordering::SeqCst);
        if self.has_news() {
            self.wake_pool();
        }
    }

    fn has_work(&self) -> bool {
        let ready = || self.ready.load(Ordering::Relaxed) || self.has_news();
        self.rings.find(0, |_| ready()).is_some()
    }

    pub fn has_news(&self) -> bool {
        self.tail.load(Ordering::Acquire) != self.seen.load(Ordering::Relaxed)
    }

    /// The softirq has a flow for a thread.
    pub fn make_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.rings.poll(0);
        self.wake();
    }

    /// Of threads that were awake `up` still are; `asleep` sleep, some of whom were woken again: so many.
    pub fn check_counts(&self, up: usize, asleep: usize) -> usize {
        let woken = self.completions.load(Ordering::SeqCst) as usize;
        assert!(woken <= asleep, "one was woken twice");
        assert_eq!(usize::from(self.threads.runnable()), up + woken);
        assert_eq!(self.threads.spare(u16::MAX), asleep > woken);
        woken
    }

    pub fn is_polled(&self) -> bool {
        self.rings.any()
    }

    pub fn is_told(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & NEED_WAKEUP != 0
    }
}

/// Runs `actors` at the same time on a pool, and then `check` on what they return.
pub fn meet<const N: usize>(
    pool: impl Fn() -> Pool + Send + Sync + 'static,
    actors: [fn(&Pool) -> bool; N],
    check: impl Fn(&Pool, [bool; N]) + Send + Sync + 'static,
) {
    let mut model = loom::model::Builder::new();
    if N > 2 {
        // All interleavings would take minutes.
        model.preemption_bound.get_or_insert(4);
    }
    model.check(move || {
        let pool = Arc::new(pool());
        let others = actors[1..].iter().map(|actor| {
            let (pool, actor) = (pool.clone(), *actor);
            thread::spawn(move || actor(&pool))
        });
        let others: Vec<_> = others.collect();
        // The first one runs here.
        let mut results = [actors[0](&pool); N];
        for (result, other) in results[1..].iter_mut().zip(others) {
            *result = other.join().unwrap();
        }
        check(&pool, results);
    });
}

pub fn nothing(mut f: impl FnMut()) -> bool {
    f();
    false
}
