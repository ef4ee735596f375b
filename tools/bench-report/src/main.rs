// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmark results in; figures, a page, or a verdict out.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{ensure, Context, Result};
use bench_report::compare::{self, compare, Row};
use bench_report::generate::{generate, Options};
use bench_report::goals::{self, Status};
use bench_report::group::Collection;
use bench_report::guard::{self, Reference, Row as GuardRow, Thresholds};
use bench_report::units;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  - Draw a page from a directory of results:
      bench-report generate results/ -o report
  - Check that results reach their goals:
      bench-report check results/ --goals goals.toml
  - Find what became more than 5 % worse:
      bench-report compare old/ new/ --threshold 5%
  - Keep results as a reference, and later find what was lost:
      bench-report guard results/ --reference reference.json --accept
      bench-report guard results/ --reference reference.json

Exit status: 0 all is well, 1 a goal was missed or something became worse,
2 wrong usage or input that cannot be used.";

/// Turns benchmark results into figures, a page, and a verdict on goals
#[derive(Parser)]
#[command(version, help_expected = true, max_term_width = 80, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Draw figures and write a page that explains them
    ///
    /// Writes DIR/index.html, an SVG and a PNG for each workload and metric
    /// into DIR/figures, and copies of the results into DIR/data. The path of
    /// the page is printed.
    Generate(Generate),
    /// Compare results with goals
    ///
    /// Prints a table of the goals and fails if one is missed or needs
    /// something that was not measured. A goals file is TOML, for example:
    ///
    ///   [[goal]]
    ///   name = "server CPU at 64 connections"
    ///   figure = "demo"                   # of demo.json; left out: of all files
    ///   workload = "nginx-1k"
    ///   metric = "server_cpu"
    ///   variant = "inline"
    ///   against = "best-baseline"         # or a variant, or a list of them
    ///   parameters = { connections = 64 } # left out: all, the worst counts
    ///   at_least = 1.08                   # times better than against
    ///
    /// Instead of at_least and against, at_most or at_least_value limits the
    /// median itself, in the metric's unit. instrument = "icount" limits a goal
    /// to one instrument. than = { workers = 1 } instead of against compares
    /// the variant with itself at those parameters.
    #[command(verbatim_doc_comment)]
    Check(Check),
    /// Name what became worse between two sets of results
    ///
    /// Fails if a median became worse by more than the threshold, or if
    /// something is no longer measured.
    Compare(Compare),
    /// Find what was lost against a reference
    ///
    /// Fails if processor time of a request or call became more than the
    /// threshold larger, or if something is not in both. Where versions given
    /// by --made-with are not those of the reference, values are compared by
    /// their relation to the best baseline that was measured beside them, and
    /// --threshold-others counts.
    Guard(Guard),
}

#[derive(Args)]
struct Generate {
    /// Results files, or directories of *.json
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// Directory to write to; made if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Title of the page [default: the titles of the results]
    #[arg(long)]
    title: Option<String>,
    /// How many times larger than 960x540 the PNG files are (1 to 8)
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=8))]
    png_scale: u32,
    /// TrueType font for the figures [default: DejaVu Sans, where
    /// distributions install it]
    #[arg(long, value_name = "FILE")]
    font: Option<PathBuf>,
    /// Print the paths of page and figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Check {
    /// Results files, or directories of *.json
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The goals
    #[arg(long, value_name = "FILE")]
    goals: PathBuf,
    /// A figure that could not be measured, and why: its goals have no data,
    /// whatever the results have of it; repeat for several
    #[arg(long, value_name = "FIGURE=REASON", value_parser = pair)]
    left_out: Vec<(String, String)>,
    /// Print the goals and what became of them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Compare {
    /// Results file, or directory of *.json, to compare with
    old: PathBuf,
    /// Results file, or directory of *.json, to judge
    new: PathBuf,
    /// Change that is not worth a word: 2% or 0.02
    #[arg(long, value_name = "PART", default_value = "2%", value_parser = threshold)]
    threshold: f64,
    /// Print every run with both values as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Guard {
    /// Results files, or directories of *.json
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The reference
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// Something that the results depend on; repeat for several
    #[arg(long, value_name = "NAME=VERSION", value_parser = pair)]
    made_with: Vec<(String, String)>,
    /// Loss that is not worth a word: 2% or 0.02
    #[arg(long, value_name = "PART", default_value = "2%", value_parser = threshold)]
    threshold: f64,
    /// The same where versions differ
    #[arg(long, value_name = "PART", default_value = "5%", value_parser = threshold)]
    threshold_others: f64,
    /// Write the results to the reference instead
    #[arg(long, conflicts_with = "json")]
    accept: bool,
    /// Print every value with its reference as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Generate(arguments) => arguments.run(),
        Command::Check(arguments) => arguments.run(),
        Command::Compare(arguments) => arguments.run(),
        Command::Guard(arguments) => arguments.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::from(2)
        }
    }
}

