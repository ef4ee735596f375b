// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trials of the kernel's SAIO calls, each in a process of its own: a seccomp filter may kill it, and a kernel in
//! which something is wrong may keep it waiting.

use std::env;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use saio::flow::FlowRef;
use saio::pool;
use saio::ring::Ring;
use saio::sys::{self, saio_cqe, saio_params, saio_sqe};
use serde::{Deserialize, Serialize};

use crate::output;

/// How long a trial may take.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How long a peer waits for bytes.
const PEER_LIMIT: Duration = Duration::from_secs(5);
/// Bytes sent through a flow.
const BYTES: usize = 1024;
/// What a completion must carry back.
const MARK: u64 = 0x5a10_5a10;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// Whether saio_setup answers
    Calls,
    /// Whether a ring can be made and mapped
    Ring,
    /// Whether a batch runs
    Batch,
    /// Whether a flow carries bytes to its peer
    Flow,
    /// Whether saio_pool answers
    Pools,
    /// Nothing: whether a program starts
    Nothing,
}

impl Probe {
    fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Ring => "ring",
            Self::Batch => "batch",
            Self::Flow => "flow",
            Self::Pools => "pools",
            Self::Nothing => "nothing",
        }
    }
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It worked; what was seen
    Done(String),
    /// A system call failed
    Errno {
        /// Its name
        call: String,
        /// What it said
        errno: i32,
    },
    /// Everything answered, wrongly
    Wrong(String),
    /// A signal ended it
    Killed(i32),
    /// It did not end
    TimedOut,
    /// It could not be tried
    NotStarted(String),
}

/// Makes a trial in a process of its own.
pub fn run(probe: Probe) -> Outcome {
    try_run(probe).unwrap_or_else(|error| Outcome::NotStarted(format!("{error:#}")))
}

fn try_run(probe: Probe) -> Result<Outcome> {
    let exe = env::current_exe().context("cannot find saioctl itself")?;
    let mut child = Command::new(exe)
        .args(["probe", probe.name()])
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a trial")?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a trial")? {
            break status;
        }
        if start.elapsed() > LIMIT {
            kill(&mut child);
            return Ok(Outcome::TimedOut);
        }
        sleep(Duration::from_millis(2));
    };
    if let Some(signal) = status.signal() {
        return Ok(Outcome::Killed(signal));
    }
    // An outcome is far smaller than a pipe, so it waits there.
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    serde_json::from_str(&text).with_context(|| format!("a trial ended with {status}"))
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    // A process that hangs in the kernel cannot be waited for.
    for _ in 0..100 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
}

/// What the process of a trial does: prints the outcome as JSON. Returns the exit status.
///
/// # Errors
///
/// The outcome cannot be written.
pub fn child(probe: Probe) -> Result<u8> {
    let outcome = match probe {
        Probe::Calls => Ok(calls()),
        Probe::Ring => ring(),
        Probe::Batch => batch(),
        Probe::Flow => flow(),
        Probe::Pools => pools(),
        Probe::Nothing => Ok(Outcome::Done(String::new())),
    };
    let outcome = outcome.unwrap_or_else(|failed| failed);
    output::print(&(serde_json::to_string(&outcome)? + "\n"))?;
    Ok(0)
}

/// A failed call is an outcome too.
type Trial = Result<Outcome, Outcome>;

trait OfCall<T> {
    fn of(self, call: &str) -> Result<T, Outcome>;
}

impl<T> OfCall<T> for io::Result<T> {
    fn of(self, call: &str) -> Result<T, Outcome> {
        self.map_err(|error| match error.raw_os_error() {
            Some(errno) => Outcome::Errno {
                call: call.to_owned(),
                errno,
            },
            None => Outcome::Wrong(format!("{call}: {error}")),
        })
    }
}

fn calls() -> Outcome {
    match sys::probe() {
        libc::EINVAL | libc::EFAULT => Outcome::Done("saio_setup answers".to_owned()),
        errno => Outcome::Errno {
            call: "saio_setup".to_owned(),
            errno,
        },
    }
}

