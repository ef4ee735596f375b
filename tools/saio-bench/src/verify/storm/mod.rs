// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench storm`: servers under load that are killed, or whose allocations fail, again and again. Nothing may be lost
//! that is kept without SAIO, and the kernel must give everything back.

mod failing;
mod faults;
mod memory;
mod stalls;

use std::io;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use saio::pool;
use saio_leaks::slabs::Slabs;
use saio_leaks::Baseline;

use super::subjects::{Subject, Way, SUBJECTS};
use super::tests::kill::{self, How, Killer};
use super::world::World;
use super::{Skip, VerifyArgs};
use crate::docs::Random;
use crate::ktap::Ktap;
use crate::places::Places;
use crate::server::{group, Mode};
use failing::Failing;
pub use memory::Memory;

/// Under SAIO, how. Every server has a round without before these.
const MODES: [Mode; 3] = [Mode::Inline, Mode::Pool, Mode::Auto];
/// How long the kernel may take to give back what a round has had.
const PATIENCE: Duration = Duration::from_secs(120);
/// Objects that a slab cache may have more after half of the rounds, or one for ten rounds: what is allocated once and kept, and what
/// is freed late.
const SLACK: u64 = 32;

/// Arguments of `saio-bench storm`.
#[derive(Args)]
pub struct StormArgs {
    /// What happens to servers; several one after another [default: all]
    #[arg(value_name = "KIND", value_enum)]
    kinds: Vec<Kind>,

    /// A server, taken in turn with others; repeat for several
    #[arg(long = "server", value_name = "SERVER", default_values = ["nginx", "redis"],
          value_parser = PossibleValuesParser::new(SUBJECTS.iter().map(|subject| subject.name)))]
    servers: Vec<String>,

    /// How long each kind is to last
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Where the random choices start
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Run on a machine that is no guest of ./x, and may be spoilt
    #[arg(long)]
    i_know: bool,

    #[command(flatten)]
    places: Places,
}

/// What happens to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// They are killed with SIGKILL
    Kill,
    /// The kernel kills them, as their control group has no memory
    Oom,
    /// Allocations fail, for them and for threads of pools
    Faults,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Oom => "oom",
            Kind::Faults => "faults",
        }
    }
}

/// What all kinds need.
struct Storm<'a> {
    args: &'a StormArgs,
    /// For each of [`MODES`]
    worlds: Vec<World>,
    subjects: Vec<&'static Subject>,
    baseline: Baseline,
}

/// Runs them. Returns the exit status: 0 if all passed or were skipped, 1 otherwise.
///
/// # Errors
///
/// What all of them need is missing.
pub fn storm(args: &StormArgs) -> Result<u8> {
    ensure!(
        args.i_know || saio_leaks::is_guest(),
        "this is not a guest of ./x boot, whose root is read-only: allocations of its pools would fail, and control groups stay. \
         ./x boot -- saio-bench storm starts a guest; --i-know runs it anyway"
    );
    group::end_with_us()?;
    let kinds = match &args.kinds[..] {
        [] => Kind::value_variants(),
        kinds => kinds,
    };
    let subjects: Vec<&Subject> = (SUBJECTS.iter())
        .filter(|subject| args.servers.iter().any(|name| name == subject.name))
        .collect();
    for subject in &subjects {
        if let Some(missing) = (subject.missing)() {
            bail!("--server {}: {missing}", subject.name);
        }
    }
    let baseline = Baseline::now()?;
    let world = |mode| {
        let args = VerifyArgs::quick("nginx", mode, args.seed, &args.places);
        World::new(&args, true)
    };
    let worlds = MODES.into_iter().map(world).collect::<Result<_>>()?;
    let storm = Storm {
        args,
        worlds,
        subjects,
        baseline,
    };
    let mut ktap = Ktap::start(io::stdout(), kinds.len() + 1)?;
    ktap.comment(&format!("seed {}", args.seed))?;
    for kind in kinds {
        let name = format!("storm.{}", kind.name());
        ktap.comment(&format!("running {name}"))?;
        match storm.kind(*kind) {
            Ok(told) => {
                ktap.comment(&told)?;
                ktap.result(&name, None)?;
            }
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(Skip(reason)) => ktap.skip(&name, reason)?,
                None => ktap.result(&name, Some(&format!("{error:#}\nseed {}", args.seed)))?,
            },
        }
    }
    // Their pools are removed.
    drop(storm);
    let left = nothing_left();
    let problem = left.err().map(|error| format!("{error:#}"));
    ktap.result("storm.left", problem.as_deref())?;
    Ok(u8::from(ktap.failed() > 0))
}

/// What can only be seen at the end.
fn nothing_left() -> Result<()> {
    let last = Instant::now() + PATIENCE;
    saio_leaks::until(last, saio_leaks::no_threads).map_err(|left| anyhow!(left))?;
    match saio_leaks::unreferenced()? {
        Some(text) if !text.trim().is_empty() => bail!("kmemleak reports\n{text}"),
        Some(_) => Ok(()),
        None => {
            eprintln!("no memory was looked for that nobody points to: this kernel has no kmemleak (debug has)");
            Ok(())
        }
    }
}

