// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whose rings are followed: those of everybody, or of some processes with their threads and all that descends from
//! them.

use std::collections::HashSet;

use anyhow::Result;

use crate::process::{self, Proc};

/// Tasks that are followed.
pub enum Tasks {
    /// All.
    Everybody,
    /// Some, threads each for itself. Who is born to one of them comes in.
    Some {
        /// Processes that all of them descend from.
        roots: Vec<u32>,
        /// These.
        tasks: HashSet<u32>,
    },
}

impl Tasks {
    /// Follows processes and all their descendants. What they bring forth from now on has to be told by [`Self::fork`].
    ///
    /// # Errors
    ///
    /// /proc cannot be read.
    pub fn of(roots: &[u32]) -> Result<Self> {
        let mut tasks = Self::Some {
            roots: roots.to_vec(),
            tasks: HashSet::new(),
        };
        tasks.look()?;
        Ok(tasks)
    }

    /// Takes in who descends from the processes now: births may have been lost.
    ///
    /// # Errors
    ///
    /// /proc cannot be read.
    pub fn look(&mut self) -> Result<()> {
        if let Self::Some { roots, tasks } = self {
            let proc = Proc::default();
            let tree = process::trees(&proc.all()?, roots);
            tasks.extend(tree.into_iter().flat_map(|pid| proc.threads(pid)));
        }
        Ok(())
    }

    /// Whether not all are followed.
    pub fn is_choosy(&self) -> bool {
        matches!(self, Self::Some { .. })
    }

    /// A task has made another one. A number whose task ended may come again elsewhere.
    pub fn fork(&mut self, parent: u32, child: u32) {
        if let Self::Some { tasks, .. } = self {
            if tasks.contains(&parent) {
                tasks.insert(child);
            } else {
                tasks.remove(&child);
            }
        }
    }

    /// Whether the rings of this owner are followed.
    pub fn has(&self, owner: u32) -> bool {
        match self {
            Self::Everybody => true,
            Self::Some { tasks, .. } => tasks.contains(&owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_come_in() {
        let mut tasks = Tasks::Some {
            roots: vec![10],
            tasks: HashSet::from([10]),
        };
        tasks.fork(10, 11);
        tasks.fork(11, 12);
        tasks.fork(99, 100);
        assert!(tasks.has(11) && tasks.has(12));
        assert!(!tasks.has(100));
        // 12 has ended, and its number is used again.
        tasks.fork(99, 12);
        assert!(!tasks.has(12));
    }

    #[test]
    fn everybody() {
        let mut tasks = Tasks::Everybody;
        tasks.fork(1, 2);
        assert!(tasks.has(3) && !tasks.is_choosy());
    }

    #[test]
    fn this_process_is_followed() {
        let pid = std::process::id();
        let tasks = Tasks::of(&[pid]).unwrap();
        assert!(tasks.has(pid) && tasks.is_choosy());
        assert!(!tasks.has(1) || pid == 1);
    }
}
