// SPDX-License-Identifier: MIT OR Apache-2.0

//! A client of a server that is killed: asks and reads until its connection has ended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use crate::docs::Random;
use crate::verify::received::{Line, Received};
use crate::verify::streams::{Reply, Request};
use crate::wire::{Conn, Dial, Failure};

/// Receive buffer of those who read slowly or late, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;
/// What a reader takes at once, at most.
const GULP: usize = 64 * 1024;
/// The same for a slow one.
const SIP: usize = 8 * 1024;
/// Requests at once of a client that does not wait for answers, at most.
const AT_ONCE: usize = 128;
/// Number of the client that asks for more than all buffers hold.
pub const GREEDY: usize = 5;
/// What it asks for at once.
const MUCH: usize = 400;
/// Requests that everybody sends one by one first: by then the connection is a flow.
const FIRST: usize = 3;
/// Further requests of a late reader before it stops reading, at most.
const EARLY: usize = 8;
/// How long a late reader leaves its bytes to a server that is dead, at most, in milliseconds.
const LATENESS: usize = 800;
/// How long a connection may stay open when all that was sent has come. A peer that took nothing would be given up after
/// 60 s; nobody here waits for that.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Reads whatever there is
    Steady,
    /// Takes little at a time, with pauses, from a connection that holds little
    Slow,
    /// Stops reading at some moment, and goes on when the server is dead
    Late,
}

/// What a client does in one round.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How it reads
    pub pace: Pace,
    /// Requests that it sends before it waits for answers
    pub at_once: usize,
}

impl Manner {
    /// Of a client with this number: half of them are steady. `limit` is what the server takes at once.
    pub fn new(number: usize, limit: usize, random: &mut Random) -> Self {
        let (pace, at_once) = match number % 6 {
            _ if number == GREEDY => (Pace::Late, MUCH),
            0..=2 => (Pace::Steady, 1),
            3 => (Pace::Late, 1),
            4 => (Pace::Slow, 1),
            _ => {
                let pace = [Pace::Steady, Pace::Slow, Pace::Late][random.below(3)];
                (pace, 2 + random.below(AT_ONCE - 1))
            }
        };
        Self {
            pace,
            at_once: at_once.min(limit),
        }
    }

    /// Asks for one thing at a time, and reads what comes.
    pub fn is_steady(self) -> bool {
        self.pace == Pace::Steady && self.at_once == 1
    }
}

/// What clients and the one who kills know of each other.
#[derive(Default)]
pub struct Shared {
    /// Set before the kill begins: connections may end
    pub doomed: AtomicBool,
    /// When the server was killed
    pub killed: OnceLock<Instant>,
    /// Whole answers that the steady clients have received
    pub answers: AtomicUsize,
    /// Clients that are connected
    pub begun: AtomicUsize,
    /// Clients that are gone
    pub left: AtomicUsize,
}

/// What a client has seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Answers that came whole
    pub whole: usize,
    /// Of these, the ones that came when the server had been killed
    pub late: usize,
    /// How long its end took behind the last byte and the kill
    pub waited: Duration,
    /// It had at most one request under way: the server's socket had nothing unread that would have reset the connection
    pub one_by_one: bool,
}

/// A client.
pub struct Client<'a> {
    /// Where the server is
    pub dial: &'a Dial,
    /// What it says, again and again
    pub script: &'a [Line],
    /// Its number
    pub number: usize,
    /// How it behaves
    pub manner: Manner,
    /// Its own random numbers
    pub random: Random,
    /// What it knows of the others
    pub shared: &'a Shared,
}

