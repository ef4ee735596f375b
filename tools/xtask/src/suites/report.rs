// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the suites showed, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::compare::Suspect;
use super::output::{File, Verdict};
use crate::progress::elapsed;

/// Characters of a test's name that are shown: some are whole values.
const NAME: usize = 100;

/// Lines of a failure that are shown.
const LINES: usize = 12;

/// One suite without and with SAIO.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The suite.
    pub suite: &'static str,
    /// Mode of the run with SAIO.
    pub mode: &'static str,
    /// Tests that failed with SAIO and not without, with what more runs showed.
    pub suspects: Vec<Suspect>,
    /// A guest did not end well.
    pub died: bool,
    /// Calls that the library queued, by name.
    pub queued: BTreeMap<String, u64>,
    /// What the first two runs took, without and with, in seconds.
    pub seconds: [u64; 2],
    /// Results of the first run without.
    pub without: Vec<File>,
    /// Results of the first run with.
    pub with: Vec<File>,
}

impl Report {
    /// Whether something fails with SAIO only.
    pub fn failed(&self) -> bool {
        self.died || self.suspects.iter().any(Suspect::fails)
    }

    /// What the table does not say.
    pub fn details(&self) -> String {
        let mut text = String::new();
        let (failing, unstable): (Vec<_>, Vec<_>) =
            self.suspects.iter().partition(|one| one.fails());
        if !failing.is_empty() {
            let _ = writeln!(
                text,
                "\n{}: pass without SAIO and fail with it:",
                self.suite
            );
        }
        for suspect in failing {
            let _ = writeln!(text, "  {}: {}", suspect.file, short(&suspect.test));
            for line in suspect.detail.lines().take(LINES) {
                let _ = writeln!(text, "    {line}");
            }
            let _ = writeln!(
                text,
                "    again: ./x suites {} --mode {} --only {}",
                self.suite, self.mode, suspect.file
            );
        }
        if !unstable.is_empty() {
            let _ = writeln!(
                text,
                "\n{}: unstable (passed of runs without, with):",
                self.suite
            );
        }
        for suspect in unstable {
            let _ = writeln!(
                text,
                "  {}: {} ({} of {}, {} of {})",
                suspect.file,
                short(&suspect.test),
                suspect.without.passed,
                suspect.without.runs,
                suspect.with.passed,
                suspect.with.runs
            );
        }
        let mut title = format!("\n{}: fail without SAIO:\n", self.suite);
        for file in &self.without {
            let failed = |(name, verdict): (&String, &Verdict)| {
                matches!(verdict, Verdict::Fail(_)).then(|| short(name))
            };
            let broken = file.broken.clone();
            for name in file.tests.iter().filter_map(failed).chain(broken) {
                let _ = writeln!(text, "{title}  {}: {name}", file.name);
                title.clear();
            }
        }
        text
    }
}

/// A row for each suite.
pub fn table(reports: &[Report]) -> String {
    let mut text = format!(
        "{:<14} {:>7} {:>13} {:>10} {:>11} {:>9}  {:<16} {}\n",
        "suite", "tests", "pass without", "pass with", "fail with", "unstable", "time", "queued"
    );
    for report in reports {
        let count = |files: &[File]| files.iter().map(File::passed).sum::<usize>();
        let tests: usize = report.without.iter().map(|file| file.tests.len()).sum();
        let failing = report.suspects.iter().filter(|one| one.fails()).count();
        let seconds = report.seconds.map(std::time::Duration::from_secs);
        let queued: Vec<String> = report
            .queued
            .iter()
            .map(|(call, count)| format!("{call} {count}"))
            .collect();
        let _ = writeln!(
            text,
            "{:<14} {:>7} {:>13} {:>10} {:>11} {:>9}  {:<16} {}",
            report.suite,
            tests,
            count(&report.without),
            count(&report.with),
            failing,
            report.suspects.len() - failing,
            format!("{} + {}", elapsed(seconds[0]), elapsed(seconds[1])),
            if queued.is_empty() {
                "nothing".to_string()
            } else {
                queued.join(", ")
            }
        );
    }
    text
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_string();
    }
    name.chars().take(NAME).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::compare;

    fn file(name: &str, verdict: Verdict) -> File {
        File {
            name: name.to_string(),
            tests: BTreeMap::from([("one".to_string(), verdict)]),
            broken: None,
        }
    }

    fn report(without: Verdict, with: Verdict) -> Report {
        let (without, with) = (vec![file("unit/a", without)], vec![file("unit/a", with)]);
        Report {
            suite: "redis",
            mode: "pool",
            suspects: compare::suspects(&without, &with),
            died: false,
            queued: BTreeMap::from([("write".to_string(), 7)]),
            seconds: [5, 70],
            without,
            with,
        }
    }

    #[test]
    fn a_failure_says_how_to_repeat_it() {
        let report = report(Verdict::Pass, Verdict::Fail("a\nb".to_string()));
        assert!(report.failed());
        let text = report.details();
        assert!(text.contains("  unit/a: one\n    a\n    b\n"), "{text}");
        assert!(text.contains("./x suites redis --mode pool --only unit/a\n"));
        assert!(!text.contains("unstable"));
        let table = table(&[report]);
        assert!(table.contains("5s + 1m10s"), "{table}");
        assert!(table.contains("write 7"));
    }

    #[test]
    fn what_fails_without_is_no_failure() {
        let fail = || Verdict::Fail(String::new());
        let report = report(fail(), fail());
        assert!(!report.failed());
        assert_eq!(
            report.details(),
            "\nredis: fail without SAIO:\n  unit/a: one\n"
        );
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(short(&"x".repeat(NAME)).chars().count(), NAME);
        assert_eq!(short(&"ä".repeat(999)).chars().count(), NAME + 1);
    }
}
