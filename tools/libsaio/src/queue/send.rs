// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries of flows.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use super::slots::{Kept, Memory};
use super::{error, Entry, Fd, Flow, Queue};
use crate::arena::{Chunk, GRANULE};
use crate::flow::Health;
use crate::sys::{self, saio_sqe};

/// Most bytes that one send accepts.
pub const MAX_SEND: usize = 64 << 10;

/// Longest part of a file that one entry sends, in bytes: as the kernel's `MAX_RW_COUNT`.
const MAX_FILE: u64 = 0x7fff_f000;

/// Longest value of an option, in bytes.
const MAX_VALUE: usize = 16;

/// An option of the write side of a flow's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowOption {
    /// `TCP_NODELAY`: short segments leave at once
    NoDelay(bool),
    /// `TCP_CORK`: short segments wait until it is taken away
    Cork(bool),
    /// `TCP_QUICKACK`: acknowledgements leave at once
    QuickAck(bool),
    /// `TCP_NOTSENT_LOWAT`: the socket counts as writable with fewer unsent bytes than this
    NotSentLowWater(u32),
    /// `TCP_USER_TIMEOUT`: how long bytes may be without acknowledgement, in milliseconds at most;
    /// zero: the system's default
    UserTimeout(Duration),
    /// `SO_SNDBUF`: size of the send buffer in bytes, which the kernel doubles
    SendBuffer(u32),
    /// `SO_KEEPALIVE`: peers that are silent are asked whether they are there
    KeepAlive(bool),
    /// `SO_PRIORITY`: priority of the packets
    Priority(u32),
    /// `SO_LINGER`: how long, in seconds, a close waits for bytes to leave; zero: it resets the
    /// connection instead
    Linger(Option<Duration>),
}

impl FlowOption {
    /// Level, name, and the numbers of the value.
    fn raw(self) -> (c_int, c_int, u32, Option<u32>) {
        let (tcp, socket) = (libc::IPPROTO_TCP, libc::SOL_SOCKET);
        let u32_of = |n: u128| u32::try_from(n).unwrap_or(c_int::MAX as u32);
        match self {
            Self::NoDelay(on) => (tcp, libc::TCP_NODELAY, on.into(), None),
            Self::Cork(on) => (tcp, libc::TCP_CORK, on.into(), None),
            Self::QuickAck(on) => (tcp, libc::TCP_QUICKACK, on.into(), None),
            Self::NotSentLowWater(bytes) => (tcp, libc::TCP_NOTSENT_LOWAT, bytes, None),
            Self::UserTimeout(time) => {
                let ms = u32_of(time.as_millis());
                (tcp, libc::TCP_USER_TIMEOUT, ms, None)
            }
            Self::SendBuffer(bytes) => (socket, libc::SO_SNDBUF, bytes, None),
            Self::KeepAlive(on) => (socket, libc::SO_KEEPALIVE, on.into(), None),
            Self::Priority(priority) => (socket, libc::SO_PRIORITY, priority, None),
            // A struct linger: on or off, and seconds.
            Self::Linger(time) => {
                let seconds = u32_of(time.unwrap_or_default().as_secs().into());
                let on = time.is_some().into();
                (socket, libc::SO_LINGER, on, Some(seconds))
            }
        }
    }
}

impl Queue {
    /// Queues bytes to be sent on a flow. They are copied. Returns how many were accepted, at most
    /// [`MAX_SEND`]; as with `write(2)` the rest is for another call. Nothing is queued for no bytes.
    ///
    /// What was accepted leaves in order, or the connection is reset. The completion follows when all
    /// of it is in the socket's send buffer.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: bytes wait for the peer. Epoll reports the socket as writable, also to who waits
    ///   for edges, when they have left.
    /// - `ENOBUFS`: arena or entries are used up, or the flow holds `flow_limit` bytes: submit and take
    ///   completions, then try again. If that does not help, peers that do not read have it all: write
    ///   to the socket. The kernel keeps the order (`EAGAIN`, and writable when it is this one's turn).
    /// - `ECONNABORTED`: the flow has failed; the socket has the error.
    /// - `EBADF`: the flow has ended, or a descriptor of its socket was closed.
    /// - `EINVAL`: it is another queue's.
    ///
    /// ```no_run
    /// use std::io::ErrorKind;
    /// use saio::queue::{Entry, Flow, Queue};
    ///
    /// /// Sends what can be sent of `bytes`; the rest when the socket is writable.
    /// fn send(queue: &mut Queue, flow: Flow, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    ///     while !bytes.is_empty() {
    ///         match queue.send(flow, bytes, Entry::new(1).quiet()) {
    ///             Ok(n) => drop(bytes.drain(..n)),
    ///             Err(error) if error.kind() == ErrorKind::WouldBlock => break,
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn send(&mut self, flow: Flow, bytes: &[u8], entry: impl Into<Entry>) -> io::Result<usize> {
        self.send_vectored(flow, &[IoSlice::new(bytes)], entry)
    }

