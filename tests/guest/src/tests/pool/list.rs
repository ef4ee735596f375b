// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: pools are listed in the order of their numbers, which grow and are never used again;
//! there can be 256, and the next gives ENOSPC.

use crate::harness::*;

pub fn run() {
    sixty_four();
    all_there_can_be();
}

fn named(i: usize) -> String {
    format!("list-{i}")
}

/// Names and numbers of all pools.
fn listed() -> Vec<([u8; 32], u32)> {
    let mut all = Vec::new();
    let mut id = 0;
    loop {
        let mut attr = pool_attr("");
        attr.id = id;
        match pool_call(NEXT, &mut attr) {
            0 => all.push((attr.name, attr.id)),
            errno => {
                expect_errno!(errno, libc::ENOENT);
                return all;
            }
        }
        assert!(attr.id >= id, "{} after {id}", attr.id);
        id = attr.id + 1;
    }
}

fn sixty_four() {
    let mut pools: Vec<Pool> = (0..64).map(|i| Pool::new(&named(i), |p| p)).collect();
    let all = listed();
    let ours = |all: &[([u8; 32], u32)]| -> Vec<[u8; 32]> {
        let names = all.iter().map(|(name, _)| *name);
        names.filter(|name| name.starts_with(b"list-")).collect()
    };
    let made: Vec<_> = pools.iter().map(|pool| pool_name(&pool.name)).collect();
    assert_eq!(ours(&all), made, "in order");
    assert!(all.iter().any(|(name, _)| *name == pool_name("default")));
    let last = all.last().expect("there are pools").1;

    // What takes the place of one that is gone is still the youngest.
    drop(pools.swap_remove(10));
    let young = Pool::new("list-young", |p| p);
    let id = young.get().id;
    assert!(id > last, "{id} after {last}");
    let all = listed();
    assert_eq!(all.last(), Some(&(pool_name("list-young"), id)));
    assert!(all.iter().all(|(name, _)| *name != pool_name(&named(10))));
    drop(young);
    assert_ne!(Pool::new("list-young", |p| p).get().id, id);
}

fn all_there_can_be() {
    let free = MAX_POOLS - listed().len();
    let mut pools: Vec<Pool> = (0..free).map(|i| Pool::new(&named(i), |p| p)).collect();
    assert_eq!(listed().len(), MAX_POOLS);
    expect_errno!(pool_call(CREATE, &mut pool_attr("list-more")), libc::ENOSPC);
    pools.pop();
    let more = Pool::new("list-more", |p| p);
    expect_errno!(pool_call(CREATE, &mut pool_attr(&named(0))), libc::EEXIST);
    drop((pools, more));
    assert_eq!(listed().len(), MAX_POOLS - free);
}
