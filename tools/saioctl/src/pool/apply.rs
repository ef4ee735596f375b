// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool apply`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::error::looking;
use super::file::{self, Machine, Wanted};
use super::kernel::{Kernel, Pools};
use super::plan::{execute, plan};
use super::report::{print_outcomes, Outcome};

/// Arguments of `saioctl pool apply`.
#[derive(Args)]
pub struct ApplyArgs {
    /// The file, TOML
    file: PathBuf,

    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,

    /// Removes the pools that the file does not name, but for the pool default; refused while rings are attached to one
    #[arg(long)]
    prune: bool,

    /// Writes what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Makes and changes pools as a file says.
///
/// # Errors
///
/// The file cannot be used, or the kernel refuses; then nothing has changed, or the error says what has.
pub fn apply(args: &ApplyArgs) -> Result<()> {
    let machine = Machine::this()?;
    let wanted = file::load(&args.file, &machine)?;
    let outcomes = bring_about(&Kernel, &wanted, &machine, args.prune, args.dry_run)?;
    print_outcomes(&outcomes, args.dry_run, args.json)
}

/// Makes and changes pools, unless it is a `dry_run`.
///
/// # Errors
///
/// As for [`apply`].
pub fn bring_about(
    kernel: &dyn Pools,
    wanted: &[Wanted],
    machine: &Machine,
    prune: bool,
    dry_run: bool,
) -> Result<Vec<Outcome>> {
    let existing = kernel.list().map_err(looking)?;
    let outcomes = plan(&existing, wanted, &machine.possible, prune)?;
    if !dry_run {
        execute(kernel, &outcomes)?;
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::Fake;
    use super::super::report::Did;
    use super::*;

    const FILE: &str = "[pool.a]\nworkers = 3\n[pool.b]\ncpus = \"2-3\"\ngroup = \"any\"\n";

    fn apply_to(kernel: &Fake, file: &str, prune: bool, dry_run: bool) -> Result<Vec<Did>> {
        let machine = Machine {
            possible: (0..8).collect(),
            ..Machine::this().unwrap()
        };
        let wanted = file::parse(file, &machine).unwrap();
        let outcomes = bring_about(kernel, &wanted, &machine, prune, dry_run)?;
        Ok(outcomes.iter().map(Outcome::did).collect())
    }

    #[test]
    fn second_run_changes_nothing() {
        let kernel = Fake::new();
        let run = || apply_to(&kernel, FILE, false, false).unwrap();
        assert_eq!(run(), [Did::Created, Did::Created]);
        let calls = kernel.calls.get();
        assert_eq!(run(), [Did::Unchanged, Did::Unchanged]);
        assert_eq!(kernel.calls.get(), calls);
    }

    #[test]
    fn dry_run_changes_nothing() {
        let kernel = Fake::new();
        let did = apply_to(&kernel, FILE, false, true).unwrap();
        assert_eq!(did, [Did::Created, Did::Created]);
        assert_eq!(kernel.list().unwrap().len(), 1);
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let kernel = Fake::new();
        apply_to(&kernel, FILE, false, false).unwrap();
        let did = apply_to(&kernel, "[pool.a]\n[pool.b]\n", false, false).unwrap();
        assert_eq!(did, [Did::Changed, Did::Changed]);
        let pools = kernel.list().unwrap();
        assert_eq!(pools[1].attributes, pools[0].attributes);
        assert_eq!(pools[2].attributes, pools[0].attributes);
    }

    #[test]
    fn others_are_pruned_unless_they_are_in_use() {
        let kernel = Fake::new();
        apply_to(&kernel, FILE, false, false).unwrap();
        kernel.attach("a", 2);
        let file = "[pool.b]\nworkers = 2\n";
        let error = apply_to(&kernel, file, true, false).unwrap_err();
        assert!(error.to_string().contains("pool a"), "{error}");
        assert_eq!(kernel.list().unwrap()[2].attributes.workers, 1);
        kernel.attach("a", 0);
        let did = apply_to(&kernel, file, true, false).unwrap();
        assert_eq!(did, [Did::Changed, Did::Removed]);
        assert_eq!(kernel.list().unwrap().len(), 2);
    }

    /// Whichever of the calls fails, everything is as before.
    #[test]
    fn all_or_nothing() {
        for at in 1..=3 {
            let kernel = Fake::failing(&[(at + 2, libc::ENOMEM)]);
            let before = "[pool.b]\nworkers = 2\n[pool.old]\nidle = \"1ms\"\n";
            apply_to(&kernel, before, false, false).unwrap();
            let attributes = |kernel: &Fake| {
                let pools = kernel.list().unwrap();
                let pair = |pool: saio::pool::Pool| (pool.name, pool.attributes);
                pools.into_iter().map(pair).collect::<Vec<_>>()
            };
            let pools = attributes(&kernel);
            // Makes a, changes b, removes old.
            let error = apply_to(&kernel, FILE, true, false).unwrap_err();
            assert_eq!(attributes(&kernel), pools, "call {at}");
            let text = format!("{error:#}");
            assert!(text.contains("ENOMEM"), "{text}");
            let said = ["nothing was changed", "put back: a", "put back: b, a"];
            assert!(text.ends_with(said[at as usize - 1]), "{text}");
        }
    }

    /// A ring comes after the look at the pools.
    #[test]
    fn pool_that_is_used_at_last_is_not_pruned() {
        let kernel = Fake::failing(&[(3, libc::EBUSY)]);
        let before = "[pool.b]\nworkers = 2\n[pool.old]\n";
        apply_to(&kernel, before, false, false).unwrap();
        let error = apply_to(&kernel, "[pool.b]\nworkers = 2\n", true, false).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.starts_with("pool old is in use, "), "{text}");
        assert!(text.ends_with("; nothing was changed"), "{text}");
    }

    #[test]
    fn what_cannot_be_put_back_is_said() {
        let kernel = Fake::failing(&[(2, libc::ENOMEM), (3, libc::EPERM)]);
        let error = apply_to(&kernel, FILE, false, false).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("NOT put back: a"), "{text}");
    }
}
