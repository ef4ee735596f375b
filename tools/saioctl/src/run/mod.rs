// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl run`: starts a command under the preload library.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use saio::pool::Name;

use crate::output::{say, warn};
use crate::pool::{self, Presence};
use crate::{preload, program};

/// Exit status when saioctl itself cannot do its part, as of env and timeout.
pub const EXIT_SELF: u8 = 125;
/// Exit status when the command was found and cannot be executed.
const EXIT_NOT_EXECUTABLE: u8 = 126;
/// Exit status when the command was not found.
const EXIT_NOT_FOUND: u8 = 127;

/// Variables that options take their values from.
const VARIABLES: [&str; 4] = ["SAIO_MODE", "SAIO_POOL", "SAIO_STATS", "SAIO_PRELOAD_PATH"];

/// Removes variables that are empty: they count as unset, here and in the command.
pub fn forget_empty_variables() {
    for name in VARIABLES {
        if env::var_os(name).is_some_and(|value| value.is_empty()) {
            env::remove_var(name);
        }
    }
}

/// Arguments of `saioctl run`.
#[derive(Args)]
pub struct RunArgs {
    /// The pool whose threads run what the server queues; saioctl pool set makes one
    #[arg(long, value_name = "NAME", env = "SAIO_POOL")]
    pool: Option<Name>,

    /// Who runs the calls [default: auto with --pool, otherwise inline]
    #[arg(long, value_enum, env = "SAIO_MODE")]
    mode: Option<Mode>,

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The pool where that pays, otherwise the server
    Auto,
    /// The server itself, in batches
    Inline,
    /// The pool
    Pool,
    /// Nobody: the library does nothing
    Off,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Inline => "inline",
            Mode::Pool => "pool",
            Mode::Off => "off",
        }
    }

    fn wants_pool(self) -> bool {
        matches!(self, Mode::Auto | Mode::Pool)
    }
}

/// What the library is told.
#[derive(Debug, PartialEq, Eq)]
struct Placement<'a> {
    mode: Mode,
    /// `None`: the library's default.
    pool: Option<&'a Name>,
}

impl RunArgs {
    /// A pool that is named on the command line counts for more than a mode that comes from the environment.
    pub fn settle(&mut self, matches: &ArgMatches) {
        if matches.value_source("pool") == Some(ValueSource::CommandLine)
            && matches.value_source("mode") == Some(ValueSource::EnvVariable)
        {
            self.mode = None;
        }
    }

    /// Where calls shall run, after a look at what the kernel has.
    fn placement(&self) -> Result<Placement<'_>> {
        let wanted = self.wanted();
        if !wanted.mode.wants_pool() {
            if let Some(pool) = &self.pool {
                warn(format_args!(
                    "--pool {pool} has no effect with --mode {}",
                    wanted.mode.name()
                ));
            }
            return Ok(wanted);
        }
        let default = Name::default_pool();
        let name = wanted.pool.unwrap_or(&default);
        match pool::look(name)? {
            Presence::There => Ok(wanted),
            Presence::Hidden(errno) => {
                warn(format_args!(
                    "cannot look whether there is a pool {name} (saio_pool: {errno:?}): a seccomp filter or security module does not allow it; the library tries to attach to it"
                ));
                Ok(wanted)
            }
            Presence::Missing => bail!("{}; make it: saioctl pool set {name}", pool::missing(name)),
            Presence::NoPools => {
                // Without any SAIO it is the library that says so.
                if saio::sys::probe() != libc::ENOSYS {
                    warn("this kernel has no worker pools: the server itself runs its calls, in batches (inline)");
                }
                Ok(Placement {
                    mode: Mode::Inline,
                    pool: None,
                })
            }
        }
    }

    fn wanted(&self) -> Placement<'_> {
        let mode = match (self.mode, &self.pool) {
            (Some(mode), _) => mode,
            (None, Some(_)) => Mode::Auto,
            (None, None) => Mode::Inline,
        };
        Placement {
            mode,
            pool: self.pool.as_ref().filter(|_| mode.wants_pool()),
        }
    }
}

/// Replaces this process by the command. Returns an exit status if that fails.
///
/// # Errors
///
/// The preload library, the directory of the statistics file or the pool cannot be found.
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
        warn(reason);
    }
    let placement = args.placement()?;

    let mut command = Command::new(&file);
    command
        .arg0(name)
        .args(rest)
        .env(
            "LD_PRELOAD",
            with_library(&library, env::var_os("LD_PRELOAD")),
        )
        .env("SAIO_MODE", placement.mode.name());
    match placement.pool {
        Some(pool) => command.env("SAIO_POOL", pool.as_str()),
        None => command.env_remove("SAIO_POOL"),
    };
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
        say(format_args!("{name}: command not found"));
        return EXIT_NOT_FOUND;
    }
    say(format_args!("{name}: cannot be executed: {error}"));
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
    fn pool_means_auto_unless_another_mode_is_given() {
        let args = |mode, pool: Option<&str>| RunArgs {
            pool: pool.map(|name| name.parse().unwrap()),
            mode,
            stats: None,
            preload: None,
            verbose: false,
            command: Vec::new(),
        };
        let wanted = |mode, pool| {
            let args = args(mode, pool);
            let wanted = args.wanted();
            (wanted.mode, wanted.pool.map(Name::to_string))
        };
        let web = || Some("web".to_owned());
        assert_eq!(wanted(None, None), (Mode::Inline, None));
        assert_eq!(wanted(None, Some("web")), (Mode::Auto, web()));
        assert_eq!(wanted(Some(Mode::Pool), Some("web")), (Mode::Pool, web()));
        assert_eq!(wanted(Some(Mode::Auto), None), (Mode::Auto, None));
        assert_eq!(wanted(Some(Mode::Off), Some("web")), (Mode::Off, None));
        assert_eq!(
            wanted(Some(Mode::Inline), Some("web")),
            (Mode::Inline, None)
        );
    }

    #[test]
    fn library_comes_first() {
        let library = Path::new("/l.so");
        assert_eq!(with_library(library, None), "/l.so");
        assert_eq!(with_library(library, Some("".into())), "/l.so");
        assert_eq!(with_library(library, Some("/m.so".into())), "/l.so:/m.so");
    }
}
