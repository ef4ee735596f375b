// SPDX-License-Identifier: MIT OR Apache-2.0

//! `kill -9` under load: what the server was told had been written reaches clients that read, and nothing else does.

mod client;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::stress::joined;
use crate::docs::Random;
use crate::server::{Process, LOG};
use crate::verify::received::{answered, Line};
use crate::verify::rings::Rings;
use crate::verify::storm::Memory;
use crate::verify::subjects::Way;
use crate::verify::world::{Pair, Side, World};
use crate::wire::Dial;
use client::{mark_of, Client, Manner, Seen, Shared, GREEDY};

/// How long the clients may take until the moment of the kill.
const LIMIT: Duration = Duration::from_secs(120);
/// Answers before a kill for each client, at least. Half of the clients are steady, so that they have got twice as many, and
/// are flows.
const FEW: usize = 2;
/// Answers that the greedy client asks for, in bytes: of a size that is queued.
const QUEUED: usize = 20 << 10;
/// Microseconds by which it may be later than an answer.
const JITTER: usize = 3000;
/// How long a line of a log is waited for.
const AIM_LIMIT: Duration = Duration::from_millis(500);
/// Where the random numbers of rounds begin, apart from those of scripts.
const ROUNDS: usize = 7000;

/// Kills the server in the middle of its work, again and again: without SAIO, where it shows that what is demanded holds,
/// and under it.
pub fn kill(world: &World, pair: &mut Pair) -> Result<()> {
    let scripts = scripts(world, pair.way, &pair.plain.dial)?;
    let rounds = match world.rounds {
        Some(rounds) => rounds as usize,
        None => world.scaled(2, 5),
    };
    for saio in [false, true] {
        let side = if saio { "under SAIO" } else { "without SAIO" };
        for number in 1..=rounds {
            let mut random = world.random(ROUNDS + number);
            // Every second one is aimed: in a turn of the server's loop in which it has answered.
            let how = How {
                saio,
                aimed: pair.way.tells && number % 2 == 0,
                killer: Killer::Us,
            };
            let told = round(world, pair.way, &scripts, how, &mut random)
                .with_context(|| format!("{side}, round {number} of {rounds}"))?;
            if world.rounds.is_some() {
                eprintln!("  {side}, round {number} of {rounds}: {told}");
            }
        }
    }
    Ok(())
}

/// How a server meets its end.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// Under SAIO
    pub saio: bool,
    /// At the moment in which a line is written to its log
    pub aimed: bool,
    /// By whom
    pub killer: Killer<'a>,
}

/// Who kills it.
#[derive(Clone, Copy)]
pub enum Killer<'a> {
    /// We do, with a signal
    Us,
    /// The kernel does: there is no memory left for its control group
    Kernel(&'a Memory),
}

impl Killer<'_> {
    /// Starts a server that can be killed so.
    fn start(self, start: impl FnOnce() -> Result<Side>) -> Result<Side> {
        match self {
            Killer::Us => start(),
            Killer::Kernel(memory) => memory.within(start),
        }
    }

    /// Kills it. It must not have ended before.
    fn kill(self, server: &mut Process, random: &mut Random) -> Result<()> {
        match self {
            Killer::Us => server.kill(),
            Killer::Kernel(memory) => {
                memory.exhaust(random)?;
                server.wait_for_kill()
            }
        }
    }
}

/// What clients say, and the answers of a server that nobody disturbs.
pub fn scripts(world: &World, way: &Way, dial: &Dial) -> Result<Vec<Vec<Line>>> {
    let script = |client: usize| -> Result<Vec<Line>> {
        let mut random = world.random(6000 + client);
        let number = world.scaled(20, 50);
        let stream = way.stream;
        let requests = match client {
            GREEDY => stream.sized(QUEUED, 6000 + client),
            _ => stream.requests(&mut random, 6000 + client, number),
        };
        answered(requests, dial)
    };
    (0..world.scaled(12, 36)).map(script).collect()
}

