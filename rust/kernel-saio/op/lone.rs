// SPDX-License-Identifier: GPL-2.0

//! Sends that stand alone.

use super::*;

/// The bytes of an entry that has one piece of the arena to send.
///
/// # Invariants
///
/// They lie in the arena of the ring that the entry came from.
pub(crate) struct Lone {
    nr: u16,
    seg: Seg,
    pub(crate) len: u64,
    more: bool,
}

impl Lone {
    /// The entry as such, if it is one that is in order.
    #[inline]
    pub(crate) fn new(nr: u16, args: &[u64; 6], mem: &Mem) -> Option<Self> {
        let more = match nr {
            nr::WRITE => false,
            nr::SENDTO if args[3] & !SEND_FLAGS == 0 && args[4] | args[5] == 0 => {
                args[3] & MSG_MORE != 0
            }
            _ => return None,
        };
        let (offset, len) = (args[1], args[2]);
        mem.arena(offset, len).ok()?;
        // INVARIANT: Just checked.
        (len != 0).then_some(Self {
            nr,
            seg: Seg {
                offset: offset as u32,
                len: len as u32,
            },
            len,
            more,
        })
    }

    /// Where they lie, and whether more come at once.
    #[inline]
    pub(crate) fn place(&self) -> (u64, bool) {
        (self.seg.offset.into(), self.more)
    }

    /// An operation of which `done` bytes have left, with the completion that is reserved for it for a
    /// failure.
    pub(crate) fn rest(self, user_data: u64, done: u64) -> Op {
        let kind = Kind::Data {
            segs: Segs::One(self.seg),
            more: self.more,
            part: None,
        };
        let mut completion = Completion::new(self.nr, user_data);
        completion.reserve(true);
        // INVARIANT: The segment was checked; a send takes no more than it was given.
        Op {
            done: done.min(self.len),
            ..Op::of(kind, self.len, completion)
        }
    }
}
