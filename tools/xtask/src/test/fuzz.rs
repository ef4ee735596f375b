// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random cases, always the same ones: a check that the fuzzer works as much as of the kernel.
//! Longer runs, and those on the checking kernel, are started by `./x fuzz`.

use super::{failure, Report};
use crate::fuzz::{self, FuzzArgs};
use crate::ktap::Outcome;
use crate::paths::Context;

const NAME: &str = "guest::fuzz";

/// Seconds of cases.
const SECONDS: u64 = 20;

/// Runs them.
pub fn run(ctx: &Context, report: &mut Report) {
    if !report.wants(NAME) {
        return;
    }
    let mut output = Vec::new();
    let outcome = fuzz::outcome(ctx, &FuzzArgs::short(SECONDS), &mut |bytes| {
        output.extend_from_slice(bytes);
    });
    match outcome {
        // A dry run
        Ok(None) => {}
        Ok(Some(outcome)) => {
            let problem = fuzz::problem(&outcome, &String::from_utf8_lossy(&output));
            report.record(NAME, problem.map_or(Outcome::Pass, failure));
        }
        Err(error) => report.record(NAME, failure(format!("{error:#}"))),
    }
}
