// SPDX-License-Identifier: MIT OR Apache-2.0

//! What /proc tells of a ring.

use super::RawRing;
use std::{collections::HashMap, fs, path::Path};

/// Where the link of a ring's descriptor leads.
const RING: &str = "anon_inode:[saio]";

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

    /// Of the only ring of a process.
    #[track_caller]
    pub fn of_process(pid: i32) -> Self {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("/proc is mounted");
        let rings: Vec<Self> = files
            .flatten()
            .filter(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(RING)))
            .filter_map(|file| Self::of(pid, file.file_name().to_str()?.parse().ok()?))
            .collect();
        let [ring] = rings.try_into().unwrap_or_else(|all: Vec<_>| {
            panic!("process {pid} has {} rings", all.len());
        });
        ring
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
