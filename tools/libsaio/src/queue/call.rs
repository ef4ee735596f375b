// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ordinary system calls as values, with the memory that they use.

use std::ffi::{c_int, CString};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::slots::Memory;

/// The descriptor that a call works on.
#[derive(Clone)]
pub struct Fd(Source);

/// Where the number comes from.
#[derive(Clone)]
enum Source {
    /// Kept open until the completion is taken.
    File(Rc<dyn AsFd>),
    Number(c_int),
    /// The result of the entry so many places back in the chain.
    Result(u8),
}

impl Fd {
    /// The descriptor that an earlier entry of the same chain will have opened: that `back` places
    /// before this one, 1 to 8. That entry must be [`Call::open`] or [`Call::accept`].
    pub const fn result(back: u8) -> Self {
        Self(Source::Result(back))
    }

    /// The current directory: for [`Call::open`].
    pub const fn current_dir() -> Self {
        Self(Source::Number(libc::AT_FDCWD))
    }

    /// A plain number.
    ///
    /// # Safety
    ///
    /// The number must name what is meant until the call has run.
    pub const unsafe fn number(fd: c_int) -> Self {
        Self(Source::Number(fd))
    }

    /// As an argument; zero if it is not known yet.
    pub(super) fn argument(&self) -> u64 {
        match &self.0 {
            Source::File(file) => file.as_fd().as_raw_fd() as u64,
            Source::Number(number) => *number as u64,
            Source::Result(_) => 0,
        }
    }

    /// How many places back the entry is whose result it is.
    pub(super) const fn back(&self) -> Option<u8> {
        match self.0 {
            Source::Result(back) => Some(back),
            _ => None,
        }
    }

    /// What has to stay open.
    pub(super) fn into_file(self) -> Option<Rc<dyn AsFd>> {
        match self.0 {
            Source::File(file) => Some(file),
            _ => None,
        }
    }
}

/// Kept open until the completion is taken, also if the caller drops its own reference.
impl<T: AsFd + 'static> From<Rc<T>> for Fd {
    fn from(file: Rc<T>) -> Self {
        Self(Source::File(file))
    }
}

/// As from a clone of it.
impl<T: AsFd + 'static> From<&Rc<T>> for Fd {
    fn from(file: &Rc<T>) -> Self {
        file.clone().into()
    }
}

/// An ordinary system call, to be run by this thread when it submits: [`Queue::push`].
///
/// It owns the memory that the kernel reads and writes, and gives it back in the completion's
/// [`Output`]; files that it works on stay open until then.
///
/// ```no_run
/// use std::ffi::CString;
/// use saio::queue::{Call, Entry, Fd, Options, Output, Queue};
///
/// # fn main() -> std::io::Result<()> {
/// let mut queue = Queue::new(&Options::default())?;
/// // Reads a file in one kernel crossing, and closes it also if it cannot be read.
/// let path = CString::new("/etc/hostname")?;
/// queue.push(Call::open(Fd::current_dir(), path, libc::O_RDONLY, 0), Entry::new(1).link())?;
/// queue.push(Call::read(Fd::result(1), Vec::with_capacity(100)), Entry::new(2).hard_link())?;
/// queue.push(Call::close_result(2), Entry::new(3).quiet())?;
/// queue.submit()?;
/// for done in queue.completions() {
///     if let (2, Output::Bytes(bytes)) = (done.tag, done.output) {
///         println!("{} bytes: {bytes:?}", done.result?);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`Queue::push`]: super::Queue::push
/// [`Output`]: super::Output
#[must_use = "it does nothing before it is pushed"]
pub struct Call {
    pub(super) nr: u16,
    pub(super) args: [u64; 6],
    /// The first argument, if it is a descriptor.
    pub(super) fd: Option<Fd>,
    /// Another argument that is a result, and how many places back: for raw calls.
    pub(super) from: Option<(u8, u8)>,
    pub(super) memory: Memory,
}

