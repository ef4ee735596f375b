// SPDX-License-Identifier: MIT OR Apache-2.0

//! Objects in the kernel's slab caches: what is never freed, though somebody points to it.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

/// How long the kernel gets for what it frees late: kfree_rcu() collects for 5 s.
const REST: Duration = Duration::from_secs(6);

/// Caches that grow for a long time with nothing lost: what was given back by vmalloc, stacks of threads above all, is kept until
/// it is tens of MiB; kmemleak takes notes of everything.
const LAZY: [&str; 3] = ["vmap_area", "kmemleak_object", "kmemleak_scan_area"];

/// Objects of each cache that are in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slabs(BTreeMap<String, u64>);

impl Slabs {
    /// Counts, when all that can be given back at once was given back: caches of files and names, slabs that CPUs keep, and
    /// what KASAN keeps of freed objects. Takes seconds.
    ///
    /// # Errors
    ///
    /// The caller is not root, or the kernel does not tell.
    pub fn now() -> Result<Self> {
        // Twice: inodes that the first round lets go are freed a grace period later.
        for _ in 0..2 {
            fs::write("/proc/sys/vm/drop_caches", "3")
                .context("cannot write /proc/sys/vm/drop_caches")?;
            thread::sleep(REST);
        }
        for cache in fs::read_dir("/sys/kernel/slab")
            .context("cannot read /sys/kernel/slab")?
            .flatten()
        {
            // Merged caches are there more than once; some go while we look.
            let _ = fs::write(cache.path().join("shrink"), "1");
        }
        let text = fs::read_to_string("/proc/slabinfo").context("cannot read /proc/slabinfo")?;
        let slabs = Self::parse(&text);
        ensure!(!slabs.0.is_empty(), "/proc/slabinfo names no cache");
        Ok(slabs)
    }

    /// `name active_objs num_objs …` after two lines of a heading.
    fn parse(text: &str) -> Self {
        let caches = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        });
        let is_lazy = |name: &str| LAZY.contains(&name);
        Self(caches.filter(|(name, _)| !is_lazy(name)).collect())
    }

    /// Caches that have grown since by more than so many objects, with how many; those that are new count from 0.
    pub fn grown(&self, since: &Self, allowed: u64) -> Vec<(String, u64)> {
        let grown = self.0.iter().filter_map(|(name, now)| {
            let more = now.saturating_sub(since.0.get(name).copied().unwrap_or(0));
            (more > allowed).then(|| (name.clone(), more))
        });
        grown.collect()
    }
}

/// Caches that are in every list of [`Slabs::grown`].
pub fn in_all(grown: &[Vec<(String, u64)>]) -> Vec<String> {
    let Some((first, others)) = grown.split_first() else {
        return Vec::new();
    };
    let is_in = |list: &Vec<(String, u64)>, name: &str| list.iter().any(|(other, _)| other == name);
    let names = first.iter().map(|(name, _)| name.clone());
    names
        .filter(|name| others.iter().all(|list| is_in(list, name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\n";

    #[test]
    fn growth_is_named() {
        let before = Slabs::parse(&format!(
            "{HEAD}TCP 5 12 2432 : x\nfilp 100 120 256 : x\nvmap_area 9 9 9\n"
        ));
        let after = Slabs::parse(&format!(
            "{HEAD}TCP 9 12 2432\nfilp 90 120 256\nsaio_flow 7 8 1\n"
        ));
        assert_eq!(before.0.len(), 2);
        let grown = |allowed| after.grown(&before, allowed);
        let named = |name: &str, more| (name.to_owned(), more);
        assert_eq!(grown(3), [named("TCP", 4), named("saio_flow", 7)]);
        assert_eq!(grown(4), [named("saio_flow", 7)]);
        assert_eq!(grown(7), []);
        assert_eq!(in_all(&[grown(3), grown(4)]), ["saio_flow"]);
        assert!(in_all(&[grown(3), grown(7)]).is_empty());
        assert!(in_all(&[]).is_empty());
    }
}
