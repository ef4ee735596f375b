// SPDX-License-Identifier: GPL-2.0

//! What a ring does without: by its owner's will, or as its owner is killed.

use super::{nospec, Ring};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kernel::{bindings, prelude::*};

/// Numbers of calls that the set knows; all that can be allowed lie below.
const CALLS: usize = 64 * WORDS;
const WORDS: usize = bindings::SAIO_RESTRICTION_WORDS as usize;

const _: () = assert!(crate::logic::policy::LOOKUP_LEN <= CALLS);

/// What a ring may still do. It only ever becomes less.
pub(super) struct Restriction {
    /// Whether there is any.
    any: AtomicBool,
    /// A bit for each call.
    calls: [AtomicU64; WORDS],
    no_pool: AtomicBool,
    /// The owner's filter has killed it for an entry.
    condemned: AtomicBool,
}

impl Restriction {
    pub(super) const fn none() -> Self {
        Self {
            any: AtomicBool::new(false),
            calls: [const { AtomicU64::new(u64::MAX) }; WORDS],
            no_pool: AtomicBool::new(false),
            condemned: AtomicBool::new(false),
        }
    }

    #[cold]
    fn permits(&self, nr: u16) -> bool {
        nospec(nr.into(), CALLS).is_some_and(|nr| {
            let word = self.calls[nr / 64].load(Ordering::Relaxed);
            word >> (nr % 64) & 1 != 0
        })
    }
}

impl Ring {
    /// Takes from the ring what `restriction` does not have, for good. Entries that were taken
    /// before go on.
    ///
    /// `EBUSY`: it is to have no pool, and has one.
    pub(crate) fn restrict(&self, restriction: &bindings::saio_restriction) -> Result {
        if restriction.flags & !bindings::SAIO_RESTRICT_NO_POOL != 0 || restriction.resv != 0 {
            return Err(EINVAL);
        }
        let own = &self.restriction;
        if restriction.flags & bindings::SAIO_RESTRICT_NO_POOL != 0 {
            // Only the owner attaches rings, and it is here.
            if self.pool().is_some() {
                return Err(EBUSY);
            }
            own.no_pool.store(true, Ordering::Relaxed);
        }
        for (own, calls) in own.calls.iter().zip(&restriction.calls) {
            own.fetch_and(*calls, Ordering::Relaxed);
        }
        own.any.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether entries may name the call `nr`, as far as the ring goes.
    #[inline]
    pub(crate) fn permits(&self, nr: u16) -> bool {
        !self.restriction.any.load(Ordering::Relaxed) || self.restriction.permits(nr)
    }

    /// Whether the ring may come to a pool.
    pub(crate) fn permits_pool(&self) -> bool {
        !self.restriction.no_pool.load(Ordering::Relaxed)
    }

    /// Notes that the owner's filter has killed it for an entry.
    #[cold]
    pub(crate) fn condemn(&self) {
        self.restriction.condemned.store(true, Ordering::Relaxed);
    }

    /// Whether that has happened.
    pub(crate) fn condemned(&self) -> bool {
        self.restriction.condemned.load(Ordering::Relaxed)
    }

    /// Whether anything was taken from it.
    pub(super) fn restricted(&self) -> bool {
        self.restriction.any.load(Ordering::Relaxed)
    }
}
