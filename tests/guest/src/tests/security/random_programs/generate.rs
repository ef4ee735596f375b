// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random calls on files, names, pipes and sockets, none of which can block, and which say the same
//! wherever they run: on few names and few descriptors, so that they meet.

use crate::harness::*;
use libc::{AT_FDCWD, O_APPEND, O_CLOEXEC, O_CREAT, O_EXCL, O_NONBLOCK, O_RDWR, O_TRUNC, O_WRONLY};
use std::ffi::CStr;

/// Most calls of a program.
pub const MOST: usize = 48;
/// Bytes of memory that a call has for itself.
pub const SLOT: usize = 256;
/// Descriptors that are named.
const NUMBERS: usize = 10;
/// Most bytes that a call reads or writes.
const BYTES: usize = 128;

/// Memory that the calls of a program write to.
pub type Memory = [u8; MOST * SLOT];

const NAMES: [&CStr; 9] = [c"a", c"b", c"c", c"d", c"d/a", c"d/b", c"e", c"e/d", c"s"];
static TEXT: [u8; BYTES] = *b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/";

/// What a result means, so that another call can make use of it.
#[derive(Clone, Copy, PartialEq)]
enum Gives {
    Descriptor,
    Count,
    Nothing,
}

/// A call and how it hangs together with others.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub call: Call,
    /// `LINK`, `HARDLINK` and `SKIP_SUCCESS`.
    pub flags: u16,
    /// An argument that is a result: which one, and of how many places back.
    pub source: Option<(u32, u32)>,
}

impl Step {
    pub fn sqe(&self) -> Sqe {
        let entry = self.call.sqe().flag(self.flags);
        match self.source {
            Some((arg, back)) => entry.result_to(arg, back),
            None => entry,
        }
    }
}

/// A program: batches of calls, for a process whose lowest free descriptor is `first`.
pub fn program(seed: u64, first: i32, memory: &mut Memory) -> Vec<Vec<Step>> {
    let rng = Rng::new(seed);
    let mut generator = Generator { rng, first };
    let mut slots = memory.chunks_exact_mut(SLOT).map(<[u8]>::as_mut_ptr);
    let mut batches = vec![generator.beginning(&mut slots)];
    let mut left = 8 + generator.below(MOST - 8 - batches[0].len());
    while left != 0 {
        let len = generator.one_of([1, 2, 3, 5, 8, 16, 32]).min(left);
        left -= len;
        batches.push(generator.batch(len, &mut slots));
    }
    batches
}

struct Generator {
    rng: Rng,
    first: i32,
}

impl Generator {
    fn below(&mut self, end: usize) -> usize {
        self.rng.below(end)
    }

    fn one_of<T: Copy, const N: usize>(&mut self, all: [T; N]) -> T {
        all[self.below(N)]
    }

