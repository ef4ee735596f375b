// SPDX-License-Identifier: GPL-2.0

//! The table of pools: names, settings, limits.

use super::{
    mem,
    ring::{assert_last, ring},
};
use crate::{
    kunit::{assert, assert_eq},
    logic::sched::Mode,
    pool::table,
};
use core::sync::atomic::Ordering;
use kernel::{
    bindings::{self, saio_pool_attr, saio_ring_pool},
    prelude::*,
};

suite!("saio_pool", self::{
    names_are_checked,
    settings_have_limits,
    pools_come_and_go,
    the_default_pool_stays,
    the_table_has_an_end,
    a_pool_with_rings_is_busy,
});

const CREATE: u32 = bindings::saio_pool_cmd_SAIO_POOL_CREATE;
const SET: u32 = bindings::saio_pool_cmd_SAIO_POOL_SET;
const GET: u32 = bindings::saio_pool_cmd_SAIO_POOL_GET;
const NEXT: u32 = bindings::saio_pool_cmd_SAIO_POOL_NEXT;
const REMOVE: u32 = bindings::saio_pool_cmd_SAIO_POOL_REMOVE;

fn named(name: &[u8]) -> saio_pool_attr {
    let mut attr = saio_pool_attr::default();
    attr.name[..name.len()].copy_from_slice(name);
    attr
}

fn command(cmd: u32, attr: &mut saio_pool_attr) -> Result {
    table::command(cmd, attr, None)
}

/// How many pools there are.
fn count() -> usize {
    let mut attr = saio_pool_attr::default();
    let mut n = 0;
    while command(NEXT, &mut attr).is_ok() {
        n += 1;
        attr = saio_pool_attr {
            id: attr.id + 1,
            ..Default::default()
        };
    }
    n
}

fn names_are_checked() {
    let before = count();
    for name in [&b""[..], b"a b", b"a/b", b"\xc3\xa4", b"a\0b", &[b'x'; 32]] {
        for cmd in [CREATE, SET, GET, REMOVE] {
            assert_eq!(command(cmd, &mut named(name)), Err(EINVAL), "{name:?}");
        }
    }
    assert_eq!(count(), before);
    let longest = [b'x'; 31];
    assert_eq!(command(CREATE, &mut named(&longest)), Ok(()));
    assert_eq!(command(REMOVE, &mut named(&longest)), Ok(()));
}

fn settings_have_limits() {
    let most = bindings::SAIO_POOL_MAX_THREADS;
    let (workers, max) = (bindings::SAIO_POOL_SET_WORKERS, bindings::SAIO_POOL_SET_MAX);
    let spoil: [fn(&mut saio_pool_attr); 7] = [
        |a| a.set = 1 << 31,
        |a| a.flags = 1,
        |a| a.id = 1,
        |a| a.rings = 1,
        |a| a.resv[1] = 1,
        |a| (a.set, a.workers) = (bindings::SAIO_POOL_SET_WORKERS, 0),
        |a| {
            a.set = bindings::SAIO_POOL_SET_IDLE;
            a.idle_ns = u64::from(bindings::SAIO_POOL_MAX_IDLE_NS) + 1;
        },
    ];
    assert_eq!(command(CREATE, &mut named(b"kunit")), Ok(()));
    for (i, spoil) in spoil.iter().enumerate() {
        for cmd in [CREATE, SET] {
            let mut attr = named(b"kunit");
            spoil(&mut attr);
            assert_eq!(command(cmd, &mut attr), Err(EINVAL), "change {i}");
        }
    }
    for (w, m, wanted) in [
        (1, 1, Ok(())),
        (most, most, Ok(())),
        (most + 1, most + 1, Err(EINVAL)),
        (1, most + 1, Err(EINVAL)),
        (3, 2, Err(EINVAL)),
    ] {
        let mut attr = named(b"kunit");
        (attr.set, attr.workers, attr.max) = (workers | max, w, m);
        assert_eq!(command(SET, &mut attr), wanted, "{w} of {m}");
    }
    // What was refused has changed nothing.
    let mut attr = named(b"kunit");
    assert_eq!(command(GET, &mut attr), Ok(()));
    assert_eq!((attr.workers, attr.max), (most, most));
    assert_eq!(command(REMOVE, &mut named(b"kunit")), Ok(()));
}

