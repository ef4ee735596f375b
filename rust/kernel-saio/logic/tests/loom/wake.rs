// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads are woken, held up, and end: as many run as there is work for, and never none.

use super::pool::{meet, nothing, Pool};

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
