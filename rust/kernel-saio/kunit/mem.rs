// SPDX-License-Identifier: GPL-2.0

//! Shared memory: its layout, its bounds, and what its owner sees of it.

use super::user::{self, Mapped};
use crate::{
    errno,
    glue::{self, Registers},
    kunit::{assert, assert_eq},
    mem::{Layout, Mem},
};
use core::{
    mem::{align_of, offset_of, size_of, zeroed},
    sync::atomic::Ordering,
};
use kernel::{
    bindings::{self, saio_cqe, saio_params, saio_ring, saio_sqe},
    prelude::*,
};

suite!("saio_mem", self::{
    both_languages_have_the_same_layout,
    defaults_are_filled_in,
    impossible_parameters_are_refused,
    parts_lie_apart,
    memory_is_zeroed,
    the_arena_has_bounds,
    too_much_memory_is_refused,
    it_is_mapped_once_and_whole,
    owner_and_kernel_see_the_same,
    entries_of_the_owner_run,
});

const PAGE: u32 = kernel::page::PAGE_SIZE as u32;

/// The smallest ring.
pub(super) fn smallest() -> saio_params {
    saio_params {
        sq_entries: 1,
        cq_entries: 1,
        flows: 1,
        arena_size: PAGE,
        ..Default::default()
    }
}

/// The largest ring.
fn largest() -> saio_params {
    saio_params {
        sq_entries: bindings::SAIO_MAX_SQ_ENTRIES,
        cq_entries: bindings::SAIO_MAX_CQ_ENTRIES,
        flows: bindings::SAIO_MAX_FLOWS,
        arena_size: bindings::SAIO_MAX_ARENA,
        flow_limit: bindings::SAIO_MAX_FLOW_LIMIT,
        ..Default::default()
    }
}

fn both_languages_have_the_same_layout() {
    let here = [
        offset_of!(saio_sqe, flags),
        offset_of!(saio_sqe, ctl),
        offset_of!(saio_sqe, user_data),
        offset_of!(saio_sqe, args),
        size_of::<saio_sqe>(),
        offset_of!(saio_cqe, res),
        size_of::<saio_cqe>(),
        offset_of!(saio_ring, sq_tail),
        offset_of!(saio_ring, cq_head),
        offset_of!(saio_ring, cq_tail),
        size_of::<saio_ring>(),
        offset_of!(saio_params, resv),
        size_of::<saio_params>(),
        size_of::<bindings::saio_enter_arg>(),
        size_of::<bindings::saio_flow_reg>(),
        size_of::<bindings::saio_ring_pool>(),
        size_of::<bindings::saio_restriction>(),
        size_of::<bindings::saio_pool_attr>(),
        size_of::<bindings::saio_pool_stat>(),
    ];
    // SAFETY: No requirements.
    let there = |i: usize| unsafe { bindings::saio_test_layout(i as _) };
    for (i, place) in here.into_iter().enumerate() {
        assert_eq!(place as i32, there(i), "place {i}");
    }
    assert_eq!(there(here.len()), -1);
}

fn defaults_are_filled_in() {
    let mut p = saio_params::default();
    let layout = must!(Layout::new(&mut p));
    assert_eq!((p.sq_entries, p.cq_entries), (256, 512));
    assert_eq!(
        (p.flows, p.arena_size, p.flow_limit),
        (1024, 256 << 10, 256 << 10)
    );
    assert_eq!(p.features, 7);
    assert_eq!(layout.sq_entries, p.sq_entries);
    assert_eq!(layout.arena_size, p.arena_size);
}

/// Changes of good parameters that make them impossible.
pub(super) const SPOIL: [fn(&mut saio_params); 20] = [
    |p| p.flags = 1,
    |p| p.resv[0] = 1,
    |p| p.resv[1] = 1 << 63,
    |p| p.features = 1,
    |p| p.sq_off = 1,
    |p| p.map_size = PAGE,
    |p| p.sq_entries = 3,
    |p| p.sq_entries = 1 << 31,
    |p| p.sq_entries = u32::MAX,
    |p| (p.sq_entries, p.cq_entries) = (2 * bindings::SAIO_MAX_SQ_ENTRIES, 1 << 14),
    |p| p.cq_entries = 3,
    |p| (p.sq_entries, p.cq_entries) = (8, 4),
    |p| p.cq_entries = 2 * bindings::SAIO_MAX_CQ_ENTRIES,
    |p| p.flows = bindings::SAIO_MAX_FLOWS + 1,
    |p| p.flows = u32::MAX,
    |p| p.arena_size = PAGE + 1,
    |p| p.arena_size = bindings::SAIO_MAX_ARENA + PAGE,
    |p| p.arena_size = 0u32.wrapping_sub(PAGE),
    |p| p.flow_limit = bindings::SAIO_MAX_FLOW_LIMIT + 1,
    |p| p.flow_limit = u32::MAX,
];

