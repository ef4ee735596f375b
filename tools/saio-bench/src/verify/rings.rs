// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the rings of a server that runs have done: it is lost with a server that is killed.

use std::fs;

use crate::server::Process;

/// What the kernel has done for the rings of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// Operations on flows
    pub operations: u64,
    /// Times that one had to wait for its peer
    pub parks: u64,
}

impl Rings {
    /// Looks at all of its processes.
    pub fn of(server: &Process) -> Self {
        let mut sums = Self::default();
        let tasks = server.tasks().into_iter();
        let dirs = tasks.filter_map(|task| fs::read_dir(format!("/proc/{task}/fdinfo")).ok());
        for file in dirs.flatten().flatten() {
            sums.add(&fs::read_to_string(file.path()).unwrap_or_default());
        }
        sums
    }

    /// Adds what the fdinfo of a ring says; that of other files says nothing.
    fn add(&mut self, fdinfo: &str) {
        for (name, value) in fdinfo.lines().filter_map(|line| line.split_once(':')) {
            let sum = match name {
                "saio-inline" | "saio-pooled" | "saio-queued" => &mut self.operations,
                "saio-parks" => &mut self.parks,
                _ => continue,
            };
            *sum += value.trim().parse::<u64>().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_from_fdinfo() {
        let mut sums = Rings::default();
        sums.add("pos:\t0\nsaio-flows:\t3\nsaio-inline:\t5\nsaio-pooled:\t2\nsaio-queued:\t0\n");
        sums.add("pos:\t0\nsaio-parks:\t4\n");
        let expected = Rings {
            operations: 7,
            parks: 4,
        };
        assert_eq!(sums, expected);
    }
}
