// SPDX-License-Identifier: MIT OR Apache-2.0

//! memcached.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{need, user, Site};

/// The program and the package that brings it.
pub const PROGRAM: (&str, &str) = ("memcached", "memcached");
/// MiB for items: enough that none is ever dropped.
const MEMORY: &str = "512";

/// What tells one from another.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads that serve
    pub threads: usize,
    /// With TLS
    pub tls: bool,
}

/// Whether the installed one was built with TLS.
pub fn has_tls() -> bool {
    let help = need(PROGRAM.0, PROGRAM.1)
        .ok()
        .and_then(|program| Command::new(program).arg("-h").output().ok());
    help.is_some_and(|help| String::from_utf8_lossy(&help.stdout).contains("--enable-ssl"))
}

/// Starts it and waits until it listens.
///
/// # Errors
///
/// It does not start.
pub fn start(site: &Site, settings: &Settings) -> Result<Process> {
    site.make_dir()?;
    let mut command = Command::new(need(PROGRAM.0, PROGRAM.1)?);
    command
        .args(["-l", "127.0.0.1", "-U", "0"])
        .args(["-p", &site.port.to_string()])
        .args(["-t", &settings.threads.to_string()])
        .args(["-m", MEMORY, "-c", "2000"])
        // Values of a whole MiB; the limit is that of the item with its head.
        .args(["-I", "2m"]);
    if settings.tls {
        let identity = site.identity()?;
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        let options = format!("ssl_chain_cert={certificate},ssl_key={key}");
        command.args(["-Z", "-o", &options]);
    }
    if let Some(user) = user(&["memcache", "nobody"]) {
        command.args(["-u", &user.name]);
    }
    let habits = Habits {
        software: "memcached",
        stop: Signal::SIGTERM,
        has_master: false,
        bad: &["Assertion", "Segmentation", "Failed"],
    };
    Process::start(site, habits, command, None)
}
