// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring for programs that are written for SAIO, with all that belongs to it.
//!
//! A [`Queue`] is a [`Ring`] together with its arena, its flows, and the memory of the calls
//! that are under way, so that safe code cannot hand the kernel memory that is gone. Unlike
//! what it stands on it takes memory, when it is made and for some calls.
//!
//! - **Entries** are queued by [`Queue::send`] and its like, for flows, and by [`Queue::push`] for any
//!   other [`Call`]. Queueing makes no system call.
//! - [`Queue::submit`] has the kernel run them all, in one crossing; [`Queue::submit_and_wait`] also
//!   waits.
//! - Each entry ends with a [`Completion`], taken by [`Queue::completions`].
//!
//! A **flow** is the write side of a connected, non-blocking TCP socket. Bytes that are sent on one are copied:
//! once [`Queue::send`] has accepted them they leave in their order or the connection is reset,
//! also if the peer reads slowly, the socket is closed or the process ends.
//!
//! An echo server is in `examples/echo.rs`; docs/libsaio.md has the whole picture.
//!
//! ```no_run
//! use std::net::TcpStream;
//! use saio::queue::{Entry, Options, Queue};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut queue = Queue::new(&Options::default())?;
//! let peer = TcpStream::connect("192.0.2.1:80")?;
//! peer.set_nonblocking(true)?;
//! let flow = queue.register(&peer)?;
//!
//! queue.send(flow, b"GET / HTTP/1.0\r\n", Entry::new(1).quiet())?;
//! queue.send(flow, b"\r\n", 2)?;
//! queue.submit()?;
//! for done in queue.completions() {
//!     println!("entry {}: {:?}", done.tag, done.result);
//! }
//! # Ok(())
//! # }
//! ```

mod call;
mod completion;
mod entry;
mod push;
mod send;
mod slots;
#[cfg(test)]
mod tests;

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(any(test, feature = "fake"))]
use std::sync::Arc;
use std::time::Duration;

pub use call::{Call, Fd, Refused};
pub use completion::{Completion, Completions, Output};
pub use entry::{Entry, Mode};
pub use send::{FlowOption, MAX_SEND};

use crate::arena::Arena;
#[cfg(any(test, feature = "fake"))]
use crate::fake::Kernel;
use crate::flow::{FlowRef, Health};
use crate::pool;
use crate::restriction::Restriction;
use crate::ring::Ring;
use crate::sys::{self, saio_params};
use push::Chained;
use slots::Slots;

/// Sizes of a [`Queue`]; zero is the kernel's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Entries that can be queued at a time: a power of two up to 4096; default 256
    pub sq_entries: u32,
    /// Entries that can be under way at a time, queued ones and unread completions included: a
    /// power of two from `sq_entries` to 16384; default twice `sq_entries`. Each send to a peer
    /// that does not read takes one up
    pub cq_entries: u32,
    /// Flows that can be registered: up to 65536; default 1024
    pub flows: u32,
    /// Bytes for what is sent: a multiple of 4096 up to 16 MiB; default 256 KiB
    pub arena_size: u32,
    /// Bytes that a flow may hold unsent: up to 4 MiB; default 256 KiB
    pub flow_limit: u32,
}

impl Options {
    fn params(&self) -> saio_params {
        saio_params {
            sq_entries: self.sq_entries,
            cq_entries: self.cq_entries,
            flows: self.flows,
            arena_size: self.arena_size,
            flow_limit: self.flow_limit,
            ..Default::default()
        }
    }
}

/// A flow of a [`Queue`]: a name, which may be copied. It is checked whenever it is used, so one of a
/// connection that is gone does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    reference: FlowRef,
    queue: u32,
}

impl Flow {
    /// The kernel's reference: index and generation. [`Queue::flow`] makes a flow of it again.
    pub const fn raw(self) -> u32 {
        self.reference.raw()
    }
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug)]
struct Registered {
    flow: FlowRef,
    /// The number of the socket when it was registered, -1 if nothing is: what filters see.
    fd: c_int,
    /// Bytes whose completions were not taken.
    held: u32,
}

