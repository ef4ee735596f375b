// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many clients at once: slow ones, and ones that go away without a word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use crate::docs::Random;
use crate::verify::exchange::{Dials, Talk};
use crate::verify::streams::Request;
use crate::verify::world::{Pair, World};
use crate::wire::{Dial, Failure};

/// Receive buffer of a slow reader, in bytes: far less than a response.
const SMALL_BUFFER: usize = 16 * 1024;
/// What a slow reader takes at once, at most.
const SIP: usize = 16 * 1024;
/// How long all slow readers let the server fill every buffer.
const PAUSE: Duration = Duration::from_millis(500);
/// Threads do little, and there are many.
const STACK: usize = 512 * 1024;
/// Clients that are not disturbed.
const STEADY: usize = 8;
/// Clients that disturb.
const RUDE: usize = 16;

/// What a thread returned.
pub fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(_) => bail!("the thread panicked"),
    }
}

/// Clients with the numbers 0 to `clients`, each in a thread. Fails with the first one that fails.
pub fn at_once(clients: usize, client: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, move || client(number))
            })
            .collect();
        let mut result = Ok(());
        for (number, thread) in threads.into_iter().enumerate() {
            let ended = match thread {
                Ok(thread) => joined(thread),
                Err(error) => Err(error).context("cannot start a thread"),
            };
            result = result.and(ended.with_context(|| format!("client {number}")));
        }
        result
    })
}

/// Answers are taken late and in pieces, so every one is parked again and again.
pub fn slow_readers(world: &World, pair: &mut Pair) -> Result<()> {
    let readers = world.scaled(12, 200);
    let (large, middle) = if world.quick { (0, 2) } else { (4, 34) };
    let (dials, stream) = (pair.dials(), pair.way.stream);
    at_once(readers, |number| {
        let size = match number {
            n if n < large => 8 << 20,
            n if n < middle => 1 << 20,
            _ => 256 << 10,
        };
        let mut slow = dials.saio.connect_with_buffer(SMALL_BUFFER)?;
        slow.slow_down(SIP, world.random(number));
        let mut plain = dials.plain.connect()?;
        for request in stream.sized(size, number) {
            slow.send(&request.bytes).context("under SAIO")?;
            sleep(PAUSE);
            let saio = request.answer(&mut slow).context("under SAIO")?;
            let plain = request.exchange(&mut plain).context("without SAIO")?;
            request
                .compare(&plain, &saio)
                .with_context(|| request.to_string())?;
        }
        Ok(())
    })
}

/// Clients that reset their connection in the middle of an answer must disturb no other.
pub fn resets(world: &World, pair: &mut Pair) -> Result<()> {
    let rounds = world.scaled(4, 40);
    let (dial, stream) = (pair.saio.dial.clone(), pair.way.stream);
    disturbed(world, pair, |number| {
        let mut random = world.random(2000 + number);
        let size = match number % 4 {
            0 if !world.quick => 8 << 20,
            _ => 1 << 20,
        };
        let requests = stream.sized(size, 2000 + number);
        for round in 0..rounds {
            let part = random.below(64 * 1024);
            begin_and_leave(&dial, &requests, part).with_context(|| format!("round {round}"))?;
        }
        Ok(())
    })
}

/// Says all but the last request, then reads a part of the last one's answer and resets the connection.
fn begin_and_leave(dial: &Dial, requests: &[Request], part: usize) -> Result<(), Failure> {
    let mut conn = dial.connect_with_buffer(SMALL_BUFFER)?;
    if let Some((last, before)) = requests.split_last() {
        for request in before {
            request.exchange(&mut conn)?;
        }
        conn.send(&last.bytes)?;
    }
    // Some leave before the first byte.
    let mut left = if part % 8 == 0 { 0 } else { part };
    while left > 0 {
        left -= conn.some(left.min(SIP))?.len();
    }
    conn.reset()
}

/// Clients that leave in the middle of what they send, with a reset or without, must disturb no other.
pub fn aborted_uploads(world: &World, pair: &mut Pair) -> Result<()> {
    let rounds = world.scaled(3, 30);
    let (dial, stream) = (pair.saio.dial.clone(), pair.way.stream);
    disturbed(world, pair, |number| {
        let mut random = world.random(4000 + number);
        for round in 0..rounds {
            let size = 1 + random.below(300_000);
            let request = stream.upload(size, 4000 + number);
            let request = request.context("there is nothing to send")?;
            let part = random.below(request.bytes.len());
            begin_upload(&dial, &request.bytes[..part], part % 2 == 0)
                .with_context(|| format!("round {round}"))?;
        }
        Ok(())
    })
}

fn begin_upload(dial: &Dial, part: &[u8], reset: bool) -> Result<(), Failure> {
    let mut conn = dial.connect()?;
    match conn.send(part) {
        // Servers need not read what they have refused.
        Err(Failure::Closed) => return Ok(()),
        result => result?,
    }
    if reset {
        conn.reset()?;
    }
    Ok(())
}

/// Compares answers to some clients while others do something rude to the server under SAIO. No process may die.
fn disturbed(world: &World, pair: &Pair, rude: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let workers = pair.saio.server.workers();
    let (dials, stream, limit) = (pair.dials(), pair.way.stream, pair.way.at_once);
    let done = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let steady: Vec<_> = (0..STEADY)
            .map(|number| {
                let (dials, done, mut random) = (&dials, &done, world.random(1000 + number));
                let requests = world.scaled(20, 50);
                let requests = stream.requests(&mut random, 1000 + number, requests);
                scope.spawn(move || talk_until(done, dials, &requests, limit, random))
            })
            .collect();
        // Every thread is joined before an error is returned: the steady ones wait for `done`.
        let left = at_once(world.scaled(RUDE / 2, RUDE), rude).context("a client that leaves");
        done.store(true, Ordering::Relaxed);
        let mut result = left;
        for thread in steady {
            result = result.and(joined(thread).context("a client that stays"));
        }
        result
    })?;
    ensure!(
        !pair.saio.server.has_master() || pair.saio.server.workers() == workers,
        "there is another worker: one has died"
    );
    pair.check_logs()
}

/// Says the same again and again over one connection, until `done`, and at least once.
fn talk_until(
    done: &AtomicBool,
    dials: &Dials,
    requests: &[Request],
    limit: usize,
    mut random: Random,
) -> Result<()> {
    let mut talk = Talk::connect(dials)?;
    loop {
        talk.compare(requests, (1 + random.below(8)).min(limit), drop)?;
        if done.load(Ordering::Relaxed) {
            return talk.finish();
        }
    }
}
