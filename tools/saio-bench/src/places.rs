// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where things are: the tree's configurations, the preload library, and where files may be written.

use std::env;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::Args;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::open_to_all;

/// File name of the preload library.
const LIBRARY: &str = "libsaio_preload.so";
/// Descriptors that hundreds of clients of two servers need.
const DESCRIPTORS: u64 = 8192;

/// Options that say where things are.
#[derive(Args, Clone)]
pub struct Places {
    /// Directory of configurations [default: configs of the source tree that the program was built in]
    #[arg(long, value_name = "DIR")]
    configs: Option<PathBuf>,

    /// The preload library [default: libsaio_preload.so beside the program]
    #[arg(long, value_name = "FILE", env = "SAIO_PRELOAD_PATH")]
    preload: Option<PathBuf>,
}

impl Places {
    /// The directory of configurations.
    ///
    /// # Errors
    ///
    /// It does not exist.
    pub fn configs(&self) -> Result<PathBuf> {
        let dir = match &self.configs {
            Some(dir) => dir.clone(),
            // target/PROFILE/saio-bench
            None => program_dir()?.join("../../configs"),
        };
        dir.canonicalize().with_context(|| {
            format!(
                "cannot use {}; name the source tree's configs with --configs DIR",
                dir.display()
            )
        })
    }

    /// The preload library.
    ///
    /// # Errors
    ///
    /// It does not exist.
    pub fn library(&self) -> Result<PathBuf> {
        let file = match &self.preload {
            Some(file) => file.clone(),
            None => program_dir()?.join(LIBRARY),
        };
        file.canonicalize().with_context(|| {
            format!(
                "cannot use {}; build it (cargo build --release -p saio-preload) or name it with --preload FILE",
                file.display()
            )
        })
    }
}

fn program_dir() -> Result<PathBuf> {
    let exe = env::current_exe().context("cannot find this program's file")?;
    Ok(exe.parent().unwrap_or(Path::new("/")).to_owned())
}

/// A directory for servers and their files, readable by everyone, gone when dropped.
///
/// # Errors
///
/// The directory for temporary files cannot be written.
pub fn temporary() -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("saio-bench-")
        .tempdir()
        .with_context(|| {
            format!(
                "cannot make a directory in {}; set TMPDIR to one that can be written",
                env::temp_dir().display()
            )
        })?;
    open_to_all(dir.path()).context("cannot make the directory readable")?;
    Ok(dir)
}

/// A copy of the library where servers that are not root can read it.
///
/// # Errors
///
/// It cannot be copied.
pub fn readable_by_all(library: &Path, base: &TempDir) -> Result<PathBuf> {
    let copy = base.path().join(LIBRARY);
    fs::copy(library, &copy)
        .with_context(|| format!("cannot copy {} to {}", library.display(), copy.display()))?;
    Ok(copy)
}

/// Clients and servers are many; servers inherit this.
///
/// # Errors
///
/// The limit cannot be changed.
pub fn allow_descriptors() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < DESCRIPTORS {
        setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard)?;
    }
    Ok(())
}

/// Writes a file of JSON, for people to read too.
///
/// # Errors
///
/// It cannot be written.
pub fn write_json(file: &Path, value: &Value) -> Result<()> {
    fs::write(file, format!("{value:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Where a file named by the user is written: below `SAIO_OUT` if that is set and the path is relative.
///
/// # Errors
///
/// Nothing can be written there: to be known before hours of measuring.
pub fn output(file: &Path) -> Result<PathBuf> {
    let file = match env::var_os("SAIO_OUT") {
        Some(out) => Path::new(&out).join(file),
        None => file.to_owned(),
    };
    if file.is_dir() {
        bail!(
            "cannot write {}: it is a directory; name a file",
            file.display()
        );
    }
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let tried = match fs::metadata(&file) {
        Ok(found) if found.is_file() => OpenOptions::new().append(true).open(&file).map(drop),
        // A pipe or a device: to open it may wait.
        Ok(_) => Ok(()),
        Err(_) => tempfile::tempfile_in(dir.unwrap_or(Path::new("."))).map(drop),
    };
    tried.with_context(|| format!("cannot write {}; name another file", file.display()))?;
    Ok(file)
}
