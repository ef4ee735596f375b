// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guard: a few figures that repeat well, measured in one boot and compared
//! with a reference that is part of the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::bench;
use crate::boot::{self, Guest, MachineArgs};
use crate::exec;
use crate::paths::{self, Context};
use crate::tools;

/// The figures.
const FIGURES: &str = "configs/bench/guard.toml";
/// What they were.
const REFERENCE: &str = "configs/bench/guard-reference.json";
/// Seconds until the guest is ended.
const TIME_LIMIT: u64 = 1200;

/// How the loss, or the gain, becomes the reference.
pub const RENEW: &str = "if it is meant: ./x bench --guard --accept, and commit \
                         configs/bench/guard-reference.json";

/// What the figures depend on besides this tree: a name, and a command that
/// tells the version.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("libc", &["ldd", "--version"]),
    ("nginx", &["nginx", "-v"]),
    ("redis", &["redis-server", "--version"]),
    ("rustc", &["rustc", "--version"]),
];

/// What was measured, and what with.
#[derive(Debug)]
pub struct Measured {
    /// The directory of the results
    results: PathBuf,
    /// Names and versions
    made_with: Vec<(String, String)>,
}

/// The verdict on one value, as bench-report prints it.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// Its name
    pub name: String,
    /// What it was
    pub reference: String,
    /// What it is
    pub seen: String,
    /// Times better than it was
    pub ratio: Option<f64>,
    /// `same`, `better`, `worse`, `gone`, `new` or `not-judged`
    pub status: String,
}

/// The verdict on all of them.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Versions that are not those of the reference
    pub differences: Vec<String>,
    /// The values
    pub rows: Vec<Row>,
}

/// `./x bench --guard`: measures and prints the comparison, or with `accept`
/// makes what was seen the reference. Returns the exit status.
///
/// # Errors
///
/// Something does not build, or nothing could be measured.
pub fn bench(ctx: &Context, accept: bool) -> Result<i32> {
    let measured = match measure(ctx)? {
        Ok(Some(measured)) => measured,
        Ok(None) => return Ok(0),
        Err(status) => return Ok(status),
    };
    let mut command = command(ctx, &measured);
    if accept {
        command.arg("--accept");
    }
    match exec::run(ctx, &mut command) {
        Ok(()) => Ok(0),
        Err(error) => {
            exec::step(&format!("{error:#}"));
            exec::step(RENEW);
            Ok(1)
        }
    }
}

/// Measures and judges, for tests; a dry run returns none.
///
/// # Errors
///
/// Something does not build, or nothing could be measured.
pub fn report(ctx: &Context) -> Result<Option<Report>> {
    let measured = match measure(ctx)? {
        Ok(Some(measured)) => measured,
        Ok(None) => return Ok(None),
        Err(status) => anyhow::bail!("measuring ended with status {status}; its words are above"),
    };
    let output = command(ctx, &measured)
        .arg("--json")
        .output()
        .context("cannot run bench-report")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
        .map(Some)
}

/// Names of the values in the reference.
///
/// # Errors
///
/// It cannot be read.
pub fn names(ctx: &Context) -> Result<BTreeSet<String>> {
    let file = ctx.root.join(REFERENCE);
    let reference: Value = serde_json::from_str(&paths::read(&file)?)
        .with_context(|| format!("{} is not JSON", file.display()))?;
    let values = reference["values"].as_object();
    let values = values.with_context(|| format!("{} has no values", file.display()))?;
    Ok(values.keys().cloned().collect())
}

/// bench-report on what was measured.
fn command(ctx: &Context, measured: &Measured) -> Command {
    let mut command = Command::new(ctx.program("bench-report"));
    command.arg("guard").arg(&measured.results);
    command.arg("--reference").arg(ctx.root.join(REFERENCE));
    for (name, version) in &measured.made_with {
        command.arg(format!("--made-with={name}={version}"));
    }
    command
}

/// Boots once and measures. A dry run returns none; a guest that fails, its
/// exit status.
fn measure(ctx: &Context) -> Result<std::result::Result<Option<Measured>, i32>> {
    tools::build(ctx)?;
    let machine = MachineArgs {
        cpus: 1,
        icount: true,
        time_limit: Some(TIME_LIMIT),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &machine, "guard")?;
    let mut argv = vec![
        ctx.program("saio-bench").display().to_string(),
        "run".to_string(),
        ctx.root.join(FIGURES).display().to_string(),
    ];
    argv.extend(guest.described(machine.config, "./x bench --guard"));
    let Some(outcome) = guest.run(ctx, &argv, &mut boot::pass_through)? else {
        return Ok(Ok(None));
    };
    let status = boot::judge(&outcome);
    if status != 0 {
        return Ok(Err(status));
    }
    // Of this run only: a figure that is gone must not look well.
    let results = ctx.out().join("guard");
    if results.exists() {
        fs::remove_dir_all(&results)
            .with_context(|| format!("cannot remove {}", results.display()))?;
    }
    paths::make_dir(&results)?;
    bench::fetch(&guest.out_dir(), &results)?;
    let made_with = made_with(ctx, &guest)?;
    Ok(Ok(Some(Measured { results, made_with })))
}

/// What the figures depend on besides this tree.
fn made_with(ctx: &Context, guest: &Guest) -> Result<Vec<(String, String)>> {
    let mut all = vec![("kernel".to_string(), guest.release().to_string())];
    let config = paths::read(&guest.build_dir()?.join(".config"))?;
    all.extend(compilers(&config));
    let qemu = [&*ctx.qemu.to_string_lossy(), "--version"];
    all.push(("qemu".to_string(), version(&qemu)));
    let programs = PROGRAMS.map(|(name, command)| (name.to_string(), version(command)));
    all.extend(programs);
    Ok(all)
}

/// The compilers of a kernel, by its configuration.
fn compilers(config: &str) -> Vec<(String, String)> {
    let value = |key: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches(['=', '"']).to_string())
    };
    [
        ("kernel cc", "CONFIG_CC_VERSION_TEXT"),
        ("kernel rustc", "CONFIG_RUSTC_VERSION_TEXT"),
    ]
    .into_iter()
    .filter_map(|(name, key)| Some((name.to_string(), value(key)?)))
    .collect()
}

/// The first line that a command says, on stdout or stderr; `none` where it is
/// not installed, as saio-bench leaves out its server then.
fn version(command: &[&str]) -> String {
    // As in the guest.
    let path = |program: &str| {
        let dirs = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
        let mut places = dirs.iter().map(|dir| Path::new(dir).join(program));
        places.find(|place| place.exists())
    };
    let program = path(command[0]).unwrap_or_else(|| command[0].into());
    let Ok(output) = Command::new(program).args(&command[1..]).output() else {
        return "none".to_string();
    };
    let said = match output.stdout.is_empty() {
        true => output.stderr,
        false => output.stdout,
    };
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().next().unwrap_or("none").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_first_lines() {
        let said = version(&["sh", "-c", "echo one >&2; echo two >&2"]);
        assert_eq!(said, "one");
        assert_eq!(version(&["echo", "a"]), "a");
        assert_eq!(version(&["no-such-program"]), "none");
    }

    #[test]
    fn compilers_are_those_of_the_configuration() {
        let config = "CONFIG_CC_VERSION_TEXT=\"clang 19\"\nCONFIG_X=y\n";
        let expected = [("kernel cc".to_string(), "clang 19".to_string())];
        assert_eq!(compilers(config), expected);
    }
}
