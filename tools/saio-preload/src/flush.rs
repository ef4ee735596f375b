// SPDX-License-Identifier: MIT OR Apache-2.0

//! How what is queued gets to run: crossings into the kernel.
//!
//! With a pool, its threads take entries while this thread goes on, also between any two lines
//! here. What can be relied upon:
//!
//! - They take in order, and no further than to the last entry of a flow. An ordinary one behind
//!   that, such as the wait at the end of a batch, stays in the queue for this thread.
//! - Ordinary entries that they had to take are on a list, which the next crossing runs first.
//!   While a crossing lasts nobody else takes anything: one that did not fail leaves that list
//!   empty, and all ordinary entries that are not in the queue any more have run.
//! - Entries of flows that were taken need not have run: the kernel has them, in their order. A
//!   write that this thread then makes by a call of its own is not done before them: the kernel says
//!   `EAGAIN`, and `EPOLLOUT` when it can be done. It queues a `shutdown` behind them.

use std::ffi::c_long;

use saio::sys::{self, saio_sqe};

use crate::queue::{entry, Engine};
use crate::stats::{add, bump, Flush};
use crate::tag::Tag;
use crate::{fds, say, tls};

#[cfg(test)]
mod tests;

/// How often a crossing is tried that does nothing now, and may do something the next time.
const PATIENCE: u32 = 100;

impl Engine {
    /// Flushes if there is anything to flush.
    pub fn sync(&mut self, why: Flush) {
        if !self.idle() {
            self.flush(why);
        }
    }

    /// Has everything that is queued run, or with a pool handed to it, and takes completions.
    ///
    /// Nothing depends on more than that. Descriptors: a source is pinned when its entry is taken,
    /// and all ordinary entries, that is closes, have run. Fork, exec and exit: the kernel has the
    /// bytes, which are in no one's memory but its own.
    #[cold]
    pub fn flush(&mut self, why: Flush) {
        self.cork_for_real();
        self.release();
        self.reap();
        bump(&self.counters.flushes[why as usize]);
        let mut failures = 0;
        loop {
            // Others may have taken entries before: the pool, or a hook when a number left the file
            // table by a way that is not seen here. Then the kernel runs what they put aside when
            // it is entered, also for nothing.
            let n = self.ring.pending();
            if n == 0 && self.queued == 0 {
                break;
            }
            let taken = self.cross(n);
            let left = self.ring.pending();
            if taken >= 0 {
                self.queued = left;
            }
            // Whoever took them: as nothing is added meanwhile, that comes to an end.
            if left < n || taken == 0 && n == 0 {
                continue;
            }
            failures += 1;
            match -taken as i32 {
                // Its handler has run by now.
                libc::EINTR => {}
                0 | libc::EBUSY | libc::ENOMEM if failures < PATIENCE => yield_cpu(),
                // Peers that do not read hold every completion. The rest stays published.
                0 | libc::EBUSY => {
                    self.queued = left.max(1);
                    return;
                }
                // A child that has our memory (vfork in assembly, clone): the entries are the parent's.
                libc::EPERM => return,
                errno => return self.give_up(errno),
            }
        }
        self.settle();
    }

    /// Has everything that is queued run, or with a pool handed to it, and then a wait run, in one
    /// crossing: the call `nr` with `args`. Returns its kernel result; `None`: nothing is queued any
    /// more, make the call yourself.
    ///
    /// # Safety
    ///
    /// The arguments must be good for the call.
    pub unsafe fn wait(&mut self, nr: c_long, args: [u64; 6]) -> Option<isize> {
        self.cork_for_real();
        self.waited = None;
        if !self.merge || !self.push(&entry(nr, 0, Tag::Wait, args)) {
            self.flush(Flush::Wait);
            return None;
        }
        bump(&self.counters.flushes[Flush::Wait as usize]);
        self.release();
        let n = self.ring.pending();
        let taken = self.cross(n);

        if self.waited.is_none() {
            if self.ring.pending() != 0 {
                return self.call_off(taken);
            }
            self.catch_up();
        }
        let result = self.waited.take()?;
        self.settle();
        if refused(result) {
            // By a seccomp filter or the policy. The call itself may be allowed.
            self.merge = false;
            return None;
        }
        bump(&self.counters.waits);
        Some(result as isize)
    }

