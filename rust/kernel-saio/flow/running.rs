// SPDX-License-Identifier: GPL-2.0

//! Running the operations of a flow, waiting for its peer, and failing.

use super::*;

/// How many operations a thread of a pool runs before it looks after other flows.
const TURN: u32 = 16;

/// What came of [`Flow::carry`].
pub(crate) struct Carried {
    /// What can be said of the operation's result.
    pub(crate) result: i64,
    /// Completions of the operation that are left over; only the owner gets them back.
    pub(crate) spare: u32,
}

impl Flow {
    /// Runs `op`, which the flow has begun, and what was queued behind it meanwhile.
    #[inline(always)]
    pub(crate) fn carry(&self, op: &mut Op, follows: bool, by: Runner<'_>) -> Carried {
        let outcome = self.run(op, follows);
        if let Outcome::Done(result) = outcome {
            // Before the flow is idle: the next one to run it completes later.
            self.count(op, by);
            let (ring, flow, place) = (&self.ring, self.reference(), by.place());
            let spare = if matches!(by, Runner::Owner) && result >= 0 && op.tells_only_failures() {
                op.tell(result, ring, flow, place);
                op.entries() as u32
            } else {
                op.complete(result, ring, flow, place);
                0
            };
            self.finish(op.held(), by);
            return Carried { result, spare };
        }
        self.carried(core::mem::take(op), outcome, by)
    }

    /// What came of `op`, if it is not done.
    #[cold]
    pub(super) fn carried(&self, op: Op, outcome: Outcome, by: Runner<'_>) -> Carried {
        if matches!(by, Runner::Owner) {
            // From now on others may have to do with them.
            self.hold(op.held());
        }
        Carried {
            result: self.ran(op, 0, outcome, by).0,
            spare: 0,
        }
    }

    /// Ends what was begun, of an operation that keeps `held` bytes of the arena, and runs what was
    /// queued behind it meanwhile.
    #[inline]
    pub(super) fn finish(&self, held: u64, by: Runner<'_>) {
        let owner = matches!(by, Runner::Owner);
        if !(owner && self.phase.finish()) {
            self.finish_locked(if owner { 0 } else { held }, by);
        }
    }

    #[cold]
    fn finish_locked(&self, counted: u64, by: Runner<'_>) {
        let mut st = self.lock();
        if st.empty() && st.doomed.is_none() {
            self.rest(st);
        } else {
            st.bytes = st.bytes.saturating_sub(counted);
            drop(st);
            self.drain(by);
        }
    }

    /// Runs `op` with the credentials that it carries, if it does. The caller has made the phase
    /// `Running`.
    #[inline]
    fn run(&self, op: &mut Op, follows: bool) -> Outcome {
        let cred = op.cred.take();
        // SAFETY: The phase is `Running`, so by the type invariant the socket is there, and
        // nobody else runs operations.
        let mut run = || unsafe { op.run(self.ss.get(), &self.ring.mem, follows) };
        let outcome = match &cred {
            Some(cred) => cred.with(run),
            None => run(),
        };
        op.cred = cred;
        outcome
    }

    /// Runs what the flow holds, for whom each operation belongs to. The caller has made the phase
    /// `Running`.
    fn drain(&self, by: Runner<'_>) {
        let mut turn = TURN;
        loop {
            let mut st = self.lock();
            if let Some(err) = st.doomed {
                drop(st);
                return self.fail(None, err, by);
            }
            if turn == 0 && !st.empty() {
                // Idle with something in the queue: the next turn is on its way.
                st.phase = Phase::Idle;
                self.kick(0);
                return;
            }
            let Some(mut op) = self.pop(&mut st) else {
                return self.rest(st);
            };
            let follows = st.data_follows();
            drop(st);

            if matches!(by, Runner::Thread(..)) {
                turn -= 1;
            }
            self.waited(&mut op, by);
            let before = op.done;
            let outcome = self.run(&mut op, follows);
            if !self.ran(op, before, outcome, by).1 {
                return;
            }
        }
    }

