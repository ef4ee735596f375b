// SPDX-License-Identifier: GPL-2.0

//! The memory that a ring shares with its owner.
//!
//! User space may change any byte of it at any moment. Control words are accessed as atomics,
//! entries are copied once and checked in the copy, and nothing read from here is used as a
//! pointer, index or length without a check against what the kernel keeps for itself.

use crate::logic::ring::Impossible;
use core::{
    marker::PhantomData,
    mem::{offset_of, size_of},
    ptr,
    sync::atomic::AtomicU32,
};
use kernel::{bindings, error::to_result, prelude::*, types::Opaque};

/// A submission queue entry, copied out of shared memory.
pub(crate) type Sqe = bindings::saio_sqe;

/// The first eight bytes of a [`Sqe`].
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct SqeHead {
    pub(crate) nr: u16,
    pub(crate) flags: u16,
    pub(crate) ctl: u32,
}

const _: () = {
    assert!(offset_of!(SqeHead, nr) == offset_of!(Sqe, nr));
    assert!(offset_of!(SqeHead, flags) == offset_of!(Sqe, flags));
    assert!(offset_of!(SqeHead, ctl) == offset_of!(Sqe, ctl));
    assert!(size_of::<SqeHead>() == offset_of!(Sqe, user_data));
};

/// Where the parts of a ring lie, and how large they are.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Slots of the submission queue, a power of two.
    pub(crate) sq_entries: u32,
    /// Slots of the completion queue, a power of two.
    pub(crate) cq_entries: u32,
    /// Status words.
    pub(crate) flows: u32,
    /// Bytes of the arena.
    pub(crate) arena_size: u32,
    /// Bytes that a flow may hold unsent.
    pub(crate) flow_limit: u32,
    sq_off: u32,
    cq_off: u32,
    flow_off: u32,
    arena_off: u32,
    size: u32,
}

const DEFAULT_SQ_ENTRIES: u32 = 256;
const DEFAULT_FLOWS: u32 = 1024;
const DEFAULT_ARENA: u32 = 256 << 10;
const DEFAULT_FLOW_LIMIT: u32 = 256 << 10;
const PAGE: u32 = kernel::page::PAGE_SIZE as u32;

impl Layout {
    /// Fills in defaults, checks the limits, and writes back what holds.
    pub(crate) fn new(p: &mut bindings::saio_params) -> Result<Self> {
        fn default(value: &mut u32, default: u32) {
            if *value == 0 {
                *value = default;
            }
        }

        if p.flags != 0
            || p.resv != [0; 2]
            || p.features | p.sq_off | p.cq_off | p.flow_off | p.arena_off | p.map_size != 0
        {
            return Err(EINVAL);
        }
        default(&mut p.sq_entries, DEFAULT_SQ_ENTRIES);
        if !p.sq_entries.is_power_of_two() || p.sq_entries > bindings::SAIO_MAX_SQ_ENTRIES {
            return Err(EINVAL);
        }
        default(&mut p.cq_entries, p.sq_entries * 2);
        default(&mut p.flows, DEFAULT_FLOWS);
        default(&mut p.arena_size, DEFAULT_ARENA);
        default(&mut p.flow_limit, DEFAULT_FLOW_LIMIT);
        if !p.cq_entries.is_power_of_two()
            || p.cq_entries < p.sq_entries
            || p.cq_entries > bindings::SAIO_MAX_CQ_ENTRIES
            || p.flows > bindings::SAIO_MAX_FLOWS
            || p.arena_size % PAGE != 0
            || p.arena_size > bindings::SAIO_MAX_ARENA
            || p.flow_limit > bindings::SAIO_MAX_FLOW_LIMIT
        {
            return Err(EINVAL);
        }

        // The largest sum of these is below 2^25.
        p.sq_off = size_of::<bindings::saio_ring>() as u32;
        p.cq_off = p.sq_off + p.sq_entries * size_of::<Sqe>() as u32;
        p.flow_off = p.cq_off + p.cq_entries * size_of::<bindings::saio_cqe>() as u32;
        p.arena_off = (p.flow_off + p.flows * size_of::<u32>() as u32).next_multiple_of(PAGE);
        p.map_size = p.arena_off + p.arena_size;
        p.features =
            bindings::SAIO_FEAT_INLINE | bindings::SAIO_FEAT_FLOWS | bindings::SAIO_FEAT_POOLS;
        Ok(Self {
            sq_entries: p.sq_entries,
            cq_entries: p.cq_entries,
            flows: p.flows,
            arena_size: p.arena_size,
            flow_limit: p.flow_limit,
            sq_off: p.sq_off,
            cq_off: p.cq_off,
            flow_off: p.flow_off,
            arena_off: p.arena_off,
            size: p.map_size,
        })
    }
}

