// SPDX-License-Identifier: MIT OR Apache-2.0

//! Redis, and Valkey, which has the same settings.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{need, user, Site};

/// What tells one from another.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The program and the package that brings it
    pub program: (&'static str, &'static str),
    /// With TLS
    pub tls: bool,
    /// Threads that read and write: `io-threads`
    pub io_threads: usize,
    /// Every change goes to a log: `appendonly`
    pub append_only: bool,
}

/// Starts it and waits until it listens.
///
/// # Errors
///
/// It does not start.
pub fn start(site: &Site, settings: &Settings) -> Result<Process> {
    let dir = site.make_dir()?;
    let mut command = Command::new(need(settings.program.0, settings.program.1)?);
    command
        .args(["--daemonize", "no", "--bind", "127.0.0.1"])
        .arg("--dir")
        .arg(&dir)
        .args(["--save", ""])
        .args(["--appendonly", yes(settings.append_only)])
        .args(["--io-threads", &settings.io_threads.to_string()])
        .args(["--timeout", "0", "--maxclients", "2000"])
        // DEBUG DIGEST says whether two of them hold the same.
        .args(["--enable-debug-command", "yes"]);
    let port = site.port.to_string();
    if settings.tls {
        let identity = site.identity()?;
        command
            .args(["--port", "0", "--tls-port", &port])
            .args(["--tls-auth-clients", "no"])
            .arg("--tls-cert-file")
            .arg(&identity.certificate)
            .arg("--tls-key-file")
            .arg(&identity.key);
    } else {
        command.args(["--port", &port]);
    }
    let habits = Habits {
        software: settings.program.0,
        stop: Signal::SIGTERM,
        has_master: false,
        bad: &[
            "BUG REPORT",
            "crashed by signal",
            "FATAL",
            "ASSERTION FAILED",
        ],
    };
    Process::start(site, habits, command, user(&["redis", "valkey", "nobody"]))
}

fn yes(on: bool) -> &'static str {
    if on {
        "yes"
    } else {
        "no"
    }
}