    /// As [`Self::send`], with the bytes of several buffers, one behind the other.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`].
    pub fn send_vectored(
        &mut self,
        flow: Flow,
        buffers: &[IoSlice<'_>],
        entry: impl Into<Entry>,
    ) -> io::Result<usize> {
        let entry = entry.into();
        let fd = self.ready(flow)?;
        let total = buffers
            .iter()
            .fold(0usize, |n, buffer| n.saturating_add(buffer.len()));
        if total == 0 {
            return Ok(0);
        }
        let (chunk, len) = self.chunk(total.min(MAX_SEND))?;
        let mut done = 0;
        for buffer in buffers {
            let n = buffer.len().min(len - done);
            // SAFETY: `done + n` is at most `len`, for which the chunk has room; as it was free, no
            // entry names it. The program's memory is not the arena.
            unsafe {
                self.ring
                    .arena(chunk.offset() + done)
                    .copy_from_nonoverlapping(buffer.as_ptr(), n);
            }
            done += n;
            if done == len {
                break;
            }
        }
        let more = if entry.has_more() {
            libc::MSG_MORE as u64
        } else {
            0
        };
        let args = [fd, chunk.offset() as u64, len as u64, more, 0, 0];
        let mut kept = Kept::new(entry, Memory::None);
        kept.chunk = Some(chunk);
        kept.held = Some((flow.reference, len as u32));
        self.queue_flow(libc::SYS_sendto, args, entry, kept)?;
        self.flows[flow.reference.index()].held += len as u32;
        Ok(len)
    }

    /// Queues part of a regular file to be sent on a flow: `len` bytes from position `offset`. The
    /// file stays open until then.
    ///
    /// The bytes are promised now: if the file turns out to be shorter, not open for reading or not a
    /// regular one, the connection is reset. So `len` has to come from the size of the file.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`]; and `EINVAL`: `len` is above 2 GiB - 4096, the end is beyond what a
    /// file can have, or [`Fd::result`] does not lead to a call of this chain that opens something.
    ///
    /// ```no_run
    /// # use std::{fs::File, rc::Rc};
    /// # use saio::queue::{Flow, Queue};
    /// # fn respond(queue: &mut Queue, flow: Flow) -> std::io::Result<()> {
    /// let file = Rc::new(File::open("index.html")?);
    /// let len = file.metadata()?.len();
    /// queue.send(flow, format!("Content-Length: {len}\r\n\r\n").as_bytes(), 1)?;
    /// queue.send_file(flow, &file, 0, len, 2)?; // leaves with the bytes before it
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_file(
        &mut self,
        flow: Flow,
        file: impl Into<Fd>,
        offset: u64,
        len: u64,
        entry: impl Into<Entry>,
    ) -> io::Result<()> {
        let (entry, file) = (entry.into(), file.into());
        if len > MAX_FILE || offset > i64::MAX as u64 - len {
            return Err(error(libc::EINVAL));
        }
        let fd = self.ready(flow)?;
        let mut sqe = saio_sqe {
            nr: libc::SYS_sendfile as u16,
            args: [fd, file.argument(), offset, len, 0, 0],
            ..Default::default()
        };
        if let Some(back) = file.back() {
            self.opener(back).ok_or_else(|| error(libc::EINVAL))?;
            sqe.flags = sys::SQE_RESULT_TO_ARG;
            sqe.ctl = sys::ctl(1, back);
        }
        let mut kept = Kept::new(entry, Memory::None);
        kept.file = file.into_file();
        self.queue_kept(sqe, entry, kept)
    }

    /// Queues an option to be set when what was queued before on the flow has been sent.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`] but for `EAGAIN`. What `setsockopt` says is in the completion.
    pub fn set_option(
        &mut self,
        flow: Flow,
        option: FlowOption,
        entry: impl Into<Entry>,
    ) -> io::Result<()> {
        let (level, name, value, second) = option.raw();
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&value.to_ne_bytes());
        let mut len = 4;
        if let Some(second) = second {
            bytes[4..].copy_from_slice(&second.to_ne_bytes());
            len = 8;
        }
        self.set_raw_option(flow, level, name, &bytes[..len], entry)
    }