impl Generate {
    fn run(self) -> Result<bool> {
        let options = Options {
            results: self.results,
            output: self.output,
            title: self.title,
            png_scale: self.png_scale,
            font: self.font,
        };
        let report = generate(&options, |line| eprintln!("{line}"))?;
        if self.json {
            print_json(&report)?;
        } else {
            print(&report.report.display().to_string())?;
        }
        Ok(true)
    }
}

impl Check {
    fn run(self) -> Result<bool> {
        let goals = goals::load(&self.goals)?;
        let outcomes = goals::check(&goals, &Collection::load(&self.results)?, &self.left_out);
        if self.json {
            print_json(&outcomes)?;
        } else {
            print(&goals::table(&outcomes))?;
        }
        let missed = outcomes.iter().filter(|o| o.status != Status::Ok).count();
        if missed > 0 {
            let no_data = outcomes.iter().filter(|o| o.status == Status::NoData);
            eprintln!(
                "{missed} of {} goals not reached, {} of them for want of data",
                outcomes.len(),
                no_data.count()
            );
        }
        Ok(missed == 0)
    }
}

impl Compare {
    fn run(self) -> Result<bool> {
        let (old_path, new_path) = (self.old.display().to_string(), self.new);
        let old = Collection::load(&[self.old])?;
        let new = Collection::load(std::slice::from_ref(&new_path))?;
        let rows = compare(&old, &new, self.threshold);
        ensure!(
            rows.iter().any(|row| row.new.is_some()),
            "{old_path} and {} have no run in common: compare results of the same workloads, \
             measured with the same instrument",
            new_path.display()
        );
        let worse: Vec<&Row> = rows.iter().filter(|row| row.is_regression()).collect();
        if self.json {
            print_json(&rows)?;
        } else if worse.is_empty() {
            print(&format!(
                "none of {} runs became worse by more than {}",
                rows.len(),
                units::percent(self.threshold)
            ))?;
        } else {
            print(&compare::table(worse.iter().copied()))?;
        }
        Ok(worse.is_empty())
    }
}

/// A name and what is said of it: `nginx=1.22.1`.
fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, said)) if !name.is_empty() => Ok((name.to_owned(), said.to_owned())),
        _ => Err("give two words with = between them, such as nginx=1.22.1".to_owned()),
    }
}

impl Guard {
    fn run(self) -> Result<bool> {
        let made_with = self.made_with.into_iter().collect();
        let seen = Reference::of(&Collection::load(&self.results)?, made_with);
        ensure!(
            !seen.values.is_empty(),
            "the results have no processor time, so there is nothing to guard"
        );
        if self.accept {
            seen.save(&self.reference)?;
            let values = seen.values.len();
            print(&format!("{}: {values} values", self.reference.display()))?;
            return Ok(true);
        }
        let thresholds = Thresholds {
            same: self.threshold,
            others: self.threshold_others,
        };
        let report = Reference::load(&self.reference)?.judge(&seen, thresholds);
        if self.json {
            print_json(&report)?;
        } else {
            for difference in &report.differences {
                print(difference)?;
            }
            print(&guard::table(&report.rows))?;
        }
        Ok(!report.rows.iter().any(GuardRow::is_failure))
    }
}

/// A part of one: `2%` or `0.02`.
fn threshold(text: &str) -> std::result::Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..unit).contains(&value) => Ok(value / unit),
        _ => Err("give a part of one, such as 2% or 0.02".to_owned()),
    }
}

fn print(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write to standard output")
}

fn print_json(value: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_said_may_have_any_sign() {
        let expected = ("pool".to_owned(), "a=b".to_owned());
        assert_eq!(pair("pool=a=b"), Ok(expected));
        assert!(pair("pool").is_err());
        assert!(pair("=x").is_err());
    }

    #[test]
    fn thresholds() {
        assert_eq!(threshold("2%"), Ok(0.02));
        assert_eq!(threshold("0.05"), Ok(0.05));
        assert!(threshold("-1%").is_err());
        assert!(threshold("2").is_err());
        assert!(threshold("much").is_err());
    }
}
