// SPDX-License-Identifier: MIT OR Apache-2.0

//! Commands for Redis, and its replies.

use super::{noise, value_length, Reply, Request, Stream};
use crate::docs::Random;
use crate::wire::{Conn, Failure};

/// Longest line of a reply.
const MAX_LINE: usize = 64 * 1024;
/// Nested arrays; no command here has more than two.
const MAX_DEPTH: usize = 8;
/// Keys of each client.
const KEYS: usize = 6;

/// Commands of a client with keys of its own.
pub struct Resp;

impl Stream for Resp {
    fn requests(&self, random: &mut Random, client: usize, number: usize) -> Vec<Request> {
        let mut requests = Vec::with_capacity(number + 2 * KEYS);
        // A key that is set can be deleted with the same answer each time.
        for key in 0..KEYS {
            requests.push(command(&[b"SET", &name(client, key), b"x"]));
            requests.push(command(&[b"DEL", &name(client, key)]));
        }
        let left = number.saturating_sub(requests.len());
        requests.extend((0..left).map(|_| any(random, client)));
        requests.truncate(number);
        requests
    }

    fn sized(&self, bytes: usize, client: usize) -> Vec<Request> {
        let value = noise(&mut Random::new(client as u64), bytes);
        let key = name(client, 0);
        vec![command(&[b"SET", &key, &value]), command(&[b"GET", &key])]
    }

    fn upload(&self, bytes: usize, client: usize) -> Option<Request> {
        self.sized(bytes, client).into_iter().next()
    }

    /// While it loads what it has saved it does not answer.
    fn is_ready(&self, conn: &mut Conn) -> Result<bool, Failure> {
        Ok(command(&[b"PING"]).exchange(conn)? == b"+PONG\r\n")
    }
}

/// A command, as clients send it.
pub fn command(words: &[&[u8]]) -> Request {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    Request {
        bytes,
        reply: Reply::Resp(1),
    }
}

fn name(client: usize, key: usize) -> Vec<u8> {
    format!("{client}:{key}").into_bytes()
}

/// A command whose answer follows from those before it, on whichever server. Kinds of values meet wrong commands, too.
fn any(random: &mut Random, client: usize) -> Request {
    let key = name(client, random.below(KEYS));
    let other = name(client, random.below(KEYS));
    let length = value_length(random);
    let value = noise(random, length);
    let from = random.below(300).to_string().into_bytes();
    let to = random.below(600).to_string().into_bytes();
    match random.below(24) {
        0..=3 => command(&[b"SET", &key, &value]),
        4..=8 => command(&[b"GET", &key]),
        9 => command(&[b"APPEND", &key, &value]),
        10 => command(&[b"GETRANGE", &key, &from, &to]),
        11 => command(&[b"SETRANGE", &key, &from, &value]),
        12 => command(&[b"STRLEN", &key]),
        13 => command(&[b"INCRBY", &key, &from]),
        14 => command(&[b"MSET", &key, &from, &other, &value]),
        15 => command(&[b"MGET", &key, &other, b"none"]),
        16 => command(&[b"DEL", &key, &other]),
        17 => command(&[b"RPUSH", &key, &value, &from]),
        18 => command(&[b"LRANGE", &key, b"0", b"-1"]),
        19 => command(&[b"ZADD", &key, &from, &to]),
        20 => command(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]),
        21 => command(&[b"ECHO", &value]),
        22 => Request {
            bytes: b"PING\r\nno-such-command a b\r\n".to_vec(),
            reply: Reply::Resp(2),
        },
        _ => {
            let mut bytes = command(&[b"MULTI"]).bytes;
            bytes.extend(command(&[b"SET", &key, &from]).bytes);
            bytes.extend(command(&[b"INCR", &key]).bytes);
            bytes.extend(command(&[b"EXEC"]).bytes);
            Request {
                bytes,
                reply: Reply::Resp(4),
            }
        }
    }
}

/// Reads so many replies, as they come.
///
/// # Errors
///
/// As of [`Conn`], or they are none.
pub fn read(conn: &mut Conn, number: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for _ in 0..number {
        read_one(conn, &mut bytes, 0)?;
    }
    Ok(bytes)
}

fn read_one(conn: &mut Conn, bytes: &mut Vec<u8>, depth: usize) -> Result<(), Failure> {
    let line = conn.until(b"\r\n", MAX_LINE);
    let line = match line {
        Err(Failure::Closed) if !bytes.is_empty() => return Err(Failure::Truncated { missing: 0 }),
        line => line?,
    };
    let malformed = || Failure::Malformed(format!("a reply begins with {}", line.escape_ascii()));
    let count = || -> Result<i64, Failure> {
        let text = std::str::from_utf8(&line[1..]).map_err(|_| malformed())?;
        text.trim_end().parse().map_err(|_| malformed())
    };
    bytes.extend(&line);
    match line[0] {
        b'+' | b'-' | b':' => {}
        // -1 stands for nothing.
        b'$' => {
            if let Ok(length) = usize::try_from(count()?) {
                bytes.extend(conn.take(length + 2)?);
            }
        }
        b'*' if depth < MAX_DEPTH => {
            for _ in 0..count()? {
                read_one(conn, bytes, depth + 1)?;
            }
        }
        _ => return Err(malformed()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::fake::said_by_server;

    #[test]
    fn commands_are_framed() {
        let bytes = command(&[b"SET", b"k", b"\r\n"]).bytes;
        assert_eq!(bytes, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n");
    }

    #[test]
    fn replies_are_read_whole() {
        let said: &[u8] = b"*3\r\n$3\r\na\r\n\r\n*1\r\n:7\r\n$-1\r\n-ERR x\r\n*-1\r\n+rest";
        let mut conn = said_by_server(said);
        assert_eq!(read(&mut conn, 1).unwrap().len(), 26);
        assert_eq!(read(&mut conn, 2).unwrap(), b"-ERR x\r\n*-1\r\n");
        assert!(read(&mut conn, 1).is_err());
        assert!(read(&mut said_by_server(b"HTTP/1.1\r\n"), 1).is_err());
        assert!(read(&mut said_by_server(b"$x\r\n"), 1).is_err());
    }

    #[test]
    fn streams_begin_without_a_past() {
        let requests = Resp.requests(&mut Random::new(1), 7, 40);
        assert_eq!(requests.len(), 40);
        let deletes = requests.iter().take(2 * KEYS);
        assert_eq!(
            deletes
                .filter(|r| r.bytes.starts_with(b"*2\r\n$3\r\nDEL"))
                .count(),
            KEYS
        );
    }
}
