// SPDX-License-Identifier: MIT OR Apache-2.0

//! A small ASGI application on uvicorn.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::process::{Habits, Process};
use super::{find, template, user, Site};

/// The application within the directory of configurations.
const TEMPLATE: &str = "verify/app.py.in";
/// The system's Python, and any other one.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];

/// A Python that has a module.
pub fn python_with(module: &str) -> Option<PathBuf> {
    PYTHONS.iter().find_map(|name| {
        let python = find(name)?;
        let found = Command::new(&python)
            .args(["-c", &format!("import {module}")])
            .output()
            .is_ok_and(|output| output.status.success());
        found.then_some(python)
    })
}

/// Starts it with the event loop `asyncio` or `uvloop`, and waits until it listens.
///
/// # Errors
///
/// It does not start.
pub fn start(site: &Site, event_loop: &str) -> Result<Process> {
    let dir = site.make_dir()?;
    let values = [("docs", site.docs.display().to_string())];
    template::write(site.configs, TEMPLATE, &dir, &values)?;
    let python =
        python_with("uvicorn").context("no uvicorn; install the package python3-uvicorn")?;
    let mut command = Command::new(python);
    command
        .args(["-m", "uvicorn", "app:app", "--app-dir"])
        .arg(&dir)
        .args(["--host", "127.0.0.1", "--port", &site.port.to_string()])
        .args(["--loop", event_loop, "--http", "h11", "--lifespan", "off"])
        .args(["--no-access-log", "--log-level", "warning"])
        .args(["--timeout-keep-alive", "600"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let habits = Habits {
        software: "uvicorn",
        stop: Signal::SIGTERM,
        has_master: false,
        // It logs what it cannot understand with a traceback.
        bad: &["Exception in ASGI application", "CRITICAL"],
    };
    Process::start(site, habits, command, user(&["nobody"]))
}
