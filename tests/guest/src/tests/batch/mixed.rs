// SPDX-License-Identifier: MIT OR Apache-2.0

//! Description: a batch of many different calls equals the same calls made one by one: in its
//! results, in what the calls write to memory, and in the files that they leave.

use crate::harness::*;
use libc::{
    AT_FDCWD, EPOLLIN, EPOLL_CTL_ADD, O_CREAT, O_RDONLY, O_RDWR, POLLIN, SEEK_SET, SOCK_STREAM,
};
use std::{collections::BTreeSet, fs};

/// Calls of the script that must differ from each other.
const DIFFERENT: usize = 40;

pub fn run() {
    let mut ring = RawRing::new();
    for directory in ["one", "two"] {
        fs::create_dir(directory).expect("the test's directory can be written");
    }
    let first_fd = next_fd();
    // The script's first call gives the old mask back, its last one sets this.
    sys!(libc::SYS_umask, 0o022);

    enter_directory("one");
    let mut memory = Memory::new();
    let calls = script(&mut memory, first_fd);
    let single: Vec<i64> = calls.iter().map(Call::run).collect();
    let single_out = memory.out;
    assert_eq!(next_fd(), first_fd, "the script closes what it opens");

    enter_directory("../two");
    *memory = Memory::zero();
    let calls = script(&mut memory, first_fd);
    let entries: Vec<Sqe> = calls.iter().map(Call::sqe).collect();
    let batch = ring.run(&entries);

    for (place, call) in calls.iter().enumerate() {
        assert!(
            single[place] == batch[place],
            "entry {place}, {call:x?}: {} alone, {} in the batch",
            show(single[place]),
            show(batch[place])
        );
    }
    expect_same(&memory.out, &single_out);
    assert_eq!(tree("../one"), tree("../two"));

    let different: BTreeSet<i64> = calls.iter().map(|call| call.nr).collect();
    let succeeded = single.iter().filter(|result| **result >= 0).count();
    assert!(different.len() >= DIFFERENT, "{} calls", different.len());
    assert!(succeeded >= DIFFERENT, "{succeeded} calls that succeed");
}

fn enter_directory(name: &str) {
    std::env::set_current_dir(name).expect("the directory was made above");
}

/// What the calls point to. Addresses stay the same in both runs.
struct Memory {
    /// What is compared: a place of 32 bytes for each call that writes something repeatable.
    out: [u8; 1024],
    /// What is not: times, inode numbers, …
    noise: [u8; 4096],
    parts: [libc::iovec; 2],
    holes: [libc::iovec; 2],
    item: libc::pollfd,
    event: libc::epoll_event,
    offset: i64,
    times: [libc::timespec; 2],
    value: i32,
    len: u32,
    mask: u64,
}

impl Memory {
    fn zero() -> Self {
        let part = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        Self {
            out: [0; 1024],
            noise: [0; 4096],
            parts: [part; 2],
            holes: [part; 2],
            item: zeroed(),
            event: zeroed(),
            offset: 0,
            times: zeroed(),
            value: 0,
            len: 0,
            mask: 0,
        }
    }

    fn new() -> Box<Self> {
        Box::new(Self::zero())
    }
}

