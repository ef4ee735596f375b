// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations that fail under load: every byte that comes is right, no client waits for ever, and when it is over all is
//! as before.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::failing::Failing;
use super::stalls;
use crate::docs::Random;
use crate::server::Process;
use crate::verify::received::{answered, Line, Received};
use crate::verify::rings::Rings;
use crate::verify::streams::Reply;
use crate::verify::subjects::Way;
use crate::verify::tests::stress::joined;
use crate::verify::world::{Side, World};
use crate::wire::{Conn, Dial, Failure, PATIENCE};

/// Clients at a time; every fourth one reads slowly.
const CLIENTS: usize = 12;
/// Sizes of what they ask for, in bytes.
const SIZES: [usize; 5] = [1, 1 << 10, 20 << 10, 256 << 10, 1 << 20];
/// Exchanges that are begun at once, at most.
const AT_ONCE: usize = 4;
/// Times that allocations begin to fail in a round.
const TIMES: usize = 6;
/// How long they fail, and how long they then do not, in milliseconds, at most.
const FAILS: usize = 1500;
const RESTS: usize = 500;
/// Receive buffer of a slow reader, and what it takes at once, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;
const SIP: usize = 16 * 1024;
/// What one read takes, in bytes.
const GULP: usize = 64 * 1024;
/// Between two attempts to reach a server that does not listen.
const PAUSE: Duration = Duration::from_millis(50);

/// After this time without a byte the client looks whether the server has given it up.
const LOOK: Duration = Duration::from_secs(10);

/// How an answer begins with which a server says that it cannot.
const CANNOT: &[u8] = b"HTTP/1.1 5";

/// A server that has died says so if it is not SAIO's fault: it could get no memory.
const OUT_OF_MEMORY: &str = "OUT OF MEMORY";
/// What the library says that got no memory for a ring, or for what a crossing needs.
const WITHOUT: &str = "without it";
/// What it says if it has died of something else.
const CRASHES: [&str; 2] = ["exited on signal", "crashed by signal"];

/// Requests that belong together, with their answers: they can be said on any connection, and again.
type Exchange = Vec<Line>;

/// What clients have seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Answers that came whole
    whole: usize,
    /// Answers with which the server said that it cannot
    refused: usize,
    /// Connections that the server has ended
    ended: usize,
}

/// The answers of a server that nobody disturbs, for each client.
///
/// # Errors
///
/// It does not answer.
pub fn exchanges(way: &Way, dial: &Dial) -> Result<Vec<Vec<Exchange>>> {
    let exchange = |client, size: &usize| answered(way.stream.sized(*size, client), dial);
    (0..CLIENTS)
        .map(|client| SIZES.iter().map(|size| exchange(client, size)).collect())
        .collect()
}

