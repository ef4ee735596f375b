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

/// Shows which goals of a file the results reach, if there is such a file.
/// Missing one is no failure.
pub fn check_goals(ctx: &Context, goals: &str) {
    let goals = ctx.root.join(goals);
    if !goals.exists() {
        return;
    }
    let mut check = Command::new(ctx.program("bench-report"));
    check
        .arg("check")
        .arg(results(ctx))
        .arg("--goals")
        .arg(goals);
    if let Err(error) = exec::run(ctx, &mut check) {
        exec::step(&format!("not every goal is reached ({error:#})"));
    }
    println!();
}