/// The calls, for a process whose lowest free descriptor is `free`.
fn script(memory: &mut Memory, free: i32) -> Vec<Call> {
    let out = memory.out.as_mut_ptr();
    // Each caller takes another place.
    let place = |n: usize| out.wrapping_add(32 * n);
    let noise = memory.noise.as_mut_ptr();
    memory.parts = [part(c"gather".as_ptr(), 6), part(c"ed".as_ptr(), 2)];
    memory.holes = [
        part(place(0).cast_const().cast(), 3),
        part(place(1).cast_const().cast(), 32),
    ];
    memory.times = [zeroed(); 2];
    memory.times[1].tv_sec = 12345;
    memory.value = 65536;
    memory.len = 4;
    memory.mask = mask_of(libc::SIGUSR2);

    // Numbers that the calls below will get.
    let (file, read, write) = (free, free + 1, free + 2);
    let (left, right, event, poll) = (free + 3, free + 4, free + 5, free + 6);
    let (timer, memfd, watch, signals, directory) =
        (free + 7, free + 8, free + 9, free + 10, free + 11);
    memory.item.fd = read;
    memory.item.events = POLLIN;
    memory.event.events = EPOLLIN as u32;
    memory.event.u64 = 42;

    let at = AT_FDCWD;
    let name = |name: &'static std::ffi::CStr| name.as_ptr();
    let (f, g) = (name(c"f"), name(c"g"));
    let mut calls = vec![
        // Files and their descriptors.
        call!(libc::SYS_umask, 0o027),
        call!(libc::SYS_mkdir, name(c"d"), 0o755),
        call!(libc::SYS_mkdir, name(c"d"), 0o755),
        call!(libc::SYS_openat, at, name(c"none"), O_RDONLY),
        call!(libc::SYS_openat, at, f, O_RDWR | O_CREAT, 0o666),
        call!(libc::SYS_write, file, name(c"hello world"), 11),
        call!(libc::SYS_pwrite64, file, name(c"HELLO"), 5, 0),
        call!(libc::SYS_lseek, file, 0, SEEK_SET),
        call!(libc::SYS_read, file, place(2), 5),
        call!(libc::SYS_pread64, file, place(3), 6, 5),
        call!(libc::SYS_fstat, file, noise),
        call!(libc::SYS_ftruncate, file, 8),
        call!(libc::SYS_fsync, file),
        call!(libc::SYS_fdatasync, file),
        call!(libc::SYS_fallocate, file, 0, 0, 100),
        call!(libc::SYS_dup, file),
        call!(libc::SYS_dup2, file, 200),
        call!(libc::SYS_dup3, file, 201, libc::O_CLOEXEC),
        call!(libc::SYS_fcntl, 201, libc::F_GETFD),
        call!(libc::SYS_flock, file, libc::LOCK_EX),
        call!(libc::SYS_fchmod, file, 0o600),
        call!(libc::SYS_fchown, file, 1, 2),
        call!(libc::SYS_fadvise64, file, 0, 0, libc::POSIX_FADV_RANDOM),
        call!(libc::SYS_close, free + 1),
        call!(libc::SYS_close, 200),
        call!(libc::SYS_close, 200),
        // Names.
        call!(libc::SYS_rename, f, g),
        call!(libc::SYS_link, g, name(c"h")),
        call!(libc::SYS_symlink, g, name(c"s")),
        call!(libc::SYS_readlink, name(c"s"), place(4), 32),
        call!(libc::SYS_stat, g, noise),
        call!(libc::SYS_lstat, name(c"s"), noise),
        call!(libc::SYS_stat, f, noise),
        call!(libc::SYS_access, g, libc::R_OK),
        call!(libc::SYS_truncate, g, 64),
        call!(libc::SYS_chmod, g, 0o640),
        call!(libc::SYS_unlink, name(c"h")),
        call!(libc::SYS_mkdirat, at, name(c"e"), 0o700),
        call!(libc::SYS_renameat2, at, name(c"e"), at, name(c"d2"), 0),
        call!(libc::SYS_symlinkat, name(c"d2"), at, name(c"t")),
        call!(libc::SYS_readlinkat, at, name(c"t"), place(5), 32),
        call!(libc::SYS_linkat, at, g, at, name(c"i"), 0),
        call!(libc::SYS_unlinkat, at, name(c"s"), 0),
        call!(libc::SYS_rmdir, name(c"none")),
        call!(libc::SYS_fchmodat, at, name(c"i"), 0o604),
        call!(libc::SYS_newfstatat, at, name(c"i"), noise, 0),
        call!(libc::SYS_faccessat2, at, name(c"i"), libc::W_OK, 0),
        call!(libc::SYS_statx, at, g, 0, libc::STATX_BASIC_STATS, noise),
        call!(libc::SYS_statfs, name(c"."), noise),
    ];
    calls.extend([
        // Pipes, sockets, events.
        call!(libc::SYS_pipe2, place(6), 0),
        call!(libc::SYS_writev, write, &memory.parts, 2),
        call!(libc::SYS_poll, &memory.item, 1, 0),
        call!(libc::SYS_readv, read, &memory.holes, 2),
        call!(libc::SYS_sendfile, write, file, &memory.offset, 5),
        call!(libc::SYS_read, read, place(7), 32),
        call!(libc::SYS_read, write, place(7), 32),
        call!(
            libc::SYS_socketpair,
            libc::AF_UNIX,
            SOCK_STREAM,
            0,
            place(8)
        ),
        call!(libc::SYS_sendto, left, name(c"over"), 4, 0, 0, 0),
        call!(libc::SYS_recvfrom, right, place(9), 32, 0, 0, 0),
        call!(
            libc::SYS_getsockopt,
            left,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            place(10),
            &memory.len
        ),
        call!(
            libc::SYS_setsockopt,
            left,
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            &memory.value,
            4
        ),
        call!(libc::SYS_shutdown, left, libc::SHUT_WR),
        call!(libc::SYS_recvfrom, right, place(9), 32, 0, 0, 0),
        call!(libc::SYS_eventfd2, 5, 0),
        call!(libc::SYS_epoll_create1, 0),
        call!(
            libc::SYS_epoll_ctl,
            poll,
            EPOLL_CTL_ADD,
            event,
            &memory.event
        ),
        call!(libc::SYS_epoll_wait, poll, place(11), 2, 0),
        call!(libc::SYS_read, event, place(12), 8),
        call!(
            libc::SYS_timerfd_create,
            libc::CLOCK_MONOTONIC,
            libc::TFD_NONBLOCK
        ),
        call!(libc::SYS_read, timer, place(13), 8),
        call!(libc::SYS_memfd_create, name(c"m"), 0),
        call!(
            libc::SYS_copy_file_range,
            file,
            &memory.offset,
            memfd,
            0,
            4,
            0
        ),
        call!(libc::SYS_inotify_init1, libc::IN_NONBLOCK),
        call!(
            libc::SYS_inotify_add_watch,
            watch,
            name(c"d"),
            libc::IN_CREATE
        ),
        call!(libc::SYS_signalfd4, -1, &memory.mask, 8, 0),
        call!(libc::SYS_fcntl, signals, libc::F_GETFL),
        call!(libc::SYS_open, name(c"d2"), O_RDONLY),
        call!(libc::SYS_getdents64, directory, noise, 4096),
        call!(libc::SYS_utimensat, at, g, &memory.times, 0),
        // The process and the system.
        call!(libc::SYS_getpid),
        call!(libc::SYS_getppid),
        call!(libc::SYS_gettid),
        call!(libc::SYS_getuid),
        call!(libc::SYS_getegid),
        call!(libc::SYS_uname, noise),
        call!(libc::SYS_clock_gettime, libc::CLOCK_REALTIME, noise),
        call!(libc::SYS_getrusage, 0, noise),
        call!(libc::SYS_getcwd, noise, 4096),
        call!(libc::SYS_getrandom, noise, 16, 0),
        call!(libc::SYS_sched_yield),
        call!(libc::SYS_kill, i32::MAX, 0),
        call!(libc::SYS_read, 9999, noise, 1),
        // Back to where it began.
        call!(libc::SYS_umask, 0o022),
        call!(libc::SYS_close_range, free, 250, 0),
    ]);
    calls
}

fn part(base: *const libc::c_char, len: usize) -> libc::iovec {
    libc::iovec {
        iov_base: base.cast_mut().cast(),
        iov_len: len,
    }
}
