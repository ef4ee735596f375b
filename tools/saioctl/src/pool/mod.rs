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

use std::io;

use anyhow::Result;
use clap::Subcommand;
use nix::errno::Errno;
use saio::pool::{Name, Pool};
use serde::Serialize;

use crate::output::print;
use kernel::{Kernel, Pools};

pub use error::{unusable, Unusable};
pub use import::settle;

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

/// What is known of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    There,
    /// There is none of this name.
    Missing,
    /// The kernel has no pools.
    NoPools,
    /// This process may not look. Rings attach by another call, so that may work all the same.
    Hidden(Errno),
}

/// Looks whether there is a pool of this name.
///
/// # Errors
///
/// The kernel does not answer as it should.
pub fn look(name: &Name) -> Result<Presence> {
    presence(Kernel.get(name))
}

fn presence(got: io::Result<Pool>) -> Result<Presence> {
    match got {
        Ok(_) => Ok(Presence::There),
        Err(error) => match error::errno(&error) {
            Errno::ENOENT => Ok(Presence::Missing),
            Errno::ENOSYS => Ok(Presence::NoPools),
            errno @ (Errno::EPERM | Errno::EACCES) => Ok(Presence::Hidden(errno)),
            _ => Err(error::looking(error)),
        },
    }
}

/// The error that there is no pool of this name: it says which there are.
pub fn missing(name: &Name) -> anyhow::Error {
    error::missing(&Kernel, name)
}

fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odd_answers_are_errors() {
        let of = |errno: Errno| presence(Err(io::Error::from_raw_os_error(errno as i32)));
        assert_eq!(of(Errno::ENOENT).unwrap(), Presence::Missing);
        assert_eq!(of(Errno::ENOSYS).unwrap(), Presence::NoPools);
        for errno in [Errno::EPERM, Errno::EACCES] {
            assert_eq!(of(errno).unwrap(), Presence::Hidden(errno));
        }
        assert!(of(Errno::EINVAL).is_err());
    }
}
