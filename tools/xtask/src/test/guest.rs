// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests that run in the guest and report as KTAP.

use std::process::Command;

use anyhow::{Context as _, Result};
use saio_init::{OUT_DIR, STATUS_INIT_FAILED, STATUS_TIMED_OUT};

use super::{failure, kunit, Report};
use crate::boot::{Guest, MachineArgs, TAIL};
use crate::exec;
use crate::fuzz::DEBUG_FACTOR;
use crate::guestlog;
use crate::kconfig::Config;
use crate::ktap::{Outcome, Parser, TestResult};
use crate::lines::Lines;
use crate::paths::Context;
use crate::qemu;
use crate::tools;

/// Seconds for one boot of tests, under emulation.
const TIME_LIMIT: u64 = 1800;

/// Where self-tests run.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// First part of the names of their results
    pub(super) group: &'static str,
    config: Config,
    cpus: usize,
    memory: &'static str,
    /// By which time limits of tests are stretched
    time_factor: u64,
}

const PLAIN: Place = Place {
    group: "guest",
    config: Config::Plain,
    cpus: 2,
    memory: "2G",
    time_factor: 1,
};

/// The kernel that checks itself, which takes its time: see [`CHECKED`].
pub(super) const DEBUG: Place = Place {
    group: "debug",
    config: Config::Debug,
    memory: "4G",
    time_factor: DEBUG_FACTOR,
    ..PLAIN
};

/// Beginnings of the names of the self-tests that run on the debug kernel too: those of what locks, counts
/// references and frees.
const CHECKED: &[&str] = &["enter.", "batch.audit", "flow.", "pool.remove"];
/// Those that wait for minutes of the guest's time.
const UNCHECKED: &[&str] = &["flow.orphan", "flow.send_bytes"];

/// Boots for one list of tests: after so many dead guests the rest is given up.
const MAX_BOOTS: usize = 6;

/// The self-tests of the system calls, and of what stands on them.
pub fn self_tests(ctx: &Context, report: &mut Report) {
    run_self_tests(ctx, report, &PLAIN, |_| true);
}

/// Some of them on the debug kernel; any of them for who asks for it there.
pub fn debug_self_tests(ctx: &Context, report: &mut Report) {
    let begins = |name: &str, list: &[&str]| list.iter().any(|first| name.starts_with(first));
    let asked = report.rest_for(DEBUG.group).is_some();
    run_self_tests(ctx, report, &DEBUG, |name| {
        asked || begins(name, CHECKED) && !begins(name, UNCHECKED)
    });
}

fn run_self_tests(
    ctx: &Context,
    report: &mut Report,
    place: &Place,
    chosen: impl Fn(&str) -> bool,
) {
    let group = place.group;
    if !report.may_want(group) {
        return;
    }
    let mut left = match self_test_names(ctx) {
        Ok(names) => names,
        Err(error) => {
            report.record(&format!("{group}::build"), failure(format!("{error:#}")));
            return;
        }
    };
    left.retain(|name| chosen(name) && report.wants(&format!("{group}::{name}")));
    if ctx.dry_run {
        left = vec!["--list".to_string()];
    }
    if left.is_empty() {
        return;
    }
    if let Err(error) = tools::build_test_programs(ctx) {
        report.record(&format!("{group}::build"), failure(format!("{error:#}")));
        return;
    }
    let mut boots = 0;
    while !left.is_empty() {
        if boots == MAX_BOOTS {
            let reason = format!("{MAX_BOOTS} guests died before it");
            for name in left {
                report.record(&format!("{group}::{name}"), Outcome::Skip(reason.clone()));
            }
            return;
        }
        boots += 1;
        let mut argv = vec![
            ctx.program("saio-selftest").display().to_string(),
            "--time-factor".to_string(),
            place.time_factor.to_string(),
        ];
        argv.extend_from_slice(&left);
        match boot_ktap(ctx, report, place, &argv) {
            Ok(End::Died { reported, culprit }) => {
                left.retain(|name| !reported.contains(name));
                // Not even named: take the first, or this would never end.
                let culprit = culprit.or_else(|| left.first().cloned());
                left.retain(|name| Some(name) != culprit.as_ref());
            }
            Ok(End::Complete) => return,
            Err(error) => {
                report.record(&format!("{group}::boot"), failure(format!("{error:#}")));
                return;
            }
        }
    }
}

