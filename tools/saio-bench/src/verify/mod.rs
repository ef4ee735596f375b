// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench verify`: a server under SAIO must answer as it does without.

mod compare;
pub mod cost;
mod exchange;
#[cfg(test)]
pub mod fake;
mod received;
mod rings;
pub mod storm;
pub mod streams;
pub mod subjects;
mod tests;
mod world;

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{anyhow, ensure, Context, Result};
use clap::builder::PossibleValuesParser;
use clap::Args;
use serde_json::{json, Value};
use thiserror::Error;

use crate::ktap::Ktap;
use crate::places::{self, Places};
use crate::server::{group, Mode};
use subjects::{Subject, Way, SUBJECTS};
use tests::Test;
use world::{Pair, World};

/// Stands for every server.
const ALL: &str = "all";

/// Arguments of `saio-bench verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// The server, or all
    #[arg(value_name = "SERVER", value_parser = server_names())]
    server: String,

    /// A way to run it; repeat for several [default: all that it has]
    #[arg(long = "way", value_name = "WAY")]
    ways: Vec<String>,

    /// Who runs the calls
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// Processes or threads that serve, 1 to 64, where a server has such a
    /// setting
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,

    /// Threads of the pool, 1 to 64; for the modes auto and pool, which need
    /// root to make one
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,

    /// Where the random choices start
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Fewer and smaller requests, for kernels with debugging
    #[arg(long)]
    quick: bool,

    /// Answers that the test "volume" compares for each way
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    responses: Option<u64>,

    /// Times that the test "kill" kills the server, with SAIO and without [default: 5, 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// Runs the tests with this in their names only
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Also writes the results as JSON; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    #[command(flatten)]
    places: Places,
}

fn server_names() -> PossibleValuesParser {
    let names = SUBJECTS.iter().map(|subject| subject.name);
    PossibleValuesParser::new(names.chain([ALL]))
}

/// Why a test was not run.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Skip(pub String);

/// Tests of one way to run a server.
struct Plan {
    subject: &'static Subject,
    way: &'static Way,
    tests: Vec<(&'static str, Test)>,
}

impl VerifyArgs {
    /// The defaults, in quick form, for others that need servers.
    fn quick(server: &str, mode: Mode, seed: u64, places: &Places) -> Self {
        Self {
            server: server.to_owned(),
            ways: Vec::new(),
            mode,
            workers: 1,
            threads: 1,
            seed,
            quick: true,
            responses: None,
            rounds: None,
            only: None,
            json: None,
            places: places.clone(),
        }
    }

    /// What is to be run. Servers that are missing are among it.
    fn plans(&self) -> Result<Vec<Plan>> {
        let subjects = SUBJECTS
            .iter()
            .filter(|subject| self.server == ALL || self.server == subject.name);
        let all: Vec<Plan> = subjects
            .flat_map(|subject| subject.ways.iter().map(move |way| (subject, way)))
            .map(|(subject, way)| Plan {
                subject,
                way,
                tests: tests::of(way, self.quick),
            })
            .collect();
        for name in &self.ways {
            let names: Vec<&str> = all.iter().map(|plan| plan.way.name).collect();
            ensure!(
                names.contains(&name.as_str()),
                "--way {name}: there is no such way to run {}; there are {}",
                self.server,
                names.join(", ")
            );
        }
        let mut names = Vec::new();
        let mut plans = Vec::new();
        for mut plan in all {
            if !self.ways.is_empty() && !self.ways.iter().any(|name| name == plan.way.name) {
                continue;
            }
            names.extend(plan.tests.iter().map(|(name, _)| *name));
            if let Some(only) = &self.only {
                plan.tests.retain(|(name, _)| name.contains(only.as_str()));
            }
            if !plan.tests.is_empty() {
                plans.push(plan);
            }
        }
        names.sort_unstable();
        names.dedup();
        ensure!(
            !plans.is_empty(),
            "--only {}: no test has this in its name; there are {}",
            self.only.as_deref().unwrap_or_default(),
            names.join(", ")
        );
        Ok(plans)
    }

    /// Names the servers that are compared: redis, or redis-pool-4x3 for four workers on three threads.
    fn label(&self, subject: &Subject) -> String {
        let name = subject.name;
        match self.mode {
            Mode::Inline if self.workers == 1 => name.to_owned(),
            Mode::Inline => format!("{name}-inline-{}", self.workers),
            Mode::None => format!("{name}-none"),
            mode => format!("{name}-{}-{}x{}", mode.name(), self.workers, self.threads),
        }
    }

    /// Name of a way's tests. The plainest way has none of its own.
    fn prefix(&self, plan: &Plan) -> String {
        let label = self.label(plan.subject);
        if std::ptr::eq(plan.way, &plan.subject.ways[0]) {
            format!("verify.{label}")
        } else {
            format!("verify.{label}.{}", plan.way.name)
        }
    }

