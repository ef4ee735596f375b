// SPDX-License-Identifier: MIT OR Apache-2.0

//! Steps on rings.

use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use saio::sys;

use super::memory;
use super::raw::{address, call, load, store};
use super::world::{Ring, World};
use crate::plan::op::{Arg, Connection, EnterArg, Entry, Index, PoolCall, SocketKind};
use crate::plan::slots;

const SETUP: i64 = sys::__NR_saio_setup as i64;
const ENTER: i64 = sys::__NR_saio_enter as i64;
const REGISTER: i64 = sys::__NR_saio_register as i64;
const POOL: i64 = sys::__NR_saio_pool as i64;

/// One entry in so many may name a flow that is none any more; others get a new one.
const DEAD_FLOWS: u64 = 8;

/// Names of pools: those that cases make, the one that is there, and wrong ones.
const POOL_NAMES: [&[u8]; 10] = [
    b"",
    b"default",
    b"fz0",
    b"fz1",
    b"fz2",
    b"fz3",
    b"fz bad",
    b"0123456789abcdef0123456789abcde",
    b"0123456789abcdef0123456789abcdef",
    b"fz\0x",
];

fn pool_name(index: u8) -> [u8; 32] {
    let mut name = [0; 32];
    let text = POOL_NAMES[usize::from(index) % POOL_NAMES.len()];
    name[..text.len()].copy_from_slice(text);
    name
}

impl World {
    /// Counts the result of one of SAIO's own calls.
    fn own(&self, nr: i64, result: isize) -> isize {
        self.stats.result(nr as u64, result as i64);
        result
    }

    pub(super) fn setup(&self, slot: u8, words: &[u32; 7], size: u64, read_only: bool) {
        let mut params = sys::saio_params {
            flags: words[0],
            sq_entries: words[1],
            cq_entries: words[2],
            flows: words[3],
            arena_size: words[4],
            flow_limit: words[5],
            features: words[6],
            ..Default::default()
        };
        let pointer = if read_only {
            memory::read_only_copy(&params)
        } else {
            &raw mut params as usize
        };
        let fd = self.own(SETUP, call(SETUP, &[pointer, size as usize]));
        if fd < 0 {
            return;
        }
        self.set_fd(slot, fd);
        let size = params.map_size as usize;
        let base = self.map_fd(fd, size, 0);
        if base < 0 {
            return;
        }
        let ring = self.ring(slot);
        let base = base as usize;
        // The address last: who sees it finds the rest of some ring.
        ring.sq_entries.store(params.sq_entries, Relaxed);
        ring.cq_entries.store(params.cq_entries, Relaxed);
        ring.sq_off.store(params.sq_off, Relaxed);
        ring.cq_off.store(params.cq_off, Relaxed);
        ring.flow_off.store(params.flow_off, Relaxed);
        ring.arena_off.store(params.arena_off, Relaxed);
        ring.tail.store(0, Relaxed);
        ring.head.store(0, Relaxed);
        memory::remember(slot, base, size);
        memory::fill_arena(base + params.arena_off as usize, params.arena_size);
        ring.size.store(size, Relaxed);
        ring.base.store(base, Relaxed);
    }

    fn map_fd(&self, fd: isize, length: usize, offset: usize) -> isize {
        let prot = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let flags = libc::MAP_SHARED as usize;
        call(
            libc::SYS_mmap,
            &[0, length, prot, flags, fd as usize, offset],
        )
    }

    pub(super) fn map(&self, slot: u8, length: u64, offset: u64) {
        let length = match length {
            0 => self.ring(slot).size.load(Relaxed),
            given => given as usize,
        };
        self.map_fd(self.fd(slot) as isize, length, offset as usize);
    }

    pub(super) fn unmap(&self, slot: u8, page: u16, pages: u16) {
        let ring = self.ring(slot);
        let (base, size) = (ring.base.load(Relaxed), ring.size.load(Relaxed));
        let start = usize::from(page) * 4096;
        if base == 0 || start >= size {
            return;
        }
        let length = (usize::from(pages) * 4096).min(size - start);
        call(libc::SYS_munmap, &[base + start, length]);
    }

