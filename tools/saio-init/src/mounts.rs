// SPDX-License-Identifier: MIT OR Apache-2.0

//! File systems of the guest.

use std::fs::{self, Permissions};
use std::os::unix::fs::{chown, symlink, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{mount, MsFlags};
use nix::unistd::{chdir, chroot};
use saio_init::{OUT_DIR, TAG_OUT, TAG_ROOT};

/// Where the host's root is mounted before it becomes the root.
const NEW_ROOT: &str = "/root-mnt";

/// Where a path waits that a tmpfs is about to cover.
const KEEP_DIR: &str = "/run/keep";

/// Directories that programs write to, with their modes. `/run` comes first:
/// [`KEEP_DIR`] lies there.
const WRITABLE: [(&str, &str); 6] = [
    ("/run", "0755"),
    ("/tmp", "1777"),
    ("/var/tmp", "1777"),
    ("/var/log", "0755"),
    ("/var/lib/nginx", "0755"),
    ("/mnt", "0755"),
];

/// Of these, the directories right below are made again, empty: programs expect
/// theirs, as nginx does /var/log/nginx.
const MIRRORED: [&str; 2] = ["/var/log", "/var/lib/nginx"];

/// Nothing to mount from.
const NO_SOURCE: Option<&str> = None;

fn mount_at(source: &str, target: &str, kind: &str, flags: MsFlags, data: &str) -> Result<()> {
    mount(Some(source), target, Some(kind), flags, Some(data))
        .with_context(|| format!("cannot mount {kind} ({source}) at {target}"))
}

fn move_mount(from: &str, to: &str) -> Result<()> {
    mount(Some(from), to, NO_SOURCE, MsFlags::MS_MOVE, NO_SOURCE)
        .with_context(|| format!("cannot move the mount at {from} to {to}"))
}

fn make_dir(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    fs::create_dir_all(path).with_context(|| format!("cannot make directory {}", path.display()))
}

/// Mounts `/dev`, `/proc` and `/sys` in the initramfs.
pub fn kernel_file_systems() -> Result<()> {
    for (kind, target) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        make_dir(target)?;
        mount_at(kind, target, kind, MsFlags::empty(), "")?;
    }
    Ok(())
}

/// Makes the host's root file system, read-only, the root of the guest.
pub fn enter_root() -> Result<()> {
    make_dir(NEW_ROOT)?;
    mount_at(
        TAG_ROOT,
        NEW_ROOT,
        "9p",
        MsFlags::MS_RDONLY,
        "trans=virtio,version=9p2000.L,cache=loose,msize=512000",
    )?;
    for dir in ["/dev", "/proc", "/sys"] {
        move_mount(dir, &format!("{NEW_ROOT}{dir}"))?;
    }
    chdir(NEW_ROOT).with_context(|| format!("cannot enter {NEW_ROOT}"))?;
    move_mount(".", "/")?;
    chroot(".").context("cannot change the root directory")?;
    chdir("/").context("cannot enter the new root directory")
}

/// Mounts a tmpfs on every directory that programs write to, and the directory
/// for results; paths in `keep` stay visible.
pub fn writable_places(keep: &[PathBuf]) -> Result<()> {
    for (target, mode) in WRITABLE {
        if Path::new(target).is_dir() {
            cover(target, mode, keep)?;
        }
    }
    make_dir(OUT_DIR)?;
    mount_at(
        TAG_OUT,
        OUT_DIR,
        "9p",
        MsFlags::empty(),
        "trans=virtio,version=9p2000.L,cache=none,msize=512000",
    )?;

    make_dir("/dev/shm")?;
    mount_at("tmpfs", "/dev/shm", "tmpfs", MsFlags::empty(), "mode=1777")?;
    make_dir("/dev/pts")?;
    mount_at(
        "devpts",
        "/dev/pts",
        "devpts",
        MsFlags::empty(),
        "ptmxmode=0666,mode=0620",
    )?;
    // devtmpfs has the devices only; these are udev's work elsewhere.
    for (link, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, link).with_context(|| format!("cannot make the link {link}"))?;
    }
    Ok(())
}

/// A directory that is made again in a fresh tmpfs.
struct Subdir {
    path: PathBuf,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Mounts a tmpfs on `target`, out of which the paths in `keep` look.
fn cover(target: &str, mode: &str, keep: &[PathBuf]) -> Result<()> {
    // What lies in /run cannot wait there; nobody keeps a project in /run.
    let kept: Vec<&PathBuf> = keep
        .iter()
        .filter(|path| target != "/run" && path.starts_with(target))
        .collect();
    for (number, path) in kept.iter().enumerate() {
        let place = keep_place(number);
        make_dir(&place)?;
        mount(
            Some(path.as_path()),
            place.as_str(),
            NO_SOURCE,
            MsFlags::MS_BIND,
            NO_SOURCE,
        )
        .with_context(|| format!("cannot keep {} visible", path.display()))?;
    }

    let subdirs = if MIRRORED.contains(&target) {
        subdirs(Path::new(target))
    } else {
        Vec::new()
    };
    mount_at(
        "tmpfs",
        target,
        "tmpfs",
        MsFlags::empty(),
        &format!("mode={mode}"),
    )?;
    for dir in subdirs {
        make_dir(&dir.path)?;
        // The owner first: changing it clears mode bits.
        chown(&dir.path, Some(dir.uid), Some(dir.gid))
            .and_then(|()| fs::set_permissions(&dir.path, Permissions::from_mode(dir.mode)))
            .with_context(|| format!("cannot set the owner of {}", dir.path.display()))?;
    }

    for (number, path) in kept.iter().enumerate() {
        make_dir(path)?;
        move_mount(&keep_place(number), &path.to_string_lossy())?;
    }
    Ok(())
}

fn keep_place(number: usize) -> String {
    format!("{KEEP_DIR}/{number}")
}

fn subdirs(dir: &Path) -> Vec<Subdir> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let meta = fs::symlink_metadata(entry.path()).ok()?;
            meta.is_dir().then(|| Subdir {
                path: entry.path(),
                mode: meta.mode() & 0o7777,
                uid: meta.uid(),
                gid: meta.gid(),
            })
        })
        .collect()
}

/// Mounts what tests and benchmarks use where the kernel has it: control
/// groups and the two file systems of the tracers.
pub fn optional_file_systems() {
    for (kind, target) in [
        ("cgroup2", "/sys/fs/cgroup"),
        ("debugfs", "/sys/kernel/debug"),
        ("tracefs", "/sys/kernel/tracing"),
    ] {
        if !Path::new(target).is_dir() {
            continue;
        }
        if let Err(error) = mount_at(kind, target, kind, MsFlags::empty(), "") {
            eprintln!("saio-init: {error:#}; going on without it");
        }
    }
}
