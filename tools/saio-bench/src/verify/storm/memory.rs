// SPDX-License-Identifier: MIT OR Apache-2.0

//! A control group (v2) whose memory ends when we want it to.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::docs::Random;
use crate::verify::Skip;

const ROOT: &str = "/sys/fs/cgroup";

/// What a group may still take, at most, before the kernel has to kill for its own calls, in bytes.
const LITTLE: usize = 256 << 10;
/// How long it is left to that, in milliseconds, at most.
const ALONE: usize = 400;
/// Less than any group has.
const NOTHING: &str = "0";
/// How long the group's last process may take to vanish.
const PATIENCE: Duration = Duration::from_secs(60);

/// A group all of whose processes are killed when its memory ends. Removed when dropped.
pub struct Memory {
    path: PathBuf,
}

impl Memory {
    /// Makes a group.
    ///
    /// # Errors
    ///
    /// [`Skip`] if the kernel has no such groups; otherwise, we are not root.
    pub fn new() -> Result<Self> {
        let root = Path::new(ROOT);
        let there = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        if !there.split_whitespace().any(|name| name == "memory") {
            return Err(Skip(format!("there are no memory groups (cgroup v2) at {ROOT}")).into());
        }
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        let path = root.join(format!("saio-storm-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let memory = Self { path };
        memory.set("memory.oom.group", "1")?;
        Ok(memory)
    }

    /// Runs `start` in the group: what it starts stays there.
    ///
    /// # Errors
    ///
    /// As of `start`, or this program cannot change its group.
    pub fn within<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        self.set("memory.max", "max")?;
        self.set("cgroup.procs", "0")?;
        let result = start();
        write(&Path::new(ROOT).join("cgroup.procs"), "0")?;
        result
    }

    /// Takes the group's memory away. In half of all cases it may first run into the limit by itself, in the middle of its
    /// calls. Returns when the kernel has begun to kill.
    ///
    /// # Errors
    ///
    /// The kernel has killed nobody.
    pub fn exhaust(&self, random: &mut Random) -> Result<()> {
        let before = self.kills()?;
        if random.below(2) == 0 {
            let limit = self.number("memory.current")? + random.below(LITTLE) as u64;
            self.set("memory.max", &limit.to_string())?;
            let end = Instant::now() + Duration::from_millis(random.below(ALONE) as u64);
            while self.kills()? == before && Instant::now() < end {
                sleep(Duration::from_millis(1));
            }
        }
        self.set("memory.max", NOTHING)?;
        if self.kills()? == before {
            bail!("the kernel kills nobody in a group without memory");
        }
        Ok(())
    }

    /// Times that it has killed all of a group.
    fn kills(&self) -> Result<u64> {
        let text = self.read("memory.events")?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let kills = lines.filter(|(name, _)| *name == "oom_group_kill");
        Ok(kills
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum())
    }

    fn number(&self, file: &str) -> Result<u64> {
        let text = self.read(file)?;
        text.trim()
            .parse()
            .with_context(|| format!("{file}: {text:?}"))
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.path.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn set(&self, file: &str, text: &str) -> Result<()> {
        write(&self.path.join(file), text)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let last = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.path).is_err() && Instant::now() < last {
            sleep(Duration::from_millis(20));
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {text:?} to {}", path.display()))
}
