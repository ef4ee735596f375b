// SPDX-License-Identifier: MIT OR Apache-2.0

//! Steps on pools.

use rand::Rng;
use saio::sys;

use super::case::NOBODY;
use super::number::{any, any32, once_in, pick, Random};
use super::op::{Op, PoolCall};
use super::rings::attach;
use super::slots;

/// A pool that rings can be attached to: its name is `name`.
pub(super) fn make_pool(random: &mut Random, name: u8) -> Op {
    Op::Pool(PoolCall {
        cmd: sys::SAIO_POOL_CREATE,
        name,
        set: sys::SAIO_POOL_SET_WORKERS | sys::SAIO_POOL_SET_GROUP,
        workers: random.random_range(1..3),
        gid: sys::SAIO_POOL_ANYBODY,
        id: 0,
        flags: 0,
        max: 0,
        idle: 0,
        cpus: 0,
        cpus_len: 0,
        resv: 0,
        size: 0,
    })
}

pub(super) fn pool_step(random: &mut Random) -> Op {
    if once_in(random, 2) {
        let ring = slots::ring(random);
        return attach(random, ring);
    }
    let cmd = match random.random_range(0..20) {
        0..6 => sys::SAIO_POOL_CREATE,
        6..12 => sys::SAIO_POOL_SET,
        12..16 => sys::SAIO_POOL_REMOVE,
        16 => sys::SAIO_POOL_GET,
        17 => sys::SAIO_POOL_NEXT,
        18 => sys::SAIO_POOL_STAT,
        _ => any32(random),
    };
    let changes = cmd == sys::SAIO_POOL_CREATE || cmd == sys::SAIO_POOL_SET;
    let sane = !once_in(random, 5);
    let workers = random.random_range(1..4);
    Op::Pool(PoolCall {
        cmd,
        name: if once_in(random, 24) {
            random.random_range(6..10)
        } else {
            random.random_range(0..6)
        },
        id: if cmd == sys::SAIO_POOL_NEXT || once_in(random, 16) {
            random.random_range(0..40)
        } else {
            0
        },
        set: if !changes {
            0
        } else if sane {
            random.random_range(0..32)
        } else {
            any32(random)
        },
        flags: match cmd {
            sys::SAIO_POOL_REMOVE => random.random_range(0..2),
            _ if sane => 0,
            _ => any32(random),
        },
        workers: if sane { workers } else { any32(random) },
        max: if sane {
            workers + random.random_range(0..4)
        } else {
            any32(random) % 300
        },
        gid: pick(random, &[0, NOBODY, sys::SAIO_POOL_ANYBODY]),
        idle: pick(random, &[0, 1000, 50_000, 200_000, 5_000_000]),
        cpus: pick(random, &[1, 2, 3, 3, 0, u64::MAX]),
        cpus_len: pick(random, &[8, 8, 8, 1, 0, 4096]),
        resv: if sane { 0 } else { any(random) },
        size: if sane { 0 } else { any(random) },
    })
}
