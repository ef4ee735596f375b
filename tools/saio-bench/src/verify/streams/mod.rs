// SPDX-License-Identifier: MIT OR Apache-2.0

//! What clients say: requests that repeat for a seed, and how long an answer is.

pub mod echo;
pub mod http;
pub mod memcached;
pub mod resp;

use std::fmt;

use anyhow::Result;

use super::compare::{same_bytes, same_http};
use crate::docs::Random;
use crate::wire::{Conn, Failure};

/// Bytes of a request that are shown.
const SHOWN: usize = 60;

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// All of it
    pub bytes: Vec<u8>,
    /// What comes back
    pub reply: Reply,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An HTTP response, perhaps to HEAD
    Http {
        /// It has no body
        to_head: bool,
    },
    /// So many replies of Redis
    Resp(usize),
    /// One of memcached
    Memcached(memcached::Form),
    /// So many bytes
    Bytes(usize),
}

impl Request {
    /// Sends it and reads the answer.
    ///
    /// # Errors
    ///
    /// As of [`Conn`].
    pub fn exchange(&self, conn: &mut Conn) -> Result<Vec<u8>, Failure> {
        conn.send(&self.bytes)?;
        self.answer(conn)
    }

    /// Reads the answer, as it comes.
    ///
    /// # Errors
    ///
    /// As of [`Conn`], or it has not the form that it must have.
    pub fn answer(&self, conn: &mut Conn) -> Result<Vec<u8>, Failure> {
        match self.reply {
            Reply::Http { to_head } => crate::http::read(conn, to_head),
            Reply::Resp(number) => resp::read(conn, number),
            Reply::Memcached(form) => memcached::read(conn, form),
            Reply::Bytes(number) => conn.take(number),
        }
    }

    /// Compares two answers to it.
    ///
    /// # Errors
    ///
    /// What differs and must not.
    pub fn compare(&self, plain: &[u8], saio: &[u8]) -> Result<()> {
        match self.reply {
            Reply::Http { .. } => same_http(plain, saio),
            _ => same_bytes(plain, saio),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.bytes[..self.bytes.len().min(SHOWN)];
        let more = if shown.len() < self.bytes.len() {
            "…"
        } else {
            ""
        };
        write!(f, "{}{more}", shown.escape_ascii())
    }
}

/// What clients of one kind of server say.
pub trait Stream: Sync {
    /// Requests of one connection. They leave it open, and can be said again with the same answers. Clients with
    /// different numbers do not disturb each other.
    fn requests(&self, random: &mut Random, client: usize, number: usize) -> Vec<Request>;

    /// Requests of which one has an answer of this many bytes, or about as many.
    fn sized(&self, bytes: usize, client: usize) -> Vec<Request>;

    /// A request that is this long, if there is such a thing.
    fn upload(&self, bytes: usize, client: usize) -> Option<Request>;

    /// Whether a server that listens is ready.
    ///
    /// # Errors
    ///
    /// As of [`Conn`].
    fn is_ready(&self, _: &mut Conn) -> Result<bool, Failure> {
        Ok(true)
    }
}

/// Bytes that look random, every value among them.
pub fn noise(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        noise.extend(random.number().to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// A length as values of a cache have it: mostly small.
pub fn value_length(random: &mut Random) -> usize {
    match random.below(40) {
        0 => 60_000 + random.below(40_000),
        1 => 16_000 + random.below(1000),
        2..=6 => 1000 + random.below(4000),
        _ => random.below(200),
    }
}
