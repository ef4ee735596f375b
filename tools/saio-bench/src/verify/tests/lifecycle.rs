// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers that are reloaded, stopped and started again under load: no answer may be lost that is kept without SAIO.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use nix::sys::signal::Signal;

use super::stress::joined;
use crate::http::{field, Response};
use crate::verify::compare::same_bytes;
use crate::verify::exchange::{same, Style};
use crate::verify::streams::{Reply, Request, Stream};
use crate::verify::world::{Pair, Side, World};
use crate::wire::{Conn, Dial, Failure};

/// Clients that ask without pause.
const CLIENTS: usize = 8;
/// Clients that are in the middle of a response when the server is told to stop.
const READERS: usize = 16;
/// Receive buffer of those, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;
/// How long a worker may take to go.
const LIMIT: Duration = Duration::from_secs(60);
/// After which a reload is asked for once more.
const SIGNAL_AGAIN: Duration = Duration::from_secs(5);
/// How long clients run undisturbed.
const CALM: Duration = Duration::from_millis(200);
/// How long a client waits before it tries to connect again.
const AGAIN: Duration = Duration::from_millis(5);

/// What became of the requests of some clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Answered in full, every byte right
    complete: usize,
    /// Cut off in the middle of the response
    truncated: usize,
    /// Not answered, and first on their connection
    lost_first: usize,
    /// Not answered on a connection that had been kept: the server may end one at any time, so this is no fault
    lost_later: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.complete += other.complete;
        self.truncated += other.truncated;
        self.lost_first += other.lost_first;
        self.lost_later += other.lost_later;
    }
}

/// Fails if the server under SAIO lost what the other one kept.
fn no_worse(plain: Tally, saio: Tally) -> Result<()> {
    ensure!(
        saio.complete > 0,
        "no request was answered under SAIO: {saio:?}; without: {plain:?}"
    );
    ensure!(
        saio.truncated <= plain.truncated && saio.lost_first <= plain.lost_first,
        "responses were lost under SAIO: {saio:?}; without: {plain:?}"
    );
    Ok(())
}

/// What a client says, and the answers of a server without SAIO that nobody disturbs.
struct Script {
    stream: &'static dyn Stream,
    lines: Vec<(Request, Vec<u8>)>,
}

impl Script {
    fn all(world: &World, pair: &Pair) -> Result<Vec<Self>> {
        let script = |client: usize| {
            let mut random = world.random(3000 + client);
            let number = world.scaled(20, 50);
            let requests = pair.way.stream.requests(&mut random, 3000 + client, number);
            let mut conn = pair.plain.dial.connect()?;
            let answers = requests.into_iter().map(|request| {
                let answer = request.exchange(&mut conn)?;
                Ok((request, answer))
            });
            Ok(Self {
                stream: pair.way.stream,
                lines: answers.collect::<Result<_>>()?,
            })
        };
        (0..CLIENTS).map(script).collect()
    }
}

/// Compares, but for what a server says that is about to go: that it ends the connection.
fn right(request: &Request, expected: &[u8], answer: &[u8]) -> Result<()> {
    let Reply::Http { to_head } = request.reply else {
        return request.compare(expected, answer);
    };
    let expected = Response::parse(expected, to_head)?;
    let answer = Response::parse(answer, to_head)?;
    ensure!(
        expected.head.status == answer.head.status,
        "status {} instead of {}",
        answer.head.status,
        expected.head.status
    );
    same_bytes(&expected.body, &answer.body)
}

/// Whether the server has announced that it ends the connection.
fn is_last(request: &Request, answer: &[u8]) -> bool {
    let Reply::Http { to_head } = request.reply else {
        return false;
    };
    Response::parse(answer, to_head)
        .is_ok_and(|response| field(&response.head.text, "Connection") == Some("close"))
}

/// Reload, as an operator does it: new workers take over, the old ones finish what they have begun.
pub fn reload(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "reload")?;
    let scripts = Script::all(world, &pair)?;
    let signal = pair.way.reload.context("it cannot be reloaded")?;
    let reload = |side: &Side| {
        under_load(&side.dial, &scripts, false, || {
            for _ in 0..world.scaled(2, 5) {
                sleep(CALM);
                let before = side.server.workers();
                side.server.signal(signal)?;
                wait_for_new_worker(side, signal, &before)?;
            }
            sleep(CALM);
            Ok(())
        })
    };
    let plain = reload(&pair.plain).context("without SAIO")?;
    let saio = reload(&pair.saio).context("under SAIO")?;
    no_worse(plain, saio)?;
    pair.stop()
}

