// SPDX-License-Identifier: MIT OR Apache-2.0

//! The virtio-serial ports to the host.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use saio_init::{PORT_STATUS, PORT_STDERR, PORT_STDOUT};

/// Where the kernel lists the ports; there is no udev to name the devices.
const CLASS_DIR: &str = "/sys/class/virtio-ports";

/// The driver announces its ports asynchronously: wait this long for them.
const PATIENCE: Duration = Duration::from_secs(20);

/// All ports, open for writing. A port can be opened only once at a time, so
/// the job gets pipes and these stay with init.
pub struct Ports {
    /// Takes the job's standard output.
    pub stdout: File,
    /// Takes the job's standard error.
    pub stderr: File,
    status: File,
}

impl Ports {
    /// Waits for the ports and opens them.
    pub fn open() -> Result<Ports> {
        let deadline = Instant::now() + PATIENCE;
        let open = |name: &str| -> Result<File> {
            let device = wait_for(name, deadline)?;
            OpenOptions::new()
                .write(true)
                .open(&device)
                .with_context(|| format!("cannot open port {name} ({})", device.display()))
        };
        Ok(Ports {
            stdout: open(PORT_STDOUT)?,
            stderr: open(PORT_STDERR)?,
            status: open(PORT_STATUS)?,
        })
    }

    /// Tells the host the exit status.
    pub fn report(&mut self, status: i32) -> Result<()> {
        self.status
            .write_all(format!("{status}\n").as_bytes())
            .context("cannot report the exit status")
    }
}

/// Returns the device node of a port, waiting until there is one.
fn wait_for(name: &str, deadline: Instant) -> Result<PathBuf> {
    loop {
        if let Some(device) = find(name) {
            return Ok(device);
        }
        if Instant::now() > deadline {
            bail!("the machine has no virtio-serial port {name}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn find(name: &str) -> Option<PathBuf> {
    fs::read_dir(CLASS_DIR)
        .ok()?
        .flatten()
        .find(|entry| {
            fs::read_to_string(entry.path().join("name")).is_ok_and(|text| text.trim() == name)
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .filter(|device| device.exists())
}
