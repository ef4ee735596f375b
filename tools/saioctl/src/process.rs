// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes, their threads and their descendants, as /proc shows them. Any of them may vanish while it is read.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Bit of a task's flags that says kernel thread (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent, 0 if it has none here.
    pub parent: u32,
    /// Whether it is a thread of the kernel, which has no descriptors.
    pub kernel: bool,
}

/// There is no such process: exit status 2, as for other unusable input.
#[derive(Debug)]
pub struct Absent(pub u32);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--pid: there is no process {}", self.0)
    }
}

impl std::error::Error for Absent {}

/// The proc file system.
pub struct Proc(PathBuf);

impl Default for Proc {
    fn default() -> Self {
        Self("/proc".into())
    }
}

impl Proc {
    /// One that looks like it, for tests.
    #[cfg(test)]
    pub fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Every process there is.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn all(&self) -> Result<Vec<Process>> {
        let numbers =
            numbers(&self.0).context("cannot read /proc; mount it: mount -t proc proc /proc")?;
        let stats = numbers.into_iter().filter_map(|pid| {
            let stat = fs::read(self.file(pid, "stat")).ok()?;
            parse(pid, &String::from_utf8_lossy(&stat))
        });
        Ok(stats.collect())
    }

    /// Whether a process of this number lives. A thread beside the first is none, and neither is a zombie.
    pub fn has(&self, pid: u32) -> bool {
        let Ok(status) = fs::read(self.file(pid, "status")) else {
            return false;
        };
        let status = String::from_utf8_lossy(&status);
        let value = |key| status.lines().find_map(|line| line.strip_prefix(key));
        let leads = value("Tgid:").is_some_and(|tgid| tgid.trim() == pid.to_string());
        let ended = value("State:").is_some_and(|state| state.trim_start().starts_with(['Z', 'X']));
        // The first thread may end before the others.
        leads && (!ended || self.threads(pid).len() > 1)
    }

    /// Threads of a process; none if it is gone.
    pub fn threads(&self, pid: u32) -> Vec<u32> {
        numbers(&self.file(pid, "task")).unwrap_or_default()
    }

    /// Name of what a process or thread runs, at most 15 bytes; `None` if it is gone.
    pub fn command(&self, pid: u32) -> Option<String> {
        let name = fs::read(self.file(pid, "comm")).ok()?;
        Some(String::from_utf8_lossy(&name).trim_end().to_owned())
    }

    /// Descriptors of a process.
    ///
    /// # Errors
    ///
    /// The process is gone, or this user may not see them.
    pub fn fds(&self, pid: u32) -> io::Result<Vec<u32>> {
        numbers(&self.file(pid, "fd"))
    }

    /// A file or link of a process.
    pub fn file(&self, pid: u32, name: &str) -> PathBuf {
        self.0.join(pid.to_string()).join(name)
    }
}

/// Those of `roots` that are among `all`, and everything that descends from them.
pub fn trees(all: &[Process], roots: &[u32]) -> BTreeSet<u32> {
    let mut tree = BTreeSet::new();
    let mut next: Vec<u32> = all
        .iter()
        .map(|process| process.pid)
        .filter(|pid| roots.contains(pid))
        .collect();
    while let Some(pid) = next.pop() {
        if tree.insert(pid) {
            let children = all.iter().filter(|process| process.parent == pid);
            next.extend(children.map(|process| process.pid));
        }
    }
    tree
}

/// Entries of a directory whose names are numbers.
fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        // An entry may be gone already.
        let Ok(entry) = entry else { continue };
        if let Some(number) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            found.push(number);
        }
    }
    Ok(found)
}

/// `/proc/PID/stat`: the name in brackets may contain anything, also brackets.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // State, parent, group, session, terminal, its group, flags.
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        kernel: flags & KERNEL_THREAD != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_stat() {
        let stat = "42 (a) b) (c) S 7 42 42 0 -1 4194560 100 0\n";
        let process = parse(42, stat).unwrap();
        assert_eq!((process.pid, process.parent), (42, 7));
        assert!(!process.kernel);
        let stat = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0\n";
        assert!(parse(2, stat).unwrap().kernel);
        assert_eq!(parse(3, "3 (x) S"), None);
    }

    #[test]
    fn trees_have_all_generations() {
        let process = |pid, parent| Process {
            pid,
            parent,
            kernel: false,
        };
        let all = [process(9, 5), process(5, 2), process(2, 1), process(3, 1)];
        assert_eq!(trees(&all, &[2]), BTreeSet::from([2, 5, 9]));
        assert_eq!(trees(&all, &[3, 9]), BTreeSet::from([3, 9]));
        assert_eq!(trees(&all, &[4]), BTreeSet::new());
    }

    #[test]
    fn threads_and_zombies_are_no_processes() {
        let dir = tempfile::tempdir().unwrap();
        let task = |pid: u32, tgid: u32, state: &str, threads: &[u32]| {
            let at = dir.path().join(pid.to_string());
            for thread in threads {
                fs::create_dir_all(at.join(format!("task/{thread}"))).unwrap();
            }
            let status = format!("Name:\tx\nState:\t{state}\nTgid:\t{tgid}\nPid:\t{pid}\n");
            fs::write(at.join("status"), status).unwrap();
        };
        task(10, 10, "S (sleeping)", &[10, 11]);
        task(11, 10, "S (sleeping)", &[10, 11]);
        task(20, 20, "Z (zombie)", &[20]);
        task(30, 30, "Z (zombie)", &[30, 31]);
        let proc = Proc::at(dir.path());
        assert_eq!(
            [10, 11, 20, 30, 40].map(|pid| proc.has(pid)),
            [true, false, false, true, false]
        );
    }

    #[test]
    fn this_process_is_found() {
        let pid = std::process::id();
        let proc = Proc::default();
        let all = proc.all().unwrap();
        let own = all.iter().find(|process| process.pid == pid).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(!own.kernel);
        assert!(proc.has(pid) && proc.threads(pid).contains(&pid));
        assert!(proc.command(pid).is_some());
        assert!(!proc.has(u32::MAX));
    }
}
