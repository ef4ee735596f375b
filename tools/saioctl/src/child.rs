// SPDX-License-Identifier: MIT OR Apache-2.0

//! A command that is waited for, with all that comes out of it, and the signals that end that.

use std::fs::File;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{poll, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{getpgrp, tcgetpgrp, Pid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// How long to wait before looking again, in milliseconds.
const TICK_MS: u8 = 100;

/// Signals that end a wait in order. A program that is started has the usual effects of them again.
pub struct Signals([(Signal, Arc<AtomicBool>); 3]);

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    ///
    /// The handlers cannot be set.
    pub fn catch() -> Result<Self> {
        let caught = |signal: Signal, number| -> Result<_> {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))
                .with_context(|| format!("cannot catch {signal}"))?;
            Ok((signal, flag))
        };
        // This one only has `pause` return.
        caught(Signal::SIGCHLD, SIGCHLD)?;
        Ok(Self([
            caught(Signal::SIGINT, SIGINT)?,
            caught(Signal::SIGTERM, SIGTERM)?,
            caught(Signal::SIGHUP, SIGHUP)?,
        ]))
    }

    /// One that came since the last time.
    pub fn take(&self) -> Option<Signal> {
        let mut all = self.0.iter();
        all.find(|(_, flag)| flag.swap(false, Ordering::Relaxed))
            .map(|&(signal, _)| signal)
    }

    /// Waits a moment, mostly until one comes or a child ends.
    ///
    /// # Errors
    ///
    /// The kernel cannot wait.
    pub fn pause(&self) -> Result<()> {
        match poll(&mut [], PollTimeout::from(TICK_MS)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context("cannot wait"),
        }
    }
}

/// A command that was started.
pub struct Child {
    pid: Pid,
    status: Option<u8>,
    asked: bool,
}

impl Child {
    /// Starts it. Its descendants become ours when their parents end, so that their end is seen too.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        let child = command.spawn()?;
        Ok(Self {
            pid: Pid::from_raw(child.id() as i32),
            status: None,
            asked: false,
        })
    }

    /// Its exit status as a shell has it, once it has ended.
    pub fn status(&self) -> Option<u8> {
        self.status
    }

    /// Whether it and all that came out of it have ended, or `signal` says that this is not to be waited for.
    ///
    /// A first signal is left to the command, which may want to end in order; a second one ends the wait. So does
    /// the first if only daemons are left, which do not see it.
    ///
    /// # Errors
    ///
    /// The children cannot be waited for.
    pub fn is_over(&mut self, signal: Option<Signal>) -> Result<bool> {
        let gone = self.reap()?;
        if let Some(signal) = signal {
            if self.asked || self.status.is_some() {
                return Ok(true);
            }
            self.asked = true;
            self.ask(signal, in_foreground());
        }
        Ok(gone)
    }

    fn ask(&self, signal: Signal, foreground: bool) {
        // The terminal has sent its own to both already.
        if signal == Signal::SIGINT && foreground {
            return;
        }
        // It may have ended just now.
        let _ = kill(self.pid, signal);
    }

    /// Takes the status of all that have ended; says whether nobody is left.
    fn reap(&mut self) -> Result<bool> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return Ok(false),
                Ok(status) => {
                    if status.pid() == Some(self.pid) {
                        self.status = exit_status(status).or(self.status);
                    }
                }
                Err(Errno::ECHILD) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for the command"),
            }
        }
    }
}

/// Whether the terminal sends its signals to the process group of saioctl, which the command is born into.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

/// As a shell has it: 128 and the number of the signal that ended it.
fn exit_status(status: WaitStatus) -> Option<u8> {
    match status {
        WaitStatus::Exited(_, code) => u8::try_from(code).ok(),
        WaitStatus::Signaled(_, signal, _) => u8::try_from(128 + signal as i32).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        let pid = Pid::from_raw(1);
        let status = |status| exit_status(status);
        assert_eq!(status(WaitStatus::Exited(pid, 7)), Some(7));
        let killed = WaitStatus::Signaled(pid, Signal::SIGKILL, false);
        assert_eq!(status(killed), Some(137));
        assert_eq!(status(WaitStatus::Continued(pid)), None);
    }

    #[test]
    fn signals_of_the_terminal_are_not_doubled() {
        // A handler, so that the program does not inherit that the signal is ignored.
        let _signals = Signals::catch().unwrap();
        let ended_by = |asked: &[(Signal, bool)]| {
            let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
            let child = Child {
                pid: Pid::from_raw(sleep.id() as i32),
                status: None,
                asked: false,
            };
            for &(signal, foreground) in asked {
                child.ask(signal, foreground);
            }
            sleep.wait().unwrap().signal()
        };
        assert_eq!(ended_by(&[(Signal::SIGINT, false)]), Some(SIGINT));
        let both = [(Signal::SIGINT, true), (Signal::SIGTERM, true)];
        assert_eq!(ended_by(&both), Some(SIGTERM));
    }
}
