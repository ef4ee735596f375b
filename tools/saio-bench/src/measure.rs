// SPDX-License-Identifier: MIT OR Apache-2.0

//! One measurement: a load on a server, and what it cost.

use std::fmt;

use anyhow::{ensure, Context, Result};

use crate::client::{Amount, Client, OPENING};
use crate::crossings::{Calls, Counter};
use crate::schedstat::{cpu_ns_when_idle, threads_called};
use crate::server::Process;
use crate::vtime::{Interval, Marks};

/// Requests that fill caches before anything is measured.
const WARM_UP: u64 = 200;
/// How the names of the kernel's threads begin that work for servers under SAIO.
const THREADS: &str = "saio";

/// What one run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Requests a second, if the client is one that says
    pub per_second: Option<f64>,
    /// Nanoseconds of processors for a request; where the clock counts instructions, instructions
    pub cpu_ns: f64,
    /// Requests by which the longer run was longer
    pub requests: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(per_second) = self.per_second {
            write!(f, "{per_second:.0} requests/s, ")?;
        }
        write!(f, "{:.0} ns of the server a request", self.cpu_ns)
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

/// Requests of a run, and what was counted in it.
type Counted<T> = (u64, T);

/// Runs a load and measures it. The CPU of a request comes from two runs, one `amount` longer than the other, so that
/// opening and closing the connections does not count; the rate is that of the longer one. `mark` is called when each
/// of the two begins and ends, four times.
///
/// # Errors
///
/// A request failed, or the server logged what no good server logs.
pub fn sample(
    server: &Process,
    client: &dyn Client,
    amount: Amount,
    mut mark: impl FnMut(),
) -> Result<Sample> {
    let workers = server.workers();
    let mut run = |amount| -> Result<(Counted<u64>, Option<f64>)> {
        let before = cpu_when_idle(server)?;
        mark();
        let asked = client.run(amount)?;
        let cpu = cpu_when_idle(server)?.saturating_sub(before);
        mark();
        check(server, &workers)?;
        Ok(((asked.requests, cpu), asked.per_second))
    };
    let (short, _) = run(opening(client))?;
    let (long, per_second) = run(longer(amount, short.0))?;
    let requests = more_requests(short.0, long.0)?;
    Ok(Sample {
        per_second,
        cpu_ns: long.1.saturating_sub(short.1) as f64 / requests as f64,
        requests,
    })
}

/// Runs a load between marks, whose time is known only outside of this machine.
///
/// # Errors
///
/// As [`sample`], or there are no marks left.
pub fn interval(
    server: &Process,
    client: &dyn Client,
    amount: Amount,
    marks: &mut Marks,
) -> Result<Interval> {
    let workers = server.workers();
    let interval = marks.between(|mark| client.window(amount, mark))?;
    check(server, &workers)?;
    Ok(interval)
}

/// Fills the caches of a server and of the system.
///
/// # Errors
///
/// A request failed.
pub fn warm_up(server: &Process, client: &dyn Client) -> Result<()> {
    sample(server, client, Amount::Requests(WARM_UP), || ()).context("warming up")?;
    Ok(())
}

/// A short run: what is done once a connection.
fn opening(client: &dyn Client) -> Amount {
    Amount::Requests(client.at_once() * OPENING)
}

/// An amount that comes behind the requests of a short run. Clients make more requests than they are asked for.
fn longer(amount: Amount, opened: u64) -> Amount {
    match amount {
        Amount::Requests(more) => Amount::Requests(opened + more),
        time => time,
    }
}

fn more_requests(short: u64, long: u64) -> Result<u64> {
    ensure!(
        long > short,
        "the long run made {long} requests and the short one {short}"
    );
    Ok(long - short)
}

/// What the server and the kernel's threads have run so far, once they have nothing to do.
fn cpu_when_idle(server: &Process) -> Result<u64> {
    let all = || {
        let mut tasks = server.tasks();
        tasks.extend(threads_called(THREADS));
        tasks.into_iter().map(cpu_ns_when_idle).sum::<Result<u64>>()
    };
    // HAProxy has one more thread for a moment when it starts.
    all()
        .or_else(|_| all())
        .with_context(|| format!("{}, whose log is:\n{}", server.label(), server.logs()))
}

/// The server must have stayed well.
fn check(server: &Process, workers: &[u32]) -> Result<()> {
    ensure!(
        server.workers() == workers,
        "a worker of {} was replaced",
        server.label()
    );
    server.check_log()
}

/// Calls of a server in a short and in a long run.
pub struct Count {
    short: Counted<Calls>,
    long: Counted<Calls>,
}

impl Count {
    /// Counts the calls of a run that is `more` requests longer than a short one. The server should be fresh: its
    /// statistics are to be of these runs.
    ///
    /// # Errors
    ///
    /// As [`sample`], and tracing may be missing.
    pub fn of(server: &Process, client: &dyn Client, more: u64) -> Result<Self> {
        let workers = server.workers();
        let counter = Counter::start(&server.tasks())?;
        let run = |amount| -> Result<Counted<Calls>> {
            cpu_when_idle(server)?;
            let before = counter.read()?;
            let asked = client.run(amount)?;
            cpu_when_idle(server)?;
            let calls = counter.read()?.since(&before);
            check(server, &workers)?;
            Ok((asked.requests, calls))
        };
        let short = run(opening(client))?;
        let long = run(longer(Amount::Requests(more), short.0))?;
        Ok(Self { short, long })
    }

    /// All crossings a request, without asking what they were for.
    ///
    /// # Errors
    ///
    /// The long run was no longer than the short one.
    pub fn total(&self) -> Result<f64> {
        Ok(difference(&self.short, &self.long, 0.0)?.total)
    }

    /// Crossings a request: those of the long run less those of the short one, so that opening and closing the
    /// connections does not count. The server has ended.
    ///
    /// # Errors
    ///
    /// It was under SAIO and has left no statistics.
    pub fn crossings(&self, server: &Process) -> Result<Crossings> {
        let carried = if self.long.1.enters() > 0 {
            share_of_enters_that_wait(server)?
        } else {
            0.0
        };
        difference(&self.short, &self.long, carried)
    }
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

fn difference(short: &Counted<Calls>, long: &Counted<Calls>, carried: f64) -> Result<Crossings> {
    let requests = more_requests(short.0, long.0)?;
    let calls = long.1.since(&short.1);
    let each = |count: u64| count as f64 / requests as f64;
    let waits = each(calls.waits()) + each(calls.enters()) * carried;
    Ok(Crossings {
        total: each(calls.total()),
        apart_from_wait: each(calls.total()) - waits,
        breakdown: calls.breakdown(requests),
    })
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
}
