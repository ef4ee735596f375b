// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random cases, always the same ones: on the plain kernel a check that the fuzzer works as much as of
//! the kernel, on the debug kernel what each change should stand. Longer runs are started by `./x fuzz`.

use super::{failure, Report};
use crate::fuzz::{self, FuzzArgs};
use crate::kconfig::Config;
use crate::ktap::Outcome;
use crate::paths::Context;

/// Seconds of cases on the plain kernel and on the debug kernel.
const SECONDS: u64 = 20;
const DEBUG_SECONDS: u64 = 300;

/// Runs them on the plain kernel.
pub fn run(ctx: &Context, report: &mut Report) {
    cases(ctx, report, "guest::fuzz", SECONDS, Config::Plain);
}

/// Runs more of them on the debug kernel.
pub fn run_on_debug(ctx: &Context, report: &mut Report) {
    cases(ctx, report, "debug::fuzz", DEBUG_SECONDS, Config::Debug);
}

fn cases(ctx: &Context, report: &mut Report, name: &str, seconds: u64, config: Config) {
    if !report.wants(name) {
        return;
    }
    let mut output = Vec::new();
    let outcome = fuzz::outcome(ctx, &FuzzArgs::always(seconds, config), &mut |bytes| {
        output.extend_from_slice(bytes);
    });
    match outcome {
        // A dry run
        Ok(None) => {}
        Ok(Some(outcome)) => {
            let problem = fuzz::problem(&outcome, &String::from_utf8_lossy(&output));
            report.record(name, problem.map_or(Outcome::Pass, failure));
        }
        Err(error) => report.record(name, failure(format!("{error:#}"))),
    }
}
