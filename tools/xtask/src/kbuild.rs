// SPDX-License-Identifier: MIT OR Apache-2.0

//! Building the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::exec;
use crate::kconfig::{self, Config};
use crate::paths::{self, Context};
use crate::progress;
use crate::toolchain::Toolchain;
use crate::tree::{self, Tree};

/// A kernel that can be booted.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The compressed image.
    pub image: PathBuf,
    /// Its release, as `uname -r` prints it.
    pub release: String,
}

/// Builds a kernel, or returns the one that is still valid.
///
/// # Errors
///
/// See [`tree::prepare`], [`Toolchain::find`] and [`kconfig::verify`]; the
/// kernel does not compile.
pub fn build(ctx: &Context, config: Config) -> Result<Kernel> {
    let _lock = ctx.lock_cache()?;
    let tree = tree::prepare(ctx)?;
    let tools = Toolchain::find(ctx)?;
    let dir = build_dir(ctx, &tree, config);
    let image = dir.join("arch/x86/boot/bzImage");
    let label = format!("kernel {} ({})", tree.source.version, config.name());

    let stamp_file = dir.join(".saio-built");
    let stamp = stamp(ctx, &tree, &tools, config)?;
    if image.exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        exec::step(&format!("{label}: up to date"));
    } else {
        configure(ctx, &tree, &tools, config)?;
        let mut make = make(ctx, &tree, &tools, &dir)?;
        make.arg("bzImage");
        let log = ctx.log(&format!("kernel-{}", config.name()));
        progress::logged(ctx, &label, &make, &log)?;
        if !ctx.dry_run {
            paths::write(&stamp_file, &stamp)?;
        }
    }
    let release = if ctx.dry_run {
        tree.source.version
    } else {
        paths::read(&dir.join("include/config/kernel.release"))?
            .trim()
            .to_string()
    };
    Ok(Kernel { image, release })
}

/// The symbols of a kernel whose image lies in its build directory.
///
/// # Errors
///
/// It lies elsewhere.
pub fn system_map(image: &Path) -> Result<PathBuf> {
    let build_dir = image
        .ancestors()
        .nth(4)
        .with_context(|| format!("{} is in no build directory", image.display()))?;
    Ok(build_dir.join("System.map"))
}

/// Compiles single objects of a configuration, without a kernel.
///
/// # Errors
///
/// As [`build`].
pub fn build_objects(ctx: &Context, config: Config, sources: &[PathBuf]) -> Result<()> {
    objects(ctx, config, sources, &[]).map(drop)
}

/// Has clippy look at Rust sources with the kernel's settings, and returns what it said.
///
/// # Errors
///
/// As [`build`].
pub fn clippy(ctx: &Context, driver: &Path, sources: &[PathBuf]) -> Result<String> {
    // What is up to date is not looked at, and says nothing.
    let dir = {
        let _lock = ctx.lock_cache()?;
        build_dir(ctx, &tree::prepare(ctx)?, Config::Clippy)
    };
    for source in sources {
        let _ = fs::remove_file(dir.join(source.with_extension("o")));
    }
    let driver = format!("CLIPPY_DRIVER={}", driver.display());
    let log = objects(ctx, Config::Clippy, sources, &["CLIPPY=1", &driver])?;
    if ctx.dry_run {
        return Ok(String::new());
    }
    paths::read(&log)
}

/// Compiles objects; returns the log.
fn objects(ctx: &Context, config: Config, sources: &[PathBuf], more: &[&str]) -> Result<PathBuf> {
    let _lock = ctx.lock_cache()?;
    let tree = tree::prepare(ctx)?;
    let tools = Toolchain::find(ctx)?;
    configure(ctx, &tree, &tools, config)?;
    let mut make = make(ctx, &tree, &tools, &build_dir(ctx, &tree, config))?;
    make.args(more);
    make.args(sources.iter().map(|file| file.with_extension("o")));
    let label = format!("objects ({})", config.name());
    let log = ctx.log(&format!("objects-{}", config.name()));
    progress::logged(ctx, &label, &make, &log)?;
    Ok(log)
}

fn build_dir(ctx: &Context, tree: &Tree, config: Config) -> PathBuf {
    ctx.cache
        .join(format!("build-{}-{}", config.name(), tree.source.key))
}

fn make(ctx: &Context, tree: &Tree, tools: &Toolchain, dir: &Path) -> Result<Command> {
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(&tree.dir)
        .arg(format!("O={}", dir.display()))
        .arg(format!("-j{}", ctx.jobs));
    tools.apply(&mut make)?;
    Ok(make)
}

/// Hash of everything that the kernel is made from.
fn stamp(ctx: &Context, tree: &Tree, tools: &Toolchain, config: Config) -> Result<String> {
    Ok(format!(
        "{} {}\n",
        tree.generation,
        config_key(ctx, tree, tools, config)?
    ))
}

/// Hash of everything that the configuration is made from.
fn config_key(ctx: &Context, tree: &Tree, tools: &Toolchain, config: Config) -> Result<String> {
    let mut hash = Sha256::new();
    for fragment in config.fragment_files(ctx) {
        hash.update(paths::read(&fragment)?);
        hash.update([0u8]);
    }
    hash.update(paths::read(&ctx.root.join("Kconfig.saio"))?);
    hash.update(&tree.source.key);
    hash.update(tools.identity()?);
    Ok(format!("{:x}", hash.finalize()))
}

/// Makes the .config, unless the one there comes from the same input.
fn configure(ctx: &Context, tree: &Tree, tools: &Toolchain, config: Config) -> Result<()> {
    let dir = build_dir(ctx, tree, config);
    let dot_config = dir.join(".config");
    let key_file = dir.join(".saio-config-key");
    let key = config_key(ctx, tree, tools, config)?;
    if dot_config.exists() && fs::read_to_string(&key_file).is_ok_and(|old| old == key) {
        return Ok(());
    }

    if !ctx.dry_run {
        paths::make_dir(&dir)?;
    }
    let fragments = config.fragment_files(ctx);
    let label = |what: &str| format!("configuration ({}): {what}", config.name());
    let log = |what: &str| ctx.log(&format!("config-{}-{what}", config.name()));

    let mut tiny = make(ctx, tree, tools, &dir)?;
    tiny.arg("tinyconfig");
    progress::logged(ctx, &label("tinyconfig"), &tiny, &log("tiny"))?;

    let mut merge = Command::new("sh");
    merge
        .arg(tree.dir.join("scripts/kconfig/merge_config.sh"))
        .args(["-m", "-Q", "-O"])
        .arg(&dir)
        .arg(&dot_config)
        .args(&fragments)
        .current_dir(&dir);
    progress::logged(ctx, &label("fragments"), &merge, &log("merge"))?;

    let mut settle = make(ctx, tree, tools, &dir)?;
    settle.arg("olddefconfig");
    progress::logged(ctx, &label("olddefconfig"), &settle, &log("settle"))?;
    if ctx.dry_run {
        return Ok(());
    }
    kconfig::verify(&fragments, &dot_config, &tree.dir)
        .with_context(|| format!("see {} and `make rustavailable`", log("settle").display()))?;
    paths::write(&key_file, key)
}
