// SPDX-License-Identifier: MIT OR Apache-2.0
//! Goals: what results were promised to show, and whether they do.
//!
//! A goals file is TOML:
//!
//! ```toml
//! [[goal]]
//! name = "server CPU at 64 connections"
//! workload = "nginx-1k"
//! metric = "server_cpu"
//! variant = "inline"
//! against = "best-baseline"
//! parameters = { connections = 64 }
//! at_least = 1.08
//! ```
//!
//! A goal holds for every measured combination of parameters that it does not
//! fix, and is judged by the worst of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::group::{Collection, Sheet};
use crate::results::InstrumentKind;
use crate::stats::ratio;
use crate::table;
use crate::units;

/// In `against`: the better of the variants that are marked as baselines.
pub const BEST_BASELINE: &str = "best-baseline";

/// A goals file cannot be used.
#[derive(Debug, Error)]
pub enum GoalsError {
    /// It cannot be read.
    #[error("cannot read {} (--goals)", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not TOML of the right shape.
    #[error("{} is not a goals file (--goals)", .file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A goal makes no sense.
    #[error("{}: goal {name:?}: {problem} (--goals)", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The goal.
        name: String,
        /// What is wrong, and the fix.
        problem: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    goal: Vec<Entry>,
}

/// A goal as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    workload: String,
    metric: String,
    variant: String,
    #[serde(default, deserialize_with = "one_or_many")]
    against: Vec<String>,
    #[serde(default)]
    parameters: std::collections::BTreeMap<String, f64>,
    instrument: Option<InstrumentKind>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    at_least_value: Option<f64>,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    })
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
enum Limit {
    /// At least so many times better than each of the variants named.
    Ratio(f64, Vec<String>),
    /// A median of at most so much, in the metric's unit.
    AtMost(f64),
    /// A median of at least so much, in the metric's unit.
    AtLeast(f64),
}

/// One goal.
pub struct Goal {
    entry: Entry,
    limit: Limit,
}

/// How a goal was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Reached.
    Ok,
    /// Not reached.
    Short,
    /// Something that the goal needs was not measured.
    NoData,
}

/// What became of a goal.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The goal's name.
    pub name: String,
    /// The verdict.
    pub status: Status,
    /// The worst value seen: a ratio, or a median in the metric's unit.
    pub seen: Option<f64>,
    /// The value wanted, of the same kind.
    pub wanted: f64,
    /// `seen` in words, or what is missing.
    pub found: String,
    /// `wanted` in words.
    pub limit: String,
    /// The parameters at which `seen` was seen.
    pub at: String,
}

/// Reads the goals in `file`.
///
/// # Errors
///
/// [`GoalsError`]; it names the file, and the goal that is wrong.
pub fn load(file: &Path) -> Result<Vec<Goal>, GoalsError> {
    let text = fs::read_to_string(file).map_err(|source| GoalsError::Read {
        file: file.to_owned(),
        source,
    })?;
    parse(file, &text)
}

