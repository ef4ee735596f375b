// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that say which pools there shall be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use anyhow::Result;
use saio::pool::{Change, Cpus, Group, Invalid, Name};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::error::unusable;
use super::spec::{self, CpuSpec};
use crate::fault::{self, Fault};

/// A pool that shall be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: Name,
    /// What the file says of it.
    pub change: Change,
}

/// What the attributes of pools refer to.
pub struct Machine {
    /// CPUs that it can have.
    pub possible: Cpus,
    /// Finds a group.
    pub group: fn(&str) -> Result<Group, String>,
}

impl Machine {
    /// The one that this program runs on.
    ///
    /// # Errors
    ///
    /// It does not say which CPUs it can have.
    pub fn this() -> Result<Self> {
        Ok(Self {
            possible: spec::possible_cpus()?,
            group: spec::group,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    pool: BTreeMap<Spanned<String>, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    workers: Option<Spanned<u32>>,
    max: Option<Spanned<u32>>,
    idle: Option<Spanned<String>>,
    cpus: Option<Spanned<String>>,
    group: Option<Spanned<Value>>,
}

/// Reads a file, and checks everything that can be checked without the kernel's pools.
///
/// # Errors
///
/// It cannot be read, or is wrong; the error names the line.
pub fn load(file: &Path, machine: &Machine) -> Result<Vec<Wanted>> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| unusable(format!("cannot read {name}: {error}")))?;
    parse(&text, machine).map_err(|fault| unusable(format!("{name}:{fault}")))
}

/// Reads the text of a file.
///
/// # Errors
///
/// The first fault.
pub fn parse(text: &str, machine: &Machine) -> Result<Vec<Wanted>, Fault> {
    let file: File = fault::parse(text)?;
    if file.pool.is_empty() {
        return Err(Fault::of_file("no pool in it; it takes [pool.NAME]"));
    }
    let pools = file.pool.into_iter();
    let wanted = pools.map(|(name, entry)| {
        Ok(Wanted {
            name: (name.get_ref().parse())
                .map_err(|error: Invalid| Fault::at(text, &name.span(), error.to_string()))?,
            change: entry.change(text, machine)?,
        })
    });
    wanted.collect()
}

impl Entry {
    fn change(self, text: &str, machine: &Machine) -> Result<Change, Fault> {
        let threads = |number: &u32| spec::threads(*number);
        let cpus = |list: &String| {
            let spec: CpuSpec = list.parse().map_err(|error| format!("{error}"))?;
            spec.among(&machine.possible)
        };
        let group = |group: &Value| match group {
            Value::String(name) => (machine.group)(name),
            Value::Integer(gid) => (machine.group)(&gid.to_string()),
            other => Err(format!("{other} is neither a name nor a number")),
        };
        let at = self.max.as_ref().map_or(0..0, Spanned::span);
        let workers = read(self.workers, text, "workers", threads)?;
        let max = read(self.max, text, "max", threads)?;
        if let (Some(max), Some(workers)) = (max, workers) {
            if max < workers {
                let what = format!("max: {max} threads in all are fewer than workers = {workers}");
                return Err(Fault::at(text, &at, what));
            }
        }
        Ok(Change {
            workers,
            max,
            idle: read(self.idle, text, "idle", |idle| spec::idle(idle))?,
            cpus: read(self.cpus, text, "cpus", cpus)?,
            group: read(self.group, text, "group", group)?,
        })
    }
}

/// Makes an attribute of a value. A fault names the line and the key.
fn read<T, U, E: Display>(
    value: Option<Spanned<T>>,
    text: &str,
    key: &str,
    make: impl Fn(&T) -> Result<U, E>,
) -> Result<Option<U>, Fault> {
    let made = value.map(|value| {
        make(value.get_ref())
            .map_err(|error| Fault::at(text, &value.span(), format!("{key}: {error}")))
    });
    made.transpose()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn machine() -> Machine {
        Machine {
            possible: (0..8).collect(),
            group: |name| match name {
                "www-data" => Ok(Group::Id(33)),
                other => spec::group(other),
            },
        }
    }

    fn parsed(text: &str) -> Result<Vec<Wanted>, Fault> {
        parse(text, &machine())
    }

    #[test]
    fn everything_that_can_be_said() {
        let file = "[pool.web]\nworkers = 1\nmax = 4\ncpus = \"2-5\"\nidle = \"500us\"\ngroup = \"www-data\"\n\
            [pool.all]\ncpus = \"all\"\ngroup = 7\n[pool.none]\n";
        let wanted = parsed(file).unwrap();
        let names: Vec<&str> = wanted.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!(names, ["all", "none", "web"]);
        assert_eq!(
            wanted[2].change,
            Change {
                workers: Some(1),
                max: Some(4),
                idle: Some(Duration::from_micros(500)),
                cpus: Some((2..6).collect()),
                group: Some(Group::Id(33)),
            }
        );
        assert_eq!(wanted[0].change.cpus, Some((0..8).collect()));
        assert_eq!(wanted[0].change.group, Some(Group::Id(7)));
        assert_eq!(wanted[1].change, Change::default());
    }

    #[test]
    fn faults_name_line_and_key() {
        let faults = [
            ("[pool.web]\n\nworker = 1\n", 3, "unknown field `worker`"),
            ("workers = 1\n", 1, "unknown field `workers`"),
            ("[pool.web]\nworkers = 0\n", 2, "workers: 0 threads"),
            ("[pool.web]\nworkers = -1\n", 2, "invalid value"),
            ("[pool.web]\nmax = 257\n", 2, "max: 257 threads"),
            (
                "[pool.web]\nmax = 2\nworkers = 3\n",
                2,
                "max: 2 threads in all are fewer than workers = 3",
            ),
            ("[pool.web]\nmax = \"4\"\n", 2, "invalid type"),
            (
                "[pool.web]\nidle = \"500\"\n",
                2,
                "idle: \"500\" is no time",
            ),
            ("[pool.web]\nidle = 500\n", 2, "invalid type"),
            (
                "[pool.web]\ncpus = \"5-2\"\n",
                2,
                "cpus: \"5-2\" runs backwards",
            ),
            (
                "[pool.web]\ncpus = \"7-8\"\n",
                2,
                "cpus: CPUs 8 do not exist here",
            ),
            (
                "[pool.web]\ngroup = \"no-such\"\n",
                2,
                "group: there is no group",
            ),
            ("[pool.web]\ngroup = true\n", 2, "group: true is neither"),
            ("[pool.web]\n[pool.\"a b\"]\n", 2, "\"a b\" is no name"),
            ("[pool.web]\n[pool.web]\n", 2, "duplicate key"),
            ("[pool.web\n", 1, ""),
        ];
        for (file, line, text) in faults {
            let fault = parsed(file).unwrap_err();
            assert_eq!(fault.line, Some(line), "{file}{fault:?}");
            assert!(fault.text.contains(text), "{file}{fault:?}");
        }
        assert!(parsed("").unwrap_err().text.contains("[pool.NAME]"));
    }

    /// The examples that come with SAIO, on a machine that has every CPU and group.
    #[test]
    fn examples_are_good() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/pools");
        let machine = Machine {
            possible: (0..1024).collect(),
            group: |_| Ok(Group::Anybody),
        };
        let mut files = 0;
        for entry in fs::read_dir(dir).unwrap() {
            let file = entry.unwrap().path();
            load(&file, &machine).unwrap();
            files += 1;
        }
        assert!(files >= 3, "{files} examples");
    }
}
