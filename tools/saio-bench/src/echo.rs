// SPDX-License-Identifier: MIT OR Apache-2.0

//! An echo server as its book has it: one thread, epoll, level-triggered, nothing blocks. It knows nothing of SAIO.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use clap::Args;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{accept4, listen, Backlog, SockFlag};
use nix::unistd::{read, write};

/// What one read takes.
const CHUNK: usize = 64 * 1024;
/// Marks of events that belong to no connection.
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
/// The first mark of a connection.
const FIRST: u64 = 2;

/// Arguments of `saio-bench echo`.
#[derive(Args)]
pub struct EchoArgs {
    /// Where it listens on 127.0.0.1
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

/// A connection and what it has yet to get back.
struct Peer {
    fd: OwnedFd,
    waiting: Vec<u8>,
    /// It sends nothing more
    has_ended: bool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// The port is taken, or epoll fails.
pub fn echo(args: &EchoArgs) -> Result<()> {
    let listener = args.listen()?;
    listener.set_nonblocking(true)?;
    serve(&listener)
}

impl EchoArgs {
    /// Listens where it is to.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub fn listen(&self) -> Result<TcpListener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .with_context(|| format!("--port: cannot listen on 127.0.0.1:{}", self.port))?;
        // The backlog that std asks for is too short for hundreds of clients at once.
        listen(&listener, Backlog::new(1024)?)?;
        Ok(listener)
    }
}

/// From now on the signals that end a server are read from a descriptor.
///
/// # Errors
///
/// No descriptor is left.
pub fn signals() -> Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    Ok(SignalFd::with_flags(&signals, flags)?)
}

fn serve(listener: &TcpListener) -> Result<()> {
    let signals = signals()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
    let mut peers: BTreeMap<u64, Peer> = BTreeMap::new();
    let mut next = FIRST;
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            result => result?,
        };
        for event in &events[..ready] {
            match event.data() {
                SIGNALS => return Ok(()),
                LISTENER => next = accept_all(&epoll, listener, &mut peers, next)?,
                mark => {
                    let stays = match peers.get_mut(&mark) {
                        Some(peer) => turn(&epoll, mark, peer)?,
                        None => continue,
                    };
                    if !stays {
                        // Dropped: closed, and so out of epoll.
                        peers.remove(&mark);
                    }
                }
            }
        }
    }
}

fn accept_all(
    epoll: &Epoll,
    listener: &TcpListener,
    peers: &mut BTreeMap<u64, Peer>,
    mut next: u64,
) -> Result<u64> {
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = match accept4(listener.as_raw_fd(), flags) {
            Ok(fd) => owned(fd),
            Err(Errno::EAGAIN) => return Ok(next),
            Err(Errno::ECONNABORTED | Errno::EINTR) => continue,
            Err(error) => return Err(error).context("cannot accept"),
        };
        epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, next))?;
        let peer = Peer {
            fd,
            waiting: Vec::new(),
            has_ended: false,
        };
        peers.insert(next, peer);
        next += 1;
    }
}

/// A descriptor that was just made.
fn owned(fd: i32) -> OwnedFd {
    // SAFETY: accept4 has returned it, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Reads once if everything was given back, and gives back what can be. False: the connection is over.
fn turn(epoll: &Epoll, mark: u64, peer: &mut Peer) -> Result<bool> {
    let had_to_wait = !peer.waiting.is_empty();
    if !had_to_wait && !peer.has_ended {
        let mut buffer = [0; CHUNK];
        match read(&peer.fd, &mut buffer) {
            Ok(0) => peer.has_ended = true,
            Ok(bytes) => peer.waiting.extend_from_slice(&buffer[..bytes]),
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
    while !peer.waiting.is_empty() {
        match write(&peer.fd, &peer.waiting) {
            Ok(bytes) => drop(peer.waiting.drain(..bytes)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => break,
            Err(_) => return Ok(false),
        }
    }
    let has_to_wait = !peer.waiting.is_empty();
    if has_to_wait != had_to_wait {
        let flags = match has_to_wait {
            true => EpollFlags::EPOLLOUT,
            false => EpollFlags::EPOLLIN,
        };
        epoll.modify(peer.fd.as_fd(), &mut EpollEvent::new(flags, mark))?;
    }
    Ok(has_to_wait || !peer.has_ended)
}
