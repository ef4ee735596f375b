// SPDX-License-Identifier: MIT OR Apache-2.0

//! Servers: how each is configured and started, and what is the same for all of them.

pub mod crew;
pub mod echo;
pub mod group;
pub mod haproxy;
pub mod lighttpd;
pub mod memcached;
pub mod nginx;
pub mod node;
pub mod process;
pub mod redis;
pub mod template;
pub mod uvicorn;

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::{env, io};

use anyhow::{Context, Result};
use clap::ValueEnum;
use nix::unistd::{geteuid, User};
use saio::pool::Name;

use crate::tls::Identity;

pub use process::Process;

/// What a server writes about requests, in its directory.
pub const LOG: &str = "access.log";
/// Where the system keeps servers, which need not be in a user's PATH.
const SYSTEM_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
/// Ports are taken from here on: the kernel gives those above to clients, by itself.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;

/// How a server runs under SAIO.
#[derive(Clone, Debug)]
pub struct Saio {
    /// The preload library
    pub library: PathBuf,
    /// Who runs the calls
    pub mode: Mode,
    /// Which pool, except in mode inline
    pub pool: Option<Name>,
    /// Whether writes are queued that cost more so: to see that they arrive
    pub queue_all: bool,
}

/// Who runs the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The server, in batches
    #[default]
    Inline,
    /// A pool of kernel threads where that pays
    Auto,
    /// A pool of kernel threads
    Pool,
    /// Nobody: the server is compared with itself, both without SAIO, to check this program
    None,
}

impl Mode {
    /// As the library's settings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Auto => "auto",
            Self::Pool => "pool",
            Self::None => "none",
        }
    }
}

/// Where a server is to run, and with what.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// Name of this very server, and of its directory
    pub name: String,
    /// Directory of all servers
    pub base: &'a Path,
    /// Where it listens, on 127.0.0.1
    pub port: u16,
    /// Files to serve
    pub docs: &'a Path,
    /// Templates of configurations
    pub configs: &'a Path,
    /// For servers with TLS
    pub identity: Option<&'a Identity>,
    /// Processes that serve, where a server has several
    pub workers: usize,
    /// With the settings that are best without SAIO; otherwise as the server comes
    pub tuned: bool,
    /// Write to [`LOG`] what was handed to the kernel, if it can tell that
    pub log: bool,
    /// For a server under SAIO
    pub saio: Option<&'a Saio>,
}

impl<'a> Site<'a> {
    /// The directory of this server.
    pub fn dir(&self) -> PathBuf {
        self.base.join(&self.name)
    }

    /// Makes that directory.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn make_dir(&self) -> Result<PathBuf> {
        let dir = self.dir();
        fs::create_dir_all(&dir)
            .and_then(|()| open_to_all(&dir))
            .with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// What TLS needs.
    ///
    /// # Errors
    ///
    /// There is no certificate.
    pub fn identity(&self) -> Result<&'a Identity> {
        self.identity.context("no certificate was made")
    }
}

/// Makes a directory readable by servers, which do not run as root.
///
/// # Errors
///
/// It is not ours.
pub fn open_to_all(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))
}

/// A program's file, in PATH or where the system keeps servers.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_DIRS.iter().map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The same.
///
/// # Errors
///
/// There is none; names the package that brings it.
pub fn need(program: &str, package: &str) -> Result<PathBuf> {
    find(program).with_context(|| format!("cannot find {program}; install the package {package}"))
}

/// The first of these users that there is; `None` if we are not root and could not change to it.
pub fn user(names: &[&str]) -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    names
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
}

/// Gives a directory to a user.
///
/// # Errors
///
/// We are not root.
pub fn give(dir: &Path, user: &User) -> Result<()> {
    chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .with_context(|| format!("cannot give {} to {}", dir.display(), user.name))
}

/// A port on 127.0.0.1 that is free now, and that the kernel gives to no client.
///
/// # Errors
///
/// There is none.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = LAST_PORT - FIRST_PORT;
    // Runs at the same time begin at different places.
    let start = (std::process::id() % u32::from(span)) as u16;
    let mut last = None;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
        let port = FIRST_PORT + (start + step) % span;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
        .context("no free port on 127.0.0.1; bring the loopback interface up: ip link set lo up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_outside_of_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program").is_none());
        let error = need("no-such-program", "some-package").unwrap_err();
        assert!(error.to_string().contains("some-package"));
    }

    #[test]
    fn ports_are_not_given_twice() {
        assert_ne!(free_port().unwrap(), free_port().unwrap());
    }
}
