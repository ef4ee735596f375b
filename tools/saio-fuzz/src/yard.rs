// SPDX-License-Identifier: MIT OR Apache-2.0

//! The yard: memory that arguments of calls point into. Its first page has structures that
//! make sense; behind it are buffers, pages that cannot be written or read, and pages that
//! calls may map anew.

/// Bytes of a page.
pub const PAGE: u32 = 4096;

/// `struct iovec[8]`.
pub const IOVEC: u32 = 0x000;
/// `struct msghdr` with three buffers.
pub const MSGHDR: u32 = 0x080;
/// `struct mmsghdr[2]`.
pub const MMSGHDR: u32 = 0x0c0;
/// `struct timespec`, short.
pub const TIMESPEC: u32 = 0x180;
/// `struct timeval`, short; a second one follows.
pub const TIMEVAL: u32 = 0x190;
/// `struct itimerspec`, short.
pub const ITIMERSPEC: u32 = 0x1b0;
/// `struct itimerval`, short.
pub const ITIMERVAL: u32 = 0x1d0;
/// `struct sockaddr_in` of loopback.
pub const SOCKADDR: u32 = 0x1f0;
/// Its length.
pub const SOCKLEN: u32 = 0x200;
/// `struct pollfd[4]`.
pub const POLLFD: u32 = 0x210;
/// `struct epoll_event`.
pub const EPOLL_EVENT: u32 = 0x230;
/// A signal set.
pub const SIGSET: u32 = 0x240;
/// A word that is zero.
pub const WORD: u32 = 0x248;
/// `struct rlimit`.
pub const RLIMIT: u32 = 0x250;
/// `struct sigevent`.
pub const SIGEVENT: u32 = 0x260;
/// `struct open_how`.
pub const OPEN_HOW: u32 = 0x2b0;
/// `struct sembuf`.
pub const SEMBUF: u32 = 0x2d0;
/// `struct msgbuf`.
pub const MSGBUF: u32 = 0x2e0;
/// `struct file_handle`.
pub const FILE_HANDLE: u32 = 0x300;
/// An `fd_set`.
pub const FD_SET: u32 = 0x380;
/// The sixth argument of `pselect6`: pointer and size of a mask.
pub const PSELECT_MASK: u32 = 0x400;
/// `struct sigaction` that ignores.
pub const SIGACTION: u32 = 0x410;
/// An AIO context.
pub const AIO_CONTEXT: u32 = 0x438;
/// A pointer to a `struct iocb`, which follows.
pub const IOCB: u32 = 0x440;
/// `struct futex_waitv`.
pub const FUTEX_WAITV: u32 = 0x4a0;
/// A place for two descriptors.
pub const FD_PAIR: u32 = 0x4b8;

/// Strings.
pub const NAMES: u32 = 0x600;
/// Bytes of each.
pub const NAME_LEN: u32 = 32;
/// The strings: names in the directory of the case first.
pub const NAME: [&str; 20] = [
    "f0",
    "f1",
    "f2",
    "d0",
    "d0/f",
    "d1",
    "link",
    "none/x",
    ".",
    "",
    "fifo",
    "/proc/self/fdinfo",
    "/proc/self/maps",
    "/etc/passwd",
    "/dev/null",
    "/dev/zero",
    "/tmp",
    "user.a",
    "/queue",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];
/// How many of them are paths that a case may change.
pub const OWN_PATHS: usize = 11;
/// Index of the name of an extended attribute.
pub const XATTR: usize = 17;
/// Index of the name of a message queue.
pub const QUEUE: usize = 18;

/// Buffers: so many pages.
pub const BUFFERS: u32 = PAGE;
/// Pages of them.
pub const BUFFER_PAGES: u32 = 16;
/// A page that can only be read.
pub const READ_ONLY: u32 = BUFFERS + BUFFER_PAGES * PAGE;
/// A page that nobody may touch.
pub const NO_ACCESS: u32 = READ_ONLY + PAGE;
/// Pages that calls may map anew.
pub const PLAYGROUND: u32 = NO_ACCESS + PAGE;
/// So many.
pub const PLAYGROUND_PAGES: u32 = 12;
/// The last byte and what follows is not mapped.
pub const END: u32 = PLAYGROUND + PLAYGROUND_PAGES * PAGE;

/// Offset of a string.
pub const fn name(index: usize) -> u32 {
    NAMES + index as u32 * NAME_LEN
}

// The strings end before the buffers begin.
const _: () = assert!(name(NAME.len()) <= BUFFERS);

/// What the arena of each ring has at its start, for `writev`, `sendmsg` and `setsockopt` of
/// flows: offsets in it.
pub mod arena {
    /// `struct iovec[8]` of short pieces.
    pub const IOVEC: u32 = 0x000;
    /// `struct msghdr` over these.
    pub const MSGHDR: u32 = 0x080;
    /// `struct iovec[8]` of long pieces.
    pub const LONG_IOVEC: u32 = 0x100;
    /// `struct iovec[8]`, one of which is outside.
    pub const BAD_IOVEC: u32 = 0x180;
    /// `struct msghdr` with an address.
    pub const BAD_MSGHDR: u32 = 0x200;
    /// The number 1.
    pub const ONE: u32 = 0x240;
    /// `struct linger` of zero seconds.
    pub const LINGER: u32 = 0x250;
    /// The number 0.
    pub const ZERO: u32 = 0x260;
    /// Bytes to send.
    pub const BYTES: u32 = 0x300;
}