/// The shared memory of a ring.
///
/// # Invariants
///
/// `raw.base` points to `layout.size` bytes that live as long as `self`; the offsets in `layout`
/// are aligned for, and the parts lie inside, that area.
#[repr(C)]
pub(crate) struct Mem {
    /// Stands first: C finds it by the pointer to the ring.
    raw: Opaque<bindings::saio_mem>,
    base: *mut u8,
    /// The layout, which never changes.
    pub(crate) layout: Layout,
}

// SAFETY: The memory belongs to nobody in particular, and is only accessed by atomic or volatile
// operations.
unsafe impl Send for Mem {}
// SAFETY: As above.
unsafe impl Sync for Mem {}

impl Mem {
    /// Allocates and charges the memory of a ring to the current task.
    pub(crate) fn new(layout: Layout) -> Result<Self> {
        // SAFETY: An all-zero `saio_mem` is valid.
        let raw: Opaque<bindings::saio_mem> = Opaque::new(unsafe { core::mem::zeroed() });
        // SAFETY: `raw` is valid and nobody else has it; it is only moved afterwards, which C
        // does not mind: nothing points to it yet.
        to_result(unsafe { bindings::saio_mem_alloc(raw.get(), layout.size as _) })?;
        // SAFETY: `saio_mem_alloc` has set `base`.
        let base = unsafe { (*raw.get()).base }.cast();
        // INVARIANT: `base` points to `layout.size` bytes, which `drop` frees.
        Ok(Self { raw, base, layout })
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset + size_of::<u32>() <= self.layout.size as usize);
        // SAFETY: By the type invariant the callers' offsets are inside the area and aligned;
        // user space accesses to the same word cannot be helped, and are atomic here.
        unsafe { &*self.base.add(offset).cast::<AtomicU32>() }
    }

    pub(crate) fn sq_head(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, sq_head))
    }

    pub(crate) fn sq_flags(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, sq_flags))
    }

    pub(crate) fn mode(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, mode))
    }

    pub(crate) fn pool(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, pool))
    }

    pub(crate) fn sq_tail(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, sq_tail))
    }

    pub(crate) fn cq_head(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, cq_head))
    }

    pub(crate) fn cq_tail(&self) -> &AtomicU32 {
        self.word(offset_of!(bindings::saio_ring, cq_tail))
    }

    /// Status word of the flow `index`, which must be below `layout.flows`.
    pub(crate) fn status(&self, index: u16) -> &AtomicU32 {
        debug_assert!(u32::from(index) < self.layout.flows);
        self.word(self.layout.flow_off as usize + usize::from(index) * size_of::<u32>())
    }

    /// An entry; `slot` is reduced to the size of the queue.
    #[inline]
    pub(crate) fn entry(&self, slot: u32) -> Entry<'_> {
        // There are as many as a power of two.
        let slot = (slot & self.layout.sq_entries.wrapping_sub(1)) as usize;
        // SAFETY: By the type invariant the slot is inside the area.
        let at = unsafe {
            self.base
                .add(self.layout.sq_off as usize)
                .cast::<Sqe>()
                .add(slot)
        };
        // INVARIANT: By the type invariant the slot is aligned, and lives as long as `self`.
        Entry(at, PhantomData)
    }

    /// Stores a completion; `slot` is reduced to the size of the queue.
    #[inline]
    pub(crate) fn set_cqe(&self, slot: u32, user_data: u64, res: i64) {
        let slot = (slot & self.layout.cq_entries.wrapping_sub(1)) as usize;
        // SAFETY: By the type invariant the slot is inside the area and aligned.
        unsafe {
            ptr::write_volatile(
                self.base
                    .add(self.layout.cq_off as usize)
                    .cast::<bindings::saio_cqe>()
                    .add(slot),
                bindings::saio_cqe { user_data, res },
            )
        };
    }

    /// Kernel address of `len` bytes of the arena, `EFAULT` if they do not lie in it.
    pub(crate) fn arena(&self, offset: u64, len: u64) -> Result<*mut u8> {
        let size = u64::from(self.layout.arena_size);
        if offset > size || len > size - offset {
            return Err(EFAULT);
        }
        // SAFETY: By the check just made the offset is inside the area.
        Ok(unsafe {
            self.base
                .add(self.layout.arena_off as usize + offset as usize)
        })
    }

    /// Copies `N` bytes out of the arena.
    pub(crate) fn arena_copy<const N: usize>(&self, offset: u64, len: usize) -> Result<[u8; N]> {
        let mut out = [0; N];
        if len > N {
            return Err(EINVAL);
        }
        let from = self.arena(offset, len as u64)?;
        for (i, byte) in out.iter_mut().enumerate().take(len) {
            // SAFETY: `arena` has checked that `len` bytes from `from` are inside the area.
            *byte = unsafe { ptr::read_volatile(from.add(i)) };
        }
        Ok(out)
    }

    /// Where the owner sees the byte `offset` of the arena; a hint for filters and traces.
    pub(crate) fn arena_uaddr(&self, offset: u64) -> u64 {
        // SAFETY: The field is a plain word that C stores once, when the owner maps the ring.
        let uaddr = unsafe { ptr::read_volatile(&raw const (*self.raw.get()).uaddr) };
        (uaddr as u64)
            .wrapping_add(self.layout.arena_off.into())
            .wrapping_add(offset)
    }

    /// Counts so many orphans of this memory's user more, or less, and bytes of the arena that they
    /// hold. Whether there may be so many.
    pub(crate) fn count_orphans(&self, number: i32, bytes: i64) -> bool {
        // SAFETY: The field was set by `saio_mem_alloc`, does not change, and has a reference.
        unsafe { bindings::saio_orphans_add((*self.raw.get()).orphans, number, bytes) }
    }
}

