// SPDX-License-Identifier: GPL-2.0

//! Dispatch: taking entries off a ring, in order, and running them.

use crate::{
    errno,
    glue::{self, Verdict},
    logic::{
        chain::{flags, Refusal},
        policy,
    },
    mem::Sqe,
    op::{self, Op},
    ring::{names, nospec, Ring, Sq},
};
use kernel::{bindings, prelude::*};

/// How a dispatched entry stands.
enum Fate {
    /// Taken.
    Taken,
    /// Taken, and the thread has to exit.
    Die,
    /// Not taken: there was no memory.
    NoMemory,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => EINVAL,
            Refusal::Cancelled => errno::ecanceled(),
        }
    }
}

impl Ring {
    /// Runs up to `to_submit` published entries.
    ///
    /// Returns how many were taken; if none, why. Sets `die` if the thread has to exit.
    pub(crate) fn submit(&self, to_submit: u32, die: &mut bool) -> Result<u32> {
        let Some(mut sq) = self.sq() else {
            return Err(EPERM);
        };
        let mut taken = 0;
        let mut stopped = self.run_deferred(&mut sq, die);
        if stopped.is_ok() && !*die {
            let published = sq.consumer.available(self.mem.sq_tail())?;
            let n = to_submit.min(published);
            while taken < n {
                if glue::interrupted() {
                    stopped = Err(EINTR);
                    break;
                }
                if !self.reserve() {
                    stopped = Err(EBUSY);
                    break;
                }
                let sqe = self.mem.sqe(sq.consumer.slot());
                match self.dispatch(&mut sq, &sqe, taken + 1 == n, true) {
                    Fate::Taken => taken += 1,
                    Fate::Die => {
                        *die = true;
                        taken += 1;
                        break;
                    }
                    Fate::NoMemory => {
                        self.cancel();
                        stopped = Err(ENOMEM);
                        break;
                    }
                }
            }
            if taken == n && n != 0 {
                sq.chain.end();
            }
        }
        drop(sq);
        self.settle();
        match stopped {
            Err(err) if taken == 0 => Err(err),
            _ => Ok(taken),
        }
    }

    /// Runs what a hook had to put off.
    fn run_deferred(&self, sq: &mut Sq, die: &mut bool) -> Result {
        while sq.deferred_done < sq.deferred.len() {
            if glue::interrupted() {
                return Err(EINTR);
            }
            if !self.reserve() {
                return Err(EBUSY);
            }
            let sqe = sq.deferred.as_slice()[sq.deferred_done];
            match self.dispatch(sq, &sqe, false, false) {
                Fate::Taken => sq.deferred_done += 1,
                Fate::Die => {
                    *die = true;
                    return Ok(());
                }
                Fate::NoMemory => {
                    self.cancel();
                    return Err(ENOMEM);
                }
            }
        }
        if sq.deferred_done != 0 {
            sq.deferred = KVec::new();
            sq.deferred_done = 0;
        }
        Ok(())
    }

    /// Runs one entry, for which a completion is reserved. With `advance` it is taken off the
    /// queue: before it runs, or, if it is to be handed to a flow, after.
    fn dispatch(&self, sq: &mut Sq, sqe: &Sqe, last: bool, advance: bool) -> Fate {
        let mut args = sqe.args;
        let admitted = sq.chain.admit(sqe.flags, sqe.ctl, &mut args);
        let mut fate = Fate::Taken;

        if sqe.flags & flags::FLOW != 0 && admitted.is_ok() {
            let follows = advance && self.data_follows(sq, sqe);
            match self.flow_entry(sqe, &args, How::Run { follows }) {
                Ok((result, f)) => {
                    sq.chain.done(sqe.flags, result);
                    fate = f;
                }
                Err(_) => return Fate::NoMemory,
            }
            if advance {
                sq.consumer.advance(self.mem.sq_head());
            }
            return fate;
        }

        if advance {
            sq.consumer.advance(self.mem.sq_head());
        }
        let result = match admitted {
            Ok(()) => self.inline(sqe, &args, last, &mut fate),
            Err(refusal) => Error::from(refusal).to_errno().into(),
        };
        sq.chain.done(sqe.flags, result);
        self.post(sqe.user_data, result, skips(sqe));
        fate
    }

    /// Runs an ordinary entry.
    fn inline(&self, sqe: &Sqe, args: &[u64; 6], last: bool, fate: &mut Fate) -> i64 {
        let errno = |err: Error| i64::from(err.to_errno());
        let Some(index) = nospec(sqe.nr.into(), policy::LOOKUP_LEN) else {
            return errno(unknown(sqe.nr));
        };
        let rule = policy::lookup(index as u16);
        if !rule.allowed() {
            return errno(unknown(sqe.nr));
        }
        if !last && rule.sigmask_arg().is_some_and(|arg| args[arg] != 0) {
            return errno(EINVAL);
        }
        match glue::seccomp(sqe.nr.into(), args) {
            Verdict::Run => glue::call(sqe.nr.into(), args),
            Verdict::Refused(result) => result,
            Verdict::Die(result) => {
                *fate = Fate::Die;
                result
            }
        }
    }

