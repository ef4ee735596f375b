// SPDX-License-Identifier: GPL-2.0

//! Dispatch by others than the owner in its crossing: threads of a pool, the owner when it leaves
//! its entries behind, and its end.

use super::*;

/// What became of the first entry.
enum Dispatched {
    /// So many entries were taken, and wait for their turn.
    Taken(u32),
    /// An operation was begun, and has to be carried on.
    Begun(ARef<Flow>, Op, bool),
    /// There is no room or no memory: it is as it was.
    Stuck,
}

impl Ring {
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
    pub(crate) fn hand_over(&self, caller: Caller<'_>) {
        let Some(mut sq) = self.sq() else { return };
        let mut left = self.up_to_last_flow(&sq);
        while left != 0 {
            match self.dispatch(&mut sq, caller, left, false) {
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
        let sqe = self.entry(sq, 0).copy();
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
        let mut op = None;
        let prepared = self.flow_of(&sqe).and_then(|flow| {
            let op = self.prepare(caller, place, &flow, &sqe, &sqe.args, &mut op)?;
            Ok((flow, op))
        });
        let (flow, op) = match prepared {
            Ok(prepared) => prepared,
            Err(refused) => {
                self.cancel(reserved - 1);
                tell(self, &sqe, refused.result, place);
                self.post(&[Some((sqe.user_data, refused.result, skips(&sqe)))]);
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
                match self.join(caller, place, &flow, op, &next) {
                    Ok(true) => taken = 2,
                    _ => follows = true,
                }
            }
        }
        let dispatched = if run && flow.begin_shown(op) {
            Dispatched::Begun(flow, mem::take(op), follows)
        } else {
            op.more_follows(follows);
            if flow.enqueue(mem::take(op), caller.gfp()).is_err() {
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
        if let Dispatched::Begun(flow, mut op, follows) = dispatched {
            flow.touch(by);
            flow.carry(&mut op, follows, by);
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
        self.deferred_flows.store(0, Ordering::Release);
        // Looked at once: a sharer of the memory may go on publishing for ever.
        let published = sq.consumer.published(self.mem.sq_tail());
        for _ in 0..published {
            let sqe = self.entry(&sq, 0).copy();
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
        let mut op = None;
        let caller = Caller::Leaving;
        let prepared = self.prepare(caller, Where::Queue, &flow, sqe, &sqe.args, &mut op);
        if let Ok(op) = prepared {
            flow.enqueue(mem::take(op), caller.gfp())
                .unwrap_or_else(|_| flow.abort(errno::enobufs()));
        }
    }
}