    /// How to run a test again.
    fn again(&self, plan: &Plan, test: &str) -> String {
        let mut line = format!(
            "to repeat: saio-bench verify {} --way {} --only {test} --seed {} --mode {} --workers {} --threads {}",
            plan.subject.name,
            plan.way.name,
            self.seed,
            self.mode.name(),
            self.workers,
            self.threads
        );
        if self.quick {
            line += " --quick";
        }
        if let Some(responses) = self.responses {
            line += &format!(" --responses {responses}");
        }
        if let Some(rounds) = self.rounds {
            line += &format!(" --rounds {rounds}");
        }
        line
    }
}

/// Runs the tests. Returns the exit status: 0 if all passed or were skipped, 1 otherwise.
///
/// # Errors
///
/// What all servers need is missing, or the results cannot be written.
pub fn verify(args: &VerifyArgs) -> Result<u8> {
    let plans = args.plans()?;
    group::end_with_us()?;
    let plans: Vec<(Plan, Option<String>)> = plans
        .into_iter()
        .map(|plan| {
            let missing = (plan.subject.missing)().or_else(|| (plan.way.missing)());
            (plan, missing)
        })
        .collect();
    let number = |(plan, missing): &(Plan, Option<String>)| match missing {
        Some(_) => 1,
        None => plan.tests.len(),
    };
    let file = args.json.as_deref().map(places::output).transpose()?;
    let mut ktap = Ktap::start(io::stdout(), plans.iter().map(number).sum())?;
    ktap.comment(&format!("seed {}\n{}", args.seed, compare::NOT_COMPARED))?;
    let world = World::new(args, true)?;
    let mut results = Vec::new();
    for (plan, missing) in &plans {
        match missing {
            Some(reason) => skip(&args.prefix(plan), reason, &mut ktap, &mut results)?,
            None => run(args, &world, plan, &mut ktap, &mut results)?,
        }
    }
    if let Some(file) = file {
        let report = json!({"schema": 1, "seed": args.seed, "quick": args.quick, "tests": results});
        fs::write(&file, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("--json: cannot write {}", file.display()))?;
    }
    Ok(u8::from(ktap.failed() > 0))
}

fn run(
    args: &VerifyArgs,
    world: &World,
    plan: &Plan,
    ktap: &mut Ktap<io::Stdout>,
    results: &mut Vec<Value>,
) -> Result<()> {
    let prefix = args.prefix(plan);
    let pair_name = format!("{}-{}", plan.subject.name, plan.way.name);
    let mut pair = world.pair(plan.way, &pair_name);
    for (test_name, test) in &plan.tests {
        let name = format!("{prefix}.{test_name}");
        let result = match &mut pair {
            Ok(pair) => test(world, pair),
            Err(error) => Err(std::mem::replace(
                error,
                anyhow!("its server did not start: see above"),
            )),
        };
        let problem = match &result {
            Ok(()) => None,
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(Skip(reason)) => {
                    skip(&name, reason, ktap, results)?;
                    continue;
                }
                None => Some(told(args, plan, test_name, error, pair.as_ref().ok())),
            },
        };
        ktap.result(&name, problem.as_deref())?;
        results.push(json!({"name": name, "ok": problem.is_none(), "problem": problem}));
    }
    Ok(())
}

fn skip(
    name: &str,
    reason: &str,
    ktap: &mut Ktap<io::Stdout>,
    results: &mut Vec<Value>,
) -> Result<()> {
    ktap.skip(name, reason)?;
    results.push(json!({"name": name, "ok": true, "skipped": reason}));
    Ok(())
}

/// What went wrong, how to see it again, and what the server under SAIO has logged.
fn told(
    args: &VerifyArgs,
    plan: &Plan,
    test: &str,
    error: &anyhow::Error,
    pair: Option<&Pair>,
) -> String {
    let again = args.again(plan, test);
    let logs = pair.map(|pair| pair.saio.server.logs()).unwrap_or_default();
    format!("{error:#}\n{again}\n{logs}").trim_end().to_owned()
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: VerifyArgs,
    }

    fn args(line: &str) -> VerifyArgs {
        let words = ["verify"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).unwrap().args
    }

    fn names(line: &str) -> Vec<String> {
        let args = args(line);
        let plans = args.plans().unwrap();
        let names = plans.iter().flat_map(|plan| {
            let prefix = args.prefix(plan);
            plan.tests
                .iter()
                .map(move |test| format!("{prefix}.{}", test.0))
        });
        names.collect()
    }

    #[test]
    fn tests_are_named_by_server_mode_and_way() {
        let one = |line: &str| names(line)[0].clone();
        assert_eq!(one("nginx"), "verify.nginx.1b");
        assert_eq!(one("nginx --way tls-1.2"), "verify.nginx.tls-1.2.1b");
        assert_eq!(
            one("redis --mode pool --workers 4 --threads 3 --way tls"),
            "verify.redis-pool-4x3.tls.1b"
        );
        assert_eq!(one("echo --mode none"), "verify.echo-none.1b");
        assert_eq!(
            names("redis --only digest --way plain"),
            ["verify.redis.digest"]
        );
    }

    #[test]
    fn names_are_unique() {
        let mut all = names("all");
        let number = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), number);
    }

    #[test]
    fn what_there_is_not_is_told_with_what_there_is() {
        let error = |line: &str| args(line).plans().err().unwrap().to_string();
        assert!(error("redis --way http2").contains("plain, tls, io-threads"));
        assert!(error("nginx --only no-such-test").contains("range-multi"));
    }

    #[test]
    fn failures_say_how_to_repeat_them() {
        let args = args("nginx --seed 7 --quick --only 1k --way http");
        let again = args.again(&args.plans().unwrap()[0], "1k");
        for word in ["--seed 7", "--quick", "--way http", "--only 1k"] {
            assert!(again.contains(word), "{again}");
        }
    }
}
