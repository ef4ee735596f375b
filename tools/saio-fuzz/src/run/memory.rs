// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory of a case: the yard, and what happens when a ring is no longer mapped.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use saio::sys;

use super::raw::{call, store, zeroed};
use crate::plan::slots;
use crate::yard::{self, arena, BUFFERS, END, NAME, NO_ACCESS, PAGE, READ_ONLY};

const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const ANONYMOUS: usize = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;

/// Where mappings of rings are or were: start and size.
static RINGS: [[AtomicUsize; 2]; slots::RINGS as usize] =
    [const { [const { AtomicUsize::new(0) }; 2] }; slots::RINGS as usize];

/// Maps the yard and fills it in; its address.
pub fn make_yard() -> usize {
    let size = (END + PAGE) as usize;
    let base = call(
        libc::SYS_mmap,
        &[0, size, READ_WRITE, ANONYMOUS, usize::MAX, 0],
    );
    if base < 0 {
        super::raw::exit(1);
    }
    let base = base as usize;
    fill_yard(base);
    let page = PAGE as usize;
    call(
        libc::SYS_mprotect,
        &[base + READ_ONLY as usize, page, libc::PROT_READ as usize],
    );
    call(
        libc::SYS_mprotect,
        &[base + NO_ACCESS as usize, page, libc::PROT_NONE as usize],
    );
    call(libc::SYS_munmap, &[base + END as usize, page]);
    base
}

/// A copy of a structure where nothing can be written, once it was made; never unmapped.
pub fn read_only_copy<T: Copy>(value: &T) -> usize {
    let page = PAGE as usize;
    let args = [0, page, READ_WRITE, ANONYMOUS, usize::MAX, 0];
    let place = call(libc::SYS_mmap, &args);
    if place < 0 {
        // The kernel refuses the null pointer.
        return 0;
    }
    store(place as usize, *value);
    call(
        libc::SYS_mprotect,
        &[place as usize, page, libc::PROT_READ as usize],
    );
    place as usize
}

/// Writes the structures of the first page.
pub fn fill_yard(base: usize) {
    let at = |offset: u32| base + offset as usize;
    let word64 = |offset: u32, words: &[u64]| {
        for (i, word) in words.iter().enumerate() {
            store(at(offset) + 8 * i, *word);
        }
    };
    let buffer = |page: u32| at(BUFFERS + page * PAGE) as u64;
    for i in 0..8 {
        word64(yard::IOVEC + 16 * i, &[buffer(i), u64::from(i) * 100 + 1]);
    }
    let iovec = at(yard::IOVEC) as u64;
    word64(yard::MSGHDR, &[0, 0, iovec, 3, 0, 0, 0]);
    for i in 0..2 {
        word64(yard::MMSGHDR + 64 * i, &[0, 0, iovec, 2, 0, 0, 0, 0]);
    }
    word64(yard::TIMESPEC, &[0, 2_000_000]);
    word64(yard::TIMEVAL, &[0, 2000, 0, 2000]);
    word64(yard::ITIMERSPEC, &[0, 3_000_000, 0, 3_000_000]);
    word64(yard::ITIMERVAL, &[0, 3000, 0, 3000]);
    store(at(yard::SOCKADDR), libc::AF_INET as u16);
    store(at(yard::SOCKADDR) + 4, u32::from_ne_bytes([127, 0, 0, 1]));
    store(at(yard::SOCKLEN), 16u32);
    for i in 0..4u32 {
        // Numbers that are likely to be open.
        store(
            at(yard::POLLFD) + 8 * i as usize,
            u64::from(3 + 3 * i) | 0x5 << 32,
        );
    }
    store(
        at(yard::EPOLL_EVENT),
        (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32,
    );
    word64(yard::SIGSET, &[1 << (libc::SIGUSR1 - 1)]);
    word64(yard::RLIMIT, &[256, 256]);
    store(at(yard::SIGEVENT) + 8, libc::SIGUSR1);
    word64(yard::OPEN_HOW, &[libc::O_RDWR as u64, 0, 0]);
    store(at(yard::SEMBUF) + 2, 1u16);
    word64(yard::MSGBUF, &[1, 1]);
    store(at(yard::FILE_HANDLE), 32u32);
    word64(yard::FD_SET, &[0xff8]);
    word64(yard::PSELECT_MASK, &[at(yard::SIGSET) as u64, 8]);
    word64(yard::SIGACTION, &[libc::SIG_IGN as u64, 0, 0, 0]);
    word64(yard::IOCB, &[at(yard::IOCB + 8) as u64]);
    for (i, text) in NAME.iter().enumerate() {
        for (j, byte) in text.bytes().enumerate() {
            store(at(yard::name(i)) + j, byte);
        }
    }
}

/// Writes the tables of an arena that lies at `base`.
pub fn fill_arena(base: usize, size: u32) {
    if size < PAGE {
        return;
    }
    let table = |offset: u32, words: &[u64]| {
        for (i, word) in words.iter().enumerate() {
            store(base + offset as usize + 8 * i, *word);
        }
    };
    let bytes = u64::from(arena::BYTES);
    for i in 0..8 {
        let at = bytes + u64::from(i) * 300;
        table(arena::IOVEC + 16 * i, &[at, u64::from(i) * 37 + 1]);
        table(arena::LONG_IOVEC + 16 * i, &[at, 1000 * u64::from(i)]);
        let outside = if i == 2 { u64::from(size) - 1 } else { at };
        table(arena::BAD_IOVEC + 16 * i, &[outside, 10]);
    }
    table(arena::MSGHDR, &[0, 0, arena::IOVEC.into(), 4, 0, 0, 0]);
    table(
        arena::BAD_MSGHDR,
        &[arena::ONE.into(), 16, arena::IOVEC.into(), 4, 0, 0, 0],
    );
    table(arena::ONE, &[1]);
    table(arena::LINGER, &[1]);
    table(arena::ZERO, &[0]);
}

/// Remembers where a ring is mapped.
pub fn remember(ring: u8, base: usize, size: usize) {
    let area = &RINGS[usize::from(ring)];
    area[0].store(base, Relaxed);
    area[1].store(size, Relaxed);
}

/// Lets the process go on when it touches a ring that is unmapped: with memory of its own there.
/// Everything else ends it.
pub fn survive_unmapping() {
    let mut action: libc::sigaction = zeroed();
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler only makes system calls.
        unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
    }
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid structure; of a fault it has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let inside = RINGS.iter().any(|area| {
        let base = area[0].load(Relaxed);
        base != 0 && (base..base + area[1].load(Relaxed)).contains(&address)
    });
    if signal == libc::SIGSEGV && inside {
        let page = PAGE as usize;
        let start = address & !(page - 1);
        let flags = ANONYMOUS | libc::MAP_FIXED as usize;
        let mapped = call(
            libc::SYS_mmap,
            &[start, page, READ_WRITE, flags, usize::MAX, 0],
        );
        if mapped >= 0 {
            return;
        }
    }
    super::raw::exit(128 + signal);
}

/// `saio_cqe` and `saio_sqe` are plain numbers.
const _: () = assert!(size_of::<sys::saio_sqe>() == 64 && size_of::<sys::saio_cqe>() == 16);
