// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files of a test, which starts in an empty directory of its own, and bytes to fill them with.

use super::{expect_ok, sys};
use std::ffi::CString;

/// A result that is a descriptor.
#[track_caller]
pub fn fd(result: i64) -> i32 {
    expect_ok!(result) as i32
}

/// Makes a file of these bytes in the test's directory; gives a descriptor to read and write it.
pub fn file(name: &str, bytes: &[u8]) -> i32 {
    std::fs::write(name, bytes).expect("the test's directory can be written");
    let name = CString::new(name).expect("names have no zero bytes");
    fd(sys!(
        libc::SYS_openat,
        libc::AT_FDCWD,
        name.as_ptr(),
        libc::O_RDWR | libc::O_CLOEXEC
    ))
}

pub fn exists(name: &str) -> bool {
    std::fs::symlink_metadata(name).is_ok()
}

/// Random numbers that are the same in every run.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed + 1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.next().to_ne_bytes());
    }
    bytes.truncate(len);
    bytes
}
