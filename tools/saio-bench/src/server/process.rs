// SPDX-License-Identifier: MIT OR Apache-2.0

//! A running server: started, watched, stopped, and killed for sure.

use std::fs::{self, File, OpenOptions, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use nix::sys::signal::{kill, Signal};
use nix::unistd::{Pid, User};

use super::group::Group;
use super::{give, Site, LOG};
use crate::stats::{self, Stats};
use crate::vtime;

/// How long a server may take to start or to stop.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The same where the clock counts instructions: it goes on to the next timer while the machine waits for the host's
/// files, so that a minute may pass within moments.
const START_LIMIT_ICOUNT: Duration = Duration::from_secs(3600);
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

/// What tells one kind of server from another.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// What it is, for messages
    pub software: &'static str,
    /// Asks it to stop as an operator does, letting it finish what it has begun if it can
    pub stop: Signal,
    /// Whether its first process only watches others, and it is not ready before there is one
    pub has_master: bool,
    /// Words in its logs that no good server writes
    pub bad: &'static [&'static str],
}

/// A running server: its first process and all that this one has started. Dropping it kills them.
pub struct Process {
    name: String,
    dir: PathBuf,
    address: SocketAddr,
    habits: Habits,
    master: Child,
    group: Group,
    under_saio: bool,
    /// A server that this one needs
    upstream: Option<Box<Process>>,
}

