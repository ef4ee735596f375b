// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a task can have 16 rings; the next gives EUSERS. Another thread has its own 16.

use crate::harness::*;

const MOST: usize = 16;

pub fn run() {
    fill();
    std::thread::spawn(fill)
        .join()
        .expect("the thread succeeds");
}

fn fill() {
    for made in 0..MOST {
        let got = setup(&mut zeroed());
        assert!(got >= 0, "ring {made}: {}", show(got));
    }
    expect_errno!(setup(&mut zeroed()), libc::EUSERS);
}
