// SPDX-License-Identifier: GPL-2.0

//! Dispatch: taking entries off a ring, in order, and running them.

use crate::{
    errno,
    flow::Flow,
    glue::{self, Verdict},
    logic::{
        chain::{flags, Refusal},
        policy,
    },
    mem::Sqe,
    op::{self, Op},
    ring::{names, nospec, Ring, SqGuard},
};
use core::sync::atomic::Ordering;
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
                self.ring.deferred_flows.fetch_sub(1, Ordering::Relaxed);
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
        while *taken < n && !self.die {
            self.may_go_on(n - *taken)?;
            let sqe = self.ring.mem.sqe(self.sq.consumer.slot());
            *taken += self.entry(&sqe, n - *taken)?;
        }
        if n != 0 {
            self.sq.chain.end();
        }
        Ok(())
    }

    /// Whether the next entry may be taken, with `n` to come.
    fn may_go_on(&mut self, n: u32) -> Result {
        if glue::interrupted() {
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
        // Most entries stand alone and need no look at a chain.
        if !self.sq.chain.open() && plain(sqe) {
            if sqe.flags & flags::FLOW != 0 {
                return self.flow_entry(sqe, &sqe.args, left);
            }
            self.take(left);
            let result = self.call(sqe.nr, &sqe.args, left == 1);
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
            Ok(()) => self.call(sqe.nr, &args, left == 1),
            Err(refusal) => {
                // Of an entry that takes arguments from others it is not known which flow it means.
                let (own, asked) = (flags::FLOW, flags::FLOW | flags::RESULT_TO_ARG);
                if refusal == Refusal::Invalid && sqe.flags & asked == own && op::promises(sqe.nr) {
                    if let Some(flow) = self.ring.flow((sqe.args[0] >> 32) as u32) {
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

    /// Runs an ordinary entry.
    fn call(&mut self, nr: u16, args: &[u64; 6], last: bool) -> i64 {
        let errno = |err: Error| i64::from(err.to_errno());
        let Some(index) = nospec(nr.into(), policy::LOOKUP_LEN) else {
            return errno(unknown(nr));
        };
        let rule = policy::lookup(index as u16);
        if !rule.allowed() {
            return errno(unknown(nr));
        }
        if !last && rule.sigmask_arg().is_some_and(|arg| args[arg] != 0) {
            return errno(EINVAL);
        }
        // The call may wait, for those even who wait for what was dispatched before it.
        self.ring.settle();
        match glue::seccomp(nr.into(), args) {
            Verdict::Run => glue::call(nr.into(), args),
            Verdict::Refused(result) => result,
            Verdict::Die(result) => {
                self.die = true;
                result
            }
        }
    }

    /// Hands an entry to its flow, with the one behind it if they can be sent as one.
    #[inline]
    fn flow_entry(&mut self, sqe: &Sqe, args: &[u64; 6], left: u32) -> Result<u32> {
        let mut taken = 1;
        let result = match self.ring.prepare(sqe, args) {
            Err(refused) => {
                self.die |= refused.die;
                self.post(sqe, refused.result);
                refused.result
            }
            Ok((flow, mut op)) => {
                op.reserved(skips(sqe));
                let (mut follows, mut refused) = (false, None);
                if let Some(next) = self.next_data(sqe, left) {
                    match self.joins(&flow, &mut op, &next) {
                        Ok(true) => taken = 2,
                        Ok(false) => follows = true,
                        Err(why) => refused = Some((next, why)),
                    }
                }
                let result = flow.submit(op, follows)?;
                self.budget -= taken;
                if let Some((next, why)) = refused {
                    taken = 2;
                    self.die |= why.die;
                    flow.abort(errno::econnaborted());
                    self.post(&next, why.result);
                }
                result
            }
        };
        self.sq.chain.done(sqe.flags, result);
        if left != 0 {
            for _ in 0..taken {
                self.ring.advance(&mut self.sq);
            }
        }
        Ok(taken)
    }

    /// The entry behind `sqe` if it brings more bytes for the same flow, so that they are better
    /// sent together. A hint: the owner may change its mind until that entry is taken.
    fn next_data(&self, sqe: &Sqe, left: u32) -> Option<Sqe> {
        if left < 2 || sqe.flags & LINKS != 0 {
            return None;
        }
        let next = self.ring.mem.sqe(self.sq.consumer.slot().wrapping_add(1));
        let fits =
            names(&next, (sqe.args[0] >> 32) as u32) && op::promises(next.nr) && plain(&next);
        fits.then_some(next)
    }

    /// Makes the file that `next` sends part of `op`, so that one message carries both, if that is
    /// what it does.
    fn joins(
        &mut self,
        flow: &Flow,
        op: &mut Op,
        next: &Sqe,
    ) -> core::result::Result<bool, Refused> {
        if self.budget < 2 || !op.takes(next.nr, &next.args) {
            return Ok(false);
        }
        let mut file = self.ring.check(flow, next, &next.args)?;
        file.reserved(skips(next));
        Ok(op.append(file))
    }

    /// Posts the completion of an entry, if it is to have one.
    #[inline]
    fn post(&mut self, sqe: &Sqe, result: i64) {
        if result >= 0 && skips(sqe) {
            return;
        }
        self.budget -= 1;
        self.ring.post([Some((sqe.user_data, result, false)), None]);
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
        let mut batch = Batch {
            ring: self,
            sq,
            budget: 0,
            die: false,
        };
        let mut stopped = batch.run_deferred();
        if stopped.is_ok() {
            stopped = batch.run_published(to_submit, &mut taken);
        }
        let (die, budget) = (batch.die, batch.budget);
        drop(batch);
        self.cancel(budget);
        self.settle();
        Submitted {
            taken,
            stopped,
            die,
        }
    }

    /// Finds the flow of an entry, and does what [`Self::check`] does. A refusal of promised bytes is
    /// the end of the connection.
    #[inline]
    fn prepare(
        &self,
        sqe: &Sqe,
        args: &[u64; 6],
    ) -> core::result::Result<(ARef<Flow>, Op), Refused> {
        let flow = self.flow((args[0] >> 32) as u32).ok_or(EBADF)?;
        match self.check(&flow, sqe, args) {
            Ok(op) => Ok((flow, op)),
            Err(refused) => {
                if op::promises(sqe.nr) {
                    flow.abort(errno::econnaborted());
                }
                Err(refused)
            }
        }
    }

    /// Asks the filter about an entry of `flow`, checks the entry and pins what it names.
    #[inline]
    fn check(&self, flow: &Flow, sqe: &Sqe, args: &[u64; 6]) -> core::result::Result<Op, Refused> {
        if flow.failed() {
            return Err(errno::ecanceled().into());
        }
        let verdict = if glue::filtered() {
            glue::seccomp(sqe.nr.into(), &op::filter_args(sqe.nr, args, &self.mem))
        } else {
            Verdict::Run
        };
        match verdict {
            Verdict::Run => Op::new(sqe.nr, args, sqe.user_data, &self.mem).map_err(Refused::from),
            Verdict::Refused(result) => Err(Refused { result, die: false }),
            Verdict::Die(result) => Err(Refused { result, die: true }),
        }
    }

    /// Takes what is published without running it, because the current task, the owner, is about
    /// to do something by another way that has to come after it. Operations on flows go to their
    /// flows; the rest waits for the next [`Self::submit`].
    pub(crate) fn hand_over(&self) {
        let Some(mut sq) = self.sq() else { return };
        let mut linked = sq.chain.open()
            || sq.deferred.as_slice()[sq.deferred_done..]
                .last()
                .is_some_and(|sqe| sqe.flags & LINKS != 0);
        // What stands behind the last entry for a flow has nothing to come before.
        let published = sq.consumer.available(self.mem.sq_tail()).unwrap_or(0);
        let behind = |i: &u32| {
            let sqe = self.mem.sqe(sq.consumer.slot().wrapping_add(*i));
            sqe.flags & flags::FLOW != 0
        };
        let n = (0..published).rev().find(behind).map_or(0, |i| i + 1);
        for _ in 0..n {
            let sqe = self.mem.sqe(sq.consumer.slot());
            let flow = sqe.flags & flags::FLOW != 0;
            let defer =
                linked || !flow || !plain(&sqe) || self.deferred_flows.load(Ordering::Relaxed) != 0;
            if !defer {
                if self.reserve(1) == 0 {
                    break;
                }
                match self.prepare(&sqe, &sqe.args) {
                    Ok((flow, mut op)) => {
                        op.reserved(skips(&sqe));
                        if flow.enqueue(op).is_err() {
                            self.cancel(1);
                            break;
                        }
                    }
                    Err(refused) => {
                        self.post([Some((sqe.user_data, refused.result, skips(&sqe))), None]);
                        if refused.die {
                            glue::die();
                        }
                    }
                }
            } else {
                if sq.deferred.len() >= self.mem.layout.sq_entries as usize
                    || sq.deferred.push(sqe, GFP_KERNEL_ACCOUNT).is_err()
                {
                    break;
                }
                self.deferred_flows
                    .fetch_add(flow.into(), Ordering::Relaxed);
                linked = sqe.flags & LINKS != 0;
            }
            self.advance(&mut sq);
        }
        drop(sq);
        self.settle();
    }

    /// The last dispatch, when the owner ends: what is promised on flows is handed to them.
    pub(crate) fn dispatch_at_end(&self) {
        let Some(mut sq) = self.sq() else { return };
        let mut linked = sq.chain.open();
        for sqe in &sq.deferred.as_slice()[sq.deferred_done..] {
            self.hand_over_at_end(sqe, linked);
            linked = sqe.flags & LINKS != 0;
        }
        self.deferred_flows.store(0, Ordering::Relaxed);
        // Looked at once: a sharer of the memory may go on publishing for ever.
        let published = sq.consumer.available(self.mem.sq_tail());
        for _ in 0..published.unwrap_or(0) {
            let sqe = self.mem.sqe(sq.consumer.slot());
            self.hand_over_at_end(&sqe, linked);
            linked = sqe.flags & LINKS != 0;
            self.advance(&mut sq);
        }
    }

    /// `linked`: whether it would run depends on the entry before it.
    fn hand_over_at_end(&self, sqe: &Sqe, linked: bool) {
        if sqe.flags & flags::FLOW == 0 {
            return;
        }
        let known = flags::FLOW | flags::SKIP_SUCCESS | LINKS;
        if linked || sqe.flags & !known != 0 || sqe.ctl != 0 {
            // It cannot run any more; without it what comes behind it must not be sent either.
            if op::promises(sqe.nr) {
                self.give_up((sqe.args[0] >> 32) as u32);
            }
            return;
        }
        if let Ok((flow, op)) = self.prepare(sqe, &sqe.args) {
            flow.enqueue(op)
                .unwrap_or_else(|_| flow.abort(errno::enobufs()));
        }
    }
}

fn skips(sqe: &Sqe) -> bool {
    sqe.flags & flags::SKIP_SUCCESS != 0
}

/// Whether an entry has nothing to do with those before and behind it.
fn plain(sqe: &Sqe) -> bool {
    sqe.flags & !(flags::FLOW | flags::SKIP_SUCCESS) == 0 && sqe.ctl == 0
}

/// The result of a call that is not allowed.
fn unknown(nr: u16) -> Error {
    let own = bindings::__NR_saio_setup..=bindings::__NR_saio_pool;
    if policy::name(nr).is_some() || own.contains(&nr.into()) {
        errno::eopnotsupp()
    } else {
        errno::enosys()
    }
}
