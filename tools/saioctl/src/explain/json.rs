// SPDX-License-Identifier: MIT OR Apache-2.0

//! What became of the calls, for programs.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::counters::{Counts, Process};
use super::reason::long;
use super::Seen;

/// Version of the output; changes when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    status: Option<u8>,
    processes: Vec<ProcessView<'a>>,
    total: CountsView,
    reasons: Vec<ReasonView>,
    rules: Vec<RuleView<'a>>,
    lines_not_understood: usize,
}

#[derive(Serialize)]
struct ProcessView<'a> {
    pid: u32,
    program: &'a str,
    mode: &'a str,
    pool: Option<&'a str>,
    rules: &'a [String],
    #[serde(flatten)]
    counts: CountsView,
}

#[derive(Serialize)]
struct CountsView {
    rings: u64,
    connections: u64,
    flows: u64,
    crossings: u64,
    waits_merged: u64,
    calls: BTreeMap<&'static str, CallView>,
}

#[derive(Serialize)]
struct CallView {
    calls: u64,
    queued: u64,
    joined: u64,
    folded: u64,
    local: u64,
    through: u64,
    why: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct ReasonView {
    why: &'static str,
    calls: u64,
    means: &'static str,
}

#[derive(Serialize)]
struct RuleView<'a> {
    pattern: &'a str,
    pass: Option<&'a [String]>,
    reason: &'a str,
    processes: usize,
}

/// Everything, ending with a newline.
///
/// # Errors
///
/// None that can happen.
pub fn report(seen: &Seen<'_>) -> Result<String> {
    let total: Counts = seen.processes.iter().map(|process| &process.counts).sum();
    let reasons = total.all_whys().into_iter();
    let report = Report {
        schema: SCHEMA,
        status: seen.status,
        processes: seen.processes.iter().map(ProcessView::from).collect(),
        total: CountsView::from(&total),
        reasons: reasons
            .map(|(why, calls)| ReasonView {
                why: why.name(),
                calls,
                means: long(why),
            })
            .collect(),
        rules: (seen.rules_used().into_iter())
            .map(|(rule, processes)| RuleView {
                pattern: &rule.pattern,
                pass: rule.pass.as_deref(),
                reason: &rule.reason,
                processes,
            })
            .collect(),
        lines_not_understood: seen.odd,
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

impl<'a> From<&'a Process> for ProcessView<'a> {
    fn from(process: &'a Process) -> Self {
        Self {
            pid: process.pid,
            program: &process.program,
            mode: &process.mode,
            pool: process.pool.as_deref(),
            rules: &process.rules,
            counts: CountsView::from(&process.counts),
        }
    }
}

impl From<&Counts> for CountsView {
    fn from(counts: &Counts) -> Self {
        let call = |fate: super::counters::Fate| {
            let whys = counts.whys(fate.call).into_iter();
            let view = CallView {
                calls: fate.calls(),
                queued: fate.queued,
                joined: fate.joined,
                folded: fate.folded,
                local: fate.local,
                through: fate.through,
                why: whys.map(|(why, count)| (why.name(), count)).collect(),
            };
            (fate.call.name(), view)
        };
        Self {
            rings: counts.rings,
            connections: counts.accepted,
            flows: counts.flows,
            crossings: counts.crossings,
            waits_merged: counts.waits_merged,
            calls: counts.fates().into_iter().map(call).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{rules, seen};
    use super::*;

    #[test]
    fn report_for_programs() {
        let rules = rules();
        let seen = seen(&rules);
        insta::assert_snapshot!("json", report(&seen).unwrap());
    }
}
