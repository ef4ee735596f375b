// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guard: values of a few runs beside a reference that is kept, and what
//! was lost.
//!
//! The reference names the versions of what it was made with. Where they are
//! the same, each value is compared with its own. Where they are not, a value
//! may differ without any loss; then each is taken in relation to the best
//! baseline, measured beside it, and that relation is compared, less strictly:
//! another version of a server gains more or less.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::group::{Collection, Sheet};
use crate::results::{write_atomically, Better};
use crate::stats::ratio;
use crate::table;
use crate::units;

/// What is guarded: what repeats closely.
const METRICS: [&str; 2] = ["cpu", "server_cpu"];

/// Programs and their versions.
pub type MadeWith = BTreeMap<String, String>;

/// A reference cannot be used.
#[derive(Debug, Error)]
pub enum GuardError {
    /// It cannot be read or written.
    #[error("cannot use {} (--reference)", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not JSON of the right shape.
    #[error("{} is not a guard's reference; make it anew with --accept", .file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
}

/// What is to be guarded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// What it was made with: other versions have other values.
    pub made_with: MadeWith,
    /// The values, by names that are those of tests.
    pub values: BTreeMap<String, Value>,
}

/// A guarded value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Its median.
    pub median: f64,
    /// Median of the best baseline beside it; none for a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// Unit of both.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Within the threshold.
    Same,
    /// Better by more than the threshold.
    Better,
    /// Worse by more than the threshold.
    Worse,
    /// Not measured any more.
    Gone,
    /// Not in the reference.
    New,
    /// A baseline, of other versions than those of the reference.
    NotJudged,
}

/// A value beside its reference.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it was, in words.
    pub reference: String,
    /// What it is, in words.
    pub seen: String,
    /// Times better than it was.
    pub ratio: Option<f64>,
    /// The verdict.
    pub status: Status,
}

/// The verdict on all values.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Versions that are not those of the reference; then relations were compared.
    pub differences: Vec<String>,
    /// The values.
    pub rows: Vec<Row>,
}

/// Losses that do not count, as parts of one: 0.02 is 2 %.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Where versions are those of the reference.
    pub same: f64,
    /// Where they are not.
    pub others: f64,
}

impl Row {
    /// Whether it must not pass.
    pub fn is_failure(&self) -> bool {
        matches!(self.status, Status::Worse | Status::Gone | Status::New)
    }
}

impl Reference {
    /// What `collection` holds, as a reference.
    pub fn of(collection: &Collection, made_with: MadeWith) -> Self {
        let mut values = BTreeMap::new();
        let guarded = |sheet: &&Sheet| METRICS.contains(&sheet.metric.as_str());
        for sheet in collection.sheets.iter().filter(guarded) {
            for series in &sheet.series {
                for (x, summary) in &series.points {
                    let base = sheet.best_baseline(*x).filter(|_| !series.baseline);
                    let value = Value {
                        median: rounded(summary.median),
                        baseline: base.map(|(_, summary)| rounded(summary.median)),
                        unit: sheet.unit.clone(),
                        better: sheet.better,
                    };
                    values.insert(name(sheet, *x, &series.variant), value);
                }
            }
        }
        Self { made_with, values }
    }

