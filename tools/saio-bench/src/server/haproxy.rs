// SPDX-License-Identifier: MIT OR Apache-2.0

//! HAProxy in front of an nginx, and for retries of a second server that is not there.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{free_port, need, nginx, template, user, Site};

/// The program and the package that brings it.
pub const PROGRAM: (&str, &str) = ("haproxy", "haproxy");
/// The template within the directory of configurations.
const TEMPLATE: &str = "verify/haproxy.cfg.in";

/// Starts it in front of nginx and waits until it listens.
///
/// # Errors
///
/// It or the nginx behind it does not start.
pub fn start(site: &Site) -> Result<Process> {
    start_with(site, 0)
}

/// As [`start`], with every second request going to the server first that is not there.
///
/// # Errors
///
/// As for [`start`].
pub fn start_with_dead(site: &Site) -> Result<Process> {
    start_with(site, 1)
}

/// `weight` is the share of the dead server, of which the live one has 1.
fn start_with(site: &Site, weight: u32) -> Result<Process> {
    let upstream = nginx::upstream_of(site)?;
    let dir = site.make_dir()?;
    let user = user(&["haproxy", "nobody"])
        .map(|user| format!("user {}", user.name))
        .unwrap_or_default();
    let values = [
        ("dir", dir.display().to_string()),
        ("port", site.port.to_string()),
        ("threads", site.workers.to_string()),
        ("user", user),
        ("live", upstream.address().to_string()),
        // Ports are not given twice: nobody will ever listen there.
        ("dead", format!("127.0.0.1:{}", free_port()?)),
        ("weight", weight.to_string()),
    ];
    let config = template::write(site.configs, TEMPLATE, &dir, &values)?;
    let mut command = Command::new(need(PROGRAM.0, PROGRAM.1)?);
    command.args(["-W", "-db", "-f"]).arg(config);
    let habits = Habits {
        software: "haproxy",
        stop: Signal::SIGUSR1,
        has_master: true,
        bad: &["[ALERT]", "exited with code 139", "FATAL"],
    };
    Ok(Process::start(site, habits, command, None)?.with_upstream(upstream))
}
