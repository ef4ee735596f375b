// SPDX-License-Identifier: GPL-2.0

//! Dispatch: taking entries off a ring, in order, and running them.

mod calls;
mod dispatch;
mod lone;

use crate::{
    errno,
    flow::{Begun, Carried, Flow, Runner},
    glue::{self, Caller, Verdict},
    logic::{
        chain::{flags, Refusal},
        policy,
        sched::{Mode, Plan, Why},
    },
    mem::{Entry, Sqe},
    op::{self, Op, Part},
    ring::{names, reference, Fate, Ring, Sq, SqGuard},
    trace::{self, Where},
};
use core::{mem, sync::atomic::Ordering};
use kernel::{bindings, prelude::*, types::ARef};

const LINKS: u16 = flags::LINK | flags::HARDLINK;

/// Why an entry does not get to its flow.
struct Refused {
    result: i64,
    /// The filter wants the thread to exit.
    die: bool,
}

impl From<Error> for Refused {
    fn from(err: Error) -> Self {
        let result = err.to_errno().into();
        Self { result, die: false }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => EINVAL,
            Refusal::Cancelled => errno::ecanceled(),
        }
    }
}

/// What one `saio_enter` does.
struct Batch<'a> {
    ring: &'a Ring,
    sq: SqGuard<'a>,
    /// Completions that are set aside and not used yet.
    budget: u32,
    /// The thread has to exit.
    die: bool,
    /// Where flow entries are run.
    plan: Plan,
    /// Entries of flows were taken, and [`Ring::settle`] was not called since.
    unsettled: bool,
    /// Ordinary entries that have run.
    calls: u64,
    /// Flow entries that this task has run, and those of them that stood in chains.
    inline: u64,
    chained: u64,
}

/// What became of one `saio_enter`.
pub(crate) struct Submitted {
    /// Entries taken off the queue.
    pub(crate) taken: u32,
    /// Why not more.
    pub(crate) stopped: Result,
    /// The thread has to exit.
    pub(crate) die: bool,
}

