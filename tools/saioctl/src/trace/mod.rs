// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl trace`: entries as strace would print them, with where they ran.

mod call;
mod event;
mod follow;
mod json;
mod line;
mod names;
mod pending;
mod session;
mod summary;
mod tasks;
mod text;
mod tracefs;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

use crate::child::{Child, Signals};
use crate::output;
use crate::process::{Absent, Proc};
use event::Complete;
use follow::Subject;
use pending::Started;
use session::{Form, Session};
use tasks::Tasks;
use tracefs::{Instance, Tracefs};

/// How long to wait for events before looking whether the trace is over, in milliseconds.
const TICK_MS: u8 = 100;
/// Bytes read at once; the kernel gives a page at most.
const CHUNK: usize = 64 << 10;
/// Reads before looking whether the trace is over, as a busy server leaves nothing to wait for.
const READS: usize = 64;

/// Arguments of `saioctl trace`.
#[derive(Args)]
pub struct TraceArgs {
    /// Only rings of this process and of all that descends from it; may be given more than once
    #[arg(short, long, conflicts_with = "command")]
    pid: Vec<u32>,

    /// Writes the lines as the kernel has them
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// Writes a line of JSON for each entry and event
    #[arg(long)]
    json: bool,

    /// Writes to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Room in the kernel for events that were not read yet, for each CPU [default: the kernel's, mostly 1408]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..))]
    buffer_size: Option<u32>,

    /// Starts a command, traces it with all that descends from it, and ends with them
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

/// An entry that has its result.
pub struct Finished<'a> {
    /// When, in microseconds on the monotonic clock.
    time_us: u64,
    /// The CPU that finished it.
    cpu: u32,
    /// Number of the ring.
    ring: u64,
    /// The thread that owns it.
    owner: u32,
    /// The result.
    complete: &'a Complete,
    /// The beginning, if it was seen.
    started: Option<&'a Started>,
}

impl Finished<'_> {
    fn duration_us(&self) -> Option<u64> {
        let started = self.started?.time_us;
        Some(self.time_us.saturating_sub(started))
    }
}

/// Prints entries until the end of what is traced, or a signal. Returns the exit status.
///
/// # Errors
///
/// A process does not exist, the kernel cannot trace, this user may not, the command cannot be started, or the output cannot be written.
pub fn trace(args: &TraceArgs) -> Result<u8> {
    if let Some(pid) = args.pid.iter().find(|&&pid| !Proc::default().has(pid)) {
        return Err(Absent(*pid).into());
    }
    output::until_closed(record(args))
}

fn record(args: &TraceArgs) -> Result<u8> {
    // From here on everything ends with the trace being removed.
    let signals = Signals::catch()?;
    let tracefs = Tracefs::find()?;
    let instance = Instance::create(&tracefs, args.buffer_size)?;
    let mut pipe = instance.pipe()?;
    let choosy = !(args.pid.is_empty() && args.command.is_empty());
    instance.enable(choosy)?;
    // Now that there will be a trace, an older one may be overwritten.
    let out: Box<dyn Write> = match &args.output {
        None => Box::new(io::stdout()),
        Some(file) => Box::new(
            File::create(file)
                .with_context(|| format!("--output: cannot write {}", file.display()))?,
        ),
    };
    let tasks = match (&args.pid[..], &args.command[..]) {
        ([], []) => Tasks::Everybody,
        // The command will be born to this process.
        ([], _) => Tasks::of(&[std::process::id()])?,
        (pids, _) => Tasks::of(pids)?,
    };
    let mut subject = match (&args.pid[..], &args.command[..]) {
        ([], []) => Subject::Everything,
        ([], command) => Subject::Command(start(command)?),
        (pids, _) => Subject::Processes(pids.to_vec()),
    };
    let form = match (args.raw, args.json) {
        (true, _) => Form::Raw,
        (_, true) => Form::Json,
        _ => Form::Text,
    };
    let mut session = Session::new(BufWriter::new(out), form, tasks)?;
    while !subject.is_over(&signals)? {
        drain(&mut pipe, &mut session, READS)?;
        wait(&pipe)?;
    }
    instance.stop()?;
    drain(&mut pipe, &mut session, usize::MAX)?;
    // The instance is not removed while it is open.
    drop(pipe);
    drop(instance);
    let summary = session.finish()?.text();
    // Whether anybody reads it does not change what the command returned.
    let _ = io::stderr().write_all(summary.as_bytes());
    Ok(subject.status())
}

fn start(command: &[OsString]) -> Result<Child> {
    let (name, args) = command.split_first().context("no command")?;
    Child::start(Command::new(name).args(args))
        .with_context(|| format!("cannot start {}", name.to_string_lossy()))
}

/// Reads until there is nothing left, or so many times.
fn drain(pipe: &mut File, session: &mut Session<impl Write>, most: usize) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    for _ in 0..most {
        match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(bytes) => session.feed(&chunk[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read the trace"),
        }
    }
    session.flush()
}

fn wait(pipe: &File) -> Result<()> {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(TICK_MS)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno).context("cannot wait for the trace"),
    }
}
