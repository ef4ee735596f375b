// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench cost`: what a request costs a server, without SAIO and under it.

use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde_json::json;

use super::subjects::{Subject, Way};
use super::world::World;
use super::{server_names, VerifyArgs};
use crate::client::{Amount, Client, Lockstep};
use crate::mark::mark;
use crate::measure::{self, Count};
use crate::places::{self, Places};
use crate::profile::{self, About};
use crate::server::{group, Mode, Process};

/// Requests by which the two runs that count crossings differ.
const COUNTED: u64 = 1000;
/// Requests on each connection that fill the caches.
const WARM_UP: u64 = 8;

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
struct Cost {
    /// Nanoseconds of processors; where the clock counts instructions, instructions
    cpu: f64,
    /// Kernel crossings
    crossings: Option<f64>,
    requests: u64,
}

/// Measures and prints a table.
///
/// # Errors
///
/// A server does not run or answers otherwise than it should; or something is missing that all need.
pub fn cost(args: &CostArgs) -> Result<()> {
    group::end_with_us()?;
    let file = args.json.as_deref().map(places::output).transpose()?;
    let settings = VerifyArgs {
        ways: args.ways.clone(),
        workers: args.workers,
        threads: args.threads,
        ..VerifyArgs::quick(&args.server, args.mode, 1, &args.places)
    };
    let plans = settings.plans()?;
    ensure!(
        args.profile.is_none() || plans.len() == 1,
        "--profile wants one way of one server: add --way"
    );
    let world = World::new(&settings, false)?;
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
        let crossings = |cost: &Cost| cost.crossings.map_or("-".into(), |n| format!("{n:.2}"));
        println!(
            "{name:22} {:>5} {:>10.0} {:>10.0} {gain:>6.3}x  {:>9} {:>9}",
            args.connections,
            plain.cpu,
            saio.cpu,
            crossings(&plain),
            crossings(&saio)
        );
        let side = |cost: &Cost| json!({"cpu_ns": cost.cpu, "crossings": cost.crossings, "requests": cost.requests});
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
    if let Some(file) = &file {
        places::write_json(file, &json!({ "rows": rows }))?;
    }
    Ok(())
}

fn missing(subject: &Subject, way: &Way) -> Option<String> {
    (subject.missing)().or_else(|| (way.missing)())
}

/// One way of one server, without SAIO and under it.
fn row(args: &CostArgs, world: &World, subject: &Subject, way: &'static Way) -> Result<[Cost; 2]> {
    let name = format!("cost-{}-{}", subject.name, way.name);
    let mut pair = world.pair(way, &name)?;
    let mut all = way.stream.sized(args.bytes, 0);
    let request = all.pop().context("no such request")?;
    let mut results = [Cost::default(); 2];
    let mut about = Vec::new();
    let mut first_mark = 0;
    for (result, side) in results.iter_mut().zip([&pair.plain, &pair.saio]) {
        let mut conn = side.dial.connect()?;
        for setup in &all {
            setup.exchange(&mut conn)?;
        }
        drop(conn);
        let client = Lockstep {
            dial: &side.dial,
            request: &request,
            connections: args.connections,
            pipeline: args.pipeline,
        };
        client.run(Amount::Requests(WARM_UP * client.at_once()))?;
        let mut mark_next = 0;
        let amount = Amount::Requests(args.requests.into());
        let sample = measure::sample(&side.server, &client, amount, || {
            mark(first_mark + mark_next);
            mark_next += 1;
        })?;
        *result = Cost {
            cpu: sample.cpu_ns,
            crossings: match args.profile {
                Some(_) => None,
                // On its own: counting takes time.
                None => Some(Count::of(&side.server, &client, COUNTED)?.total()?),
            },
            requests: sample.requests,
        };
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
        let about = About {
            title: format!(
                "{} {}, {} bytes, {} connections",
                subject.name, way.name, args.bytes, args.connections
            ),
            unit: "request",
            all_maps,
            variants: about,
        };
        about.write(&places::output(file)?)?;
    }
    Ok(results)
}

/// The process that serves.
fn serving(server: &Process) -> Result<u32> {
    let first = match server.workers().first() {
        Some(worker) if server.has_master() => Some(*worker),
        _ => server.tasks().first().copied(),
    };
    first.context("the server is gone")
}
