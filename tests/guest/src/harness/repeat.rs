// SPDX-License-Identifier: MIT OR Apache-2.0

//! How often tests do what they do again and again.

use std::sync::atomic::{AtomicU32, Ordering};

static FACTOR: AtomicU32 = AtomicU32::new(1);

/// Sets [`repeat`], for all tests.
pub fn set_repeat(factor: u32) {
    FACTOR.store(factor, Ordering::Relaxed);
}

/// How many times more than usual.
pub fn repeat() -> u32 {
    FACTOR.load(Ordering::Relaxed)
}
