// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the series and the overlay: form, and that they build on and off.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Result};

use super::{failure, Report};
use crate::exec;
use crate::kbuild;
use crate::kconfig::Config;
use crate::ktap::Outcome;
use crate::overlay;
use crate::patches::{self, Patch};
use crate::paths::Context;
use crate::tree::{self, Tree};

/// The clippy of the compiler that builds the kernel.
const CLIPPY_DRIVER: &str = "/usr/bin/clippy-driver";

/// A patch with more changed lines than this is no hook any more.
const MAX_CHANGED_LINES: usize = 60;

pub fn run(ctx: &Context, report: &mut Report) {
    if !report.may_want("patches") {
        return;
    }
    let series = match patches::load(ctx) {
        Ok(series) => series,
        Err(error) => {
            report.record("patches::series", failure(format!("{error:#}")));
            return;
        }
    };
    report.step("patches::apply", || prepare(ctx).map(drop));
    for patch in &series {
        report.step(&format!("patches::{}", patch.name), || {
            form(patch)?;
            checkpatch(ctx, &prepare(ctx)?, patch)
        });
    }
    report.step("patches::rustfmt", || rustfmt(ctx, &prepare(ctx)?));
    report.step("patches::checkpatch", || {
        let mut files: Vec<PathBuf> = overlay::list(ctx)?.into_values().collect();
        files.retain(|file| file.extension().is_some_and(|ext| ext == "c" || ext == "h"));
        // ENOSYS is what a system call is for a task of the wrong kind, as checkpatch wants it.
        let mut checkpatch = checkpatch_of(&prepare(ctx)?);
        checkpatch.args(["--ignore", "ENOSYS", "-f"]).args(files);
        judge(ctx, checkpatch)
    });
    if Path::new(CLIPPY_DRIVER).exists() || ctx.dry_run {
        report.step("patches::clippy", || clippy(ctx));
    } else if report.wants("patches::clippy") {
        let reason = format!(
            "{CLIPPY_DRIVER} does not exist: install rust-web-clippy (Debian 12) or rust-clippy"
        );
        report.record("patches::clippy", Outcome::Skip(reason));
    }
    report.step("patches::build-on", || {
        kbuild::build(ctx, Config::Plain).map(drop)
    });
    report.step("patches::build-off", || {
        let mut sources: Vec<PathBuf> = patches::touched(&series).into_iter().collect();
        sources.retain(|file| file.extension().is_some_and(|ext| ext == "c"));
        kbuild::build_objects(ctx, Config::Off, &sources)
    });
}

/// The patched tree; quick when it is up to date.
fn prepare(ctx: &Context) -> Result<Tree> {
    let _lock = ctx.lock_cache()?;
    tree::prepare(ctx)
}

/// Checks what makes a patch a hook that could be sent upstream.
fn form(patch: &Patch) -> Result<()> {
    if patch.changed_lines > MAX_CHANGED_LINES {
        bail!(
            "{} changed lines, at most {MAX_CHANGED_LINES} are allowed; split it or move code to \
             rust/kernel-saio/",
            patch.changed_lines
        );
    }
    if patch.subject.is_none() || !patch.signed_off {
        bail!("not in mail format: Subject and Signed-off-by are needed");
    }
    if let Some(file) = patch.added_or_removed.first() {
        bail!("adds or removes {}", file.display());
    }
    Ok(())
}

fn checkpatch(ctx: &Context, tree: &Tree, patch: &Patch) -> Result<()> {
    let mut checkpatch = checkpatch_of(tree);
    checkpatch.arg(&patch.path);
    judge(ctx, checkpatch)
}

fn checkpatch_of(tree: &Tree) -> Command {
    let mut checkpatch = Command::new("perl");
    checkpatch
        .arg(tree.dir.join("scripts/checkpatch.pl"))
        .args(["--no-tree", "--terse", "--no-summary", "--color=never"]);
    checkpatch
}

/// Runs checkpatch: any word of it is a failure.
fn judge(ctx: &Context, mut checkpatch: Command) -> Result<()> {
    if ctx.dry_run {
        exec::print(&checkpatch);
        return Ok(());
    }
    let output = checkpatch.output()?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
}

/// Has clippy look at the kernel's Rust; any word of it on our files is a failure.
fn clippy(ctx: &Context) -> Result<()> {
    let crate_root = PathBuf::from("kernel/saio/saio.rs");
    let said = kbuild::clippy(ctx, Path::new(CLIPPY_DRIVER), &[crate_root])?;
    let words = on_our_files(&said);
    if words.is_empty() {
        return Ok(());
    }
    bail!("{}", words.join("\n\n"));
}

/// The paragraphs of a log that point to the feature's files.
fn on_our_files(log: &str) -> Vec<&str> {
    log.split("\n\n")
        .filter(|words| words.contains("--> ") && words.contains("/kernel/saio/"))
        .collect()
}

/// Checks the kernel's Rust with the kernel's own settings.
fn rustfmt(ctx: &Context, tree: &Tree) -> Result<()> {
    let mut files: Vec<PathBuf> = overlay::list(ctx)?.into_values().collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "rs"));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt
        .args(["--check", "--edition", "2021", "--config-path"])
        .arg(tree.dir.join(".rustfmt.toml"))
        .args(files);
    exec::run(ctx, &mut rustfmt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_on_our_files_count() {
        let log = "  CLIPPY L rust/ffi.o\nwarning: other\n\n  CLIPPY kernel/saio/saio.o\n\
                   warning: unneeded return\n --> /t/kernel/saio/ring.rs:1:2\n  |\n\n\
                   warning: 1 warning emitted\n";
        let words = on_our_files(log);
        assert_eq!(words.len(), 1);
        assert!(words[0].contains("unneeded return"));
        assert!(on_our_files("warning: x\n --> /t/rust/kernel/lib.rs:1:2\n").is_empty());
    }
}
