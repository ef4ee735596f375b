// SPDX-License-Identifier: MIT OR Apache-2.0

//! A small HTTP server on Node.js.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{need, template, user, Site, LOG};

/// The program and the package that brings it.
pub const PROGRAM: (&str, &str) = ("node", "nodejs");
/// The script within the directory of configurations.
const TEMPLATE: &str = "verify/node.js.in";

/// Starts it and waits until it listens.
///
/// # Errors
///
/// It does not start.
pub fn start(site: &Site) -> Result<Process> {
    let dir = site.make_dir()?;
    let log = site.log.then(|| dir.join(LOG).display().to_string());
    let values = [
        ("docs", site.docs.display().to_string()),
        ("port", site.port.to_string()),
        ("log", log.unwrap_or_default()),
    ];
    let script = template::write(site.configs, TEMPLATE, &dir, &values)?;
    let mut command = Command::new(need(PROGRAM.0, PROGRAM.1)?);
    command.arg(script);
    let habits = Habits {
        software: "node",
        stop: Signal::SIGTERM,
        has_master: false,
        bad: &["Error", "FATAL"],
    };
    Process::start(site, habits, command, user(&["nobody"]))
}
