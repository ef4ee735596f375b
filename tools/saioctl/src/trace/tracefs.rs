// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's trace file system, and a trace of our own in it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use nix::mount::{mount, umount, MsFlags};
use nix::unistd::geteuid;

use crate::output;
use crate::process::Proc;

/// Where the kernel makes a directory for it.
const MOUNT: &str = "/sys/kernel/tracing";
/// Where older systems have it.
const DEBUGFS: &str = "/sys/kernel/debug/tracing";

/// What the names of our traces begin with; the process's number follows.
const NAME: &str = "saioctl-";

/// Options that change how lines look. An instance takes them over from the system's trace.
const OPTIONS: [&str; 8] = [
    "context-info",
    "noraw",
    "nohex",
    "nobin",
    "nofields",
    "nolatency-format",
    "nostacktrace",
    "nouserstacktrace",
];

const AS_ROOT: &str = "run as root (sudo saioctl trace)";
const BUILD_TRACING: &str = "boot a kernel built with CONFIG_FTRACE=y and CONFIG_FTRACE_SYSCALLS=y, which brings CONFIG_EVENT_TRACING";

/// The file system, unmounted when dropped if it was mounted for us.
pub struct Tracefs {
    dir: &'static Path,
    mounted: bool,
}

impl Tracefs {
    /// Finds it; root mounts it where it is not.
    ///
    /// # Errors
    ///
    /// The kernel has none, or this user may not use it.
    pub fn find() -> Result<Self> {
        for place in [MOUNT, DEBUGFS] {
            let dir = Path::new(place);
            match fs::metadata(dir.join("instances")) {
                Ok(_) => {
                    let mounted = false;
                    return Ok(Self { dir, mounted });
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    bail!("{place}: permission denied; {AS_ROOT}")
                }
                Err(_) => {}
            }
        }
        if !Path::new(MOUNT).exists() {
            bail!("the kernel has no {MOUNT}; {BUILD_TRACING}");
        }
        if !geteuid().is_root() {
            bail!("tracefs is not mounted at {MOUNT}; {AS_ROOT}");
        }
        let kind = Some("tracefs");
        mount(kind, MOUNT, kind, MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount tracefs at {MOUNT}"))?;
        Ok(Self {
            dir: Path::new(MOUNT),
            mounted: true,
        })
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.mounted {
            // Somebody else may have begun to use it.
            let _ = umount(self.dir);
        }
    }
}

/// A trace beside those of others, gone when dropped.
pub struct Instance {
    dir: PathBuf,
}

impl Instance {
    /// Makes one, empty and switched on, with `buffer_kib` KiB for each CPU if given.
    ///
    /// # Errors
    ///
    /// This user may not, or there is no memory.
    pub fn create(tracefs: &Tracefs, buffer_kib: Option<u32>) -> Result<Self> {
        let instances = tracefs.dir.join("instances");
        remove_left_over(&instances);
        let dir = instances.join(format!("{NAME}{}", std::process::id()));
        match make(&dir) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                bail!("{}: permission denied; {AS_ROOT}", dir.display())
            }
            made => made.with_context(|| format!("cannot make {}", dir.display()))?,
        }
        let instance = Self { dir };
        for option in OPTIONS {
            // One that this kernel does not have is not set either.
            let _ = fs::write(instance.dir.join("trace_options"), option);
        }
        instance.write("trace_clock", "mono")?;
        if let Some(kib) = buffer_kib {
            instance
                .write("buffer_size_kb", &kib.to_string())
                .context("--buffer-size")?;
        }
        Ok(instance)
    }

    /// Switches on the events of SAIO, and with `forks` those about new tasks.
    ///
    /// # Errors
    ///
    /// The kernel does not have them.
    pub fn enable(&self, forks: bool) -> Result<()> {
        let events = "events/saio/enable";
        if !self.dir.join(events).exists() {
            if saio::sys::probe() == libc::ENOSYS {
                bail!("this kernel has no SAIO; saioctl doctor says what to do");
            }
            bail!("this kernel has SAIO without tracepoints; {BUILD_TRACING}");
        }
        if forks {
            self.write("events/sched/sched_process_fork/enable", "1")?;
        }
        self.write(events, "1")
    }

    /// The lines, each of them once; reading does not wait.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn pipe(&self) -> Result<File> {
        let file = self.dir.join("trace_pipe");
        File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&file)
            .with_context(|| format!("cannot open {}", file.display()))
    }

    /// Ends it; what was recorded can still be read.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn stop(&self) -> Result<()> {
        self.write("tracing_on", "0")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.dir.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write to {}", file.display()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.dir) {
            output::say(format_args!(
                "cannot remove the trace: {error}; remove it with rmdir {}",
                self.dir.display()
            ));
        }
    }
}

/// Removes traces of processes that were killed. What is in use cannot be removed.
fn remove_left_over(instances: &Path) {
    let Ok(entries) = fs::read_dir(instances) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME)?.parse().ok());
        if pid.is_some_and(|pid| !Proc::default().has(pid)) {
            let _ = remove(&entry.path());
        }
    }
}

/// An earlier process of the same number may have left one behind.
fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove(dir)?;
            fs::create_dir(dir)
        }
        made => made,
    }
}

/// The kernel removes what is in the directory.
fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_behind_makes_room() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("saioctl-7");
        make(&dir).unwrap();
        make(&dir).unwrap();
        assert!(dir.is_dir());
        // One that is in use stays.
        fs::write(dir.join("file"), "").unwrap();
        assert!(make(&dir).is_err());
        assert!(dir.join("file").exists());
    }
}
