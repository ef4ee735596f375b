// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bytes for an echo server.

use super::{noise, value_length, Reply, Request, Stream};
use crate::docs::Random;

/// Bytes of any kind, which come back.
pub struct Echo;

impl Stream for Echo {
    fn requests(&self, random: &mut Random, _: usize, number: usize) -> Vec<Request> {
        (0..number)
            .map(|_| {
                let bytes = 1 + value_length(random);
                request(noise(random, bytes))
            })
            .collect()
    }

    fn sized(&self, bytes: usize, client: usize) -> Vec<Request> {
        vec![request(noise(&mut Random::new(client as u64), bytes))]
    }

    fn upload(&self, _: usize, _: usize) -> Option<Request> {
        None
    }
}

fn request(bytes: Vec<u8>) -> Request {
    Request {
        reply: Reply::Bytes(bytes.len()),
        bytes,
    }
}
