// SPDX-License-Identifier: GPL-2.0

//! Rings: setting them up, their completions, their end.

use super::{mem, user};
use crate::{
    errno,
    kunit::{assert, assert_eq},
    mem::Layout,
    ring::{nospec, Ring},
    saio_rs_setup_undo, setup, TaskRings, MAX_RINGS,
};
use core::sync::atomic::Ordering;
use kernel::{
    bindings::{self, saio_params},
    prelude::*,
    sync::Arc,
};

suite!("saio_ring", self::{
    impossible_parameters_make_nothing,
    a_task_has_so_many_rings,
    completions_are_set_aside,
    an_impossible_tail_is_refused,
    nobody_uses_a_ring_after_its_end,
    only_less_can_be_asked_for,
    indices_are_reduced,
});

/// A ring of the case that is in no table.
pub(super) fn ring(mut params: saio_params) -> Arc<Ring> {
    user::page();
    must!(Ring::new(must!(Layout::new(&mut params))))
}

/// The case has the only reference.
pub(super) fn assert_last(ring: Arc<Ring>) {
    assert!(ring.into_unique_or_drop().is_some());
}

fn impossible_parameters_make_nothing() {
    user::page();
    for (i, spoil) in mem::SPOIL.iter().enumerate() {
        let mut params = mem::smallest();
        spoil(&mut params);
        assert_eq!(setup(&mut params).err(), Some(EINVAL), "change {i}");
        assert!(TaskRings::current().is_none());
    }
}

fn a_task_has_so_many_rings() {
    user::page();
    let mut last = must!(setup(&mut mem::smallest()));
    for _ in 1..MAX_RINGS {
        last = must!(setup(&mut mem::smallest()));
    }
    let refused = setup(&mut mem::smallest()).err();
    assert_eq!(refused, Some(errno::eusers()));
    saio_rs_setup_undo((&raw const *last).cast_mut().cast());
    assert_last(last);
    assert!(setup(&mut mem::smallest()).is_ok());
}

fn completions_are_set_aside() {
    let ring = ring(saio_params {
        sq_entries: 4,
        cq_entries: 4,
        ..mem::smallest()
    });
    let mem = &ring.mem;
    assert_eq!(ring.reserve(3), 3);
    assert_eq!(ring.reserve(3), 1);
    assert_eq!(ring.reserve(1), 0);
    ring.cancel(2);
    ring.post(&[Some((1, 10, false)), Some((2, -20, true))]);
    assert_eq!(mem.cq_tail().load(Ordering::Relaxed), 2);
    // Two are unread.
    assert_eq!(ring.reserve(4), 2);
    // Only a failure was wanted: the slot is free again.
    ring.post(&[Some((3, 30, true)), None]);
    assert_eq!(mem.cq_tail().load(Ordering::Relaxed), 2);
    assert_eq!(ring.reserve(4), 1);
    mem.cq_head().store(1, Ordering::Relaxed);
    assert_eq!(ring.reserve(4), 1);
    // What makes no sense is a full queue.
    mem.cq_head().store(3, Ordering::Relaxed);
    assert_eq!(ring.reserve(4), 0);
    mem.cq_head().store(2, Ordering::Relaxed);
    ring.cancel(3);
    assert_eq!(ring.wait(1, None).err(), Some(errno::edeadlk()));
    assert_eq!(ring.reserve(1), 1);
    assert_eq!(ring.wait(1, Some(1)).err(), Some(errno::etime()));
}

fn an_impossible_tail_is_refused() {
    let ring = ring(mem::smallest());
    for tail in [2, 1 << 31, u32::MAX] {
        ring.mem.sq_tail().store(tail, Ordering::Relaxed);
        let submitted = ring.submit(1);
        assert_eq!(submitted.stopped.err(), Some(EINVAL), "tail {tail}");
        assert_eq!(submitted.taken, 0);
    }
    assert_eq!(ring.mem.sq_head().load(Ordering::Relaxed), 0);
}

fn nobody_uses_a_ring_after_its_end() {
    let ring = ring(mem::smallest());
    assert_eq!(ring.check_owner(), Ok(()));
    ring.end();
    assert_eq!(ring.check_owner(), Err(errno::ebadfd()));
    assert!(ring.sq().is_none());
    assert!(ring.sq_for_thread().is_none());
    assert_last(ring);
}

fn only_less_can_be_asked_for() {
    let ring = ring(mem::smallest());
    let mut wanted = bindings::saio_restriction::default();
    (wanted.calls[0], wanted.calls[7]) = (1 << 3 | 1 << 63, u64::MAX);
    assert!(ring.permits(2));
    assert_eq!(ring.restrict(&wanted), Ok(()));
    let permitted = |nr: &u16| ring.permits(*nr);
    let last = 64 * bindings::SAIO_RESTRICTION_WORDS as u16;
    let so_many = |n: usize| assert_eq!((0..=u16::MAX).filter(permitted).count(), n);
    so_many(2 + 64);
    assert!(ring.permits(3) && ring.permits(63) && ring.permits(last - 1));
    wanted.calls[0] = u64::MAX;
    wanted.calls[7] = 1;
    assert_eq!(ring.restrict(&wanted), Ok(()));
    so_many(2 + 1);
    wanted.resv = 1;
    assert_eq!(ring.restrict(&wanted), Err(EINVAL));
    wanted.resv = 0;
    wanted.flags = bindings::SAIO_RESTRICT_NO_POOL << 1;
    assert_eq!(ring.restrict(&wanted), Err(EINVAL));
    assert!(ring.permits_pool());
    wanted.flags = bindings::SAIO_RESTRICT_NO_POOL;
    assert_eq!(ring.restrict(&wanted), Ok(()));
    assert!(!ring.permits_pool());
}

fn indices_are_reduced() {
    for len in [1, 2, 3, 64, 512, usize::MAX >> 1] {
        for index in [0, 1, len / 2, len - 1] {
            let wanted = (index < len).then_some(index);
            assert_eq!(nospec(index, len), wanted, "{index} of {len}");
        }
        for index in [len, len + 1, usize::MAX] {
            assert_eq!(nospec(index, len), None, "{index} of {len}");
        }
    }
}
