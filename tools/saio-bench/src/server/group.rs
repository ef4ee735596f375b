// SPDX-License-Identifier: MIT OR Apache-2.0

//! Process groups of servers: nobody in one outlives this program.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;

/// Exit status of a program that a signal ended, less the signal's number.
const SIGNAL_STATUS: i32 = 128;

/// Groups of the servers that run.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn groups<T>(look: impl FnOnce(&mut BTreeSet<i32>) -> T) -> T {
    look(&mut GROUPS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The group of a server's first process and of all that this one starts.
pub struct Group(i32);

impl Group {
    /// The group of a process that leads one.
    pub fn new(leader: u32) -> Self {
        let group = leader as i32;
        groups(|groups| groups.insert(group));
        Self(group)
    }

    /// Kills everybody in it, once: later the number may be another's. Returns whether it did.
    pub fn kill(&self) -> bool {
        groups(|groups| {
            let is_first = groups.remove(&self.0);
            if is_first {
                let _ = killpg(Pid::from_raw(self.0), Signal::SIGKILL);
            }
            is_first
        })
    }
}

/// From now on a signal that ends this program ends all servers too.
///
/// # Errors
///
/// No thread can be started.
pub fn end_with_us() -> Result<()> {
    // Not blocked: servers would inherit that.
    let mut signals = Signals::new(TERM_SIGNALS).context("cannot catch signals")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let Some(signal) = signals.forever().next() else {
                return;
            };
            groups(|groups| {
                for group in groups.iter() {
                    let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
                }
                std::process::exit(SIGNAL_STATUS + signal);
            })
        })
        .context("cannot start a thread")?;
    Ok(())
}
