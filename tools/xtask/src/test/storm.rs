// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers under load that are killed, or whose allocations fail: a short form of `saio-bench storm`.

use super::guest::{self, Place};
use super::{failure, Report};
use crate::paths::Context;
use crate::tools;

/// On the plain kernel, with seconds for each of what happens.
const PLAIN: [&str; 4] = ["kill", "oom", "--seconds", "20"];

/// On the kernel with fault injection: one round of everything, which takes its time there.
const DEBUG: [&str; 3] = ["faults", "--seconds", "1"];

/// Servers that are killed, by us and by the kernel.
pub fn run(ctx: &Context, report: &mut Report) {
    storm(ctx, report, &guest::SERVER_GUEST, &PLAIN);
}

/// Servers whose allocations fail.
pub fn run_on_debug(ctx: &Context, report: &mut Report) {
    storm(ctx, report, &guest::DEBUG, &DEBUG);
}

fn storm(ctx: &Context, report: &mut Report, place: &Place, how: &[&str]) {
    let name = format!("{}::storm", place.group);
    if report.list {
        if report.wants_group(&name) {
            println!("{name}..");
        }
        return;
    }
    if !report.wants_group(&name) {
        return;
    }
    if let Err(error) = tools::build(ctx) {
        report.record(&format!("{name}.build"), failure(format!("{error:#}")));
        return;
    }
    let mut argv = vec![
        ctx.program("saio-bench").display().to_string(),
        "storm".to_string(),
    ];
    argv.extend(how.iter().map(|word| (*word).to_string()));
    if let Err(error) = guest::boot_ktap(ctx, report, place, &argv) {
        report.record(&format!("{name}.boot"), failure(format!("{error:#}")));
    }
}
