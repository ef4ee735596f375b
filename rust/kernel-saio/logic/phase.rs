// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who has a flow: a word that lets its owner begin and finish an operation without the flow's lock.
//!
//! Everything else is done under the lock. Whoever has it *freezes* the word first: from then on
//! nobody begins, and who runs the flow finishes under the lock. The word is *thawed* before the
//! lock is given back, and stays frozen as long as there is anything that the next one to begin or
//! to finish has to look at.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};

/// What a flow does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Nothing is run.
    Idle = 0,
    /// Somebody runs operations.
    Running = 1,
    /// The first operation waits for the socket.
    Parked = 2,
    /// The connection was reset.
    Failed = 3,
}

const FROZEN: u32 = 4;

/// The word.
#[derive(Debug)]
pub struct PhaseWord(AtomicU32);

impl Default for PhaseWord {
    fn default() -> Self {
        Self::new()
    }
}

impl PhaseWord {
    /// An idle flow, of which nothing else has to be known.
    pub fn new() -> Self {
        Self(AtomicU32::new(Phase::Idle as u32))
    }

    /// Without the lock: makes an idle flow run. Whoever gets `true` finishes it.
    #[inline]
    pub fn begin(&self) -> bool {
        self.swap(Phase::Idle, Phase::Running)
    }

    /// Without the lock, for who runs the flow: makes it idle. `false`: it has to be done under the lock.
    ///
    /// After `true` somebody else may have ended the flow.
    #[inline]
    pub fn finish(&self) -> bool {
        self.swap(Phase::Running, Phase::Idle)
    }

    #[inline]
    fn swap(&self, from: Phase, to: Phase) -> bool {
        // Acquire: what was done under the lock, or by who ran it before. Release: for who is next.
        self.0
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Without the lock: whether the flow is idle, and nothing else has to be known of it. It may begin at once.
    #[inline]
    pub fn is_idle(&self) -> bool {
        // Acquire: for who goes on where somebody has finished.
        self.0.load(Ordering::Acquire) == Phase::Idle as u32
    }

    /// Under the lock, first: the phase, which nobody else changes now.
    #[inline]
    pub fn freeze(&self) -> Phase {
        match self.0.fetch_or(FROZEN, Ordering::AcqRel) & !FROZEN {
            0 => Phase::Idle,
            1 => Phase::Running,
            2 => Phase::Parked,
            _ => Phase::Failed,
        }
    }

    /// Under the lock, last: the new phase. `simple`: if the flow is idle, nothing but that has to be
    /// known of it.
    #[inline]
    pub fn thaw(&self, phase: Phase, simple: bool) {
        let frozen = if phase == Phase::Idle && simple {
            0
        } else {
            FROZEN
        };
        self.0.store(phase as u32 | frozen, Ordering::Release);
    }
}

#[cfg(all(any(test, CONFIG_SAIO_KUNIT_TEST), not(loom)))]
#[warn(dead_code)]
pub(crate) mod tests {
    use super::*;
    #[cfg(not(test))]
    use crate::kunit::{assert, assert_eq};

    #[cfg_attr(test, test)]
    pub(crate) fn begin_and_finish_by_turns() {
        let word = PhaseWord::new();
        assert!(!word.finish());
        assert!(word.is_idle());
        assert!(word.begin());
        assert!(!word.begin());
        assert!(!word.is_idle());
        assert!(word.finish());
        assert!(word.begin());
    }

    #[cfg_attr(test, test)]
    pub(crate) fn who_has_the_lock_keeps_others_away() {
        let word = PhaseWord::new();
        assert_eq!(word.freeze(), Phase::Idle);
        assert!(!word.begin());
        assert!(!word.is_idle());
        word.thaw(Phase::Idle, true);
        assert!(word.begin());
        assert_eq!(word.freeze(), Phase::Running);
        assert!(!word.finish());
        word.thaw(Phase::Running, true);
        // Something may have been left for who runs it.
        assert!(!word.finish());
        assert_eq!(word.freeze(), Phase::Running);
        word.thaw(Phase::Idle, true);
        assert!(word.begin());
    }

    #[cfg_attr(test, test)]
    pub(crate) fn what_has_to_be_looked_at_is() {
        let word = PhaseWord::new();
        for (phase, simple) in [
            (Phase::Idle, false),
            (Phase::Parked, true),
            (Phase::Failed, true),
        ] {
            word.freeze();
            word.thaw(phase, simple);
            assert!(!word.is_idle());
            assert!(!word.begin());
            assert!(!word.finish());
            assert_eq!(word.freeze(), phase);
        }
    }
}
