// SPDX-License-Identifier: MIT OR Apache-2.0

//! `./x suites`: the servers' own tests, from the distribution's source
//! packages, with and without SAIO.

mod compare;
mod output;
mod report;
mod servers;
mod source;

use std::collections::BTreeMap;
use std::fs::{self, File as LogFile};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;

use self::output::{File, Reader};
use self::report::Report;
use self::servers::Suite;
use crate::boot::{self, Guest, MachineArgs};
use crate::exec;
use crate::lines::Lines;
use crate::paths::{self, Context};
use crate::progress::elapsed;
use crate::tools;

/// What runs the tests in the guest.
const SCRIPT: &str = "tools/xtask/src/suites/guest.sh";

/// How often a file with a difference is run again.
const AGAIN: usize = 3;

/// Seconds for all files of a suite, one after the other.
const TIME_LIMIT: u64 = 6 * 3600;

/// Options of the servers' own tests.
#[derive(Debug, Clone, Args)]
pub struct SuitesArgs {
    /// Which server's tests [default: all]
    #[arg(value_enum, value_name = "NAME")]
    name: Option<servers::Name>,

    /// Who runs the calls in the run with SAIO
    #[arg(long, value_enum, default_value_t = Mode::Inline)]
    mode: Mode,

    /// Only the files of tests that take little time
    #[arg(long)]
    quick: bool,

    /// Only files of tests with this in their names
    #[arg(long, value_name = "PART")]
    only: Option<String>,

    /// Write all results to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Modes of `saioctl run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The server itself, in batches.
    Inline,
    /// The threads of a pool.
    Pool,
    /// The pool where that pays, otherwise the server.
    Auto,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Inline => "inline",
            Mode::Pool => "pool",
            Mode::Auto => "auto",
        }
    }
}

/// Runs the suites without and with SAIO; returns the exit status: 1 if a test
/// fails with SAIO only, or a guest does not end well.
///
/// # Errors
///
/// A source cannot be had, something does not build, or QEMU cannot be run.
pub fn run(ctx: &Context, args: &SuitesArgs) -> Result<i32> {
    tools::build(ctx)?;
    let mut reports = Vec::new();
    for suite in servers::chosen(args.name) {
        let tree = suite.tree(ctx)?;
        let files = if ctx.dry_run {
            vec!["FILE...".to_string()]
        } else {
            suite.files(&tree, args.quick, args.only.as_deref())?
        };
        reports.push(measure(ctx, args, suite, &tree, &files)?);
    }
    if ctx.dry_run {
        return Ok(0);
    }
    if let Some(path) = &args.json {
        paths::write(path, serde_json::to_string_pretty(&reports)? + "\n")?;
    }
    print!("{}", report::table(&reports));
    for report in &reports {
        print!("{}", report.details());
    }
    Ok(i32::from(reports.iter().any(Report::failed)))
}

/// Runs files without and with SAIO, and those with differences again.
fn measure(
    ctx: &Context,
    args: &SuitesArgs,
    suite: &Suite,
    tree: &Path,
    files: &[String],
) -> Result<Report> {
    let mode = args.mode.name();
    let both = |files: &[String]| -> Result<(Run, Run)> {
        Ok((
            boot(ctx, suite, tree, "without", files)?,
            boot(ctx, suite, tree, mode, files)?,
        ))
    };
    let (without, with) = both(files)?;
    let mut report = Report {
        suite: suite.name,
        mode,
        suspects: compare::suspects(&without.files, &with.files),
        died: without.status != 0 || with.status != 0,
        queued: with.queued,
        seconds: [without.seconds, with.seconds],
        without: without.files,
        with: with.files,
    };
    for round in 1..=AGAIN {
        let files = compare::unsettled(&report.suspects);
        if files.is_empty() {
            break;
        }
        exec::step(&format!(
            "{}: {} again, {round} of {AGAIN}",
            suite.name,
            files.join(" ")
        ));
        let (without, with) = both(&files)?;
        compare::again(&mut report.suspects, &without.files, &with.files);
    }
    Ok(report)
}

