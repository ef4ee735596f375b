// SPDX-License-Identifier: MIT OR Apache-2.0

//! The initramfs of one boot: init and its job.

use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use cpio::newc::Builder;
use saio_init::{Job, JOB_FILE};

/// File types and permissions of the two members.
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// Writes an initramfs (newc) to `path`.
///
/// # Errors
///
/// The init program cannot be read or the archive not be written.
pub fn write(path: &Path, init: &Path, job: &Job) -> Result<()> {
    let program = fs::read(init).with_context(|| format!("cannot read {}", init.display()))?;
    let job = serde_json::to_vec_pretty(job)?;
    let members = [
        (Builder::new("init").mode(PROGRAM), Cursor::new(program)),
        (
            Builder::new(JOB_FILE.trim_start_matches('/')).mode(FILE),
            Cursor::new(job),
        ),
    ];
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    cpio::write_cpio(members.into_iter(), BufWriter::new(file))
        .and_then(|mut archive| archive.flush())
        .with_context(|| format!("cannot write {}", path.display()))
}
