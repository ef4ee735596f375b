// SPDX-License-Identifier: MIT OR Apache-2.0

//! This program's own echo server, as a process.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::Site;

/// Starts it and waits until it listens.
///
/// # Errors
///
/// It does not start.
pub fn start(site: &Site) -> Result<Process> {
    start_as(site, &["echo"])
}

/// The same as it is written for io_uring.
///
/// # Errors
///
/// As [`start`], or the kernel has no io_uring.
pub fn start_on_uring(site: &Site) -> Result<Process> {
    start_as(site, &["peer", "echo"])
}

fn start_as(site: &Site, words: &[&str]) -> Result<Process> {
    site.make_dir()?;
    let mut command = Command::new(env::current_exe().context("cannot find this program's file")?);
    command.args(words).args(["--port", &site.port.to_string()]);
    let habits = Habits {
        software: "echo",
        stop: Signal::SIGTERM,
        has_master: false,
        bad: &["saio-bench:", "panicked"],
    };
    Process::start(site, habits, command, None)
}
