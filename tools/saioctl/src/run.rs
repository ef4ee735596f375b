// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl run`: starts a command under the preload library.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{preload, program};

/// Exit status when saioctl itself cannot do its part, as of env and timeout.
pub const EXIT_SELF: u8 = 125;
/// Exit status when the command was found and cannot be executed.
const EXIT_NOT_EXECUTABLE: u8 = 126;
/// Exit status when the command was not found.
const EXIT_NOT_FOUND: u8 = 127;

/// Arguments of `saioctl run`.
#[derive(Args)]
pub struct RunArgs {
    /// Who runs the calls: the server itself in batches (inline), or nobody (off: the library does nothing)
    #[arg(long, value_enum, env = "SAIO_MODE", default_value = "inline")]
    mode: Mode,

    /// File to which every process appends a line of JSON with its counters when it ends, or stderr
    #[arg(long, value_name = "FILE", env = "SAIO_STATS")]
    stats: Option<PathBuf>,

    /// The preload library [default: libsaio_preload.so beside saioctl, then in lib/saio]
    #[arg(long, value_name = "FILE", env = "SAIO_PRELOAD_PATH")]
    preload: Option<PathBuf>,

    /// The library says on stderr what it does
    #[arg(long)]
    verbose: bool,

    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Inline,
    Off,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Inline => "inline",
            Mode::Off => "off",
        }
    }
}

/// Replaces this process by the command. Returns an exit status if that fails.
///
/// # Errors
///
/// The preload library or the directory of the statistics file cannot be found.
pub fn run(args: &RunArgs) -> Result<u8> {
    let library = preload::find(args.preload.as_deref())?;
    let Some((name, rest)) = args.command.split_first() else {
        // clap requires it.
        return Ok(EXIT_SELF);
    };
    let path = env::var_os("PATH");
    let file = match program::find(name, path.as_deref()) {
        Ok(file) => file,
        Err(error) => return Ok(failed(name, &error)),
    };
    if let Some(reason) = program::obstacle(&file, path.as_deref()) {
        eprintln!("saioctl: warning: {reason}");
    }

    let mut command = Command::new(&file);
    command
        .arg0(name)
        .args(rest)
        .env(
            "LD_PRELOAD",
            with_library(&library, env::var_os("LD_PRELOAD")),
        )
        .env("SAIO_MODE", args.mode.name());
    if let Some(stats) = &args.stats {
        command.env("SAIO_STATS", stats_file(stats)?);
    }
    if args.verbose {
        command.env("SAIO_VERBOSE", "1");
    }
    Ok(failed(name, &command.exec()))
}

/// The file as the library takes it: absolute, since servers change their directory.
fn stats_file(file: &Path) -> Result<PathBuf> {
    if file == Path::new("stderr") {
        return Ok(file.to_owned());
    }
    std::path::absolute(file).context("--stats: no current directory")
}

fn failed(name: &OsStr, error: &io::Error) -> u8 {
    let name = name.to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        eprintln!("saioctl: {name}: command not found");
        return EXIT_NOT_FOUND;
    }
    eprintln!("saioctl: {name}: cannot be executed: {error}");
    EXIT_NOT_EXECUTABLE
}

/// `LD_PRELOAD` with the library before what is there already, so that its symbols come first.
fn with_library(library: &Path, before: Option<OsString>) -> OsString {
    let mut value = library.as_os_str().to_owned();
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        value.push(":");
        value.push(before);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_go_where_they_were_meant_to() {
        assert_eq!(
            stats_file(Path::new("stderr")).unwrap(),
            Path::new("stderr")
        );
        assert_eq!(
            stats_file(Path::new("/run/x")).unwrap(),
            Path::new("/run/x")
        );
        assert!(stats_file(Path::new("x")).unwrap().is_absolute());
    }

    #[test]
    fn library_comes_first() {
        let library = Path::new("/l.so");
        assert_eq!(with_library(library, None), "/l.so");
        assert_eq!(with_library(library, Some("".into())), "/l.so");
        assert_eq!(with_library(library, Some("/m.so".into())), "/l.so:/m.so");
    }
}
