// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results of measurements: where they lie, what is drawn of them, and how they
//! are judged.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::exec;
use crate::paths::Context;

/// The directory of all results files.
pub fn results(ctx: &Context) -> PathBuf {
    ctx.out().join("results")
}

/// Draws the report of all results and returns its page; a dry run prints the
/// command.
///
/// # Errors
///
/// There are no results, or they cannot be used.
pub fn draw(ctx: &Context) -> Result<PathBuf> {
    let page = ctx.out().join("report");
    let mut report = Command::new(ctx.program("bench-report"));
    report
        .arg("generate")
        .arg(results(ctx))
        .arg("-o")
        .arg(&page);
    if ctx.dry_run {
        exec::print(&report);
    } else {
        exec::output(&mut report)?;
    }
    Ok(page.join("index.html"))
}

/// Shows which goals of a file the results reach, and says whether all are.
/// Figures that were left out come with the reason.
pub fn check_goals(ctx: &Context, goals: &str, left_out: &[(String, String)]) -> bool {
    let mut check = Command::new(ctx.program("bench-report"));
    check
        .arg("check")
        .arg(results(ctx))
        .arg("--goals")
        .arg(ctx.root.join(goals));
    for (figure, reason) in left_out {
        check.arg(format!("--left-out={figure}={reason}"));
    }
    let checked = exec::run(ctx, &mut check);
    if let Err(error) = &checked {
        exec::step(&format!("not every goal is reached ({error:#})"));
    }
    println!();
    checked.is_ok()
}
