// SPDX-License-Identifier: MIT OR Apache-2.0

//! Threads of pools as /proc shows them.

use std::fs;

/// A thread of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kthread {
    pub pid: i32,
}

/// What a thread has used up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuUse {
    /// Time in user and kernel mode, in ticks of the clock.
    pub ticks: u64,
    /// How often it left the CPU.
    pub switches: u64,
}

/// The threads of a pool, whose name must not be longer than what threads are named by.
#[track_caller]
pub fn kthreads(pool: &str) -> Vec<Kthread> {
    assert!(pool.len() <= 6, "threads have the first six letters only");
    let prefix = format!("saio/{pool}-");
    let processes = fs::read_dir("/proc").expect("/proc is mounted");
    let mut found: Vec<Kthread> = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(|pid| Kthread { pid })
        // One that has ended meanwhile has no name.
        .filter(|thread| {
            let name = fs::read_to_string(thread.path("comm")).unwrap_or_default();
            name.starts_with(&prefix)
        })
        .collect();
    found.sort_unstable();
    found
}

impl Kthread {
    fn path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid)
    }

    fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A line of its status.
    fn status(&self, name: &str) -> String {
        let status = self.read("status");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}"))
            .trim()
            .to_owned()
    }

    pub fn used(&self) -> CpuUse {
        let stat = self.read("stat");
        // The name, in brackets, may have anything in it. After it the state is the first field.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let switches = |kind: &str| number(&self.status(&format!("{kind}_ctxt_switches")));
        CpuUse {
            ticks: number(fields[11]) + number(fields[12]),
            switches: switches("voluntary") + switches("nonvoluntary"),
        }
    }

    /// Where it may run, as a list.
    pub fn cpus(&self) -> String {
        self.status("Cpus_allowed_list")
    }
}