fn impossible_parameters_are_refused() {
    for (i, spoil) in SPOIL.iter().enumerate() {
        for good in [smallest, largest] {
            assert!(Layout::new(&mut good()).is_ok());
            let mut p = good();
            spoil(&mut p);
            assert_eq!(Layout::new(&mut p).err(), Some(EINVAL), "change {i}");
        }
    }
}

fn parts_lie_apart() {
    for mut p in [smallest(), largest(), saio_params::default()] {
        assert!(Layout::new(&mut p).is_ok());
        let end = |offset: u32, n: u32, size: usize| u64::from(offset) + u64::from(n) * size as u64;
        assert!(p.sq_off as usize >= size_of::<saio_ring>());
        assert!(u64::from(p.cq_off) >= end(p.sq_off, p.sq_entries, size_of::<saio_sqe>()));
        assert!(u64::from(p.flow_off) >= end(p.cq_off, p.cq_entries, size_of::<saio_cqe>()));
        assert!(u64::from(p.arena_off) >= end(p.flow_off, p.flows, size_of::<u32>()));
        assert!(u64::from(p.map_size) >= end(p.arena_off, p.arena_size, 1));
        assert_eq!(p.sq_off % 64, 0);
        assert_eq!(p.cq_off as usize % align_of::<saio_cqe>(), 0);
        assert_eq!(p.flow_off % 4, 0);
        assert_eq!((p.arena_off % PAGE, p.map_size % PAGE), (0, 0));
    }
}

fn memory_is_zeroed() {
    user::page();
    for _ in 0..2 {
        let mem = must!(Mem::new(must!(Layout::new(&mut smallest()))));
        let arena = must!(mem.arena(0, PAGE.into()));
        for i in 0..PAGE as usize {
            // SAFETY: Within the arena, which nobody else has.
            unsafe {
                assert_eq!(*arena.add(i), 0);
                // For who gets it next.
                *arena.add(i) = 0xa5;
            }
        }
        assert_eq!(mem.sq_tail().swap(7, Ordering::Relaxed), 0);
        assert_eq!(mem.status(0).swap(7, Ordering::Relaxed), 0);
        assert_eq!(mem.entry(0).copy().args, [0; 6]);
    }
}

fn the_arena_has_bounds() {
    user::page();
    let mem = must!(Mem::new(must!(Layout::new(&mut smallest()))));
    let size = u64::from(PAGE);
    let start = must!(mem.arena(0, size));
    for (offset, len) in [(0, 0), (0, size), (1, size - 1), (size - 1, 1), (size, 0)] {
        let byte = must!(mem.arena(offset, len));
        assert_eq!(byte as u64, start as u64 + offset, "{len} bytes");
    }
    for (offset, len) in [
        (0, size + 1),
        (1, size),
        (size, 1),
        (size + 1, 0),
        (0, u64::MAX),
        (1, u64::MAX),
        (u64::MAX, 0),
        (u64::MAX, 1),
        (u64::MAX, 2),
        (1 << 63, 1 << 63),
    ] {
        assert_eq!(
            mem.arena(offset, len).err(),
            Some(EFAULT),
            "{offset:#x}, {len:#x}"
        );
    }
    // SAFETY: Within the arena, which nobody else has.
    unsafe { *start.add(PAGE as usize - 1) = 9 };
    assert_eq!(must!(mem.arena_copy::<4>(size - 2, 2)), [0, 9, 0, 0]);
    assert_eq!(mem.arena_copy::<4>(size - 2, 3).err(), Some(EFAULT));
    assert_eq!(mem.arena_copy::<4>(0, 5).err(), Some(EINVAL));
}

fn too_much_memory_is_refused() {
    user::page();
    // SAFETY: All zeros are valid.
    let mut raw: bindings::saio_mem = unsafe { zeroed() };
    // More than any machine has, and less than the address space.
    // SAFETY: It is as the function wants it.
    let err = unsafe { bindings::saio_mem_alloc(&mut raw, 1 << 45) };
    assert_eq!(err, ENOMEM.to_errno());
    assert!(raw.base.is_null() && raw.user.is_null() && raw.mm.is_null());
}