impl Call {
    /// `openat`: opens `path`, seen from the directory `dir`. `flags` are `O_*` (`O_CLOEXEC` is
    /// added), `mode` the bits of a file that is made.
    ///
    /// Gives back [`Output::Fd`](super::Output::Fd), unless the chain closes it.
    pub fn open(dir: impl Into<Fd>, path: CString, flags: c_int, mode: u32) -> Self {
        let memory = Memory::Opened {
            path: Some(path),
            closer: None,
        };
        let flags = (flags | libc::O_CLOEXEC) as u64;
        Self::on(libc::SYS_openat, dir, [0, flags, mode.into(), 0], memory)
    }

    /// `accept4`: takes a connection off the queue of a listening socket. It is close-on-exec and,
    /// as flows need it, non-blocking. With a blocking `listener` the batch waits for one.
    ///
    /// Gives back [`Output::Fd`](super::Output::Fd), unless the chain closes it.
    pub fn accept(listener: impl Into<Fd>) -> Self {
        let memory = Memory::Opened {
            path: None,
            closer: None,
        };
        let flags = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u64;
        Self::on(libc::SYS_accept4, listener, [0, 0, flags, 0], memory)
    }

    /// `read`: appends to `buffer` what fits into its spare capacity.
    ///
    /// Gives back [`Output::Bytes`](super::Output::Bytes).
    pub fn read(file: impl Into<Fd>, buffer: Vec<u8>) -> Self {
        Self::on(libc::SYS_read, file, [0; 4], Memory::Read(buffer))
    }

    /// `pread64`: as [`Self::read`], from the position `offset` in bytes.
    pub fn read_at(file: impl Into<Fd>, buffer: Vec<u8>, offset: u64) -> Self {
        let args = [0, 0, offset, 0];
        Self::on(libc::SYS_pread64, file, args, Memory::Read(buffer))
    }

    /// `write`: writes `bytes`, or some of them, as the result says. For a socket that is a flow
    /// see [`Queue::send`](super::Queue::send).
    ///
    /// Gives back [`Output::Bytes`](super::Output::Bytes).
    pub fn write(file: impl Into<Fd>, bytes: Vec<u8>) -> Self {
        Self::on(libc::SYS_write, file, [0; 4], Memory::Written(bytes))
    }

    /// `pwrite64`: as [`Self::write`], at the position `offset` in bytes.
    pub fn write_at(file: impl Into<Fd>, bytes: Vec<u8>, offset: u64) -> Self {
        let args = [0, 0, offset, 0];
        Self::on(libc::SYS_pwrite64, file, args, Memory::Written(bytes))
    }

    /// `fstat`: size, type and times of a file.
    ///
    /// Gives back [`Output::Stat`](super::Output::Stat).
    pub fn stat(file: impl Into<Fd>) -> Self {
        // SAFETY: a structure of numbers, of which zeros are valid.
        let stat = unsafe { MaybeUninit::zeroed().assume_init() };
        let memory = Memory::Stat(Box::new(stat));
        Self::on(libc::SYS_fstat, file, [0; 4], memory)
    }

    /// `fsync`: has the file's content written to its disk.
    pub fn sync(file: impl Into<Fd>) -> Self {
        Self::on(libc::SYS_fsync, file, [0; 4], Memory::None)
    }

    /// `close`. If the kernel does not run it, because of a chain or a filter, the descriptor is
    /// closed when the completion is taken.
    pub fn close(file: OwnedFd) -> Self {
        // SAFETY: what is kept owns the number.
        let fd = unsafe { Fd::number(file.as_raw_fd()) };
        Self::on(libc::SYS_close, fd, [0; 4], Memory::Closed(Some(file)))
    }

    /// `close` of what the entry `back` places before this one in the chain opened. That one then
    /// gives back no descriptor. If the chain breaks in between, the descriptor is closed when this
    /// one's completion is taken.
    pub fn close_result(back: u8) -> Self {
        let fd = Fd::result(back);
        Self::on(libc::SYS_close, fd, [0; 4], Memory::Closed(None))
    }