fn pools_come_and_go() {
    let before = count();
    let mut attr = named(b"kunit");
    assert_eq!(command(GET, &mut attr), Err(ENOENT));
    assert_eq!(command(REMOVE, &mut attr), Err(ENOENT));
    (attr.set, attr.workers) = (bindings::SAIO_POOL_SET_WORKERS, 3);
    assert_eq!(command(CREATE, &mut attr), Ok(()));
    let id = attr.id;
    assert_eq!(count(), before + 1);
    assert_eq!(command(CREATE, &mut named(b"kunit")), Err(EEXIST));
    let mut attr = named(b"kunit");
    assert_eq!(command(GET, &mut attr), Ok(()));
    assert_eq!((attr.id, attr.workers, attr.max, attr.rings), (id, 3, 6, 0));
    assert_eq!(command(REMOVE, &mut named(b"kunit")), Ok(()));
    assert_eq!(count(), before);
    let mut attr = named(b"kunit");
    assert_eq!(command(CREATE, &mut attr), Ok(()));
    assert!(attr.id > id, "{} after {id}", attr.id);
    assert_eq!(command(REMOVE, &mut named(b"kunit")), Ok(()));
}

fn the_default_pool_stays() {
    for flags in [0, bindings::SAIO_POOL_FORCE] {
        let mut attr = named(b"default");
        attr.flags = flags;
        assert_eq!(command(REMOVE, &mut attr), Err(EBUSY));
    }
    assert_eq!(command(GET, &mut named(b"default")), Ok(()));
}

fn the_table_has_an_end() {
    let most = bindings::SAIO_MAX_POOLS as usize;
    let before = count();
    let name = |i: usize| {
        let mut attr = named(b"kunit-");
        (attr.name[6], attr.name[7]) = (b'a' + (i / 16) as u8, b'a' + (i % 16) as u8);
        attr
    };
    for i in before..most {
        assert_eq!(command(CREATE, &mut name(i)), Ok(()), "pool {i}");
    }
    assert_eq!(command(CREATE, &mut named(b"kunit")), Err(ENOSPC));
    assert_eq!(count(), most);
    // One goes, one comes.
    assert_eq!(command(REMOVE, &mut name(before)), Ok(()));
    assert_eq!(command(CREATE, &mut name(before)), Ok(()));
    for i in before..most {
        assert_eq!(command(REMOVE, &mut name(i)), Ok(()), "pool {i}");
    }
    assert_eq!(count(), before);
}

fn a_pool_with_rings_is_busy() {
    let ring = ring(mem::smallest());
    let mut attr = named(b"kunit");
    assert_eq!(command(CREATE, &mut attr), Ok(()));
    let id = attr.id;

    let mut wanted = saio_ring_pool {
        name: attr.name,
        mode: 3,
        ..Default::default()
    };
    let attach = |wanted: &saio_ring_pool| table::attach(ring.as_arc_borrow(), wanted);
    assert_eq!(attach(&wanted), Err(EINVAL));
    wanted.mode = Mode::Inline as u32;
    assert_eq!(attach(&wanted), Err(EINVAL));
    wanted.mode = Mode::Pool as u32;
    assert_eq!(attach(&wanted), Ok(()));
    // Once more is no second ring.
    assert_eq!(attach(&wanted), Ok(()));
    assert_eq!(ring.mem.pool().load(Ordering::Relaxed), id);
    let mut attr = named(b"kunit");
    assert_eq!(command(GET, &mut attr), Ok(()));
    assert_eq!(attr.rings, 1);
    assert_eq!(command(REMOVE, &mut named(b"kunit")), Err(EBUSY));

    ring.detach(true);
    assert_eq!(ring.mem.pool().load(Ordering::Relaxed), 0);
    assert_eq!(attach(&wanted), Err(crate::errno::ebadfd()));
    assert_eq!(command(REMOVE, &mut named(b"kunit")), Ok(()));
    assert_eq!(attach(&wanted), Err(ENOENT));
    assert_last(ring);
}