/// One server, whose allocations fail now and then until it is stopped. Returns what happened, and operations of its rings as
/// far as they can be counted.
///
/// # Errors
///
/// A client has got what is not right, or waits for ever; or the server does not serve as before when it is over.
pub fn round(
    world: &World,
    way: &Way,
    exchanges: &[Vec<Exchange>],
    saio: bool,
    failing: &Failing,
    random: &mut Random,
) -> Result<(String, u64)> {
    let mut side = world.alone(way, "faults", way.start, saio, false)?;
    let before = failing.failed()?;
    let is_over = AtomicBool::new(false);
    let seen = thread::scope(|scope| -> Result<Seen> {
        let clients: Vec<_> = (exchanges.iter().enumerate())
            .map(|(number, exchanges)| {
                let client = Client {
                    dial: &side.dial,
                    exchanges,
                    is_slow: number % 4 == 3,
                    at_once: way.at_once.min(AT_ONCE),
                    is_over: &is_over,
                    server: &side.server,
                };
                let random = Random::new(random.number());
                scope.spawn(move || {
                    client
                        .run(random)
                        .with_context(|| format!("client {number}"))
                })
            })
            .collect();
        let result = disturb(&side, failing, random);
        is_over.store(true, Ordering::Relaxed);
        let mut sum = Seen::default();
        let mut results = Ok(());
        for client in clients {
            match joined(client) {
                Ok(seen) => {
                    sum.whole += seen.whole;
                    sum.refused += seen.refused;
                    sum.ended += seen.ended;
                }
                Err(error) => results = results.and(Err(error)),
            }
        }
        results.and(result).map(|()| sum)
    })
    .with_context(|| side.server.logs())?;
    let failed = failing.failed()? - before;
    let mut told = format!(
        "{failed} allocations failed: {} whole answers, {} refusals, {} connections ended",
        seen.whole, seen.refused, seen.ended
    );
    ensure!(failed > 0, "no allocation has failed");
    ensure!(seen.whole > 0, "no answer came whole: {told}");
    if died(&mut side.server)? {
        told += "; the server died: it could get no memory";
        return Ok((told, 0));
    }
    if !stalls::accepts(side.dial.address.port(), &side.server.tasks()) {
        told += "; the server accepts no more: it could not ask for events";
        return Ok((told, 0));
    }
    // Connections of before have ended with their clients; new ones get everything.
    for exchange in exchanges.iter().flatten() {
        let mut conn = side.dial.connect()?;
        for (request, answer) in exchange {
            let bytes = request.exchange(&mut conn);
            let bytes = bytes.with_context(|| format!("afterwards: {request}"))?;
            let mut received = Received::default();
            received.expect(answer);
            received
                .take(&bytes)
                .with_context(|| format!("afterwards: {request}"))?;
        }
    }
    let sent = Rings::of(&side.server).operations;
    if saio {
        ensure!(
            sent > 0 || side.server.all_logs().contains(WITHOUT),
            "the server sent nothing by SAIO, and the library does not say why:\n{}",
            side.server.logs()
        );
        told += &format!("; {sent} operations");
    }
    side.server.stop().context("afterwards")?;
    no_crash(&side.server)?;
    Ok((told, sent))
}

/// Lets allocations fail and rest in turn.
fn disturb(side: &Side, failing: &Failing, random: &mut Random) -> Result<()> {
    for _ in 0..TIMES {
        let mut tasks = side.server.tasks();
        tasks.extend(saio_leaks::threads().into_iter().map(|(task, _)| task));
        failing.start(&tasks, random)?;
        sleep(Duration::from_millis(random.below(FAILS) as u64));
        failing.stop()?;
        sleep(Duration::from_millis(random.below(RESTS) as u64));
    }
    Ok(())
}

/// Whether it has died as servers do that get no memory, without SAIO too.
///
/// # Errors
///
/// It has died otherwise.
fn died(server: &mut Process) -> Result<bool> {
    if server.all_logs().contains(OUT_OF_MEMORY) {
        return Ok(true);
    }
    no_crash(server)?;
    match server.ended()? {
        Some(status) => bail!("{} ended with {status}:\n{}", server.label(), server.logs()),
        None => Ok(false),
    }
}

fn no_crash(server: &Process) -> Result<()> {
    let log = server.all_logs();
    let mut lines = log.lines();
    match lines.find(|line| CRASHES.iter().any(|word| line.contains(word))) {
        Some(line) => bail!("{} wrote: {line}", server.label()),
        None => Ok(()),
    }
}

/// A client that does not mind to be sent away.
struct Client<'a> {
    dial: &'a Dial,
    exchanges: &'a [Exchange],
    is_slow: bool,
    at_once: usize,
    is_over: &'a AtomicBool,
    server: &'a Process,
}

/// How some exchanges went.
enum Talk {
    /// All answers came
    Whole,
    /// The server said that it cannot
    Refused,
    /// The server has ended the connection
    Ended,
}

