// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel source as its publisher ships it, unpacked once.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context as _, Result};
use sha2::{Digest, Sha256};

use crate::exec;
use crate::paths::{self, Context};

/// The series of kernels that the patches are for.
const SERIES: (u32, u32) = (6, 12);

/// The distribution's package and where it puts its tarball.
const PACKAGE: &str = "linux-source-6.12";
const PACKAGE_DIR: &str = "/usr/src";

/// An unpacked kernel source that nobody changes.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its root directory.
    pub dir: PathBuf,
    /// Names it among all sources in the cache.
    pub key: String,
    /// Its version, such as 6.12.117.
    pub version: String,
}

/// Finds the source and unpacks or copies it into the cache.
///
/// # Errors
///
/// There is none, it is not 6.12, or the disk is full.
pub fn ensure(ctx: &Context) -> Result<Source> {
    let from = match &ctx.kernel_src {
        Some(path) => path.clone(),
        None => packaged(Path::new(PACKAGE_DIR))?,
    };
    if from.is_dir() {
        check_version(&from).context("--kernel-src")?;
        if from.join(".config").exists() || from.join("include/config").exists() {
            bail!(
                "--kernel-src: {} has been built in; run `make mrproper` there first",
                from.display()
            );
        }
    }
    let key = key(&from)?;
    let dir = ctx.cache.join(format!("src-{key}"));
    let version = if dir.is_dir() {
        check_version(&dir)?
    } else {
        import(ctx, &from, &dir)?
    };
    Ok(Source { dir, key, version })
}

fn packaged(dir: &Path) -> Result<PathBuf> {
    for suffix in [".tar.xz", ".tar.bz2", ".tar.gz"] {
        let path = dir.join(format!("{PACKAGE}{suffix}"));
        if path.exists() {
            return Ok(path);
        }
    }
    bail!(
        "no kernel source: {}/{PACKAGE}.tar.xz does not exist\n\
         Install the package {PACKAGE}, or name a directory or tarball of Linux 6.12.y \
         with --kernel-src.",
        dir.display()
    );
}

/// Identifies a source by where it is and when it last changed.
fn key(from: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(from.as_os_str().as_encoded_bytes());
    let witness = if from.is_dir() {
        // Of a work tree, the commit: mtimes of a directory say little.
        let head = exec::output(
            Command::new("git")
                .arg("-C")
                .arg(from)
                .args(["rev-parse", "HEAD"]),
        );
        hash.update(head.unwrap_or_default());
        from.join("Makefile")
    } else {
        from.to_path_buf()
    };
    let meta =
        fs::metadata(&witness).with_context(|| format!("cannot find {}", witness.display()))?;
    hash.update(format!(" {} {}", meta.size(), meta.mtime()));
    Ok(format!("{:x}", hash.finalize())[..12].to_string())
}

/// Unpacks or copies the source and returns its version.
fn import(ctx: &Context, from: &Path, dir: &Path) -> Result<String> {
    let partial = dir.with_extension("partial");
    if !ctx.dry_run {
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        paths::make_dir(&partial)?;
    }
    if from.is_dir() {
        exec::step(&format!(
            "copying the kernel source from {}",
            from.display()
        ));
        let mut copy = Command::new("rsync");
        copy.args(["--archive", "--exclude=/.git"])
            .arg(format!("{}/", from.display()))
            .arg(&partial);
        exec::run(ctx, &mut copy)?;
    } else {
        exec::step(&format!("unpacking the kernel source {}", from.display()));
        let mut unpack = Command::new("tar");
        unpack
            .arg("--extract")
            .arg("--file")
            .arg(from)
            .arg("--directory")
            .arg(&partial)
            .args(["--strip-components=1", "--no-same-owner"]);
        exec::run(ctx, &mut unpack)?;
    }
    if ctx.dry_run {
        return Ok(format!("{}.{}", SERIES.0, SERIES.1));
    }
    let version = check_version(&partial).with_context(|| from.display().to_string())?;
    fs::rename(&partial, dir)
        .with_context(|| format!("cannot move the source to {}", dir.display()))?;
    Ok(version)
}

/// Returns the version of a kernel tree.
///
/// # Errors
///
/// It is no kernel tree, or one of another series.
fn check_version(dir: &Path) -> Result<String> {
    let makefile = dir.join("Makefile");
    let text = fs::read_to_string(&makefile)
        .with_context(|| format!("no kernel source: cannot read {}", makefile.display()))?;
    let Some((version, patchlevel, sublevel)) = version(&text) else {
        bail!("no kernel source: {} has no VERSION", makefile.display());
    };
    let found = format!("{version}.{patchlevel}.{sublevel}");
    if (version, patchlevel) != SERIES {
        bail!(
            "this is Linux {found}, but the patches are for {}.{}; \
             give a 6.12.y source with --kernel-src",
            SERIES.0,
            SERIES.1
        );
    }
    Ok(found)
}

/// Reads VERSION, PATCHLEVEL and SUBLEVEL out of the kernel's Makefile.
fn version(makefile: &str) -> Option<(u32, u32, u32)> {
    let value = |name: &str| {
        makefile.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().parse().ok())?
        })
    };
    Some((value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_makefile() {
        let text = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n";
        assert_eq!(version(text), Some((6, 12, 117)));
        assert_eq!(version("all:\n"), None);
    }
}
