// SPDX-License-Identifier: MIT OR Apache-2.0

//! One client at a time: every kind of response that a server gives for a file.

use anyhow::{ensure, Context, Result};

use crate::http::{field, Response};
use crate::verify::compare::same_bytes;
use crate::verify::exchange::{same, Style};
use crate::verify::streams::http::{get, head as head_of, post, raw};
use crate::verify::streams::{noise, Reply, Request};
use crate::verify::world::{Pair, World};

/// Compares, and returns what the server under SAIO has said.
fn responses(pair: &Pair, requests: &[Request], style: Style) -> Result<Vec<Response>> {
    let answers = same(&pair.dials(), requests, style)?;
    let parsed = requests.iter().zip(answers).map(|(request, answer)| {
        let to_head = request.reply == Reply::Http { to_head: true };
        Ok(Response::parse(&answer, to_head)?)
    });
    parsed.collect()
}

fn expect_status(responses: &[Response], status: u16) -> Result<()> {
    for response in responses {
        ensure!(
            response.head.status == status,
            "status {} instead of {status}, with SAIO and without",
            response.head.status
        );
    }
    Ok(())
}

pub fn not_found(_: &World, pair: &mut Pair) -> Result<()> {
    let requests = vec![get("/no-such-file", &[]); 3];
    expect_status(&responses(pair, &requests, Style::OneByOne)?, 404)
}

/// Without a Host field. Most servers end the connection after that; those with another one behind them are asked to.
pub fn bad_request(_: &World, pair: &mut Pair) -> Result<()> {
    let requests = [raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")];
    expect_status(&responses(pair, &requests, Style::Closing)?, 400)
}

pub fn head(world: &World, pair: &mut Pair) -> Result<()> {
    let path = &world.doc("20k")?.path;
    let requests = [head_of(path), get(path, &[]), head_of(path)];
    expect_status(&responses(pair, &requests, Style::OneByOne)?, 200)
}

pub fn not_modified(world: &World, pair: &mut Pair) -> Result<()> {
    let path = &world.doc("1k")?.path;
    let first = responses(pair, &[get(path, &[])], Style::OneByOne)?;
    let tag = field(&first[0].head.text, "ETag").context("a response without an ETag")?;
    let line = format!("If-None-Match: {tag}");
    let requests = vec![get(path, &[&line]); 3];
    expect_status(&responses(pair, &requests, Style::OneByOne)?, 304)
}

/// The first part of a file and one from its middle.
pub fn range_single(world: &World, pair: &mut Pair) -> Result<()> {
    let doc = world.doc("20k")?;
    let requests = [
        get(&doc.path, &["Range: bytes=0-99"]),
        get(&doc.path, &["Range: bytes=5000-14999"]),
    ];
    let responses = responses(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 206)?;
    same_bytes(&doc.body[..100], &responses[0].body)?;
    same_bytes(&doc.body[5000..15000], &responses[1].body)
}

/// Several parts: each with a head of its own, sent from memory, and bytes of the file between them.
pub fn range_multi(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = [
        get(
            &world.doc("20k")?.path,
            &["Range: bytes=0-9,100-1999,20000-20479"],
        ),
        get(
            &world.doc("1m")?.path,
            &["Range: bytes=1-400000,500000-500000,600000-1048575"],
        ),
    ];
    expect_status(&responses(pair, &requests, Style::OneByOne)?, 206)
}

pub fn range_suffix(world: &World, pair: &mut Pair) -> Result<()> {
    let doc = world.doc("1m")?;
    let requests = [
        get(&doc.path, &["Range: bytes=-1"]),
        get(&doc.path, &["Range: bytes=-300000"]),
        get(&doc.path, &["Range: bytes=1048000-"]),
    ];
    let responses = responses(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 206)?;
    let from = doc.body.len() - 300_000;
    same_bytes(&doc.body[from..], &responses[1].body)
}

pub fn range_unsatisfiable(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = [get(&world.doc("1k")?.path, &["Range: bytes=1024-"])];
    expect_status(&responses(pair, &requests, Style::OneByOne)?, 416)
}

/// A body for a file, which takes none: some servers read it and throw it away, others end the connection.
pub fn post_refused(world: &World, pair: &mut Pair) -> Result<()> {
    let path = &world.doc("1k")?.path;
    let body = noise(&mut world.random(0), 3000);
    let close = &["Connection: close"];
    let requests = [post(path, close, &body), post(path, close, b"")];
    responses(pair, &requests, Style::Closing).map(drop)
}

/// Bodies that come back.
pub fn post_echoed(world: &World, pair: &mut Pair) -> Result<()> {
    let mut random = world.random(0);
    let sizes = [0, 1, 1000, 20_000, world.scaled(100_000, 4_000_000)];
    let bodies: Vec<Vec<u8>> = sizes.iter().map(|n| noise(&mut random, *n)).collect();
    let requests: Vec<Request> = bodies.iter().map(|body| post("/echo", &[], body)).collect();
    let responses = responses(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 200)?;
    let mut both = bodies.iter().zip(&responses);
    both.try_for_each(|(body, response)| same_bytes(body, &response.body))
}

/// Bodies of unknown length.
pub fn chunked(world: &World, pair: &mut Pair) -> Result<()> {
    let docs = [world.doc("1b")?, world.doc("20k")?, world.doc("1m")?];
    let requests = docs.map(|doc| get(&format!("/chunked{}", doc.path), &[]));
    let responses = responses(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 200)?;
    let mut both = docs.iter().zip(&responses);
    both.try_for_each(|(doc, response)| same_bytes(&doc.body, &response.body))
}

/// Every second request meets a server that is not there first, and is answered all the same; one behind which there
/// is no other is refused.
pub fn dead_server(world: &World, pair: &mut Pair) -> Result<()> {
    let path = &world.doc("1k")?.path;
    let requests = vec![get(path, &[]); world.scaled(10, 100)];
    expect_status(&responses(pair, &requests, Style::OneByOne)?, 200)?;
    let requests = [get("/gone", &["Connection: close"])];
    expect_status(&responses(pair, &requests, Style::Closing)?, 503)
}

pub fn keep_alive_off(world: &World, pair: &mut Pair) -> Result<()> {
    let mut requests = Vec::new();
    for name in ["1b", "1k", "20k", "1m", "8m"] {
        let path = &world.doc(name)?.path;
        requests.push(get(path, &["Connection: close"]));
    }
    if world.quick {
        requests.truncate(3);
    }
    requests.push(get("/no-such-file", &["Connection: close"]));
    responses(pair, &requests, Style::Closing).map(drop)
}

pub fn http_1_0(world: &World, pair: &mut Pair) -> Result<()> {
    let mut requests = Vec::new();
    for name in ["1k", "20k", "1m"] {
        let line = format!("GET {} HTTP/1.0\r\n\r\n", world.doc(name)?.path);
        requests.push(raw(line.as_bytes()));
    }
    expect_status(&responses(pair, &requests, Style::Closing)?, 200)
}
