// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who asks: the loads that can be put on a server.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use crate::http;
use crate::load::{self, Load};
use crate::server::Process;
use crate::verify::streams::Request;
use crate::wire::{Conn, Dial};

/// Where the template has nginx's own count of requests.
const STATUS: &str = "/saio-bench-status";

/// How much a client asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// At least so many requests
    Requests(u64),
    /// For so long
    Time(Duration),
}

/// What a client has done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Requests that the server has answered
    pub requests: u64,
    /// Answers a second, where the client is one that says how fast a server is
    pub per_second: Option<f64>,
}

/// A load on one server.
pub trait Client {
    /// Requests that are on their way at the same time.
    fn at_once(&self) -> u64;

    /// Puts the load on the server, on new connections.
    ///
    /// # Errors
    ///
    /// A request failed.
    fn run(&self, amount: Amount) -> Result<Asked>;

    /// The same, calling `mark` when all connections are in use and when the amount was asked. Returns the requests in
    /// between, give or take those on their way.
    ///
    /// # Errors
    ///
    /// As [`Client::run`].
    fn window(&self, amount: Amount, mark: &mut dyn FnMut()) -> Result<u64>;
}

/// Requests on each connection until everything that is done once a connection was done.
pub const OPENING: u64 = 4;

/// wrk on an nginx, which counts the requests.
pub struct Wrk<'a> {
    server: &'a Process,
    load: Load,
}

impl<'a> Wrk<'a> {
    /// A load with requests for a path, from so many threads of wrk.
    ///
    /// # Errors
    ///
    /// The server does not answer with 200.
    pub fn new(server: &'a Process, path: &str, connections: u32, threads: u32) -> Result<Self> {
        let (response, bytes) = http::get(server.address(), path)
            .with_context(|| format!("{path} from {}", server.label()))?;
        ensure!(
            response.head.status == 200,
            "{path} from {}: status {}",
            server.label(),
            response.head.status
        );
        Ok(Self {
            server,
            load: Load {
                address: server.address(),
                path: path.to_owned(),
                connections,
                threads,
                response_bytes: bytes as u64,
            },
        })
    }

    /// Requests that the server has served, with the one that asks.
    fn requests_so_far(&self) -> Result<u64> {
        let (response, _) = http::get(self.server.address(), STATUS)
            .with_context(|| format!("status of {}", self.server.label()))?;
        let text = String::from_utf8_lossy(&response.body);
        parse_status(&text).with_context(|| format!("nginx's status is not understood: {text}"))
    }
}

impl Client for Wrk<'_> {
    fn at_once(&self) -> u64 {
        self.load.connections.into()
    }

    fn run(&self, amount: Amount) -> Result<Asked> {
        let before = self.requests_so_far()?;
        let report = load::run(&self.load, amount)?;
        let requests = requests_between(before, self.requests_so_far()?)?;
        ensure!(
            requests >= report.requests,
            "wrk has {} responses, but {} counts {requests} requests",
            report.requests,
            self.server.label()
        );
        Ok(Asked {
            requests,
            per_second: Some(report.per_second),
        })
    }

    fn window(&self, amount: Amount, mark: &mut dyn FnMut()) -> Result<u64> {
        let mut before = 0;
        let mut after = 0;
        load::run_with_opening(&self.load, self.at_once() * OPENING, amount, |is_end| {
            if is_end {
                mark();
                after = self.requests_so_far()?;
            } else {
                before = self.requests_so_far()?;
                mark();
            }
            Ok(())
        })?;
        requests_between(before, after)
    }
}

fn requests_between(before: u64, after: u64) -> Result<u64> {
    // The second question counts itself.
    let requests = after.saturating_sub(before + 1);
    ensure!(requests > 0, "the server has served no request");
    Ok(requests)
}

/// The third number below "server accepts handled requests".
fn parse_status(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find(|line| line.starts_with("server accepts"))?;
    lines.next()?.split_whitespace().nth(2)?.parse().ok()
}

/// A client in lockstep: it sends a request on every connection, then reads all the answers, the last one first, as it
/// sleeps until that comes. So every server finds the same number of connections ready each time and is left alone
/// meanwhile, whatever it does, and figures repeat. How fast a server is it does not say.
pub struct Lockstep<'a> {
    /// The server
    pub dial: &'a Dial,
    /// What it is asked
    pub request: &'a Request,
    /// Connections
    pub connections: u32,
    /// Requests that are sent at once on each
    pub pipeline: u32,
}

impl Client for Lockstep<'_> {
    fn at_once(&self) -> u64 {
        u64::from(self.connections) * u64::from(self.pipeline)
    }

    fn run(&self, amount: Amount) -> Result<Asked> {
        let mut conns = self.connect()?;
        Ok(Asked {
            requests: self.rounds(&mut conns, amount)?,
            per_second: None,
        })
    }

    fn window(&self, amount: Amount, mark: &mut dyn FnMut()) -> Result<u64> {
        let mut conns = self.connect()?;
        self.rounds(&mut conns, Amount::Requests(self.at_once() * OPENING))?;
        mark();
        let requests = self.rounds(&mut conns, amount)?;
        mark();
        Ok(requests)
    }
}

impl Lockstep<'_> {
    fn connect(&self) -> Result<Vec<Conn>> {
        (0..self.connections)
            .map(|_| Ok(self.dial.connect()?))
            .collect()
    }

    /// Asks on all connections until it is enough. Returns the requests.
    fn rounds(&self, conns: &mut [Conn], amount: Amount) -> Result<u64> {
        let together = self.request.bytes.repeat(self.pipeline as usize);
        let length = Cell::new(None);
        let begin = Instant::now();
        let mut requests = 0;
        let is_enough = |requests: u64| match amount {
            Amount::Requests(wanted) => requests >= wanted,
            Amount::Time(time) => begin.elapsed() >= time,
        };
        while !is_enough(requests) {
            for conn in conns.iter_mut() {
                conn.send(&together)?;
            }
            for conn in conns.iter_mut().rev() {
                self.take_answers(conn, &length)?;
            }
            requests += self.at_once();
        }
        Ok(requests)
    }

    /// Reads the answers of one connection; all must have the same length.
    fn take_answers(&self, conn: &mut Conn, length: &Cell<Option<usize>>) -> Result<()> {
        for _ in 0..self.pipeline {
            let answer = self.request.answer(conn)?.len();
            let expected = length.get().unwrap_or(answer);
            ensure!(
                answer == expected,
                "an answer has {answer} bytes and the first had {expected}"
            );
            length.set(Some(expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_nginx() {
        let text = "Active connections: 1 \nserver accepts handled requests\n 67 67 6276 \nReading: 0 Writing: 1 Waiting: 0 \n";
        assert_eq!(parse_status(text), Some(6276));
        assert_eq!(parse_status("no"), None);
        assert_eq!(requests_between(1, 6276).unwrap(), 6274);
        assert!(requests_between(5, 6).is_err());
    }
}