    /// As [`Self::set_option`], by the numbers of `setsockopt(2)`. The kernel knows those options
    /// that [`FlowOption`] has; for another the completion says `EOPNOTSUPP`.
    ///
    /// # Errors
    ///
    /// Those of [`Self::set_option`]; and `EINVAL`: the value is empty or longer than 16 bytes.
    pub fn set_raw_option(
        &mut self,
        flow: Flow,
        level: c_int,
        name: c_int,
        value: &[u8],
        entry: impl Into<Entry>,
    ) -> io::Result<()> {
        let entry = entry.into();
        if !(1..=MAX_VALUE).contains(&value.len()) {
            return Err(error(libc::EINVAL));
        }
        let fd = self.living(flow)?;
        let chunk = self.arena.alloc(value.len()).ok_or_else(full)?;
        // SAFETY: the chunk has room for it, and as it was free no entry names it.
        unsafe {
            self.ring
                .arena(chunk.offset())
                .copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        let len = value.len() as u64;
        let args = [fd, level as u64, name as u64, chunk.offset() as u64, len, 0];
        let mut kept = Kept::new(entry, Memory::None);
        kept.chunk = Some(chunk);
        self.queue_flow(libc::SYS_setsockopt, args, entry, kept)
    }

    /// Queues the end of the write side behind what was queued before on the flow. Afterwards
    /// nothing can be sent.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`] but for `EAGAIN`.
    ///
    /// ```no_run
    /// # use saio::queue::{Flow, Queue};
    /// # fn finish(queue: &mut Queue, flow: Flow) -> std::io::Result<()> {
    /// queue.send(flow, b"goodbye\n", 1)?;
    /// queue.shutdown(flow, std::net::Shutdown::Write, 2)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(
        &mut self,
        flow: Flow,
        how: Shutdown,
        entry: impl Into<Entry>,
    ) -> io::Result<()> {
        let entry = entry.into();
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        let args = [self.living(flow)?, how as u64, 0, 0, 0, 0];
        let kept = Kept::new(entry, Memory::None);
        self.queue_flow(libc::SYS_shutdown, args, entry, kept)
    }

    /// The first argument of an entry that brings bytes, if the flow takes any.
    fn ready(&self, flow: Flow) -> io::Result<u64> {
        let arg = self.living(flow)?;
        if self.health_of(flow.reference) == Health::Full {
            return Err(error(libc::EAGAIN));
        }
        // More than twice the limit would fail the flow. With one send more than the limit the kernel
        // says that it is full.
        if self.flows[flow.reference.index()].held > self.ring.params().flow_limit {
            return Err(full());
        }
        Ok(arg)
    }

    /// The first argument of an entry of a flow, if the flow is not over.
    fn living(&self, flow: Flow) -> io::Result<u64> {
        let fd = self.socket(flow)?;
        match self.health_of(flow.reference) {
            Health::Usable | Health::Full => Ok(flow.reference.arg(fd)),
            Health::Failed => Err(error(libc::ECONNABORTED)),
            Health::Gone => Err(error(libc::EBADF)),
        }
    }

    /// A chunk for `len` bytes or, if there is none, for fewer; and for how many.
    fn chunk(&mut self, mut len: usize) -> io::Result<(Chunk, usize)> {
        loop {
            if let Some(chunk) = self.arena.alloc(len) {
                return Ok((chunk, len));
            }
            if len <= GRANULE {
                return Err(full());
            }
            len = (len / 2).max(GRANULE);
        }
    }

    fn queue_flow(
        &mut self,
        nr: libc::c_long,
        args: [u64; 6],
        entry: Entry,
        kept: Kept,
    ) -> io::Result<()> {
        let sqe = saio_sqe {
            nr: nr as u16,
            args,
            ..Default::default()
        };
        self.queue_kept(sqe, entry, kept)
    }

    /// Queues an entry of a flow, or gives back what it has of the arena.
    fn queue_kept(&mut self, mut sqe: saio_sqe, entry: Entry, kept: Kept) -> io::Result<()> {
        let chunk = kept.chunk;
        let queued = match self.slots.insert(kept) {
            Ok(key) => {
                sqe.flags |= sys::SQE_FLOW;
                sqe.user_data = key.0;
                let published = self.publish(sqe, entry);
                if published.is_err() {
                    self.slots.remove(key);
                }
                published.map_err(error)
            }
            Err(_) => Err(full()),
        };
        if let (Err(_), Some(chunk)) = (&queued, chunk) {
            self.arena.free(chunk);
        }
        queued
    }
}

/// There is no room; a submission makes some.
fn full() -> io::Error {
    error(libc::ENOBUFS)
}