/// A ring of the calling thread, its arena, its flows, and what its entries hold.
///
/// Only the thread that made it can use it. Make one for each thread that runs an event loop and
/// keep it: the kernel's part of a ring lives as long as its thread, which may have 16.
///
/// A forked child must not touch it, not even drop it: the ring's memory is not there.
///
/// ```compile_fail,E0277
/// # use saio::queue::{Options, Queue};
/// let queue = Queue::new(&Options::default()).unwrap();
/// std::thread::spawn(move || drop(queue)); // not Send
/// ```
///
/// When it is dropped, what was accepted for flows leaves. Ordinary calls that were not submitted do not
/// run; only if entries of flows stand in chains that were not submitted, everything is submitted.
pub struct Queue {
    flows: Vec<Registered>,
    slots: Slots,
    chained: Chained,
    // Large, and moved with the queue otherwise.
    arena: Box<Arena>,
    /// A pool serves the ring.
    served: bool,
    /// There may be entries that only this thread can run, in the queue or put aside by the kernel.
    owed: bool,
    /// There may be entries of flows in chains among them, for which whole flows have to wait.
    promised: bool,
    id: u32,
    ring: Ring,
}

impl Queue {
    /// Makes a ring of the calling thread.
    ///
    /// # Errors
    ///
    /// `ENOSYS`: no SAIO in this kernel. `ENOMEM`: no memory, or it would pass `RLIMIT_MEMLOCK`.
    /// `EINVAL`: sizes out of their limits. `EUSERS`: the thread has made 16 rings. `EMFILE`,
    /// `ENFILE`: no free descriptor.
    pub fn new(options: &Options) -> io::Result<Self> {
        Ring::setup(options.params()).map(Self::on)
    }

    /// A queue without kernel, and what answers in its place. All sizes must be given.
    ///
    /// # Errors
    ///
    /// Those of `mmap`.
    #[cfg(any(test, feature = "fake"))]
    pub fn fake(options: &Options) -> io::Result<(Self, Arc<Kernel>)> {
        let (ring, kernel) = Ring::fake(options.params())?;
        Ok((Self::on(ring), kernel))
    }