/// An entry in shared memory, which may change between any two looks.
///
/// # Invariants
///
/// The pointer is valid and aligned for as long as the lifetime says.
pub(crate) struct Entry<'a>(*const Sqe, PhantomData<&'a Mem>);

impl Entry<'_> {
    /// Copies it.
    #[inline]
    pub(crate) fn copy(&self) -> Sqe {
        // SAFETY: By the type invariant the pointer is valid, and any bit pattern is a valid entry.
        // The copy may be torn, which only hurts who tore it.
        unsafe { ptr::read_volatile(self.0) }
    }

    /// What it begins with.
    #[inline]
    pub(crate) fn head(&self) -> SqeHead {
        // SAFETY: By the type invariant the pointer is valid, an entry begins like a head and is as aligned,
        // and any bit pattern is a valid one.
        unsafe { ptr::read_volatile(self.0.cast()) }
    }

    /// What else is in it: user data and arguments.
    #[inline]
    pub(crate) fn rest(&self) -> (u64, [u64; 6]) {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe {
            (
                ptr::read_volatile(&raw const (*self.0).user_data),
                ptr::read_volatile(&raw const (*self.0).args),
            )
        }
    }

    /// Its first argument.
    #[inline]
    pub(crate) fn target(&self) -> u64 {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { ptr::read_volatile(&raw const (*self.0).args[0]) }
    }
}

impl Drop for Mem {
    fn drop(&mut self) {
        // SAFETY: `raw` was set up by `saio_mem_alloc`, and no mapping is left: each holds the
        // file, which holds the ring.
        unsafe { bindings::saio_mem_free(self.raw.get()) };
    }
}

impl From<Impossible> for Error {
    fn from(_: Impossible) -> Self {
        EINVAL
    }
}
