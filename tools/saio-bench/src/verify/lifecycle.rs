// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers that are reloaded and stopped under load: no response may be lost that is kept without SAIO.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use nix::sys::signal::Signal;

use super::exchange::{same, same_bytes, Request, Style};
use super::{used, Pair, World};
use crate::docs::{Doc, Random};
use crate::http::{field, Client, Failure};
use crate::server::Nginx;

/// Clients that ask without pause.
const CLIENTS: usize = 8;
/// Clients that are in the middle of a response when the server is told to stop.
const READERS: usize = 16;
/// Receive buffer of those, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;
/// How long a worker may take to go.
const LIMIT: Duration = Duration::from_secs(60);
/// How long clients run undisturbed.
const CALM: Duration = Duration::from_millis(200);

/// What became of the requests of some clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Answered in full, every byte right
    complete: usize,
    /// Cut off in the middle of the response
    truncated: usize,
    /// Not answered, and first on their connection
    lost_first: usize,
    /// Not answered on a connection that had been kept: the server may end one at any time, so this is no fault
    lost_later: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.complete += other.complete;
        self.truncated += other.truncated;
        self.lost_first += other.lost_first;
        self.lost_later += other.lost_later;
    }
}

/// Fails if the server under SAIO lost what the other one kept.
fn no_worse(plain: Tally, saio: Tally) -> Result<()> {
    ensure!(
        saio.complete > 0,
        "no request was answered under SAIO: {saio:?}; without: {plain:?}"
    );
    ensure!(
        saio.truncated <= plain.truncated && saio.lost_first <= plain.lost_first,
        "responses were lost under SAIO: {saio:?}; without: {plain:?}"
    );
    Ok(())
}

/// Reload, as an operator does it: new workers take over, the old ones finish what they have begun.
pub fn reload(world: &World, _: &mut Pair) -> Result<()> {
    let mut pair = world.pair("reload", false)?;
    let plain = reload_under_load(world, &pair.plain).context("without SAIO")?;
    let saio = reload_under_load(world, &pair.saio).context("under SAIO")?;
    no_worse(plain, saio)?;
    pair.stop()
}

fn reload_under_load(world: &World, server: &Nginx) -> Result<Tally> {
    under_load(world, server, false, || {
        for _ in 0..world.scaled(2, 5) {
            sleep(CALM);
            let before = server.workers();
            server.signal(Signal::SIGHUP)?;
            wait_for_new_worker(server, &before)?;
        }
        sleep(CALM);
        Ok(())
    })
}

fn wait_for_new_worker(server: &Nginx, before: &[u32]) -> Result<()> {
    let start = Instant::now();
    loop {
        let now = server.workers();
        if !now.is_empty() && now.iter().all(|worker| !before.contains(worker)) {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            bail!(
                "workers are {now:?} and were {before:?} {} s after SIGHUP",
                LIMIT.as_secs()
            );
        }
        sleep(Duration::from_millis(20));
    }
}

/// Graceful stop: what was being sent when the signal came arrives whole.
pub fn stop(world: &World, _: &mut Pair) -> Result<()> {
    let mut pair = world.pair("stop", false)?;
    let plain = stop_under_load(world, &mut pair.plain).context("without SAIO")?;
    let saio = stop_under_load(world, &mut pair.saio).context("under SAIO")?;
    // New connections are refused from some moment on, and nobody can say from which request.
    let forget = |tally: Tally| Tally {
        lost_first: 0,
        ..tally
    };
    no_worse(forget(plain), forget(saio))?;
    pair.saio.check_log()?;
    used(&pair.saio)
}

