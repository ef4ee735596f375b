// SPDX-License-Identifier: MIT OR Apache-2.0

//! First process of the guest.
//!
//! Makes the host's root file system usable (read-only, with tmpfs where
//! programs write), runs one job, reports its exit status and powers off. It
//! never exits: that would be a kernel panic.

#![deny(missing_docs)]

mod mounts;
mod net;
mod ports;
mod supervise;

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::reboot::{reboot, RebootMode};
use nix::sys::resource::{setrlimit, Resource};
use nix::unistd::{sethostname, sync};
use saio_init::{Job, JOB_FILE, STATUS_INIT_FAILED};

use crate::ports::Ports;

/// Open files of a job; servers are measured with more connections than the
/// default of 1024 allows.
const OPEN_FILES: u64 = 65536;

fn main() {
    let mut ports = None;
    let status = run_job(&mut ports).unwrap_or_else(|error| {
        eprintln!("saio-init: {error:#}");
        STATUS_INIT_FAILED
    });
    if let Some(ports) = &mut ports {
        if let Err(error) = ports.report(status) {
            eprintln!("saio-init: {error:#}");
        }
    }
    power_off()
}

/// Sets the guest up, runs the job and returns its exit status.
///
/// `ports` is filled in as soon as they are open, so that the caller can report
/// a later failure.
fn run_job(ports: &mut Option<Ports>) -> Result<i32> {
    mounts::kernel_file_systems()?;
    let text = fs::read_to_string(JOB_FILE).with_context(|| format!("cannot read {JOB_FILE}"))?;
    let job: Job =
        serde_json::from_str(&text).with_context(|| format!("cannot understand {JOB_FILE}"))?;
    if !job.argv.is_empty() {
        *ports = Some(Ports::open()?);
    }

    mounts::enter_root()?;
    mounts::writable_places(&job.keep)?;
    mounts::optional_file_systems();
    net::loopback_up()?;
    sethostname("saio").context("cannot set the host name")?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)
        .context("cannot raise the limit of open files")?;

    match ports {
        Some(ports) => supervise::run(&job, ports),
        None => supervise::shell(&job),
    }
}

/// Ends the guest.
fn power_off() -> ! {
    sync();
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("saio-init: cannot power off: {error}");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
