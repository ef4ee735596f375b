// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench profile`: loads on two variants of nginx, between marks.
//!
//! What is executed between marks is known only outside of this machine. What is written here says which marks belong
//! to which load, how many requests that was, and where in memory the server has its programs; `./x profile` joins it
//! with the counts.

use std::fs;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde_json::{json, Value};

use crate::client::Amount;
use crate::mark::mark;
use crate::measure;
use crate::places::{self, Places};
use crate::server::group;
use crate::stage::{Role, Size, Stage, Variant, WARM_CONNECTIONS};

/// Marks of one sample: the beginnings and ends of a short and of a long run.
const MARKS: u8 = 4;
/// Samples of each variant at most: marks have numbers of one byte.
const MAX_REPEATS: i64 = 256 / 2 / MARKS as i64;

/// Arguments of `saio-bench profile`.
#[derive(Args)]
pub struct ProfileArgs {
    /// The file to write; a relative path is below SAIO_OUT where that is set
    #[arg(long, value_name = "FILE", default_value = "profile.json")]
    out: PathBuf,

    /// Requests of one sample
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,

    /// Samples of each variant
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=MAX_REPEATS))]
    repeats: u8,

    /// Connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,

    /// Size of the file served: bytes, or KiB with a k, or MiB with an m
    #[arg(long, value_name = "SIZE", default_value = "1k")]
    size: Size,

    /// What to compare with
    #[arg(long, value_enum, default_value = "nopush")]
    baseline: Variant,

    /// What to compare
    #[arg(long, value_enum, default_value = "inline")]
    variant: Variant,

    #[command(flatten)]
    places: Places,
}

/// Runs the loads and writes what is known of them.
///
/// # Errors
///
/// Something that is needed is missing; a request failed; or a server logged what no good server logs.
pub fn profile(args: &ProfileArgs) -> Result<()> {
    ensure!(
        args.baseline != args.variant,
        "--baseline and --variant are the same"
    );
    for (option, variant) in [("--baseline", args.baseline), ("--variant", args.variant)] {
        ensure!(
            matches!(variant, Variant::Default | Variant::Nopush | Variant::Inline),
            "{option} {}: what kernel threads run is not in a profile; give default, nopush or inline",
            variant.name()
        );
    }
    group::end_with_us()?;
    let file = places::output(&args.out)?;
    let stage = Stage::new(&args.places, std::slice::from_ref(&args.size))?;
    let mut servers = Vec::new();
    for variant in [args.baseline, args.variant] {
        let served = stage.start(variant.name(), &Role::nginx(variant))?;
        measure::warm_up(&served.server, &stage.wrk(&served, 0, WARM_CONNECTIONS)?)?;
        servers.push((served, Vec::new()));
    }
    let mut next = 0;
    for repeat in 0..args.repeats {
        for (served, samples) in &mut servers {
            let client = stage.wrk(served, 0, args.connections)?;
            let amount = Amount::Requests(args.requests);
            let first = next;
            let sample = measure::sample(&served.server, &client, amount, || {
                mark(next);
                next = next.wrapping_add(1);
            })?;
            eprintln!("{} {}: {sample}", served.role.variant.name(), repeat + 1);
            samples.push(json!({
                "first_mark": first,
                "requests": sample.requests,
                "cpu_ns": sample.cpu_ns,
            }));
        }
    }
    let all_maps = all_maps()?;
    let variants = servers
        .iter_mut()
        .map(|(served, samples)| {
            let maps = maps(served.server.worker()?)?;
            served.stop()?;
            Ok(json!({"name": served.role.variant.name(), "maps": maps, "samples": samples}))
        })
        .collect::<Result<Vec<Value>>>()?;
    let about = json!({
        "what": "nginx",
        "size": args.size.name,
        "connections": args.connections,
        "all_maps": all_maps,
        "variants": variants,
    });
    fs::write(&file, format!("{about:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Where a process has its program and libraries.
///
/// # Errors
///
/// It is gone.
pub fn maps(pid: u32) -> Result<String> {
    let file = format!("/proc/{pid}/maps");
    fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))
}

/// Where all processes have theirs. QEMU may know a page of code that several have by an address in another process
/// than the one that runs it.
///
/// # Errors
///
/// There is no `/proc`.
pub fn all_maps() -> Result<String> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Some end meanwhile.
    Ok(pids.filter_map(|pid| maps(pid).ok()).collect())
}
