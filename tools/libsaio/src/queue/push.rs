// SPDX-License-Identifier: MIT OR Apache-2.0

//! How calls get into the queue, and what hangs on what there.

use super::call::{Call, Fd, Refused};
use super::slots::{Kept, Key, Memory};
use super::{error, Entry, Queue};
use crate::sys::{self, saio_sqe};

/// Entries of the chain that is being queued, the newest ones.
#[derive(Debug, Default)]
pub(super) struct Chained {
    keys: [Option<Key>; sys::SAIO_MAX_BACK as usize],
    len: usize,
}

impl Chained {
    fn push(&mut self, key: Key) {
        self.keys[self.len % self.keys.len()] = Some(key);
        self.len += 1;
    }

    /// Whether the next entry begins a new chain.
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The next entry begins a new chain.
    pub(super) fn end(&mut self) {
        self.len = 0;
    }

    /// The entry `back` places before the next one.
    fn back(&self, back: u8) -> Option<Key> {
        let back = usize::from(back);
        if back == 0 || back > self.len.min(self.keys.len()) {
            return None;
        }
        self.keys[(self.len - back) % self.keys.len()]
    }
}

impl Queue {
    /// Queues an ordinary call.
    ///
    /// # Errors
    ///
    /// The call comes back with `ENOBUFS`: too many entries are under way; submit and take completions.
    /// Or with `EINVAL`: [`Fd::result`] does not lead to a call of this chain that opens something, or
    /// what it opens is closed before. A chain ends with the first entry without link, and when it is
    /// submitted.
    pub fn push(&mut self, call: Call, entry: impl Into<Entry>) -> Result<(), Refused> {
        let entry = entry.into();
        let Call {
            nr,
            args,
            fd,
            from,
            memory,
        } = call;
        let refuse = move |fd, memory, errno| Refused {
            call: Box::new(Call {
                nr,
                args,
                fd,
                from,
                memory,
            }),
            error: error(errno),
        };
        let mut sqe = saio_sqe {
            nr,
            args,
            ..Default::default()
        };
        let mut result = from;
        let mut opener = None;
        if let Some(fd) = &fd {
            sqe.args[0] = fd.argument();
            if let Some(back) = fd.back() {
                result = Some((0, back));
                opener = self.opener(back);
            }
        }
        if from.is_none() && result.is_some() && opener.is_none() {
            return Err(refuse(fd, memory, libc::EINVAL));
        }
        if let Some((arg, back)) = result {
            sqe.flags = sys::SQE_RESULT_TO_ARG;
            sqe.ctl = sys::ctl(arg, back);
        }
        let closes = matches!(memory, Memory::Closed(_));
        let key = match self.slots.insert(Kept::new(entry, memory)) {
            Ok(key) => key,
            Err(kept) => return Err(refuse(fd, kept.memory, libc::ENOBUFS)),
        };
        sqe.user_data = key.0;
        // Where the memory lies is known only now that it is in its place.
        if let Some(kept) = self.slots.get(key) {
            kept.memory.name_in(&mut sqe.args);
        }
        if let Err(errno) = self.publish(sqe, entry) {
            let kept = self.slots.remove(key);
            let memory = kept.map_or(Memory::None, |kept| kept.memory);
            return Err(refuse(fd, memory, errno));
        }
        self.owed = true;
        if let (true, Some(opener)) = (closes, opener) {
            self.set_closer(opener, key);
        }
        if let Some(kept) = self.slots.get(key) {
            kept.file = fd.and_then(Fd::into_file);
        }
        Ok(())
    }

    /// The entry so many places back, if what it opens is still open then.
    pub(super) fn opener(&mut self, back: u8) -> Option<Key> {
        let key = self.chained.back(back)?;
        let kept = self.slots.get(key)?;
        matches!(kept.memory, Memory::Opened { closer: None, .. }).then_some(key)
    }

    fn set_closer(&mut self, opener: Key, key: Key) {
        if let Some(Kept {
            memory: Memory::Opened { closer, .. },
            ..
        }) = self.slots.get(opener)
        {
            *closer = Some(key);
        }
    }

    /// Publishes an entry.
    pub(super) fn publish(&mut self, mut sqe: saio_sqe, entry: Entry) -> Result<(), i32> {
        sqe.flags |= entry.links();
        if !self.ring.push(&sqe) {
            return Err(libc::ENOBUFS);
        }
        if entry.links() != 0 || !self.chained.is_empty() {
            self.owed = true;
            self.promised |= sqe.flags & sys::SQE_FLOW != 0;
        }
        if entry.links() == 0 {
            self.chained.end();
        } else {
            self.chained.push(Key(sqe.user_data));
        }
        Ok(())
    }

    /// How many entries can be queued now. Who queues a chain asks first: one that does not fit as a
    /// whole falls apart.
    pub fn room(&mut self) -> usize {
        let queue = self.ring.params().sq_entries - self.ring.pending();
        self.slots.room().min(queue as usize)
    }

    /// How many entries are queued and the kernel has not taken yet.
    pub fn pending(&mut self) -> u32 {
        self.ring.pending()
    }
}
