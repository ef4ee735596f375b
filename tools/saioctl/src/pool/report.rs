// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pools and what became of them, for people and as JSON.

use saio::pool::{Attributes, Group, Name, Pool};
use serde::Serialize;

use super::{print_json, spec, SCHEMA};
use crate::output::print;

/// A pool as JSON.
#[derive(Serialize)]
pub struct PoolView {
    name: String,
    id: u32,
    rings: u32,
    #[serde(flatten)]
    attributes: View,
}

impl From<&Pool> for PoolView {
    fn from(pool: &Pool) -> Self {
        Self {
            name: pool.name.to_string(),
            id: pool.id,
            rings: pool.rings,
            attributes: View::from(&pool.attributes),
        }
    }
}

/// Attributes as JSON.
#[derive(Serialize)]
struct View {
    workers: u32,
    max: u32,
    idle_ns: u64,
    cpus: String,
    /// `None`: everybody.
    gid: Option<u32>,
    group: String,
}

impl From<&Attributes> for View {
    fn from(attributes: &Attributes) -> Self {
        Self {
            workers: attributes.workers,
            max: attributes.max,
            idle_ns: u64::try_from(attributes.idle.as_nanos()).unwrap_or(u64::MAX),
            cpus: attributes.cpus.to_string(),
            gid: match attributes.group {
                Group::Anybody => None,
                Group::Id(gid) => Some(gid),
            },
            group: spec::group_text(attributes.group),
        }
    }
}

/// Attributes by name, as text.
pub fn fields(attributes: &Attributes) -> [(&'static str, String); 5] {
    [
        ("workers", attributes.workers.to_string()),
        ("max", attributes.max.to_string()),
        ("idle", spec::idle_text(attributes.idle)),
        ("CPUs", attributes.cpus.to_string()),
        ("group", spec::group_text(attributes.group)),
    ]
}

/// What a pool was, and what it is or shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The pool.
    pub name: Name,
    /// Rings that were attached.
    pub rings: u32,
    /// What it was set to; `None`: it was not there.
    pub before: Option<Attributes>,
    /// What it is set to; `None`: it is gone.
    pub after: Option<Attributes>,
}

/// What was done to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Did {
    /// It was made.
    Created,
    /// Attributes were changed.
    Changed,
    /// Nothing: it was so already.
    Unchanged,
    /// It was removed.
    Removed,
}

impl Outcome {
    /// What was done.
    pub fn did(&self) -> Did {
        match (&self.before, &self.after) {
            (None, _) => Did::Created,
            (Some(_), None) => Did::Removed,
            (before, after) if before == after => Did::Unchanged,
            _ => Did::Changed,
        }
    }

    /// Whether nobody but root may attach now.
    pub fn is_for_root_alone(&self) -> bool {
        let after = self.after.as_ref();
        after.is_some_and(|after| after.group == Group::Id(0))
    }

    /// In a line.
    pub fn text(&self) -> String {
        let name = &self.name;
        let now = self.after.as_ref().map(all).unwrap_or_default();
        match self.did() {
            Did::Created => format!("{name}: created: {now}\n"),
            Did::Unchanged => format!("{name}: nothing changes: {now}\n"),
            Did::Changed => {
                format!("{name}: changed: {}; now: {now}\n", self.differences())
            }
            Did::Removed => match self.rings {
                0 => format!("{name}: removed\n"),
                1 => format!("{name}: removed; the ring that was attached is in the pool default now\n"),
                rings => format!(
                    "{name}: removed; the {rings} rings that were attached are in the pool default now\n"
                ),
            },
        }
    }

    fn differences(&self) -> String {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return String::new();
        };
        let pairs = fields(before).into_iter().zip(fields(after));
        let changed = pairs.filter(|((_, from), (_, to))| from != to);
        let texts: Vec<String> = changed
            .map(|((name, from), (_, to))| format!("{name} {from} -> {to}"))
            .collect();
        texts.join(", ")
    }
}

fn all(attributes: &Attributes) -> String {
    fields(attributes)
        .map(|(name, value)| format!("{name} {value}"))
        .join(", ")
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    name: &'a str,
    did: Did,
    rings: u32,
    before: Option<View>,
    after: Option<View>,
}

/// What became of pools, as JSON.
#[derive(Serialize)]
pub struct Report<'a> {
    schema: u32,
    dry_run: bool,
    pools: Vec<OutcomeView<'a>>,
}

impl<'a> Report<'a> {
    /// Of these outcomes, which with `dry_run` did not happen.
    pub fn new(outcomes: &'a [Outcome], dry_run: bool) -> Self {
        let view = |outcome: &'a Outcome| OutcomeView {
            name: outcome.name.as_str(),
            did: outcome.did(),
            rings: outcome.rings,
            before: outcome.before.as_ref().map(View::from),
            after: outcome.after.as_ref().map(View::from),
        };
        Self {
            schema: SCHEMA,
            dry_run,
            pools: outcomes.iter().map(view).collect(),
        }
    }
}

/// Prints what became of pools, or with `dry_run` what would.
///
/// # Errors
///
/// stdout cannot be written.
pub fn print_outcomes(outcomes: &[Outcome], dry_run: bool, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&Report::new(outcomes, dry_run));
    }
    let mut text = String::new();
    if dry_run {
        text += "dry run, nothing is done; it would be:\n";
    }
    text.extend(outcomes.iter().map(Outcome::text));
    print(&text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn attributes(workers: u32) -> Attributes {
        Attributes {
            workers,
            max: 4,
            idle: Duration::from_micros(500),
            cpus: "2-5".parse().unwrap(),
            group: Group::Id(0),
        }
    }

    fn outcome(before: Option<Attributes>, after: Option<Attributes>, rings: u32) -> Outcome {
        Outcome {
            name: "web".parse().unwrap(),
            rings,
            before,
            after,
        }
    }

    #[test]
    fn outcomes_in_words() {
        let now = "workers 2, max 4, idle 500us, CPUs 2-5, group root";
        let text = |before, after, rings| outcome(before, after, rings).text();
        assert_eq!(
            text(None, Some(attributes(2)), 0),
            format!("web: created: {now}\n")
        );
        assert_eq!(
            text(Some(attributes(1)), Some(attributes(2)), 0),
            format!("web: changed: workers 1 -> 2; now: {now}\n")
        );
        assert_eq!(
            text(Some(attributes(2)), Some(attributes(2)), 3),
            format!("web: nothing changes: {now}\n")
        );
        assert!(text(Some(attributes(2)), None, 3).contains("the 3 rings"));
    }

    #[test]
    fn outcomes_as_json() {
        let outcomes = [outcome(None, Some(attributes(2)), 0)];
        assert_eq!(
            serde_json::to_value(Report::new(&outcomes, true)).unwrap(),
            serde_json::json!({
                "schema": 1,
                "dry_run": true,
                "pools": [{
                    "name": "web",
                    "did": "created",
                    "rings": 0,
                    "before": null,
                    "after": {
                        "workers": 2,
                        "max": 4,
                        "idle_ns": 500_000,
                        "cpus": "2-5",
                        "gid": 0,
                        "group": "root",
                    },
                }],
            })
        );
    }
}
