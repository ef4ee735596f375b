// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's own tests of seccomp, on the patched kernel: the series changes how filters are asked.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Context as _, Result};

use super::{failure, Report};
use crate::boot::{Guest, MachineArgs, TAIL};
use crate::exec;
use crate::guestlog;
use crate::ktap::{Outcome, Parser};
use crate::paths::{self, Context};
use crate::qemu;
use crate::tree;

/// All of them are one test here.
const NAME: &str = "guest::kernel.seccomp_bpf";

/// Where they are in the kernel tree.
const SOURCE: &str = "tools/testing/selftests/seccomp/seccomp_bpf.c";

/// Seconds for the boot, under emulation.
const TIME_LIMIT: u64 = 600;

/// Runs them on the plain kernel.
pub fn run(ctx: &Context, report: &mut Report) {
    if !report.wants(NAME) {
        return;
    }
    let mut output = Vec::new();
    let outcome = match boot(ctx, &mut output) {
        // A dry run
        Ok(None) => return,
        Ok(Some(outcome)) => judge(&outcome, &String::from_utf8_lossy(&output)),
        Err(error) => failure(format!("{error:#}")),
    };
    report.record(NAME, outcome);
}

fn boot(ctx: &Context, output: &mut Vec<u8>) -> Result<Option<qemu::Outcome>> {
    let program = build(ctx)?;
    let args = MachineArgs {
        time_limit: Some(TIME_LIMIT),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &args, "seccomp")?;
    exec::step(&format!("{NAME}: booting Linux {}", guest.release()));
    let argv = [program.display().to_string()];
    guest.run(ctx, &argv, &mut |bytes| output.extend_from_slice(bytes))
}

/// Builds the program as `make kselftest` does, but with the distribution's headers: it brings what older
/// ones lack.
fn build(ctx: &Context) -> Result<PathBuf> {
    let tree = {
        let _lock = ctx.lock_cache()?;
        tree::prepare(ctx)?
    };
    let program = ctx.out().join("seccomp_bpf");
    if !ctx.dry_run {
        paths::make_dir(&ctx.out())?;
    }
    let mut cc = Command::new("gcc");
    cc.args(["-O2", "-D_GNU_SOURCE=", "-o"])
        .arg(&program)
        .arg(tree.dir.join(SOURCE))
        .args(["-lpthread", "-lcap"]);
    exec::run(ctx, &mut cc).context("is the package libcap-dev installed?")?;
    Ok(program)
}

/// One failure fails all; what was skipped is printed.
fn judge(outcome: &qemu::Outcome, output: &str) -> Outcome {
    let log = || {
        let tail = guestlog::tail(&outcome.log, TAIL);
        format!("{tail}\nfull log: {}", outcome.log_path.display())
    };
    match check(output) {
        Err(problem) => return failure(format!("{problem:#}\n{}", log())),
        Ok(skipped) => {
            for (name, reason) in skipped {
                println!("     {name} was skipped ({reason})");
            }
        }
    }
    if !outcome.complaints.is_empty() || outcome.status != Some(0) {
        let complaints = outcome.complaints.join("\n");
        let status = outcome.status;
        return failure(format!("status {status:?}\n{complaints}\n{}", log()));
    }
    Outcome::Pass
}

/// Reads the results: which tests were skipped, and why.
///
/// # Errors
///
/// Some failed, or are missing.
fn check(output: &str) -> Result<Vec<(String, String)>> {
    let mut parser = Parser::default();
    let mut results: Vec<_> = (output.lines())
        .flat_map(|line| parser.line(line))
        .collect();
    results.extend(parser.complete());
    let (mut skipped, mut failed) = (Vec::new(), Vec::new());
    for result in results {
        match result.outcome {
            Outcome::Pass => {}
            Outcome::Skip(reason) => skipped.push((result.name, reason)),
            Outcome::Fail(notes) => failed.push(format!("{}: {notes}", result.name)),
        }
    }
    if let Some(missing) = parser.missing() {
        failed.push(missing);
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "TAP version 13\n1..2\n# Starting 2 tests\n#  RUN  global.a ...\n\
                        #  OK  global.a\nok 1 global.a\nok 2 global.b # SKIP needs more\n";

    #[test]
    fn what_was_skipped_is_told() {
        let skipped = check(GOOD).unwrap();
        let expected = ("global.b".to_string(), "needs more".to_string());
        assert_eq!(skipped, [expected]);
    }

    #[test]
    fn one_failure_fails_all() {
        let text = GOOD.replace("ok 1", "# expected 3\nnot ok 1");
        let problem = check(&text).unwrap_err().to_string();
        assert!(problem.contains("global.a"), "{problem}");
        assert!(problem.contains("expected 3"), "{problem}");
    }

    #[test]
    fn nothing_may_be_missing() {
        assert!(check("").is_err());
        assert!(check(GOOD.trim_end().rsplit_once('\n').unwrap().0).is_err());
    }
}
