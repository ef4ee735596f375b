// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measuring in virtual time, and `saio-bench vtime`, which does it with any command.
//!
//! How much time passed is known only outside of this machine. A run is written without samples, but with the numbers
//! of the marks around each; `./x bench --virtual-time` puts the samples there.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hint::black_box;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{ensure, Context, Result};
use bench_report::results::{timestamp, Better, Instrument, InstrumentKind, Results, Run, SCHEMA};
use clap::Args;
use serde_json::{json, Value};

use crate::mark::mark;
use crate::{machine, places};

/// Says what time is on this machine; `./x` sets it.
pub const INSTRUMENT: &str = "SAIO_INSTRUMENT";
/// Iterations of the calibration's loop.
const ITERATIONS: u64 = 10_000_000;
/// System calls of the calibration.
const CALLS: u64 = 20_000;

/// Arguments of `saio-bench vtime`.
#[derive(Args)]
pub struct VtimeArgs {
    /// The results file to write; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE", default_value = "vtime.json")]
    out: PathBuf,

    /// What it is called in the results [default: the command]
    #[arg(long, value_name = "TEXT", conflicts_with = "calibrate")]
    name: Option<String>,

    /// Requests that the command makes: what its time is divided by
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "calibrate",
        value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,

    /// Samples of each value
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    repeats: u8,

    /// Measure a plain loop and one that calls the kernel, to check the instrument
    #[arg(long, conflicts_with = "command")]
    calibrate: bool,

    /// The command
    #[arg(
        last = true,
        value_name = "COMMAND",
        required_unless_present = "calibrate"
    )]
    command: Vec<String>,
}

/// What was done between two marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    begin: u8,
    end: u8,
    requests: u64,
    /// Processors that nobody but the server used, and its pool
    server: Vec<usize>,
}

/// Numbers of marks, each given once.
#[derive(Debug, Default)]
pub struct Marks {
    next: u16,
}

impl Marks {
    /// Does something that consists of so many requests between two marks.
    ///
    /// # Errors
    ///
    /// What was done failed, or there are no numbers left: there are enough for 128 intervals.
    pub fn around(&mut self, requests: u64, run: impl FnOnce() -> Result<()>) -> Result<Interval> {
        self.between(|mark| {
            mark();
            let result = run();
            mark();
            result.map(|()| requests)
        })
    }

    /// Does something that calls what it is given twice, and tells how many requests were in between.
    ///
    /// # Errors
    ///
    /// As [`Marks::around`].
    pub fn between(
        &mut self,
        run: impl FnOnce(&mut dyn FnMut()) -> Result<u64>,
    ) -> Result<Interval> {
        let number = |number| u8::try_from(number).context("more than 128 samples in one boot");
        let (begin, end) = (number(self.next)?, number(self.next + 1)?);
        self.next += 2;
        let mut next = Some(begin);
        let requests = run(&mut || {
            if let Some(number) = next {
                mark(number);
            }
            next = (next == Some(begin)).then_some(end);
        })?;
        Ok(Interval {
            begin,
            end,
            requests,
            server: Vec::new(),
        })
    }
}