impl Batch<'_> {
    /// Runs what a hook had to put off.
    fn run_deferred(&mut self) -> Result {
        while self.sq.deferred_done < self.sq.deferred.len() {
            self.may_go_on(1)?;
            let sqe = self.sq.deferred.as_slice()[self.sq.deferred_done];
            self.entry(&sqe, 0)?;
            self.sq.deferred_done += 1;
            if sqe.flags & flags::FLOW != 0 {
                self.ring.deferred_flows.fetch_sub(1, Ordering::Release);
            }
            if self.die {
                return Ok(());
            }
        }
        if self.sq.deferred_done != 0 {
            self.sq.deferred = KVec::new();
            self.sq.deferred_done = 0;
        }
        Ok(())
    }

    /// Runs up to `to_submit` published entries.
    fn run_published(&mut self, to_submit: u32, taken: &mut u32) -> Result {
        let published = self.sq.consumer.available(self.ring.mem.sq_tail())?;
        let n = to_submit.min(published);
        // Threads need not look at what the owner sees to.
        self.ring.saw(self.sq.consumer.head().wrapping_add(n));
        while *taken < n && !self.die {
            let left = n - *taken;
            self.may_go_on(left)?;
            let entry = self.ring.entry(&self.sq, 0);
            *taken += match entry.head().flags & flags::FLOW {
                0 => self.run_calls(left),
                _ => 0,
            };
            if *taken == n - left {
                *taken += self.entry(&entry.copy(), left)?;
            }
        }
        Ok(())
    }

    /// Whether the next entry may be taken, with `n` to come.
    fn may_go_on(&mut self, n: u32) -> Result {
        if glue::between_calls() {
            return Err(EINTR);
        }
        if self.budget == 0 {
            self.budget = self.ring.reserve(n);
            if self.budget == 0 {
                return Err(EBUSY);
            }
        }
        Ok(())
    }

    /// Runs one entry, for which a completion is set aside, and returns how many it has taken off
    /// the queue. `left` entries of the queue may be taken, this one included; zero if it is not
    /// on the queue any more.
    ///
    /// An ordinary entry is taken off before it runs, one for a flow after it was handed over.
    ///
    /// `ENOMEM`: nothing has happened.
    fn entry(&mut self, sqe: &Sqe, left: u32) -> Result<u32> {
        // Also one that does not get to its flow: it does not name it any more.
        self.unsettled |= sqe.flags & flags::FLOW != 0;
        // Most entries stand alone and need no look at a chain.
        if !self.sq.chain.open() && plain(sqe) {
            if sqe.flags & flags::FLOW != 0 {
                return self.flow_entry(sqe, &sqe.args, left);
            }
            self.take(left);
            let result = self.call(sqe, left == 1);
            self.post(sqe, result);
            return Ok(1);
        }

        let mut args = sqe.args;
        let admitted = self.sq.chain.admit(sqe.flags, sqe.ctl, &mut args);
        if sqe.flags & flags::FLOW != 0 && admitted.is_ok() {
            return self.flow_entry(sqe, &args, left);
        }
        self.take(left);
        let result = match admitted {
            Ok(()) => self.call(&Sqe { args, ..*sqe }, left == 1),
            Err(refusal) => {
                // Of an entry that takes arguments from others it is not known which flow it means.
                let (own, asked) = (flags::FLOW, flags::FLOW | flags::RESULT_TO_ARG);
                if refusal == Refusal::Invalid && sqe.flags & asked == own && op::promises(sqe.nr) {
                    if let Some(flow) = self.ring.flow(reference(sqe)) {
                        flow.abort(errno::econnaborted());
                    }
                }
                Error::from(refusal).to_errno().into()
            }
        };
        self.sq.chain.done(sqe.flags, result);
        self.post(sqe, result);
        Ok(1)
    }

    /// Takes an entry off the queue, if it is there.
    #[inline]
    fn take(&mut self, left: u32) {
        if left != 0 {
            self.ring.advance(&mut self.sq);
        }
    }

    /// Hands an entry to its flow, with the one behind it if they can be sent as one: runs it, or
    /// leaves it to the pool, as the plan says.
    #[inline]
    fn flow_entry(&mut self, sqe: &Sqe, args: &[u64; 6], left: u32) -> Result<u32> {
        let ring = self.ring;
        let chained = sqe.flags & LINKS != 0 || self.sq.chain.open();
        let to_pool = self.plan.hand_over != 0 && !chained;
        let begun = if to_pool {
            None
        } else {
            ring.begin(reference(sqe))
        };
        let begun = match begun {
            Some(begun) if !chained && left != 0 => match self.lone(sqe, args, left) {
                Some(send) => {
                    self.send_alone(begun, sqe, send, left);
                    return Ok(1);
                }
                None => Some(begun),
            },
            begun => begun,
        };
        let place = if to_pool { Where::Pool } else { Where::Inline };
        let busy;
        let flow: &Flow = match &begun {
            Some(begun) => begun,
            None => match ring.flow_of(sqe) {
                Ok(flow) => {
                    busy = flow;
                    &busy
                }
                Err(refused) => return Ok(self.refuse(sqe, left, refused)),
            },
        };
        let mut op = None;
        let op = match ring.prepare(Caller::Current, place, flow, sqe, args, &mut op) {
            Ok(op) => op,
            Err(refused) => return Ok(self.refuse(sqe, left, refused)),
        };
        op.reserved(skips(sqe));
        let (mut taken, mut follows, mut refused) = (1, false, None);
        if left >= 2 && self.budget >= 2 {
            if let Some(next) = ring.next_data(&self.sq, sqe) {
                match ring.join(Caller::Current, place, flow, op, &next) {
                    Ok(true) => taken = 2,
                    Ok(false) => follows = true,
                    Err(why) => {
                        // Also if there is no memory below: it will not be asked for again.
                        self.die |= why.die;
                        refused = Some((next, why.result));
                    }
                }
            }
        }
        let Carried { result, spare } = match begun {
            Some(begun) => {
                let entries = op.entries();
                self.inline += entries;
                self.chained += u64::from(chained) * entries;
                if refused.is_some() {
                    // Done behind the operation, which is the flow's last.
                    begun.abort(errno::econnaborted());
                }
                begun.carry(op, follows)
            }
            None => {
                let promised = op.total as i64;
                op.more_follows(follows);
                flow.enqueue(mem::take(op), GFP_KERNEL_ACCOUNT)?;
                if refused.is_some() {
                    flow.abort(errno::econnaborted());
                }
                self.plan.hand_over -= u32::from(to_pool);
                Carried {
                    result: promised,
                    spare: 0,
                }
            }
        };
        self.budget -= taken - spare;
        if let Some((next, result)) = refused {
            taken = 2;
            self.post(&next, result);
        }
        self.sq.chain.done(sqe.flags, result);
        if left != 0 {
            for _ in 0..taken {
                self.ring.advance(&mut self.sq);
            }
        }
        Ok(taken)
    }

    /// A flow entry does not get to its flow; returns how many were taken.
    fn refuse(&mut self, sqe: &Sqe, left: u32, refused: Refused) -> u32 {
        self.die |= refused.die;
        self.post(sqe, refused.result);
        self.sq.chain.done(sqe.flags, refused.result);
        self.take(left);
        1
    }

    /// Posts the completion of an entry, if it is to have one.
    #[inline]
    fn post(&mut self, sqe: &Sqe, result: i64) {
        tell(self.ring, sqe, result, Where::Inline);
        if result >= 0 && skips(sqe) {
            return;
        }
        self.budget -= 1;
        self.ring.post_one(sqe.user_data, result);
    }
}