/// Waits until the workers are others. A signal is lost on a master that is still about to start anew (HAProxy), so it is sent again.
fn wait_for_new_worker(side: &Side, signal: Signal, before: &[u32]) -> Result<()> {
    let start = Instant::now();
    let mut sent = start;
    // One that serves alone has no workers to look for.
    while side.server.has_master() {
        let now = side.server.workers();
        if !now.is_empty() && now.iter().all(|worker| !before.contains(worker)) {
            break;
        }
        if start.elapsed() > LIMIT {
            bail!(
                "workers are {now:?} and were {before:?} {} s after the reload",
                LIMIT.as_secs()
            );
        }
        if sent.elapsed() > SIGNAL_AGAIN {
            side.server.signal(signal)?;
            sent = Instant::now();
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Graceful stop: what was being sent when the signal came arrives whole.
pub fn stop(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "stop")?;
    let scripts = Script::all(world, &pair)?;
    let stream = pair.way.stream;
    let requests = stream.sized(if world.quick { 1 << 20 } else { 8 << 20 }, 0);
    let request = requests.last().context("there is nothing to ask for")?;
    let expected = request.exchange(&mut pair.plain.dial.connect()?)?;
    let stop = |side: &mut Side| -> Result<Tally> {
        let tally = under_load(&side.dial, &scripts, true, || {
            let mut readers = Vec::new();
            for _ in 0..READERS {
                let mut conn = side.dial.connect_with_buffer(SMALL_BUFFER)?;
                conn.send(&request.bytes)?;
                // The response has begun: one byte of it is there, and stays.
                conn.peek()?;
                readers.push(conn);
            }
            sleep(CALM);
            side.server.ask_to_stop()?;
            sleep(CALM);
            for (number, conn) in readers.iter_mut().enumerate() {
                let answer = request.answer(conn);
                answer
                    .map_err(Into::into)
                    .and_then(|answer| right(request, &expected, &answer))
                    .with_context(|| format!("reader {number} that had begun before the stop"))?;
            }
            Ok(())
        })?;
        side.server.wait()?;
        Ok(tally)
    };
    let plain = stop(&mut pair.plain).context("without SAIO")?;
    let saio = stop(&mut pair.saio).context("under SAIO")?;
    // New connections are refused from some moment on, and nobody can say from which request.
    let forget = |tally: Tally| Tally {
        lost_first: 0,
        ..tally
    };
    no_worse(forget(plain), forget(saio))?;
    pair.check_logs()?;
    pair.used()
}

/// Stopped and started again under load. Connections end, but what is answered is right, before and after.
pub fn restart(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "restart")?;
    let scripts = Script::all(world, &pair)?;
    pair.restart(world, false).context("without SAIO")?;
    let dial = pair.saio.dial.clone();
    // One that has said nothing yet would be waited for.
    let mut idle = connect(&dial, pair.way.stream)?;
    scripts[0].lines[0].0.exchange(&mut idle)?;
    let tally = under_load(&dial, &scripts, true, || {
        for _ in 0..world.scaled(1, 3) {
            sleep(CALM);
            pair.restart(world, true)?;
        }
        sleep(CALM);
        Ok(())
    })
    .context("under SAIO")?;
    ensure!(tally.complete > 0, "no request was answered: {tally:?}");
    // Both are there again and hold the same, as each script begins without a past.
    let (rest, _) = idle.rest().context("a connection from before")?;
    same_bytes(b"", &rest).context("on a connection that waited for nothing")?;
    for script in &scripts {
        let requests: Vec<Request> = script.lines.iter().map(|(r, _)| r.clone()).collect();
        same(&pair.dials(), &requests, Style::OneByOne).context("after the restart")?;
    }
    pair.stop()
}

/// Does something while clients ask without pause. `ends` says that the server goes away meanwhile.
fn under_load(
    dial: &Dial,
    scripts: &[Script],
    ends: bool,
    something: impl FnOnce() -> Result<()>,
) -> Result<Tally> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| -> Result<Tally> {
        let clients: Vec<_> = scripts
            .iter()
            .map(|script| {
                let done = &done;
                scope.spawn(move || ask(dial, script, ends, done))
            })
            .collect();
        let mut result = something();
        done.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for client in clients {
            match joined(client) {
                Ok(tally) => total.add(tally),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| total)
    })
}

/// Connects to a server that answers.
fn connect(dial: &Dial, stream: &dyn Stream) -> Result<Conn, Failure> {
    let mut conn = dial.connect()?;
    if stream.is_ready(&mut conn)? {
        Ok(conn)
    } else {
        Err(Failure::Closed)
    }
}

/// Asks until `done`, from the beginning on a new connection whenever the server has ended the old one.
fn ask(dial: &Dial, script: &Script, ends: bool, done: &AtomicBool) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut kept: Option<Conn> = None;
    let mut next = 0;
    while !done.load(Ordering::Relaxed) {
        let is_first = kept.is_none();
        let conn = match kept.take() {
            Some(conn) => Ok(conn),
            None => connect(dial, script.stream),
        };
        let mut conn = match conn {
            Ok(conn) => conn,
            Err(_) if ends => {
                sleep(AGAIN);
                continue;
            }
            Err(error) => return Err(error).context("cannot connect"),
        };
        if is_first {
            next = 0;
        }
        let (request, expected) = &script.lines[next];
        match request.exchange(&mut conn) {
            Ok(answer) => {
                right(request, expected, &answer).with_context(|| request.to_string())?;
                tally.complete += 1;
                next = (next + 1) % script.lines.len();
                kept = (!is_last(request, &answer)).then_some(conn);
            }
            Err(Failure::Closed) if is_first => tally.lost_first += 1,
            Err(Failure::Closed) => tally.lost_later += 1,
            Err(Failure::Truncated { .. }) => tally.truncated += 1,
            Err(error) => return Err(error).with_context(|| request.to_string()),
        }
    }
    Ok(tally)
}

/// The server of the tests before this one has really deferred calls, logged nothing bad, and stops.
pub fn saio_was_used(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = pair.way.stream.requests(&mut world.random(0), 0, 20);
    same(&pair.dials(), &requests, Style::OneByOne)?;
    pair.stop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_count_only_beyond_those_without_saio() {
        let tally = |truncated, lost_first, lost_later| Tally {
            complete: 5,
            truncated,
            lost_first,
            lost_later,
        };
        no_worse(tally(0, 0, 0), tally(0, 0, 9)).unwrap();
        no_worse(tally(1, 1, 0), tally(1, 1, 0)).unwrap();
        assert!(no_worse(tally(0, 0, 0), tally(1, 0, 0)).is_err());
        assert!(no_worse(tally(0, 0, 0), tally(0, 1, 0)).is_err());
        assert!(no_worse(tally(0, 0, 0), Tally::default()).is_err());
    }
}
