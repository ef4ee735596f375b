// SPDX-License-Identifier: GPL-2.0

//! Dispatch: taking entries off a ring, in order, and running them.

use crate::{
    errno,
    flow::{Flow, Runner},
    glue::{self, Caller, Verdict},
    logic::{
        chain::{flags, Refusal},
        policy,
        sched::{Mode, Plan, Why},
    },
    mem::Sqe,
    op::{self, Op},
    ring::{names, nospec, reference, Ring, Sq, SqGuard},
    trace::{self, Where},
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
    /// Where flow entries are run.
    plan: Plan,
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

/// What became of the first entry.
enum Dispatched {
    /// So many entries were taken, and wait for their turn.
    Taken(u32),
    /// An operation was begun, and has to be carried on.
    Begun(ARef<Flow>, Op, bool),
    /// There is no room or no memory: it is as it was.
    Stuck,
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
        // Threads need not look at what the owner sees to.
        self.ring.saw(self.sq.consumer.head().wrapping_add(n));
        while *taken < n && !self.die {
            self.may_go_on(n - *taken)?;
            let sqe = self.ring.mem.sqe(self.sq.consumer.slot());
            *taken += self.entry(&sqe, n - *taken)?;
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

    /// Runs an ordinary entry.
    fn call(&mut self, sqe: &Sqe, last: bool) -> i64 {
        let (nr, args) = (sqe.nr, &sqe.args);
        let errno = |err: Error| i64::from(err.to_errno());
        trace::dispatch(self.ring, sqe, Where::Inline);
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
        self.calls += 1;
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
        let place = if self.plan.hand_over == 0 {
            Where::Inline
        } else {
            Where::Pool
        };
        let flow = match self.ring.flow_of(sqe) {
            Ok(flow) => flow,
            Err(refused) => return Ok(self.refuse(sqe, left, refused)),
        };
        let result = match (self.ring).prepare(Caller::Current, place, &flow, sqe, args) {
            Err(refused) => return Ok(self.refuse(sqe, left, refused)),
            Ok(mut op) => {
                op.reserved(skips(sqe));
                let (mut follows, mut refused) = (false, None);
                let next = if left < 2 || self.budget < 2 {
                    None
                } else {
                    self.ring.next_data(&self.sq, sqe)
                };
                if let Some(next) = next {
                    match self
                        .ring
                        .joins(Caller::Current, place, &flow, &mut op, &next)
                    {
                        Ok(true) => taken = 2,
                        Ok(false) => follows = true,
                        Err(why) => refused = Some((next, why)),
                    }
                }
                let result = self.place(sqe, &flow, op, follows)?;
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

    /// A flow entry does not get to its flow; returns how many were taken.
    fn refuse(&mut self, sqe: &Sqe, left: u32, refused: Refused) -> u32 {
        self.die |= refused.die;
        self.post(sqe, refused.result);
        self.sq.chain.done(sqe.flags, refused.result);
        self.take(left);
        1
    }

    /// Runs an operation, or leaves it to the pool, as the plan says.
    #[inline]
    fn place(&mut self, sqe: &Sqe, flow: &Flow, mut op: Op, follows: bool) -> Result<i64> {
        let chained = sqe.flags & LINKS != 0 || self.sq.chain.open();
        let (total, entries) = (op.total as i64, op.entries());
        if self.plan.hand_over != 0 && !chained {
            op.more_follows(follows);
            flow.enqueue(op)?;
            self.plan.hand_over -= 1;
            return Ok(total);
        }
        if !flow.begin(&op) {
            op.more_follows(follows);
            flow.enqueue(op)?;
            return Ok(total);
        }
        self.inline += entries;
        self.chained += u64::from(chained) * entries;
        Ok(flow.carry(op, follows, Runner::Owner))
    }

    /// Posts the completion of an entry, if it is to have one.
    #[inline]
    fn post(&mut self, sqe: &Sqe, result: i64) {
        tell(self.ring, sqe, result, Where::Inline);
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

    /// As [`Self::check`]; a refusal of promised bytes is the end of the connection.
    #[inline(always)]
    fn prepare(
        &self,
        caller: Caller<'_>,
        place: Where,
        flow: &Flow,
        sqe: &Sqe,
        args: &[u64; 6],
    ) -> core::result::Result<Op, Refused> {
        let checked = self.check(caller, place, flow, sqe, args);
        if checked.is_err() && op::promises(sqe.nr) {
            flow.abort(errno::econnaborted());
        }
        checked
    }

    /// Asks the filter about an entry of `flow`, checks the entry and pins what it names.
    #[inline]
    fn check(
        &self,
        caller: Caller<'_>,
        place: Where,
        flow: &Flow,
        sqe: &Sqe,
        args: &[u64; 6],
    ) -> core::result::Result<Op, Refused> {
        trace::dispatch(self, sqe, place);
        if flow.failed() {
            return Err(errno::ecanceled().into());
        }
        let verdict = match caller {
            Caller::Current if glue::filtered() => {
                glue::seccomp(sqe.nr.into(), &op::filter_args(sqe.nr, args, &self.mem))
            }
            // Threads do not dispatch for who has a filter.
            _ => Verdict::Run,
        };
        match verdict {
            Verdict::Run => {
                Op::new(caller, sqe.nr, args, sqe.user_data, &self.mem).map_err(Refused::from)
            }
            Verdict::Refused(result) => Err(Refused { result, die: false }),
            Verdict::Die(result) => Err(Refused { result, die: true }),
        }
    }

    /// The entry behind `sqe`, the first that is published, if it brings more bytes for the same
    /// flow, so that they are better sent together. A hint: the owner may change its mind until that
    /// entry is taken.
    #[inline]
    fn next_data(&self, sq: &Sq, sqe: &Sqe) -> Option<Sqe> {
        if sqe.flags & LINKS != 0 {
            return None;
        }
        let next = self.mem.sqe(sq.consumer.slot().wrapping_add(1));
        let fits = names(&next, reference(sqe)) && op::promises(next.nr) && plain(&next);
        fits.then_some(next)
    }

    /// Makes the file that `next` sends part of `op`, so that one message carries both, if that is
    /// what it does. A completion must be set aside for it.
    #[inline]
    fn joins(
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
        let mut file = self.check(caller, place, flow, next, &next.args)?;
        file.reserved(skips(next));
        Ok(op.append(file))
    }

    /// Whether the `i`-th of the published entries is one of a flow.
    fn is_flow(&self, sq: &Sq, i: u32) -> bool {
        let sqe = self.mem.sqe_flags(sq.consumer.slot().wrapping_add(i));
        sqe & flags::FLOW != 0
    }

    /// How many published entries there are up to the last one of a flow; what stands behind
    /// that has nothing to come before.
    fn up_to_last_flow(&self, sq: &Sq) -> u32 {
        let published = sq.consumer.published(self.mem.sq_tail());
        let last = (0..published).rev().find(|i| self.is_flow(sq, *i));
        last.map_or(0, |i| i + 1)
    }

    /// Takes what is published without running it, because the current task, the owner, is about
    /// to do something by another way that has to come after it. Operations on flows go to their
    /// flows; the rest waits for the next [`Self::submit`].
    pub(crate) fn hand_over(&self) {
        let Some(mut sq) = self.sq() else { return };
        let mut left = self.up_to_last_flow(&sq);
        while left != 0 {
            match self.dispatch(&mut sq, Caller::Current, left, false) {
                Dispatched::Taken(n) => left -= n,
                _ => break,
            }
        }
        drop(sq);
        self.settle();
        self.pass_on();
    }

    /// Takes the first entry, of `left` up to the last one for a flow. Unless the caller wants to
    /// `run` it, its operation is queued.
    fn dispatch(&self, sq: &mut Sq, caller: Caller<'_>, left: u32, run: bool) -> Dispatched {
        let sqe = self.mem.sqe(sq.consumer.slot());
        if caller.filtered() {
            // Only the owner can ask its filter. After the copy: a filter binds what was published
            // behind it.
            return Dispatched::Stuck;
        }
        let flow = sqe.flags & flags::FLOW != 0;
        let linked = match sq.deferred.as_slice()[sq.deferred_done..].last() {
            Some(before) => before.flags & LINKS != 0,
            None => sq.chain.open(),
        };
        if linked || !flow || !plain(&sqe) || self.deferred_flows.load(Ordering::Relaxed) != 0 {
            if sq.deferred.len() >= self.mem.layout.sq_entries as usize
                || sq.deferred.push(sqe, GFP_KERNEL_ACCOUNT).is_err()
            {
                return Dispatched::Stuck;
            }
            self.deferred_flows
                .fetch_add(flow.into(), Ordering::Relaxed);
            self.advance(sq);
            return Dispatched::Taken(1);
        }

        let place = if self.mode() == Mode::Inline {
            Where::Queue
        } else {
            Where::Pool
        };
        let reserved = self.reserve(left.min(2));
        if reserved == 0 {
            return Dispatched::Stuck;
        }
        let prepared = self.flow_of(&sqe).and_then(|flow| {
            let op = self.prepare(caller, place, &flow, &sqe, &sqe.args)?;
            Ok((flow, op))
        });
        let (flow, mut op) = match prepared {
            Ok(prepared) => prepared,
            Err(refused) => {
                self.cancel(reserved - 1);
                tell(self, &sqe, refused.result, place);
                self.post([Some((sqe.user_data, refused.result, skips(&sqe))), None]);
                if refused.die {
                    glue::die();
                }
                self.advance(sq);
                return Dispatched::Taken(1);
            }
        };
        op.reserved(skips(&sqe));
        op.cred = Some(caller.cred());
        let (mut taken, mut follows) = (1, false);
        if reserved == 2 {
            let next = self.next_data(sq, &sqe);
            if let Some(next) = next.filter(|_| !caller.filtered()) {
                // If it is refused, that is found when its turn comes.
                match self.joins(caller, place, &flow, &mut op, &next) {
                    Ok(true) => taken = 2,
                    _ => follows = true,
                }
            }
        }
        let dispatched = if run && flow.begin(&op) {
            Dispatched::Begun(flow, op, follows)
        } else {
            op.more_follows(follows);
            if flow.enqueue(op).is_err() {
                self.cancel(reserved);
                return Dispatched::Stuck;
            }
            Dispatched::Taken(taken)
        };
        self.cancel(reserved - taken);
        for _ in 0..taken {
            self.advance(sq);
        }
        dispatched
    }

    /// Takes one entry for a thread of the pool, if there is one, and runs it.
    pub(crate) fn dispatch_one(&self, by: Runner<'_>) {
        let Some(mut sq) = self.sq_for_thread() else {
            return;
        };
        let tail = self.mem.sq_tail().load(Ordering::Acquire);
        let left = self.up_to_last_flow(&sq);
        if left == 0 {
            self.saw(tail);
            return;
        }
        let dispatched = self.dispatch(&mut sq, Caller::Owner(&self.owner), left, true);
        if matches!(dispatched, Dispatched::Stuck) {
            // Until there is more, or the owner comes by.
            self.saw(tail);
        }
        drop(sq);
        if let Dispatched::Begun(flow, op, follows) = dispatched {
            flow.touch(by);
            flow.carry(op, follows, by);
        }
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
        let published = sq.consumer.published(self.mem.sq_tail());
        for _ in 0..published {
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
                self.give_up(reference(sqe));
            }
            return;
        }
        let Ok(flow) = self.flow_of(sqe) else { return };
        if let Ok(op) = self.prepare(Caller::Current, Where::Queue, &flow, sqe, &sqe.args) {
            flow.enqueue(op)
                .unwrap_or_else(|_| flow.abort(errno::enobufs()));
        }
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

/// The result of a call that is not allowed.
fn unknown(nr: u16) -> Error {
    let own = bindings::__NR_saio_setup..=bindings::__NR_saio_pool;
    if policy::name(nr).is_some() || own.contains(&nr.into()) {
        errno::eopnotsupp()
    } else {
        errno::enosys()
    }
}
