// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a pool is made with the documented defaults, changed attribute by attribute, read
//! back by name, and removed. What a change does not name stays as it is.

use crate::harness::*;

const NAME: &str = "attributes.of-a_pool";

pub fn run() {
    defaults();
    changes();
    names();
    default_pool();
}

fn defaults() {
    let pool = Pool::new(NAME, |p| p);
    let attr = pool.get();
    assert_eq!(attr.name, pool_name(NAME));
    assert!(attr.id > 0);
    assert_eq!((attr.workers, attr.max, attr.gid), (1, 2, 0));
    assert_eq!((attr.idle_ns, attr.rings), (200_000, 0));
    assert_eq!((attr.set, attr.flags, attr.resv), (0, 0, [0; 2]));
    assert_eq!(pool_cpus(NAME), possible_cpus());
    let stat = pool.stat();
    assert_eq!((stat.id, stat.threads), (attr.id, 0), "no ring, no thread");

    assert_eq!(pool_remove(NAME, 0), 0);
    expect_errno!(pool_call(GET, &mut pool_attr(NAME)), libc::ENOENT);
    for (workers, max) in [(5, 10), (200, MAX_THREADS), (MAX_THREADS, MAX_THREADS)] {
        let attr = Pool::new(NAME, |p| p.workers(workers)).get();
        assert_eq!((attr.workers, attr.max), (workers, max));
    }
}

fn changes() {
    let one = 1u64;
    let pool = Pool::new(NAME, |p| {
        p.workers(2).max(4).idle_us(70).cpus(&one).group(33)
    });
    let attr = pool.get();
    assert_eq!((attr.workers, attr.max, attr.gid), (2, 4, 33));
    assert_eq!((attr.idle_ns, pool_cpus(NAME)), (70_000, 1));

    pool.set(|p| p.idle_us(0));
    let attr = pool.get();
    assert_eq!((attr.workers, attr.max, attr.gid), (2, 4, 33));
    assert_eq!((attr.idle_ns, pool_cpus(NAME)), (0, 1));
    pool.set(|p| p.workers(7));
    let attr = pool.get();
    assert_eq!((attr.workers, attr.max), (7, 7), "raised");
    pool.set(|p| p.workers(1));
    let attr = pool.get();
    assert_eq!((attr.workers, attr.max), (1, 7), "not lowered");
    // CPUs that do not exist are passed over if there is one that does.
    let every = u64::MAX;
    pool.set(|p| p.max(MAX_THREADS).group(ANYBODY).cpus(&every));
    let attr = pool.get();
    assert_eq!((attr.max, attr.gid), (MAX_THREADS, ANYBODY));
    assert_eq!(pool_cpus(NAME), possible_cpus());
    let idle = MAX_IDLE_NS / 1000;
    pool.set(|p| p.idle_us(idle));
    assert_eq!(pool.get().idle_ns, MAX_IDLE_NS);
}

fn names() {
    let longest = "n".repeat(31);
    for name in ["a", "A.b-c_9", "..", "-", "Default", &longest] {
        let pool = Pool::new(name, |p| p);
        assert_eq!(pool.get().name, pool_name(name));
    }
}

fn default_pool() {
    let before = pool_get("default");
    let mut attr = pool_attr("default").workers(before.workers);
    assert_eq!(pool_call(SET, &mut attr), 0);
    assert_eq!(attr.id, before.id);
    for flags in [0, FORCE] {
        expect_errno!(pool_remove("default", flags), libc::EBUSY);
    }
    assert_eq!(pool_get("default").id, before.id);
}

/// The CPUs below 64 that the machine can have.
fn possible_cpus() -> u64 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible");
    let list = list.expect("sysfs is mounted");
    let (first, last) = list.trim().split_once('-').unwrap_or(("0", list.trim()));
    assert_eq!(first, "0", "possible CPUs: {list}");
    let last: u32 = last.parse().expect("a number");
    u64::MAX >> (63 - last.min(63))
}
