// SPDX-License-Identifier: MIT OR Apache-2.0

//! nginx: started from the template, watched, stopped.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use saio::pool::Name;

use crate::stats::{self, Stats};

/// Where Debian puts nginx.
const NGINX: &str = "/usr/sbin/nginx";
/// The template within the directory of configurations.
const TEMPLATE: &str = "bench/nginx.conf.in";
/// How long nginx may take to start or to stop.
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);
/// Levels of nginx's error log that no run may show.
const BAD_LEVELS: [&str; 3] = ["[alert]", "[crit]", "[emerg]"];

/// What tells one server from another.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Header and file in full segments: `tcp_nopush`
    pub nopush: bool,
    /// Descriptors of files are kept: `open_file_cache`
    pub file_cache: bool,
    /// Processes that serve: `worker_processes`
    pub workers: usize,
    /// For a server under SAIO
    pub saio: Option<Saio>,
}

/// How a server runs under SAIO.
#[derive(Clone, Debug)]
pub struct Saio {
    /// The preload library
    pub library: PathBuf,
    /// Who runs the calls
    pub mode: Mode,
    /// Which pool, except in mode inline
    pub pool: Option<Name>,
}

impl Saio {
    /// The server itself runs its calls.
    pub fn inline(library: &Path) -> Self {
        Self {
            library: library.to_owned(),
            mode: Mode::Inline,
            pool: None,
        }
    }
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
}

impl Mode {
    /// As the library's settings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Auto => "auto",
            Self::Pool => "pool",
        }
    }
}

/// A running nginx: a master and its workers. Dropping it kills them.
pub struct Nginx {
    name: String,
    dir: PathBuf,
    address: SocketAddr,
    master: Child,
    under_saio: bool,
}

impl Nginx {
    /// Starts nginx below `base`, serving the files under `docs`, and waits until it listens.
    ///
    /// # Errors
    ///
    /// The template under `configs` cannot be read, or nginx does not start; its log is in the error.
    pub fn start(
        name: &str,
        base: &Path,
        docs: &Path,
        configs: &Path,
        settings: &Settings,
    ) -> Result<Self> {
        let dir = base.join(name);
        fs::create_dir_all(&dir)
            .and_then(|()| open_to_all(&dir))
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let address = free_address()?;
        let config = dir.join("nginx.conf");
        let template = configs.join(TEMPLATE);
        let text = fs::read_to_string(&template).with_context(|| {
            format!(
                "cannot read {}; name the source tree's configs with --configs DIR",
                template.display()
            )
        })?;
        let text = fill(&text, &dir, docs, address.port(), settings)
            .with_context(|| format!("in {}", template.display()))?;
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;

        let mut command = Command::new(NGINX);
        command
            .arg("-c")
            .arg(&config)
            .arg("-p")
            .arg(&dir)
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("stderr.log"))?)
            .env_remove("LD_PRELOAD");
        if let Some(saio) = &settings.saio {
            // The worker, which is not root, appends to it.
            let stats = dir.join("stats.jsonl");
            File::create(&stats)?.set_permissions(Permissions::from_mode(0o666))?;
            command
                .env("LD_PRELOAD", &saio.library)
                .env("SAIO_MODE", saio.mode.name())
                .env("SAIO_STATS", stats);
            if let Some(pool) = &saio.pool {
                command.env("SAIO_POOL", pool.as_str());
            }
        }
        let master = command
            .spawn()
            .with_context(|| format!("cannot start {NGINX}; install the package nginx-light"))?;
        let mut server = Self {
            name: name.to_owned(),
            dir,
            address,
            master,
            under_saio: settings.saio.is_some(),
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() || self.workers().is_empty() {
            if let Some(status) = self.master.try_wait()? {
                bail!(
                    "nginx ({}) ended with {status}:\n{}",
                    self.name,
                    self.logs()
                );
            }
            if start.elapsed() > START_LIMIT {
                bail!(
                    "nginx ({}) does not listen after {} s:\n{}",
                    self.name,
                    START_LIMIT.as_secs(),
                    self.logs()
                );
            }
            sleep(STEP);
        }
        Ok(())
    }

    /// Name given to [`Nginx::start`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processes of the workers that there are now.
    pub fn workers(&self) -> Vec<u32> {
        children_of(self.master.id())
    }

    /// Process of the only worker.
    ///
    /// # Errors
    ///
    /// There is none or more than one.
    pub fn worker(&self) -> Result<u32> {
        match self.workers()[..] {
            [worker] => Ok(worker),
            ref other => bail!(
                "nginx ({}) has {} workers instead of one:\n{}",
                self.name,
                other.len(),
                self.logs()
            ),
        }
    }

    /// Sends a signal to the master.
    ///
    /// # Errors
    ///
    /// The master is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(pid(self.master.id()), signal)
            .with_context(|| format!("cannot send {signal} to nginx ({})", self.name))
    }

    /// Waits until the master has ended.
    ///
    /// # Errors
    ///
    /// It runs on after 30 s.
    pub fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.master.try_wait()?.is_none() {
            if start.elapsed() > STOP_LIMIT {
                bail!(
                    "nginx ({}) still runs {} s after it was told to stop:\n{}",
                    self.name,
                    STOP_LIMIT.as_secs(),
                    self.logs()
                );
            }
            sleep(STEP);
        }
        Ok(())
    }

    /// Stops it as an operator does, letting it finish what it has begun.
    ///
    /// # Errors
    ///
    /// It runs on after 30 s.
    pub fn stop(&mut self) -> Result<()> {
        if self.master.try_wait()?.is_none() {
            self.signal(Signal::SIGQUIT)?;
        }
        self.wait()
    }

    /// Fails if the error log has a line that no good server writes.
    ///
    /// # Errors
    ///
    /// Such a line.
    pub fn check_log(&self) -> Result<()> {
        let log = fs::read_to_string(self.dir.join("error.log")).unwrap_or_default();
        match bad_line(&log) {
            Some(line) => bail!("nginx ({}) logged: {line}", self.name),
            None => Ok(()),
        }
    }

    /// Sum of what the processes under SAIO have counted; they write it when they end.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the server was not under SAIO.
    pub fn stats(&self) -> Result<Stats> {
        if !self.under_saio {
            bail!("nginx ({}) does not run under SAIO", self.name);
        }
        stats::read(&self.dir.join("stats.jsonl"))
    }

    /// The end of what it wrote, for an error message.
    fn logs(&self) -> String {
        let mut text = String::new();
        for file in ["stderr.log", "error.log"] {
            let log = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(10)..] {
                text += &format!("  {file}: {line}\n");
            }
        }
        text
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A worker that hangs outlives its master, so each is killed. The pid of a reaped master may be another's.
        if matches!(self.master.try_wait(), Ok(None)) {
            for worker in self.workers() {
                let _ = kill(pid(worker), Signal::SIGKILL);
            }
            let _ = self.master.kill();
            let _ = self.master.wait();
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id as i32)
}

