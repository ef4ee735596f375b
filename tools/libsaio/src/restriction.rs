// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a ring can do without.

use std::ffi::c_long;

use crate::sys::{saio_restriction, SAIO_RESTRICT_NO_POOL};

/// What a ring may still do, for [`Queue::restrict`](crate::queue::Queue::restrict) and
/// [`Ring::restrict`](crate::ring::Ring::restrict).
///
/// ```
/// use saio::restriction::Restriction;
///
/// let only = Restriction::to_calls([libc::SYS_write, libc::SYS_sendfile]).without_pool();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Restriction(saio_restriction);

impl Restriction {
    /// Entries may name these calls (`SYS_…`) only. Numbers that no kernel allows are left out.
    pub fn to_calls(calls: impl IntoIterator<Item = c_long>) -> Self {
        let mut this = Self::default();
        for nr in calls {
            let nr = usize::try_from(nr).unwrap_or(usize::MAX);
            if let Some(word) = this.0.calls.get_mut(nr / 64) {
                *word |= 1 << (nr % 64);
            }
        }
        this
    }

    /// Entries may name all calls that the kernel allows.
    pub fn all_calls() -> Self {
        let mut this = Self::default();
        this.0.calls.fill(u64::MAX);
        this
    }

    /// And the ring cannot be attached to a pool.
    pub fn without_pool(mut self) -> Self {
        self.0.flags |= SAIO_RESTRICT_NO_POOL;
        self
    }

    pub(crate) fn raw(self) -> saio_restriction {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_bits() {
        let raw = Restriction::to_calls([0, 63, 64, 511, 512, -1, c_long::MAX]).raw();
        assert_eq!(raw.calls, [1 | 1 << 63, 1, 0, 0, 0, 0, 0, 1 << 63]);
        assert_eq!(raw.flags, 0);
        let raw = Restriction::all_calls().without_pool().raw();
        assert_eq!(
            (raw.calls, raw.flags),
            ([u64::MAX; 8], SAIO_RESTRICT_NO_POOL)
        );
    }
}
