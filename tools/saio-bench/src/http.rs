// SPDX-License-Identifier: MIT OR Apache-2.0

//! Responses of HTTP/1.1: read off a connection byte for byte, and understood.

use std::net::SocketAddr;

use crate::wire::{Conn, Dial, End, Failure};

/// Longest head of a response.
const MAX_HEAD: usize = 64 * 1024;
/// Longest line that announces a chunk.
const MAX_LINE: usize = 1024;

/// What ends a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes
    Bytes(usize),
    /// A chunk without bytes
    Chunked,
    /// The end of the connection
    End,
}

/// Head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// All of it, with its last empty line
    pub text: String,
    /// Status code
    pub status: u16,
    /// What ends the body
    pub length: Length,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its head
    pub head: Head,
    /// Its body, without what announces chunks
    pub body: Vec<u8>,
}

impl Response {
    /// Understands the bytes of a response.
    ///
    /// # Errors
    ///
    /// They are none.
    pub fn parse(bytes: &[u8], to_head: bool) -> Result<Self, Failure> {
        let end = end_of_head(bytes).ok_or_else(|| malformed("the head does not end"))?;
        let head = parse_head(&bytes[..end], to_head)?;
        let body = match head.length {
            Length::Chunked => joined(&bytes[end..])?,
            _ => bytes[end..].to_vec(),
        };
        Ok(Self { head, body })
    }
}

/// Value of a field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Reads a whole response, as it came. `to_head` says that the request was HEAD, whose response has no body.
///
/// # Errors
///
/// The connection ended, nothing came, or it is not HTTP.
pub fn read(conn: &mut Conn, to_head: bool) -> Result<Vec<u8>, Failure> {
    let mut bytes = conn.until(b"\r\n\r\n", MAX_HEAD)?;
    let head = parse_head(&bytes, to_head)?;
    match head.length {
        Length::Bytes(length) => bytes.extend(within(conn.take(length), length)?),
        Length::Chunked => loop {
            let line = within(conn.until(b"\r\n", MAX_LINE), 0)?;
            let size = chunk_size(&line)?;
            bytes.extend(line);
            bytes.extend(within(conn.take(size + 2), size)?);
            if size == 0 {
                break;
            }
        },
        Length::End => match conn.rest()? {
            (rest, End::Proper) => bytes.extend(rest),
            _ => return Err(Failure::Truncated { missing: 0 }),
        },
    }
    Ok(bytes)
}

/// Behind a head an end of the connection is one within the response.
fn within(result: Result<Vec<u8>, Failure>, missing: usize) -> Result<Vec<u8>, Failure> {
    match result {
        Err(Failure::Closed) => Err(Failure::Truncated { missing }),
        result => result,
    }
}

fn malformed(text: &str) -> Failure {
    Failure::Malformed(text.to_owned())
}

/// Where the body begins.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mark = b"\r\n\r\n";
    let start = bytes.windows(mark.len()).position(|four| four == mark)?;
    Some(start + mark.len())
}

fn chunk_size(line: &[u8]) -> Result<usize, Failure> {
    std::str::from_utf8(line)
        .ok()
        .and_then(|line| usize::from_str_radix(line.trim_end(), 16).ok())
        .ok_or_else(|| malformed(&format!("a chunk is announced by {line:?}")))
}

/// A body out of its chunks.
fn joined(mut bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let cut_off = || malformed("a chunk is cut off");
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|two| two == b"\r\n");
        let (line, rest) = bytes.split_at(line.ok_or_else(cut_off)? + 2);
        let size = chunk_size(line)?;
        body.extend(rest.get(..size).ok_or_else(cut_off)?);
        if size == 0 {
            return Ok(body);
        }
        bytes = rest.get(size + 2..).ok_or_else(cut_off)?;
    }
}

fn parse_head(bytes: &[u8], to_head: bool) -> Result<Head, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| malformed("the head is not text"))?
        .to_owned();
    let status = ["HTTP/1.1 ", "HTTP/1.0 "]
        .iter()
        .find_map(|version| text.strip_prefix(version))
        .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
        .ok_or_else(|| malformed(&format!("it begins with {:?}", text.lines().next())))?;
    let length = if to_head || status == 304 {
        Length::Bytes(0)
    } else if let Some(value) = field(&text, "Content-Length") {
        let length = value.parse();
        Length::Bytes(length.map_err(|_| malformed(&format!("Content-Length is {value:?}")))?)
    } else if field(&text, "Transfer-Encoding") == Some("chunked") {
        Length::Chunked
    } else {
        Length::End
    };
    Ok(Head {
        text,
        status,
        length,
    })
}

/// Fetches a path over a connection of its own. Returns the response and its bytes on the wire, head and body.
///
/// # Errors
///
/// As [`Dial::connect`] and [`read`].
pub fn get(address: SocketAddr, path: &str) -> Result<(Response, usize), Failure> {
    let mut conn = Dial::plain(address).connect()?;
    conn.send(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
    let bytes = read(&mut conn, false)?;
    Ok((Response::parse(&bytes, false)?, bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// A server that answers one connection with these bytes, whatever it is asked.
    fn answer(bytes: &'static [u8]) -> Dial {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(bytes).unwrap();
        });
        Dial::plain(address)
    }

    #[test]
    fn responses_follow_each_other() {
        let dial = answer(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        );
        let mut conn = dial.connect().unwrap();
        conn.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let response = |conn: &mut Conn| Response::parse(&read(conn, false)?, false);
        assert_eq!(response(&mut conn).unwrap().body, b"abc");
        assert_eq!(response(&mut conn).unwrap().head.status, 404);
        assert!(matches!(response(&mut conn), Err(Failure::Closed)));
    }

    #[test]
    fn cut_off_responses_are_told_from_none() {
        let get = |bytes| get(answer(bytes).address, "/");
        let cut_off = get(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        assert!(matches!(cut_off, Err(Failure::Truncated { missing: 7 })));
        let cut_off = get(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        assert!(matches!(cut_off, Err(Failure::Truncated { missing: 10 })));
        assert!(matches!(get(b""), Err(Failure::Closed)));
        let cut_off = get(b"HTTP/1.1 200");
        assert!(matches!(cut_off, Err(Failure::Truncated { .. })));
    }

    #[test]
    fn chunks_are_joined_and_kept() {
        let bytes: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let mut conn = answer(bytes).connect().unwrap();
        conn.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let read = read(&mut conn, false).unwrap();
        assert_eq!(read, bytes);
        assert_eq!(
            Response::parse(&read, false).unwrap().body,
            b"abc0123456789"
        );
        assert!(joined(b"3\r\nab").is_err());
        assert!(joined(b"x\r\n").is_err());
    }

    #[test]
    fn bodies_that_are_absent() {
        let bytes = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n";
        assert_eq!(parse_head(bytes, false).unwrap().length, Length::Bytes(0));
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        assert_eq!(parse_head(bytes, true).unwrap().length, Length::Bytes(0));
        assert_eq!(parse_head(bytes, false).unwrap().length, Length::Bytes(10));
        assert!(parse_head(b"SSH-2.0\r\n\r\n", false).is_err());
    }

    #[test]
    fn slow_readers_get_everything() {
        let dial = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
        let mut conn = dial.connect_with_buffer(4096).unwrap();
        conn.slow_down(2, crate::docs::Random::new(1));
        conn.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let bytes = read(&mut conn, false).unwrap();
        assert_eq!(Response::parse(&bytes, false).unwrap().body, b"abcde");
    }
}