impl Client<'_> {
    /// Asks and reads until the connection has ended, which must not be before the server was killed.
    ///
    /// # Errors
    ///
    /// What came is not the beginning of the answers, or the connection did not end as it must.
    pub fn run(self) -> Result<Seen> {
        let shared = self.shared;
        let result = self.talk();
        shared.left.fetch_add(1, Ordering::Relaxed);
        result.with_context(|| format!("client {}, {:?}", self.number, self.manner))
    }

    fn talk(&self) -> Result<Seen> {
        let mut random = self.random.clone();
        let mut conn = match self.manner.pace {
            Pace::Steady => self.dial.connect()?,
            Pace::Slow | Pace::Late => self.dial.connect_with_buffer(SMALL_BUFFER)?,
        };
        if self.manner.pace == Pace::Slow {
            conn.slow_down(SIP, random.clone());
        }
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        let stops_at = match self.manner.pace {
            Pace::Late => FIRST + random.below(EARLY),
            _ => usize::MAX,
        };
        let mut received = Received::default();
        let mut asked = 0;
        let mut late = 0;
        let mut can_send = true;
        let mut last = Instant::now();
        loop {
            if can_send && received.awaited() == 0 {
                let before = asked;
                can_send = self.ask(&mut conn, &mut received, &mut asked)?;
                if (before..asked).contains(&stops_at) {
                    self.wait_for_the_kill();
                    sleep(Duration::from_millis(random.below(LATENESS) as u64));
                    last = Instant::now();
                }
            }
            let whole = received.whole();
            match conn.some(GULP) {
                Ok(bytes) => received.take(&bytes)?,
                Err(Failure::Truncated { .. } | Failure::Closed) => break,
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("{} answers had come, {} had not", whole, received.awaited())
                    })
                }
            }
            last = Instant::now();
            let more = received.whole() - whole;
            if self.manner.is_steady() {
                self.shared.answers.fetch_add(more, Ordering::Relaxed);
            }
            if self.shared.killed.get().is_some() {
                late += more;
            }
        }
        if !self.shared.doomed.load(Ordering::Relaxed) {
            bail!("the connection ended before the server was killed");
        }
        let ended = Instant::now();
        let killed = loop {
            match self.shared.killed.get() {
                Some(killed) => break *killed,
                None => sleep(Duration::from_millis(1)),
            }
        };
        let waited = ended.saturating_duration_since(last.max(killed));
        ensure!(
            waited < END_LIMIT,
            "the connection ended {} s after its last byte and the kill",
            waited.as_secs()
        );
        Ok(Seen {
            whole: received.whole(),
            late,
            waited,
            one_by_one: self.manner.at_once == 1,
        })
    }

    /// Sends the next requests. False: the server takes none any more.
    fn ask<'a>(
        &'a self,
        conn: &mut Conn,
        received: &mut Received<'a>,
        asked: &mut usize,
    ) -> Result<bool> {
        let mut all = Vec::new();
        let number = if *asked < FIRST {
            1
        } else {
            self.manner.at_once
        };
        for _ in 0..number {
            let (request, answer) = &self.script[*asked % self.script.len()];
            all.extend(marked(request, self.number, *asked));
            received.expect(answer);
            *asked += 1;
        }
        match conn.send(&all) {
            Ok(()) => Ok(true),
            // What has come until then is still to be read.
            Err(Failure::Closed) => Ok(false),
            Err(error) => Err(error).context("sending"),
        }
    }

    /// Leaves everything to the server until it is dead.
    fn wait_for_the_kill(&self) {
        let is_over = || self.shared.left.load(Ordering::Relaxed) > 0;
        while self.shared.killed.get().is_none() && !is_over() {
            sleep(Duration::from_millis(1));
        }
    }
}

/// A request by which it can be found in a log: HTTP's has its client and number behind the path, which changes nothing
/// in the answer.
fn marked(request: &Request, client: usize, number: usize) -> Vec<u8> {
    let bytes = &request.bytes;
    let Reply::Http { .. } = request.reply else {
        return bytes.clone();
    };
    let spaces = bytes.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    let end = spaces.map(|(place, _)| place).nth(1).unwrap_or(bytes.len());
    let mark = format!("?id={client}-{number}");
    [&bytes[..end], mark.as_bytes(), &bytes[end..]].concat()
}

/// Client and number of a request in a line of a log.
pub fn mark_of(line: &str) -> Option<(usize, usize)> {
    let (_, rest) = line.split_once("?id=")?;
    let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit());
    let (client, number) = rest[..end.unwrap_or(rest.len())].split_once('-')?;
    Some((client.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::streams::http::post;
    use crate::verify::streams::resp::command;

    #[test]
    fn requests_are_found_in_logs() {
        let text = String::from_utf8(marked(&post("/echo", &[], b"a b c"), 3, 41)).unwrap();
        assert!(
            text.starts_with("POST /echo?id=3-41 HTTP/1.1\r\n"),
            "{text}"
        );
        assert!(text.ends_with("a b c"), "{text}");
        assert_eq!(mark_of(&text), Some((3, 41)));
        assert_eq!(mark_of("GET /x?id=3-41"), Some((3, 41)));
        assert_eq!(mark_of("GET /x HTTP/1.1"), None);
        let ping = command(&[b"PING"]);
        assert_eq!(marked(&ping, 3, 41), ping.bytes);
    }
}