/// Builds the self-tests and asks for their names.
fn self_test_names(ctx: &Context) -> Result<Vec<String>> {
    tools::build(ctx)?;
    let program = ctx.program("saio-selftest");
    if ctx.dry_run {
        return Ok(Vec::new());
    }
    let list =
        exec::output(Command::new(&program).arg("--list")).context("cannot list the self-tests")?;
    Ok(list.lines().map(str::to_string).collect())
}

/// Servers that are compared with themselves under SAIO: a name, which server, and how. The first
/// ones do all there is; the others fewer and smaller requests.
const SERVERS: [(&str, &str, &str); 17] = [
    ("nginx", "nginx", "--way http"),
    ("nginx-pool-1x1", "nginx", "--way http --mode pool"),
    ("nginx-auto-1x1", "nginx", "--way http --mode auto --quick"),
    (
        "nginx-pool-2x2",
        "nginx",
        "--way http --mode pool --workers 2 --threads 2 --quick",
    ),
    (
        "nginx-auto-2x2",
        "nginx",
        "--way http --mode auto --workers 2 --threads 2 --quick",
    ),
    (
        "nginx-pool-4x3",
        "nginx",
        "--way http --mode pool --workers 4 --threads 3 --quick",
    ),
    (
        "nginx-auto-4x3",
        "nginx",
        "--way http --mode auto --workers 4 --threads 3 --quick",
    ),
    (
        "nginx-pool-4x1",
        "nginx",
        "--way http --mode pool --workers 4 --quick",
    ),
    (
        "nginx-pool-1x1.ktls",
        "nginx",
        "--way ktls --mode pool --quick",
    ),
    ("lighttpd", "lighttpd", "--quick"),
    ("haproxy", "haproxy", "--way http --quick"),
    ("redis", "redis", "--quick"),
    ("memcached", "memcached", "--quick"),
    ("memcached-pool-1x1", "memcached", "--mode pool --quick"),
    ("node", "node", "--quick"),
    ("echo", "echo", "--quick"),
    ("echo-pool-1x1", "echo", "--mode pool --quick"),
];

/// Where servers run.
pub(super) const SERVER_GUEST: Place = Place {
    group: "servers",
    ..PLAIN
};

/// Tests of unmodified servers.
pub fn servers(ctx: &Context, report: &mut Report) {
    let group = |name| format!("servers::verify.{name}.");
    let wanted: Vec<_> = (SERVERS.iter())
        .filter(|(name, ..)| report.wants_group(&group(name)))
        // "nginx.ktls" is not a test of "nginx" if it is a list of its own.
        .filter(|(name, ..)| {
            !SERVERS.iter().any(|(other, ..)| {
                other.len() > name.len() && other.starts_with(name) && report.is_in(&group(other))
            })
        })
        .collect();
    if report.list {
        for (name, ..) in wanted {
            println!("{}..", group(name).trim_end_matches('.'));
        }
        return;
    }
    if wanted.is_empty() {
        return;
    }
    if let Err(error) = tools::build(ctx) {
        report.record("servers::build", failure(format!("{error:#}")));
        return;
    }
    for (name, server, how) in wanted {
        let mut argv = vec![
            ctx.program("saio-bench").display().to_string(),
            "verify".to_string(),
            (*server).to_string(),
            "--json".to_string(),
            format!("{OUT_DIR}/verify.json"),
        ];
        argv.extend(how.split_whitespace().map(str::to_string));
        if let Some(only) = report.rest_for(&group(name)) {
            argv.extend(["--only".to_string(), only.to_string()]);
        }
        if let Err(error) = boot_ktap(ctx, report, &SERVER_GUEST, &argv) {
            report.record(
                &format!("servers::boot-{name}"),
                failure(format!("{error:#}")),
            );
        }
    }
}