    pub(super) fn put(&self, slot: u8, entry: &Entry) {
        let ring = self.ring(slot);
        let base = ring.base.load(Relaxed);
        if base == 0 {
            return;
        }
        let head: u32 = load(base + offset_of!(sys::saio_ring, sq_head));
        if ring.tail.load(Relaxed).wrapping_sub(head) >= ring.sq_entries.load(Relaxed) {
            // As a library does when the queue is full.
            self.publish(slot, Index::Right);
            self.enter(slot, u32::MAX, 0, 0, EnterArg::None);
            self.reap(slot, Index::Right);
        }
        let nr = entry.call.nr;
        let cookie = self.cookie.fetch_add(1, Relaxed);
        if let Arg::Flow { flow, .. } = entry.call.args[0] {
            if cookie % DEAD_FLOWS != 0 && !self.lives(base, ring, flow) {
                self.revive(slot, flow);
            }
        }
        let sqe = sys::saio_sqe {
            nr,
            flags: entry.flags,
            ctl: entry.ctl,
            user_data: cookie << 16 | u64::from(nr),
            args: self.arguments(&entry.call),
        };
        let tail = ring.tail.fetch_add(1, Relaxed);
        let mask = ring.sq_entries.load(Relaxed).wrapping_sub(1);
        let at = base + (ring.sq_off.load(Relaxed) + (tail & mask) * 64) as usize;
        store(at, sqe);
        self.stats.entries.fetch_add(1, Relaxed);
        if entry.flags & sys::SQE_FLOW != 0 {
            self.stats.flow_entries.fetch_add(1, Relaxed);
        }
    }

    /// Whether a flow is one of this ring, and its connection has not failed.
    fn lives(&self, base: usize, ring: &Ring, flow: u8) -> bool {
        let reference = self.flows[usize::from(flow)].load(Relaxed);
        let place = (reference & 0xffff) as usize * 4 + ring.flow_off.load(Relaxed) as usize;
        if place >= ring.arena_off.load(Relaxed) as usize {
            return false;
        }
        let word: u32 = load(base + place);
        let bits = word & (sys::SAIO_FLOW_USED | sys::SAIO_FLOW_STALE | sys::SAIO_FLOW_FAILED);
        word >> 16 == reference >> 16 && bits == sys::SAIO_FLOW_USED
    }

    /// Makes a flow anew, with a connection of its own, as a server does for its next client.
    fn revive(&self, ring: u8, flow: u8) {
        let pair = flow % slots::PAIRS;
        self.connect(&Connection {
            pair,
            kind: SocketKind::Tcp4,
            sndbuf: 0,
            rcvbuf: 0,
            nonblocking: true,
        });
        self.register(ring, slots::SOCKETS + pair, flow, false);
    }

    pub(super) fn publish(&self, slot: u8, tail: Index) {
        let ring = self.ring(slot);
        let base = ring.base.load(Relaxed);
        if base != 0 {
            let value = index(ring.tail.load(Relaxed), tail);
            store(base + offset_of!(sys::saio_ring, sq_tail), value);
        }
    }

    pub(super) fn enter(&self, slot: u8, submit: u32, complete: u32, flags: u32, arg: EnterArg) {
        let mut given = sys::saio_enter_arg::default();
        let (pointer, size) = match arg {
            EnterArg::None => (0, 0),
            EnterArg::Given(timeout, resv, size) => {
                given.timeout_ns = timeout;
                given.resv = resv;
                (&raw mut given as usize, size as usize)
            }
            EnterArg::Wild(arg, size) => (self.resolve(arg) as usize, size as usize),
        };
        let fd = self.fd(slot) as usize;
        let args = [
            fd,
            submit as usize,
            complete as usize,
            flags as usize,
            pointer,
            size,
        ];
        let taken = self.own(ENTER, call(ENTER, &args));
        if taken > 0 {
            self.stats.taken.fetch_add(taken as u64, Relaxed);
        }
        let ring = self.ring(slot);
        let base = ring.base.load(Relaxed);
        if base != 0 && taken == -(libc::EINVAL as isize) {
            // The tail may be one that was scribbled: go on from where the kernel is.
            let head: u32 = load(base + offset_of!(sys::saio_ring, sq_head));
            ring.tail.store(head, Relaxed);
        }
    }

    pub(super) fn wake(&self, slot: u8) {
        let base = self.ring(slot).base.load(Relaxed);
        if base == 0 {
            return;
        }
        let flags: u32 = load(base + offset_of!(sys::saio_ring, sq_flags));
        if flags & sys::SAIO_RING_NEED_WAKEUP != 0 {
            self.enter(slot, 0, 0, sys::SAIO_ENTER_WAKEUP, EnterArg::None);
        }
    }

