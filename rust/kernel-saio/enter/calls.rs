// SPDX-License-Identifier: GPL-2.0

//! Ordinary entries: calls that the owner makes itself.

use super::*;
use crate::glue::Registers;

impl Batch<'_> {
    /// Runs up to `n` published entries as long as they are calls that stand alone and that nobody wants to see:
    /// how many. The budget may be used up.
    ///
    /// What is done here for an entry is what [`Batch::entry`] and [`Batch::call`] do, without the questions
    /// whose answers are known.
    #[inline]
    pub(super) fn run_calls(&mut self, n: u32) -> u32 {
        let ring = self.ring;
        let mut taken = 0;
        if self.sq.chain.open() {
            return taken;
        }
        while taken < n && self.budget != 0 {
            let entry = ring.entry(&self.sq, 0);
            let head = entry.head();
            if head.flags & !flags::SKIP_SUCCESS != 0 || head.ctl != 0 || !ring.permits(head.nr) {
                break;
            }
            let (user_data, args) = entry.rest();
            let registers = Registers::new(args);
            // Behind the copy: a filter binds what was published after it.
            if !policy::lookup(head.nr).anywhere() || trace::listened() || glue::attention() {
                break;
            }
            ring.advance(&mut self.sq);
            taken += 1;
            self.settle();
            let result = glue::call(head.nr.into(), registers);
            if result < 0 || head.flags == 0 {
                self.budget -= 1;
                ring.post_one(user_data, result);
            }
        }
        self.calls += u64::from(taken);
        taken
    }

    /// Runs an ordinary entry.
    pub(super) fn call(&mut self, sqe: &Sqe, last: bool) -> i64 {
        let (nr, args) = (sqe.nr, &sqe.args);
        let errno = |err: Error| i64::from(err.to_errno());
        trace::dispatch(self.ring, sqe, Where::Inline);
        let rule = policy::lookup(nr);
        if !rule.allowed() {
            return errno(unknown(nr));
        }
        if !self.ring.permits(nr) {
            return errno(EACCES);
        }
        if !last && rule.sigmask_arg().is_some_and(|arg| args[arg] != 0) {
            return errno(EINVAL);
        }
        self.calls += 1;
        self.settle();
        match self.ring.ask_filter(Caller::Current, nr, args) {
            Verdict::Run => glue::call(nr.into(), Registers::new(*args)),
            Verdict::Refused(result) | Verdict::Killed(result) => result,
            Verdict::Die(result) => {
                self.die = true;
                result
            }
        }
    }

    /// Before a call: it may wait, for those even who wait for what was dispatched before it.
    #[inline]
    fn settle(&mut self) {
        if mem::take(&mut self.unsettled) {
            self.ring.settle();
        }
    }
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