    /// The wait was taken and has not run: put aside, against the rules. Its arguments are good
    /// for as long as [`Self::wait`] lasts, so it runs now or never.
    #[cold]
    fn catch_up(&mut self) {
        self.flush(Flush::Wait);
        if self.waited.is_none() && !self.idle() {
            self.give_up(libc::EBUSY);
        }
    }

    /// Calls off the wait at the end of the batch, as a crossing that returned `taken` has left it
    /// in the queue.
    #[cold]
    fn call_off(&mut self, taken: isize) -> Option<isize> {
        // It must not run in a later batch. It is the newest entry, and entries are taken in order,
        // so it is there as long as there are any. Nor is it taken before the next line is done:
        // only a crossing of this thread takes an ordinary entry that none of a flow stands behind.
        self.ring.replace_newest(&nothing());
        if taken <= 0 && taken != -(libc::EINTR as isize) {
            self.flush(Flush::Wait);
            return None;
        }
        // A signal handler has run. The program must see that before it sleeps, as it
        // would have without SAIO: there the calls of this batch, during which the signal
        // came, lie before the loop's look at what its handlers left.
        self.flush(Flush::Signal);
        Some(-(libc::EINTR as isize))
    }

    fn cross(&mut self, n: u32) -> isize {
        bump(&self.counters.crossings);
        // SAFETY: entries name descriptors and arena bytes only, but for a wait, whose
        // arguments are good by the contract of `wait`, which is under way.
        let taken = unsafe { self.ring.enter(n, 0) };
        self.reap();
        if self.served {
            self.count_others(taken);
            if taken >= 0 {
                self.weigh();
            }
        }
        taken
    }

    /// Counts what others have taken since the last crossing, after one that returned `taken`.
    fn count_others(&mut self, taken: isize) {
        let known = taken.max(0) as u32 + self.ring.pending();
        let others = self.queued.saturating_sub(known);
        add(&self.counters.others, u64::from(others));
        // If the crossing has failed, what they put aside still needs one.
        self.queued = (self.queued - others).max(1);
    }

    /// Before a crossing: in it the kernel gives the numbers that are closed to any thread, and
    /// this one may sleep. Nobody can have them before: closes run in crossings only.
    fn release(&mut self) {
        for fd in &self.closing[..self.closings] {
            fds::closed(*fd, self.id);
        }
        self.closings = 0;
    }

    /// Nothing is queued any more: a new batch begins.
    fn settle(&mut self) {
        self.taken();
        self.batch = self.batch.wrapping_add(1);
        self.queued = 0;
        self.offered = 0;
    }

    /// The ring does not work any more: the thread goes on without.
    #[cold]
    fn give_up(&mut self, errno: i32) {
        say::stderr(format_args!(
            "a ring failed (saio_enter: errno {errno}); its thread goes on without it"
        ));
        self.kill();
        self.queued = 0;
        self.corks = 0;
        tls::refuse();
    }
}

/// An entry that does nothing.
fn nothing() -> saio_sqe {
    entry(libc::SYS_getpid, sys::SQE_SKIP_SUCCESS, Tag::Ignore, [0; 6])
}

/// Whether the call was not made at all.
pub fn refused(result: i64) -> bool {
    matches!(
        -result as i32,
        libc::EOPNOTSUPP | libc::EACCES | libc::EPERM | libc::ENOSYS
    )
}

fn yield_cpu() {
    // SAFETY: no memory is involved.
    unsafe { sys::syscall(libc::SYS_sched_yield, [0; 6]) };
}