/// How a boot of tests ended.
pub(super) enum End {
    /// The program ran to its end.
    Complete,
    /// The guest or the program died, or ran into its time limit.
    Died {
        /// Tests with a result.
        reported: Vec<String>,
        /// The test that was running.
        culprit: Option<String>,
    },
}

/// Boots, records the results as they come, and judges what is left to judge.
pub(super) fn boot_ktap(
    ctx: &Context,
    report: &mut Report,
    place: &Place,
    argv: &[String],
) -> Result<End> {
    let group = place.group;
    let args = MachineArgs {
        cpus: place.cpus,
        memory: place.memory.to_string(),
        config: place.config,
        time_limit: Some(TIME_LIMIT),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &args, group)?;
    exec::step(&format!("{group}: booting Linux {}", guest.release()));

    let mut results = Results {
        report: &mut *report,
        group,
        parser: Parser::default(),
        lines: Lines::default(),
        reported: Vec::new(),
        failed: 0,
    };
    let outcome = guest.run(ctx, argv, &mut |bytes| results.take(bytes))?;
    let Some(outcome) = outcome else {
        return Ok(End::Complete);
    };
    results.finish();
    let Results {
        parser,
        reported,
        failed,
        ..
    } = results;
    if place.config == Config::Debug {
        kunit::take(report, &outcome);
    }

    let complete = judge(report, group, &outcome, &parser, failed);
    if complete {
        return Ok(End::Complete);
    }
    Ok(End::Died {
        reported,
        culprit: parser.running().map(str::to_string),
    })
}

/// Records what the results themselves do not say; false: they are not complete.
fn judge(
    report: &mut Report,
    group: &str,
    outcome: &qemu::Outcome,
    parser: &Parser,
    failed: usize,
) -> bool {
    let log = format!(
        "{}\nfull log: {}",
        guestlog::tail(&outcome.log, TAIL),
        outcome.log_path.display()
    );
    report.kernel_log(group, outcome);

    match outcome.status {
        Some(STATUS_INIT_FAILED) => {
            report.record(&format!("{group}::init"), failure(log));
            true
        }
        Some(status)
            if !outcome.timed_out && status != STATUS_TIMED_OUT && parser.running().is_none() =>
        {
            if let Some(missing) = parser.missing() {
                report.record(&format!("{group}::plan"), failure(missing));
            } else if status != 0 && failed == 0 {
                let detail = format!("the tests ended with status {status}\n{log}");
                report.record(&format!("{group}::status"), failure(detail));
            }
            true
        }
        _ => {
            let how = match outcome.status {
                _ if outcome.timed_out => "the guest ran into its time limit".to_string(),
                Some(STATUS_TIMED_OUT) => "the tests ran into their time limit".to_string(),
                Some(status) => format!("the tests ended with status {status}"),
                None => "the guest died".to_string(),
            };
            let name = parser.running().unwrap_or("boot");
            report.record(
                &format!("{group}::{name}"),
                failure(format!("{how}\n{log}")),
            );
            false
        }
    }
}

/// Turns output into recorded results.
struct Results<'a> {
    report: &'a mut Report,
    group: &'a str,
    parser: Parser,
    lines: Lines,
    reported: Vec<String>,
    failed: usize,
}

impl Results<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let mut results = Vec::new();
        let parser = &mut self.parser;
        self.lines
            .take(bytes, |line| results.extend(parser.line(line)));
        for result in results {
            self.record(result);
        }
    }

    fn finish(&mut self) {
        if let Some(result) = self.parser.complete() {
            self.record(result);
        }
    }

    fn record(&mut self, result: TestResult) {
        self.failed += usize::from(matches!(result.outcome, Outcome::Fail(_)));
        let name = format!("{}::{}", self.group, result.name);
        self.report.record(&name, result.outcome);
        self.reported.push(result.name);
    }
}
