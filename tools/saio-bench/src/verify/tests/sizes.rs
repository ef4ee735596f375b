// SPDX-License-Identifier: MIT OR Apache-2.0

//! Answers from one byte to 64 MiB.

use anyhow::{Context, Result};

use crate::http::Response;
use crate::verify::compare::same_bytes;
use crate::verify::exchange::{same, Style};
use crate::verify::streams::http::{FILES, LARGE_FILE};
use crate::verify::streams::Reply;
use crate::verify::world::{Pair, World};

/// Answers of a size three times over one connection.
fn whole(world: &World, pair: &Pair, (name, size): (&str, usize)) -> Result<()> {
    let requests = vec![pair.way.stream.sized(size, 0); 3].concat();
    let answers = same(&pair.dials(), &requests, Style::OneByOne)?;
    for (request, answer) in requests.iter().zip(answers) {
        match request.reply {
            Reply::Http { to_head } => {
                let response = Response::parse(&answer, to_head)?;
                same_bytes(&world.doc(name)?.body, &response.body).context("the file")?;
            }
            Reply::Bytes(_) => same_bytes(&request.bytes, &answer).context("the echo")?,
            Reply::Resp(_) | Reply::Memcached(_) => {}
        }
    }
    Ok(())
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
