// SPDX-License-Identifier: MIT OR Apache-2.0

//! `./x test`: the steps in order, and the account of what passed.

mod fuzz;
mod guard;
mod guest;
mod host;
mod kernel;
mod kunit;
mod seccomp;
mod storm;
mod vtime;

use std::fmt::Display;

use anyhow::{bail, Result};

use crate::guestlog;
use crate::ktap::Outcome;
use crate::paths::Context;
use crate::qemu;

/// First parts of the tests' names.
const GROUPS: [&str; 7] = [
    "host", "patches", "guest", "guard", "servers", "debug", "kunit",
];

/// Runs all tests, or those that the filter selects; returns the exit status.
///
/// # Errors
///
/// No test has a matching name. A failing test is no error.
pub fn run(ctx: &Context, filter: Option<String>, list: bool) -> Result<i32> {
    let mut report = Report {
        filter,
        list,
        ..Report::default()
    };
    host::run(ctx, &mut report);
    kernel::run(ctx, &mut report);
    guest::self_tests(ctx, &mut report);
    seccomp::run(ctx, &mut report);
    vtime::run(ctx, &mut report);
    guard::run(ctx, &mut report);
    fuzz::run(ctx, &mut report);
    guest::servers(ctx, &mut report);
    storm::run(ctx, &mut report);
    guest::debug_self_tests(ctx, &mut report);
    storm::run_on_debug(ctx, &mut report);
    kunit::run(ctx, &mut report);
    fuzz::run_on_debug(ctx, &mut report);
    if list || ctx.dry_run {
        return Ok(0);
    }
    report.close()
}

/// Which tests are wanted, and how those that ran ended.
#[derive(Debug, Default)]
struct Report {
    filter: Option<String>,
    list: bool,
    /// Their names.
    passed: Vec<String>,
    skipped: usize,
    /// The results of KUnit were read.
    kunit_done: bool,
    failures: Vec<String>,
}

impl Report {
    /// Whether the test of this name is to run. When tests are only listed,
    /// prints the name and says no.
    fn wants(&self, name: &str) -> bool {
        let wanted = self
            .filter
            .as_deref()
            .is_none_or(|filter| name.contains(filter));
        if wanted && self.list {
            println!("{name}");
            return false;
        }
        wanted
    }

    /// Whether a test of a group whose names are not known yet may be wanted:
    /// the filter is the group's name, a part of it, or begins with it.
    fn wants_group(&self, group: &str) -> bool {
        self.filter
            .as_deref()
            .is_none_or(|filter| group.contains(filter) || filter.starts_with(group))
    }

    /// Whether a filter asks for this group, or for something in it, alone.
    fn is_in(&self, group: &str) -> bool {
        self.filter
            .as_deref()
            .is_some_and(|filter| filter.starts_with(group.trim_end_matches('.')))
    }

    /// Whether it is worth while to find out the names in a group: not if the
    /// filter names another one.
    fn may_want(&self, group: &str) -> bool {
        self.wants_group(group)
            || self.filter.as_deref().is_some_and(|filter| {
                !GROUPS.iter().any(|other| {
                    filter.starts_with(other) || (filter.len() > 2 && other.starts_with(filter))
                })
            })
    }

    /// The part of the filter after the group's name, for tools that filter
    /// tests themselves.
    fn rest_for(&self, group: &str) -> Option<&str> {
        let rest = self.filter.as_deref()?.strip_prefix(group)?;
        let rest = rest.trim_start_matches([':', '.']);
        (!rest.is_empty()).then_some(rest)
    }

