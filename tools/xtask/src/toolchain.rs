// SPDX-License-Identifier: MIT OR Apache-2.0

//! The compilers that build the kernel: LLVM, rustc and bindgen.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context as _, Result};

use crate::exec;
use crate::paths::Context;

/// Where Debian puts each version of LLVM.
const LLVM_ROOT: &str = "/usr/lib";

/// Oldest LLVM that builds Linux 6.12 with Rust without trouble.
const MIN_LLVM: u32 = 16;

/// The distribution's compiler: it comes with the source of its library.
const RUSTC: &str = "/usr/bin/rustc";

/// Programs and directories for building the kernel.
#[derive(Debug, Clone)]
pub struct Toolchain {
    llvm: PathBuf,
    rustc: PathBuf,
    bindgen: PathBuf,
    rust_lib_src: Option<PathBuf>,
}

impl Toolchain {
    /// Finds the compilers.
    ///
    /// # Errors
    ///
    /// One is missing, or the library source of rustc is; the error says what
    /// to install.
    pub fn find(ctx: &Context) -> Result<Toolchain> {
        let rustc = env::var_os("SAIO_RUSTC").map_or_else(|| PathBuf::from(RUSTC), PathBuf::from);
        if !rustc.exists() {
            bail!(
                "{} does not exist: install rustc-web and rust-web-src (Debian 12) or rustc and \
                 rust-src (Debian 13), or set SAIO_RUSTC",
                rustc.display()
            );
        }
        Ok(Toolchain {
            llvm: llvm()?,
            rust_lib_src: rust_lib_src(&rustc)?,
            rustc,
            bindgen: bindgen(ctx)?,
        })
    }

    /// A program of LLVM.
    pub fn llvm(&self, name: &str) -> PathBuf {
        self.llvm.join("bin").join(name)
    }

    /// Directory for LIBCLANG_PATH.
    pub fn libclang(&self) -> PathBuf {
        self.llvm.join("lib")
    }

    /// Adds what every call of the kernel's make needs.
    ///
    /// # Errors
    ///
    /// PATH cannot be extended.
    pub fn apply(&self, make: &mut Command) -> Result<()> {
        let mut path = vec![self.llvm.join("bin")];
        if let Some(old) = env::var_os("PATH") {
            path.extend(env::split_paths(&old));
        }
        make.env("PATH", env::join_paths(path).context("PATH is unusable")?)
            .env("LIBCLANG_PATH", self.libclang())
            // The image does not depend on who built it where.
            .env("KBUILD_BUILD_USER", "saio")
            .env("KBUILD_BUILD_HOST", "saio")
            // Cargo's settings for this very process mean nothing to make.
            .env_remove("RUSTC")
            .env_remove("RUSTFLAGS")
            .env_remove("MAKEFLAGS")
            .env_remove("CARGO_PKG_RUST_VERSION")
            .arg("LLVM=1")
            .arg(assignment("RUSTC", &self.rustc))
            .arg(assignment("HOSTRUSTC", &self.rustc))
            .arg(assignment("BINDGEN", &self.bindgen));
        if let Some(source) = &self.rust_lib_src {
            make.arg(assignment("RUST_LIB_SRC", source));
        }
        Ok(())
    }

    /// Describes the compilers: a kernel is configured anew when this changes.
    ///
    /// # Errors
    ///
    /// A compiler does not run.
    pub fn identity(&self) -> Result<String> {
        let rustc = exec::output(Command::new(&self.rustc).arg("-vV"))?;
        let bindgen = exec::output(Command::new(&self.bindgen).arg("--version"))?;
        let clang = exec::output(Command::new(self.llvm.join("bin/clang")).arg("--version"))?;
        Ok(format!("{rustc}{bindgen}{clang}"))
    }
}

/// Directory with libclang, for the user-space tools that use bindgen.
pub fn libclang() -> Option<PathBuf> {
    llvm().ok().map(|dir| dir.join("lib"))
}

fn assignment(name: &str, value: &Path) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

/// Finds the newest complete LLVM.
fn llvm() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(LLVM_ROOT)
        .with_context(|| format!("cannot list {LLVM_ROOT}"))?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("llvm-")?.parse().ok()?;
            let dir = entry.path();
            let complete = ["bin/clang", "bin/ld.lld", "bin/llvm-objcopy"]
                .iter()
                .all(|program| dir.join(program).exists())
                && has_libclang(&dir.join("lib"));
            (version >= MIN_LLVM && complete).then_some((version, dir))
        })
        .collect();
    found.sort();
    match found.pop() {
        Some((_, dir)) => Ok(dir),
        None => bail!(
            "no LLVM {MIN_LLVM} or newer with clang, lld and libclang in {LLVM_ROOT}: \
             install clang-19 lld-19 llvm-19 libclang-19-dev"
        ),
    }
}

fn has_libclang(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libclang.so") || name.starts_with("libclang-")
        })
    })
}

/// Finds the library source of rustc where make does not look for it.
///
/// Returns none if it lies where make finds it by itself.
fn rust_lib_src(rustc: &Path) -> Result<Option<PathBuf>> {
    let sysroot = exec::output(Command::new(rustc).args(["--print", "sysroot"]))?;
    let usual = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if usual.join("core/src/lib.rs").exists() {
        return Ok(None);
    }
    let verbose = exec::output(Command::new(rustc).arg("-vV"))?;
    let release = verbose
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .context("rustc -vV does not tell its release")?;
    let packaged = PathBuf::from(format!("/usr/src/rustc-{release}/library"));
    if packaged.join("core/src/lib.rs").exists() {
        return Ok(Some(packaged));
    }
    bail!(
        "the library source of {} is missing (neither {} nor {} has it): install rust-web-src \
         (Debian 12) or rust-src (Debian 13)",
        rustc.display(),
        usual.display(),
        packaged.display()
    );
}

/// Finds the bindgen that ./x installed, or one on PATH.
fn bindgen(ctx: &Context) -> Result<PathBuf> {
    let own = ctx.cache.join("tools/bin/bindgen");
    if own.exists() {
        return Ok(own);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join("bindgen"))
        .find(|program| program.exists())
        .context("bindgen is not installed: ./x does it, or `cargo install bindgen-cli`")
}
