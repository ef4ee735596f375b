// SPDX-License-Identifier: MIT OR Apache-2.0

//! One measurement: a load on a server, and what it cost.

use std::fmt;

use anyhow::{ensure, Context, Result};

use crate::crossings::{Calls, Counter};
use crate::http;
use crate::load::{self, Load, Report};
use crate::schedstat::cpu_ns_when_idle;
use crate::server::Process;

/// Where the template has nginx's own count of requests.
const STATUS: &str = "/saio-bench-status";

/// Requests on each connection until everything that is done once a connection was done.
const OPENING: u64 = 4;

/// What one run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Requests a second, as wrk saw it
    pub per_second: f64,
    /// Nanoseconds that the worker ran for a request
    pub cpu_ns: f64,
    /// Requests by which the longer run was longer
    pub requests: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} requests/s, {:.0} ns of the worker a request",
            self.per_second, self.cpu_ns
        )
    }
}

/// Kernel crossings a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossings {
    /// All of them
    pub total: f64,
    /// Without those that wait for events
    pub apart_from_wait: f64,
    /// Each call, as text
    pub breakdown: String,
}

/// Bytes of a response to wrk, head and body.
///
/// # Errors
///
/// The server does not answer with 200.
pub fn response_bytes(server: &Process, path: &str) -> Result<u64> {
    let (response, bytes) = http::get(server.address(), path)
        .with_context(|| format!("{path} from {}", server.label()))?;
    ensure!(
        response.head.status == 200,
        "{path} from {}: status {}",
        server.label(),
        response.head.status
    );
    Ok(bytes as u64)
}

/// Runs a load and measures it. The CPU of a request comes from two runs, one `load` longer than the other, so that
/// opening and closing the connections does not count; the rate is that of the longer one.
///
/// # Errors
///
/// A request failed, or the server logged what no good server logs.
pub fn sample(server: &Process, load: &Load) -> Result<Sample> {
    sample_between(server, load, || ())
}

/// The same, calling `mark` when each of the two runs begins and ends, four times.
///
/// # Errors
///
/// As [`sample`].
pub fn sample_between(server: &Process, load: &Load, mut mark: impl FnMut()) -> Result<Sample> {
    let worker = server.worker()?;
    let mut run = |load: &Load| {
        mark();
        let result = timed(server, worker, load);
        mark();
        result
    };
    let short = Load {
        requests: u64::from(load.connections) * OPENING,
        ..load.clone()
    };
    let (_, opened, cpu_short) = run(&short)?;
    let long = Load {
        // wrk makes more requests than it is asked for.
        requests: opened + load.requests,
        ..load.clone()
    };
    let (report, requests, cpu_long) = run(&long)?;
    ensure!(
        requests > opened,
        "the long run made {requests} requests and the short one {opened}"
    );
    let requests = requests - opened;
    Ok(Sample {
        per_second: report.per_second,
        cpu_ns: cpu_long.saturating_sub(cpu_short) as f64 / requests as f64,
        requests,
    })
}

/// Runs a load: what wrk says, the requests that the server counts, and the time that its worker ran.
fn timed(server: &Process, worker: u32, load: &Load) -> Result<(Report, u64, u64)> {
    let requests_before = requests_so_far(server)?;
    let cpu_before = cpu_ns_when_idle(worker)?;
    let report = load::run(load)?;
    let cpu = cpu_ns_when_idle(worker)? - cpu_before;
    let requests = requests_between(requests_before, requests_so_far(server)?)?;
    check(server, worker, report.requests, requests)?;
    Ok((report, requests, cpu))
}

/// Counts crossings: those of a run that is `more` requests longer than `short` less those of `short`, so that
/// opening and closing the connections does not count. Stops the server, which should be fresh: its statistics are
/// of these runs.
///
/// # Errors
///
/// As [`sample`], and tracing may be missing.
pub fn crossings(server: &mut Process, short: &Load, more: u64) -> Result<Crossings> {
    let worker = server.worker()?;
    let counter = Counter::start(&[worker])?;
    let short_count = count(server, worker, &counter, short)?;
    let long = Load {
        // wrk makes more requests than it is asked for.
        requests: short_count.0 + more,
        ..short.clone()
    };
    let long_count = count(server, worker, &counter, &long)?;
    drop(counter);
    server.stop()?;
    let carried = if long_count.1.enters() > 0 {
        share_of_enters_that_wait(server)?
    } else {
        0.0
    };
    difference(&short_count, &long_count, carried)
}

