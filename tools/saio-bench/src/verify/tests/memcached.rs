// SPDX-License-Identifier: MIT OR Apache-2.0

//! What only memcached does.

use anyhow::{ensure, Context, Result};

use crate::verify::exchange::{same, Style};
use crate::verify::streams::memcached::{
    get, gets, line, name, store, with_value, Form, MAX_VALUE,
};
use crate::verify::streams::noise;
use crate::verify::world::{Pair, World};

/// Values change only if nobody else has changed them. The numbers that this takes count from the start of the server,
/// so both are fresh and have one client.
pub fn check_and_set(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "cas")?;
    let mut random = world.random(0);
    for number in 0..world.scaled(5, 100) {
        let key = name(0, number % 3);
        let value = noise(&mut random, 1 + number * 10);
        let requests = [store("set", &key, number, &value), gets(&key)];
        let answers = same(&pair.dials(), &requests, Style::Pipelined(2))?;
        let unique = unique(&answers[1])?;
        let cas = |unique: u64| {
            let text = format!("cas {key} 1 0 3 {unique}");
            with_value(&text, b"new", Form::Line)
        };
        let requests = [cas(unique + 1000), cas(unique), cas(unique), get(&key)];
        let answers = same(&pair.dials(), &requests, Style::OneByOne)?;
        let words: Vec<&[u8]> = answers.iter().take(3).map(Vec::as_slice).collect();
        ensure!(
            words == [&b"EXISTS\r\n"[..], b"STORED\r\n", b"EXISTS\r\n"],
            "answers to cas: {words:?}"
        );
    }
    // A value that is too long is refused, and what follows it is understood.
    let long = noise(&mut random, 2 * MAX_VALUE);
    let requests = [
        store("set", "long", 0, &long),
        get("long"),
        line("verbosity 0"),
    ];
    same(&pair.dials(), &requests, Style::OneByOne)?;
    pair.stop()
}

/// The number in the answer to `gets`.
fn unique(answer: &[u8]) -> Result<u64> {
    let text = String::from_utf8_lossy(answer);
    text.lines()
        .next()
        .and_then(|line| line.split(' ').nth(4)?.parse().ok())
        .context("no number in the answer to gets")
}