    /// Hands an entry to its flow, and takes care of its completion if one is reserved.
    ///
    /// Fails only if there is no memory to queue it; then it may be tried again.
    fn flow_entry(&self, sqe: &Sqe, args: &[u64; 6], how: How) -> Result<(i64, Fate)> {
        let refuse = |result: i64, fate| {
            if !matches!(how, How::End) {
                self.post(sqe.user_data, result, skips(sqe));
            }
            Ok((result, fate))
        };

        let Some(flow) = self.flow((args[0] >> 32) as u32) else {
            return refuse(EBADF.to_errno().into(), Fate::Taken);
        };
        if flow.failed() {
            return refuse(errno::ecanceled().to_errno().into(), Fate::Taken);
        }
        let seen = op::filter_args(sqe.nr, args, &self.mem);
        let (checked, fate) = match glue::seccomp(sqe.nr.into(), &seen) {
            Verdict::Run => (
                Op::new(sqe.nr, args, sqe.user_data, &self.mem).map_err(|e| e.to_errno().into()),
                Fate::Taken,
            ),
            Verdict::Refused(result) => (Err(result), Fate::Taken),
            Verdict::Die(result) => (Err(result), Fate::Die),
        };
        let mut op = match checked {
            Ok(op) => op,
            Err(result) => {
                if op::promises(sqe.nr) {
                    flow.abort(errno::econnaborted());
                }
                return refuse(result, fate);
            }
        };
        let result = match how {
            How::Run { follows } => {
                op.completion = Some(skips(sqe));
                flow.submit(op, follows)?
            }
            How::Queue => {
                op.completion = Some(skips(sqe));
                flow.enqueue(op)?;
                0
            }
            How::End => {
                flow.enqueue(op).unwrap_or_else(|_| flow.abort(ENOMEM));
                0
            }
        };
        Ok((result, fate))
    }

    /// Whether the next published entry brings more bytes for the flow of `sqe`, so that they are
    /// better sent together. A hint: the owner may change its mind until that entry is taken.
    fn data_follows(&self, sq: &Sq, sqe: &Sqe) -> bool {
        if !matches!(sq.consumer.available(self.mem.sq_tail()), Ok(2..)) {
            return false;
        }
        let next = self.mem.sqe(sq.consumer.slot().wrapping_add(1));
        names(&next, (sqe.args[0] >> 32) as u32) && op::promises(next.nr)
    }

    /// Takes what is published without running it, because the current task, the owner, is about
    /// to do something by another way that has to come after it. Operations on flows go to their
    /// flows; the rest waits for the next [`Self::submit`].
    pub(crate) fn hand_over(&self) {
        let Some(mut sq) = self.sq() else { return };
        while matches!(sq.consumer.available(self.mem.sq_tail()), Ok(1..)) {
            let sqe = self.mem.sqe(sq.consumer.slot());
            let alone = sqe.flags & !(flags::FLOW | flags::SKIP_SUCCESS) == 0
                && sqe.flags & flags::FLOW != 0
                && sqe.ctl == 0
                && !sq.chain.open()
                && sq.deferred.is_empty();
            if alone {
                if !self.reserve() {
                    break;
                }
                if self.flow_entry(&sqe, &sqe.args, How::Queue).is_err() {
                    self.cancel();
                    break;
                }
            } else if sq.deferred.push(sqe, GFP_KERNEL_ACCOUNT).is_err() {
                break;
            }
            sq.consumer.advance(self.mem.sq_head());
        }
    }

    /// The last dispatch, when the owner ends: what is promised on flows is handed to them.
    pub(crate) fn dispatch_at_end(&self) {
        let Some(mut sq) = self.sq() else { return };
        let promised = |sqe: &Sqe| sqe.flags & (flags::FLOW | flags::RESULT_TO_ARG) == flags::FLOW;
        for sqe in &sq.deferred.as_slice()[sq.deferred_done..] {
            if promised(sqe) {
                // Cannot fail: without memory the connection does.
                let _ = self.flow_entry(sqe, &sqe.args, How::End);
            }
        }
        while matches!(sq.consumer.available(self.mem.sq_tail()), Ok(1..)) {
            let sqe = self.mem.sqe(sq.consumer.slot());
            if promised(&sqe) {
                let _ = self.flow_entry(&sqe, &sqe.args, How::End);
            }
            sq.consumer.advance(self.mem.sq_head());
        }
    }
}

/// What is to become of an entry of a flow.
#[derive(Clone, Copy)]
enum How {
    /// Run it now if the flow is idle; `follows`: more bytes come at once.
    Run { follows: bool },
    /// Leave it to the workqueue.
    Queue,
    /// As `Queue`, but nobody is left to read a completion.
    End,
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

fn skips(sqe: &Sqe) -> bool {
    sqe.flags & flags::SKIP_SUCCESS != 0
}
