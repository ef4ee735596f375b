// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel counts, to find leaks.

use std::{fs, thread, time::Duration};

/// What must not grow.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Open files of the whole system.
    pub files: u64,
    /// Slab memory in KiB.
    pub slab: u64,
    /// Memory that could be given out, in KiB.
    pub available: u64,
}

impl Usage {
    pub fn now() -> Self {
        let files = fs::read_to_string("/proc/sys/fs/file-nr").expect("/proc is mounted");
        let meminfo = fs::read_to_string("/proc/meminfo").expect("/proc is mounted");
        let line = |name: &str| {
            let line = meminfo.lines().find_map(|l| l.strip_prefix(name));
            number(line.unwrap_or_else(|| panic!("/proc/meminfo has no {name}")))
        };
        Self {
            files: number(&files),
            slab: line("Slab:"),
            available: line("MemAvailable:"),
        }
    }

    /// Fails if usage has grown since `self` and stays so. Small differences are allowed: other
    /// processes live too, and the kernel frees some things late.
    #[track_caller]
    pub fn expect_no_growth(&self) {
        const FILES: u64 = 64;
        const SLAB: u64 = 4 << 10;
        const MEMORY: u64 = 16 << 10;
        let mut now = *self;
        for _ in 0..200 {
            now = Self::now();
            if now.files <= self.files + FILES
                && now.slab <= self.slab + SLAB
                && now.available + MEMORY >= self.available
            {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("leak: before {self:?}, after {now:?} (KiB)");
    }
}

/// The first number of a text.
fn number(text: &str) -> u64 {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.parse()
        .unwrap_or_else(|_| panic!("no number in {text:?}"))
}