    fn on(ring: Ring) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let params = *ring.params();
        let unused = Registered {
            flow: FlowRef::from_raw(0),
            fd: -1,
            held: 0,
        };
        Self {
            flows: vec![unused; params.flows as usize],
            slots: Slots::new(params.cq_entries),
            chained: Chained::default(),
            arena: Box::new(Arena::new(params.arena_size as usize)),
            served: false,
            owed: false,
            promised: false,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            ring,
        }
    }

    /// Attaches the ring to a pool: kernel threads that run the entries of flows, as `mode` says.
    /// Other entries are run by this thread as before; those of flows may overtake them, unless they
    /// are in one chain. [`pool::Name::default_pool`] is always there.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no such pool. `EACCES`: the caller is not in its group. `ENOSPC`: it has
    /// 4096 rings. `EINVAL`: a kernel without pools. `ENOMEM`, `EAGAIN`: no thread could be made.
    ///
    /// ```no_run
    /// # use saio::queue::{Mode, Options, Queue};
    /// # let mut queue = Queue::new(&Options::default()).unwrap();
    /// if let Err(error) = queue.attach(&"web".parse().unwrap(), Mode::Auto) {
    ///     eprintln!("going on without the pool: {error}");
    /// }
    /// ```
    pub fn attach(&mut self, pool: &pool::Name, mode: Mode) -> io::Result<()> {
        self.ring.attach(pool, mode.raw())?;
        self.served = true;
        Ok(())
    }

    /// Takes from the queue what `restriction` does not have, for good: a program that is taken over
    /// later cannot have more done by it. What is asked for again takes away more.
    ///
    /// # Errors
    ///
    /// `EBUSY`: it is to have no pool, and has one. `EINVAL`: a kernel without restrictions.
    pub fn restrict(&mut self, restriction: Restriction) -> io::Result<()> {
        self.ring.restrict(restriction)
    }

    /// Makes a flow of a connected, non-blocking TCP socket over IPv4 or IPv6.
    ///
    /// It ends when it is unregistered, or when the last descriptor of the socket is closed.
    /// From now on send on the flow, not on the socket: while bytes of the flow wait, other
    /// writes to the socket get `EAGAIN`.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: not a TCP socket. `ENOTCONN`: not connected. `EWOULDBLOCK`: it is blocking.
    /// `EEXIST`: it has a flow already. `ENOSPC`: all flows are in use. `ENOTSOCK`, `ENOMEM`,
    /// `ENFILE`, `EPERM` (not the thread that made the queue).
    pub fn register(&mut self, socket: &impl AsFd) -> io::Result<Flow> {
        let fd = socket.as_fd().as_raw_fd();
        let flow = self.ring.register(fd)?;
        // The kernel has as many as it was asked for.
        let place = self.flows.get_mut(flow.index());
        *place.ok_or_else(|| error(libc::ENOSPC))? = Registered { flow, fd, held: 0 };
        Ok(self.flow(flow.raw()))
    }

    /// Gives a flow up: ordinary writes to its socket are possible again once what it holds has left.
    ///
    /// # Errors
    ///
    /// `EBADF`: it is not registered any more. `EINVAL`: it is another queue's. `EBUSY`: entries in
    /// a chain name it: submit first.
    pub fn unregister(&mut self, flow: Flow) -> io::Result<()> {
        self.socket(flow)?;
        self.ring.unregister(flow.reference)?;
        self.flows[flow.reference.index()].fd = -1;
        Ok(())
    }

    /// The flow with this reference, as [`Flow::raw`] gave it. If there is none, its health is
    /// [`Health::Gone`].
    pub const fn flow(&self, raw: u32) -> Flow {
        Flow {
            reference: FlowRef::from_raw(raw),
            queue: self.id,
        }
    }

    /// Whether bytes can be sent on a flow now. Reads a word of shared memory.
    ///
    /// ```no_run
    /// # use saio::{flow::Health, queue::{Options, Queue}};
    /// # let mut queue = Queue::new(&Options::default()).unwrap();
    /// # let flow = queue.flow(0);
    /// match queue.health(flow) {
    ///     Health::Usable => {}
    ///     Health::Full => {}   // wait until epoll says that the socket is writable
    ///     Health::Failed => {} // the connection was reset; close the socket
    ///     Health::Gone => {}   // the socket is closed, or another flow has the place
    /// }
    /// ```
    pub fn health(&self, flow: Flow) -> Health {
        match self.socket(flow) {
            Ok(_) => self.health_of(flow.reference),
            Err(_) => Health::Gone,
        }
    }

    fn health_of(&self, flow: FlowRef) -> Health {
        flow.health(self.ring.flow_word(flow.index()))
    }

    /// The number of a flow's socket when it was registered.
    fn socket(&self, flow: Flow) -> io::Result<c_int> {
        if flow.queue != self.id {
            return Err(error(libc::EINVAL));
        }
        match self.flows.get(flow.reference.index()) {
            Some(place) if place.flow == flow.reference && place.fd >= 0 => Ok(place.fd),
            _ => Err(error(libc::EBADF)),
        }
    }

    /// Has everything that is queued run, or with a pool handed to it. Ordinary calls have run
    /// when it returns, also those that wait; what is sent may still wait for the peer. Returns how
    /// many entries this call took.
    ///
    /// A chain ends here: what is queued next does not belong to it.
    ///
    /// # Errors
    ///
    /// Nothing was taken: `EINTR` (a signal came), `ENOMEM`, `EBADFD` (the ring's thread has called
    /// `execve`), `EPERM` (a forked child). What was not taken stays queued; call it again.
    pub fn submit(&mut self) -> io::Result<u32> {
        if self.served && !self.owed && !self.ring.need_wakeup() {
            // Threads look by themselves.
            return Ok(0);
        }
        self.cross(0, None)
    }

    /// As [`Self::submit`], and then waits until `n` completions can be taken, quiet ones included,
    /// or `timeout` has passed.
    ///
    /// # Errors
    ///
    /// Those of [`Self::submit`]; and if nothing was taken, what the wait ended with: `ETIME`, `EINTR`,
    /// `EDEADLK` (nothing is under way that could complete), `EINVAL` (`n` is above `cq_entries`). If
    /// something was, look at the completions.
    pub fn submit_and_wait(&mut self, n: u32, timeout: Option<Duration>) -> io::Result<u32> {
        self.cross(n, timeout)
    }

    fn cross(&mut self, min_complete: u32, timeout: Option<Duration>) -> io::Result<u32> {
        self.chained.end();
        let mut total = 0;
        loop {
            let pending = self.ring.pending();
            if pending == 0 && !self.owed && min_complete == 0 {
                return Ok(total);
            }
            // SAFETY: what entries point to is kept until their completions are taken, or good for
            // as long by the promise of who made the call.
            let taken = unsafe { self.ring.enter_for(pending, min_complete, timeout) };
            let taken = match sys::check(taken) {
                Ok(taken) => taken as u32,
                Err(_) if total != 0 => return Ok(total),
                Err(error) => return Err(error),
            };
            total += taken;
            // The kernel stops early for work of its own, such as the end of a closed file.
            let left = self.ring.pending();
            if left == 0 {
                (self.owed, self.promised) = (false, false);
                return Ok(total);
            }
            if left >= pending {
                return Ok(total);
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("fd", &self.ring.fd())
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

fn error(errno: c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}
