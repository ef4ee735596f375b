// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool rm`.

use std::io;

use anyhow::{anyhow, Error, Result};
use clap::Args;
use nix::errno::Errno;
use saio::pool::{Change, Name};
use saio_logic::sched::MAX_RINGS;

use super::error::{changing, errno, looking, missing, unusable};
use super::kernel::{Kernel, Pools};
use super::report::{print_outcomes, Outcome};

/// Arguments of `saioctl pool rm`.
#[derive(Args)]
pub struct RemoveArgs {
    /// The pool
    name: Name,

    /// Also if rings are attached to it: these go to the pool default
    #[arg(long)]
    force: bool,

    /// Writes what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Removes a pool.
///
/// # Errors
///
/// There is none of that name, it is in use, or the kernel refuses.
pub fn remove(args: &RemoveArgs) -> Result<()> {
    let outcome = bring_about(&Kernel, &args.name, args.force)?;
    print_outcomes(&[outcome], false, args.json)
}

fn bring_about(kernel: &dyn Pools, name: &Name, force: bool) -> Result<Outcome> {
    if name.is_default_pool() {
        return Err(unusable(
            "the pool default cannot be removed: rings that name no pool use it",
        ));
    }
    let pool = kernel.get(name).map_err(|error| match errno(&error) {
        Errno::ENOENT => missing(kernel, name),
        _ => looking(error),
    })?;
    kernel
        .remove(name, force)
        .map_err(|error| refused(kernel, name, error))?;
    Ok(Outcome {
        name: name.clone(),
        rings: pool.rings,
        before: Some(pool.attributes),
        after: None,
    })
}

/// The kernel refuses to remove a pool.
pub fn refused(kernel: &dyn Pools, name: &Name, error: io::Error) -> Error {
    match errno(&error) {
        Errno::EBUSY => anyhow!("{}", busy(kernel, name)),
        Errno::ENOENT => missing(kernel, name),
        // Only rings that go elsewhere need room.
        Errno::ENOSPC => anyhow!(
            "pool {name} stays: the pool default has no room for all of its rings ({MAX_RINGS} at most), and some may be there now; stop servers that use either"
        ),
        _ => changing(error, &Change::default()).context(format!("pool {name}")),
    }
}

fn busy(kernel: &dyn Pools, name: &Name) -> String {
    // It was not so before: rings may come and go.
    let rings = kernel.get(name).map_or(0, |pool| pool.rings);
    format!(
        "pool {name} is in use, {rings} rings are attached; stop the servers that use it, or let them go on in the pool default: saioctl pool rm --force {name}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::Fake;
    use super::super::Unusable;
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn pool_in_use_is_removed_by_force_only() {
        let kernel = Fake::new();
        kernel.create(&name("web"), &Change::default()).unwrap();
        kernel.attach("web", 3);
        let error = bring_about(&kernel, &name("web"), false).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("3 rings") && text.contains("--force"),
            "{text}"
        );
        let outcome = bring_about(&kernel, &name("web"), true).unwrap();
        assert_eq!((outcome.rings, outcome.after), (3, None));
        assert_eq!(kernel.list().unwrap().len(), 1);
    }

    #[test]
    fn full_default_is_named() {
        let kernel = Fake::failing(&[(2, libc::ENOSPC)]);
        kernel.create(&name("web"), &Change::default()).unwrap();
        kernel.attach("web", 3);
        let error = bring_about(&kernel, &name("web"), true).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the pool default has no room"), "{text}");
    }

    #[test]
    fn what_is_not_there_or_must_stay() {
        let kernel = Fake::new();
        let error = bring_about(&kernel, &name("web"), false).unwrap_err();
        assert!(error.to_string().contains("there are: default"));
        let error = bring_about(&kernel, &Name::default_pool(), true).unwrap_err();
        assert!(error.is::<Unusable>());
    }
}
