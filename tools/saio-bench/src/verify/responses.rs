// SPDX-License-Identifier: MIT OR Apache-2.0

//! One client at a time: every kind of response that nginx gives for a static file.

use anyhow::{ensure, Result};

use super::exchange::{same, same_bytes, Request, Style};
use super::{Pair, World};
use crate::http::{field, Response};

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

/// A file three times over one connection.
fn whole(world: &World, pair: &Pair, name: &str) -> Result<()> {
    let doc = world.doc(name)?;
    let requests = vec![Request::get(&doc.path, &[]); 3];
    let responses = same(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 200)?;
    responses
        .iter()
        .try_for_each(|response| same_bytes(&doc.body, &response.body))
}

pub fn one_byte(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, "1b")
}

pub fn one_kib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, "1k")
}

pub fn twenty_kib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, "20k")
}

pub fn one_mib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, "1m")
}

pub fn eight_mib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, "8m")
}

pub fn not_found(_: &World, pair: &mut Pair) -> Result<()> {
    let requests = vec![Request::get("/no-such-file", &[]); 3];
    expect_status(&same(pair, &requests, Style::OneByOne)?, 404)
}

/// Without a Host field; after such an error nginx ends the connection.
pub fn bad_request(_: &World, pair: &mut Pair) -> Result<()> {
    let requests = [Request::raw(b"GET / HTTP/1.1\r\n\r\n")];
    expect_status(&same(pair, &requests, Style::Closing)?, 400)
}

pub fn head(world: &World, pair: &mut Pair) -> Result<()> {
    let path = &world.doc("20k")?.path;
    let requests = [
        Request::head(path),
        Request::get(path, &[]),
        Request::head(path),
    ];
    expect_status(&same(pair, &requests, Style::OneByOne)?, 200)
}

pub fn not_modified(world: &World, pair: &mut Pair) -> Result<()> {
    let path = &world.doc("1k")?.path;
    let first = same(pair, &[Request::get(path, &[])], Style::OneByOne)?;
    let tag = field(&first[0].head.text, "ETag").unwrap_or_default();
    let line = format!("If-None-Match: {tag}");
    let requests = vec![Request::get(path, &[&line]); 3];
    expect_status(&same(pair, &requests, Style::OneByOne)?, 304)
}

/// The first part of a file and one from its middle.
pub fn range_single(world: &World, pair: &mut Pair) -> Result<()> {
    let doc = world.doc("20k")?;
    let requests = [
        Request::get(&doc.path, &["Range: bytes=0-99"]),
        Request::get(&doc.path, &["Range: bytes=5000-14999"]),
    ];
    let responses = same(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 206)?;
    same_bytes(&doc.body[..100], &responses[0].body)?;
    same_bytes(&doc.body[5000..15000], &responses[1].body)
}

/// Several parts: each with a head of its own, sent from memory, and bytes of the file between them.
pub fn range_multi(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = [
        Request::get(
            &world.doc("20k")?.path,
            &["Range: bytes=0-9,100-1999,20000-20479"],
        ),
        Request::get(
            &world.doc("1m")?.path,
            &["Range: bytes=1-400000,500000-500000,600000-1048575"],
        ),
    ];
    expect_status(&same(pair, &requests, Style::OneByOne)?, 206)
}

pub fn range_suffix(world: &World, pair: &mut Pair) -> Result<()> {
    let doc = world.doc("1m")?;
    let requests = [
        Request::get(&doc.path, &["Range: bytes=-1"]),
        Request::get(&doc.path, &["Range: bytes=-300000"]),
        Request::get(&doc.path, &["Range: bytes=1048000-"]),
    ];
    let responses = same(pair, &requests, Style::OneByOne)?;
    expect_status(&responses, 206)?;
    let from = doc.body.len() - 300_000;
    same_bytes(&doc.body[from..], &responses[1].body)
}

pub fn range_unsatisfiable(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = [Request::get(
        &world.doc("1k")?.path,
        &["Range: bytes=1024-"],
    )];
    expect_status(&same(pair, &requests, Style::OneByOne)?, 416)
}

pub fn pipelined(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = random_requests(world, 0, 50)?;
    same(pair, &requests, Style::Pipelined).map(drop)
}

pub fn keep_alive_off(world: &World, pair: &mut Pair) -> Result<()> {
    let mut requests = Vec::new();
    for name in ["1b", "1k", "20k", "1m", "8m"] {
        let path = &world.doc(name)?.path;
        requests.push(Request::get(path, &["Connection: close"]));
    }
    requests.push(Request::get("/no-such-file", &["Connection: close"]));
    same(pair, &requests, Style::Closing).map(drop)
}

pub fn http_1_0(world: &World, pair: &mut Pair) -> Result<()> {
    let mut requests = Vec::new();
    for name in ["1k", "20k", "1m"] {
        let line = format!("GET {} HTTP/1.0\r\n\r\n", world.doc(name)?.path);
        requests.push(Request::raw(line.as_bytes()));
    }
    expect_status(&same(pair, &requests, Style::Closing)?, 200)
}

pub fn mixed(world: &World, pair: &mut Pair) -> Result<()> {
    for client in 1..=world.scaled(2, 10) {
        let requests = random_requests(world, client, 50)?;
        same(pair, &requests, Style::OneByOne)?;
    }
    Ok(())
}

/// nginx keeps descriptors of files open, so that no response opens or closes one.
pub fn file_cache(world: &World, _: &mut Pair) -> Result<()> {
    let mut pair = world.pair("file-cache", true)?;
    for name in ["1b", "1k", "20k", "1m", "8m"] {
        whole(world, &pair, name)?;
    }
    for client in 1..=2 {
        let requests = random_requests(world, client, 50)?;
        same(&pair, &requests, Style::Pipelined)?;
        same(&pair, &requests, Style::OneByOne)?;
    }
    pair.stop()
}

/// Requests of every kind that leave the connection open, mostly for small files.
fn random_requests(world: &World, client: usize, number: usize) -> Result<Vec<Request>> {
    let mut random = world.random(client);
    let names = ["1b", "1k", "1k", "20k", "20k", "256k"];
    let mut requests = Vec::with_capacity(number);
    for _ in 0..number {
        let doc = world.doc(names[random.below(names.len())])?;
        let from = random.below(doc.body.len());
        let range = format!("Range: bytes={from}-");
        requests.push(match random.below(10) {
            0 => Request::head(&doc.path),
            1 => Request::get("/no-such-file", &[]),
            2 => Request::get(&doc.path, &[&range]),
            _ => Request::get(&doc.path, &[]),
        });
    }
    Ok(requests)
}