    pub(super) fn reap(&self, slot: u8, how: Index) {
        let ring = self.ring(slot);
        let base = ring.base.load(Relaxed);
        if base == 0 {
            return;
        }
        let tail: u32 = load(base + offset_of!(sys::saio_ring, cq_tail));
        let entries = ring.cq_entries.load(Relaxed);
        let mut head = ring.head.load(Relaxed);
        if tail.wrapping_sub(head) > entries {
            // It was scribbled: there is nothing that could be read.
            head = tail;
        }
        while head != tail {
            let place = head & entries.wrapping_sub(1);
            let at = base + (ring.cq_off.load(Relaxed) + place * 16) as usize;
            let done: sys::saio_cqe = load(at);
            self.stats.result(done.user_data & 0xffff, done.res);
            self.stats.completions.fetch_add(1, Relaxed);
            head = head.wrapping_add(1);
        }
        ring.head.store(head, Relaxed);
        store(base + offset_of!(sys::saio_ring, cq_head), index(head, how));
    }

    pub(super) fn scribble(&self, slot: u8, offset: u32, value: u32) {
        let ring = self.ring(slot);
        let (base, size) = (ring.base.load(Relaxed), ring.size.load(Relaxed));
        if base != 0 && size >= 8 {
            store(base + ((offset as usize % (size - 3)) & !3), value);
        }
    }

    fn call_register(&self, ring: u8, op: u32, pointer: usize, size: usize) -> isize {
        let args = [self.fd(ring) as usize, op as usize, pointer, size];
        self.own(REGISTER, call(REGISTER, &args))
    }

    pub(super) fn register(&self, ring: u8, fd: u8, flow: u8, read_only: bool) {
        let mut reg = sys::saio_flow_reg {
            fd: self.fd(fd) as u32,
            ..Default::default()
        };
        let pointer = if read_only {
            memory::read_only_copy(&reg)
        } else {
            &raw mut reg as usize
        };
        if self.call_register(ring, sys::SAIO_REGISTER_FLOW, pointer, size_of_val(&reg)) == 0 {
            self.flows[usize::from(flow)].store(reg.flow, Relaxed);
        }
    }

    pub(super) fn unregister(&self, ring: u8, flow: u8, twist: u32) {
        let reg = sys::saio_flow_reg {
            flow: self.flows[usize::from(flow)].load(Relaxed) ^ twist,
            ..Default::default()
        };
        self.call_register(
            ring,
            sys::SAIO_UNREGISTER_FLOW,
            address(&reg),
            size_of_val(&reg),
        );
    }

    pub(super) fn register_raw(&self, ring: u8, op: u32, words: &[u32; 4], size: u64) {
        let mut place = [0u32; 32];
        place[..4].copy_from_slice(words);
        self.call_register(ring, op, address(&place), size as usize);
    }

    pub(super) fn attach(&self, ring: u8, name: u8, mode: u32) {
        let pool = sys::saio_ring_pool {
            name: pool_name(name),
            mode,
            ..Default::default()
        };
        self.call_register(
            ring,
            sys::SAIO_REGISTER_POOL,
            address(&pool),
            size_of_val(&pool),
        );
    }

    pub(super) fn pool(&self, what: &PoolCall) {
        let mask = [what.cpus; 512];
        let mut stat: sys::saio_pool_stat = super::raw::zeroed();
        stat.name = pool_name(what.name);
        let mut attr = sys::saio_pool_attr {
            name: pool_name(what.name),
            id: what.id,
            set: what.set,
            flags: what.flags,
            workers: what.workers,
            max: what.max,
            gid: what.gid,
            idle_ns: what.idle,
            cpus: address(&mask) as u64,
            cpus_len: what.cpus_len,
            rings: 0,
            resv: [what.resv, 0],
        };
        let (pointer, size) = if what.cmd == sys::SAIO_POOL_STAT {
            (&raw mut stat as usize, size_of_val(&stat))
        } else {
            (&raw mut attr as usize, size_of_val(&attr))
        };
        let size = if what.size == 0 {
            size
        } else {
            what.size as usize
        };
        self.own(POOL, call(POOL, &[what.cmd as usize, pointer, size]));
    }
}

fn index(right: u32, how: Index) -> u32 {
    match how {
        Index::Right => right,
        Index::Off(by) => right.wrapping_add_signed(by),
        Index::Raw(value) => value,
    }
}
