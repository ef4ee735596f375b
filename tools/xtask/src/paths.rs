// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where things lie, and the settings that every step needs.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, Context as _, Result};
use nix::fcntl::{Flock, FlockArg};

/// Directories and global options; every step takes it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The project's root directory.
    pub root: PathBuf,
    /// Sources and build directories, shared by all checkouts of a user.
    pub cache: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// Print commands instead of running them.
    pub dry_run: bool,
    /// Parallel jobs of make.
    pub jobs: usize,
    /// Another home of the kernel source than the distribution's.
    pub kernel_src: Option<PathBuf>,
    /// The QEMU that boots: a name on `PATH` or a path.
    pub qemu: PathBuf,
}

impl Context {
    /// Finds the directories.
    ///
    /// # Errors
    ///
    /// The checkout moved away, or no home directory is known.
    pub fn new(
        dry_run: bool,
        jobs: Option<usize>,
        kernel_src: Option<PathBuf>,
        qemu: Option<PathBuf>,
    ) -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir
            .join("../..")
            .canonicalize()
            .with_context(|| format!("cannot find the project above {}", manifest_dir.display()))?;
        let kernel_src = kernel_src
            .map(|path| {
                path.canonicalize()
                    .with_context(|| format!("--kernel-src: cannot find {}", path.display()))
            })
            .transpose()?;
        let jobs = jobs
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |count| count.get()));
        Ok(Context {
            target: root.join("target"),
            cache: cache_dir()?,
            root,
            dry_run,
            jobs,
            kernel_src,
            qemu: qemu
                .or_else(|| env::var_os("SAIO_QEMU").map(PathBuf::from))
                .unwrap_or_else(|| "qemu-system-x86_64".into()),
        })
    }

    /// What the driver itself writes below the target directory.
    pub fn out(&self) -> PathBuf {
        self.target.join("saio")
    }

    /// Log files of long steps.
    pub fn log(&self, name: &str) -> PathBuf {
        self.out().join("logs").join(format!("{name}.log"))
    }

    /// A user-space program of this project.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Waits until no other driver works on the cache; released on drop.
    ///
    /// # Errors
    ///
    /// The cache directory cannot be written to.
    pub fn lock_cache(&self) -> Result<Option<Flock<File>>> {
        if self.dry_run {
            return Ok(None);
        }
        make_dir(&self.cache)?;
        let path = self.cache.join("lock");
        let open =
            || File::create(&path).with_context(|| format!("cannot open {}", path.display()));
        if let Ok(lock) = Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
            return Ok(Some(lock));
        }
        eprintln!(
            "=> waiting for another build that uses {}",
            self.cache.display()
        );
        Flock::lock(open()?, FlockArg::LockExclusive)
            .map(Some)
            .map_err(|(_, error)| anyhow!("cannot lock {}: {error}", path.display()))
    }
}

/// Makes a directory and those above it.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make directory {}", path.display()))
}

/// Writes a whole file, making the directory for it.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
    }
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a whole text file.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("SAIO_CACHE") {
        return std::path::absolute(dir).context("SAIO_CACHE is not a path");
    }
    if let Some(dir) = env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir).join("saio"));
    }
    let home = env::var_os("HOME")
        .context("HOME is not set; set SAIO_CACHE to a directory with 6 GB of room")?;
    Ok(PathBuf::from(home).join(".cache/saio"))
}
