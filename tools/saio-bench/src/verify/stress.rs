// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many clients at once: slow ones, and ones that go away without a word.

use std::collections::btree_map::{BTreeMap, Entry};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use super::exchange::{compare, same_bytes, Request};
use super::{Pair, World};
use crate::docs::{Doc, Random};
use crate::http::{Client, Failure, Head, Response};

/// Receive buffer of a slow reader, in bytes: far less than a response.
const SMALL_BUFFER: usize = 16 * 1024;
/// What a slow reader takes at once, at most.
const SIP: usize = 16 * 1024;
/// Sips before which a slow reader rests a little.
const RESTS: usize = 50;
/// How long all slow readers let the server fill every buffer.
const PAUSE: Duration = Duration::from_millis(500);
/// Threads do little, and there are many.
const STACK: usize = 256 * 1024;

/// Body bytes come late and in pieces, so every response is parked again and again.
pub fn slow_readers(world: &World, pair: &mut Pair) -> Result<()> {
    let large = world.scaled(2, 8);
    let middle = world.scaled(10, 92);
    let doc_of = |reader: usize| {
        world.doc(match reader {
            n if n < large => "8m",
            n if n < large + middle => "1m",
            _ => "256k",
        })
    };
    let address = pair.saio.address();
    let mut heads = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let mut readers = Vec::new();
        for number in 0..200 {
            let doc = doc_of(number)?;
            let mut random = world.random(number);
            let reader = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    let mut client = Client::connect_with_buffer(address, SMALL_BUFFER)?;
                    sip(&mut client, doc, &mut random)
                })
                .context("cannot start a thread")?;
            readers.push((number, doc, reader));
        }
        for (number, doc, reader) in readers {
            let head =
                joined(reader).with_context(|| format!("slow reader {number} of {}", doc.path))?;
            heads.push((doc, head));
        }
        Ok(())
    })?;
    same_heads(pair, &heads)
}

/// What a thread returned.
fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(_) => bail!("the thread panicked"),
    }
}

fn sip(client: &mut Client, doc: &Doc, random: &mut Random) -> Result<Head> {
    client.send(format!("GET {} HTTP/1.1\r\nHost: verify\r\n\r\n", doc.path).as_bytes())?;
    sleep(PAUSE);
    let head = client.head(false)?;
    let length = head.length.context("a response without a length")?;
    ensure!(length == doc.body.len(), "{length} bytes are announced");
    let mut done = 0;
    let mut sips = 0;
    while done < length {
        if sips < RESTS {
            sleep(Duration::from_micros(random.below(3000) as u64));
        }
        sips += 1;
        let bytes = client.chunk_of(length - done, 1 + random.below(SIP))?;
        same_bytes(&doc.body[done..done + bytes.len()], &bytes)
            .with_context(|| format!("in the body, from byte {done} on"))?;
        done += bytes.len();
    }
    Ok(head)
}

/// Compares heads of responses under SAIO with what the server without it says.
fn same_heads(pair: &Pair, heads: &[(&Doc, Head)]) -> Result<()> {
    let mut expected: BTreeMap<&str, Response> = BTreeMap::new();
    for (doc, head) in heads {
        if let Entry::Vacant(place) = expected.entry(&doc.path) {
            let mut client = Client::connect(pair.plain.address())?;
            let mut response = Request::get(&doc.path, &[]).exchange(&mut client)?;
            response.body.clear();
            place.insert(response);
        }
        let saio = Response {
            head: head.clone(),
            body: Vec::new(),
        };
        compare(&expected[doc.path.as_str()], &saio).with_context(|| doc.path.clone())?;
    }
    Ok(())
}

/// Clients that reset their connection in the middle of a response must disturb no other.
pub fn resets(world: &World, pair: &mut Pair) -> Result<()> {
    let workers = pair.saio.workers();
    let rounds = world.scaled(5, 40);
    let address = pair.saio.address();
    let done = AtomicBool::new(false);
    let served = thread::scope(|scope| -> Result<usize> {
        let steady: Vec<_> = (0..8)
            .map(|number| {
                let (done, random) = (&done, world.random(1000 + number));
                scope.spawn(move || fetch_until(done, world, address, random))
            })
            .collect();
        let rude: Vec<_> = (0..16)
            .map(|number| {
                let random = world.random(2000 + number);
                scope.spawn(move || {
                    let name = if number % 4 == 0 { "8m" } else { "1m" };
                    leave_early(address, world.doc(name)?, rounds, random)
                })
            })
            .collect();
        // Every thread is joined before an error is returned: the steady ones wait for `done`.
        let left: Vec<Result<()>> = rude.into_iter().map(joined).collect();
        done.store(true, Ordering::Relaxed);
        let served: Vec<Result<usize>> = steady.into_iter().map(joined).collect();
        for result in left {
            result.context("a client that resets")?;
        }
        let mut total = 0;
        for result in served {
            total += result.context("a client that stays")?;
        }
        Ok(total)
    })?;
    ensure!(served > 0, "no client that stays was served");
    ensure!(
        pair.saio.workers() == workers,
        "there is another worker: one has died"
    );
    pair.saio.check_log()
}

/// Fetches files over one connection, checking each, until `done`. Returns how many.
fn fetch_until(
    done: &AtomicBool,
    world: &World,
    address: SocketAddr,
    mut random: Random,
) -> Result<usize> {
    let names = ["1b", "1k", "20k", "256k"];
    let mut client = Client::connect(address)?;
    let mut served = 0;
    while served == 0 || !done.load(Ordering::Relaxed) {
        let doc = world.doc(names[random.below(names.len())])?;
        let response = Request::get(&doc.path, &[])
            .exchange(&mut client)
            .with_context(|| format!("{}, request {served}", doc.path))?;
        same_bytes(&doc.body, &response.body)
            .with_context(|| format!("{}, request {served}", doc.path))?;
        served += 1;
    }
    Ok(served)
}

/// Asks for a file, reads a little of it and resets the connection, again and again.
fn leave_early(address: SocketAddr, doc: &Doc, rounds: usize, mut random: Random) -> Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nHost: verify\r\n\r\n", doc.path);
    for round in 0..rounds {
        let part = random.below(64 * 1024);
        begin_and_leave(address, &request, part).with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

fn begin_and_leave(address: SocketAddr, request: &str, part: usize) -> Result<(), Failure> {
    let mut client = Client::connect_with_buffer(address, SMALL_BUFFER)?;
    client.send(request.as_bytes())?;
    // Some leave before the first byte.
    if part % 8 != 0 {
        client.head(false)?;
        let mut left = part;
        while left > 0 {
            left -= client.chunk_of(left, SIP)?.len();
        }
    }
    client.reset()
}
