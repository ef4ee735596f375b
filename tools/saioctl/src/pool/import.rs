// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool import`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use saio::pool::Name;
use serde::Serialize;

use super::error::unusable;
use super::esca::{self, Key};
use super::file::{self, Machine, Wanted};
use super::kernel::Kernel;
use super::report::{print_outcomes, Report};
use super::{apply, print_json, SCHEMA};
use crate::output::{print, warn};

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
    let text = fs::read_to_string(&args.file)
        .map_err(|error| unusable(format!("cannot read {shown}: {error}")))?;
    let mut translation =
        esca::translate(&text).map_err(|error| unusable(format!("{shown}:{error}")))?;
    for warning in &translation.warnings {
        warn(format_args!("{shown}:{warning}"));
    }
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

/// The pool, if this machine can have it.
fn fitting(toml: &str, machine: &Machine) -> Result<Vec<Wanted>, String> {
    file::parse(toml, machine)
        .map_err(|fault| format!("this machine cannot have the pool: translation, line {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
