// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C `errno` of the thread.

use std::ffi::c_int;

/// Its value.
pub fn get() -> c_int {
    // SAFETY: always points to this thread's variable.
    unsafe { *libc::__errno_location() }
}

/// Sets it.
pub fn set(errno: c_int) {
    // SAFETY: always points to this thread's variable.
    unsafe { *libc::__errno_location() = errno };
}

/// What a C function returns for a kernel result: negated errnos go to `errno`.
#[inline]
pub fn answer(ret: isize) -> isize {
    if ret < 0 {
        set(-ret as c_int);
        return -1;
    }
    ret
}

/// Puts `errno` back at the end of a piece of work that the program does not know of.
pub struct Saved(c_int);

impl Saved {
    pub fn new() -> Self {
        Self(get())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        set(self.0);
    }
}