    /// Something to work on.
    fn beginning(&mut self, slots: &mut impl Iterator<Item = *mut u8>) -> Vec<Step> {
        // As everywhere, one for each call.
        let slots: [_; 6] = std::array::from_fn(|_| slots.next().expect("there are enough"));
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
        let flags = O_RDWR | O_CREAT;
        let calls = [
            call!(libc::SYS_openat, AT_FDCWD, c"a".as_ptr(), flags, 0o644),
            call!(libc::SYS_mkdirat, AT_FDCWD, c"d".as_ptr(), 0o755),
            call!(libc::SYS_openat, AT_FDCWD, c"d".as_ptr(), 0),
            call!(libc::SYS_pipe2, slots[3], O_NONBLOCK),
            call!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, slots[4]),
            call!(libc::SYS_pwrite64, self.first, TEXT.as_ptr(), BYTES, 0),
        ];
        let step = |call| Step {
            call,
            flags: 0,
            source: None,
        };
        calls.map(step).into()
    }

    fn batch(&mut self, len: usize, slots: &mut impl Iterator<Item = *mut u8>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        // What the calls of the chain give so far.
        let mut chain: Vec<Gives> = Vec::new();
        for _ in 0..len {
            let slot = slots.next().expect("there are as many as calls");
            let (call, gives, takes) = self.call(slot);
            let wanted = |gives: &Gives| takes.is_some_and(|(what, _)| what == *gives);
            let back = chain.iter().rev().take(8).position(wanted);
            let source = match (takes, back) {
                (Some((_, arg)), Some(back)) if self.below(4) != 0 => Some((arg, back as u32 + 1)),
                _ => None,
            };
            let link = self.one_of([0, 0, 0, 0, LINK, LINK, HARDLINK]);
            let skip = if self.below(8) == 0 { SKIP_SUCCESS } else { 0 };
            steps.push(Step {
                call,
                flags: link | skip,
                source,
            });
            if link == 0 {
                chain.clear();
            } else {
                chain.push(gives);
            }
        }
        steps
    }

    fn number(&mut self) -> i32 {
        match self.below(24) {
            0 => -1,
            _ => self.first + self.below(NUMBERS) as i32,
        }
    }

    fn at(&mut self) -> i32 {
        match self.below(6) {
            0 => self.number(),
            _ => AT_FDCWD,
        }
    }

    fn name(&mut self) -> *const libc::c_char {
        self.one_of(NAMES).as_ptr()
    }

    fn len(&mut self) -> usize {
        self.below(BYTES + 1)
    }

    /// A call, what its result means, and what it can take from another one, as which argument.
    fn call(&mut self, slot: *mut u8) -> (Call, Gives, Option<(Gives, u32)>) {
        let text = TEXT.as_ptr();
        let (fd, len, offset) = (self.number(), self.len(), self.below(300));
        let bytes = [(Gives::Descriptor, 0), (Gives::Count, 2)];
        let bytes = Some(self.one_of(bytes));
        let file = Some((Gives::Descriptor, 0));
        match self.below(36) {
            0..=3 => (self.open(), Gives::Descriptor, None),
            4 | 5 => (call!(libc::SYS_write, fd, text, len), Gives::Count, bytes),
            6 => (
                call!(libc::SYS_pwrite64, fd, text, len, offset),
                Gives::Count,
                bytes,
            ),
            7 | 8 => (call!(libc::SYS_read, fd, slot, len), Gives::Count, bytes),
            9 => (
                call!(libc::SYS_pread64, fd, slot, len, offset),
                Gives::Count,
                bytes,
            ),
            10 => {
                let whence = self.one_of([libc::SEEK_SET, libc::SEEK_CUR, libc::SEEK_END]);
                let call = call!(libc::SYS_lseek, fd, offset as i64 - 50, whence);
                (call, Gives::Nothing, file)
            }
            11 => (call!(libc::SYS_ftruncate, fd, offset), Gives::Nothing, file),
            12 => (call!(libc::SYS_fstat, fd, slot), Gives::Nothing, file),
            13 => (call!(libc::SYS_dup, fd), Gives::Descriptor, file),
            14 => {
                let (to, flags) = (self.number(), self.one_of([0, O_CLOEXEC]));
                let call = call!(libc::SYS_dup3, fd, to, flags);
                (call, Gives::Descriptor, file)
            }
            15 | 16 => (call!(libc::SYS_close, fd), Gives::Nothing, file),
            17 => self.fcntl(fd),
            18 => (
                call!(libc::SYS_pipe2, slot, O_NONBLOCK),
                Gives::Nothing,
                None,
            ),
            19 => {
                let flags = libc::EFD_NONBLOCK | self.one_of([0, libc::EFD_SEMAPHORE]);
                let call = call!(libc::SYS_eventfd2, offset, flags);
                (call, Gives::Descriptor, None)
            }
            20 => {
                let kind = self.one_of([libc::SOCK_STREAM, libc::SOCK_DGRAM]);
                let kind = kind | libc::SOCK_NONBLOCK;
                let call = call!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, slot);
                (call, Gives::Nothing, None)
            }
            21 | 22 => {
                let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                let call = call!(libc::SYS_sendto, fd, text, len, flags, 0, 0);
                (call, Gives::Count, bytes)
            }
            23 => {
                let flags = libc::MSG_DONTWAIT;
                let call = call!(libc::SYS_recvfrom, fd, slot, len, flags, 0, 0);
                (call, Gives::Count, bytes)
            }
            24 => {
                let how = self.one_of([libc::SHUT_RD, libc::SHUT_WR, libc::SHUT_RDWR]);
                (call!(libc::SYS_shutdown, fd, how), Gives::Nothing, file)
            }
            25 => {
                let source = self.number();
                let call = call!(libc::SYS_sendfile, fd, source, 0, len);
                (call, Gives::Count, Some((Gives::Descriptor, 1)))
            }
            26 => (
                call!(libc::SYS_flock, fd, libc::LOCK_EX | libc::LOCK_NB),
                Gives::Nothing,
                file,
            ),
            27 => (
                call!(libc::SYS_fallocate, fd, 0, offset, len),
                Gives::Nothing,
                file,
            ),
            28 => {
                let mask = self.one_of([0o022, 0o027, 0o077]);
                (call!(libc::SYS_umask, mask), Gives::Nothing, None)
            }
            29 => (call!(libc::SYS_fchdir, fd), Gives::Nothing, file),
            _ => (self.names(slot), Gives::Nothing, None),
        }
    }

    fn open(&mut self) -> Call {
        let (at, name) = (self.at(), self.name());
        let flags = self.one_of([
            0,
            libc::O_DIRECTORY,
            O_RDWR | O_CREAT,
            O_RDWR | O_CREAT,
            O_RDWR | O_CREAT | O_EXCL,
            O_RDWR | O_CREAT | O_APPEND,
            O_WRONLY | O_CREAT | O_TRUNC,
        ]);
        let more = self.one_of([0, O_CLOEXEC, O_NONBLOCK]);
        call!(libc::SYS_openat, at, name, flags | more, 0o666)
    }

    fn fcntl(&mut self, fd: i32) -> (Call, Gives, Option<(Gives, u32)>) {
        let nr = libc::SYS_fcntl;
        let (call, gives) = match self.below(5) {
            0 => (call!(nr, fd, libc::F_GETFL), Gives::Nothing),
            1 => (call!(nr, fd, libc::F_GETFD), Gives::Nothing),
            2 => (
                call!(nr, fd, libc::F_SETFD, libc::FD_CLOEXEC),
                Gives::Nothing,
            ),
            3 => {
                // Never blocking.
                let flags = O_NONBLOCK | self.one_of([0, O_APPEND]);
                (call!(nr, fd, libc::F_SETFL, flags), Gives::Nothing)
            }
            _ => (call!(nr, fd, libc::F_DUPFD, self.first), Gives::Descriptor),
        };
        (call, gives, Some((Gives::Descriptor, 0)))
    }

    /// A call that works on names.
    fn names(&mut self, slot: *mut u8) -> Call {
        let (at, name) = (self.at(), self.name());
        let (to, other) = (self.at(), self.name());
        match self.below(10) {
            0 | 1 => call!(libc::SYS_mkdirat, at, name, 0o777),
            2 => call!(libc::SYS_unlinkat, at, name, 0),
            3 => call!(libc::SYS_unlinkat, at, name, libc::AT_REMOVEDIR),
            4 | 5 => {
                let flags = self.one_of([0, libc::RENAME_NOREPLACE, libc::RENAME_EXCHANGE]);
                call!(libc::SYS_renameat2, at, name, to, other, flags)
            }
            6 => call!(libc::SYS_linkat, at, name, to, other, 0),
            7 => call!(libc::SYS_symlinkat, name, to, c"s".as_ptr()),
            8 => call!(libc::SYS_readlinkat, at, name, slot, BYTES),
            _ => call!(
                libc::SYS_newfstatat,
                at,
                name,
                slot,
                libc::AT_SYMLINK_NOFOLLOW
            ),
        }
    }
}
