// SPDX-License-Identifier: MIT OR Apache-2.0

//! Answers from one byte to 64 MiB.

use anyhow::{Context, Result};

use crate::http::Response;
use crate::verify::compare::same_bytes;
use crate::verify::exchange::Talk;
use crate::verify::streams::http::{FILES, LARGE_FILE};
use crate::verify::streams::{Reply, Request};
use crate::verify::world::{Pair, World};

/// Answers of a size three times over one connection.
fn whole(world: &World, pair: &Pair, (name, size): (&str, usize)) -> Result<()> {
    let requests = pair.way.stream.sized(size, 0);
    let mut talk = Talk::connect(&pair.dials())?;
    for _ in 0..3 {
        // One by one: of the large ones there is no room for many.
        for request in &requests {
            let mut answer = Vec::new();
            talk.compare(std::slice::from_ref(request), 1, |bytes| answer = bytes)?;
            right(world, name, request, &answer)?;
        }
    }
    talk.finish()
}

/// Where the answer is known by itself.
fn right(world: &World, name: &str, request: &Request, answer: &[u8]) -> Result<()> {
    match request.reply {
        Reply::Http { to_head } => {
            let response = Response::parse(answer, to_head)?;
            same_bytes(&world.doc(name)?.body, &response.body).context("the file")
        }
        Reply::Bytes(_) => same_bytes(&request.bytes, answer).context("the echo"),
        Reply::Resp(_) | Reply::Memcached(_) => Ok(()),
    }
}

pub fn one_byte(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, FILES[0])
}

pub fn one_kib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, FILES[1])
}

pub fn twenty_kib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, FILES[2])
}

pub fn quarter_mib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, FILES[3])
}

pub fn one_mib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, FILES[4])
}

pub fn eight_mib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, FILES[5])
}

pub fn sixty_four_mib(world: &World, pair: &mut Pair) -> Result<()> {
    whole(world, pair, LARGE_FILE)
}
