// SPDX-License-Identifier: MIT OR Apache-2.0

//! The configuration of ESCA and of the original SAIO, as a pool.
//!
//! `esca.conf` has lines of the form `key = number`. There every server process had kernel threads of its own,
//! `max_ker_worker / max_usr_worker` of them, each bound to one CPU: thread `i` to CPU `affinity_offset + i`, or with
//! `esca_localize` all threads of process `p` to CPU `affinity_offset + p`. Where the file said nothing, one thread
//! for one process, localised.

use std::fmt;
use std::time::Duration;

use saio::pool::Name;
use saio::sys::{SAIO_POOL_MAX_IDLE_NS, SAIO_POOL_MAX_THREADS};
use serde::Serialize;

use super::spec;

/// A key and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    key: String,
    value: u32,
    line: usize,
    /// The attribute, as the new file has it; `None`: it has no meaning here.
    became: Option<String>,
    why: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let became = self.became.as_deref().unwrap_or("nothing");
        write!(f, "{} = {}: {became}; {}", self.key, self.value, self.why)
    }
}

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Its keys, in their order.
    pub keys: Vec<Key>,
    /// What was not understood, each beginning with the number of the line.
    pub warnings: Vec<String>,
    pool: Pool,
}

/// The attributes that the configuration says something about, as the new file has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pool {
    workers: Option<String>,
    idle: Option<String>,
    cpus: Option<String>,
}

struct Setting<'a> {
    line: usize,
    key: &'a str,
    value: u32,
}

/// Translates a configuration.
///
/// # Errors
///
/// A line is not of the form `key = number`; the text begins with its number.
pub fn translate(text: &str) -> Result<Translation, String> {
    let settings = settings(text)?;
    let value = |key: &str| {
        settings
            .iter()
            .rfind(|set| set.key == key)
            .map(|set| set.value)
    };
    let localized = value("esca_localize").is_none_or(|yes| yes != 0);
    let cpus = ["affinity_offset", "esca_localize"]
        .iter()
        .any(|key| value(key).is_some())
        .then(|| {
            let count = if localized {
                "max_usr_worker"
            } else {
                "max_ker_worker"
            };
            let count = u64::from(value(count).unwrap_or(1).max(1));
            let first = u64::from(value("affinity_offset").unwrap_or(0));
            match count {
                1 => format!("cpus = \"{first}\""),
                count => format!("cpus = \"{first}-{}\"", first + count - 1),
            }
        });
    let pool = Pool {
        workers: value("max_ker_worker").map(|n| format!("workers = {}", workers(n))),
        idle: value("default_idle_time")
            .map(|ms| format!("idle = \"{}\"", spec::idle_text(idle(ms)))),
        cpus,
    };

    let mut keys = Vec::new();
    let mut warnings = Vec::new();
    for (index, set) in settings.iter().enumerate() {
        let Some((became, why)) = meaning(set, &pool, localized) else {
            warnings.push(format!(
                "{}: unknown key {}: passed over",
                set.line, set.key
            ));
            continue;
        };
        if let Some(later) = settings[index + 1..]
            .iter()
            .find(|later| later.key == set.key)
        {
            warnings.push(format!(
                "{}: {} is given again in line {}, which counts",
                set.line, set.key, later.line
            ));
            continue;
        }
        keys.push(Key {
            key: set.key.to_owned(),
            value: set.value,
            line: set.line,
            became: became.clone(),
            why,
        });
    }
    Ok(Translation {
        keys,
        warnings,
        pool,
    })
}

fn settings(text: &str) -> Result<Vec<Setting<'_>>, String> {
    let mut settings = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{line}: {text:?} is not of the form key = number"))?;
        let (key, value) = (key.trim(), value.trim());
        let value = value
            .parse()
            .map_err(|_| format!("{line}: {key}: {value:?} is no number"))?;
        settings.push(Setting { line, key, value });
    }
    Ok(settings)
}

fn workers(number: u32) -> u32 {
    number.clamp(1, SAIO_POOL_MAX_THREADS)
}

fn idle(milliseconds: u32) -> Duration {
    let limit = Duration::from_nanos(SAIO_POOL_MAX_IDLE_NS.into());
    Duration::from_millis(milliseconds.into()).min(limit)
}

/// What a key became, and why; `None` if nobody knows it.
fn meaning<'a>(
    set: &Setting<'_>,
    pool: &'a Pool,
    localized: bool,
) -> Option<(&'a Option<String>, String)> {
    let (became, why) = match set.key {
        "max_ker_worker" if workers(set.value) != set.value => (
            &pool.workers,
            format!("a pool has 1 to {SAIO_POOL_MAX_THREADS} threads"),
        ),
        "max_ker_worker" => (
            &pool.workers,
            "all processes share these threads; max has its default, twice as many".to_owned(),
        ),
        "max_usr_worker" if localized && pool.cpus.is_some() => (
            &pool.cpus,
            "a CPU for each process; any number of them may attach".to_owned(),
        ),
        "max_usr_worker" => (&None, "any number of processes may attach".to_owned()),
        "default_idle_time" if idle(set.value) < Duration::from_millis(set.value.into()) => (
            &pool.idle,
            format!(
                "these are milliseconds; {} is the longest",
                spec::idle_text(idle(set.value))
            ),
        ),
        "default_idle_time" => (&pool.idle, "these are milliseconds".to_owned()),
        "affinity_offset" => (&pool.cpus, "the first CPU".to_owned()),
        "esca_localize" if localized => (
            &pool.cpus,
            "a CPU for each process; threads may move between them".to_owned(),
        ),
        "esca_localize" => (
            &pool.cpus,
            "a CPU for each thread; threads may move between them".to_owned(),
        ),
        // The second is max_table_len in the original's own file.
        "max_table_entry" | "max_table_len" | "max_table_num" => (
            &None,
            "queues belong to the rings of processes, and the library sizes them".to_owned(),
        ),
        _ => return None,
    };
    Some((became, why))
}

