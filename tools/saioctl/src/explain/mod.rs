// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl run --explain`: what became of a command's calls, and why.

mod counters;
mod json;
mod reason;
mod text;

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use tempfile::TempDir;

use crate::child::{Child, Signals};
use crate::run::rules::Rule;
use counters::Process;

/// Name of the file of counters in a directory of its own.
const FILE: &str = "counters.jsonl";

/// Where counters are collected, and where what they say goes.
pub struct Explain {
    counters: PathBuf,
    /// Bytes that were in the file before.
    before: u64,
    json: bool,
    output: Option<(PathBuf, File)>,
    /// Removed at the end.
    _dir: Option<TempDir>,
}

/// What was counted.
pub struct Seen<'a> {
    /// Of each process that has left counters, in the order of their ends.
    processes: Vec<Process>,
    /// Lines of the file that were not understood.
    odd: usize,
    /// Exit status of the command, if it has ended.
    status: Option<u8>,
    /// Rules that were in force.
    rules: &'a [Rule],
}

impl Seen<'_> {
    /// Rules that were for one of the processes, and for how many.
    fn rules_used(&self) -> Vec<(&Rule, usize)> {
        let used = self.rules.iter().map(|rule| {
            let is_for = |process: &&Process| process.rules.contains(&rule.pattern);
            (rule, self.processes.iter().filter(is_for).count())
        });
        used.filter(|(_, processes)| *processes > 0).collect()
    }
}

impl Explain {
    /// Gets ready. The counters are collected in `stats` if the user wants them there too.
    ///
    /// # Errors
    ///
    /// Counters cannot be collected, or the output cannot be written.
    pub fn new(stats: Option<&Path>, json: bool, output: Option<&Path>) -> Result<Self> {
        if stats == Some(Path::new("stderr")) {
            bail!("--explain reads the counters, which --stats stderr writes elsewhere; name a file, or leave --stats out");
        }
        let (counters, dir) = match stats {
            Some(file) => (file.to_owned(), None),
            None => {
                let dir =
                    private_dir().context("--explain: cannot make a file for the counters")?;
                (dir.path().join(FILE), Some(dir))
            }
        };
        // Before anything runs.
        let output = output.map(|file| {
            let opened = File::create(file)
                .with_context(|| format!("--output: cannot write {}", file.display()))?;
            Ok::<_, anyhow::Error>((file.to_owned(), opened))
        });
        Ok(Self {
            before: fs::metadata(&counters).map_or(0, |file| file.len()),
            counters,
            json,
            output: output.transpose()?,
            _dir: dir,
        })
    }

    /// The file that the library is to write to.
    pub fn counters(&self) -> &Path {
        &self.counters
    }

    /// Runs a command to the end of all that comes out of it, then says what became of its calls. Returns its exit
    /// status; the outer error is that it cannot be started.
    ///
    /// # Errors
    ///
    /// The command cannot be waited for, or the output cannot be written.
    pub fn run(self, command: &mut Command, rules: &[Rule]) -> io::Result<Result<u8>> {
        let signals = match Signals::catch() {
            Ok(signals) => signals,
            Err(error) => return Ok(Err(error)),
        };
        let child = Child::start(command)?;
        Ok(self.wait(child, &signals, rules))
    }

    fn wait(mut self, mut child: Child, signals: &Signals, rules: &[Rule]) -> Result<u8> {
        while !child.is_over(signals.take())? {
            signals.pause()?;
        }
        let text = fs::read(&self.counters).unwrap_or_default();
        let from = usize::try_from(self.before).unwrap_or(0).min(text.len());
        let (processes, odd) = counters::parse(&String::from_utf8_lossy(&text[from..]));
        let seen = Seen {
            processes,
            odd,
            status: child.status(),
            rules,
        };
        let report = if self.json {
            json::report(&seen)?
        } else {
            text::report(&seen)
        };
        match &mut self.output {
            Some((name, file)) => file
                .write_all(report.as_bytes())
                .with_context(|| format!("--output: cannot write {}", name.display()))?,
            // stdout is the command's. Whether anybody reads this does not change what the command returned.
            None => {
                let _ = io::stderr().write_all(report.as_bytes());
            }
        }
        Ok(child.status().unwrap_or(0))
    }
}

/// A directory that others can pass and not list, with a file that processes of other users can write to: a server
/// may start others after it has changed its user.
fn private_dir() -> io::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("saioctl-").tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
    let file = dir.path().join(FILE);
    File::create(&file)?.set_permissions(Permissions::from_mode(0o622))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::counters::tests::TEXT;
    use super::*;

    pub fn rules() -> Vec<Rule> {
        let rule = |pattern: &str, pass: Option<&str>, reason: &str| Rule {
            pattern: pattern.to_owned(),
            pass: pass.map(|call| vec![call.to_owned()]),
            reason: reason.to_owned(),
        };
        vec![
            rule("redis-server", Some("close"), "not of interest here"),
            rule("sh", None, "a shell runs no event loop"),
        ]
    }

    /// What was seen of a command whose processes left [`TEXT`].
    pub fn seen(rules: &[Rule]) -> Seen<'_> {
        let (processes, odd) = counters::parse(TEXT);
        Seen {
            processes,
            odd,
            status: Some(0),
            rules,
        }
    }

    #[test]
    fn counters_must_be_in_a_file() {
        let error = Explain::new(Some(Path::new("stderr")), false, None).err();
        assert!(error.unwrap().to_string().contains("--stats"));
        let error = Explain::new(None, false, Some(Path::new("/nonexistent/x"))).err();
        assert!(format!("{:#}", error.unwrap()).contains("--output"));
    }

    #[test]
    fn own_file_is_gone_afterwards() {
        let explain = Explain::new(None, false, None).unwrap();
        let file = explain.counters().to_owned();
        assert!(file.exists());
        drop(explain);
        assert!(!file.exists());
    }
}
