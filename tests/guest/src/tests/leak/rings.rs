// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: ten thousand rings are made, used and given up with the threads that own them;
//! neither files nor slab nor memory grow.

use crate::harness::*;

const RINGS: usize = 10_000;
const RINGS_OF_A_THREAD: usize = 16;

pub fn run() {
    // The first time caches fill up.
    make_and_close();
    let before = Usage::now();
    make_and_close();
    before.expect_no_growth();
}

fn make_and_close() {
    for _ in 0..RINGS / RINGS_OF_A_THREAD {
        std::thread::spawn(|| {
            for _ in 0..RINGS_OF_A_THREAD {
                let mut ring = RawRing::with(|p| {
                    p.sq_entries = 4;
                    p.flows = 4;
                    p.arena_size = 4096;
                });
                assert_eq!(ring.run_one(sqe!(libc::SYS_getuid)), 0);
                ring.discard();
            }
        })
        .join()
        .expect("the thread succeeds");
    }
}
