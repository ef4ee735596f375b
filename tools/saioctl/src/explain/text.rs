// SPDX-License-Identifier: MIT OR Apache-2.0

//! What became of the calls, for people.

use super::counters::{Counts, Process};
use super::reason::{long, short};
use super::Seen;
use crate::output::{percent, table};

const TITLES: [&str; 8] = [
    "call",
    ">calls",
    ">queued",
    ">joined",
    ">folded",
    ">local",
    ">through",
    "why through",
];
/// Reasons that a cell has room for.
const CELL: usize = 3;

/// Everything, ending with a newline.
pub fn report(seen: &Seen<'_>) -> String {
    let mut text = String::new();
    let (serving, others): (Vec<_>, Vec<_>) = seen.processes.iter().partition(|p| serves(p));
    for process in &serving {
        text += &format!("\n{}\n{}", title(process), calls(&process.counts));
    }
    if serving.len() > 1 {
        let sum: Counts = serving.iter().map(|process| &process.counts).sum();
        text += &format!(
            "\nall {} that serve: {}\n{}",
            serving.len(),
            flows(&sum),
            calls(&sum)
        );
    }
    text += &rest(&others, serving.is_empty());
    let sum: Counts = seen.processes.iter().map(|process| &process.counts).sum();
    text += &reasons(&sum);
    text += &rules(seen);
    match seen.odd {
        0 => {}
        1 => text += "\n1 line of counters was not understood\n",
        many => text += &format!("\n{many} lines of counters were not understood\n"),
    }
    text
}

/// Whether a process had to do with connections.
fn serves(process: &Process) -> bool {
    let counts = &process.counts;
    let whys = counts.all_whys();
    counts.rings + counts.accepted > 0 || whys.iter().any(|(why, _)| why.on_connection())
}

fn title(process: &Process) -> String {
    let pool = match &process.pool {
        Some(pool) => format!(" in pool {pool}"),
        None => String::new(),
    };
    format!(
        "{} {}, {}{pool}: {}",
        process.program,
        process.pid,
        process.mode,
        flows(&process.counts)
    )
}

fn flows(counts: &Counts) -> String {
    format!(
        "{} of {} connections became flows; {} crossings for what was queued, {} of them with the wait",
        counts.flows, counts.accepted, counts.crossings, counts.waits_merged
    )
}

fn calls(counts: &Counts) -> String {
    let some = |count: u64| match count {
        0 => "-".to_owned(),
        count => count.to_string(),
    };
    let rows = counts.fates().into_iter().map(|fate| {
        let whys = counts.whys(fate.call);
        let mut why: Vec<String> = (whys.iter().take(CELL))
            .map(|&(why, count)| {
                let share = percent(count as f64, fate.calls() as f64);
                format!("{} {share}", short(why))
            })
            .collect();
        if whys.len() > CELL {
            why.push("...".to_owned());
        }
        vec![
            fate.call.name().to_owned(),
            fate.calls().to_string(),
            some(fate.queued),
            some(fate.joined),
            some(fate.folded),
            some(fate.local),
            some(fate.through),
            why.join(", "),
        ]
    });
    table(&TITLES, rows)
}

/// Processes without connections.
fn rest(others: &[&Process], all: bool) -> String {
    if others.is_empty() && all {
        return "\nNo process has left counters: the library was in none (a static or set-user-ID program?), or they were killed.\n".to_owned();
    }
    let mut names: Vec<&str> = others.iter().map(|other| &*other.program).collect();
    names.sort_unstable();
    names.dedup();
    match others.len() {
        0 => String::new(),
        1 => format!("\n1 process had no connections under SAIO: {}\n", names[0]),
        many => format!(
            "\n{many} processes had no connections under SAIO: {}\n",
            names.join(", ")
        ),
    }
}

/// Every reason that there was, with what it means.
fn reasons(counts: &Counts) -> String {
    let whys = counts.all_whys();
    let (ours, others): (Vec<_>, Vec<_>) =
        (whys.into_iter()).partition(|(why, _)| why.on_connection());
    let through: u64 = ours.iter().map(|(_, count)| count).sum();
    let mut all: u64 = counts.fates().iter().map(|fate| fate.calls()).sum();
    all -= others.iter().map(|(_, count)| count).sum::<u64>();
    let mut text = String::new();
    if through > 0 {
        text += &format!(
            "\nOf {all} calls on connections {through} ({}) went straight through:\n",
            percent(through as f64, all as f64)
        );
        for (why, count) in ours {
            let share = percent(count as f64, all as f64);
            text += &format!("  {}, {share}: {}\n", short(why), long(why));
        }
    }
    if !others.is_empty() {
        text += "\nBesides:\n";
        for (why, count) in others {
            text += &format!("  {}, {count} calls: {}\n", short(why), long(why));
        }
    }
    text
}

/// The rules that were for one of the processes.
fn rules(seen: &Seen<'_>) -> String {
    let mut text = String::new();
    for (rule, processes) in seen.rules_used() {
        let what = match &rule.pass {
            None => "without SAIO".to_owned(),
            Some(calls) => format!("{} straight through", calls.join(", ")),
        };
        let many = if processes == 1 {
            "process"
        } else {
            "processes"
        };
        text += &format!(
            "  {}: {what} ({processes} {many}): {}\n",
            rule.pattern, rule.reason
        );
    }
    if !text.is_empty() {
        text.insert_str(0, "\nRules for programs:\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::counters::{self, tests::TEXT};
    use super::super::tests::{rules, seen};
    use super::*;

    #[test]
    fn report_for_people() {
        let rules = rules();
        let seen = seen(&rules);
        insta::assert_snapshot!("report", report(&seen));
    }

    #[test]
    fn several_servers_have_a_sum() {
        let (processes, _) = counters::parse(TEXT);
        let seen = Seen {
            processes: vec![processes[1].clone(), processes[1].clone()],
            odd: 0,
            status: Some(0),
            rules: &[],
        };
        let text = report(&seen);
        assert!(
            text.contains("\nall 2 that serve: 120 of 128 connections"),
            "{text}"
        );
        assert!(!text.contains("Rules"), "{text}");
    }

    #[test]
    fn nothing_was_left() {
        let seen = Seen {
            processes: Vec::new(),
            odd: 0,
            status: None,
            rules: &[],
        };
        let text = report(&seen);
        assert!(text.starts_with("\nNo process has left counters"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }
}