/// Results of one guest.
#[derive(Debug)]
struct Run {
    files: Vec<File>,
    /// What [`boot::judge`] says.
    status: i32,
    seconds: u64,
    queued: BTreeMap<String, u64>,
}

fn boot(ctx: &Context, suite: &Suite, tree: &Path, mode: &str, files: &[String]) -> Result<Run> {
    let machine = MachineArgs {
        memory: "4G".to_string(),
        time_limit: Some(TIME_LIMIT),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &machine, "suites")?;
    let label = match mode {
        "without" => format!("{} without SAIO", suite.name),
        mode => format!("{} with SAIO ({mode})", suite.name),
    };
    exec::step(&format!("{label}: booting Linux {}", guest.release()));
    let mut argv: Vec<String> = ["sh", SCRIPT].map(str::to_string).to_vec();
    argv.extend([
        tree.display().to_string(),
        suite.limit.to_string(),
        mode.to_string(),
        suite.command.to_string(),
    ]);
    argv.extend_from_slice(files);

    let path = ctx.log(&format!("suites-{}-{mode}", suite.name));
    let mut log = Log::create(ctx, &path)?;
    let mut lines = Lines::default();
    let mut reader = Reader::new(suite.syntax, suite.limit);
    let mut done: Vec<File> = Vec::new();
    let started = Instant::now();
    let outcome = guest.run(ctx, &argv, &mut |bytes| {
        log.write(bytes);
        lines.take(bytes, |line| {
            if let Some(file) = reader.line(line) {
                done.push(file);
                progress(&label, &done, files.len(), started);
            }
        });
    })?;
    done.extend(reader.end());
    let status = outcome.as_ref().map_or(0, boot::judge);
    if status != 0 {
        eprintln!("x: the output of the tests: {}", path.display());
    }
    Ok(Run {
        files: compare::complete(files, done),
        status,
        seconds: started.elapsed().as_secs(),
        queued: queued(&guest.out_dir().join("suite-stats.json")),
    })
}

/// Says how the last file ended, and how long the others will take.
fn progress(label: &str, done: &[File], all: usize, started: Instant) {
    let Some(file) = done.last() else {
        return;
    };
    let left = started.elapsed() * (all - done.len()) as u32 / done.len() as u32;
    let broken = match &file.broken {
        Some(why) => format!(", {why}"),
        None => String::new(),
    };
    eprintln!(
        "{label}: {}/{all} {}: {} of {} tests pass{broken} (about {} left)",
        done.len(),
        file.name,
        file.passed(),
        file.tests.len(),
        elapsed(left)
    );
}

/// The suites' output as it comes.
struct Log(Option<LogFile>);

impl Log {
    fn create(ctx: &Context, path: &Path) -> Result<Log> {
        if ctx.dry_run {
            return Ok(Log(None));
        }
        paths::write(path, "")?;
        LogFile::create(path)
            .map(|file| Log(Some(file)))
            .with_context(|| format!("cannot write the log {}", path.display()))
    }

    fn write(&mut self, bytes: &[u8]) {
        // A full disk must not end the tests: the results are read as they come.
        let _ = self.0.as_mut().map(|file| file.write_all(bytes));
    }
}

/// Calls that the library queued, by name, of all processes that ended by themselves.
fn queued(path: &Path) -> BTreeMap<String, u64> {
    sum(&fs::read_to_string(path).unwrap_or_default())
}

fn sum(lines: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines.lines() {
        let Ok(counters) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        for (call, count) in counters["deferred"].as_object().into_iter().flatten() {
            if let Some(count) = count.as_u64().filter(|count| *count > 0) {
                *sums.entry(call.clone()).or_default() += count;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_all_processes_are_added() {
        let lines = "{\"deferred\":{\"write\":2,\"send\":0}}\nno\n{\"deferred\":{\"write\":3}}\n";
        assert_eq!(sum(lines), BTreeMap::from([("write".to_string(), 5)]));
    }
}