fn it_is_mapped_once_and_whole() {
    let mut mapped = Mapped::unmapped();
    let size = u64::from(mapped.params.map_size);
    let page = u64::from(PAGE);
    let (shared, private) = (1, 2);
    let (read_write, execute) = (3, 7);
    let einval = EINVAL.to_errno().into();
    for (size, protection, flags, offset) in [
        (size - page, read_write, shared, 0),
        (size + page, read_write, shared, 0),
        (size - page, read_write, shared, page),
        (size, read_write, private, 0),
        (size, execute, shared, 0),
    ] {
        let result = user::map(mapped.fd, size, protection, flags, offset);
        assert_eq!(result, einval, "{size} {protection} {flags} {offset}");
    }
    let addr = mapped.map();
    assert!(addr > 0, "error {addr}");
    mapped.addr = addr as u64;
    assert_eq!(mapped.map(), i64::from(EBUSY.to_errno()));
    // SAFETY: This task has an address space.
    let flags = unsafe { bindings::saio_test_vm_flags(mapped.addr as _) };
    let wanted = bindings::VM_DONTCOPY | bindings::VM_DONTEXPAND | bindings::VM_DONTDUMP;
    assert_eq!(flags as u32 & wanted, wanted);
    assert_eq!(flags as u32 & (bindings::VM_EXEC | bindings::VM_MAYEXEC), 0);
    user::close(mapped.fd);
}

fn owner_and_kernel_see_the_same() {
    let mapped = Mapped::new();
    let (p, mem) = (&mapped.params, &mapped.ring.mem);

    let place = mapped.at(p.arena_off, 100, 1);
    assert_eq!(mem.arena_uaddr(100), place);
    user::write(place, [1u8, 2, 3]);
    assert_eq!(must!(mem.arena_copy::<3>(100, 3)), [1, 2, 3]);

    mem.status(1).store(0x1234_5678, Ordering::Relaxed);
    assert_eq!(user::read::<u32>(mapped.at(p.flow_off, 1, 4)), 0x1234_5678);

    // The last slot, under each of its indices.
    let entry: [u64; 8] = [0x0000_0007_0003_0002, 8, 9, 10, 11, 12, 13, 14];
    user::write(mapped.at(p.sq_off, p.sq_entries - 1, 64), entry);
    for index in [p.sq_entries - 1, 2 * p.sq_entries - 1, u32::MAX] {
        let entry = mem.entry(index);
        let sqe = entry.copy();
        assert_eq!((sqe.nr, sqe.flags, sqe.ctl, sqe.user_data), (2, 3, 7, 8));
        assert_eq!(sqe.args, [9, 10, 11, 12, 13, 14]);
        let head = entry.head();
        assert_eq!((head.nr, head.flags, head.ctl), (2, 3, 7));
        assert_eq!(entry.rest(), (8, sqe.args));
        assert_eq!(entry.target(), 9);
    }

    mem.set_cqe(u32::MAX, 5, -6);
    let last = mapped.at(p.cq_off, p.cq_entries - 1, 16);
    assert_eq!(user::read::<[i64; 2]>(last), [5, -6]);

    let word = offset_of!(saio_ring, cq_head) as u32;
    user::write(mapped.at(word, 0, 4), 77u32);
    assert_eq!(mem.cq_head().load(Ordering::Relaxed), 77);
    user::close(mapped.fd);
}

fn entries_of_the_owner_run() {
    let mapped = Mapped::new();
    let p = &mapped.params;
    let calls = [bindings::__NR_getppid, bindings::__NR_syslog];
    for (i, nr) in calls.into_iter().enumerate() {
        let entry = [nr.into(), i as u64, 0, 0, 0, 0, 0, 0];
        user::write::<[u64; 8]>(mapped.at(p.sq_off, i as u32, 64), entry);
    }
    let tail = mapped.at(offset_of!(saio_ring, sq_tail) as u32, 0, 4);
    let enter = |n| user::call(bindings::__NR_saio_enter, &[mapped.fd.into(), n]);

    // More than the queue has slots.
    user::write(tail, p.sq_entries + 1);
    assert_eq!(enter(1), i64::from(EINVAL.to_errno()));

    user::write(tail, 2u32);
    assert_eq!(enter(2), 2);
    let completion = |i| user::read::<[i64; 2]>(mapped.at(p.cq_off, i, 16));
    let parent = glue::call(bindings::__NR_getppid, Registers::new([0; 6]));
    assert!(parent > 0);
    assert_eq!(completion(0), [0, parent]);
    assert_eq!(completion(1), [1, errno::eopnotsupp().to_errno().into()]);
    assert_eq!(mapped.ring.mem.cq_tail().load(Ordering::Relaxed), 2);
    user::close(mapped.fd);
}
