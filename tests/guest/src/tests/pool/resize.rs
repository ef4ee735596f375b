// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a busy pool gets more threads, then fewer, and is removed at last: no byte is lost,
//! its threads end, and its rings go on in the pool "default" in their mode.

use super::{load::Load, server::Manner};
use crate::harness::*;

const NAME: &str = "resize";
const SERVERS: usize = 3;
const ENTRIES: u64 = 200;

pub fn run() {
    let pool = Pool::new(NAME, |p| p.workers(1).max(1));
    let manner = Manner {
        reads: true,
        wild: false,
    };
    let load = Load::start(NAME, SERVERS, 3, manner);
    for n in [4, 8, 1, 3, 1] {
        pool.set(|p| p.workers(n).max(n + 1));
        load.goes_on(ENTRIES);
        eventually("the pool has as many threads as it may", || {
            pool.stat().threads == n + 1 && pool.threads().len() as u32 == n + 1
        });
        load.goes_on(ENTRIES);
    }
    assert_eq!(pool.rings(), SERVERS as u32);

    let ring = RawRing::pooled(NAME);
    let default = pool_get("default");
    expect_errno!(pool_remove(NAME, 0), libc::EBUSY);
    load.goes_on(1);
    assert_eq!(pool_remove(NAME, FORCE), 0);
    assert_eq!(ring.attachment(), (POOLED, default.id));
    assert_eq!(ring.info().text("pool"), "default");
    assert_eq!(
        pool_get("default").rings,
        default.rings + SERVERS as u32 + 1
    );
    expect_errno!(pool_call(GET, &mut pool_attr(NAME)), libc::ENOENT);
    eventually("its threads end", || pool.threads().is_empty());
    load.goes_on(ENTRIES);
    load.stop();
    assert_eq!(pool_get("default").rings, default.rings + 1);
}