/// What happens in one round.
type Round<'a> = dyn FnMut(&World, usize, bool, &mut Random) -> Result<String> + 'a;

impl Storm<'_> {
    fn ways(&self) -> impl Iterator<Item = &'static Way> + '_ {
        self.subjects.iter().map(|subject| &subject.ways[0])
    }

    /// Answers that servers give whom nobody disturbs.
    fn answers<T>(
        &self,
        ask: impl Fn(&World, &'static Way, &crate::wire::Dial) -> Result<T>,
    ) -> Result<Vec<T>> {
        let world = &self.worlds[0];
        let answers = self.ways().map(|way| {
            let mut side = world.alone(way, "answers", way.start, false, false)?;
            let answers = ask(world, way, &side.dial)?;
            side.server.stop()?;
            Ok(answers)
        });
        answers.collect()
    }

    /// A storm of one kind. Returns how it was.
    fn kind(&self, kind: Kind) -> Result<String> {
        let ways: Vec<_> = self.ways().collect();
        match kind {
            Kind::Kill | Kind::Oom => {
                let memory = match kind {
                    Kind::Oom => Some(Memory::new()?),
                    _ => None,
                };
                let scripts = self.answers(kill::scripts)?;
                self.rounds(kind, &mut |world, server, saio, random| {
                    let how = How {
                        saio,
                        aimed: ways[server].tells && random.below(2) == 0,
                        killer: match &memory {
                            Some(memory) => Killer::Kernel(memory),
                            None => Killer::Us,
                        },
                    };
                    kill::round(world, ways[server], &scripts[server], how, random)
                })
            }
            Kind::Faults => {
                let failing = Failing::new()?;
                let exchanges = self.answers(|_, way, dial| faults::exchanges(way, dial))?;
                let mut sent = 0;
                let told = self.rounds(kind, &mut |world, server, saio, random| {
                    let (exchanges, way) = (&exchanges[server], ways[server]);
                    let (told, more) =
                        faults::round(world, way, exchanges, saio, &failing, random)?;
                    sent += more;
                    Ok(told)
                })?;
                ensure!(
                    sent > 0,
                    "no server has sent anything by SAIO: see saioctl doctor"
                );
                Ok(told)
            }
        }
    }

    /// Rounds until time is up, and at least one of each server in each mode. If there was time for more it looks whether
    /// slabs have grown since the first of each, and gone on growing.
    fn rounds(&self, kind: Kind, round: &mut Round) -> Result<String> {
        let start = Instant::now();
        let time = Duration::from_secs(self.args.seconds);
        let cycle = self.subjects.len() * (1 + MODES.len());
        let mut number = 0;
        let mut marks = Vec::new();
        while number < cycle || start.elapsed() < time {
            let is_half = number >= cycle * 3 / 2 && start.elapsed() >= time / 2;
            if (marks.is_empty() && number == cycle) || (marks.len() == 1 && is_half) {
                marks.push((number, Slabs::now()?));
            }
            let server = number % self.subjects.len();
            let mode = (number / self.subjects.len()) % (1 + MODES.len());
            let world = &self.worlds[mode.saturating_sub(1)];
            let saio = mode > 0;
            let how = match saio {
                true => format!("under SAIO, mode {}", MODES[mode - 1].name()),
                false => "without SAIO".to_owned(),
            };
            let label = format!("round {number}, {} {how}", self.subjects[server].name);
            let mut random = Random::new(self.args.seed ^ ((number as u64) << 32));
            let told = round(world, server, saio, &mut random).with_context(|| label.clone())?;
            let left = time.saturating_sub(start.elapsed()).as_secs();
            eprintln!("{}, {label}: {told} ({left} s left)", kind.name());
            self.nothing_left(world).with_context(|| label.clone())?;
            number += 1;
        }
        let told = format!(
            "{number} rounds of {} in {} s, one in {} without SAIO",
            self.args.servers.join(" and "),
            start.elapsed().as_secs(),
            1 + MODES.len()
        );
        if marks.len() < 2 {
            return Ok(format!(
                "{told}; too few to see whether slab caches grow: give --seconds more"
            ));
        }
        marks.push((number, Slabs::now()?));
        let grown: Vec<Vec<(String, u64)>> = (marks.windows(2))
            .map(|marks| {
                let allowed = SLACK.max((marks[1].0 - marks[0].0) as u64 / 10);
                marks[1].1.grown(&marks[0].1, allowed)
            })
            .collect();
        eprintln!("{}: slab caches that have grown: {grown:?}", kind.name());
        let both = saio_leaks::slabs::in_all(&grown);
        ensure!(
            both.is_empty(),
            "slab caches grow on and on: {} (objects in either half: {grown:?})",
            both.join(", ")
        );
        Ok(told)
    }

    /// Servers are gone, and so must be all that they had.
    fn nothing_left(&self, world: &World) -> Result<()> {
        world.tidy()?;
        self.baseline
            .check(PATIENCE)
            .map_err(|left| anyhow!(left))?;
        if let Some(name) = world.pool() {
            let rings = pool::get(name)?.rings;
            ensure!(
                rings == 0,
                "pool {name} has {rings} rings although no server runs"
            );
        }
        Ok(())
    }
}