/// Requests and calls of one run.
fn count(server: &Process, worker: u32, counter: &Counter, load: &Load) -> Result<(u64, Calls)> {
    let requests_before = requests_so_far(server)?;
    let calls_before = read_when_idle(counter, worker)?;
    let report = load::run(load)?;
    let calls = read_when_idle(counter, worker)?.since(&calls_before);
    let requests = requests_between(requests_before, requests_so_far(server)?)?;
    check(server, worker, report.requests, requests)?;
    Ok((requests, calls))
}

/// How many of the `saio_enter` calls of a server that has ended had a wait as their last entry, as a share of 1.
fn share_of_enters_that_wait(server: &Process) -> Result<f64> {
    let stats = server.stats()?;
    let enters = stats.get("crossings");
    ensure!(
        enters > 0,
        "{} has called saio_enter, but its statistics have no crossings",
        server.label()
    );
    Ok(stats.get("waits_merged") as f64 / enters as f64)
}

fn read_when_idle(counter: &Counter, worker: u32) -> Result<Calls> {
    cpu_ns_when_idle(worker)?;
    counter.read()
}

fn difference(short: &(u64, Calls), long: &(u64, Calls), carried: f64) -> Result<Crossings> {
    let requests = long.0.saturating_sub(short.0);
    ensure!(
        requests > 0,
        "the long run made {} requests and the short one {}",
        long.0,
        short.0
    );
    let calls = long.1.since(&short.1);
    let each = |count: u64| count as f64 / requests as f64;
    let waits = each(calls.waits()) + each(calls.enters()) * carried;
    Ok(Crossings {
        total: each(calls.total()),
        apart_from_wait: each(calls.total()) - waits,
        breakdown: calls.breakdown(requests),
    })
}

/// What both sides saw must fit, and the server must have stayed well.
fn check(server: &Process, worker: u32, answered: u64, served: u64) -> Result<()> {
    ensure!(
        served >= answered,
        "wrk has {answered} responses, but {} counts {served} requests",
        server.label()
    );
    ensure!(
        server.worker()? == worker,
        "the worker of {} was replaced",
        server.label()
    );
    server.check_log()
}

/// Requests that the server has served, with the one that asks.
fn requests_so_far(server: &Process) -> Result<u64> {
    let (response, _) = http::get(server.address(), STATUS)
        .with_context(|| format!("status of {}", server.label()))?;
    let text = String::from_utf8_lossy(&response.body);
    parse_status(&text).with_context(|| format!("nginx's status is not understood: {text}"))
}

fn requests_between(before: u64, after: u64) -> Result<u64> {
    // The second question counts itself.
    let requests = after.saturating_sub(before + 1);
    ensure!(requests > 0, "the server has served no request");
    Ok(requests)
}

/// The third number below "server accepts handled requests".
fn parse_status(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find(|line| line.starts_with("server accepts"))?;
    lines.next()?.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_different_length_are_subtracted() {
        let calls = |recv, enter| {
            let line = |nr, count| format!("{{ id: sys_x [{nr}] }} hitcount: {count}\n");
            Calls::parse(&(line(45, recv) + &line(1001, enter))).unwrap()
        };
        let short = (100, calls(100, 60));
        let long = (1100, calls(1100, 100));
        let count = difference(&short, &long, 0.5).unwrap();
        assert!((count.total - 1.04).abs() < 1e-9);
        assert!((count.apart_from_wait - 1.02).abs() < 1e-9);
        assert_eq!(count.breakdown, "x 1.000, saio_enter 0.040");
        assert!(difference(&long, &short, 0.5).is_err());
    }

    #[test]
    fn status_of_nginx() {
        let text = "Active connections: 1 \nserver accepts handled requests\n 67 67 6276 \nReading: 0 Writing: 1 Waiting: 0 \n";
        assert_eq!(parse_status(text), Some(6276));
        assert_eq!(parse_status("no"), None);
        assert_eq!(requests_between(1, 6276).unwrap(), 6274);
        assert!(requests_between(5, 6).is_err());
    }
}
