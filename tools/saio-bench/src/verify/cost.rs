// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench cost`: what a request costs a server, without SAIO and under it.
//!
//! The client is in lockstep: it sends a request on every connection, then reads all the answers, the last one first, as
//! it sleeps until that comes. So both servers find the same number of connections ready each time and are left alone
//! meanwhile, whatever they do, and the figures repeat.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde_json::{json, Value};

use super::streams::Request;
use super::subjects::{Subject, Way};
use super::world::{Side, World};
use super::{server_names, VerifyArgs};
use crate::crossings::Counter;
use crate::mark::mark;
use crate::places::{self, Places};
use crate::profile;
use crate::schedstat;
use crate::server::{group, Mode, Process};
use crate::wire::Conn;

/// Requests on each connection until everything that is done once a connection was done.
const OPENING: usize = 4;
/// How the names of a pool's kernel threads begin.
const THREADS: &str = "saio";

/// Arguments of `saio-bench cost`.
#[derive(Args)]
pub struct CostArgs {
    /// The server, or all
    #[arg(value_name = "SERVER", value_parser = server_names())]
    server: String,

    /// A way to run it; repeat for several [default: all that it has]
    #[arg(long = "way", value_name = "WAY")]
    ways: Vec<String>,

    /// Who runs the calls under SAIO
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// Connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,

    /// Requests of one sample
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,

    /// Bytes of an answer's body; of a served file the next size that there is
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    bytes: usize,

    /// Requests that are sent at once on each connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=128))]
    pipeline: u32,

    /// Processes or threads that serve, where a server has such a setting
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,

    /// Threads of the pool, for the modes auto and pool
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,

    /// Also writes the results as JSON; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Writes what `./x profile` wants to know instead of counting crossings; for one way of one server
    #[arg(long, value_name = "FILE", hide = true)]
    profile: Option<PathBuf>,

    #[command(flatten)]
    places: Places,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// Nanoseconds of processors; where the clock counts instructions, instructions
    cpu: f64,
    /// Kernel crossings
    crossings: Option<f64>,
    requests: usize,
}

/// Measures and prints a table.
///
/// # Errors
///
/// A server does not run or answers otherwise than it should; or something is missing that all need.
pub fn cost(args: &CostArgs) -> Result<()> {
    group::end_with_us()?;
    let settings = VerifyArgs {
        server: args.server.clone(),
        ways: args.ways.clone(),
        mode: args.mode,
        workers: args.workers,
        threads: args.threads,
        seed: 1,
        quick: true,
        responses: None,
        rounds: None,
        only: None,
        json: None,
        places: args.places.clone(),
    };
    let plans = settings.plans()?;
    ensure!(
        args.profile.is_none() || plans.len() == 1,
        "--profile wants one way of one server: add --way"
    );
    let world = World::new(&settings)?;
    let mut rows = Vec::new();
    println!(
        "{:22} {:>5} {:>10} {:>10} {:>7}  {:>9} {:>9}",
        "server",
        "",
        "without",
        args.mode.name(),
        "gain",
        "crossings",
        "under it"
    );
    for plan in plans {
        let name = format!("{} {}", plan.subject.name, plan.way.name);
        if let Some(reason) = missing(plan.subject, plan.way) {
            println!("{name:22} skipped: {reason}");
            continue;
        }
        let [plain, saio] = row(args, &world, plan.subject, plan.way)
            .with_context(|| format!("{name} in mode {}", args.mode.name()))?;
        let gain = plain.cpu / saio.cpu;
        let crossings =
            |sample: &Sample| sample.crossings.map_or("-".into(), |n| format!("{n:.2}"));
        println!(
            "{name:22} {:>5} {:>10.0} {:>10.0} {gain:>6.3}x  {:>9} {:>9}",
            args.connections,
            plain.cpu,
            saio.cpu,
            crossings(&plain),
            crossings(&saio)
        );
        let side = |sample: &Sample| json!({"cpu_ns": sample.cpu, "crossings": sample.crossings, "requests": sample.requests});
        rows.push(json!({
            "server": plan.subject.name,
            "way": plan.way.name,
            "mode": args.mode.name(),
            "connections": args.connections,
            "bytes": args.bytes,
            "pipeline": args.pipeline,
            "without": side(&plain),
            "under": side(&saio),
        }));
    }
    if let Some(file) = &args.json {
        write(file, &json!({ "rows": rows }))?;
    }
    Ok(())
}

fn missing(subject: &Subject, way: &Way) -> Option<String> {
    (subject.missing)().or_else(|| (way.missing)())
}

