// SPDX-License-Identifier: MIT OR Apache-2.0

//! How attributes of pools are written: on the command line, in files, and in what is printed.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{self, Gid};
use saio::pool::{Cpus, Group, Invalid};
use saio::sys::{SAIO_POOL_ANYBODY, SAIO_POOL_MAX_IDLE_NS, SAIO_POOL_MAX_THREADS};

/// `N`, or `N..M`: threads that may be runnable at a time, and in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Threads that may be runnable at a time.
    pub workers: u32,
    /// Threads in all, if given.
    pub max: Option<u32>,
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.parse().map_err(|_| format!("{text:?} is no number"));
            threads(number?)
        };
        let Some((workers, max)) = text.split_once("..") else {
            return Ok(Self {
                workers: number(text)?,
                max: None,
            });
        };
        let (workers, max) = (number(workers)?, number(max)?);
        if max < workers {
            return Err(format!("{max} threads in all are fewer than {workers}"));
        }
        Ok(Self {
            workers,
            max: Some(max),
        })
    }
}

/// A number of threads that a pool can have.
///
/// # Errors
///
/// It is out of range.
pub fn threads(number: u32) -> Result<u32, String> {
    if (1..=SAIO_POOL_MAX_THREADS).contains(&number) {
        return Ok(number);
    }
    Err(format!(
        "{number} threads are not between 1 and {SAIO_POOL_MAX_THREADS}"
    ))
}

/// CPUs, as a list or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuSpec {
    /// All that this machine can have
    All,
    /// These
    List(Cpus),
}

impl FromStr for CpuSpec {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "all" => Ok(Self::All),
            list => list.parse().map(Self::List),
        }
    }
}

impl CpuSpec {
    /// The CPUs that are meant.
    ///
    /// # Errors
    ///
    /// Some are not among the `possible` ones.
    pub fn among(&self, possible: &Cpus) -> Result<Cpus, String> {
        let Self::List(cpus) = self else {
            return Ok(possible.clone());
        };
        let impossible = cpus.without(possible);
        if impossible.is_empty() {
            return Ok(cpus.clone());
        }
        Err(format!(
            "CPUs {impossible} do not exist here (there can be {possible})"
        ))
    }
}

/// CPUs that this machine can have, also those that are not plugged in now.
///
/// # Errors
///
/// There is no sysfs.
pub fn possible_cpus() -> Result<Cpus> {
    let file = "/sys/devices/system/cpu/possible";
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read {file}; mount it: mount -t sysfs sysfs /sys"))?;
    text.trim().parse().with_context(|| file.to_owned())
}

/// Reads how long a thread spins: a number with a unit.
///
/// # Errors
///
/// It is none, or too long.
pub fn idle(text: &str) -> Result<Duration, String> {
    let idle = humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is no time such as 500us or 2ms: {error}"))?;
    let limit = Duration::from_nanos(SAIO_POOL_MAX_IDLE_NS.into());
    if idle > limit {
        return Err(format!("{text} is longer than {}", idle_text(limit)));
    }
    Ok(idle)
}

/// Writes it as [`idle`] reads it.
pub fn idle_text(idle: Duration) -> String {
    humantime::format_duration(idle).to_string()
}

/// Reads who may attach: `any`, the name of a group, or its number.
///
/// # Errors
///
/// There is no such group.
pub fn group(text: &str) -> Result<Group, String> {
    if text == "any" {
        return Ok(Group::Anybody);
    }
    if let Ok(gid) = text.parse() {
        if gid == SAIO_POOL_ANYBODY {
            return Err(format!("{gid} is no group; everybody is \"any\""));
        }
        return Ok(Group::Id(gid));
    }
    match unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(Group::Id(group.gid.as_raw())),
        Ok(None) => Err(format!(
            "there is no group {text:?}; getent group lists those there are, \"any\" is everybody"
        )),
        Err(errno) => Err(format!("group {text:?} cannot be looked up: {errno}")),
    }
}

/// Writes it as [`group`] reads it, by name if there is one.
pub fn group_text(group: Group) -> String {
    match group {
        Group::Anybody => "any".to_owned(),
        Group::Id(gid) => match unistd::Group::from_gid(Gid::from_raw(gid)) {
            Ok(Some(group)) => group.name,
            _ => gid.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers() {
        let read = |text: &str| text.parse::<Workers>().map(|w| (w.workers, w.max));
        assert_eq!(read("3"), Ok((3, None)));
        assert_eq!(read("1..4"), Ok((1, Some(4))));
        assert_eq!(read("256..256"), Ok((256, Some(256))));
        for bad in ["", "0", "257", "1..", "..4", "4..1", "1-4", "-1", "1..0"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn idle_times() {
        assert_eq!(idle("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(idle("0"), Ok(Duration::ZERO));
        for text in ["1ns", "500us", "1ms 500us", "2ms", "1s", "0s"] {
            assert_eq!(idle_text(idle(text).unwrap()), text);
        }
        for bad in ["", "500", "500 parsecs", "-1us", "1s 1ns", "1h"] {
            assert!(idle(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cpus_must_be_possible() {
        let possible = (0..4).collect();
        let among = |text: &str| {
            let spec: CpuSpec = text.parse().unwrap();
            spec.among(&possible).map(|cpus| cpus.to_string())
        };
        assert_eq!(among("all").unwrap(), "0-3");
        assert_eq!(among("2-3").unwrap(), "2-3");
        assert!(among("3-5").unwrap_err().contains("CPUs 4-5 "));
        assert!(!possible_cpus().unwrap().is_empty());
    }

    #[test]
    fn groups() {
        assert_eq!(group("any"), Ok(Group::Anybody));
        assert_eq!(group("12345678"), Ok(Group::Id(12_345_678)));
        assert_eq!(group("root"), Ok(Group::Id(0)));
        assert!(group("4294967295").is_err());
        assert!(group("no-such-group").unwrap_err().contains("getent"));
        assert_eq!(group_text(Group::Id(0)), "root");
        assert_eq!(group_text(Group::Id(12_345_678)), "12345678");
        assert_eq!(group_text(Group::Anybody), "any");
    }
}
