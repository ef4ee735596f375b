// SPDX-License-Identifier: GPL-2.0

//! Sends that stand alone: the most frequent entries of all. If all their bytes leave at once, which is
//! the rule, no operation is made of them.

use super::*;
use crate::{op::Lone, send};

impl Batch<'_> {
    /// Whether the published entry `sqe`, which is no part of a chain, is such a send. `left` as for [`Self::entry`].
    #[inline]
    pub(super) fn lone(&self, sqe: &Sqe, args: &[u64; 6], left: u32) -> Option<Lone> {
        // The others have someone to ask, to tell, or to wait for.
        if !skips(sqe) || trace::listened() || glue::watched() || !self.ring.permits(sqe.nr) {
            return None;
        }
        if left >= 2 && self.ring.next_target(&self.sq) == reference(sqe) {
            return None;
        }
        Lone::new(sqe.nr, args, &self.ring.mem)
    }

    /// Sends it, and takes the entry off the queue; what does not leave is made an operation of.
    #[inline]
    pub(super) fn send_alone(&mut self, begun: Begun<'_>, sqe: &Sqe, send: Lone, left: u32) {
        self.inline += 1;
        // SAFETY: The flow is begun, so its socket is there and nobody else runs operations; it is one
        // of this ring.
        let sent = unsafe { send::lone(begun.ss(), &self.ring.mem, &send) };
        if matches!(sent, Ok(sent) if sent == send.len) {
            self.ring.stats.bytes_inline.add_alone(send.len);
            drop(begun);
        } else {
            self.carry_rest(begun, sqe, send, sent);
        }
        self.take(left);
    }

    #[cold]
    fn carry_rest(&mut self, begun: Begun<'_>, sqe: &Sqe, send: Lone, sent: Result<u64>) {
        let mut op = send.rest(sqe.user_data, *sent.as_ref().unwrap_or(&0));
        let Carried { spare, .. } = match sent {
            Ok(_) | Err(EAGAIN | EINTR | ERESTARTSYS) => begun.carry(&mut op, false),
            Err(err) => begun.fail(op, err),
        };
        self.budget -= 1 - spare;
    }
}
