// SPDX-License-Identifier: MIT OR Apache-2.0

//! HAProxy in front of an nginx, with a second server behind it that is not there.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{free_port, need, nginx, template, user, Site};

/// The program and the package that brings it.
pub const PROGRAM: (&str, &str) = ("haproxy", "haproxy");
/// The template within the directory of configurations.
const TEMPLATE: &str = "verify/haproxy.cfg.in";

/// Starts it and waits until it listens.
///
/// # Errors
///
/// It or the nginx behind it does not start.
pub fn start(site: &Site) -> Result<Process> {
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