impl Ring {
    /// Runs up to `to_submit` published entries.
    pub(crate) fn submit(&self, to_submit: u32) -> Submitted {
        let mut taken = 0;
        let Some(sq) = self.sq() else {
            return Submitted {
                taken,
                stopped: Err(EPERM),
                die: false,
            };
        };
        trace::submit(self, to_submit, sq.consumer.published(self.mem.sq_tail()));
        let plan = self.plan(|| {
            let published = sq.consumer.published(self.mem.sq_tail());
            let flow = |i: &u32| self.is_flow(&sq, *i);
            (0..published.min(to_submit)).filter(flow).count() as u32
        });
        let mut batch = Batch {
            ring: self,
            sq,
            budget: 0,
            die: false,
            plan,
            unsettled: false,
            calls: 0,
            inline: 0,
            chained: 0,
        };
        let deferred = !batch.sq.deferred.is_empty();
        let mut stopped = batch.run_deferred();
        if stopped.is_ok() {
            stopped = batch.run_published(to_submit, &mut taken);
        }
        if stopped.is_ok() && (deferred || taken != 0) {
            batch.sq.chain.end();
        }
        let (die, budget) = (batch.die, batch.budget);
        self.stats.calls.add_alone(batch.calls);
        if batch.inline != 0 {
            self.stats.ran_inline(batch.chained, Why::Chain);
            self.stats
                .ran_inline(batch.inline - batch.chained, plan.why);
        }
        if stopped.is_err() {
            // What is left is for threads as well.
            self.saw(batch.sq.consumer.head());
        }
        drop(batch);
        self.cancel(budget);
        self.settle();
        // The mode is asked now: the ring may have come to a pool meanwhile.
        self.pass_on();
        Submitted {
            taken,
            stopped,
            die,
        }
    }

    /// The flow of an entry.
    #[inline]
    fn flow_of(&self, sqe: &Sqe) -> core::result::Result<ARef<Flow>, Refused> {
        Ok(self.flow(reference(sqe)).ok_or(EBADF)?)
    }

