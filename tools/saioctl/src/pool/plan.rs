// SPDX-License-Identifier: MIT OR Apache-2.0

//! From what is to what is wanted, all or nothing.

use std::io;
use std::time::Duration;

use anyhow::{anyhow, Error, Result};
use saio::pool::{Attributes, Change, Cpus, Group, Pool};
use saio::sys::SAIO_POOL_MAX_THREADS;

use super::error::{changing, unusable};
use super::file::Wanted;
use super::kernel::Pools;
use super::remove;
use super::report::{Did, Outcome};

/// The part of a change that is not so already.
pub fn needed(change: &Change, now: &Attributes) -> Change {
    Change {
        workers: change.workers.filter(|&workers| workers != now.workers),
        max: change.max.filter(|&max| max != now.max),
        idle: change.idle.filter(|&idle| idle != now.idle),
        cpus: change.cpus.clone().filter(|cpus| *cpus != now.cpus),
        group: change.group.filter(|&group| group != now.group),
    }
}

/// What shall become of each pool that is wanted, and with `prune` of the others.
///
/// # Errors
///
/// An attribute does not go with another, or a pool that is to go is in use.
pub fn plan(
    existing: &[Pool],
    wanted: &[Wanted],
    possible: &Cpus,
    prune: bool,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for pool in wanted {
        let now = existing.iter().find(|other| other.name == pool.name);
        let before = now.map(|now| now.attributes.clone());
        // The kernel has made this one, and not with the usual defaults.
        let kept = before.as_ref().filter(|_| pool.name.is_default_pool());
        let after = complete(&pool.change, kept, possible);
        // Where the file has both, this was seen there; the pool default has its own number of workers.
        if after.max < after.workers {
            return Err(unusable(format!(
                "pool {}: max = {} is less than workers = {}",
                pool.name, after.max, after.workers
            )));
        }
        outcomes.push(Outcome {
            name: pool.name.clone(),
            rings: now.map_or(0, |now| now.rings),
            before,
            after: Some(after),
        });
    }
    let superfluous = |pool: &&Pool| {
        let is_wanted = wanted.iter().any(|other| other.name == pool.name);
        prune && !is_wanted && !pool.name.is_default_pool()
    };
    for pool in existing.iter().filter(superfluous) {
        if pool.rings > 0 {
            return Err(anyhow!(
                "--prune: pool {0} is in use, {1} rings are attached; nothing was changed; stop the servers that use it, or: saioctl pool rm --force {0}",
                pool.name,
                pool.rings
            ));
        }
        outcomes.push(Outcome {
            name: pool.name.clone(),
            rings: 0,
            before: Some(pool.attributes.clone()),
            after: None,
        });
    }
    Ok(outcomes)
}

/// Attributes of which a change says only some: the others stay as they are, or get the kernel's defaults.
fn complete(change: &Change, kept: Option<&Attributes>, possible: &Cpus) -> Attributes {
    let workers = change
        .workers
        .or(kept.map(|kept| kept.workers))
        .unwrap_or(1);
    let max = match kept {
        Some(kept) => kept.max.max(workers),
        None => (2 * workers).min(SAIO_POOL_MAX_THREADS),
    };
    let kept = kept.cloned().unwrap_or_else(|| Attributes {
        workers,
        max,
        idle: Duration::from_micros(200),
        cpus: possible.clone(),
        group: Group::Id(0),
    });
    Attributes {
        workers,
        max: change.max.unwrap_or(max),
        idle: change.idle.unwrap_or(kept.idle),
        cpus: change.cpus.clone().unwrap_or(kept.cpus),
        group: change.group.unwrap_or(kept.group),
    }
}

/// Does what was planned. If the kernel refuses a part, what was done before is put back.
///
/// # Errors
///
/// The kernel refuses; the error says whether everything is as before.
pub fn execute(kernel: &dyn Pools, outcomes: &[Outcome]) -> Result<()> {
    for (done, outcome) in outcomes.iter().enumerate() {
        if let Err(error) = step(kernel, outcome, false) {
            let error = match &outcome.after {
                Some(after) => {
                    changing(error, &everything(after)).context(format!("pool {}", outcome.name))
                }
                None => remove::refused(kernel, &outcome.name, error),
            };
            let undone = undo(kernel, &outcomes[..done]);
            return Err(reworded(&error, &format!("{error:#}; {undone}")));
        }
    }
    Ok(())
}

/// Another text for an error, which stays one of input if it was.
fn reworded(error: &Error, text: &str) -> Error {
    if error.is::<super::Unusable>() {
        return unusable(text);
    }
    anyhow!("{text}")
}

/// Brings a pool from what it was to what it shall be.
fn step(kernel: &dyn Pools, outcome: &Outcome, force: bool) -> io::Result<()> {
    match (&outcome.before, &outcome.after) {
        (None, Some(after)) => kernel.create(&outcome.name, &everything(after)),
        (Some(before), Some(after)) if before != after => {
            kernel.set(&outcome.name, &needed(&everything(after), before))
        }
        (Some(_), None) => kernel.remove(&outcome.name, force),
        _ => Ok(()),
    }
}

fn everything(attributes: &Attributes) -> Change {
    Change {
        workers: Some(attributes.workers),
        max: Some(attributes.max),
        idle: Some(attributes.idle),
        cpus: Some(attributes.cpus.clone()),
        group: Some(attributes.group),
    }
}

/// Puts pools back, the last first, and says so.
fn undo(kernel: &dyn Pools, outcomes: &[Outcome]) -> String {
    let mut back = Vec::new();
    let mut failed = Vec::new();
    for outcome in outcomes.iter().rev() {
        if outcome.did() == Did::Unchanged {
            continue;
        }
        let opposite = Outcome {
            before: outcome.after.clone(),
            after: outcome.before.clone(),
            ..outcome.clone()
        };
        // By force, as a ring may have come to a new pool already.
        match step(kernel, &opposite, true) {
            Ok(()) => back.push(outcome.name.to_string()),
            Err(error) => failed.push(format!("{} ({error})", outcome.name)),
        }
    }
    let back = match back.len() {
        0 => "nothing was changed".to_owned(),
        _ => format!("put back: {}", back.join(", ")),
    };
    match failed.len() {
        0 => back,
        _ => format!("{back}; NOT put back: {}", failed.join(", ")),
    }
}