    /// Takes the first operation that the flow holds.
    pub(super) fn pop(&self, st: &mut State) -> Option<Op> {
        let queued = st.head.is_none();
        let op = st.pop()?;
        if queued {
            self.ring.link.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        Some(op)
    }

    /// Notes how long an operation has waited for its first run.
    fn waited(&self, op: &mut Op, by: Runner<'_>) {
        let since = core::mem::take(&mut op.since);
        if since != 0 {
            let ns = glue::clock().saturating_sub(since);
            self.ring.stats.waits.add(ns);
            if let Runner::Thread(pool, _) = by {
                pool.stats.waits.add(ns);
            }
        }
    }

    /// Does what follows from how `op` ran, of which `before` bytes had left already: returns what
    /// can be said of its result, and whether the flow is still running.
    fn ran(&self, mut op: Op, before: u64, outcome: Outcome, by: Runner<'_>) -> (i64, bool) {
        match outcome {
            Outcome::Done(result) => {
                let mut st = self.lock();
                st.bytes = st.bytes.saturating_sub(op.held());
                drop(st);
                self.complete(&op, result, by);
                (result, true)
            }
            Outcome::Failed(err) => {
                self.fail(Some(op), err, by);
                (err.to_errno().into(), false)
            }
            Outcome::Again | Outcome::Interrupted => {
                let answer = op.total as i64;
                let moved = op.done - before;
                op.cred.get_or_insert_with(Cred::current);
                trace::park(&self.ring, self.reference(), op.left());
                self.ring.stats.parks.add(1);
                if let Runner::Thread(pool, _) = by {
                    pool.stats.parks.add(1);
                }
                let kick = matches!(outcome, Outcome::Interrupted);
                if let Err((op, err)) = self.park(op, moved, kick) {
                    self.fail(Some(op), err, by);
                }
                (answer, false)
            }
        }
    }

    /// Lets the flow wait for the socket with `op` at its head; gives `op` back if it has waited
    /// too long, or must not.
    pub(super) fn park(
        &self,
        op: Op,
        moved: u64,
        kick: bool,
    ) -> core::result::Result<(), (Op, Error)> {
        let mut st = self.lock();
        let now = glue::jiffies();
        if moved != 0 || !st.stuck {
            st.progress = now;
        }
        if let Some(err) = st.doomed {
            return Err((op, err));
        }
        if self.alone(&st) && now.wrapping_sub(st.progress) > leaving::patience() {
            return Err((op, errno::etimedout()));
        }
        st.head = Some(op);
        st.phase = Phase::Parked;
        st.stuck = true;
        self.show_busy(&mut st);
        self.show_full(&mut st);
        // SAFETY: The flow is attached, and its state lock is held.
        let writable = unsafe { bindings::saio_sock_park(self.ss.get()) };
        if writable || kick {
            self.kick(1);
        } else if self.alone(&st) {
            self.remind();
        }
        Ok(())
    }

    /// The flow has become idle.
    pub(super) fn rest(&self, mut st: Locked<'_>) {
        st.phase = Phase::Idle;
        st.bytes = 0;
        st.stuck = false;
        self.clear_busy(&mut st);
        let edge = self.clear_full(&mut st);
        // Who is turned away from now on looks once more and finds the flow idle.
        if edge || self.is_marked(bindings::saio_sock_bit_SAIO_SOCK_WANTED_BIT) {
            // SAFETY: The flow is attached; under its state lock it stays so.
            unsafe { bindings::saio_sock_idle(self.ss.get(), edge) };
        }
        if st.leaving {
            self.part(st);
        }
    }

    /// Resets the connection because `op`, or what was promised, cannot be done. The caller has
    /// made the phase `Running`.
    pub(super) fn fail(&self, op: Option<Op>, err: Error, by: Runner<'_>) {
        self.set_status(FAILED);
        self.failed.store(true, Ordering::Relaxed);
        // SAFETY: The phase is `Running`, so the socket is there.
        unsafe { bindings::saio_sock_fail(self.ss.get(), -err.to_errno()) };
        if let Some(op) = op {
            self.complete(&op, err.to_errno().into(), by);
        }
        loop {
            let mut st = self.lock();
            if let Some(op) = self.pop(&mut st) {
                drop(st);
                self.complete(&op, errno::ecanceled().to_errno().into(), by);
                continue;
            }
            st.phase = Phase::Failed;
            st.bytes = 0;
            self.clear_busy(&mut st);
            self.clear_full(&mut st);
            // SAFETY: The flow is attached; under its state lock it stays so.
            unsafe { bindings::saio_sock_idle(self.ss.get(), true) };
            if st.leaving {
                self.part(st);
            }
            return;
        }
    }

    /// Resets the connection because an entry of the owner cannot even be queued.
    pub(crate) fn abort(&self, err: Error) {
        let mut st = self.lock();
        match st.phase {
            Phase::Failed => return,
            Phase::Running => {
                st.doomed.get_or_insert(err);
                return;
            }
            Phase::Parked => self.unpark(),
            Phase::Idle => {}
        }
        if st.detached {
            return;
        }
        st.phase = Phase::Running;
        drop(st);
        self.fail(None, err, Runner::Queue);
    }

    /// Reports an operation and counts it for who ran it.
    pub(super) fn complete(&self, op: &Op, result: i64, by: Runner<'_>) {
        self.count(op, by);
        op.complete(result, &self.ring, self.reference(), by.place());
    }

    /// Counts an operation for who ran it; the owner counts entries as it dispatches.
    #[inline]
    fn count(&self, op: &Op, by: Runner<'_>) {
        let stats = &self.ring.stats;
        match by {
            Runner::Owner => stats.bytes_inline.add_alone(op.done),
            Runner::Thread(pool, _) => {
                stats.pooled.add(op.entries());
                stats.bytes.add(op.done);
                pool.stats.entries.add(op.entries());
                pool.stats.bytes.add(op.done);
            }
            Runner::Queue => {
                stats.queued.add(op.entries());
                stats.bytes.add(op.done);
            }
        }
    }

    /// The turn of the workqueue, or of a thread of the pool.
    pub(crate) fn work(&self, by: Runner<'_>) {
        let mut st = self.lock();
        match st.phase {
            Phase::Parked => self.unpark(),
            Phase::Idle if st.detached => return,
            Phase::Idle if !st.empty() => {}
            // An orphan that waits for what its owner has published and does not let go.
            Phase::Idle if st.orphan.is_some() => {
                let waited = glue::jiffies().wrapping_sub(st.progress);
                if st.doomed.is_none() && waited <= leaving::patience() {
                    self.remind();
                    return;
                }
                st.doomed.get_or_insert(errno::etimedout());
            }
            _ => return,
        }
        st.phase = Phase::Running;
        drop(st);
        self.touch(by);
        self.drain(by);
    }

    /// Notes which thread runs the flow.
    pub(crate) fn touch(&self, by: Runner<'_>) {
        let Runner::Thread(pool, number) = by else {
            return;
        };
        let last = self.last.swap(number, Ordering::Relaxed);
        if last != number && last != NOBODY {
            self.ring.stats.steals.add(1);
            pool.stats.steals.add(1);
            trace::steal(&self.ring, self.reference(), &pool.name, last, number);
        }
    }
}
