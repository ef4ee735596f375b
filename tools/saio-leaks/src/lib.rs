// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the kernel has given back all that users of SAIO have had: rings, sockets, files, threads, memory.
//!
//! All functions read `/proc`, `/sys` and debugfs; some want root. They are for a machine on which nothing else happens.

#![deny(missing_docs)]

pub mod slabs;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Open files of the system that may be more than before: the kernel counts them for each CPU, and adds up now and then.
const FILES: u64 = 400;

/// How often something is looked at that may take a while.
const STEP: Duration = Duration::from_millis(20);

const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// Beginning of the names of threads of pools.
const THREAD: &str = "saio/";
/// That of the pool which is always there, cut to the length that the kernel keeps.
const DEFAULT_THREAD: &str = "saio/defaul";

/// What there was before.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    files: u64,
    sockets: u64,
}

impl Baseline {
    /// Counts.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn now() -> Result<Self> {
        Ok(Self {
            files: open_files().context("cannot read /proc/sys/fs/file-nr")?,
            sockets: tcp("alloc").context("cannot read /proc/net/sockstat")?,
        })
    }

    /// Waits until rings, sockets and files are no more than before.
    ///
    /// # Errors
    ///
    /// What is left after `patience`.
    pub fn check(&self, patience: Duration) -> Result<(), String> {
        let last = Instant::now() + patience;
        let wait = |look: &dyn Fn() -> Result<(), String>| until(last, look);
        wait(&no_rings)?;
        wait(&|| none_more("TCP orphans", tcp("orphan"), 0)).map_err(with_sockets)?;
        wait(&|| none_more("TCP sockets", tcp("alloc"), self.sockets)).map_err(with_sockets)?;
        wait(&|| none_more("open files", open_files(), self.files + FILES))
    }
}

/// Looks again and again until there is nothing to say.
///
/// # Errors
///
/// What is said when it is too late.
pub fn until(last: Instant, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    loop {
        match look() {
            Err(_) if Instant::now() < last => thread::sleep(STEP),
            result => return result,
        }
    }
}

/// Whether this is a guest of `./x`, which may be broken: its root is another machine's, read-only, over 9p.
pub fn is_guest() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        matches!(words[..], [_, "/", "9p", options, ..] if options.split(',').any(|word| word == "ro"))
    })
}

/// Threads of pools other than the default, which must have been removed.
///
/// # Errors
///
/// There are some.
pub fn no_threads() -> Result<(), String> {
    let left: Vec<String> = threads()
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| !name.starts_with(DEFAULT_THREAD))
        .collect();
    none_of(&left, "threads of removed pools")
}

/// Numbers and names of all threads of pools.
pub fn threads() -> Vec<(u32, String)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = processes.filter_map(|process| {
        let number = process.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some((number, name.trim().to_owned()))
    });
    named.filter(|(_, name)| name.starts_with(THREAD)).collect()
}

/// What kmemleak reports: memory that nobody points to. `None` if the kernel has no kmemleak; its log has a complaint if
/// there is something.
///
/// # Errors
///
/// It cannot be asked.
pub fn unreferenced() -> Result<Option<String>> {
    if !Path::new(KMEMLEAK).exists() {
        return Ok(None);
    }
    // What is young is not reported: look twice.
    for _ in 0..2 {
        thread::sleep(Duration::from_secs(6));
        fs::write(KMEMLEAK, "scan").with_context(|| format!("cannot write {KMEMLEAK}"))?;
    }
    let text = fs::read_to_string(KMEMLEAK).with_context(|| format!("cannot read {KMEMLEAK}"))?;
    Ok(Some(text))
}

/// Memory of rings is the only memory that functions of SAIO take by vmalloc.
fn no_rings() -> Result<(), String> {
    let text = fs::read_to_string("/proc/vmallocinfo").unwrap_or_default();
    let rings: Vec<&str> = text.lines().filter(|line| line.contains("saio")).collect();
    none_of(&rings, "rings still have memory")
}

fn none_of<T: AsRef<str>>(left: &[T], what: &str) -> Result<(), String> {
    match left {
        [] => Ok(()),
        [first, ..] => Err(format!("{} {what}: {}", left.len(), first.as_ref().trim())),
    }
}

fn none_more(what: &str, there: Option<u64>, allowed: u64) -> Result<(), String> {
    match there {
        Some(count) if count > allowed => Err(format!("{count} {what}, {allowed} before")),
        _ => Ok(()),
    }
}

/// Adds the TCP sockets of this network namespace, as `/proc/net/tcp` has them.
fn with_sockets(left: String) -> String {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    format!("{left}\n{sockets}")
}

/// The first number of a text.
fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<u64> {
    number(&fs::read_to_string("/proc/sys/fs/file-nr").ok()?)
}

/// A figure of the line about TCP.
fn tcp(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    number(line.split_once(&format!(" {name} "))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named() {
        assert_eq!(none_of::<&str>(&[], "rings"), Ok(()));
        assert_eq!(none_of(&["a ", "b"], "rings"), Err("2 rings: a".to_owned()));
        assert_eq!(none_more("files", Some(3), 3), Ok(()));
        let left = none_more("files", Some(4), 3);
        assert_eq!(left, Err("4 files, 3 before".to_owned()));
    }

    #[test]
    fn patience_ends() {
        let error = until(Instant::now(), || Err("x".to_owned()));
        assert_eq!(error, Err("x".to_owned()));
        let last = Instant::now() + Duration::from_secs(60);
        assert_eq!(until(last, || Ok(())), Ok(()));
    }

    #[test]
    fn this_machine_is_counted() {
        let baseline = Baseline::now().unwrap();
        assert!(baseline.files > 0);
    }
}
