// SPDX-License-Identifier: MIT OR Apache-2.0

//! The unit tests of the kernel's Rust, which KUnit runs while the debug kernel boots.

use anyhow::Result;

use super::{failure, Report};
use crate::boot::{Guest, MachineArgs, TAIL};
use crate::exec;
use crate::guestlog;
use crate::kconfig::Config;
use crate::ktap::{self, Outcome, TestResult};
use crate::paths::Context;
use crate::qemu;

const GROUP: &str = "kunit";

/// Seconds for the boot, under emulation.
const TIME_LIMIT: u64 = 900;

/// Boots the debug kernel, unless that was done already, and accounts for what it has printed. Only that
/// kernel knows the names, so it is asked only if the filter names the group.
pub fn run(ctx: &Context, report: &mut Report) {
    if !report.wants_group(GROUP) || report.kunit_done {
        return;
    }
    if report.list {
        println!("{GROUP}::...");
        return;
    }
    match boot(ctx) {
        // A dry run
        Ok(None) => {}
        Ok(Some(outcome)) => {
            take(report, &outcome);
            judge(report, &outcome);
        }
        Err(error) => report.record(&format!("{GROUP}::boot"), failure(format!("{error:#}"))),
    }
}

fn boot(ctx: &Context) -> Result<Option<qemu::Outcome>> {
    let args = MachineArgs {
        memory: "4G".to_string(),
        config: Config::Debug,
        time_limit: Some(TIME_LIMIT),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &args, GROUP)?;
    exec::step(&format!("{GROUP}: booting Linux {}", guest.release()));
    guest.run(ctx, &["true".to_string()], &mut |_| {})
}

/// Accounts for what KUnit has printed in a boot of the debug kernel, if it is the first one.
pub fn take(report: &mut Report, outcome: &qemu::Outcome) {
    if !report.wants_group(GROUP) || report.kunit_done {
        return;
    }
    report.kunit_done = true;
    let Account { results, problems } = read(&outcome.log);
    for TestResult { name, outcome } in results {
        let name = format!("{GROUP}::{name}");
        if report.wants(&name) {
            report.record(&name, outcome);
        }
    }
    report.check(&format!("{GROUP}::plan"), &problems, outcome);
}

/// What a boot for nothing but these tests has to be as well.
fn judge(report: &mut Report, outcome: &qemu::Outcome) {
    report.kernel_log(GROUP, outcome);
    if outcome.timed_out || outcome.status != Some(0) {
        let tail = guestlog::tail(&outcome.log, TAIL);
        report.check(&format!("{GROUP}::boot"), &[tail], outcome);
    }
}

/// What KUnit has printed.
#[derive(Debug, Default)]
struct Account {
    /// Of its cases, as `suite.case`.
    results: Vec<TestResult>,
    /// What is wrong with the whole.
    problems: Vec<String>,
}

/// What follows a plan: suites, or the cases of one.
#[derive(Debug, Default)]
struct Plan {
    planned: Option<usize>,
    seen: usize,
}

impl Plan {
    /// What is wrong with its end, if anything is.
    fn problem(&self, whose: &str) -> Option<String> {
        let Some(planned) = self.planned else {
            return Some(format!("{whose}: no plan (1..N) was printed"));
        };
        let seen = self.seen;
        (planned != seen).then(|| format!("{whose}: {planned} were planned, {seen} ran"))
    }
}

