// SPDX-License-Identifier: GPL-2.0

//! The user space of a case, and rings made from there.

use crate::{
    glue::{self, Registers},
    kunit::assert,
    ring::Ring,
    TaskRings,
};
use core::mem::{size_of, size_of_val};
use kernel::{
    bindings,
    prelude::*,
    sync::Arc,
    types::{AsBytes, FromBytes},
    uaccess::UserSlice,
};

const PROT_READ_WRITE: u64 = 3;
const MAP_SHARED: u64 = 1;

/// Memory of the user space that the case gets. A kernel thread has none otherwise, and whoever makes
/// a ring needs one.
pub(super) fn page() -> u64 {
    // SAFETY: This is a test.
    let addr = unsafe { bindings::saio_test_user_page() };
    assert!(addr != 0);
    addr as u64
}

/// What is there; `T` without padding.
pub(super) fn read<T: FromBytes>(addr: u64) -> T {
    must!(UserSlice::new(addr as usize, size_of::<T>())
        .reader()
        .read())
}

/// Stores something there.
pub(super) fn write<T: AsBytes>(addr: u64, value: T) {
    must!(UserSlice::new(addr as usize, size_of::<T>())
        .writer()
        .write(&value));
}

/// A system call; `nr` as bindgen has it.
pub(super) fn call(nr: u32, args: &[u64]) -> i64 {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    glue::call(nr, Registers::new(all))
}

/// Closes a descriptor, and waits until that is done.
pub(super) fn close(fd: u32) {
    // SAFETY: The descriptor is open.
    unsafe { bindings::saio_test_close(fd) };
    settle();
}

/// Waits until what was closed is gone.
pub(super) fn settle() {
    // SAFETY: No locks are held.
    unsafe { bindings::saio_test_settle() };
}

/// Maps `size` bytes of a file.
pub(super) fn map(fd: u32, size: u64, protection: u64, flags: u64, offset: u64) -> i64 {
    call(
        bindings::__NR_mmap,
        &[0, size, protection, flags, fd.into(), offset],
    )
}

/// A ring that the case has made and mapped by system calls.
pub(super) struct Mapped {
    pub(super) fd: u32,
    pub(super) params: bindings::saio_params,
    /// Where it is mapped; 0: not yet.
    pub(super) addr: u64,
    pub(super) ring: Arc<Ring>,
}

impl Mapped {
    /// A small ring, not mapped.
    pub(super) fn unmapped() -> Self {
        let page = page();
        let mut words = [0u32; size_of::<bindings::saio_params>() / 4];
        (words[1], words[2], words[3], words[4]) = (4, 8, 2, 4096);
        write(page, words);
        let fd = call(bindings::__NR_saio_setup, &[page, size_of_val(&words) as _]);
        assert!(fd >= 0, "error {fd}");
        let words: [u32; 16] = read(page);
        let params = bindings::saio_params {
            sq_entries: words[1],
            cq_entries: words[2],
            flows: words[3],
            arena_size: words[4],
            sq_off: words[7],
            cq_off: words[8],
            flow_off: words[9],
            arena_off: words[10],
            map_size: words[11],
            ..Default::default()
        };
        let made = TaskRings::current().and_then(|rings| rings.slots[0].borrow().clone());
        Self {
            fd: fd as u32,
            params,
            addr: 0,
            ring: must!(made.ok_or(ENOENT)),
        }
    }

    /// A small ring.
    pub(super) fn new() -> Self {
        let mut this = Self::unmapped();
        let addr = this.map();
        assert!(addr > 0, "error {addr}");
        this.addr = addr as u64;
        this
    }

    /// Maps it as it should be.
    pub(super) fn map(&self) -> i64 {
        let size = self.params.map_size.into();
        map(self.fd, size, PROT_READ_WRITE, MAP_SHARED, 0)
    }

    /// Where the owner sees a part.
    pub(super) fn at(&self, offset: u32, index: u32, size: u32) -> u64 {
        self.addr + u64::from(offset) + u64::from(index) * u64::from(size)
    }
}
