// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long a trace goes on: until a signal, and until what is traced has ended.

use anyhow::Result;

use crate::child::{Child, Signals};
use crate::process::Proc;

/// What is traced, as far as it can end.
pub enum Subject {
    /// Everything, until a signal comes.
    Everything,
    /// Processes that are there.
    Processes(Vec<u32>),
    /// A command with all that comes out of it.
    Command(Child),
}

impl Subject {
    /// Whether the trace is over.
    ///
    /// # Errors
    ///
    /// The children cannot be waited for.
    pub fn is_over(&mut self, signals: &Signals) -> Result<bool> {
        let signal = signals.take();
        match self {
            Self::Everything => Ok(signal.is_some()),
            Self::Processes(pids) => {
                Ok(signal.is_some() || !pids.iter().any(|&pid| Proc::default().has(pid)))
            }
            Self::Command(child) => child.is_over(signal),
        }
    }

    /// What saioctl exits with: the status of the command, if there is one and it has ended.
    pub fn status(&self) -> u8 {
        match self {
            Self::Command(child) => child.status().unwrap_or(0),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGHUP, SIGTERM};

    use super::*;

    #[test]
    fn signals_and_ends() {
        let signals = Signals::catch().unwrap();
        let own = std::process::id();
        let mut here = Subject::Processes(vec![own]);
        assert!(!here.is_over(&signals).unwrap());
        assert!(!Subject::Everything.is_over(&signals).unwrap());
        assert!(Subject::Processes(vec![u32::MAX])
            .is_over(&signals)
            .unwrap());

        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert!(here.is_over(&signals).unwrap());
        assert!(!here.is_over(&signals).unwrap());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(Subject::Everything.is_over(&signals).unwrap());
        assert_eq!(here.status(), 0);
    }
}
