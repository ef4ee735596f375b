// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The index protocol of the two queues, for both sides of the mapping.
//!
//! Indices run freely and wrap at 2^32; `index & (entries - 1)` is a slot. Each
//! side keeps its own copy of the index that it alone moves and only ever
//! *stores* it to shared memory, so that a peer which scribbles over the shared
//! words can at worst stall itself. What a peer's index says is checked before use.

#[cfg(not(loom))]
use core::sync::atomic::{fence, AtomicU32, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{fence, AtomicU32, Ordering};

/// Bit of the flags word that asks the producer for a wake-up call
/// (`SAIO_RING_NEED_WAKEUP`).
pub const NEED_WAKEUP: u32 = 1;

/// The shared index is further ahead than the queue is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible;

/// Submission side of the submission queue (user).
#[derive(Debug)]
pub struct Producer {
    tail: u32,
    head: u32,
    entries: u32,
}

impl Producer {
    /// An empty queue of `entries` slots, a power of two.
    pub const fn new(entries: u32) -> Self {
        Self {
            tail: 0,
            head: 0,
            entries,
        }
    }

    /// The slot to fill next, or `None` if the queue is full.
    #[inline]
    pub fn slot(&mut self, head: &AtomicU32) -> Option<u32> {
        if self.tail.wrapping_sub(self.head) == self.entries {
            self.head = head.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head) >= self.entries {
                return None;
            }
        }
        Some(self.tail & self.entries.wrapping_sub(1))
    }

    /// Publishes the slot that [`Self::slot`] named.
    #[inline]
    pub fn publish(&mut self, tail: &AtomicU32) {
        self.tail = self.tail.wrapping_add(1);
        tail.store(self.tail, Ordering::Release);
    }

    /// How many published entries the other side has not copied yet.
    #[inline]
    pub fn pending(&mut self, head: &AtomicU32) -> u32 {
        self.head = head.load(Ordering::Acquire);
        self.tail.wrapping_sub(self.head)
    }

    /// Whether the other side sleeps and must be woken for what was published.
    ///
    /// The full barrier orders the published tail before the load of the flags;
    /// its partner stands in [`prepare_sleep`].
    #[inline]
    pub fn need_wakeup(flags: &AtomicU32) -> bool {
        fence(Ordering::SeqCst);
        flags.load(Ordering::Relaxed) & NEED_WAKEUP != 0
    }
}

/// Dispatching side of the submission queue (kernel).
#[derive(Debug)]
pub struct Consumer {
    head: u32,
    entries: u32,
}

impl Consumer {
    /// An empty queue of `entries` slots, a power of two.
    pub const fn new(entries: u32) -> Self {
        Self { head: 0, entries }
    }

    /// How many entries are published, at most the queue's length.
    #[inline]
    pub fn available(&self, tail: &AtomicU32) -> Result<u32, Impossible> {
        let n = tail.load(Ordering::Acquire).wrapping_sub(self.head);
        if n > self.entries {
            return Err(Impossible);
        }
        Ok(n)
    }

    /// As [`Self::available`], and none if that makes no sense.
    #[inline]
    pub fn published(&self, tail: &AtomicU32) -> u32 {
        self.available(tail).unwrap_or(0)
    }

    /// The slot to copy next.
    #[inline]
    pub fn slot(&self) -> u32 {
        self.head & self.entries.wrapping_sub(1)
    }

    /// How many entries were taken in all, modulo 2^32.
    #[inline]
    pub fn head(&self) -> u32 {
        self.head
    }

    /// Gives the copied slot back to the producer.
    #[inline]
    pub fn advance(&mut self, head: &AtomicU32) {
        self.head = self.head.wrapping_add(1);
        head.store(self.head, Ordering::Release);
    }
}

/// Asks for a wake-up call and says whether it is safe to sleep, if everything up to `seen` was
/// looked at.
///
/// `false`: something was published meanwhile; go on instead of sleeping.
/// The full barrier orders the flag before the second look at the tail; its
/// partner stands in [`Producer::need_wakeup`]. Without the pair a producer
/// could publish, miss the flag and never be served.
#[inline]
pub fn prepare_sleep(flags: &AtomicU32, tail: &AtomicU32, seen: u32) -> bool {
    flags.fetch_or(NEED_WAKEUP, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    if tail.load(Ordering::Acquire) == seen {
        return true;
    }
    awake(flags);
    false
}

/// Takes the wish for a wake-up call back.
#[inline]
pub fn awake(flags: &AtomicU32) {
    flags.fetch_and(!NEED_WAKEUP, Ordering::Relaxed);
}

/// Posting side of the completion queue (kernel).
///
/// # Invariants
///
/// `reserved` results are outstanding, and unread completions plus `reserved`
/// never exceed `entries` as long as the reader's index makes sense, so that a
/// reserved result always finds its slot.
#[derive(Debug)]
pub struct Poster {
    tail: u32,
    head: u32,
    reserved: u32,
    entries: u32,
}

impl Poster {
    /// An empty queue of `entries` slots, a power of two.
    pub const fn new(entries: u32) -> Self {
        Self {
            tail: 0,
            head: 0,
            reserved: 0,
            entries,
        }
    }

    /// Completions that the reader has not consumed; a senseless reader index
    /// counts as a full queue.
    #[inline]
    pub fn unread(&mut self, head: &AtomicU32) -> u32 {
        let seen = head.load(Ordering::Acquire);
        let unread = self.tail.wrapping_sub(seen);
        if unread > self.entries {
            return self.entries;
        }
        self.head = seen;
        unread
    }

    /// Results promised and not posted yet.
    #[inline]
    pub fn reserved(&self) -> u32 {
        self.reserved
    }

    /// Sets slots aside for up to `n` results; returns for how many there is room.
    #[inline]
    pub fn reserve(&mut self, n: u32, head: &AtomicU32) -> u32 {
        let mut used = self.tail.wrapping_sub(self.head) + self.reserved;
        if used + n > self.entries {
            used = self.unread(head) + self.reserved;
        }
        let n = n.min(self.entries.saturating_sub(used));
        self.reserved += n;
        n
    }

    /// Gives `n` reserved slots back unused.
    #[inline]
    pub fn cancel(&mut self, n: u32) {
        self.reserved -= n;
    }

    /// The slot to fill with a reserved result.
    #[inline]
    pub fn slot(&self) -> u32 {
        self.tail & self.entries.wrapping_sub(1)
    }

    /// Posts the filled slot.
    #[inline]
    pub fn post(&mut self, tail: &AtomicU32) {
        self.reserved -= 1;
        self.tail = self.tail.wrapping_add(1);
        tail.store(self.tail, Ordering::Release);
    }
}

/// Reading side of the completion queue (user).
#[derive(Debug)]
pub struct Reader {
    head: u32,
    entries: u32,
}

impl Reader {
    /// An empty queue of `entries` slots, a power of two.
    pub const fn new(entries: u32) -> Self {
        Self { head: 0, entries }
    }

    /// The slot of the oldest unread completion.
    #[inline]
    pub fn slot(&self, tail: &AtomicU32) -> Option<u32> {
        if tail.load(Ordering::Acquire) == self.head {
            return None;
        }
        Some(self.head & self.entries.wrapping_sub(1))
    }

    /// Gives the slot back.
    #[inline]
    pub fn advance(&mut self, head: &AtomicU32) {
        self.head = self.head.wrapping_add(1);
        head.store(self.head, Ordering::Release);
    }
}