/// Reads a kernel's log. Cases are indented, and what explains a failure stands before it.
fn read(log: &str) -> Account {
    let mut account = Account::default();
    let mut suites = Plan::default();
    let (mut suite, mut cases, mut failed) = (String::new(), Plan::default(), false);
    let mut notes: Vec<&str> = Vec::new();
    let mut lines = log.lines().map(guestlog::message);
    if !lines.any(|line| line == "KTAP version 1") {
        account.problems.push("KUnit has printed nothing".into());
        return account;
    }
    for line in lines {
        let Some(case) = line.strip_prefix("    ") else {
            if let Some(planned) = ktap::plan_line(line) {
                suites.planned = Some(planned);
            } else if let Some((passed, name, _)) = ktap::result_line(line) {
                suites.seen += 1;
                account.problems.extend(cases.problem(name));
                if !passed && !failed {
                    (account.problems).push(format!("{name}: failed, but none of its cases"));
                }
                (cases, failed) = (Plan::default(), false);
            }
            continue;
        };
        if let Some(name) = case.strip_prefix("# Subtest: ") {
            suite = name.to_string();
            notes.clear();
        } else if let Some(planned) = ktap::plan_line(case) {
            cases.planned = Some(planned);
        } else if let Some((passed, name, directive)) = ktap::result_line(case) {
            cases.seen += 1;
            failed |= !passed;
            account.results.push(TestResult {
                name: format!("{suite}.{name}"),
                outcome: match ktap::skipped(directive) {
                    Some(reason) => Outcome::Skip(reason.to_string()),
                    None if passed => Outcome::Pass,
                    None => failure(notes.join("\n")),
                },
            });
            notes.clear();
        } else {
            notes.push(case);
        }
    }
    account.problems.extend(suites.problem("suites"));
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
[    0.100000] Run /init as init process
[    1.000000] KTAP version 1
[    1.000001] 1..2
[    1.000002]     KTAP version 1
[    1.000003]     # Subtest: saio_ring
[    1.000004]     1..3
[    1.000005]     ok 1 wraps
[    1.000006]     # ends: ASSERTION FAILED at kernel/saio/kunit/ring.rs:7
[    1.000007]     Expected a == b to be true, but is false
[    1.000008] another line of the kernel
[    1.000009]     not ok 2 ends
[    1.000010]     ok 3 waits # SKIP no clock
[    1.000011] # saio_ring: pass:1 fail:1 skip:1 total:3
[    1.000012] not ok 1 saio_ring
[    1.000013]     KTAP version 1
[    1.000014]     # Subtest: saio_pool
[    1.000015]     1..1
[    1.000016]     ok 1 wraps
[    1.000017] ok 2 saio_pool
[    2.000000] Run /init as init process
";

    fn without(part: &str) -> Vec<String> {
        let lines = LOG.lines().filter(|line| !line.contains(part));
        read(&lines.collect::<Vec<_>>().join("\n")).problems
    }

    #[test]
    fn cases_have_their_suite_and_failures_their_reason() {
        let account = read(LOG);
        assert_eq!(account.problems, [""; 0]);
        let results: Vec<_> = (account.results.iter())
            .map(|result| (result.name.as_str(), &result.outcome))
            .collect();
        let reason = "# ends: ASSERTION FAILED at kernel/saio/kunit/ring.rs:7\n\
                      Expected a == b to be true, but is false";
        assert_eq!(
            results,
            [
                ("saio_ring.wraps", &Outcome::Pass),
                ("saio_ring.ends", &Outcome::Fail(reason.to_string())),
                ("saio_ring.waits", &Outcome::Skip("no clock".to_string())),
                ("saio_pool.wraps", &Outcome::Pass),
            ]
        );
    }

    #[test]
    fn what_is_missing_is_a_problem() {
        assert_eq!(without("KTAP"), ["KUnit has printed nothing"]);
        assert_eq!(without("waits"), ["saio_ring: 3 were planned, 2 ran"]);
        assert_eq!(without("ok 2 saio_pool"), ["suites: 2 were planned, 1 ran"]);
        let problems = without("1..");
        assert_eq!(problems.len(), 3, "{problems:?}");
        let failed = LOG.replace("ok 2 saio_pool", "not ok 2 saio_pool");
        assert_eq!(
            read(&failed).problems,
            ["saio_pool: failed, but none of its cases"]
        );
    }
}