fn stop_under_load(world: &World, server: &mut Nginx) -> Result<Tally> {
    let doc = world.doc(if world.quick { "1m" } else { "8m" })?;
    let tally = under_load(world, server, true, || {
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let mut client = Client::connect_with_buffer(server.address(), SMALL_BUFFER)?;
            client.send(format!("GET {} HTTP/1.1\r\nHost: verify\r\n\r\n", doc.path).as_bytes())?;
            client.head(false)?;
            readers.push(client);
        }
        sleep(CALM);
        server.signal(Signal::SIGQUIT)?;
        sleep(CALM);
        for (number, client) in readers.iter_mut().enumerate() {
            finish(client, doc)
                .with_context(|| format!("reader {number} that had begun before the stop"))?;
        }
        Ok(())
    })?;
    server.wait()?;
    Ok(tally)
}

fn finish(client: &mut Client, doc: &Doc) -> Result<()> {
    let mut done = 0;
    while done < doc.body.len() {
        let bytes = client.chunk(doc.body.len() - done)?;
        same_bytes(&doc.body[done..done + bytes.len()], &bytes)
            .with_context(|| format!("from byte {done} on"))?;
        done += bytes.len();
    }
    Ok(())
}

/// Does something while clients ask without pause. `ends` says that the server goes away meanwhile.
fn under_load(
    world: &World,
    server: &Nginx,
    ends: bool,
    something: impl FnOnce() -> Result<()>,
) -> Result<Tally> {
    let done = AtomicBool::new(false);
    let address = server.address();
    thread::scope(|scope| -> Result<Tally> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (done, random) = (&done, world.random(3000 + number));
                scope.spawn(move || ask(world, address, ends, done, random))
            })
            .collect();
        let result = something();
        done.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for client in clients {
            match client.join() {
                Ok(tally) => total.add(tally?),
                Err(_) => bail!("a client panicked"),
            }
        }
        result.map(|()| total)
    })
}

/// Asks until `done`, with a new connection whenever the server has ended the old one.
fn ask(
    world: &World,
    address: SocketAddr,
    ends: bool,
    done: &AtomicBool,
    mut random: Random,
) -> Result<Tally> {
    let names = ["1b", "1k", "20k", "256k"];
    let mut tally = Tally::default();
    let mut kept: Option<Client> = None;
    while !done.load(Ordering::Relaxed) {
        let is_first = kept.is_none();
        let client = match kept.take() {
            Some(client) => Ok(client),
            None => Client::connect(address),
        };
        let mut client = match client {
            Ok(client) => client,
            Err(_) if ends => {
                sleep(Duration::from_millis(5));
                continue;
            }
            Err(error) => return Err(error).context("cannot connect"),
        };
        let doc = world.doc(names[random.below(names.len())])?;
        match Request::get(&doc.path, &[]).exchange(&mut client) {
            Ok(response) => {
                same_bytes(&doc.body, &response.body).with_context(|| doc.path.clone())?;
                tally.complete += 1;
                let last = field(&response.head.text, "Connection") == Some("close");
                kept = (!last).then_some(client);
            }
            Err(Failure::Closed) if is_first => tally.lost_first += 1,
            Err(Failure::Closed) => tally.lost_later += 1,
            Err(Failure::Truncated { .. }) => tally.truncated += 1,
            Err(error) => return Err(error).with_context(|| doc.path.clone()),
        }
    }
    Ok(tally)
}

/// The server of the tests before this one has really deferred calls, logged nothing bad, and stops.
pub fn saio_was_used(world: &World, pair: &mut Pair) -> Result<()> {
    let requests = vec![Request::get(&world.doc("1k")?.path, &[]); 10];
    same(pair, &requests, Style::OneByOne)?;
    pair.stop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_count_only_beyond_those_without_saio() {
        let tally = |truncated, lost_first, lost_later| Tally {
            complete: 5,
            truncated,
            lost_first,
            lost_later,
        };
        no_worse(tally(0, 0, 0), tally(0, 0, 9)).unwrap();
        no_worse(tally(1, 1, 0), tally(1, 1, 0)).unwrap();
        assert!(no_worse(tally(0, 0, 0), tally(1, 0, 0)).is_err());
        assert!(no_worse(tally(0, 0, 0), tally(0, 1, 0)).is_err());
        assert!(no_worse(tally(0, 0, 0), Tally::default()).is_err());
    }
}
