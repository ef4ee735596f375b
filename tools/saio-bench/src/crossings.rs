// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel crossings of a process, counted by the kernel: one for each `raw_syscalls:sys_enter`.
//!
//! Entries of a batch are no crossings and do not pass that tracepoint.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use nix::mount::{mount, MsFlags};

const TRACEFS: &str = "/sys/kernel/tracing";
const EVENT: &str = "events/raw_syscalls/sys_enter";

/// System calls that wait for events, by number.
const WAITS: [u32; 3] = [EPOLL_WAIT, EPOLL_PWAIT, EPOLL_PWAIT2];
const EPOLL_WAIT: u32 = 232;
const EPOLL_PWAIT: u32 = 281;
const EPOLL_PWAIT2: u32 = 441;
const SAIO_ENTER: u32 = 1001;

/// Calls that a process made, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<u32, Call>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    name: String,
    count: u64,
}

impl Calls {
    /// Reads the kernel's histogram: lines such as
    /// `{ id: sys_recvfrom                  [ 45] } hitcount:       1000`.
    ///
    /// # Errors
    ///
    /// A line is not understood, or calls were lost.
    pub fn parse(text: &str) -> Result<Self> {
        let mut calls = BTreeMap::new();
        for line in text.lines() {
            if let Some(dropped) = line.trim().strip_prefix("Dropped:") {
                ensure!(dropped.trim() == "0", "calls were not counted");
            }
            if !line.starts_with('{') {
                continue;
            }
            let Some((nr, call)) = parse_line(line) else {
                bail!("this line is not understood: {line}");
            };
            calls.insert(nr, call);
        }
        Ok(Self(calls))
    }

    /// Those of this count that `before` does not have.
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |nr: &u32| before.0.get(nr).map_or(0, |call| call.count);
        let calls = self.0.iter().map(|(nr, call)| {
            let count = call.count.saturating_sub(earlier(nr));
            let name = call.name.clone();
            (*nr, Call { name, count })
        });
        Self(calls.filter(|(_, call)| call.count > 0).collect())
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.0.values().map(|call| call.count).sum()
    }

    /// Calls of the epoll_wait family.
    pub fn waits(&self) -> u64 {
        WAITS.iter().map(|nr| self.count(*nr)).sum()
    }

    /// Calls of saio_enter.
    pub fn enters(&self) -> u64 {
        self.count(SAIO_ENTER)
    }

    fn count(&self, nr: u32) -> u64 {
        self.0.get(&nr).map_or(0, |call| call.count)
    }

    /// Calls a request by name, most frequent first, as text.
    pub fn breakdown(&self, requests: u64) -> String {
        let mut calls: Vec<&Call> = self.0.values().collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.count));
        let texts: Vec<String> = calls
            .iter()
            .map(|call| format!("{} {:.3}", call.name, call.count as f64 / requests as f64))
            .collect();
        texts.join(", ")
    }
}

/// A count that is running. Dropping it ends it.
pub struct Counter {
    event: PathBuf,
    trigger: String,
}

impl Counter {
    /// Starts to count the calls of these threads.
    ///
    /// # Errors
    ///
    /// Tracing is missing in the kernel or not permitted.
    pub fn start(threads: &[u32]) -> Result<Self> {
        let event = tracefs()?.join(EVENT);
        let whose: Vec<String> = (threads.iter())
            .map(|id| format!("common_pid == {id}"))
            .collect();
        let whose = whose.join(" || ");
        let trigger = format!("hist:keys=id.syscall:vals=hitcount:size=1024 if {whose}");
        set_trigger(&event, &trigger)?;
        Ok(Self { event, trigger })
    }

    /// What was counted so far.
    ///
    /// # Errors
    ///
    /// The kernel's table cannot be read or was too small.
    pub fn read(&self) -> Result<Calls> {
        let file = self.event.join("hist");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Calls::parse(&text).with_context(|| format!("{} says:\n{text}", file.display()))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = set_trigger(&self.event, &format!("!{}", self.trigger));
    }
}

fn set_trigger(event: &Path, trigger: &str) -> Result<()> {
    let file = event.join("trigger");
    // Opened without truncating it, which would remove the triggers of others.
    OpenOptions::new()
        .write(true)
        .open(&file)
        .and_then(|mut file| file.write_all(trigger.as_bytes()))
        .with_context(|| {
            format!(
                "cannot write to {}; the kernel needs CONFIG_HIST_TRIGGERS",
                file.display()
            )
        })
}

/// Fails early if crossings cannot be counted here.
///
/// # Errors
///
/// As [`Counter::start`].
pub fn check() -> Result<()> {
    Counter::start(&[std::process::id()]).map(drop)
}

fn tracefs() -> Result<&'static Path> {
    let root = Path::new(TRACEFS);
    if !root.join("events").exists() {
        mount(
            Some("tracefs"),
            root,
            Some("tracefs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| {
            format!("cannot mount tracefs on {TRACEFS}; run as root on a kernel with CONFIG_FTRACE_SYSCALLS")
        })?;
    }
    ensure!(
        root.join(EVENT).exists(),
        "no {TRACEFS}/{EVENT}; the kernel needs CONFIG_FTRACE_SYSCALLS"
    );
    Ok(root)
}

fn parse_line(line: &str) -> Option<(u32, Call)> {
    let (key, value) = line.strip_prefix('{')?.split_once('}')?;
    let (name, nr) = key.trim().strip_prefix("id: ")?.split_once('[')?;
    let nr: u32 = nr.trim_end_matches(']').trim().parse().ok()?;
    let count = value.trim().strip_prefix("hitcount:")?.trim();
    let name = match nr {
        1000 => "saio_setup",
        SAIO_ENTER => "saio_enter",
        1002 => "saio_register",
        1003 => "saio_pool",
        _ => name.trim().trim_start_matches("sys_"),
    };
    let call = Call {
        name: name.to_owned(),
        count: count.split_ascii_whitespace().next()?.parse().ok()?,
    };
    Some((nr, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIST: &str = "\
# event histogram
#
# trigger info: hist:keys=id.syscall:vals=hitcount:sort=hitcount:size=1024 if common_pid == 77 [active]
#

{ id: sys_epoll_wait                [232] } hitcount:         16
{ id: unknown_syscall               [1001] } hitcount:         20
{ id: sys_recvfrom                  [ 45] } hitcount:       1000

Totals:
    Hits: 1036
    Entries: 3
    Dropped: 0
";

    #[test]
    fn histogram_is_read() {
        let calls = Calls::parse(HIST).unwrap();
        assert_eq!(calls.total(), 1036);
        assert_eq!(calls.waits(), 16);
        assert_eq!(calls.enters(), 20);
        assert_eq!(
            calls.breakdown(1000),
            "recvfrom 1.000, saio_enter 0.020, epoll_wait 0.016"
        );
    }

    #[test]
    fn two_counts_are_subtracted() {
        let before = Calls::parse("{ id: sys_recvfrom [ 45] } hitcount: 400\n").unwrap();
        let after = Calls::parse(HIST).unwrap();
        let calls = after.since(&before);
        assert_eq!(calls.total(), 636);
        assert_eq!(after.since(&after), Calls::default());
    }

    #[test]
    fn lost_calls_are_noticed() {
        assert!(Calls::parse(&HIST.replace("Dropped: 0", "Dropped: 3")).is_err());
        assert!(Calls::parse("{ id: what } hitcount: 1\n").is_err());
    }

    #[test]
    fn empty_histogram() {
        assert_eq!(Calls::parse("# event histogram\n").unwrap().total(), 0);
    }
}