fn new_ring() -> Result<Ring, Outcome> {
    Ring::setup(saio_params::default()).of("saio_setup")
}

fn ring() -> Trial {
    let ring = new_ring()?;
    let params = ring.params();
    Ok(Outcome::Done(format!(
        "{} entries, {} KiB",
        params.sq_entries,
        params.map_size / 1024
    )))
}

fn batch() -> Trial {
    let mut ring = new_ring()?;
    let cqe = run_entry(
        &mut ring,
        &saio_sqe {
            nr: libc::SYS_getppid as u16,
            user_data: MARK,
            ..Default::default()
        },
    )?;
    let parent = i64::from(std::os::unix::process::parent_id());
    if cqe.user_data == MARK && cqe.res == parent {
        return Ok(Outcome::Done(
            "getppid in a batch gives what it should".to_owned(),
        ));
    }
    Ok(Outcome::Wrong(format!(
        "getppid in a batch gives {} for {:#x} instead of {parent} for {MARK:#x}",
        cqe.res, cqe.user_data
    )))
}

fn flow() -> Trial {
    let (socket, mut peer) = connection().of("a TCP connection to 127.0.0.1")?;
    let mut ring = new_ring()?;
    let fd = socket.as_raw_fd();
    let flow = sys::register_flow(ring.fd(), fd).of("saio_register")?;
    let sent: Vec<u8> = (0..BYTES).map(|index| (index * 7 % 251) as u8).collect();
    // SAFETY: the arena is larger than this and nothing else uses it.
    unsafe { ring.arena(0).copy_from_nonoverlapping(sent.as_ptr(), BYTES) };
    let cqe = run_entry(
        &mut ring,
        &saio_sqe {
            nr: libc::SYS_write as u16,
            flags: sys::SQE_FLOW,
            user_data: MARK,
            args: [FlowRef::from_raw(flow).arg(fd), 0, BYTES as u64, 0, 0, 0],
            ..Default::default()
        },
    )?;
    if cqe.res < 0 {
        return Err(io::Error::from_raw_os_error(-cqe.res as i32)).of("write on a flow");
    }
    let mut received = vec![0; BYTES];
    peer.read_exact(&mut received).of("reading at the peer")?;
    if received != sent || cqe.res != BYTES as i64 {
        return Ok(Outcome::Wrong(format!(
            "a write of {BYTES} bytes on a flow gives {}, and the peer has {}",
            cqe.res,
            if received == sent { "them" } else { "others" }
        )));
    }
    Ok(Outcome::Done(format!("{BYTES} bytes reach a TCP peer")))
}

fn pools() -> Trial {
    let pools = pool::list().of("saio_pool")?;
    Ok(Outcome::Done(format!("{} pools", pools.len())))
}

/// Both ends of a TCP connection; the first is as a flow needs it.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let peer = TcpStream::connect(listener.local_addr()?)?;
    let (socket, _) = listener.accept()?;
    socket.set_nonblocking(true)?;
    peer.set_read_timeout(Some(PEER_LIMIT))?;
    Ok((socket, peer))
}

/// Runs one entry, which names no memory but the arena's, and gives its completion.
fn run_entry(ring: &mut Ring, entry: &saio_sqe) -> Result<saio_cqe, Outcome> {
    if !ring.push(entry) {
        return Err(Outcome::Wrong("a new ring is full".to_owned()));
    }
    // SAFETY: the only entry that is published has no pointer.
    sys::check(unsafe { ring.enter(1, 1) }).of("saio_enter")?;
    ring.pop()
        .ok_or_else(|| Outcome::Wrong("an entry ran and has no completion".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_the_way() {
        for outcome in [
            Outcome::Done("x".into()),
            Outcome::Errno {
                call: "saio_setup".into(),
                errno: libc::ENOSYS,
            },
            Outcome::Wrong("y".into()),
        ] {
            let text = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        }
    }

    #[test]
    fn both_ends_of_a_connection() {
        use std::io::Write;
        let (mut socket, mut peer) = connection().unwrap();
        socket.write_all(b"abc").unwrap();
        let mut received = [0; 3];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"abc");
    }
}
