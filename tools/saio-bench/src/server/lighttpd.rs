// SPDX-License-Identifier: MIT OR Apache-2.0

//! lighttpd with static files.

use std::process::Command;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{give, need, template, user, Site};

/// The program and the package that brings it.
pub const PROGRAM: (&str, &str) = ("lighttpd", "lighttpd");
/// Where Debian puts the module for TLS, and the package that brings it.
pub const TLS_MODULE: (&str, &str) = ("/usr/lib/lighttpd/mod_openssl.so", "lighttpd-mod-openssl");
/// The template within the directory of configurations.
const TEMPLATE: &str = "verify/lighttpd.conf.in";

/// What tells one from another.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// With TLS
    pub tls: bool,
    /// Processes that serve; 0: the first one does it alone
    pub workers: usize,
}

/// Starts it and waits until it listens.
///
/// # Errors
///
/// It does not start.
pub fn start(site: &Site, settings: &Settings) -> Result<Process> {
    let dir = site.make_dir()?;
    let tls = if settings.tls {
        format!(
            "server.modules += ( \"mod_openssl\" )\nssl.engine = \"enable\"\nssl.pemfile = \"{}\"",
            site.identity()?.both.display()
        )
    } else {
        String::new()
    };
    let user = match user(&["www-data", "nobody"]) {
        Some(user) => {
            // It writes large bodies to files there, when it is no longer root.
            give(&dir, &user)?;
            format!("server.username = \"{}\"", user.name)
        }
        None => String::new(),
    };
    let values = [
        ("dir", dir.display().to_string()),
        ("docs", site.docs.display().to_string()),
        ("port", site.port.to_string()),
        ("workers", settings.workers.to_string()),
        ("user", user),
        ("tls", tls),
    ];
    let config = template::write(site.configs, TEMPLATE, &dir, &values)?;
    let mut command = Command::new(need(PROGRAM.0, PROGRAM.1)?);
    command.arg("-D").arg("-f").arg(config);
    let habits = Habits {
        software: "lighttpd",
        stop: Signal::SIGINT,
        has_master: settings.workers > 0,
        bad: &["signal: 11", "assertion", "Segmentation"],
    };
    Process::start(site, habits, command, None)
}
