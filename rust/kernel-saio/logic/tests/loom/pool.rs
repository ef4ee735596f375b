// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where threads of a pool meet each other, owners of rings and the network's softirq: it never comes
//! to pass that there is work and everybody sleeps.
//!
//! What is done to the words follows `pool.rs`, `pool/worker.rs` and `ring/attach.rs`.

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

/// A pool with one ring in slot 0.
#[derive(Default)]
struct Pool {
    workers: AtomicU32,
    threads: Threads,
    rings: Rings,
    /// The completion: so many sleepers go on.
    completions: AtomicU32,
    excess: AtomicU32,
    pauses: AtomicU32,

    tail: AtomicU32,
    flags: AtomicU32,
    seen: AtomicU32,
    polled: AtomicBool,
    /// A flow is ready.
    ready: AtomicBool,
    owner_inside: AtomicBool,
}

impl Pool {
    /// `runnable` threads have work and `asleep` do not. The ring is looked at.
    fn new(workers: u16, runnable: usize, asleep: usize) -> Self {
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
    fn quiet(self) -> Self {
        self.rings.forget(0);
        self.polled.store(false, Ordering::SeqCst);
        self.flags.store(NEED_WAKEUP, Ordering::SeqCst);
        self
    }

    /// The same, and one of those that were runnable looks for work.
    fn one_looks(self) -> Self {
        assert!(self.threads.look());
        self
    }

    fn workers(&self) -> u16 {
        self.workers.load(Ordering::Relaxed) as u16
    }

    /// Somebody may come in between: loom lets them at accesses that may meet another's, and not at a
    /// fence.
    fn pause(&self) {
        self.pauses.store(0, Ordering::Relaxed);
    }

    fn wake(&self) -> bool {
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

    fn held_up(&self) {
        self.threads.held_up();
        if self.rings.any() {
            self.wake();
        }
    }

    /// A thread ends.
    fn ends(&self, looking: bool) {
        if looking {
            self.threads.found();
        }
        self.threads.gone();
        if self.rings.any() {
            self.wake();
        }
    }

    fn wake_who_ends(&self) {
        if self.excess.load(Ordering::SeqCst) != 0 && self.threads.wake_to_end() {
            self.complete();
        }
    }

    /// The operator wants one thread less.
    fn shrink(&self) {
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
    fn has_enough(&self) -> bool {
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
    fn finds_nothing(&self) -> bool {
        if self.threads.look() {
            return self.has_enough();
        }
        self.threads.sleep_beside(false)
    }

    fn wake_pool(&self) {
        if !self.polled.swap(true, Ordering::SeqCst) {
            awake(&self.flags);
            self.rings.poll(0);
        }
        self.wake();
    }

    /// The owner publishes an entry, and has it looked at.
    fn publish(&self) {
        let mut producer = Producer::new(2);
        producer.publish(&self.tail);
        self.pause();
        if Producer::need_wakeup(&self.flags) {
            self.wake_pool();
        }
    }

    /// The ring comes from another pool, where it was looked at.
    fn comes(&self) {
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

    fn has_news(&self) -> bool {
        self.tail.load(Ordering::Acquire) != self.seen.load(Ordering::Relaxed)
    }

    /// The softirq has a flow for a thread.
    fn make_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.rings.poll(0);
        self.wake();
    }

    /// Of threads that were awake `up` still are; `asleep` sleep, some of whom were woken again: so many.
    fn check_counts(&self, up: usize, asleep: usize) -> usize {
        let woken = self.completions.load(Ordering::SeqCst) as usize;
        assert!(woken <= asleep, "one was woken twice");
        assert_eq!(usize::from(self.threads.runnable()), up + woken);
        assert_eq!(self.threads.spare(u16::MAX), asleep > woken);
        woken
    }

    fn is_polled(&self) -> bool {
        self.rings.any()
    }

    fn is_told(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & NEED_WAKEUP != 0
    }
}

/// Runs `actors` at the same time on a pool, and then `check` on what they return.
fn meet<const N: usize>(
    pool: impl Fn() -> Pool + Send + Sync + 'static,
    actors: [fn(&Pool) -> bool; N],
    check: impl Fn(&Pool, [bool; N]) + Send + Sync + 'static,
) {
    let mut model = loom::model::Builder::new();
    if N > 2 {
        // All interleavings would take minutes.
        model.preemption_bound.get_or_insert(5);
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

fn nothing(mut f: impl FnMut()) -> bool {
    f();
    false
}

/// The last thread goes to sleep while the owner publishes.
#[test]
fn the_last_one_sleeps_beside_no_entry() {
    meet(
        || Pool::new(1, 1, 0).one_looks(),
        [Pool::has_enough, |pool| nothing(|| pool.publish())],
        |pool, [sleeps, _]| {
            let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
            assert!(!sleeps || woken == 1, "asleep beside an entry");
            assert!(pool.is_polled(), "nobody looks at the entry");
        },
    );
}

/// The last thread goes to sleep while a flow becomes ready.
#[test]
fn the_last_one_sleeps_beside_no_flow() {
    meet(
        || Pool::new(1, 1, 0).one_looks(),
        [Pool::has_enough, |pool| nothing(|| pool.make_ready())],
        |pool, [sleeps, _]| {
            let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
            assert!(!sleeps || woken == 1, "asleep beside a flow");
            assert!(pool.is_polled(), "nobody looks at the flow");
        },
    );
}

/// The last thread goes to sleep while the owner, who has left something in the queue, leaves the
/// kernel.
#[test]
fn the_last_one_leaves_nothing_to_an_owner_that_has_left() {
    let pool = || {
        let pool = Pool::new(1, 1, 0).one_looks();
        pool.tail.store(1, Ordering::SeqCst);
        pool.owner_inside.store(true, Ordering::SeqCst);
        pool
    };
    let leave = |pool: &Pool| {
        pool.owner_inside.store(false, Ordering::Relaxed);
        pool.pause();
        // `Ring::settle` has it.
        fence(Ordering::SeqCst);
        if pool.has_news() {
            pool.wake_pool();
        }
        false
    };
    meet(pool, [Pool::has_enough, leave], |pool, [sleeps, _]| {
        let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
        assert!(!sleeps || woken == 1, "asleep beside an entry");
        assert!(pool.is_polled(), "nobody looks at the entry");
    });
}

/// A ring goes from one pool to another while its owner relies on the first.
#[test]
fn a_ring_that_moves_brings_its_entries() {
    meet(
        || Pool::new(1, 0, 1),
        [
            |pool| nothing(|| pool.comes()),
            |pool| nothing(|| pool.publish()),
        ],
        |pool, _| {
            assert_eq!(pool.check_counts(0, 1), 1, "asleep beside an entry");
            assert!(pool.is_polled(), "nobody looks at the entry");
        },
    );
}

/// Owner and softirq at the same time.
#[test]
fn the_last_one_sleeps_beside_nothing() {
    meet(
        || Pool::new(1, 1, 0).one_looks(),
        [
            Pool::has_enough,
            |pool| nothing(|| pool.publish()),
            |pool| nothing(|| pool.make_ready()),
        ],
        |pool, [sleeps, ..]| {
            let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
            assert!(!sleeps || woken == 1, "asleep beside work");
            assert!(pool.is_polled(), "nobody looks at it");
        },
    );
}

/// Two find nothing at the same time: both sleep only if the owner is told.
#[test]
fn two_do_not_rely_on_each_other() {
    meet(
        || Pool::new(2, 2, 0).one_looks(),
        [Pool::has_enough, Pool::finds_nothing],
        |pool, sleep| {
            let asleep = sleep.iter().filter(|s| **s).count();
            let woken = pool.check_counts(2 - asleep, asleep);
            let nobody = asleep == 2 && woken == 0;
            assert!(!nobody || pool.is_told() && !pool.is_polled());
        },
    );
}

/// One that looks goes to sleep beside one that works, while there comes work for it too.
#[test]
fn who_works_is_not_left_alone() {
    meet(
        || Pool::new(2, 2, 0).quiet().one_looks(),
        [Pool::has_enough, |pool| nothing(|| pool.make_ready())],
        |pool, [sleeps, _]| {
            let woken = pool.check_counts(2 - usize::from(sleeps), usize::from(sleeps));
            assert_eq!(woken, usize::from(sleeps), "it relied on who sleeps");
        },
    );
}

/// Two wakers and one that sleeps.
#[test]
fn one_sleeper_is_woken_once() {
    meet(
        || Pool::new(2, 0, 1).quiet(),
        [
            |pool| nothing(|| pool.make_ready()),
            |pool| nothing(|| pool.publish()),
        ],
        |pool, _| assert_eq!(pool.check_counts(0, 1), 1),
    );
}

/// Two wakers and two that sleep: the one that is woken looks for more before another is.
#[test]
fn one_of_two_sleepers_is_woken() {
    meet(
        || Pool::new(2, 0, 2).quiet(),
        [Pool::wake, Pool::wake],
        |pool, [a, b]| {
            assert!(a != b, "one of them wakes");
            assert_eq!(pool.check_counts(0, 2), 1);
        },
    );
}

/// The one that runs is held up while work comes: one takes its place.
#[test]
fn who_is_held_up_is_replaced_once() {
    meet(
        || Pool::new(1, 1, 1).quiet(),
        [
            |pool| nothing(|| pool.held_up()),
            |pool| nothing(|| pool.make_ready()),
        ],
        |pool, _| assert_eq!(pool.check_counts(0, 1), 1),
    );
}

/// It is held up and goes on: one of the two is left over, and not none.
#[test]
fn who_goes_on_makes_room_for_its_replacement() {
    let held_up = |pool: &Pool| {
        pool.held_up();
        pool.threads.goes_on();
        pool.threads.sleep_if_over(pool.workers(), false)
    };
    meet(
        || Pool::new(1, 1, 1).quiet(),
        [held_up, |pool| nothing(|| pool.make_ready())],
        |pool, [sleeps, _]| {
            let woken = pool.check_counts(usize::from(!sleeps), 1 + usize::from(sleeps));
            assert_eq!(woken, usize::from(sleeps));
        },
    );
}

/// One too many goes to sleep while the other is held up.
#[test]
fn one_too_many_replaces_who_is_held_up() {
    meet(
        || Pool::new(1, 2, 0),
        [
            |pool| pool.threads.sleep_if_over(pool.workers(), false),
            |pool| nothing(|| pool.held_up()),
        ],
        |pool, [sleeps, _]| {
            let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
            assert_eq!(woken, usize::from(sleeps), "nobody runs");
        },
    );
}

/// The last thread goes to sleep while it becomes one too many.
#[test]
fn who_is_to_end_does_not_sleep() {
    let sleep = |pool: &Pool| {
        let sleeps = pool.has_enough();
        if sleeps {
            pool.wake_who_ends();
        }
        sleeps
    };
    meet(
        || Pool::new(1, 1, 0).one_looks(),
        [sleep, |pool| nothing(|| pool.shrink())],
        |pool, [sleeps, _]| {
            let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
            assert_eq!(woken, usize::from(sleeps), "who is to end sleeps");
        },
    );
}

/// One that looks ends while another relies on it.
#[test]
fn who_ends_is_not_relied_upon() {
    meet(
        || Pool::new(2, 2, 0).one_looks(),
        [
            |pool| nothing(|| pool.ends(true)),
            |pool| pool.threads.sleep_beside(false),
        ],
        |pool, [_, sleeps]| {
            let woken = pool.check_counts(usize::from(!sleeps), usize::from(sleeps));
            assert!(
                pool.is_polled() && woken == usize::from(sleeps),
                "nobody looks"
            );
        },
    );
}

/// The last that is awake ends while work comes.
#[test]
fn who_ends_leaves_nothing_behind() {
    meet(
        || Pool::new(1, 1, 1).quiet().one_looks(),
        [
            |pool| nothing(|| pool.ends(true)),
            |pool| nothing(|| pool.make_ready()),
        ],
        |pool, _| assert_eq!(pool.check_counts(0, 1), 1, "nobody runs"),
    );
}