fn parse(file: &Path, text: &str) -> Result<Vec<Goal>, GoalsError> {
    let File { goal: entries } = toml::from_str(text).map_err(|source| GoalsError::Parse {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    entries
        .into_iter()
        .map(|mut entry| match entry.take_limit() {
            Ok(limit) => Ok(Goal { entry, limit }),
            Err(problem) => Err(GoalsError::Invalid {
                file: file.to_owned(),
                name: entry.name,
                problem,
            }),
        })
        .collect()
}

impl Entry {
    fn take_limit(&mut self) -> Result<Limit, &'static str> {
        let mut against = std::mem::take(&mut self.against);
        match (self.at_least, self.at_most, self.at_least_value) {
            (Some(times), None, None) => {
                if against.is_empty() {
                    against.push(BEST_BASELINE.to_owned());
                }
                Ok(Limit::Ratio(times, against))
            }
            _ if !against.is_empty() => Err("against needs at_least, and nothing else, beside it"),
            (None, Some(value), None) => Ok(Limit::AtMost(value)),
            (None, None, Some(value)) => Ok(Limit::AtLeast(value)),
            _ => Err("give exactly one of at_least, at_most and at_least_value"),
        }
    }
}

/// Judges every goal by what `collection` holds.
pub fn check(goals: &[Goal], collection: &Collection) -> Vec<Outcome> {
    goals.iter().map(|goal| goal.check(collection)).collect()
}

impl Goal {
    fn check(&self, collection: &Collection) -> Outcome {
        let mut worst: Option<(f64, &Sheet, f64)> = None;
        for sheet in &collection.sheets {
            let kind = collection.settings[sheet.setting].instrument.kind;
            if !self.concerns(sheet, kind) {
                continue;
            }
            for &x in sheet.xs.iter().filter(|x| self.covers(sheet, **x)) {
                match self.measure(sheet, x) {
                    Ok(seen) => {
                        if worst.is_none_or(|(so_far, ..)| self.is_worse(seen, so_far)) {
                            worst = Some((seen, sheet, x));
                        }
                    }
                    Err(missing) => {
                        let at = table::parameters(&sheet.parameters(x));
                        return self.outcome(Status::NoData, None, missing, at);
                    }
                }
            }
        }
        let Some((seen, sheet, x)) = worst else {
            let entry = &self.entry;
            let what = format!(
                "no {} of {}, {}",
                entry.metric, entry.workload, entry.variant
            );
            let at = table::parameters(&entry.parameters);
            return self.outcome(Status::NoData, None, what, at);
        };
        let (reached, found) = match self.limit {
            Limit::Ratio(wanted, _) => (seen >= wanted, units::times(seen)),
            Limit::AtMost(wanted) => (seen <= wanted, in_unit(seen, sheet)),
            Limit::AtLeast(wanted) => (seen >= wanted, in_unit(seen, sheet)),
        };
        let status = if reached { Status::Ok } else { Status::Short };
        let at = table::parameters(&sheet.parameters(x));
        self.outcome(status, Some(seen), found, at)
    }

    /// Whether the goal is about `sheet`, measured with an instrument of `kind`.
    fn concerns(&self, sheet: &Sheet, kind: InstrumentKind) -> bool {
        let entry = &self.entry;
        sheet.workload == entry.workload
            && sheet.metric == entry.metric
            && entry.instrument.is_none_or(|wanted| wanted == kind)
            && sheet.series.iter().any(|s| s.variant == entry.variant)
    }

    /// Whether the position `x` has the parameters of the goal.
    fn covers(&self, sheet: &Sheet, x: f64) -> bool {
        let found = sheet.parameters(x);
        self.entry
            .parameters
            .iter()
            .all(|(name, value)| found.get(name) == Some(value))
    }

    /// What the goal looks at, at the position `x`; what is missing otherwise.
    fn measure(&self, sheet: &Sheet, x: f64) -> Result<f64, String> {
        let median = |variant: &str| {
            sheet
                .at(variant, x)
                .map(|summary| summary.median)
                .ok_or_else(|| format!("{variant} was not measured"))
        };
        let value = median(&self.entry.variant)?;
        let Limit::Ratio(_, against) = &self.limit else {
            return Ok(value);
        };
        let mut worst = f64::INFINITY;
        for name in against {
            let base = if name == BEST_BASELINE {
                sheet
                    .best_baseline(x)
                    .map(|(_, summary)| summary.median)
                    .ok_or("no baseline was measured")?
            } else {
                median(name)?
            };
            worst = worst.min(ratio(sheet.better, value, base));
        }
        Ok(worst)
    }

    fn is_worse(&self, value: f64, than: f64) -> bool {
        match self.limit {
            Limit::AtMost(_) => value > than,
            Limit::Ratio(..) | Limit::AtLeast(_) => value < than,
        }
    }

    fn outcome(&self, status: Status, seen: Option<f64>, found: String, at: String) -> Outcome {
        let (wanted, limit) = match &self.limit {
            Limit::Ratio(wanted, against) => (
                *wanted,
                format!("≥ {} {}", units::times(*wanted), against.join(", ")),
            ),
            Limit::AtMost(wanted) => (*wanted, format!("≤ {}", units::quantity(*wanted))),
            Limit::AtLeast(wanted) => (*wanted, format!("≥ {}", units::quantity(*wanted))),
        };
        Outcome {
            name: self.entry.name.clone(),
            status,
            seen,
            wanted,
            found,
            limit,
            at,
        }
    }
}

fn in_unit(value: f64, sheet: &Sheet) -> String {
    format!("{} {}", units::quantity(value), sheet.unit)
}

/// A table of `outcomes` for the terminal.
pub fn table(outcomes: &[Outcome]) -> String {
    table::plain(
        &["goal", "seen", "wanted", "at", "result"],
        outcomes.iter().map(|outcome| {
            let status = match outcome.status {
                Status::Ok => "ok",
                Status::Short => "short",
                Status::NoData => "no data",
            };
            vec![
                outcome.name.clone(),
                outcome.found.clone(),
                outcome.limit.clone(),
                outcome.at.clone(),
                status.to_owned(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Source;
    use crate::results::Results;

    const SAMPLE: &str = include_str!("../tests/data/sample.json");

    const HEAD: &str = "[[goal]]\nname = \"n\"\nworkload = \"nginx-1k\"\nvariant = \"inline\"\n";

    fn sample() -> Collection {
        let file = PathBuf::from("sample.json");
        let results = Results::parse(&file, SAMPLE).unwrap();
        Collection::of(vec![Source { file, results }])
    }

    fn judge(rest: &str) -> Outcome {
        let goals = parse(Path::new("goals.toml"), &format!("{HEAD}{rest}")).unwrap();
        check(&goals, &sample()).remove(0)
    }

    fn refuse(rest: &str) -> String {
        match parse(Path::new("goals.toml"), &format!("{HEAD}{rest}")) {
            Ok(_) => panic!("accepted: {rest}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_ratio_takes_the_better_baseline() {
        let cpu = "metric = \"server_cpu\"\nparameters = { connections = 64 }\n";
        let outcome = judge(&format!("{cpu}at_least = 1.08"));
        assert_eq!(outcome.status, Status::Ok);
        assert!((outcome.seen.unwrap() - 44_600.0 / 40_100.0).abs() < 1e-9);
        assert_eq!(outcome.at, "connections = 64");
        let outcome = judge(&format!("{cpu}against = \"default\"\nat_least = 1.2"));
        assert_eq!(outcome.status, Status::Short);
        assert_eq!(outcome.found, "1.195×");
    }

    #[test]
    fn several_opponents_mean_the_best_of_them() {
        let outcome = judge(
            "metric = \"server_cpu\"\nparameters = { connections = 64 }\n\
             against = [\"default\", \"nopush\"]\nat_least = 1",
        );
        assert_eq!(outcome.found, "1.112×");
    }

    #[test]
    fn parameters_left_out_mean_all_of_them() {
        let outcome = judge("metric = \"throughput\"\nat_least = 0.99");
        assert_eq!(outcome.status, Status::Ok);
        assert_eq!(outcome.at, "connections = 1");
        let outcome = judge("metric = \"crossings\"\nat_most = 3.1");
        assert_eq!(outcome.status, Status::Short);
        assert_eq!(outcome.found, "4.000 calls/request");
        let outcome = judge("metric = \"throughput\"\nat_least_value = 1000");
        assert_eq!(outcome.status, Status::Ok);
    }

    #[test]
    fn what_was_not_measured_is_no_data() {
        let outcome = judge("metric = \"latency\"\nat_most = 1");
        assert_eq!((outcome.status, outcome.seen), (Status::NoData, None));
        let outcome = judge("metric = \"crossings\"\nparameters = { workers = 2 }\nat_most = 9");
        assert_eq!(outcome.status, Status::NoData);
        let outcome = judge("metric = \"throughput\"\nagainst = \"pool\"\nat_least = 1");
        assert_eq!(outcome.status, Status::NoData);
        assert_eq!(outcome.found, "pool was not measured");
        let outcome = judge("metric = \"throughput\"\ninstrument = \"wall\"\nat_least = 1");
        assert_eq!(outcome.status, Status::NoData);
    }

    #[test]
    fn goals_that_make_no_sense_are_refused() {
        assert!(refuse("metric = \"m\"").contains("exactly one of"));
        assert!(refuse("metric = \"m\"\nat_most = 1\nat_least = 1").contains("exactly one of"));
        assert!(refuse("metric = \"m\"\nat_most = 1\nagainst = \"x\"").contains("against needs"));
        assert!(refuse("metric = \"m\"\nat_leest = 1").contains("goals.toml"));
    }
}
