// SPDX-License-Identifier: MIT OR Apache-2.0

//! Commands for memcached, in its text and its meta protocol, and its answers.

use super::{noise, value_length, Reply, Request, Stream};
use crate::docs::Random;
use crate::wire::{Conn, Failure};

/// Longest line of an answer.
const MAX_LINE: usize = 64 * 1024;
/// Keys of each client.
const KEYS: usize = 6;
/// Longest value.
pub const MAX_VALUE: usize = 1 << 20;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line
    Line,
    /// Any number of values, then END
    Values,
    /// A line, or one with a value behind it
    Meta,
}

/// Commands of a client with keys of its own.
pub struct Memcached;

impl Stream for Memcached {
    fn requests(&self, random: &mut Random, client: usize, number: usize) -> Vec<Request> {
        let mut requests = Vec::with_capacity(number + 2 * KEYS);
        // A key that is set can be deleted with the same answer each time.
        for key in 0..KEYS {
            let key = name(client, key);
            requests.push(store("set", &key, 0, b"x"));
            requests.push(line(&format!("delete {key}")));
        }
        let left = number.saturating_sub(requests.len());
        requests.extend((0..left).map(|_| any(random, client)));
        requests.truncate(number);
        requests
    }

    fn sized(&self, bytes: usize, client: usize) -> Vec<Request> {
        let bytes = bytes.min(MAX_VALUE);
        let value = noise(&mut Random::new(client as u64), bytes);
        let key = name(client, 0);
        vec![store("set", &key, 0, &value), get(&key)]
    }

    fn upload(&self, bytes: usize, client: usize) -> Option<Request> {
        self.sized(bytes, client).into_iter().next()
    }
}

/// A command of one line.
pub fn line(text: &str) -> Request {
    with_form(text, Form::Line)
}

/// `get` of some keys.
pub fn get(keys: &str) -> Request {
    with_form(&format!("get {keys}"), Form::Values)
}

/// `gets` of some keys: values with the numbers that `cas` asks for.
pub fn gets(keys: &str) -> Request {
    with_form(&format!("gets {keys}"), Form::Values)
}

/// A command with a value.
pub fn store(command: &str, key: &str, flags: usize, value: &[u8]) -> Request {
    with_value(
        &format!("{command} {key} {flags} 0 {}", value.len()),
        value,
        Form::Line,
    )
}

/// Any line with a value behind it.
pub fn with_value(text: &str, value: &[u8], form: Form) -> Request {
    let mut request = with_form(text, form);
    request.bytes.extend(value);
    request.bytes.extend(b"\r\n");
    request
}

fn with_form(text: &str, form: Form) -> Request {
    Request {
        bytes: format!("{text}\r\n").into_bytes(),
        reply: Reply::Memcached(form),
    }
}

/// Name of a client's key.
pub fn name(client: usize, key: usize) -> String {
    format!("{client}:{key}")
}

/// A command whose answer follows from those before it, on whichever server.
fn any(random: &mut Random, client: usize) -> Request {
    let key = name(client, random.below(KEYS));
    let other = name(client, random.below(KEYS));
    let length = value_length(random);
    let value = noise(random, length);
    let number = random.below(1_000_000);
    let meta = |text: String| with_form(&text, Form::Meta);
    match random.below(20) {
        0..=2 => store("set", &key, number, &value),
        3 => store("add", &key, 0, &value),
        4 => store("replace", &key, 0, &value),
        // Short ones: values must not grow for ever.
        5 => store("append", &key, 0, &value[..length.min(50)]),
        6 => store("prepend", &key, 0, &value[..length.min(50)]),
        7..=9 => get(&key),
        10..=11 => get(&format!("{key} none {other} {key}")),
        12 => store("set", &key, 0, number.to_string().as_bytes()),
        13 => line(&format!("incr {key} {number}")),
        14 => line(&format!("decr {key} {number}")),
        15 => line(&format!("delete {key}")),
        16 => line("no-such-command"),
        17 => meta(format!("mg {key} v f s k O{number}")),
        18 => with_value(
            &format!("ms {key} {length} T0 F{number}"),
            &value,
            Form::Meta,
        ),
        _ => meta(format!("md {other} O{number}")),
    }
}

/// Reads an answer, as it comes.
///
/// # Errors
///
/// As of [`Conn`], or it is none.
pub fn read(conn: &mut Conn, form: Form) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    loop {
        let line = match conn.until(b"\r\n", MAX_LINE) {
            Err(Failure::Closed) if !bytes.is_empty() => {
                return Err(Failure::Truncated { missing: 0 })
            }
            line => line?,
        };
        bytes.extend(&line);
        let length = match form {
            Form::Line => None,
            Form::Values => length_in(&line, "VALUE", 3),
            Form::Meta => length_in(&line, "VA", 1),
        };
        let Some(length) = length else {
            return Ok(bytes);
        };
        let length = length.map_err(|()| {
            Failure::Malformed(format!("a value begins with {}", line.escape_ascii()))
        })?;
        bytes.extend(conn.take(length + 2)?);
        if form == Form::Meta {
            return Ok(bytes);
        }
    }
}

/// The length of the value behind a line that begins with `word`: the word with this number.
fn length_in(line: &[u8], word: &str, place: usize) -> Option<Result<usize, ()>> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.trim_end().split(' ');
    if words.next() != Some(word) {
        return None;
    }
    let length = words.nth(place - 1).and_then(|length| length.parse().ok());
    Some(length.ok_or(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::fake::said_by_server;

    #[test]
    fn commands_are_framed() {
        let bytes = store("set", "k", 5, b"a\r\n").bytes;
        assert_eq!(bytes, b"set k 5 0 3\r\na\r\n\r\n");
    }

    #[test]
    fn answers_are_read_whole() {
        let values: &[u8] = b"VALUE a 0 5\r\nEND\r\n\r\nVALUE b 0 1 77\r\nx\r\nEND\r\n";
        let said = [
            values,
            b"STORED\r\nVA 2 f1\r\nhi\r\nEN\r\nSERVER_ERROR x\r\n",
        ]
        .concat();
        let mut conn = said_by_server(&said);
        assert_eq!(read(&mut conn, Form::Values).unwrap(), values);
        assert_eq!(read(&mut conn, Form::Line).unwrap(), b"STORED\r\n");
        assert_eq!(read(&mut conn, Form::Meta).unwrap(), b"VA 2 f1\r\nhi\r\n");
        assert_eq!(read(&mut conn, Form::Meta).unwrap(), b"EN\r\n");
        assert_eq!(
            read(&mut conn, Form::Values).unwrap(),
            b"SERVER_ERROR x\r\n"
        );
        assert!(matches!(read(&mut conn, Form::Line), Err(Failure::Closed)));
        assert!(read(&mut said_by_server(b"VALUE a 0 x\r\n"), Form::Values).is_err());
    }
}