    /// Reads `file`.
    ///
    /// # Errors
    ///
    /// [`GuardError`]; it names the file.
    pub fn load(file: &Path) -> Result<Self, GuardError> {
        let text = fs::read_to_string(file).map_err(|source| GuardError::File {
            file: file.to_owned(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| GuardError::Parse {
            file: file.to_owned(),
            source,
        })
    }

    /// Writes `file`.
    ///
    /// # Errors
    ///
    /// [`GuardError`]; it names the file.
    pub fn save(&self, file: &Path) -> Result<(), GuardError> {
        let failed = |source| GuardError::File {
            file: file.to_owned(),
            source,
        };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        write_atomically(file, format!("{text}\n").as_bytes()).map_err(failed)
    }

    /// Judges `seen`.
    pub fn judge(&self, seen: &Self, thresholds: Thresholds) -> Report {
        let differences = self.differences(&seen.made_with);
        let is_absolute = differences.is_empty();
        let threshold = match is_absolute {
            true => thresholds.same,
            false => thresholds.others,
        };
        let mut rows = Vec::new();
        for (name, before) in &self.values {
            rows.push(match seen.values.get(name) {
                Some(after) => judge(name, before, after, is_absolute, threshold),
                None => Row {
                    name: name.clone(),
                    reference: amount(before),
                    seen: "not measured".to_owned(),
                    ratio: None,
                    status: Status::Gone,
                },
            });
        }
        let is_new = |(name, _): &(&String, &Value)| !self.values.contains_key(*name);
        rows.extend(seen.values.iter().filter(is_new).map(|(name, value)| Row {
            name: name.clone(),
            reference: "none".to_owned(),
            seen: amount(value),
            ratio: None,
            status: Status::New,
        }));
        Report { differences, rows }
    }

    /// How other versions differ from these, a line for each.
    fn differences(&self, other: &MadeWith) -> Vec<String> {
        let mut names: Vec<&String> = self.made_with.keys().chain(other.keys()).collect();
        names.sort();
        names.dedup();
        let version = |all: &MadeWith, name| all.get(name).map_or("none", |v| v).to_owned();
        let line = |name| {
            let (before, here) = (version(&self.made_with, name), version(other, name));
            (before != here).then(|| format!("{name}: the reference has {before}, here is {here}"))
        };
        names.into_iter().filter_map(line).collect()
    }
}

/// With as many digits as mean something, for readers of changes.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// `nginx-1k.connections=64.inline`
fn name(sheet: &Sheet, x: f64, variant: &str) -> String {
    let parameters: Vec<String> = sheet
        .parameters(x)
        .iter()
        .map(|(name, value)| format!("{name}={}", units::parameter(*value)))
        .collect();
    [sheet.workload.as_str(), &parameters.join(","), variant].join(".")
}

fn judge(name: &str, before: &Value, after: &Value, is_absolute: bool, threshold: f64) -> Row {
    let relation = |value: &Value| Some(ratio(value.better, value.median, value.baseline?));
    let times = match (is_absolute, relation(before), relation(after)) {
        (true, ..) => Some(ratio(before.better, after.median, before.median)),
        (false, Some(before), Some(after)) => Some(after / before),
        _ => None,
    };
    let words = |value: &Value| match relation(value).filter(|_| !is_absolute) {
        Some(relation) => format!("{} ({})", units::times(relation), amount(value)),
        None => amount(value),
    };
    let status = match times {
        None => Status::NotJudged,
        // The reciprocal: 2 % more instructions, not 2 % less speed.
        Some(times) if 1.0 / times > 1.0 + threshold => Status::Worse,
        Some(times) if times > 1.0 + threshold => Status::Better,
        Some(_) => Status::Same,
    };
    Row {
        name: name.to_owned(),
        reference: words(before),
        seen: words(after),
        ratio: times,
        status,
    }
}

fn amount(value: &Value) -> String {
    format!("{:.1} {}", value.median, value.unit)
}

/// A table of `rows` for the terminal.
pub fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    table::plain(
        &["value", "reference", "seen", "times better", "result"],
        rows.into_iter().map(|row| {
            let status = match row.status {
                Status::Same => "same",
                Status::Better => "better",
                Status::Worse => "worse",
                Status::Gone => "gone",
                Status::New => "new",
                Status::NotJudged => "not judged",
            };
            vec![
                row.name.clone(),
                row.reference.clone(),
                row.seen.clone(),
                row.ratio.map_or_else(|| "–".to_owned(), units::times),
                status.to_owned(),
            ]
        }),
    )
}
