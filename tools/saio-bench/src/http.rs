// SPDX-License-Identifier: MIT OR Apache-2.0

//! An HTTP/1.1 client that hides nothing: bytes as they came, and how a connection ended.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{
    connect, setsockopt, socket, sockopt, AddressFamily, SockFlag, SockType, SockaddrStorage,
};
use thiserror::Error;

/// How long the server may let a client wait. A debug kernel under emulation is slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest head of a response.
const MAX_HEAD: usize = 64 * 1024;
/// What one read takes from the socket.
const CHUNK: usize = 64 * 1024;

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
    /// Nothing came for a long time
    #[error("no byte for {} s", PATIENCE.as_secs())]
    TimedOut,
    /// What came is not HTTP
    #[error("not an HTTP response: {0}")]
    Malformed(String),
    /// Something that no server can cause
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// All of it, with its last empty line
    pub text: String,
    /// Status code
    pub status: u16,
    /// Bytes of the body; `None`: until the connection ends
    pub length: Option<usize>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its head
    pub head: Head,
    /// Its body
    pub body: Vec<u8>,
}

/// Value of a field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes read and not yet given out
    pending: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// As of connect(2).
    pub fn connect(address: SocketAddr) -> Result<Self, Failure> {
        Self::new(TcpStream::connect(address)?)
    }

    /// Connects with a receive buffer of about `bytes`, so that the server's bytes pile up on its side.
    ///
    /// # Errors
    ///
    /// As of connect(2).
    pub fn connect_with_buffer(address: SocketAddr, bytes: usize) -> Result<Self, Failure> {
        let fd: OwnedFd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(io::Error::from)?;
        // Before connecting: the window is agreed on then.
        setsockopt(&fd, sockopt::RcvBuf, &bytes).map_err(io::Error::from)?;
        connect(fd.as_raw_fd(), &SockaddrStorage::from(address)).map_err(io::Error::from)?;
        Self::new(TcpStream::from(fd))
    }

    fn new(stream: TcpStream) -> Result<Self, Failure> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            pending: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// [`Failure::Closed`] if the server has ended the connection.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.stream.write_all(bytes) {
            Err(error) if is_end(&error) => Err(Failure::Closed),
            Err(error) if is_timeout(&error) => Err(Failure::TimedOut),
            result => Ok(result?),
        }
    }

    /// Reads a whole response. `to_head` says that the request was HEAD, whose response has no body.
    ///
    /// # Errors
    ///
    /// The connection ended, nothing came, or it is not HTTP.
    pub fn response(&mut self, to_head: bool) -> Result<Response, Failure> {
        let head = self.head(to_head)?;
        let body = match head.length {
            Some(length) => {
                let mut body = Vec::with_capacity(length);
                while body.len() < length {
                    body.extend(self.chunk(length - body.len())?);
                }
                body
            }
            None => self.rest()?,
        };
        Ok(Response { head, body })
    }

    /// Reads the head of a response. [`Head::length`] bytes of body follow.
    ///
    /// # Errors
    ///
    /// As [`Client::response`].
    pub fn head(&mut self, to_head: bool) -> Result<Head, Failure> {
        let end = loop {
            if let Some(end) = end_of_head(&self.pending) {
                break end;
            }
            if self.pending.len() > MAX_HEAD {
                return Err(Failure::Malformed("the head does not end".into()));
            }
            let started = !self.pending.is_empty();
            if self.fill()? == 0 {
                return Err(if started {
                    Failure::Truncated { missing: 0 }
                } else {
                    Failure::Closed
                });
            }
        };
        let rest = self.pending.split_off(end);
        let head = std::mem::replace(&mut self.pending, rest);
        parse_head(&head, to_head).map_err(Failure::Malformed)
    }

    /// Reads at least one and at most `left` bytes of a body of which `left` are missing.
    ///
    /// # Errors
    ///
    /// As [`Client::response`].
    pub fn chunk(&mut self, left: usize) -> Result<Vec<u8>, Failure> {
        self.chunk_of(left, left)
    }

    /// The same, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// As [`Client::response`].
    pub fn chunk_of(&mut self, left: usize, limit: usize) -> Result<Vec<u8>, Failure> {
        if self.pending.is_empty() && self.fill_at_most(limit.min(CHUNK))? == 0 {
            return Err(Failure::Truncated { missing: left });
        }
        let rest = self
            .pending
            .split_off(self.pending.len().min(limit).min(left));
        Ok(std::mem::replace(&mut self.pending, rest))
    }

    /// Reads everything until the server ends the connection properly.
    ///
    /// # Errors
    ///
    /// The connection was reset or nothing came.
    pub fn rest(&mut self) -> Result<Vec<u8>, Failure> {
        while self.fill_properly()? > 0 {}
        Ok(std::mem::take(&mut self.pending))
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

    fn fill(&mut self) -> Result<usize, Failure> {
        self.fill_at_most(CHUNK)
    }

    /// Reads once; 0 if the connection has ended in whatever way.
    fn fill_at_most(&mut self, limit: usize) -> Result<usize, Failure> {
        match self.read(limit) {
            Err(Failure::Io(error)) if is_end(&error) => Ok(0),
            result => result,
        }
    }

    /// Reads once; 0 if the server has ended the connection, an error if it was reset.
    fn fill_properly(&mut self) -> Result<usize, Failure> {
        match self.read(CHUNK) {
            Err(Failure::Io(error)) if is_end(&error) => Err(Failure::Truncated { missing: 0 }),
            result => result,
        }
    }

    fn read(&mut self, limit: usize) -> Result<usize, Failure> {
        let before = self.pending.len();
        self.pending.resize(before + limit.max(1), 0);
        let result = loop {
            match self.stream.read(&mut self.pending[before..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let bytes = *result.as_ref().unwrap_or(&0);
        self.pending.truncate(before + bytes);
        match result {
            Err(error) if is_timeout(&error) => Err(Failure::TimedOut),
            result => Ok(result?),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mark = b"\r\n\r\n";
    let start = bytes.windows(mark.len()).position(|four| four == mark)?;
    Some(start + mark.len())
}

fn parse_head(bytes: &[u8], to_head: bool) -> Result<Head, String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
        .ok_or_else(|| format!("it begins with {:?}", text.lines().next().unwrap_or("")))?;
    let length = if to_head || status == 304 {
        Some(0)
    } else {
        match field(&text, "Content-Length") {
            Some(value) => {
                let length = value.parse::<usize>();
                Some(length.map_err(|_| format!("Content-Length is {value:?}"))?)
            }
            None => None,
        }
    };
    Ok(Head {
        text,
        status,
        length,
    })
}

/// Fetches a path over a connection of its own.
///
/// # Errors
///
/// As [`Client::connect`] and [`Client::response`].
pub fn get(address: SocketAddr, path: &str) -> Result<Response, Failure> {
    let mut client = Client::connect(address)?;
    client.send(
        format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    client.response(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server that answers one connection with these bytes, whatever it is asked.
    fn answer(bytes: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(bytes).unwrap();
        });
        address
    }

    #[test]
    fn responses_follow_each_other() {
        let address = answer(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        );
        let mut client = Client::connect(address).unwrap();
        client.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(client.response(false).unwrap().body, b"abc");
        assert_eq!(client.response(false).unwrap().head.status, 404);
        assert!(matches!(client.response(false), Err(Failure::Closed)));
    }

    #[test]
    fn cut_off_responses_are_told_from_none() {
        let address = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        assert!(matches!(
            get(address, "/"),
            Err(Failure::Truncated { missing: 7 })
        ));
        let address = answer(b"");
        assert!(matches!(get(address, "/"), Err(Failure::Closed)));
        let address = answer(b"HTTP/1.1 200");
        assert!(matches!(get(address, "/"), Err(Failure::Truncated { .. })));
    }

    #[test]
    fn bodies_that_are_absent() {
        let bytes = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n";
        assert_eq!(parse_head(bytes, false).unwrap().length, Some(0));
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        assert_eq!(parse_head(bytes, true).unwrap().length, Some(0));
        assert_eq!(parse_head(bytes, false).unwrap().length, Some(10));
        assert!(parse_head(b"SSH-2.0\r\n\r\n", false).is_err());
    }

    #[test]
    fn small_receive_buffers_work() {
        let address = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
        let mut client = Client::connect_with_buffer(address, 4096).unwrap();
        client.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let head = client.head(false).unwrap();
        assert_eq!(head.length, Some(5));
        assert_eq!(client.chunk_of(5, 2).unwrap(), b"ab");
        assert_eq!(client.chunk_of(3, 9).unwrap(), b"cde");
    }
}