impl Process {
    /// Starts a command as a server and waits until it listens. Its directory must exist; `user` is whom it runs as, if
    /// it does not change by itself.
    ///
    /// # Errors
    ///
    /// It does not start; its logs are in the error.
    pub fn start(
        site: &Site,
        habits: Habits,
        mut command: Command,
        user: Option<User>,
    ) -> Result<Self> {
        let dir = site.dir();
        command
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(log(&dir, "stdout.log")?)
            .stderr(log(&dir, "stderr.log")?)
            .env_remove("LD_PRELOAD")
            // Whatever it starts can be killed, even when it is gone itself.
            .process_group(0);
        if let Some(user) = user {
            give(&dir, &user)?;
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        if let Some(saio) = site.saio {
            // Processes that are not root append to it.
            let stats = dir.join("stats.jsonl");
            log(&dir, "stats.jsonl")?.set_permissions(Permissions::from_mode(0o666))?;
            command
                .env("LD_PRELOAD", &saio.library)
                .env("SAIO_MODE", saio.mode.name())
                .env("SAIO_STATS", stats);
            if saio.queue_all {
                command.env("SAIO_ALONE", "queue");
            }
            if let Some(pool) = &saio.pool {
                command.env("SAIO_POOL", pool.as_str());
            }
        }
        let master = command
            .spawn()
            .with_context(|| format!("cannot start {}", habits.software))?;
        let group = Group::new(master.id());
        let mut server = Self {
            name: site.name.clone(),
            dir,
            address: (Ipv4Addr::LOCALHOST, site.port).into(),
            habits,
            master,
            group,
            under_saio: site.saio.is_some(),
            upstream: None,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Keeps a server that this one needs, for as long.
    pub fn with_upstream(mut self, upstream: Process) -> Self {
        self.upstream = Some(Box::new(upstream));
        self
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let limit = match std::env::var(vtime::INSTRUMENT).as_deref() {
            Ok("icount") => START_LIMIT_ICOUNT,
            _ => START_LIMIT,
        };
        while TcpStream::connect(self.address).is_err()
            || (self.habits.has_master && self.workers().is_empty())
        {
            if let Some(status) = self.master.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.label(), self.logs());
            }
            if start.elapsed() > limit {
                bail!(
                    "{} does not listen after {} s:\n{}",
                    self.label(),
                    limit.as_secs(),
                    self.logs()
                );
            }
            sleep(STEP);
        }
        Ok(())
    }

    /// What it is and its name, for messages.
    pub fn label(&self) -> String {
        format!("{} ({})", self.habits.software, self.name)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether its first process only watches others.
    pub fn has_master(&self) -> bool {
        self.habits.has_master
    }

    /// Processes that the first one has started and that run.
    pub fn workers(&self) -> Vec<u32> {
        children_of(self.master.id())
    }

    /// Threads of all its processes that live, those of the first process first.
    pub fn tasks(&self) -> Vec<u32> {
        let mut processes = members(self.master.id());
        processes.sort_unstable();
        processes.into_iter().flat_map(threads_of).collect()
    }

    /// Process of the only worker.
    ///
    /// # Errors
    ///
    /// There is none or more than one.
    pub fn worker(&self) -> Result<u32> {
        match self.workers()[..] {
            [worker] => Ok(worker),
            ref other => bail!(
                "{} has {} workers instead of one:\n{}",
                self.label(),
                other.len(),
                self.logs()
            ),
        }
    }

    /// Sends a signal to the first process.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.master.id() as i32), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.label()))
    }

    /// Waits until it has ended, and stops the one that it needs.
    ///
    /// # Errors
    ///
    /// It runs on after 60 s, or has ended with a signal.
    pub fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.master.try_wait()? {
                break status;
            }
            if start.elapsed() > STOP_LIMIT {
                bail!(
                    "{} still runs {} s after it was told to stop:\n{}",
                    self.label(),
                    STOP_LIMIT.as_secs(),
                    self.logs()
                );
            }
            sleep(STEP);
        };
        // Its processes may outlive it a little, and are not to lose what they still do.
        while !members(self.master.id()).is_empty() && start.elapsed() < STOP_LIMIT {
            sleep(STEP);
        }
        self.group.kill();
        if !status.success() && status.signal() != Some(self.habits.stop as i32) {
            bail!("{} ended with {status}:\n{}", self.label(), self.logs());
        }
        match &mut self.upstream {
            Some(upstream) => upstream.stop(),
            None => Ok(()),
        }
    }

    /// Kills all its processes at once, as the kernel does that runs out of memory. The one that it needs runs on.
    ///
    /// # Errors
    ///
    /// It has ended before.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.master.try_wait()? {
            bail!("{} ended with {status}:\n{}", self.label(), self.logs());
        }
        self.group.kill();
        self.master.wait()?;
        Ok(())
    }

    /// Waits until the kernel has killed all its processes.
    ///
    /// # Errors
    ///
    /// It runs on after 60 s, or has ended otherwise.
    pub fn wait_for_kill(&mut self) -> Result<()> {
        let start = Instant::now();
        let left = || !members(self.master.id()).is_empty();
        while left() && start.elapsed() < STOP_LIMIT {
            sleep(STEP);
        }
        if left() {
            bail!(
                "{} was not killed within {} s:\n{}",
                self.label(),
                STOP_LIMIT.as_secs(),
                self.logs()
            );
        }
        self.group.kill();
        let status = self.master.wait()?;
        if status.signal() != Some(Signal::SIGKILL as i32) {
            bail!("{} ended with {status}:\n{}", self.label(), self.logs());
        }
        Ok(())
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    ///
    /// As of waitpid(2).
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.master.try_wait()?)
    }

    /// Asks it to stop as an operator does.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn ask_to_stop(&self) -> Result<()> {
        self.signal(self.habits.stop)
    }

    /// Stops it, and the one that it needs.
    ///
    /// # Errors
    ///
    /// As [`Process::wait`].
    pub fn stop(&mut self) -> Result<()> {
        if self.master.try_wait()?.is_none() {
            self.ask_to_stop()?;
        }
        self.wait()
    }

    /// Fails if it has died or a log has a line that no good server writes.
    ///
    /// # Errors
    ///
    /// Such a line.
    pub fn check_log(&self) -> Result<()> {
        self.check_log_but(None)
    }

    /// The same, but for lines with this in them.
    ///
    /// # Errors
    ///
    /// As [`Process::check_log`].
    pub fn check_log_but(&self, passed_over: Option<&str>) -> Result<()> {
        for (name, log) in self.log_files() {
            if let Some(line) = bad_line(&log, self.habits.bad, passed_over) {
                bail!("{} wrote to {name}: {line}", self.label());
            }
        }
        Ok(())
    }

    /// Sum of what the processes under SAIO have counted; they write it when they end.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the server was not under SAIO.
    pub fn stats(&self) -> Result<Stats> {
        if !self.under_saio {
            bail!("{} does not run under SAIO", self.label());
        }
        stats::read(&self.dir.join("stats.jsonl"))
    }

    /// Whether it runs under SAIO.
    pub fn is_under_saio(&self) -> bool {
        self.under_saio
    }

    /// The end of what it wrote, for an error message.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for (name, log) in self.log_files() {
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(10)..] {
                text += &format!("  {name}: {line}\n");
            }
        }
        text
    }

    /// All that it wrote.
    pub fn all_logs(&self) -> String {
        let logs = self.log_files().into_iter();
        logs.map(|(_, log)| log).collect()
    }

    fn log_files(&self) -> Vec<(String, String)> {
        let mut logs: Vec<(String, String)> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
            .filter(|(name, _)| name.ends_with(".log") && name != LOG)
            .map(|(name, path)| {
                let log = fs::read(path).unwrap_or_default();
                (name, String::from_utf8_lossy(&log).into_owned())
            })
            .collect();
        logs.sort();
        logs
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `wait` nobody is left.
        if self.group.kill() {
            let _ = self.master.wait();
        }
    }
}

