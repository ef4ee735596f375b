// SPDX-License-Identifier: MIT OR Apache-2.0

//! How entries stand in the queue.

use crate::sys;

/// What an entry is called, and how it hangs on others. A plain number is the tag of an entry that
/// stands alone.
///
/// ```
/// use saio::queue::Entry;
///
/// let plain = Entry::from(7);
/// assert_eq!(plain, Entry::new(7));
/// let first = Entry::new(8).link().quiet();
/// assert_eq!(first.tag(), 8);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    tag: u64,
    link: u16,
    quiet: bool,
    more: bool,
}

impl Entry {
    /// An entry that stands alone; its completion will have this `tag`.
    pub const fn new(tag: u64) -> Self {
        Self {
            tag,
            link: 0,
            quiet: false,
            more: false,
        }
    }

    /// The next entry belongs to the same chain, and runs only if this one succeeds; otherwise it
    /// and what is linked behind it complete with `ECANCELED`.
    pub const fn link(mut self) -> Self {
        self.link = sys::SQE_LINK;
        self
    }

    /// The next entry belongs to the same chain, and runs whatever becomes of this one.
    pub const fn hard_link(mut self) -> Self {
        self.link = sys::SQE_HARDLINK;
        self
    }

    /// The completion is shown only if the entry fails. What a success gives back (a buffer, a
    /// descriptor) is dropped.
    pub const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// More bytes follow soon, so a short segment need not leave by itself (`MSG_MORE`). Means
    /// something for sends of bytes only. Those of one batch are joined without it.
    pub const fn more(mut self) -> Self {
        self.more = true;
        self
    }

    /// What the completion will be called.
    pub const fn tag(self) -> u64 {
        self.tag
    }

    pub(super) const fn is_quiet(self) -> bool {
        self.quiet
    }

    pub(super) const fn has_more(self) -> bool {
        self.more
    }

    /// Bits of the entry in the ring; not zero if there is to be a next one in the chain.
    pub(super) const fn links(self) -> u16 {
        self.link
    }
}

impl From<u64> for Entry {
    fn from(tag: u64) -> Self {
        Self::new(tag)
    }
}

/// Who runs the entries of flows, once the ring is attached to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The pool where that pays, otherwise this thread when it submits; the kernel decides.
    Auto,
    /// The pool.
    Pool,
}

impl Mode {
    pub(super) const fn raw(self) -> u32 {
        match self {
            Self::Auto => sys::SAIO_MODE_AUTO,
            Self::Pool => sys::SAIO_MODE_POOL,
        }
    }
}
