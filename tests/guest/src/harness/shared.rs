// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that a test shares with its children.

use super::{expect_ok, sys};
use std::{slice, sync::atomic::AtomicU64};

/// Words, zero at first, that children forked from now on share. Never given back.
pub fn shared(words: usize) -> &'static [AtomicU64] {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let size = words * size_of::<AtomicU64>();
    let base = expect_ok!(sys!(libc::SYS_mmap, 0, size, access, flags, -1, 0));
    // SAFETY: fresh memory of this size, aligned to a page and never unmapped; all zeros is a
    // valid value, and everybody uses it atomically.
    unsafe { slice::from_raw_parts(base as *const AtomicU64, words) }
}
