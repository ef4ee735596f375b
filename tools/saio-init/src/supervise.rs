// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the job: output to the ports, orphans reaped, time limit kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use saio_init::{Job, STATUS_TIMED_OUT};

use crate::ports::Ports;

/// The terminal of a guest without a command.
const CONSOLE: &str = "/dev/ttyS0";

/// How long to wait for killed processes, and then for the rest of their output.
const LEAVING: Duration = Duration::from_secs(5);

/// Runs the command of a job and returns its exit status, as a shell counts it.
///
/// # Errors
///
/// The command cannot be started.
pub fn run(job: &Job, ports: &mut Ports) -> Result<i32> {
    let (program, args) = job.argv.split_first().context("the job has no command")?;
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(&job.env)
        .current_dir(&job.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {program} in {}", job.cwd.display()))?;

    let stdout = child.stdout.take().context("no pipe for stdout")?;
    let stderr = child.stderr.take().context("no pipe for stderr")?;
    let pid = pid_of(child)?;
    let copies = [
        copy(stdout, ports.stdout.try_clone()?),
        copy(stderr, ports.stderr.try_clone()?),
    ];

    let expired = Arc::new(AtomicBool::new(false));
    if let Some(seconds) = job.time_limit_s {
        let expired = Arc::clone(&expired);
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(seconds));
            expired.store(true, Ordering::SeqCst);
            eprintln!("saio-init: time limit of {seconds} s reached; blocked tasks follow");
            // Best effort: the report helps, its absence does no harm.
            let _ = fs::write("/proc/sysrq-trigger", "w");
            let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
        });
    }

    let status = wait_for(pid)?;
    kill_everything();
    for finished in copies {
        // An error means that time is up or that the copy is complete.
        let _ = finished.recv_timeout(LEAVING);
    }
    if expired.load(Ordering::SeqCst) {
        return Ok(STATUS_TIMED_OUT);
    }
    Ok(status)
}

/// Runs a shell on the serial console and returns its exit status.
pub fn shell(job: &Job) -> Result<i32> {
    let console = || -> Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(CONSOLE)
            .with_context(|| format!("cannot open {CONSOLE}"))
    };
    let shell = ["/bin/bash", "/bin/sh"]
        .into_iter()
        .find(|path| fs::metadata(path).is_ok())
        .context("the root file system has no shell")?;
    let child = Command::new("setsid")
        .args(["--ctty", "--wait", shell])
        .env_clear()
        .envs(&job.env)
        .current_dir(&job.cwd)
        .stdin(console()?)
        .stdout(console()?)
        .stderr(console()?)
        .spawn()
        .context("cannot run setsid (package util-linux)")?;
    let status = wait_for(pid_of(child)?)?;
    kill_everything();
    Ok(status)
}

/// Copies until the end of `from` in a thread; the channel closes at the end.
///
/// Read and write, not `io::copy`: that would splice pages into the port.
fn copy(mut from: impl Read + Send + 'static, mut to: File) -> Receiver<()> {
    let (finished, receiver) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _finished = finished;
        let mut buffer = vec![0; 32 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    if let Err(error) = to.write_all(&buffer[..length]) {
                        eprintln!("saio-init: output lost: {error}");
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    eprintln!("saio-init: output lost: {error}");
                    return;
                }
            }
        }
    });
    receiver
}

/// Gives a child up to [`wait_for`], which waits for every process at once.
fn pid_of(child: Child) -> Result<Pid> {
    let pid = i32::try_from(child.id()).context("strange process id")?;
    Ok(Pid::from_raw(pid))
}

/// Waits for one process, reaping whatever else ends meanwhile.
fn wait_for(pid: Pid) -> Result<i32> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(who, code)) if who == pid => return Ok(code),
            Ok(WaitStatus::Signaled(who, signal, _)) if who == pid => {
                return Ok(128 + signal as i32)
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => bail!("cannot wait for the command: {error}"),
        }
    }
}

/// Kills what the command left behind, so that the ends of its pipes close.
fn kill_everything() {
    // ESRCH: there is nobody left.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    let pause = Duration::from_millis(10);
    let mut waited = Duration::ZERO;
    while waited < LEAVING {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                thread::sleep(pause);
                waited += pause;
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
    eprintln!("saio-init: some processes do not end");
}
