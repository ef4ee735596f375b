// SPDX-License-Identifier: MIT OR Apache-2.0

//! HTTP/2, spoken by curl: heads and bodies are compared, not how they are cut into frames.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use crate::verify::compare::{blank_date, same_bytes};
use crate::verify::world::{Pair, Side, World};
use crate::verify::Skip;

/// Seconds that all requests of one run may take.
const LIMIT: &str = "600";

/// curl's option for a head alone.
const HEAD: &str = "head";

/// What is asked for.
struct Ask {
    path: String,
    /// More lines of curl's configuration
    more: String,
}

/// A head and a body.
type Answer = (Vec<u8>, Vec<u8>);

/// One request after the other over one connection.
pub fn one_by_one(world: &World, pair: &mut Pair) -> Result<()> {
    compare(world, pair, world.scaled(20, 200), false)
}

/// Many responses over one connection at the same time, their parts mixed.
pub fn at_once(world: &World, pair: &mut Pair) -> Result<()> {
    compare(world, pair, world.scaled(20, 200), true)
}

fn compare(world: &World, pair: &Pair, number: usize, parallel: bool) -> Result<()> {
    let asks = asks(world, number)?;
    let plain = fetch(world, &pair.plain, &asks, parallel).context("without SAIO")?;
    let saio = fetch(world, &pair.saio, &asks, parallel).context("under SAIO")?;
    for ((ask, plain), saio) in asks.iter().zip(plain).zip(saio) {
        let what = || format!("{} {}", ask.path, ask.more);
        same_bytes(&plain.0, &saio.0)
            .context("heads")
            .with_context(what)?;
        same_bytes(&plain.1, &saio.1)
            .context("bodies")
            .with_context(what)?;
        ensure!(
            saio.0.starts_with(b"HTTP/2 "),
            "{}: not HTTP/2: {}",
            what(),
            saio.0.escape_ascii()
        );
    }
    pair.check_logs()
}

/// Whole files, parts of them, heads alone, and what is not there.
fn asks(world: &World, number: usize) -> Result<Vec<Ask>> {
    let mut random = world.random(0);
    let names = ["1b", "1k", "20k", "256k", "1m"];
    let mut asks = Vec::with_capacity(number);
    for _ in 0..number {
        let doc = world.doc(names[random.below(names.len())])?;
        let from = random.below(doc.body.len());
        let (path, more) = match random.below(8) {
            0 => ("/no-such-file", String::new()),
            1 => (doc.path.as_str(), format!("range = \"{from}-\"")),
            2 => (doc.path.as_str(), HEAD.to_owned()),
            _ => (doc.path.as_str(), String::new()),
        };
        asks.push(Ask {
            path: path.to_owned(),
            more,
        });
    }
    Ok(asks)
}

fn fetch(world: &World, side: &Side, asks: &[Ask], parallel: bool) -> Result<Vec<Answer>> {
    let dir = world.scratch()?;
    let address = side.dial.address;
    let mut config = String::new();
    for (index, ask) in asks.iter().enumerate() {
        if index > 0 {
            config += "next\n";
        }
        let dir = dir.path().display();
        writeln!(
            config,
            "url = \"https://{address}{}\"\nhttp2\ncacert = \"{}\"\nmax-time = {LIMIT}\n\
             output = \"{dir}/{index}.body\"\ndump-header = \"{dir}/{index}.head\"\n{}",
            ask.path,
            world.identity.certificate.display(),
            ask.more
        )?;
    }
    let file = dir.path().join("curlrc");
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new("curl");
    command
        .args(["--disable", "--silent", "--show-error", "--config"])
        .arg(&file);
    if parallel {
        command.args(["--parallel", "--parallel-max", "50"]);
    }
    let output = match command.env_remove("LD_PRELOAD").output() {
        Ok(output) => output,
        Err(_) => return Err(Skip("no curl; install the package curl".into()).into()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("curl ended with {}: {said}", output.status);
    }
    (asks.iter().enumerate())
        .map(|(index, ask)| {
            let mut head = read(dir.path(), &format!("{index}.head"))?;
            blank_date(&mut head);
            // There is no file for a response without a body.
            let mut body = read(dir.path(), &format!("{index}.body")).unwrap_or_default();
            if ask.more == HEAD {
                // curl's output is then the head once more.
                blank_date(&mut body);
            }
            Ok((head, body))
        })
        .collect()
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>> {
    let file = dir.join(name);
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}
