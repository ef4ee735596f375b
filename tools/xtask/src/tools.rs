// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cargo builds of the project's own user-space programs.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::exec;
use crate::paths::Context;
use crate::toolchain;

/// The guest's init is linked statically: nothing of the host is there yet when
/// it starts. Naming the target keeps the flag away from build scripts.
const INIT_TARGET: &str = "x86_64-unknown-linux-gnu";

/// A cargo command in the project, with what every build of it needs.
pub fn cargo(ctx: &Context) -> Command {
    in_project(ctx, &env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command that is cargo or runs it.
fn in_project(ctx: &Context, program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(&ctx.root)
        .env("CARGO_TARGET_DIR", &ctx.target);
    if env::var_os("LIBCLANG_PATH").is_none() {
        if let Some(dir) = toolchain::libclang() {
            command.env("LIBCLANG_PATH", dir);
        }
    }
    command
}

/// Builds everything that runs in the guest, beside it or draws the report.
///
/// # Errors
///
/// Something does not compile; cargo's messages have been shown.
pub fn build(ctx: &Context) -> Result<()> {
    exec::step("building the user-space programs");
    let mut build = cargo(ctx);
    build.args(["build", "--release", "--workspace"]);
    build.args(["--exclude", "xtask", "--exclude", "saio-init"]);
    // No program here uses it, and by itself it is built with other features of its dependencies:
    // each build would undo the other.
    build.args(["--exclude", "libsaio-c"]);
    exec::run(ctx, &mut build)
}

/// Builds the programs that the guest's self-tests run.
///
/// # Errors
///
/// Something does not compile; the compiler's messages have been shown.
pub fn build_test_programs(ctx: &Context) -> Result<()> {
    exec::step("building the programs of the self-tests");
    let mut make = in_project(ctx, "make".as_ref());
    make.args(["--silent", "-C", "tests/programs"]);
    exec::run(ctx, &mut make)
}

/// The plugin of QEMU for virtual time, which [`build`] makes.
pub fn vtime_plugin(ctx: &Context) -> PathBuf {
    ctx.program("libvtime.so")
}

/// The plugin of QEMU for profiles, which [`build`] makes.
pub fn profile_plugin(ctx: &Context) -> PathBuf {
    ctx.program("libiprof.so")
}

/// Builds the guest's init and returns the program.
///
/// # Errors
///
/// It does not compile; cargo's messages have been shown.
pub fn build_init(ctx: &Context) -> Result<PathBuf> {
    let mut build = cargo(ctx);
    build
        .args(["build", "--quiet", "--release", "--package", "saio-init"])
        .args(["--target", INIT_TARGET])
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    exec::run(ctx, &mut build)?;
    Ok(ctx.target.join(INIT_TARGET).join("release/saio-init"))
}
