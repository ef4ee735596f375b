// SPDX-License-Identifier: GPL-2.0

//! The end of a flow: who waits for it, what is left when nobody may add to it, and how long that
//! may take.

use super::*;
use kernel::time::msecs_to_jiffies;

/// Longest time without progress of a flow whose owner is gone, in seconds.
const PATIENCE_SECS: usize = 60;

pub(super) fn patience() -> usize {
    msecs_to_jiffies(PATIENCE_SECS as u32 * 1000) as usize
}

impl Flow {
    /// Detaches the flow, which is idle or failed and leaving, unless entries that the owner has
    /// published and not handed over yet name it.
    pub(super) fn part(&self, mut st: Locked<'_>) {
        if st.detached || !matches!(st.phase, Phase::Idle | Phase::Failed) {
            return;
        }
        if st.phase == Phase::Idle && self.ring.names(self.reference()) {
            if st.orphan.is_some() {
                self.remind();
            }
            return;
        }
        st.detached = true;
        if let Some(bytes) = st.orphan.take() {
            self.ring.mem.count_orphans(-1, -(bytes as i64));
        }
        // SAFETY: The flow is attached, and its state lock is held; this happens once.
        unsafe { bindings::saio_sock_detach(self.ss.get()) };
        drop(st);
        self.ring.forget(self.index, self.generation);
    }

    /// Whether the owner has published something that was not handed over. What stands in a batch
    /// behind the call that is running comes after it.
    pub(super) fn pending(&self) -> bool {
        !self.ring.dispatching_here() && self.ring.names(self.reference())
    }

    /// Whether anything that was published has not run; then the one who asks has to wait until
    /// the flow is idle.
    pub(crate) fn busy(&self) -> bool {
        // In this order: an entry leaves the queue when its flow has it.
        if self.ring.nothing_published() && self.phase.is_idle() {
            return false;
        }
        self.ring.hand_over(glue::Caller::Hook);
        let st = self.lock();
        match st.phase {
            Phase::Failed => false,
            _ if st.detached => false,
            Phase::Idle if st.empty() => self.pending(),
            _ => true,
        }
    }

    /// Whether all that keeps the flow busy is what the current task, the owner, has published, and
    /// has to dispatch itself: a chain, or entries for whose completions there is no room.
    pub(crate) fn stuck(&self) -> bool {
        let st = self.lock();
        st.ready() && self.ring.is_owned_here() && self.pending()
    }

    /// Whether what the flow holds is being run, or about to be: it waits neither for the peer nor
    /// for the owner.
    pub(crate) fn runs(&self) -> bool {
        let st = self.lock();
        match st.phase {
            Phase::Running => true,
            Phase::Idle => !st.empty(),
            Phase::Parked | Phase::Failed => false,
        }
    }

    /// The last descriptor is closed. Returns whether the socket has to live on.
    pub(crate) fn closed(&self) -> bool {
        self.ring.hand_over(glue::Caller::Hook);
        let mut st = self.lock();
        if st.detached {
            return false;
        }
        st.leaving = true;
        // Under the lock: whoever dispatches meanwhile comes later, and sees that it is leaving.
        let pending = self.pending();
        st.progress = glue::jiffies();
        if st.phase == Phase::Failed || st.phase == Phase::Idle && st.empty() && !pending {
            // What is named from here on was published after the close.
            st.phase = Phase::Failed;
            self.part(st);
            return false;
        }

        let bytes = st.bytes;
        let within = self.ring.mem.count_orphans(1, bytes as i64);
        st.orphan = Some(bytes);
        // SAFETY: The flow is attached, and the holder's file is being released.
        unsafe { bindings::saio_sock_adopt(self.ss.get()) };
        if !within {
            st.doomed.get_or_insert(errno::enobufs());
            self.kick(0);
        } else {
            self.remind();
        }
        true
    }

    /// Counts `bytes` of the arena that what the owner has begun goes on holding.
    pub(super) fn hold(&self, bytes: u64) {
        let mut st = self.lock();
        st.bytes += bytes;
        // Closed by another thread meanwhile.
        if let Some(counted) = &mut st.orphan {
            *counted += bytes;
            if !self.ring.mem.count_orphans(0, bytes as i64) {
                st.doomed.get_or_insert(errno::enobufs());
            }
        }
    }

    /// Nobody is to add to the flow any more; it ends when what it holds has left.
    pub(crate) fn leave(&self) {
        let mut st = self.lock();
        st.leaving = true;
        st.progress = glue::jiffies();
        match st.phase {
            Phase::Parked => self.remind(),
            Phase::Idle if !st.empty() => {}
            _ => self.part(st),
        }
    }

    /// Does what was put off while published entries named the flow.
    pub(crate) fn settle(&self) {
        let st = self.lock();
        if st.phase != Phase::Idle || !st.empty() {
            return;
        }
        // Still so: the one who was turned away goes on waiting for the next dispatch.
        let waits = self.is_marked(bindings::saio_sock_bit_SAIO_SOCK_WANTED_BIT) && self.pending();
        if !st.detached && !waits {
            // SAFETY: Under its state lock a flow that is not detached stays attached.
            unsafe { bindings::saio_sock_idle(self.ss.get(), false) };
        }
        if st.leaving {
            self.part(st);
        }
    }

    /// A descriptor of the socket was closed in the owner's table.
    pub(crate) fn stale(&self) {
        let st = self.lock();
        if !st.detached {
            self.set_status(STALE);
        }
    }

    /// A system call wants to end the write side: `Ok(true)` if that was queued.
    pub(crate) fn shutdown(&self, how: i32) -> Result<bool> {
        if !self.busy() {
            return Ok(false);
        }
        if self.pending() {
            // Those entries have to be before it.
            return Err(EAGAIN);
        }
        let sides = (how + 1) as u8;
        {
            let mut st = self.lock();
            if st.detached {
                return Ok(false);
            }
            if st.shut & sides == sides {
                return Ok(true);
            }
            st.shut |= sides;
        }
        self.enqueue(Op::shutdown(how), GFP_KERNEL_ACCOUNT)
            .inspect_err(|_| {
                self.lock().shut &= !sides;
            })?;
        Ok(true)
    }

    /// Whether nobody is left who could give up waiting for the peer.
    pub(super) fn alone(&self, st: &State) -> bool {
        st.orphan.is_some() || self.ring.is_dead()
    }

    /// Has the workqueue look after the patience with the peer has ended.
    pub(super) fn remind(&self) {
        let delay = msecs_to_jiffies(PATIENCE_SECS as u32 * 1000 + 100);
        // SAFETY: The flow is attached, so its work is set up.
        unsafe { bindings::saio_sock_remind(self.ss.get(), delay as _) };
    }
}