    /// `epoll_wait`: waits for events, as many as `events` has capacity for; what is in it is
    /// dropped. Without `timeout` it waits without limit; fractions of a millisecond are rounded up.
    /// As the last entry of a batch it makes the flush and the wait one kernel crossing.
    ///
    /// Gives back [`Output::Events`](super::Output::Events).
    pub fn epoll_wait(
        epoll: impl Into<Fd>,
        mut events: Vec<libc::epoll_event>,
        timeout: Option<Duration>,
    ) -> Self {
        events.clear();
        let ms = match timeout {
            None => -1,
            Some(timeout) => {
                let ms = timeout.as_nanos().div_ceil(1_000_000);
                c_int::try_from(ms).unwrap_or(c_int::MAX)
            }
        };
        let args = [0, 0, ms as u64, 0];
        // Without a signal mask it is epoll_wait, which not every architecture has.
        Self::on(libc::SYS_epoll_pwait, epoll, args, Memory::Events(events))
    }

    /// Any call, by its number and arguments. The kernel refuses some in a batch (`EOPNOTSUPP`),
    /// see docs/abi.md.
    ///
    /// # Safety
    ///
    /// The call may do whatever the kernel does for these arguments. What pointers among them point
    /// to must be good for that until the completion is taken or the [`Queue`](super::Queue) is
    /// dropped; and descriptors must be what they are meant to be until the call has run.
    pub const unsafe fn raw(nr: u16, args: [u64; 6]) -> Self {
        Self {
            nr,
            args,
            fd: None,
            from: None,
            memory: Memory::None,
        }
    }

    /// Has argument `arg`, 0 to 5, replaced by the result of the entry `back` places before this
    /// one in the chain, 1 to 8. For a [`Self::raw`] call.
    ///
    /// # Safety
    ///
    /// As for [`Self::raw`], whatever that result is.
    pub unsafe fn with_result(mut self, arg: u8, back: u8) -> Self {
        self.from = Some((arg, back));
        self
    }

    /// A call with a descriptor as first argument; `rest` are the second to fifth.
    fn on(nr: libc::c_long, fd: impl Into<Fd>, rest: [u64; 4], memory: Memory) -> Self {
        let [a, b, c, d] = rest;
        Self {
            nr: nr as u16,
            args: [0, a, b, c, d, 0],
            fd: Some(fd.into()),
            from: None,
            memory,
        }
    }
}

impl Memory {
    /// Puts the address and, where the call is told it, the length of the memory into the
    /// arguments. Both are good as long as the memory is not touched.
    pub(super) fn name_in(&mut self, args: &mut [u64; 6]) {
        match self {
            Self::None | Self::Closed(_) | Self::Opened { path: None, .. } => {}
            Self::Opened {
                path: Some(path), ..
            } => args[1] = path.as_ptr() as u64,
            Self::Read(buffer) => {
                let spare = buffer.spare_capacity_mut();
                args[1] = spare.as_mut_ptr() as u64;
                args[2] = spare.len() as u64;
            }
            Self::Written(bytes) => {
                args[1] = bytes.as_ptr() as u64;
                args[2] = bytes.len() as u64;
            }
            Self::Stat(stat) => args[1] = &raw mut **stat as u64,
            Self::Events(events) => {
                let most = c_int::MAX as usize / size_of::<libc::epoll_event>();
                args[1] = events.as_mut_ptr() as u64;
                args[2] = events.capacity().min(most) as u64;
            }
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.nr)
    }
}

/// A call that was not pushed, and why.
#[derive(Debug)]
pub struct Refused {
    /// The call, with its memory. Boxed, as it is large and this is rare.
    pub call: Box<Call>,
    /// `ENOBUFS` or `EINVAL`, see [`Queue::push`](super::Queue::push).
    pub error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} was not queued: {}", self.call.nr, self.error)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}
