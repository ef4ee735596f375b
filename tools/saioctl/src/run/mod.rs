// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl run`: starts a command under the preload library.

pub mod rules;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use saio::pool::Name;
use saio::preload::rules::VARIABLE;

use crate::explain::Explain;
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

    /// Makes the pool that a configuration of ESCA or of the original SAIO describes, or changes it, and uses it; its
    /// name is that of --pool, otherwise that of the file
    #[arg(long, value_name = "FILE")]
    esca_conf: Option<PathBuf>,

    /// Programs that go without SAIO or have some calls go straight through [default: those of
    /// configs/preload/default.toml, built in]
    #[arg(long, value_name = "FILE")]
    preload_config: Option<PathBuf>,

    /// Waits for the command and all that comes out of it, and says on stderr what became of their calls: how many
    /// were queued, how many went straight through, and why
    #[arg(long)]
    explain: bool,

    /// --explain writes JSON
    #[arg(long, requires = "explain")]
    json: bool,

    /// --explain writes to a file instead of stderr
    #[arg(short, long, value_name = "FILE", requires = "explain")]
    output: Option<PathBuf>,

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
        let is_from = |id, source| matches.value_source(id) == Some(source);
        if self.esca_conf.is_some() && is_from("pool", ValueSource::EnvVariable) {
            self.pool = None;
        }
        if let (None, Some(file)) = (&self.pool, &self.esca_conf) {
            self.pool = Some(name_of(file));
        }
        let pool_is_given = is_from("pool", ValueSource::CommandLine) || self.esca_conf.is_some();
        if pool_is_given && is_from("mode", ValueSource::EnvVariable) {
            self.mode = None;
        }
    }

    /// Where calls shall run, after a look at what the kernel has.
    fn placement(&self) -> Result<Placement<'_>> {
        let wanted = self.wanted();
        if !wanted.mode.wants_pool() {
            let option = match (&self.esca_conf, &self.pool) {
                (Some(file), _) => Some(format!("--esca-conf {}", file.display())),
                (None, Some(pool)) => Some(format!("--pool {pool}")),
                (None, None) => None,
            };
            if let Some(option) = option {
                let mode = wanted.mode.name();
                warn(format_args!("{option} has no effect with --mode {mode}"));
            }
            return Ok(wanted);
        }
        if let (Some(file), Some(name)) = (&self.esca_conf, wanted.pool) {
            pool::settle(file, name)?;
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

/// Replaces this process by the command, or with --explain waits for it. Returns its exit status, or that it cannot be
/// executed.
///
/// # Errors
///
/// The preload library, the directory of the statistics file or the pool cannot be found, a file cannot be used, or
/// the kernel refuses a pool.
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
    let rules = rules::load(args.preload_config.as_deref())?;
    let stats = args.stats.as_deref().map(stats_file).transpose()?;
    let explain = args
        .explain
        .then(|| Explain::new(stats.as_deref(), args.json, args.output.as_deref()))
        .transpose()?;
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
    let counters = explain.as_ref().map(Explain::counters);
    if let Some(stats) = counters.or(stats.as_deref()) {
        command.env("SAIO_STATS", stats);
    }
    if args.verbose {
        command.env("SAIO_VERBOSE", "1");
    }
    let list = OsStr::from_bytes(VARIABLE.to_bytes());
    match rules.is_empty() {
        true => command.env_remove(list),
        false => command.env(list, rules::variable(&rules)),
    };
    match explain {
        None => Ok(failed(name, &command.exec())),
        Some(explain) => match explain.run(&mut command, &rules) {
            Ok(status) => status,
            Err(error) => Ok(failed(name, &error)),
        },
    }
}

/// A name for the pool that a file describes: that of the file, as far as a pool can be called so.
fn name_of(file: &Path) -> Name {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = stem
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .take(31)
        .collect();
    // It is none only of a directory such as `..`, which cannot be read either.
    name.parse().unwrap_or_else(|_| Name::default_pool())
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
            esca_conf: None,
            preload_config: None,
            explain: false,
            json: false,
            output: None,
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
    fn pool_is_called_like_the_file() {
        for (file, name) in [
            ("/etc/esca.conf", "esca"),
            ("web server.conf", "web-server"),
            (&*"x".repeat(40), &*"x".repeat(31)),
            ("..", "default"),
        ] {
            assert_eq!(name_of(Path::new(file)).as_str(), name);
        }
    }

    #[test]
    fn library_comes_first() {
        let library = Path::new("/l.so");
        assert_eq!(with_library(library, None), "/l.so");
        assert_eq!(with_library(library, Some("".into())), "/l.so");
        assert_eq!(with_library(library, Some("/m.so".into())), "/l.so:/m.so");
    }
}