impl Client<'_> {
    fn run(&self, mut random: Random) -> Result<Seen> {
        let mut seen = Seen::default();
        while !self.is_over() {
            let Some(mut conn) = self.connect(&random)? else {
                continue;
            };
            loop {
                let (talk, whole) = self.talk(&mut conn, &mut random)?;
                seen.whole += whole;
                match talk {
                    Talk::Whole if !self.is_over() => continue,
                    Talk::Whole => {}
                    Talk::Refused => seen.refused += 1,
                    Talk::Ended => seen.ended += 1,
                }
                break;
            }
        }
        Ok(seen)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether the server has given the connection up without a word; this is said.
    fn is_given_up(&self, conn: &Conn) -> Result<bool> {
        let tasks = self.server.tasks();
        let why = stalls::given_up(self.dial.address.port(), conn.port()?, &tasks);
        if let Some(why) = why {
            eprintln!("faults: a connection is silent: {why}");
        }
        Ok(why.is_some())
    }

    /// A connection; none if the server does not listen (any more).
    fn connect(&self, random: &Random) -> Result<Option<Conn>> {
        let buffer = self.is_slow.then_some(SMALL_BUFFER);
        let conn = match buffer {
            Some(bytes) => self.dial.connect_with_buffer(bytes),
            None => self.dial.connect(),
        };
        match conn {
            Ok(mut conn) => {
                if self.is_slow {
                    conn.slow_down(SIP, random.clone());
                }
                Ok(Some(conn))
            }
            Err(Failure::Closed) => Ok(None),
            Err(Failure::Io(error)) if is_gone(error.kind()) => {
                sleep(PAUSE);
                Ok(None)
            }
            Err(error) => Err(error).context("connecting"),
        }
    }

    /// Some exchanges at once, and how many answers came whole.
    fn talk(&self, conn: &mut Conn, random: &mut Random) -> Result<(Talk, usize)> {
        let mut received = Received::default();
        let mut bytes = Vec::new();
        let mut shown = String::new();
        for _ in 0..1 + random.below(self.at_once) {
            let exchange = &self.exchanges[random.below(self.exchanges.len())];
            for (request, answer) in exchange {
                bytes.extend(&request.bytes);
                received.expect(answer);
                shown = request.to_string();
            }
        }
        conn.set_patience(PATIENCE);
        match conn.send(&bytes) {
            Ok(()) => conn.set_patience(LOOK),
            // What has come until then is still to be read.
            Err(Failure::Closed) => conn.set_patience(LOOK),
            Err(Failure::TimedOut) if self.is_given_up(conn)? => return Ok((Talk::Ended, 0)),
            Err(error) => return Err(error).context("sending"),
        }
        let is_http = (self.exchanges.iter().flatten())
            .all(|(request, _)| matches!(request.reply, Reply::Http { .. }));
        let mut waited = Instant::now();
        while received.awaited() > 0 {
            let bytes = match conn.some(GULP) {
                Ok(bytes) => bytes,
                Err(Failure::Truncated { .. } | Failure::Closed) => {
                    return Ok((Talk::Ended, received.whole()))
                }
                // Something may have come of what was sent before the server gave up.
                Err(Failure::TimedOut) if self.is_given_up(conn)? => {
                    return Ok((Talk::Ended, received.whole()))
                }
                Err(Failure::TimedOut) if waited.elapsed() < PATIENCE => continue,
                Err(error) => {
                    return Err(error).with_context(|| {
                        let before = received.awaited();
                        format!("{before} answers up to that to {shown} have not come")
                    })
                }
            };
            waited = Instant::now();
            let whole = received.whole();
            if let Err(error) = received.take(&bytes) {
                if is_http && received.beginning().starts_with(CANNOT) {
                    return Ok((Talk::Refused, whole));
                }
                return Err(error);
            }
        }
        Ok((Talk::Whole, received.whole()))
    }
}

/// The server is not there, or has just gone.
fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}
