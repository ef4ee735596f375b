// SPDX-License-Identifier: MIT OR Apache-2.0

//! A connection that hides nothing: bytes as they came, and how it ended. TCP, with or without TLS.

mod dial;
pub mod records;
mod segments;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::docs::Random;

pub use dial::{Dial, End, Failure};

/// How long the server may let a client wait. A debug kernel under emulation is slow.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// What one read takes from the socket.
const CHUNK: usize = 64 * 1024;
/// Plain bytes that are encrypted at once.
const PIECE: usize = 64 * 1024;
/// Reads before which a slow reader rests a little; all its life would take too long.
const RESTS: usize = 50;
/// Longest such rest, in microseconds.
const REST_LIMIT: usize = 3000;

/// A reader that takes little at a time, and late.
#[derive(Debug)]
struct Slowness {
    random: Random,
    limit: usize,
    reads: usize,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Bytes that were read; those before `start` have been given out
    pending: Vec<u8>,
    start: usize,
    /// Bytes for the socket, encrypted
    out: Vec<u8>,
    end: Option<End>,
    slowness: Option<Slowness>,
    patience: Duration,
}

impl Conn {
    fn new(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Failure> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from("localhost")
                    .map_err(|error| Failure::Malformed(error.to_string()))?;
                let mut session =
                    ClientConnection::new(config.clone(), name).map_err(tls_failure)?;
                // What is encrypted is taken at once.
                session.set_buffer_limit(None);
                Some(Box::new(session))
            }
        };
        let mut conn = Self {
            stream,
            tls,
            pending: Vec::new(),
            start: 0,
            out: Vec::new(),
            end: None,
            slowness: None,
            patience: PATIENCE,
        };
        while conn.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            if conn.end.is_some() {
                return Err(Failure::Closed);
            }
            conn.encrypted()?;
            conn.step(CHUNK)?;
        }
        conn.encrypted()?;
        conn.flush()?;
        Ok(conn)
    }

    /// From now on reads at most `limit` bytes at once, with pauses.
    pub fn slow_down(&mut self, limit: usize, random: Random) {
        self.slowness = Some(Slowness {
            random,
            limit,
            reads: 0,
        });
    }

    /// From now on [`Failure::TimedOut`] comes after this time.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The port of this end.
    ///
    /// # Errors
    ///
    /// As of getsockname(2).
    pub fn port(&self) -> Result<u16, Failure> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Sends bytes as they are. What the server sends meanwhile is taken, lest both wait for each other.
    ///
    /// # Errors
    ///
    /// [`Failure::Closed`] if the server has ended the connection.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for piece in bytes.chunks(PIECE) {
            match &mut self.tls {
                Some(tls) => tls.writer().write_all(piece)?,
                None => self.out.extend_from_slice(piece),
            }
            self.encrypted()?;
            self.flush()?;
        }
        Ok(())
    }

    /// Tells the server that nothing more will be sent. Reading goes on.
    ///
    /// # Errors
    ///
    /// As [`Conn::send`].
    pub fn finish_sending(&mut self) -> Result<(), Failure> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.encrypted()?;
        self.flush()?;
        match self.stream.shutdown(std::net::Shutdown::Write) {
            Err(error) if is_end(&error) || error.kind() == ErrorKind::NotConnected => {
                Err(Failure::Closed)
            }
            result => Ok(result?),
        }
    }

    /// Ends the connection with a reset.
    ///
    /// # Errors
    ///
    /// As of setsockopt(2).
    pub fn reset(self) -> Result<(), Failure> {
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.stream, sockopt::Linger, &at_once).map_err(io::Error::from)?;
        Ok(())
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    ///
    /// The connection ended before, or nothing came.
    pub fn take(&mut self, bytes: usize) -> Result<Vec<u8>, Failure> {
        while self.waiting().len() < bytes {
            if self.fill(bytes - self.waiting().len())? == 0 {
                return Err(self.cut_off(bytes - self.waiting().len()));
            }
        }
        Ok(self.give(bytes))
    }

    /// Reads at least one byte and at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Conn::take`].
    pub fn some(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        if self.waiting().is_empty() && self.fill(limit)? == 0 {
            return Err(Failure::Truncated { missing: limit });
        }
        Ok(self.give(self.waiting().len().min(limit)))
    }

    /// Waits for a byte, which is not given out yet.
    ///
    /// # Errors
    ///
    /// As [`Conn::take`].
    pub fn peek(&mut self) -> Result<(), Failure> {
        if self.waiting().is_empty() && self.fill(1)? == 0 {
            return Err(Failure::Closed);
        }
        Ok(())
    }

    /// Reads up to and with the first `mark`.
    ///
    /// # Errors
    ///
    /// As [`Conn::take`], or no mark within `limit` bytes.
    pub fn until(&mut self, mark: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        let mut seen: usize = 0;
        loop {
            let from = seen.saturating_sub(mark.len() - 1);
            let place = self.waiting()[from..]
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(place) = place {
                return Ok(self.give(from + place + mark.len()));
            }
            seen = self.waiting().len();
            if seen > limit {
                return Err(Failure::Malformed(format!("no {mark:?} in {seen} bytes")));
            }
            if self.fill(CHUNK)? == 0 {
                return Err(self.cut_off(0));
            }
        }
    }

    /// Reads everything until the server ends the connection, and says how it did.
    ///
    /// # Errors
    ///
    /// Nothing came for a long time.
    pub fn rest(&mut self) -> Result<(Vec<u8>, End), Failure> {
        loop {
            if self.fill(CHUNK)? == 0 {
                let end = self.end.unwrap_or(End::Proper);
                return Ok((self.give(self.waiting().len()), end));
            }
        }
    }

    /// Bytes read and not given out.
    pub fn waiting(&self) -> &[u8] {
        &self.pending[self.start..]
    }

    fn give(&mut self, bytes: usize) -> Vec<u8> {
        let given = self.waiting()[..bytes].to_vec();
        self.start += bytes;
        if self.start == self.pending.len() {
            self.pending.clear();
            self.start = 0;
        }
        given
    }

    fn cut_off(&self, missing: usize) -> Failure {
        if self.waiting().is_empty() {
            Failure::Closed
        } else {
            Failure::Truncated { missing }
        }
    }

    /// Reads until there is more to give out; 0 if the connection has ended.
    fn fill(&mut self, limit: usize) -> Result<usize, Failure> {
        let mut limit = limit.clamp(1, CHUNK);
        if let Some(slowness) = &mut self.slowness {
            limit = limit.min(1 + slowness.random.below(slowness.limit));
            if slowness.reads < RESTS {
                sleep(Duration::from_micros(
                    slowness.random.below(REST_LIMIT) as u64
                ));
            }
            slowness.reads += 1;
        }
        let before = self.waiting().len();
        while self.waiting().len() == before {
            if self.end.is_some() {
                return Ok(0);
            }
            self.step(limit)?;
            self.encrypted()?;
        }
        Ok(self.waiting().len() - before)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        while !self.out.is_empty() {
            self.step(CHUNK)?;
        }
        Ok(())
    }

    /// Takes what the TLS session wants to send.
    fn encrypted(&mut self) -> Result<(), Failure> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.out)?;
            }
        }
        Ok(())
    }

    /// Waits for the socket, then writes or reads once.
    fn step(&mut self, limit: usize) -> Result<(), Failure> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, self.end.is_none());
        wanted.set(PollFlags::POLLOUT, !self.out.is_empty());
        let mut fds = [PollFd::new(self.stream.as_fd(), wanted)];
        let patience = PollTimeout::try_from(self.patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, patience) {
            Ok(0) => return Err(Failure::TimedOut),
            Err(nix::Error::EINTR) => return Ok(()),
            result => result.map_err(io::Error::from)?,
        };
        let ready = fds[0].revents().unwrap_or(wanted);
        if !self.out.is_empty() && (ready.contains(PollFlags::POLLOUT) || self.end.is_some()) {
            return self.write_once();
        }
        self.read_once(limit)
    }

    fn write_once(&mut self) -> Result<(), Failure> {
        match self.stream.write(&self.out) {
            Ok(bytes) => {
                self.out.drain(..bytes);
                Ok(())
            }
            Err(error) if is_end(&error) => Err(Failure::Closed),
            Err(error) if is_temporary(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read_once(&mut self, limit: usize) -> Result<(), Failure> {
        if self.start > 0 {
            self.pending.drain(..self.start);
            self.start = 0;
        }
        if self.tls.is_some() {
            return self.decrypt_once(limit);
        }
        let before = self.pending.len();
        self.pending.resize(before + limit, 0);
        let result = self.stream.read(&mut self.pending[before..]);
        self.pending
            .truncate(before + result.as_ref().unwrap_or(&0));
        self.arrived(result, End::Proper).map(drop)
    }

    fn decrypt_once(&mut self, limit: usize) -> Result<(), Failure> {
        let mut buffer = vec![0; limit];
        let result = self.stream.read(&mut buffer);
        let bytes = self.arrived(result, End::Bare)?;
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        let mut coded = &buffer[..bytes];
        while !coded.is_empty() {
            tls.read_tls(&mut coded)?;
            let state = tls.process_new_packets().map_err(tls_failure)?;
            let before = self.pending.len();
            self.pending
                .resize(before + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.pending[before..])?;
            if state.peer_has_closed() {
                self.end = Some(End::Proper);
            }
        }
        Ok(())
    }

    /// Bytes that a read has brought; notes the end of the connection.
    fn arrived(&mut self, result: io::Result<usize>, at_end: End) -> Result<usize, Failure> {
        match result {
            Ok(0) => {
                self.end.get_or_insert(at_end);
                Ok(0)
            }
            Ok(bytes) => Ok(bytes),
            Err(error) if is_end(&error) => {
                self.end = Some(End::Reset);
                Ok(0)
            }
            Err(error) if is_temporary(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

fn tls_failure(error: rustls::Error) -> Failure {
    Failure::Malformed(format!("TLS: {error}"))
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