    /// Checks an entry of `flow` and puts its operation into `slot`, with what it names pinned. A
    /// refusal of promised bytes is the end of the connection.
    fn prepare<'a>(
        &self,
        caller: Caller<'_>,
        place: Where,
        flow: &Flow,
        sqe: &Sqe,
        args: &[u64; 6],
        slot: &'a mut Option<Op>,
    ) -> core::result::Result<&'a mut Op, Refused> {
        let refused = match self.admit(caller, place, flow, sqe, args) {
            Ok(()) => match Op::new(caller, sqe.nr, args, sqe.user_data, &self.mem) {
                Ok(op) => {
                    self.audit(caller, sqe.nr, args);
                    return Ok(slot.insert(op));
                }
                Err(err) => err.into(),
            },
            Err(refused) => refused,
        };
        if op::promises(sqe.nr) {
            flow.abort(errno::econnaborted());
        }
        Err(refused)
    }

    /// Whether `flow` takes entries, and the filter lets this one pass.
    #[inline]
    fn admit(
        &self,
        caller: Caller<'_>,
        place: Where,
        flow: &Flow,
        sqe: &Sqe,
        args: &[u64; 6],
    ) -> core::result::Result<(), Refused> {
        trace::dispatch(self, sqe, place);
        if flow.failed() {
            return Err(errno::ecanceled().into());
        }
        if !self.permits(sqe.nr) {
            return Err(EACCES.into());
        }
        // Threads do not dispatch for whose filter has to be asked.
        if caller.absent().is_some() || !glue::watched() {
            return Ok(());
        }
        let seen = op::filter_args(sqe.nr, args, &self.mem);
        if glue::filter_looks(sqe.nr.into()) && !flow.has_descriptor(seen[0] as u32) {
            // A filter that goes by the number would be deceived.
            return Err(EBADF.into());
        }
        match self.ask_filter(caller, sqe.nr, &seen) {
            Verdict::Run => Ok(()),
            Verdict::Refused(result) | Verdict::Killed(result) => {
                Err(Refused { result, die: false })
            }
            Verdict::Die(result) => Err(Refused { result, die: true }),
        }
    }

    /// Asks the filter of the current task, the owner. It has nothing more to say once it has killed for an
    /// entry: what stands behind that one would not have been called.
    fn ask_filter(&self, caller: Caller<'_>, nr: u16, args: &[u64; 6]) -> Verdict {
        let refused = EACCES.to_errno().into();
        match self.fate() {
            Fate::Lives => {}
            // Whoever was told first may have had no way to act on it.
            Fate::Dies => return Verdict::Die(refused),
            Fate::Killed => return Verdict::Refused(refused),
        }
        let verdict = glue::seccomp(nr.into(), args);
        match verdict {
            Verdict::Die(_) => self.condemn(Fate::Dies),
            Verdict::Killed(_) => {
                self.condemn(Fate::Killed);
                if matches!(caller, Caller::Leaving) {
                    glue::kill();
                }
            }
            _ => {}
        }
        verdict
    }

    /// Tells audit of an entry of a flow that is taken in `saio_enter`.
    #[inline]
    fn audit(&self, caller: Caller<'_>, nr: u16, args: &[u64; 6]) {
        // In a hook the record under way is that of another call.
        if matches!(caller, Caller::Current) && glue::audited() {
            glue::audit(nr.into(), &op::filter_args(nr, args, &self.mem));
        }
    }

    /// The flow, or another target, of the entry behind the first that is published.
    #[inline]
    fn next_target(&self, sq: &Sq) -> u32 {
        (self.entry(sq, 1).target() >> 32) as u32
    }

    /// The entry behind `sqe`, the first that is published, if it brings more bytes for the same
    /// flow, so that they are better sent together. A hint: the owner may change its mind until that
    /// entry is taken.
    #[inline]
    fn next_data(&self, sq: &Sq, sqe: &Sqe) -> Option<Sqe> {
        if sqe.flags & LINKS != 0 {
            return None;
        }
        // Mostly it is for another one.
        if self.next_target(sq) != reference(sqe) {
            return None;
        }
        let next = self.entry(sq, 1).copy();
        let fits = names(&next, reference(sqe)) && op::promises(next.nr) && plain(&next);
        fits.then_some(next)
    }

    /// Makes the file that `next` sends part of `op`, so that one message carries both, if that is
    /// what it does. A completion must be set aside for it.
    #[inline]
    fn join(
        &self,
        caller: Caller<'_>,
        place: Where,
        flow: &Flow,
        op: &mut Op,
        next: &Sqe,
    ) -> core::result::Result<bool, Refused> {
        if !op.takes(next.nr, &next.args) {
            return Ok(false);
        }
        self.admit(caller, place, flow, next, &next.args)?;
        op.append(Part::new(caller, &next.args)?, next.user_data, skips(next));
        self.audit(caller, next.nr, &next.args);
        Ok(true)
    }

    /// The published entry with `i` others before it.
    #[inline]
    fn entry(&self, sq: &Sq, i: u32) -> Entry<'_> {
        self.mem.entry(sq.consumer.slot().wrapping_add(i))
    }

    /// Whether it is one of a flow.
    fn is_flow(&self, sq: &Sq, i: u32) -> bool {
        self.entry(sq, i).head().flags & flags::FLOW != 0
    }
}

/// Tells who listens that an entry is done.
fn tell(ring: &Ring, sqe: &Sqe, result: i64, place: Where) {
    let flow = if sqe.flags & flags::FLOW != 0 {
        reference(sqe)
    } else {
        0
    };
    trace::complete(ring, sqe.nr, sqe.user_data, flow, result, place);
}

fn skips(sqe: &Sqe) -> bool {
    sqe.flags & flags::SKIP_SUCCESS != 0
}

/// Whether an entry has nothing to do with those before and behind it.
fn plain(sqe: &Sqe) -> bool {
    sqe.flags & !(flags::FLOW | flags::SKIP_SUCCESS) == 0 && sqe.ctl == 0
}
