// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams of random requests, of one client and of many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Barrier;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::stress::{at_once, joined};
use crate::verify::exchange::{batch_size, same, Style, Talk};
use crate::verify::world::{Pair, World};

/// Connections at once in the long form.
const LONG_CLIENTS: usize = 64;
/// Requests on one connection in the long form, at most.
const ROUND: usize = 400;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(5);

/// Everything in one write.
pub fn pipelined(world: &World, pair: &mut Pair) -> Result<()> {
    let number = world.scaled(30, 50);
    let requests = pair.way.stream.requests(&mut world.random(0), 0, number);
    same(&pair.dials(), &requests, Style::Pipelined(number)).map(drop)
}

pub fn pipelined_16(world: &World, pair: &mut Pair) -> Result<()> {
    in_batches(world, pair, 16)
}

pub fn pipelined_128(world: &World, pair: &mut Pair) -> Result<()> {
    in_batches(world, pair, 128)
}

fn in_batches(world: &World, pair: &Pair, size: usize) -> Result<()> {
    let number = size * world.scaled(2, 10);
    let requests = pair.way.stream.requests(&mut world.random(size), 0, number);
    same(&pair.dials(), &requests, Style::Pipelined(size)).map(drop)
}

pub fn mixed(world: &World, pair: &mut Pair) -> Result<()> {
    let number = world.scaled(20, 50);
    for client in 1..=world.scaled(2, 10) {
        let mut random = world.random(client);
        let requests = pair.way.stream.requests(&mut random, client, number);
        same(&pair.dials(), &requests, Style::OneByOne)?;
    }
    Ok(())
}

/// Hundreds of connections, all open at the same time.
pub fn many(world: &World, pair: &mut Pair) -> Result<()> {
    let clients = world.scaled(32, 512);
    let number = world.scaled(15, 40);
    let (dials, stream, limit) = (pair.dials(), pair.way.stream, pair.way.at_once);
    let all_there = Barrier::new(clients);
    at_once(clients, |client| {
        let mut random = world.random(client);
        let talk = Talk::connect(&dials);
        // Those that failed wait too, or the others would for ever.
        all_there.wait();
        let mut talk = talk?;
        let requests = stream.requests(&mut random, client, number);
        let size = batch_size(&mut random, limit);
        talk.compare(&requests, size, drop)?;
        talk.finish()
    })?;
    pair.check_logs()
}

/// Clients that say that they send nothing more, and read on: before they have read anything, where the server answers
/// what it has read.
pub fn half_close(world: &World, pair: &mut Pair) -> Result<()> {
    let number = world.scaled(10, 40);
    let (dials, stream) = (pair.dials(), pair.way.stream);
    for client in 0..world.scaled(4, 20) {
        let requests = stream.requests(&mut world.random(client), client, number);
        let mut talk = Talk::connect(&dials)?;
        if pair.way.answers_half_closed {
            let few = &requests[..number.min(5).min(pair.way.at_once)];
            let all: Vec<u8> = few.iter().flat_map(|r| r.bytes.clone()).collect();
            for conn in [&mut talk.plain, &mut talk.saio] {
                conn.send(&all)?;
                conn.finish_sending()?;
            }
            for request in few {
                let what = || format!("client {client}, {request}");
                let plain = request.answer(&mut talk.plain);
                let plain = plain.context("without SAIO").with_context(what)?;
                let saio = request.answer(&mut talk.saio);
                let saio = saio.context("under SAIO").with_context(what)?;
                request.compare(&plain, &saio).with_context(what)?;
            }
            talk.ends().map(drop)?;
        } else {
            talk.compare(&requests, number.min(pair.way.at_once), drop)?;
            talk.finish()?;
        }
    }
    Ok(())
}

/// The long form: connections come and go until enough answers were compared.
pub fn volume(world: &World, pair: &mut Pair) -> Result<()> {
    let wanted = world
        .responses
        .unwrap_or(world.scaled(200, 5000) as u64)
        .max(1);
    let clients = world.scaled(8, LONG_CLIENTS);
    let round = world.scaled(20, ROUND);
    let (dials, stream, limit) = (pair.dials(), pair.way.stream, pair.way.at_once);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let teller = scope.spawn(|| tell(&done, wanted, world.responses.is_some()));
        let result = at_once(clients, |client| {
            let mut number = client;
            while done.load(Ordering::Relaxed) < wanted {
                let mut random = world.random(number);
                let length = 1 + random.below(round);
                let requests = stream.requests(&mut random, client, length);
                let size = batch_size(&mut random, limit);
                let mut talk = Talk::connect(&dials)?;
                talk.compare(&requests, size, |_| {
                    done.fetch_add(1, Ordering::Relaxed);
                })
                .and_then(|()| talk.finish())
                .with_context(|| format!("connection {number}"))?;
                number += clients;
            }
            Ok(())
        });
        // However it ended, nobody is to be waited for.
        done.fetch_max(wanted, Ordering::Relaxed);
        joined(teller)?;
        result
    })?;
    pair.check_logs()
}

/// Says on stderr how far it is.
fn tell(done: &AtomicU64, wanted: u64, aloud: bool) -> Result<()> {
    let start = Instant::now();
    let mut told = start;
    while done.load(Ordering::Relaxed) < wanted {
        sleep(Duration::from_millis(20));
        if aloud && told.elapsed() > TELL {
            told = Instant::now();
            eprintln!(
                "  {} of {wanted} answers compared, {} s",
                done.load(Ordering::Relaxed),
                start.elapsed().as_secs()
            );
        }
    }
    Ok(())
}
