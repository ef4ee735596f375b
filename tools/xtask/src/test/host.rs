// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests that need no guest: format, lints, unit and property tests, loom.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{bail, Context as _, Result};

use super::{failure, Report};
use crate::exec;
use crate::guestlog;
use crate::ktap::Outcome;
use crate::paths::{self, Context};
use crate::tools;
use crate::tree;

/// The table that the policy's tests compare themselves with.
const SYSCALL_TABLE: &str = "arch/x86/entry/syscalls/syscall_64.tbl";

/// Lines of a failed cargo command that are shown.
const TAIL: usize = 60;

pub fn run(ctx: &Context, report: &mut Report) {
    if !report.may_want("host") {
        return;
    }
    cargo_tool(ctx, report, "host::fmt", "fmt", &["--all", "--check"]);
    cargo_tool(
        ctx,
        report,
        "host::clippy",
        "clippy",
        &["--workspace", "--all-targets", "--", "-D", "warnings"],
    );
    cargo_tests(ctx, report, "host::tests", |cargo| {
        cargo.args(["test", "--workspace", "--no-fail-fast"]);
    });
    cargo_tests(ctx, report, "host::loom", |cargo| {
        // A target directory of its own: the flag changes every crate.
        cargo
            .args(["test", "--package", "saio-logic", "--release"])
            .args(["--test", "loom"])
            .env("RUSTFLAGS", "--cfg loom")
            .env("CARGO_TARGET_DIR", ctx.target.join("loom"));
    });
}

/// A cargo command with the kernel's system call table named, if there is one.
fn cargo(ctx: &Context) -> Command {
    let mut cargo = tools::cargo(ctx);
    let lock = ctx.lock_cache();
    match lock.and_then(|_lock| tree::prepare(ctx)) {
        Ok(tree) => {
            cargo.env("SAIO_SYSCALL_TBL", tree.dir.join(SYSCALL_TABLE));
        }
        // patches::apply tells it as well, and fails.
        Err(error) => eprintln!("x: testing without the kernel's tree: {error:#}"),
    }
    cargo
}

/// Runs a cargo subcommand that is one test, if it is installed.
fn cargo_tool(ctx: &Context, report: &mut Report, name: &str, tool: &str, args: &[&str]) {
    if !report.wants(name) {
        return;
    }
    let version = exec::output(tools::cargo(ctx).args([tool, "--version"]));
    if version.is_err() && !ctx.dry_run {
        let reason = format!("cargo {tool} is not installed");
        report.record(name, Outcome::Skip(reason));
        return;
    }
    exec::step(name);
    match exec::run(ctx, tools::cargo(ctx).arg(tool).args(args)) {
        Ok(()) => report.record(name, Outcome::Pass),
        Err(error) => report.record(name, failure(format!("{error:#}"))),
    }
}

/// Runs cargo tests; each of them counts.
fn cargo_tests(ctx: &Context, report: &mut Report, group: &str, build: impl Fn(&mut Command)) {
    if !report.wants_group(group) {
        return;
    }
    if report.list {
        println!("{group}::...");
        return;
    }
    exec::step(group);
    let mut command = cargo(ctx);
    build(&mut command);
    if let Some(rest) = report.rest_for(group) {
        command.arg(rest);
    }
    if ctx.dry_run {
        exec::print(&command);
        return;
    }
    if let Err(error) = stream_tests(ctx, report, group, &mut command) {
        report.record(group, failure(format!("{error:#}")));
    }
}

/// Runs a command and records the results in its output as they come.
fn stream_tests(
    ctx: &Context,
    report: &mut Report,
    group: &str,
    command: &mut Command,
) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("no pipe from cargo")?;
    let mut text = String::new();
    let mut failed = 0;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read cargo's output")?;
        if let Some((name, outcome)) = test_line(&line) {
            failed += usize::from(matches!(outcome, Outcome::Fail(_)));
            report.record(&format!("{group}::{name}"), outcome);
        }
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait().context("cannot wait for cargo")?;
    let log = ctx.log(&group.replace("::", "-"));
    paths::write(&log, &text)?;
    if failed > 0 {
        println!("{}", guestlog::tail(&text, TAIL));
        println!("full log: {}", log.display());
    } else if !status.success() {
        bail!("{}: {status}", exec::show(command));
    }
    Ok(())
}

/// Reads a line of libtest: `test NAME ... ok`.
fn test_line(line: &str) -> Option<(&str, Outcome)> {
    let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.trim_end_matches(" - should panic");
    let outcome = if verdict == "ok" {
        Outcome::Pass
    } else if let Some(reason) = verdict.strip_prefix("ignored") {
        let reason = reason.trim_start_matches(',').trim();
        Outcome::Skip(if reason.is_empty() { "ignored" } else { reason }.to_string())
    } else if verdict.starts_with("FAILED") {
        failure("see below")
    } else {
        return None;
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_libtest_are_results() {
        assert_eq!(
            test_line("test ring::wraps ... ok"),
            Some(("ring::wraps", Outcome::Pass))
        );
        assert_eq!(
            test_line("test a - should panic ... FAILED"),
            Some(("a", failure("see below")))
        );
        assert_eq!(
            test_line("test slow ... ignored, takes an hour"),
            Some(("slow", Outcome::Skip("takes an hour".to_string())))
        );
        assert_eq!(test_line("test result: ok. 3 passed; 0 failed"), None);
        assert_eq!(test_line("running 3 tests"), None);
    }
}