/// Opens a file to append to. It is opened before rights are dropped.
fn log(dir: &Path, name: &str) -> Result<File> {
    let file = dir.join(name);
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .with_context(|| format!("cannot write {}", file.display()))
}

fn children_of(parent: u32) -> Vec<u32> {
    processes(|living| living.parent == parent)
}

/// Threads of a process.
fn threads_of(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let ids = entries.flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Processes of a group.
fn members(group: u32) -> Vec<u32> {
    processes(|living| living.group == group)
}

fn processes(wanted: impl Fn(Living) -> bool) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            living(&stat).is_some_and(&wanted)
        })
        .collect()
}

/// A process that has not ended.
#[derive(Debug, PartialEq)]
struct Living {
    parent: u32,
    group: u32,
}

/// What a line of /proc/PID/stat says.
fn living(stat: &str) -> Option<Living> {
    // The name may hold spaces and brackets; what follows it does not.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    Some(Living {
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

fn bad_line<'a>(log: &'a str, bad: &[&str], passed_over: Option<&str>) -> Option<&'a str> {
    log.lines()
        .filter(|line| passed_over.is_none_or(|words| !line.contains(words)))
        .find(|line| bad.iter().any(|word| line.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_by_parent_and_group() {
        let expected = Some(Living {
            parent: 7,
            group: 12,
        });
        assert_eq!(living("12 (nginx) S 7 12 12"), expected);
        assert_eq!(living("12 (a) b) S 7 12 12"), expected);
        assert_eq!(living("12 (nginx) Z 7 12 12"), None);
        assert_eq!(living(""), None);
        // We have no children here, and are in a group.
        assert!(children_of(u32::MAX).is_empty());
        let group = nix::unistd::getpgrp().as_raw() as u32;
        assert!(members(group).contains(&std::process::id()));
    }

    #[test]
    fn bad_lines_of_a_log() {
        let bad = ["[alert]", "[crit]"];
        let log = "t [notice] 1#1: x\nt [error] 1#1: open() failed\n";
        assert_eq!(bad_line(log, &bad, None), None);
        let log = format!("{log}t [alert] 1#1: worker process 5 exited on signal 11\n");
        assert!(bad_line(&log, &bad, None).unwrap().contains("signal 11"));
        assert_eq!(bad_line(&log, &bad, Some("exited on signal 11")), None);
    }
}