impl Translation {
    /// The file for `saioctl pool apply`.
    pub fn toml(&self, name: &Name) -> String {
        let mut text = "# Translated by saioctl pool import. What became of the keys:\n".to_owned();
        for key in &self.keys {
            text += &format!("#   {key}\n");
        }
        text += &format!("\n[pool.{name}]\n");
        let Pool {
            workers,
            idle,
            cpus,
        } = &self.pool;
        for attribute in [workers, idle, cpus].into_iter().flatten() {
            text += &format!("{attribute}\n");
        }
        text + "# Nothing said who may use the kernel's threads. Without a group it is root alone:\n# group = \"www-data\"\n"
    }

    /// What became of each key, a line each.
    pub fn words(&self) -> String {
        self.keys.iter().map(|key| format!("{key}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::{self, Machine};
    use super::*;

    fn pool(text: &str) -> [Option<String>; 3] {
        let Pool {
            workers,
            idle,
            cpus,
        } = translate(text).unwrap().pool;
        [workers, idle, cpus]
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn threads_and_idle_time() {
        assert_eq!(pool(""), [None, None, None]);
        assert_eq!(
            pool("max_ker_worker = 4\ndefault_idle_time=150 # ms\n"),
            [some("workers = 4"), some("idle = \"150ms\""), None]
        );
        assert_eq!(
            pool("max_ker_worker = 0\ndefault_idle_time = 1500\n"),
            [some("workers = 1"), some("idle = \"1s\""), None]
        );
        assert_eq!(pool("max_ker_worker = 999\n")[0], some("workers = 256"));
    }

    #[test]
    fn places() {
        let cpus = |text: &str| {
            pool(&format!("max_usr_worker = 2\nmax_ker_worker = 8\n{text}"))[2].clone()
        };
        assert_eq!(
            cpus("esca_localize = 0\naffinity_offset = 4"),
            some("cpus = \"4-11\"")
        );
        assert_eq!(
            cpus("esca_localize = 1\naffinity_offset = 4"),
            some("cpus = \"4-5\"")
        );
        assert_eq!(cpus("affinity_offset = 4"), some("cpus = \"4-5\""));
        assert_eq!(cpus("esca_localize = 0"), some("cpus = \"0-7\""));
        assert_eq!(cpus(""), None);
        assert_eq!(
            pool("affinity_offset = 4294967295")[2],
            some("cpus = \"4294967295\"")
        );
    }

    #[test]
    fn translation_is_a_file_for_apply() {
        let esca = "max_usr_worker = 2\nmax_ker_worker = 4\ndefault_idle_time = 1500\naffinity_offset = 2\n";
        let machine = Machine {
            possible: (0..8).collect(),
            group: spec::group,
        };
        for esca in [esca, ""] {
            let translation = translate(esca).unwrap();
            let toml = translation.toml(&"web".parse().unwrap());
            let wanted = file::parse(&toml, &machine).unwrap();
            assert_eq!(wanted.len(), 1);
            let [workers, idle, cpus] = pool(esca);
            let change = &wanted[0].change;
            assert_eq!(change.workers.is_some(), workers.is_some());
            assert_eq!(change.idle.is_some(), idle.is_some());
            assert_eq!(change.cpus.is_some(), cpus.is_some());
        }
    }

    #[test]
    fn every_key_is_accounted_for() {
        let translation = translate("max_table_len = 10\nmax_usr_worker = 3\n").unwrap();
        assert_eq!(translation.keys.len(), 2);
        for key in &translation.keys {
            assert_eq!(key.became, None);
            assert!(key.to_string().contains(": nothing; "), "{key}");
        }
    }

    #[test]
    fn what_is_odd_is_said() {
        let translation =
            translate("# x\nturbo = 1\nmax_ker_worker = 1\nmax_ker_worker = 2\n").unwrap();
        assert_eq!(translation.pool.workers, some("workers = 2"));
        assert_eq!(translation.keys.len(), 1);
        assert_eq!(
            translation.warnings,
            [
                "2: unknown key turbo: passed over",
                "3: max_ker_worker is given again in line 4, which counts"
            ]
        );
        assert!(translate("\nx\n").unwrap_err().starts_with("2: "));
        assert!(translate("max_ker_worker = many\n")
            .unwrap_err()
            .contains("\"many\" is no number"));
        assert!(translate("max_ker_worker = -1\n").is_err());
    }
}
