// SPDX-License-Identifier: MIT OR Apache-2.0

//! What only Redis does.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use crate::verify::compare::same_bytes;
use crate::verify::exchange::{same, Style, Talk};
use crate::verify::streams::resp::{command, read};
use crate::verify::streams::{noise, value_length};
use crate::verify::world::{Pair, World};
use crate::wire::{Conn, Dial};

/// How long saving may take.
const SAVE_LIMIT: Duration = Duration::from_secs(120);

/// Subscribers get everything that is published, in its order, whole.
pub fn publish_and_subscribe(world: &World, pair: &mut Pair) -> Result<()> {
    let dials = pair.dials();
    let connect = || -> Result<Vec<Conn>> {
        let mut subscribers = Vec::new();
        for dial in [&dials.plain, &dials.saio] {
            let mut conn = dial.connect()?;
            command(&[b"SUBSCRIBE", b"news"]).exchange(&mut conn)?;
            subscribers.push(conn);
        }
        Ok(subscribers)
    };
    let mut subscribers = Vec::new();
    for _ in 0..world.scaled(4, 50) {
        subscribers.push(connect()?);
    }
    let mut random = world.random(0);
    let number = world.scaled(10, 40);
    let messages: Vec<Vec<u8>> = (0..number)
        .map(|_| {
            let bytes = value_length(&mut random);
            noise(&mut random, bytes)
        })
        .collect();
    let publish: Vec<_> = messages
        .iter()
        .map(|message| command(&[b"PUBLISH", b"news", message]))
        .collect();
    // The answers say how many have got it.
    same(&dials, &publish, Style::Pipelined(7))?;
    for (number, pair) in subscribers.iter_mut().enumerate() {
        for (index, message) in messages.iter().enumerate() {
            let what = || format!("subscriber {number}, message {}", index + 1);
            let plain = read(&mut pair[0], 1).with_context(what)?;
            let saio = read(&mut pair[1], 1).with_context(what)?;
            same_bytes(&plain, &saio).with_context(what)?;
            ensure!(
                contains(&saio, message),
                "{}: it is not what was published",
                what()
            );
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

/// A child writes everything to disk, while the parent goes on.
pub fn background_save(world: &World, pair: &mut Pair) -> Result<()> {
    let (dials, stream) = (pair.dials(), pair.way.stream);
    let number = world.scaled(60, 1000);
    let requests = stream.requests(&mut world.random(0), 5000, number);
    let mut talk = Talk::connect(&dials)?;
    talk.compare(&requests, 16, drop)?;
    for dial in [&dials.plain, &dials.saio] {
        // A rewrite of the log may be under way: then it is only scheduled.
        command(&[b"BGSAVE", b"SCHEDULE"]).exchange(&mut dial.connect()?)?;
    }
    talk.compare(&requests, 16, drop)?;
    for dial in [&dials.plain, &dials.saio] {
        wait_for_save(dial)?;
    }
    talk.compare(&requests, 16, drop)?;
    talk.finish()
}

fn wait_for_save(dial: &Dial) -> Result<()> {
    let start = Instant::now();
    let mut conn = dial.connect()?;
    loop {
        let info = command(&[b"INFO", b"persistence"]).exchange(&mut conn)?;
        let info = String::from_utf8_lossy(&info).into_owned();
        let has = |line: &str| info.lines().any(|other| other == line);
        if has("rdb_bgsave_in_progress:0") && !has("rdb_last_bgsave_time_sec:-1") {
            ensure!(
                has("rdb_last_bgsave_status:ok"),
                "it was not saved:\n{info}"
            );
            return Ok(());
        }
        if start.elapsed() > SAVE_LIMIT {
            bail!("not saved after {} s:\n{info}", SAVE_LIMIT.as_secs());
        }
        sleep(Duration::from_millis(20));
    }
}

/// Both hold the same: every key, every value.
pub fn digest(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "digest")?;
    fill(world, &pair)?;
    digests(&pair)?;
    pair.stop()
}

/// What was acknowledged is there again after a restart.
pub fn kept_over_restart(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "kept")?;
    fill(world, &pair)?;
    let before = digests(&pair)?;
    for saio in [false, true] {
        pair.restart(world, saio)?;
    }
    let after = digests(&pair)?;
    same_bytes(&before, &after).context("after the restart")?;
    pair.stop()
}

fn fill(world: &World, pair: &Pair) -> Result<()> {
    for client in 0..world.scaled(3, 20) {
        let mut random = world.random(client);
        let number = world.scaled(50, 300);
        let requests = pair.way.stream.requests(&mut random, client, number);
        same(&pair.dials(), &requests, Style::Pipelined(16))?;
    }
    Ok(())
}

/// A digest of everything that each of the two holds, which must be equal. Returns it.
fn digests(pair: &Pair) -> Result<Vec<u8>> {
    let requests = [command(&[b"DEBUG", b"DIGEST"]), command(&[b"DBSIZE"])];
    let answers = same(&pair.dials(), &requests, Style::OneByOne)?;
    ensure!(
        answers[0].starts_with(b"+") && answers[1] != b":0\r\n",
        "no digest: {} {}",
        answers[0].escape_ascii(),
        answers[1].escape_ascii()
    );
    Ok(answers[0].clone())
}
