// SPDX-License-Identifier: MIT OR Apache-2.0

//! What only nginx does.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use super::sizes;
use crate::server::nginx::{self, Settings};
use crate::server::LOG;
use crate::verify::compare::same_bytes;
use crate::verify::exchange::{batch_size, same, Style};
use crate::verify::world::{Pair, Side, World};

/// How long a line of a log may take to be there.
const LOG_LIMIT: Duration = Duration::from_secs(30);

/// nginx keeps descriptors of files open, so that no response opens or closes one.
pub fn file_cache(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair_of(pair.way, "file-cache", |site| {
        let settings = Settings {
            file_cache: true,
            ..Settings::default()
        };
        nginx::start(site, &settings)
    })?;
    sizes::one_kib(world, &mut pair)?;
    sizes::one_mib(world, &mut pair)?;
    for client in 1..=2 {
        let mut random = world.random(client);
        let requests = pair.way.stream.requests(&mut random, client, 50);
        same(&pair.dials(), &requests, Style::Pipelined(50))?;
        same(&pair.dials(), &requests, Style::OneByOne)?;
    }
    pair.stop()
}

/// Every response has its line in the log, and the lines are the same.
pub fn access_log(world: &World, pair: &mut Pair) -> Result<()> {
    let mut pair = world.pair(pair.way, "access-log")?;
    let mut number = 0;
    for client in 0..world.scaled(3, 20) {
        let mut random = world.random(client);
        let requests = pair.way.stream.requests(&mut random, client, 50);
        let size = batch_size(&mut random, pair.way.at_once);
        same(&pair.dials(), &requests, Style::Pipelined(size))?;
        number += requests.len();
    }
    let plain = lines(&pair.plain, number).context("without SAIO")?;
    let saio = lines(&pair.saio, number).context("under SAIO")?;
    for (index, (plain, saio)) in plain.iter().zip(&saio).enumerate() {
        same_bytes(plain.as_bytes(), saio.as_bytes())
            .with_context(|| format!("line {} of the log", index + 1))?;
    }
    pair.stop()
}

/// So many lines of a server's log, without their times.
fn lines(side: &Side, number: usize) -> Result<Vec<String>> {
    let file = side.server.dir().join(LOG);
    let start = Instant::now();
    loop {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let lines: Vec<String> = text.lines().map(without_time).collect();
        if lines.len() >= number || start.elapsed() > LOG_LIMIT {
            ensure!(
                lines.len() == number,
                "{} lines for {number} responses",
                lines.len()
            );
            return Ok(lines);
        }
        // A line is written after its response.
        sleep(Duration::from_millis(20));
    }
}

fn without_time(line: &str) -> String {
    match (line.split_once('['), line.split_once(']')) {
        (Some((before, _)), Some((_, behind))) => format!("{before}[]{behind}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_no_time() {
        let line = r#"127.0.0.1 - - [22/Nov/2026:04:36:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#;
        assert_eq!(
            without_time(line),
            r#"127.0.0.1 - - [] "GET / HTTP/1.1" 200 1 "-" "-""#
        );
    }
}
