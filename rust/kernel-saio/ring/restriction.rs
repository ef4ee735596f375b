// SPDX-License-Identifier: GPL-2.0

//! What a ring does without: by its owner's will, or as its owner is killed.

use super::{nospec, Ring};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
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
    /// See [`Fate`].
    fate: AtomicU32,
}

/// What the owner's filter has done to it for an entry.
#[derive(Clone, Copy, PartialEq)]
#[repr(u32)]
pub(crate) enum Fate {
    Lives,
    /// Its thread has to exit.
    Dies,
    /// The process was killed.
    Killed,
}

impl Restriction {
    pub(super) const fn none() -> Self {
        Self {
            any: AtomicBool::new(false),
            calls: [const { AtomicU64::new(u64::MAX) }; WORDS],
            no_pool: AtomicBool::new(false),
            fate: AtomicU32::new(Fate::Lives as u32),
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
    /// Takes from the ring what `restriction` does not have, for good. What flows hold already goes
    /// on.
    ///
    /// `EBUSY`: it is to have no pool, and has one.
    pub(crate) fn restrict(&self, restriction: &bindings::saio_restriction) -> Result {
        if restriction.flags & !bindings::SAIO_RESTRICT_NO_POOL != 0 || restriction.resv != 0 {
            return Err(EINVAL);
        }
        let own = &self.restriction;
        if restriction.flags & bindings::SAIO_RESTRICT_NO_POOL != 0 {
            self.without_pool(|| own.no_pool.store(true, Ordering::Relaxed))?;
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

    /// Notes what the owner's filter has done.
    #[cold]
    pub(crate) fn condemn(&self, fate: Fate) {
        self.restriction.fate.store(fate as u32, Ordering::Relaxed);
    }

    /// What it has done so far.
    pub(crate) fn fate(&self) -> Fate {
        match self.restriction.fate.load(Ordering::Relaxed) {
            fate if fate == Fate::Dies as u32 => Fate::Dies,
            fate if fate == Fate::Killed as u32 => Fate::Killed,
            _ => Fate::Lives,
        }
    }

    /// Whether anything was taken from it.
    pub(super) fn restricted(&self) -> bool {
        self.restriction.any.load(Ordering::Relaxed)
    }
}
