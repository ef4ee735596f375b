// SPDX-License-Identifier: MIT OR Apache-2.0
//! Goals: what results were promised to show, and whether they do.
//!
//! A goals file is TOML:
//!
//! ```toml
//! [[goal]]
//! name = "server CPU at 64 connections"
//! figure = "demo"
//! workload = "nginx-1k"
//! metric = "server_cpu"
//! variant = "inline"
//! against = "best-baseline"
//! parameters = { connections = 64 }
//! at_least = 1.08
//! ```
//!
//! A goal holds for every measured combination of parameters that it does not
//! fix, and is judged by the worst of them. With `figure` only the results file
//! of that name counts. With `than = { workers = 1 }` instead of `against` the
//! variant has to be so many times better than itself at those parameters.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
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

/// Names and values.
type Parameters = BTreeMap<String, f64>;

/// A goal as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    figure: Option<String>,
    workload: String,
    metric: String,
    variant: String,
    #[serde(default, deserialize_with = "one_or_many")]
    against: Vec<String>,
    #[serde(default)]
    than: Parameters,
    #[serde(default)]
    parameters: Parameters,
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
    /// At least so many times better than the same variant where these
    /// parameters are different.
    Growth(f64, Parameters),
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
        let than = std::mem::take(&mut self.than);
        match (self.at_least, self.at_most, self.at_least_value) {
            _ if !than.is_empty() && !against.is_empty() => Err("give against or than, not both"),
            (Some(times), None, None) if !than.is_empty() => Ok(Limit::Growth(times, than)),
            _ if !than.is_empty() => Err("than needs at_least, and nothing else, beside it"),
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

/// Judges every goal by what `collection` holds. Figures that were left out,
/// each with the reason, have no data, whatever there is of them.
pub fn check(
    goals: &[Goal],
    collection: &Collection,
    left_out: &[(String, String)],
) -> Vec<Outcome> {
    goals
        .iter()
        .map(|goal| {
            let Some(figure) = &goal.entry.figure else {
                return goal.check(collection);
            };
            match left_out.iter().find(|(name, _)| name == figure) {
                Some((_, reason)) => goal.no_data(reason.clone()),
                None => goal.check(&collection.of_figure(figure)),
            }
        })
        .collect()
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
                match self.measure(collection, sheet, x) {
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
            return self.no_data(format!(
                "no {} of {}, {}",
                entry.metric, entry.workload, entry.variant
            ));
        };
        let (reached, found) = match self.limit {
            Limit::Ratio(wanted, _) | Limit::Growth(wanted, _) => {
                (seen >= wanted, units::times(seen))
            }
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
    fn measure(&self, collection: &Collection, sheet: &Sheet, x: f64) -> Result<f64, String> {
        let median = |variant: &str| {
            sheet
                .at(variant, x)
                .map(|summary| summary.median)
                .ok_or_else(|| format!("{variant} was not measured"))
        };
        let value = median(&self.entry.variant)?;
        let against = match &self.limit {
            Limit::AtMost(_) | Limit::AtLeast(_) => return Ok(value),
            Limit::Growth(_, than) => {
                let base = self.base(collection, sheet, x, than)?;
                return Ok(ratio(sheet.better, value, base));
            }
            Limit::Ratio(_, against) => against,
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

    /// The median of the same variant at the position `x` of `sheet`, but with
    /// the parameters `than`: it may be on another sheet.
    fn base(
        &self,
        collection: &Collection,
        sheet: &Sheet,
        x: f64,
        than: &Parameters,
    ) -> Result<f64, String> {
        let mut wanted = sheet.parameters(x);
        wanted.extend(than.clone());
        let of_the_same = |other: &&Sheet| {
            other.setting == sheet.setting
                && other.heading == sheet.heading
                && other.workload == sheet.workload
                && other.metric == sheet.metric
        };
        let mut found = collection.sheets.iter().filter(of_the_same);
        found
            .find_map(|other| {
                let x = other.xs.iter().find(|x| other.parameters(**x) == wanted)?;
                other.at(&self.entry.variant, *x)
            })
            .map(|summary| summary.median)
            .ok_or_else(|| {
                let at = table::parameters(&wanted);
                format!("{} was not measured at {at}", self.entry.variant)
            })
    }

    /// The verdict where nothing can be judged.
    fn no_data(&self, reason: String) -> Outcome {
        let at = table::parameters(&self.entry.parameters);
        self.outcome(Status::NoData, None, reason, at)
    }

    fn is_worse(&self, value: f64, than: f64) -> bool {
        match self.limit {
            Limit::AtMost(_) => value > than,
            Limit::Ratio(..) | Limit::Growth(..) | Limit::AtLeast(_) => value < than,
        }
    }

    fn outcome(&self, status: Status, seen: Option<f64>, found: String, at: String) -> Outcome {
        let (wanted, limit) = match &self.limit {
            Limit::Ratio(wanted, against) => (
                *wanted,
                format!("≥ {} {}", units::times(*wanted), against.join(", ")),
            ),
            Limit::Growth(wanted, than) => (
                *wanted,
                format!("≥ {} {}", units::times(*wanted), table::parameters(than)),
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