    /// Accounts for one test.
    fn record(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Outcome::Pass => {
                self.passed.push(name.to_string());
                println!("PASS {name}");
            }
            Outcome::Skip(reason) => {
                self.skipped += 1;
                println!("SKIP {name} ({reason})");
            }
            Outcome::Fail(detail) => {
                println!("FAIL {name}");
                for line in detail.lines() {
                    println!("     {line}");
                }
                self.failures.push(name.to_string());
            }
        }
    }

    /// Accounts for a look at a guest that found these problems.
    fn check(&mut self, name: &str, problems: &[String], guest: &qemu::Outcome) {
        let outcome = if problems.is_empty() {
            Outcome::Pass
        } else {
            let path = guest.log_path.display();
            failure(format!("{}\nfull log: {path}", problems.join("\n")))
        };
        self.record(name, outcome);
    }

    /// Accounts for what a guest's kernel complained of: the self-test that ran then fails, even if it has passed.
    fn kernel_log(&mut self, group: &str, guest: &qemu::Outcome) {
        let mut others = Vec::new();
        let mut by_test: Vec<(&str, Vec<&str>)> = Vec::new();
        for (test, complaint) in guestlog::complaints_in_tests(&guest.log) {
            let Some(test) = test else {
                others.push(complaint.to_string());
                continue;
            };
            match by_test.last_mut() {
                Some((last, complaints)) if *last == test => complaints.push(complaint),
                _ => by_test.push((test, vec![complaint])),
            }
        }
        for (test, complaints) in by_test {
            let name = format!("{group}::{test}");
            self.passed.retain(|passed| *passed != name);
            let path = guest.log_path.display();
            let said = complaints.join("\n");
            let detail = format!("the kernel complained meanwhile:\n{said}\nfull log: {path}");
            // Once, if it has failed by itself as well.
            self.failures.retain(|failed| *failed != name);
            self.record(&name, failure(detail));
        }
        self.check(&format!("{group}::kernel-log"), &others, guest);
    }

    /// Accounts for a step that is one test; its error is the failure.
    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) {
        if !self.wants(name) {
            return;
        }
        let outcome = match run() {
            Ok(()) => Outcome::Pass,
            Err(error) => failure(format!("{error:#}")),
        };
        self.record(name, outcome);
    }

    fn close(&self) -> Result<i32> {
        let failed = self.failures.len();
        let passed = self.passed.len();
        if passed + self.skipped + failed == 0 {
            bail!(
                "no test is called like {:?}; ./x test --list shows all names",
                self.filter.as_deref().unwrap_or_default()
            );
        }
        println!();
        if failed > 0 {
            println!("failed:");
            for name in &self.failures {
                println!("  {name}");
            }
            println!();
        }
        println!("{passed} passed, {failed} failed, {} skipped", self.skipped);
        Ok(i32::from(failed > 0))
    }
}

/// A failure with what there is to say about it.
fn failure(detail: impl Display) -> Outcome {
    Outcome::Fail(detail.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(filter: &str) -> Report {
        Report {
            filter: Some(filter.to_string()),
            ..Report::default()
        }
    }

    #[test]
    fn everything_is_wanted_without_a_filter() {
        let report = Report::default();
        assert!(report.wants("host::fmt"));
        assert!(report.wants_group("servers"));
        assert!(report.may_want("guest"));
    }

    #[test]
    fn a_filter_is_part_of_a_name() {
        let report = report("flow.park");
        assert!(report.wants("guest::flow.park"));
        assert!(!report.wants("host::fmt"));
        assert!(report.may_want("guest"));
        assert!(!report.wants_group("servers::verify.nginx"));
    }

    #[test]
    fn a_group_excludes_the_others() {
        let report = report("host::tests::ring");
        assert!(!report.may_want("guest"));
        assert!(report.wants_group("host::tests"));
        assert_eq!(report.rest_for("host::tests"), Some("ring"));
    }

    #[test]
    fn a_test_fails_during_which_the_kernel_complained() {
        let mut report = Report::default();
        report.record("guest::a", Outcome::Pass);
        report.record("guest::b", Outcome::Pass);
        let guest = qemu::Outcome {
            log: "saio-selftest: a\nsaio-selftest: b\nWARNING: CPU: 0\nsaio-selftest:\n"
                .to_string(),
            ..qemu::Outcome::default()
        };
        report.kernel_log("guest", &guest);
        assert_eq!(report.passed, ["guest::a", "guest::kernel-log"]);
        assert_eq!(report.failures, ["guest::b"]);
    }

    #[test]
    fn results_are_counted() {
        let mut report = Report::default();
        report.record("a", Outcome::Pass);
        report.record("b", failure("why"));
        report.record("c", Outcome::Skip("no".to_string()));
        assert_eq!((report.passed.len(), report.skipped), (1, 1));
        assert_eq!(report.failures, ["b"]);
        assert_eq!(report.close().ok(), Some(1));
    }
}
