// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: the memory of rings counts in the control group of their owner, is given back when the
//! owner has ended, and cannot grow over `memory.max`: who tries is refused, or killed for it.

use crate::harness::*;
use std::sync::atomic::Ordering;

const ARENA: u32 = 8 << 20;
/// What else belongs to a process and a ring.
const REST: u64 = 2 << 20;
/// Room for two such rings and no third.
const LIMIT: u64 = 20 << 20;

pub fn run() {
    let group = Cgroup::new("memory");
    counted(&group);
    limited(&group);
}

fn big_ring() -> RawRing {
    RawRing::with(|params| params.arena_size = ARENA)
}

fn counted(group: &Cgroup) {
    let (here, go) = (Gate::new(), Gate::new());
    let child = child(|| {
        group.enter();
        here.open();
        go.pass();
        let _ring = big_ring();
        here.open();
        go.pass();
    });
    let current = || group.number("memory.current");
    here.pass();
    let before = current();
    go.open();
    here.pass();
    let grown = current() - before;
    let arena = u64::from(ARENA);
    assert!(
        (arena..arena + REST).contains(&grown),
        "a ring with {arena} bytes has cost {grown}"
    );
    go.open();
    assert_eq!(child.wait(), Exit::Status(0));
    eventually("the memory is given back", || current() < before + REST);
}

fn limited(group: &Cgroup) {
    group.write("memory.max", &LIMIT.to_string());
    let made = shared(1);
    let exit = child(|| {
        group.enter();
        for _ in 0..16 {
            let mut params: Params = zeroed();
            params.arena_size = ARENA;
            match setup(&mut params) {
                0.. => made[0].fetch_add(1, Ordering::SeqCst),
                errno => {
                    expect_errno!(errno, libc::ENOMEM);
                    return;
                }
            };
        }
    })
    .wait();
    assert!(
        exit == Exit::Status(0) || exit == Exit::Signal(libc::SIGKILL),
        "{exit:?}"
    );
    assert_eq!(made[0].load(Ordering::SeqCst), 2);
    let current = || group.number("memory.current");
    eventually("the memory is given back", || current() < REST);
}