/// Makes a directory readable by the worker, which is not root.
///
/// # Errors
///
/// It is not ours.
pub fn open_to_all(dir: &Path) -> std::io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))
}

fn fill(text: &str, dir: &Path, docs: &Path, port: u16, settings: &Settings) -> Result<String> {
    let cache = "open_file_cache max=100; open_file_cache_valid 600s;";
    let values = [
        ("@user@", worker_user().to_owned()),
        ("@workers@", settings.workers.to_string()),
        ("@dir@", dir.display().to_string()),
        ("@docs@", docs.display().to_string()),
        ("@port@", port.to_string()),
        (
            "@nopush@",
            if settings.nopush { "on" } else { "off" }.to_owned(),
        ),
        (
            "@cache@",
            if settings.file_cache { cache } else { "" }.to_owned(),
        ),
    ];
    let mut text = text.to_owned();
    for (word, value) in values {
        text = text.replace(word, &value);
    }
    let rest = text
        .lines()
        .find(|line| !line.trim_start().starts_with('#') && line.contains('@'));
    match rest {
        Some(line) => bail!("unknown word in: {}", line.trim()),
        None => Ok(text),
    }
}

/// Debian's user for web servers, or one that every system has.
fn worker_user() -> &'static str {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if users.lines().any(|line| line.starts_with("www-data:")) {
        "www-data"
    } else {
        "nobody"
    }
}

fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("no free port on 127.0.0.1; bring the loopback interface up: ip link set lo up")
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| is_child(&stat, parent))
        })
        .collect()
}

/// Whether a line of /proc/PID/stat is of a living child of `parent`.
fn is_child(stat: &str, parent: u32) -> bool {
    // The name may hold spaces and brackets; what follows it does not.
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut fields = rest.split(' ');
    let living = fields.next() != Some("Z");
    living && fields.next().and_then(|field| field.parse().ok()) == Some(parent)
}

fn bad_line(log: &str) -> Option<&str> {
    log.lines()
        .find(|line| BAD_LEVELS.iter().any(|level| line.contains(level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            nopush: true,
            file_cache: false,
            workers: 1,
            saio: None,
        }
    }

    #[test]
    fn template_of_the_tree_has_no_unknown_word() {
        let template = include_str!("../../../configs/bench/nginx.conf.in");
        let filled = fill(
            template,
            Path::new("/d"),
            Path::new("/w"),
            8101,
            &settings(),
        )
        .unwrap();
        assert!(filled.contains("listen 127.0.0.1:8101 "));
        assert!(filled.contains("tcp_nopush on;"));
        assert!(filled.contains("root /w;"));
        assert!(!filled.contains("open_file_cache"));
    }

    #[test]
    fn unknown_words_are_named() {
        let error = fill(
            "x @what@;",
            Path::new("/d"),
            Path::new("/w"),
            1,
            &settings(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("@what@"));
    }

    #[test]
    fn children_are_told_by_their_parent() {
        assert!(is_child("12 (nginx) S 7 12 12", 7));
        assert!(is_child("12 (a) b) S 7 12", 7));
        assert!(!is_child("12 (nginx) Z 7 12 12", 7));
        assert!(!is_child("12 (nginx) S 8 12 12", 7));
        assert!(!is_child("", 7));
    }

    #[test]
    fn bad_lines_of_a_log() {
        let log = "t [notice] 1#1: x\nt [error] 1#1: open() failed\n";
        assert_eq!(bad_line(log), None);
        let log = format!("{log}t [alert] 1#1: worker process 5 exited on signal 11\n");
        assert!(bad_line(&log).unwrap().contains("signal 11"));
    }
}
