// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool set`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use nix::errno::Errno;
use saio::pool::{Change, Group, Name};

use super::error::{changing, errno, looking, unusable};
use super::kernel::{Kernel, Pools};
use super::plan::needed;
use super::report::{print_outcomes, Outcome};
use super::spec::{self, CpuSpec, Workers};

/// Arguments of `saioctl pool set`.
#[derive(Args)]
pub struct SetArgs {
    /// The pool: 1 to 31 letters, digits, '-', '_' and '.'
    name: Name,

    /// Threads that may be runnable at a time; with ..M also the threads in all, as one that waits for the disk is
    /// replaced meanwhile [default of a new pool: 1, and twice as many in all]
    #[arg(long, value_name = "N[..M]")]
    workers: Option<Workers>,

    /// CPUs that the threads may run on: a list such as 2-5,8, or all [default of a new pool: all]
    #[arg(long)]
    cpus: Option<CpuSpec>,

    /// How long a thread looks for work before it sleeps, such as 500us or 2ms, at most 1s [default of a new pool:
    /// 200us]
    #[arg(long, value_name = "TIME", value_parser = spec::idle)]
    idle: Option<Duration>,

    /// Who may attach besides root: the name or number of a group, or any for everybody [default of a new pool: root]
    #[arg(long, value_parser = spec::group)]
    group: Option<Group>,

    /// Writes what was done as JSON
    #[arg(long)]
    json: bool,
}

impl SetArgs {
    fn change(&self) -> Result<Change> {
        let cpus = match &self.cpus {
            Some(cpus) => {
                let cpus = cpus.among(&spec::possible_cpus()?);
                Some(cpus.map_err(|error| unusable(format!("--cpus: {error}")))?)
            }
            None => None,
        };
        Ok(Change {
            workers: self.workers.map(|workers| workers.workers),
            max: self.workers.and_then(|workers| workers.max),
            idle: self.idle,
            cpus,
            group: self.group,
        })
    }
}

/// Makes a pool, or changes it.
///
/// # Errors
///
/// The kernel refuses, or has no such CPUs.
pub fn set(args: &SetArgs) -> Result<()> {
    let outcome = bring_about(&Kernel, &args.name, &args.change()?)?;
    print_outcomes(&[outcome], false, args.json)
}

/// Makes a pool, or changes what is given of one.
///
/// # Errors
///
/// The kernel refuses.
pub fn bring_about(kernel: &dyn Pools, name: &Name, change: &Change) -> Result<Outcome> {
    let before = match kernel.get(name) {
        Ok(pool) => Some(pool),
        Err(error) if errno(&error) == Errno::ENOENT => None,
        Err(error) => return Err(looking(error)),
    };
    let rings = before.as_ref().map_or(0, |pool| pool.rings);
    let before = before.map(|pool| pool.attributes);
    let done = match &before {
        None => kernel.create(name, change),
        Some(now) => match needed(change, now) {
            nothing if nothing == Change::default() => Ok(()),
            needed => kernel.set(name, &needed),
        },
    };
    done.map_err(|error| changing(error, change).context(format!("pool {name}")))?;
    let after = kernel.get(name).map_err(looking)?.attributes;
    Ok(Outcome {
        name: name.clone(),
        rings,
        before,
        after: Some(after),
    })
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::Fake;
    use super::super::report::Did;
    use super::*;

    fn workers(workers: u32) -> Change {
        Change {
            workers: Some(workers),
            ..Default::default()
        }
    }

    #[test]
    fn made_then_changed_then_left_alone() {
        let kernel = Fake::new();
        let name = "web".parse().unwrap();
        let did = |change: &Change| bring_about(&kernel, &name, change).unwrap().did();
        assert_eq!(did(&workers(1)), Did::Created);
        assert_eq!(did(&workers(3)), Did::Changed);
        assert_eq!(kernel.get(&name).unwrap().attributes.max, 3);
        assert_eq!(did(&workers(3)), Did::Unchanged);
        assert_eq!(did(&Change::default()), Did::Unchanged);
        assert_eq!(kernel.calls.get(), 2);
    }

    #[test]
    fn refusal_names_pool_and_fix() {
        let kernel = Fake::failing(&[(1, libc::EPERM)]);
        let error = bring_about(&kernel, &"web".parse().unwrap(), &workers(1)).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("pool web: changing pools needs root"),
            "{text}"
        );
    }
}
