// SPDX-License-Identifier: GPL-2.0

//! Who has a flow: under its lock, or to run it.

use super::*;
use core::{
    mem,
    ops::{Deref, DerefMut},
};

/// The state of a flow, locked.
pub(super) struct Locked<'a> {
    pub(super) flow: &'a Flow,
    pub(super) st: Guard<'a, State, SpinLockBackend>,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.st
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.st
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Before the lock is given back, which is the last that is done with the flow here.
        self.flow.phase.thaw(self.st.phase, self.st.simple());
    }
}

/// A flow that the owner runs. If it does not, the flow is idle again in the end.
///
/// Nobody counts a reference for it. What ends the phase may drop the flow, so that is the last that is
/// done with it: [`Flow::finish`], and what [`Flow::carried`] comes to.
///
/// # Invariants
///
/// The phase is `Running`, and nobody else knows that it is theirs to end.
pub(crate) struct Begun<'a>(pub(super) &'a Flow);

impl Begun<'_> {
    /// Runs `op`; `follows`: more bytes come at once.
    #[inline(always)]
    pub(crate) fn carry(self, op: &mut Op, follows: bool) -> Carried {
        let flow = self.0;
        mem::forget(self);
        flow.carry(op, follows, Runner::Owner)
    }

    /// What is left of `op` cannot be done.
    pub(crate) fn fail(self, op: Op, err: Error) -> Carried {
        let flow = self.0;
        mem::forget(self);
        flow.carried(op, Outcome::Failed(err), Runner::Owner)
    }

    /// The C side.
    pub(crate) fn ss(&self) -> *mut bindings::saio_sock {
        self.0.ss.get()
    }
}

impl Deref for Begun<'_> {
    type Target = Flow;

    #[inline]
    fn deref(&self) -> &Flow {
        self.0
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.finish(0, Runner::Owner);
    }
}
