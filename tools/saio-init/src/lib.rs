// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the driver on the host and the first process of the guest agree on.
//!
//! The driver puts a [`Job`] into the initramfs as [`JOB_FILE`]; the guest
//! answers over three virtio-serial ports: the job's standard output, its
//! standard error and, as one decimal number, its exit status.

#![deny(missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the job lies in the initramfs.
pub const JOB_FILE: &str = "/saio-job.json";

/// Name of the virtio-serial port that carries the job's standard output.
pub const PORT_STDOUT: &str = "saio.stdout";

/// Name of the virtio-serial port that carries the job's standard error.
pub const PORT_STDERR: &str = "saio.stderr";

/// Name of the virtio-serial port that carries the exit status.
pub const PORT_STATUS: &str = "saio.status";

/// 9p mount tag of the host's root file system.
pub const TAG_ROOT: &str = "root";

/// 9p mount tag of the directory that brings results back.
pub const TAG_OUT: &str = "out";

/// Where the guest mounts [`TAG_OUT`]; also in the job's `SAIO_OUT`.
pub const OUT_DIR: &str = "/mnt/out";

/// Exit status of a guest that could not be set up.
pub const STATUS_INIT_FAILED: i32 = 72;

/// Exit status of a job that ran into its time limit.
pub const STATUS_TIMED_OUT: i32 = 124;

/// One command to run in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Program and arguments. Empty: a shell on the serial console.
    pub argv: Vec<String>,
    /// The whole environment of the command.
    pub env: BTreeMap<String, String>,
    /// Working directory, a path of the host.
    pub cwd: PathBuf,
    /// Seconds of guest time after which the command is killed.
    pub time_limit_s: Option<u64>,
    /// Paths of the host that stay visible where the guest mounts a tmpfs.
    pub keep: Vec<PathBuf>,
}
