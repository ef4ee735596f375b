// SPDX-License-Identifier: MIT OR Apache-2.0

//! A client that asks when it is time to, whether or not earlier requests were answered.
//!
//! Each request has its moment. If all connections wait for answers then, it is sent later, but its latency counts from
//! that moment: a server that is slow for a while must not be asked less meanwhile and look well for it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::client::OPENING;
use crate::verify::streams::Request;
use crate::wire::{Dial, PATIENCE};

/// Mark of the timer's events; those of connections are their numbers.
const TIMER: u64 = u64::MAX;
/// What one read takes.
const CHUNK: usize = 64 * 1024;
/// How a good answer begins.
const OK: &[u8] = b"HTTP/1.1 200";

/// A client of a server without TLS.
pub struct OpenLoop<'a> {
    /// The server
    pub dial: &'a Dial,
    /// What it is asked; all answers have the same length
    pub request: &'a Request,
    /// Connections
    pub connections: u32,
}

/// What a run has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// From the moment of each request to the end of its answer, the shortest first
    pub latencies: Vec<Duration>,
    /// From the first moment to the last answer
    pub took: Duration,
}

impl OpenLoop<'_> {
    /// Asks at each of these moments, which count from the start. The connections have had some answers before.
    ///
    /// # Errors
    ///
    /// A connection ends, an answer is not the expected one, or none comes for long.
    pub fn run(&self, arrivals: &[Duration]) -> Result<Run> {
        ensure!(
            self.dial.tls.is_none(),
            "latency is not measured with TLS: use a way without"
        );
        let mut state = State::new(self)?;
        let opening = vec![Duration::ZERO; (u64::from(self.connections) * OPENING) as usize];
        state.phase(&opening)?;
        state.phase(arrivals)
    }

    /// Answers a second when all connections ask again as soon as they have an answer.
    ///
    /// # Errors
    ///
    /// As [`OpenLoop::run`].
    pub fn capacity(&self, requests: u64) -> Result<f64> {
        let run = self.run(&vec![Duration::ZERO; requests as usize])?;
        Ok(requests as f64 / run.took.as_secs_f64())
    }
}

/// A connection.
struct Peer {
    stream: TcpStream,
    /// The moment of what it was asked
    moment: Duration,
    /// Bytes of the answer that are yet to come
    missing: usize,
}

/// A run.
struct State<'a> {
    request: &'a [u8],
    answer_bytes: usize,
    epoll: Epoll,
    timer: TimerFd,
    peers: Vec<Peer>,
    /// Those that were not asked, the longest idle first
    idle: VecDeque<usize>,
    buffer: Vec<u8>,
}

impl<'a> State<'a> {
    fn new(client: &OpenLoop<'a>) -> Result<Self> {
        let answer = client.request.exchange(&mut client.dial.connect()?)?;
        ensure!(
            answer.starts_with(OK),
            "the first answer is not one of HTTP with status 200"
        );
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        let mut peers = Vec::new();
        for number in 0..client.connections {
            let stream = client.dial.stream(None)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number.into());
            epoll.add(&stream, event)?;
            peers.push(Peer {
                stream,
                moment: Duration::ZERO,
                missing: 0,
            });
        }
        Ok(Self {
            request: &client.request.bytes,
            answer_bytes: answer.len(),
            epoll,
            timer,
            idle: (0..peers.len()).collect(),
            peers,
            buffer: vec![0; CHUNK],
        })
    }

    /// Asks at these moments and waits for all answers.
    fn phase(&mut self, arrivals: &[Duration]) -> Result<Run> {
        let begin = Instant::now();
        let mut latencies = Vec::with_capacity(arrivals.len());
        let mut arrivals = arrivals.iter().copied().peekable();
        let mut events = [EpollEvent::empty(); 64];
        let limit = EpollTimeout::try_from(PATIENCE)?;
        loop {
            let mut wait = None;
            while let Some(moment) = arrivals.peek() {
                let early = moment.saturating_sub(begin.elapsed());
                if !early.is_zero() {
                    wait = Some(early);
                    break;
                }
                let Some(number) = self.idle.pop_front() else {
                    break;
                };
                self.ask(number, *moment)?;
                arrivals.next();
            }
            if arrivals.peek().is_none() && self.idle.len() == self.peers.len() {
                break;
            }
            // None clears what it has said, too.
            match wait {
                Some(time) => self.timer.set(
                    Expiration::OneShot(TimeSpec::from_duration(time)),
                    TimerSetTimeFlags::empty(),
                )?,
                None => self.timer.unset()?,
            }
            let ready = match self.epoll.wait(&mut events, limit) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            ensure!(ready > 0, "no answer for {} s", PATIENCE.as_secs());
            for event in events[..ready].iter().filter(|event| event.data() != TIMER) {
                let number = event.data() as usize;
                if self.read(number)? {
                    latencies.push(begin.elapsed().saturating_sub(self.peers[number].moment));
                    self.idle.push_back(number);
                }
            }
        }
        let took = begin.elapsed();
        latencies.sort();
        Ok(Run { latencies, took })
    }

    fn ask(&mut self, number: usize, moment: Duration) -> Result<()> {
        let peer = &mut self.peers[number];
        // A connection without a request has room for one.
        peer.stream
            .write_all(self.request)
            .context("cannot send a request")?;
        peer.moment = moment;
        peer.missing = self.answer_bytes;
        Ok(())
    }

    /// Reads what has come. True: the answer is complete.
    fn read(&mut self, number: usize) -> Result<bool> {
        let peer = &mut self.peers[number];
        let bytes = match peer.stream.read(&mut self.buffer) {
            Ok(0) => bail!("the server has closed a connection"),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("cannot read an answer"),
        };
        if peer.missing == self.answer_bytes {
            let begins = &self.buffer[..bytes.min(OK.len())];
            ensure!(OK.starts_with(begins), "an answer has another status");
        }
        ensure!(
            bytes <= peer.missing,
            "an answer has more bytes than the first had, {}",
            self.answer_bytes
        );
        peer.missing -= bytes;
        Ok(peer.missing == 0)
    }
}

#[cfg(test)]
mod tests;
