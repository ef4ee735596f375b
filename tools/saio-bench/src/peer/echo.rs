// SPDX-License-Identifier: MIT OR Apache-2.0

//! An echo server on io_uring: one thread, one ring; each connection has one operation on its way, a receive or a send.

use std::collections::BTreeMap;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use io_uring::{cqueue, opcode, squeue, types, IoUring};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signalfd::SignalFd;

use crate::echo::{self, EchoArgs};

/// Entries of the ring.
const ENTRIES: u32 = 1024;
/// What one receive takes.
const CHUNK: usize = 64 * 1024;
/// Marks of operations that belong to no connection.
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
/// The first mark of a connection.
const FIRST: u64 = 2;

/// A connection.
struct Peer {
    fd: OwnedFd,
    /// Memory of its operation
    buffer: Box<[u8]>,
    /// The part of it that was received and not sent yet
    from: usize,
    to: usize,
}

/// The server.
struct Server {
    ring: IoUring,
    listener: TcpListener,
    signals: SignalFd,
    peers: BTreeMap<u64, Peer>,
    next: u64,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// The port is taken, or the kernel has no io_uring.
pub fn echo(args: &EchoArgs) -> Result<()> {
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(ENTRIES)
        .context(
            "no io_uring; the kernel needs CONFIG_IO_URING, and kernel.io_uring_disabled to be 0",
        )?;
    let mut server = Server {
        ring,
        listener: args.listen()?,
        signals: echo::signals()?,
        peers: BTreeMap::new(),
        next: FIRST,
    };
    let result = server.serve();
    // The kernel may write to their memory until the process is gone.
    mem::forget(server.peers);
    result
}

impl Server {
    fn serve(&mut self) -> Result<()> {
        let poll = opcode::PollAdd::new(types::Fd(self.signals.as_raw_fd()), libc::POLLIN as u32);
        self.push(&poll.build().user_data(SIGNALS))?;
        self.accept()?;
        loop {
            match self.ring.submit_and_wait(1) {
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
                result => result.context("io_uring_enter")?,
            };
            // Taken first: what is done with them fills the other queue.
            let done: Vec<cqueue::Entry> = self.ring.completion().collect();
            for entry in done {
                match entry.user_data() {
                    SIGNALS => return Ok(()),
                    LISTENER => self.accepted(&entry)?,
                    mark => self.turn(mark, entry.result())?,
                }
            }
        }
    }

    fn push(&mut self, entry: &squeue::Entry) -> Result<()> {
        // SAFETY: memory that entries name is a peer's. A peer lives until its only operation is done, and those that
        // are left at the end are never freed.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit().context("io_uring_enter")?;
        }
        Ok(())
    }

    /// Accepts connections, as long as it goes well with one entry.
    fn accept(&mut self) -> Result<()> {
        let listener = types::Fd(self.listener.as_raw_fd());
        let accept = opcode::AcceptMulti::new(listener).flags(libc::SOCK_CLOEXEC);
        self.push(&accept.build().user_data(LISTENER))
    }

    fn accepted(&mut self, entry: &cqueue::Entry) -> Result<()> {
        if !cqueue::more(entry.flags()) {
            self.accept()?;
        }
        let fd = match entry.result() {
            // SAFETY: accept has just made it, and nobody else has it.
            fd if fd >= 0 => unsafe { OwnedFd::from_raw_fd(fd) },
            error if error == -libc::ECONNABORTED => return Ok(()),
            error => return Err(Errno::from_raw(-error)).context("cannot accept"),
        };
        let mark = self.next;
        self.next += 1;
        let peer = Peer {
            fd,
            buffer: vec![0; CHUNK].into(),
            from: 0,
            to: 0,
        };
        self.peers.insert(mark, peer);
        self.begin(mark)
    }

    /// An operation is done, with this result.
    fn turn(&mut self, mark: u64, result: i32) -> Result<()> {
        let Some(peer) = self.peers.get_mut(&mark) else {
            return Ok(());
        };
        if result <= 0 {
            // The end or an error. Dropped: closed.
            self.peers.remove(&mark);
            return Ok(());
        }
        let bytes = result as usize;
        if peer.from == peer.to {
            (peer.from, peer.to) = (0, bytes);
        } else {
            peer.from += bytes;
        }
        self.begin(mark)
    }

    /// Sends what is there, or receives more.
    fn begin(&mut self, mark: u64) -> Result<()> {
        let Some(peer) = self.peers.get_mut(&mark) else {
            return Ok(());
        };
        let fd = types::Fd(peer.fd.as_raw_fd());
        let entry = if peer.from == peer.to {
            opcode::Recv::new(fd, peer.buffer.as_mut_ptr(), CHUNK as u32).build()
        } else {
            let rest = &peer.buffer[peer.from..peer.to];
            opcode::Send::new(fd, rest.as_ptr(), rest.len() as u32).build()
        };
        self.push(&entry.user_data(mark))
    }
}
