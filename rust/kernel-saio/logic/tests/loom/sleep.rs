// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads go to sleep while work comes: it never comes to pass that there is work and everybody sleeps.

use super::pool::{meet, nothing, Pool};
use loom::sync::atomic::{fence, Ordering};

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
