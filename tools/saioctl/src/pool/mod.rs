// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool`: the worker pools of the system.

mod apply;
mod error;
mod esca;
mod file;
mod import;
mod kernel;
mod list;
mod plan;
mod remove;
mod report;
mod set;
mod show;
mod spec;

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Subcommand;
use nix::errno::Errno;
use saio::pool::Name;
use serde::Serialize;

use kernel::{Kernel, Pools};

pub use error::Unusable;

/// Version of the JSON output; changes when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// What to do with pools.
#[derive(Subcommand)]
pub enum Action {
    /// Makes a pool, or changes what is given of one
    ///
    /// It holds at once, also for threads that run. Needs root. Says what the pool is set to afterwards.
    #[command(after_long_help = "Examples:\n  \
        One thread beside nginx, on CPUs of its own, for nginx's workers:\n    \
        saioctl pool set web --workers 1..4 --cpus 2-5 --idle 500us --group www-data\n  \
        Another thread while there is much to do:\n    saioctl pool set web --workers 2")]
    Set(set::SetArgs),

    /// Lists the pools
    #[command(after_long_help = "Examples:\n  \
        Names of the pools that nobody uses:\n    \
        saioctl pool list --json | jq -r '.pools[] | select(.rings == 0) | .name'")]
    List(list::ListArgs),

    /// Shows a pool with its counters and how long operations waited for a thread
    Show(show::ShowArgs),

    /// Removes a pool
    ///
    /// Refused while rings are attached to it. With --force these go to the pool default, and everything that they
    /// have queued still leaves. Needs root.
    Rm(remove::RemoveArgs),

    /// Makes and changes pools as a file says
    ///
    /// The file says all there is to say about its pools: what it leaves out of one gets its default (for the pool
    /// default, it stays as it is). All or nothing: the file is checked first, and if the kernel refuses something
    /// midway, what was done before is put back. Needs root. A second run changes nothing.
    #[command(after_long_help = "Such a file (more of them in configs/pools):\n  \
        [pool.web]\n  \
        workers = 1          # threads that may be runnable at a time\n  \
        max = 4              # threads in all; default: twice workers\n  \
        cpus = \"2-5\"         # or \"all\", the default\n  \
        idle = \"500us\"       # default: 200us\n  \
        group = \"www-data\"   # or a number, or \"any\"; default: root\n\n\
        Examples:\n  \
        What would change:\n    saioctl pool apply pools.toml --dry-run\n  \
        The pools of the file, and no others:\n    saioctl pool apply pools.toml --prune")]
    Apply(apply::ApplyArgs),

    /// Translates an esca.conf into a file for pool apply
    ///
    /// Writes it to stdout, with what became of each key as comments.
    #[command(after_long_help = "Examples:\n  \
        Look at it first:\n    saioctl pool import esca.conf --name web -o web.toml\n  \
        At once:\n    saioctl pool import esca.conf --name web --apply")]
    Import(import::ImportArgs),
}

/// Does it. Returns the exit status.
///
/// # Errors
///
/// The kernel refuses, or, as [`Unusable`], what was asked for makes no sense here.
pub fn pool(action: &Action) -> Result<u8> {
    match action {
        Action::Set(args) => set::set(args)?,
        Action::List(args) => list::list(args)?,
        Action::Show(args) => show::show(args)?,
        Action::Rm(args) => remove::remove(args)?,
        Action::Apply(args) => apply::apply(args)?,
        Action::Import(args) => import::import(args)?,
    }
    Ok(0)
}

/// Whether there is a pool of this name; `None`: the kernel has no pools.
///
/// # Errors
///
/// The kernel does not say.
pub fn exists(name: &Name) -> Result<Option<bool>> {
    match Kernel.get(name) {
        Ok(_) => Ok(Some(true)),
        Err(error) => match error::errno(&error) {
            Errno::ENOENT => Ok(Some(false)),
            Errno::ENOSYS => Ok(None),
            _ => Err(error::looking(error)),
        },
    }
}

/// The error that there is no pool of this name: it says which there are.
pub fn missing(name: &Name) -> anyhow::Error {
    error::missing(&Kernel, name)
}

fn print(text: &str) -> Result<()> {
    io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")
}

fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}