/// Writes results whose samples lie between marks: a run has none, but its intervals, if it has any. Who reads the file
/// meanwhile sees the whole of it as it was.
///
/// # Errors
///
/// The file cannot be written.
pub fn save(file: &Path, results: &Results, intervals: &[Vec<Interval>]) -> Result<()> {
    let mut value = serde_json::to_value(results).context("results")?;
    let runs = value["runs"].as_array_mut().into_iter().flatten();
    for (run, intervals) in runs.zip(intervals) {
        if !intervals.is_empty() {
            run["marks"] = intervals
                .iter()
                .map(|interval| interval.to_json())
                .collect();
        }
    }
    let part = file.with_extension("part");
    fs::write(&part, format!("{value:#}\n"))
        .and_then(|()| fs::rename(&part, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

impl Interval {
    /// The same, with the processors that nobody but the server used, and its pool.
    pub fn with_server(self, server: Vec<usize>) -> Self {
        Self { server, ..self }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({"begin": self.begin, "end": self.end, "requests": self.requests});
        if !self.server.is_empty() {
            value["server"] = json!(self.server);
        }
        value
    }
}

/// Runs `saio-bench vtime`.
///
/// # Errors
///
/// The machine is not in virtual time, the command fails, or the results cannot be written.
pub fn vtime(args: &VtimeArgs) -> Result<()> {
    ensure!(
        env::var_os(INSTRUMENT).is_some_and(|value| value == InstrumentKind::VirtualTime.name()),
        "{INSTRUMENT} is not virtual-time; start the machine by ./x bench --virtual-time -- vtime ..."
    );
    let mut marks = Marks::default();
    let mut sample = |requests, run: &dyn Fn() -> Result<()>| -> Result<Vec<Interval>> {
        (0..args.repeats)
            .map(|_| marks.around(requests, run))
            .collect()
    };
    let file = places::output(&args.out)?;
    let measured = if args.calibrate {
        vec![
            ("loop".to_owned(), sample(ITERATIONS, &plain_loop)?),
            ("getppid".to_owned(), sample(CALLS, &calls)?),
        ]
    } else {
        let name = args.name.clone().unwrap_or_else(|| args.command.join(" "));
        let run = || run_command(&args.command);
        vec![(name, sample(args.requests, &run)?)]
    };
    let (names, intervals): (Vec<String>, Vec<Vec<Interval>>) = measured.into_iter().unzip();
    save(&file, &results(names), &intervals)
}

fn plain_loop() -> Result<()> {
    for iteration in 0..ITERATIONS {
        black_box(iteration);
    }
    Ok(())
}

fn calls() -> Result<()> {
    for _ in 0..CALLS {
        black_box(parent_id());
    }
    Ok(())
}

fn run_command(command: &[String]) -> Result<()> {
    let (program, args) = command.split_first().context("no command")?;
    let status = Command::new(program)
        .args(args)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

fn results(names: Vec<String>) -> Results {
    let run = |workload| Run {
        figure: None,
        workload,
        parameters: BTreeMap::new(),
        variant: "default".to_owned(),
        baseline: None,
        metric: "time".to_owned(),
        unit: "instructions/request".to_owned(),
        better: Better::Lower,
        samples: Vec::new(),
    };
    Results {
        schema: SCHEMA,
        title: "Commands in virtual time".to_owned(),
        created: timestamp(SystemTime::now()),
        instrument: Instrument {
            kind: InstrumentKind::VirtualTime,
            detail: "not known inside of the machine".to_owned(),
        },
        machine: machine::machine("tcg"),
        kernel: machine::kernel("unknown"),
        command: env::args().collect::<Vec<_>>().join(" "),
        notes: Vec::new(),
        runs: names.into_iter().map(run).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_has_its_own_number_until_there_are_none() {
        let mut marks = Marks::default();
        for index in 0..128 {
            let interval = marks.around(7, || Ok(())).unwrap();
            let wanted = Interval {
                begin: 2 * index,
                end: 2 * index + 1,
                requests: 7,
                server: Vec::new(),
            };
            assert_eq!(interval, wanted);
        }
        assert!(marks.around(7, || Ok(())).is_err());
    }

    #[test]
    fn a_failure_is_no_sample() {
        let mut marks = Marks::default();
        assert!(marks.around(1, || anyhow::bail!("no")).is_err());
        assert_eq!(marks.around(1, || Ok(())).unwrap().begin, 2);
    }

    #[test]
    fn runs_are_written_with_their_marks() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.json");
        let mut marks = Marks::default();
        let mut interval = |server| marks.around(5, || Ok(())).unwrap().with_server(server);
        let intervals = vec![vec![interval(vec![]), interval(vec![0, 2])]];
        save(&file, &results(vec!["w".to_owned()]), &intervals).unwrap();
        let value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let run = &value["runs"][0];
        let marks = json!([
            {"begin": 0, "end": 1, "requests": 5},
            {"begin": 2, "end": 3, "requests": 5, "server": [0, 2]},
        ]);
        assert_eq!(run["marks"], marks);
        assert_eq!(run["samples"], json!([]));
        // Without the samples nobody takes them for results.
        assert!(Results::load(&file).is_err());
    }

    #[test]
    fn commands_are_judged() {
        let run = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            run_command(&words)
        };
        assert!(run(&["true"]).is_ok());
        assert!(run(&["false"]).unwrap_err().to_string().contains("false"));
        assert!(run(&["/no/such/program"]).is_err());
    }
}
