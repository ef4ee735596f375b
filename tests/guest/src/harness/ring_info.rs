// SPDX-License-Identifier: MIT OR Apache-2.0

//! What /proc tells of a ring.

use super::RawRing;
use std::{collections::HashMap, fs};

/// Lines of the ring's fdinfo that are its own.
pub struct RingInfo(HashMap<String, String>);

impl RingInfo {
    /// Of the descriptor `number` of a process; none once that is gone.
    pub fn of(pid: i32, number: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        let lines = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("saio-")?.split_once(":\t")?;
            Some((name.to_owned(), value.to_owned()))
        });
        Some(Self(lines.collect()))
    }

    /// The value of the line `saio-NAME`.
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        let value = self.0.get(name);
        value.unwrap_or_else(|| panic!("fdinfo has no line saio-{name}"))
    }

    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        let text = self.text(name);
        text.parse()
            .unwrap_or_else(|_| panic!("saio-{name}: {text:?}"))
    }

    /// How many entries of flows the owner ran for this reason.
    #[track_caller]
    pub fn why(&self, reason: &str) -> u64 {
        let all = self.text("why-inline");
        let count = all.split_whitespace().find_map(|pair| {
            let (name, count) = pair.split_once('=')?;
            (name == reason).then(|| count.parse().ok())?
        });
        count.unwrap_or_else(|| panic!("no {reason} in {all:?}"))
    }
}

impl RawRing {
    #[track_caller]
    pub fn info(&self) -> RingInfo {
        let pid = std::process::id() as i32;
        RingInfo::of(pid, self.fd).expect("/proc is mounted")
    }
}
