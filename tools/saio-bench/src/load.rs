// SPDX-License-Identifier: MIT OR Apache-2.0

//! wrk: load on a server, bounded by requests or by time.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::client::Amount;

/// wrk knows time only, so it gets much and is interrupted.
const LIMIT: Duration = Duration::from_secs(300);
/// How often what wrk has read is looked at.
const STEP: Duration = Duration::from_millis(10);
/// wrk looks every 0.1 s whether it was interrupted.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Load to put on a server.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the server listens
    pub address: SocketAddr,
    /// Path of the file to ask for
    pub path: String,
    /// Connections kept open
    pub connections: u32,
    /// Threads of wrk at most; none is without a connection
    pub threads: u32,
    /// Bytes of one response, head and body
    pub response_bytes: u64,
}

/// What wrk reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Responses read
    pub requests: u64,
    /// Responses a second, from the first connect to the last response
    pub per_second: f64,
}

/// Runs wrk, and interrupts it behind this amount; it makes some more requests until it notices.
///
/// # Errors
///
/// wrk cannot be started or interrupted, or reports a failed connection, a time-out or a response that is not 2xx.
pub fn run(load: &Load, amount: Amount) -> Result<Report> {
    run_with_opening(load, 0, amount, |_| Ok(()))
}

/// The same behind so many requests that open the connections. `at` is called when the amount begins, with false, and
/// when it ends, with true.
///
/// # Errors
///
/// As [`run`], or those of `at`.
pub fn run_with_opening(
    load: &Load,
    opening: u64,
    amount: Amount,
    mut at: impl FnMut(bool) -> Result<()>,
) -> Result<Report> {
    let mut command = Command::new("wrk");
    command
        .arg(format!("-t{}", load.threads.clamp(1, load.connections)))
        .arg(format!("-c{}", load.connections))
        .arg(format!("-d{}s", 2 * LIMIT.as_secs()))
        .args(["--timeout", "30s"])
        .arg(format!("http://{}{}", load.address, load.path))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("LD_PRELOAD");
    let child = command
        .spawn()
        .context("cannot start wrk; install the package wrk")?;
    let mut wrk = Killed(child);
    let opening = opening.saturating_mul(load.response_bytes);
    wait_for(&mut wrk.0, |bytes| bytes >= opening)?;
    at(false)?;
    let begin = Instant::now();
    wait_for(&mut wrk.0, |bytes| match amount {
        Amount::Requests(requests) => {
            bytes >= opening.saturating_add(requests.saturating_mul(load.response_bytes))
        }
        Amount::Time(time) => begin.elapsed() >= time,
    })?;
    at(true)?;
    wait_for_handler(&mut wrk.0)?;
    let id = Pid::from_raw(wrk.0.id() as i32);
    kill(id, Signal::SIGINT).context("cannot interrupt wrk")?;
    let start = Instant::now();
    while wrk.0.try_wait()?.is_none() {
        if start.elapsed() > STOP_LIMIT {
            bail!("wrk still runs {} s after SIGINT", STOP_LIMIT.as_secs());
        }
        sleep(STEP);
    }
    let mut text = String::new();
    if let Some(mut stdout) = wrk.0.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    parse(&text).with_context(|| format!("wrk on {}{} said:\n{text}", load.address, load.path))
}

/// Waits until the bytes that wrk has read are enough.
fn wait_for(wrk: &mut Child, is_enough: impl Fn(u64) -> bool) -> Result<()> {
    let file = format!("/proc/{}/io", wrk.id());
    let start = Instant::now();
    loop {
        if let Some(status) = wrk.try_wait()? {
            let mut text = String::new();
            if let Some(stderr) = &mut wrk.stderr {
                stderr.read_to_string(&mut text)?;
            }
            bail!("wrk ended by itself with {status}: {}", text.trim());
        }
        let io = fs::read_to_string(&file).with_context(|| {
            format!("cannot read {file}; the kernel needs CONFIG_TASK_IO_ACCOUNTING")
        })?;
        let bytes = read_bytes(&io).with_context(|| format!("{file} is not understood: {io:?}"))?;
        if is_enough(bytes) {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            bail!(
                "wrk is not done after {} s; it has read {bytes} bytes",
                LIMIT.as_secs()
            );
        }
        sleep(STEP);
    }
}

/// Waits until wrk would not be killed by an interrupt: with few requests to make it can be that fast.
fn wait_for_handler(wrk: &mut Child) -> Result<()> {
    let file = format!("/proc/{}/status", wrk.id());
    let start = Instant::now();
    loop {
        let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        if catches_interrupt(&status).with_context(|| format!("{file} has no SigCgt line"))? {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            bail!("wrk does not handle SIGINT after {} s", LIMIT.as_secs());
        }
        sleep(STEP);
    }
}

/// Whether a process has a handler for SIGINT, by /proc/PID/status.
fn catches_interrupt(status: &str) -> Option<bool> {
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))?;
    let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
    Some(caught & 1 << (Signal::SIGINT as i32 - 1) != 0)
}

/// Bytes that a process has got from read calls, by /proc/PID/io.
fn read_bytes(io: &str) -> Option<u64> {
    io.lines()
        .find_map(|line| line.strip_prefix("rchar: "))?
        .trim()
        .parse()
        .ok()
}

fn parse(text: &str) -> Result<Report> {
    for line in text.lines().map(str::trim) {
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx or 3xx responses:") {
            bail!("{line}");
        }
    }
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .context("no number of requests")?;
    let per_second = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())
        .context("no rate")?;
    Ok(Report {
        requests,
        per_second,
    })
}

/// A child that does not outlive this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_seen() {
        let status = |caught| format!("Name:\twrk\nSigIgn:\t0000000000001000\nSigCgt:\t{caught}\n");
        assert_eq!(catches_interrupt(&status("0000000180000002")), Some(true));
        assert_eq!(catches_interrupt(&status("0000000180000000")), Some(false));
        assert_eq!(catches_interrupt("Name:\twrk\n"), None);
    }

    const GOOD: &str = "Running 10m test @ http://127.0.0.1:8123/1k.bin
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.03ms  268.55us   3.22ms   91.09%
    Req/Sec    62.12k     0.00    62.12k   100.00%
  6274 requests in 105.74ms, 7.56MB read
Requests/sec:  59335.90
Transfer/sec:     71.53MB
";

    #[test]
    fn report_of_a_good_run() {
        let report = parse(GOOD).unwrap();
        assert_eq!(report.requests, 6274);
        assert!((report.per_second - 59335.90).abs() < 1e-9);
    }

    #[test]
    fn errors_are_not_overlooked() {
        for line in [
            "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
            "  Non-2xx or 3xx responses: 93832\n",
        ] {
            let text = GOOD.replace("Requests/sec", &format!("{line}Requests/sec"));
            assert_eq!(parse(&text).unwrap_err().to_string(), line.trim());
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn bytes_read() {
        assert_eq!(read_bytes("rchar: 370476\nwchar: 12\n"), Some(370_476));
        assert_eq!(read_bytes("wchar: 12\n"), None);
    }
}
