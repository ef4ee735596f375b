// SPDX-License-Identifier: GPL-2.0

//! Who may dispatch: the owner, or one thread of a pool.

use super::Sq;
use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{new_condvar, new_spinlock, prelude::*, sync::CondVar, sync::SpinLock};

struct Inside {
    taken: bool,
    /// The owner waits. Threads of pools never do.
    wanted: bool,
}

/// The lock of the submission queue.
///
/// The owner may keep it while an entry waits for something, so a thread that finds it taken goes
/// away; a thread keeps it no longer than it takes to hand one entry over, so the owner waits.
///
/// # Invariants
///
/// There is one [`SqGuard`] while `Inside::taken`, and none otherwise. `owner` says whether the
/// owner has it.
#[pin_data]
pub(crate) struct Gate {
    sq: UnsafeCell<Sq>,
    owner: AtomicBool,
    /// As in `inside`, for a look without the lock.
    taken: AtomicBool,
    #[pin]
    inside: SpinLock<Inside>,
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
            inside <- new_spinlock!(Inside { taken: false, wanted: false }, "saio::Gate::inside"),
            left <- new_condvar!("saio::Gate::left"),
        })
    }

    /// For the owner: waits until a thread has left. `None` if the owner is inside already.
    #[inline]
    pub(super) fn enter(&self) -> Option<SqGuard<'_>> {
        if self.owner_inside() {
            return None;
        }
        let mut inside = self.inside.lock();
        while inside.taken {
            inside.wanted = true;
            self.left.wait(&mut inside);
        }
        // Only now: no thread gets in before the owner who waits.
        inside.wanted = false;
        // INVARIANT: The guard is made below.
        inside.taken = true;
        self.taken.store(true, Ordering::Relaxed);
        self.owner.store(true, Ordering::Relaxed);
        Some(SqGuard(self))
    }

    /// For a thread: `None` if somebody is inside, or the owner waits.
    pub(super) fn try_enter(&self) -> Option<SqGuard<'_>> {
        let mut inside = self.inside.lock();
        if inside.taken || inside.wanted {
            return None;
        }
        // INVARIANT: The guard is made below.
        inside.taken = true;
        self.taken.store(true, Ordering::Relaxed);
        Some(SqGuard(self))
    }

    /// Whether anybody is inside; a hint.
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
        let mut inside = self.0.inside.lock();
        self.0.owner.store(false, Ordering::Relaxed);
        // INVARIANT: The guard is gone.
        inside.taken = false;
        self.0.taken.store(false, Ordering::Relaxed);
        if inside.wanted {
            self.0.left.notify_one();
        }
    }
}
