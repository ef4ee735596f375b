// SPDX-License-Identifier: MIT OR Apache-2.0

//! How connections begin, and how they end.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{
    connect, setsockopt, socket, sockopt, AddressFamily, SockFlag, SockType, SockaddrStorage,
};
use rustls::ClientConfig;
use thiserror::Error;

use super::{Conn, PATIENCE};

/// How an exchange failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// The connection ended before the first byte of the response
    #[error("the connection ended before the response")]
    Closed,
    /// The connection ended within the response
    #[error("the connection ended within the response, {missing} bytes before its end")]
    Truncated {
        /// Bytes that are missing; 0 if the end is not known
        missing: usize,
    },
    /// Nothing came, or nothing was taken, for a long time
    #[error("no byte for {} s", PATIENCE.as_secs())]
    TimedOut,
    /// What came is not what the protocol has
    #[error("not a response: {0}")]
    Malformed(String),
    /// Something that no server can cause
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As the protocol has it: FIN, with TLS behind a close_notify
    Proper,
    /// FIN within a TLS session
    Bare,
    /// A reset
    Reset,
}

/// Where a server is, and how to talk to it.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Where it listens
    pub address: SocketAddr,
    /// With TLS, and how
    pub tls: Option<Arc<ClientConfig>>,
}

impl Dial {
    /// Without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// As of connect(2).
    pub fn connect(&self) -> Result<Conn, Failure> {
        Conn::new(self.stream(None)?, self.tls.as_ref())
    }

    /// Connects with a receive buffer of about `bytes`, so that the server's bytes pile up on its side.
    ///
    /// # Errors
    ///
    /// As of connect(2).
    pub fn connect_with_buffer(&self, bytes: usize) -> Result<Conn, Failure> {
        Conn::new(self.stream(Some(bytes))?, self.tls.as_ref())
    }

    /// Connects, and says nothing yet. `buffer` is as in [`Dial::connect_with_buffer`].
    ///
    /// # Errors
    ///
    /// As of connect(2).
    pub fn stream(&self, buffer: Option<usize>) -> Result<TcpStream, Failure> {
        let Some(bytes) = buffer else {
            return Ok(TcpStream::connect(self.address)?);
        };
        let fd: OwnedFd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(io::Error::from)?;
        // Before connecting: the window is agreed on then.
        setsockopt(&fd, sockopt::RcvBuf, &bytes).map_err(io::Error::from)?;
        connect(fd.as_raw_fd(), &SockaddrStorage::from(self.address)).map_err(io::Error::from)?;
        Ok(TcpStream::from(fd))
    }
}