/// One way of one server, without SAIO and under it.
fn row(
    args: &CostArgs,
    world: &World,
    subject: &Subject,
    way: &'static Way,
) -> Result<[Sample; 2]> {
    let name = format!("cost-{}-{}", subject.name, way.name);
    let mut pair = world.pair(way, &name)?;
    let mut all = way.stream.sized(args.bytes, 0);
    let request = all.pop().context("no such request")?;
    let mut results = [Sample::default(); 2];
    let mut about = Vec::new();
    let mut first_mark = 0;
    for (result, side) in results.iter_mut().zip([&pair.plain, &pair.saio]) {
        let mut conn = side.dial.connect()?;
        for setup in &all {
            setup.exchange(&mut conn)?;
        }
        drop(conn);
        // Fills the caches.
        run(args, side, &request, 2 * OPENING)?;
        let counter = match args.profile {
            Some(_) => None,
            None => Some(Counter::start(&side.server.tasks())?),
        };
        let mut mark_next = 0;
        *result = sample(args, side, &request, counter.as_ref(), || {
            mark(first_mark + mark_next);
            mark_next += 1;
        })?;
        about.push(json!({
            "name": if about.is_empty() { "without" } else { args.mode.name() },
            "maps": profile::maps(serving(&side.server)?)?,
            "samples": [{
                "first_mark": first_mark,
                "requests": result.requests,
                "cpu_ns": result.cpu,
            }],
        }));
        first_mark += 4;
    }
    let all_maps = profile::all_maps()?;
    pair.stop()?;
    if let Some(file) = &args.profile {
        let about = json!({
            "what": format!("{} {}", subject.name, way.name),
            "size": args.bytes.to_string(),
            "connections": args.connections,
            "all_maps": all_maps,
            "variants": about,
        });
        write(file, &about)?;
    }
    Ok(results)
}

/// The difference of a long and a short run, so that opening and closing connections does not count. `mark` is called when each
/// begins and ends.
fn sample(
    args: &CostArgs,
    side: &Side,
    request: &Request,
    counter: Option<&Counter>,
    mut mark: impl FnMut(),
) -> Result<Sample> {
    let each = (args.connections * args.pipeline) as usize;
    let rounds = (args.requests as usize).div_ceil(each);
    let mut measured = |rounds: usize| -> Result<(u64, u64)> {
        let calls = counter.map(Counter::read).transpose()?;
        let before = cpu_when_idle(&side.server)?;
        mark();
        run(args, side, request, rounds)?;
        let after = cpu_when_idle(&side.server)?;
        mark();
        let calls = match (counter, calls) {
            (Some(counter), Some(calls)) => counter.read()?.since(&calls).total(),
            _ => 0,
        };
        Ok((after.saturating_sub(before), calls))
    };
    let short = measured(OPENING)?;
    let long = measured(OPENING + rounds)?;
    let requests = rounds * each;
    let difference = |long: u64, short: u64| long.saturating_sub(short) as f64 / requests as f64;
    Ok(Sample {
        cpu: difference(long.0, short.0),
        crossings: counter.map(|_| difference(long.1, short.1)),
        requests,
    })
}

/// So many rounds on new connections.
fn run(args: &CostArgs, side: &Side, request: &Request, rounds: usize) -> Result<()> {
    let together = request.bytes.repeat(args.pipeline as usize);
    let mut conns = (0..args.connections)
        .map(|_| Ok(side.dial.connect()?))
        .collect::<Result<Vec<Conn>>>()?;
    let mut expected: Option<usize> = None;
    for _ in 0..rounds {
        for conn in &mut conns {
            conn.send(&together)?;
        }
        for conn in conns.iter_mut().rev() {
            for _ in 0..args.pipeline {
                let answer = request.answer(conn)?;
                let expected = *expected.get_or_insert(answer.len());
                ensure!(
                    answer.len() == expected,
                    "an answer has {} bytes and the first had {expected}",
                    answer.len()
                );
            }
        }
    }
    Ok(())
}

/// What the server and the kernel's threads have run so far, once they have nothing to do.
fn cpu_when_idle(server: &Process) -> Result<u64> {
    let mut tasks = server.tasks();
    tasks.extend(schedstat::threads_called(THREADS));
    tasks
        .into_iter()
        .map(schedstat::cpu_ns_when_idle)
        .sum::<Result<u64>>()
}

/// The process that serves.
fn serving(server: &Process) -> Result<u32> {
    let first = match server.workers().first() {
        Some(worker) if server.has_master() => Some(*worker),
        _ => server.tasks().first().copied(),
    };
    first.context("the server is gone")
}

fn write(file: &Path, value: &Value) -> Result<()> {
    let file = places::output(file);
    fs::write(&file, format!("{value:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}
