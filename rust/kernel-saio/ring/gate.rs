// SPDX-License-Identifier: GPL-2.0

//! Who may dispatch: the owner, or one thread of a pool.

use super::Sq;
use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{new_condvar, new_spinlock, prelude::*, sync::CondVar, sync::SpinLock};

/// The lock of the submission queue.
///
/// The owner may keep it while an entry waits for something, so a thread that finds it taken goes
/// away; a thread keeps it no longer than it takes to hand one entry over, so the owner waits.
///
/// # Invariants
///
/// There is one [`SqGuard`] while `taken`, and none otherwise; `owner` says whether the owner has
/// it. Both are changed under `wanted`.
#[pin_data]
pub(crate) struct Gate {
    sq: UnsafeCell<Sq>,
    owner: AtomicBool,
    taken: AtomicBool,
    /// The owner waits. Threads of pools never do.
    #[pin]
    wanted: SpinLock<bool>,
    #[pin]
    left: CondVar,
}

// SAFETY: By the type invariant one task at a time has access to `sq`, which is `Send`.
unsafe impl Sync for Gate {}

impl Gate {
    pub(super) fn new(sq: Sq) -> impl PinInit<Self> {
        pin_init!(Self {
            sq: UnsafeCell::new(sq),
            owner: AtomicBool::new(false),
            taken: AtomicBool::new(false),
            wanted <- new_spinlock!(false, "saio::Gate::wanted"),
            left <- new_condvar!("saio::Gate::left"),
        })
    }

    /// For the owner: waits until a thread has left. `None` if the owner is inside already.
    #[inline]
    pub(super) fn enter(&self) -> Option<SqGuard<'_>> {
        if self.owner_inside() {
            return None;
        }
        let mut wanted = self.wanted.lock();
        while self.taken() {
            *wanted = true;
            self.left.wait(&mut wanted);
        }
        // Only now: no thread gets in before the owner who waits.
        *wanted = false;
        // INVARIANT: The guard is made below.
        self.taken.store(true, Ordering::Relaxed);
        self.owner.store(true, Ordering::Relaxed);
        Some(SqGuard(self))
    }

    /// For a thread: `None` if somebody is inside, or the owner waits.
    pub(super) fn try_enter(&self) -> Option<SqGuard<'_>> {
        let wanted = self.wanted.lock();
        if self.taken() || *wanted {
            return None;
        }
        // INVARIANT: The guard is made below.
        self.taken.store(true, Ordering::Relaxed);
        Some(SqGuard(self))
    }

    /// Whether anybody is inside; without the lock a hint.
    #[inline]
    pub(super) fn taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the owner is inside.
    #[inline]
    pub(super) fn owner_inside(&self) -> bool {
        self.owner.load(Ordering::Relaxed)
    }
}

/// Access to the dispatching end of the submission queue.
pub(crate) struct SqGuard<'a>(&'a Gate);

impl Deref for SqGuard<'_> {
    type Target = Sq;

    #[inline]
    fn deref(&self) -> &Sq {
        // SAFETY: By the invariant of `Gate` this is the only guard.
        unsafe { &*self.0.sq.get() }
    }
}

impl DerefMut for SqGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Sq {
        // SAFETY: As above.
        unsafe { &mut *self.0.sq.get() }
    }
}

impl Drop for SqGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let wanted = self.0.wanted.lock();
        self.0.owner.store(false, Ordering::Relaxed);
        // INVARIANT: The guard is gone.
        self.0.taken.store(false, Ordering::Relaxed);
        if *wanted {
            self.0.left.notify_one();
        }
    }
}
