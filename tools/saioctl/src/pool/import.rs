// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool import`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use saio::pool::Name;
use serde::Serialize;

use super::error::unusable;
use super::esca::{self, Key, Translation};
use super::file::{self, Machine, Wanted};
use super::kernel::{Kernel, Pools};
use super::report::{print_outcomes, Outcome, Report};
use super::{apply, look, print_json, set, Presence, SCHEMA};
use crate::output::{print, say, warn};

/// Arguments of `saioctl pool import`.
#[derive(Args)]
pub struct ImportArgs {
    /// The configuration of ESCA or of the original SAIO
    file: PathBuf,

    /// Name of the pool
    #[arg(long, default_value = "esca")]
    name: Name,

    /// Makes the pool, as saioctl pool apply does
    #[arg(long)]
    apply: bool,

    /// Writes the translation to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Writes the translation, and what became of each key, as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Imported<'a> {
    schema: u32,
    pool: &'a str,
    keys: &'a [Key],
    warnings: &'a [String],
    toml: &'a str,
    applied: Option<Report<'a>>,
}

/// Translates an esca.conf.
///
/// # Errors
///
/// A file cannot be read, understood or written, or the kernel refuses the pool.
pub fn import(args: &ImportArgs) -> Result<()> {
    let shown = args.file.display();
    let mut translation = read(&args.file)?;
    let toml = translation.toml(&args.name);
    // First, so that it is there if the kernel refuses the pool.
    if let Some(output) = &args.output {
        fs::write(output, &toml)
            .with_context(|| format!("-o: cannot write {}", output.display()))?;
    }

    let mut outcomes = None;
    if args.apply {
        let machine = Machine::this()?;
        let wanted =
            fitting(&toml, &machine).map_err(|fault| unusable(format!("{shown}: {fault}")))?;
        outcomes = Some(apply::bring_about(
            &Kernel, &wanted, &machine, false, false,
        )?);
    } else if let Ok(machine) = Machine::this() {
        // It may be meant for another one.
        if let Err(fault) = fitting(&toml, &machine) {
            warn(format_args!("{shown}: {fault}"));
            translation.warnings.push(fault);
        }
    }
    if args.json {
        return print_json(&Imported {
            schema: SCHEMA,
            pool: args.name.as_str(),
            keys: &translation.keys,
            warnings: &translation.warnings,
            toml: &toml,
            applied: outcomes
                .as_ref()
                .map(|outcomes| Report::new(outcomes, false)),
        });
    }
    match &outcomes {
        Some(outcomes) => {
            print(&translation.words())?;
            print_outcomes(outcomes, false, false)
        }
        None if args.output.is_some() => print(&translation.words()),
        None => print(&toml),
    }
}

/// Translates a file, and warns of what is odd in it.
fn read(file: &Path) -> Result<Translation> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| unusable(format!("cannot read {shown}: {error}")))?;
    let translation =
        esca::translate(&text).map_err(|error| unusable(format!("{shown}:{error}")))?;
    for warning in &translation.warnings {
        warn(format_args!("{shown}:{warning}"));
    }
    Ok(translation)
}

/// For `saioctl run`: makes the pool that a file describes, or changes what the file says of it, and says on stderr
/// what became of the keys and of the pool.
///
/// # Errors
///
/// The file cannot be read or understood, or the kernel refuses the pool.
pub fn settle(file: &Path, name: &Name) -> Result<()> {
    let shown = file.display();
    let translation = read(file)?;
    for key in &translation.keys {
        say(format_args!("{shown}: {key}"));
    }
    match look(name)? {
        Presence::There | Presence::Missing => {}
        // What that means is said by who wants to use the pool.
        Presence::NoPools | Presence::Hidden(_) => return Ok(()),
    }
    let outcome = bring_about(&Kernel, &translation, name, &Machine::this()?)
        .map_err(|error| error.context(shown.to_string()))?;
    say(format_args!("pool {}", outcome.text().trim_end()));
    if outcome.is_for_root_alone() {
        say(format_args!(
            "pool {name} is for root alone: a server that changes its user before it serves runs inline; let it in: saioctl pool set {name} --group GROUP"
        ));
    }
    Ok(())
}

/// What the file does not speak of, such as a group that was given by hand, stays as it is.
fn bring_about(
    kernel: &dyn Pools,
    translation: &Translation,
    name: &Name,
    machine: &Machine,
) -> Result<Outcome> {
    let wanted = fitting(&translation.toml(name), machine).map_err(unusable)?;
    let change = wanted.into_iter().next().map(|wanted| wanted.change);
    set::bring_about(kernel, name, &change.unwrap_or_default())
}

/// The pool, if this machine can have it.
fn fitting(toml: &str, machine: &Machine) -> Result<Vec<Wanted>, String> {
    file::parse(toml, machine)
        .map_err(|fault| format!("this machine cannot have the pool: translation, line {fault}"))
}

#[cfg(test)]
mod tests {
    use saio::pool::{Change, Group};

    use super::super::kernel::fake::Fake;
    use super::super::report::Did;
    use super::*;

    #[test]
    fn run_leaves_alone_what_the_file_does_not_say() {
        let kernel = Fake::new();
        let name = "web".parse().unwrap();
        let machine = Machine {
            possible: (0..8).collect(),
            group: |_| Err(String::new()),
        };
        let run = |esca: &str| {
            let translation = esca::translate(esca).unwrap();
            bring_about(&kernel, &translation, &name, &machine).unwrap()
        };
        let outcome = run("max_ker_worker = 2\n");
        assert_eq!(outcome.did(), Did::Created);
        assert!(outcome.is_for_root_alone());
        let group = Change {
            group: Some(Group::Id(33)),
            ..Default::default()
        };
        kernel.set(&name, &group).unwrap();
        let outcome = run("max_ker_worker = 3\n");
        assert_eq!(outcome.did(), Did::Changed);
        assert!(!outcome.is_for_root_alone());
        assert_eq!(run("max_ker_worker = 3\n").did(), Did::Unchanged);
    }

    #[test]
    fn cpus_must_be_there() {
        let machine = Machine {
            possible: (0..4).collect(),
            group: |_| Err(String::new()),
        };
        let of = |offset: u32| {
            let esca = format!("max_usr_worker = 2\naffinity_offset = {offset}\n");
            let toml = esca::translate(&esca).unwrap();
            fitting(&toml.toml(&"web".parse().unwrap()), &machine)
        };
        assert_eq!(of(2).unwrap().len(), 1);
        let fault = of(3).unwrap_err();
        assert!(fault.contains("CPUs 4 do not exist here"), "{fault}");
    }
}