/// One server and its end. Returns what happened.
pub fn round(
    world: &World,
    way: &Way,
    scripts: &[Vec<Line>],
    how: How<'_>,
    random: &mut Random,
) -> Result<String> {
    let mut side = how
        .killer
        .start(|| world.alone(way, "kill", way.start, how.saio, true))?;
    let wanted = FEW * scripts.len() + random.below(world.scaled(150, 1500));
    let jitter = Duration::from_micros(random.below(JITTER) as u64);
    let shared = Shared::default();
    let dial = side.dial.clone();
    let log = side.server.dir().join(LOG);
    let mut rings = Rings::default();
    let seen = thread::scope(|scope| -> Result<Vec<Seen>> {
        let clients: Vec<_> = (scripts.iter().enumerate())
            .map(|(number, script)| {
                let mut random = Random::new(random.number());
                let client = Client {
                    dial: &dial,
                    script,
                    number,
                    manner: Manner::new(number, way.at_once, &mut random),
                    random,
                    shared: &shared,
                };
                scope.spawn(move || client.run())
            })
            .collect();
        let mut result = wait_for_answers(&shared, scripts.len(), wanted);
        sleep(jitter);
        rings = Rings::of(&side.server);
        if how.aimed {
            wait_for_line(&log);
        }
        shared.doomed.store(true, Ordering::Relaxed);
        if let Killer::Us = how.killer {
            let _ = shared.killed.set(Instant::now());
        }
        result = result.and(how.killer.kill(&mut side.server, random));
        // The kernel takes its time, and the server may go on meanwhile.
        shared.killed.get_or_init(Instant::now);
        // All are joined before an error is returned. What a client says explains more than what became of the server.
        let seen: Vec<Result<Seen>> = clients.into_iter().map(joined).collect();
        let seen = seen.into_iter().collect::<Result<Vec<Seen>>>()?;
        result.map(|()| seen)
    })?;
    // Who watches others may see the first of them die.
    let passed_over = match how.killer {
        Killer::Us => None,
        Killer::Kernel(_) => Some("exited on signal 9"),
    };
    side.server.check_log_but(passed_over)?;
    ensure!(
        !side.server.is_under_saio() || rings.operations > 0,
        "the server sent nothing by SAIO: see saioctl doctor"
    );
    let mut told = format!(
        "{} whole answers, {} of them after the kill; the last end came after {} ms",
        seen.iter().map(|one| one.whole).sum::<usize>(),
        seen.iter().map(|one| one.late).sum::<usize>(),
        seen.iter()
            .map(|one| one.waited.as_millis())
            .max()
            .unwrap_or(0)
    );
    if side.server.is_under_saio() {
        told += &format!("; {} operations, {} parked", rings.operations, rings.parks);
    }
    if way.tells {
        let log =
            fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let promised = promised(&log);
        ensure!(!promised.is_empty(), "the server's log names no request");
        kept(&promised, &seen)?;
        told += &format!(
            "; {} in the log",
            promised.values().map(Vec::len).sum::<usize>()
        );
    }
    Ok(told)
}

/// Waits until all clients are connected and the steady ones have got so many whole answers.
fn wait_for_answers(shared: &Shared, clients: usize, wanted: usize) -> Result<()> {
    let start = Instant::now();
    while shared.answers.load(Ordering::Relaxed) < wanted
        || shared.begun.load(Ordering::Relaxed) < clients
    {
        if shared.left.load(Ordering::Relaxed) > 0 {
            bail!("a client left before the server was killed");
        }
        if start.elapsed() > LIMIT {
            bail!(
                "{} instead of {wanted} answers to {} instead of {clients} clients in {} s",
                shared.answers.load(Ordering::Relaxed),
                shared.begun.load(Ordering::Relaxed),
                LIMIT.as_secs()
            );
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits for the very moment in which a line is written, or not much longer.
fn wait_for_line(log: &Path) {
    let length = || fs::metadata(log).map(|data| data.len()).unwrap_or(0);
    let (start, before) = (Instant::now(), length());
    while length() == before && start.elapsed() < AIM_LIMIT {}
}

/// Numbers of each client's requests whose answers the kernel had got whole, as the log says. A line that does not end
/// was not written.
fn promised(log: &str) -> BTreeMap<usize, Vec<usize>> {
    let mut promised: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let lines = log.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    for (client, number) in lines.filter_map(mark_of) {
        promised.entry(client).or_default().push(number);
    }
    promised
}

/// Fails if an answer that the kernel had got has not reached a client that had nothing else under way.
fn kept(promised: &BTreeMap<usize, Vec<usize>>, seen: &[Seen]) -> Result<()> {
    for (client, numbers) in promised {
        let seen = seen
            .get(*client)
            .context("the log has a client that there is not")?;
        let missing = numbers.iter().find(|number| **number >= seen.whole);
        if let (Some(number), true) = (missing, seen.one_by_one) {
            bail!(
                "client {client} got {} whole answers, but the server had written answer {}, says its log",
                seen.whole,
                number + 1
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(whole: usize, one_by_one: bool) -> Seen {
        Seen {
            whole,
            late: 0,
            waited: Duration::ZERO,
            one_by_one,
        }
    }

    #[test]
    fn answers_of_the_log_must_be_there() {
        let log = "GET /?id=0-0 x\nGET /?id=0-1 x\nGET /?id=1-0 x\nGET /\nGET /?id=0-7";
        let promised = promised(log);
        kept(&promised, &[seen(2, true), seen(1, true)]).unwrap();
        kept(&promised, &[seen(3, true), seen(0, false)]).unwrap();
        let error = kept(&promised, &[seen(1, true), seen(1, true)]).unwrap_err();
        assert!(error.to_string().contains("written answer 2"), "{error}");
        assert!(kept(&promised, &[seen(2, true), seen(0, true)]).is_err());
        assert!(kept(&promised, &[seen(2, true)]).is_err());
    }
}
