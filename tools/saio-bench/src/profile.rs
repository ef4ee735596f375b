// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saio-bench profile`: loads on two variants of nginx, or system calls in two ways, between marks.
//!
//! What is executed between marks is known only outside of this machine. What is written here says which marks belong
//! to which load, how many requests that was, and where in memory the server has its programs; `./x profile` joins it
//! with the counts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde_json::{json, Value};

use crate::client::Amount;
use crate::mark::mark;
use crate::measure;
use crate::places::{self, Places};
use crate::run::{self, Call};
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

    /// Makes this system call one by one and in batches instead of running nginx
    #[arg(long, value_enum, value_name = "CALL", conflicts_with_all = ["connections", "size", "baseline", "variant"])]
    call: Option<Call>,

    /// Calls of a batch
    #[arg(long, value_name = "N", default_value_t = 64, requires = "call", value_parser = clap::value_parser!(u32).range(1..=i64::from(run::LARGEST_BATCH)))]
    batch: u32,

    /// Requests, or calls, of one sample
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
    let file = places::output(&args.out)?;
    let about = match args.call {
        Some(call) => calls(args, call)?,
        None => nginx(args)?,
    };
    about.write(&file)
}

/// What is written.
pub struct About {
    /// What was run.
    pub title: String,
    /// What the counts are divided by.
    pub unit: &'static str,
    /// Of all processes that there are.
    pub all_maps: String,
    /// Two, with their names, maps and samples.
    pub variants: Vec<Value>,
}

impl About {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let about = json!({
            "title": self.title,
            "unit": self.unit,
            "all_maps": self.all_maps,
            "variants": self.variants,
        });
        places::write_json(file, &about)
    }
}

/// Gives marks their numbers.
struct Marks(u8);

impl Marks {
    fn next(&mut self) {
        mark(self.0);
        self.0 = self.0.wrapping_add(1);
    }
}

/// Makes calls one by one and in batches.
fn calls(args: &ProfileArgs, call: Call) -> Result<About> {
    let mut marks = Marks(0);
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..args.repeats {
        for (variant, samples) in [Variant::Default, Variant::Inline].iter().zip(&mut samples) {
            let first_mark = marks.0;
            let (calls, ns) =
                run::marked(*variant, call, args.batch, args.requests, || marks.next())?;
            samples.push(json!({
                "first_mark": first_mark,
                "requests": calls,
                "cpu_ns": ns,
            }));
        }
    }
    let maps = maps(std::process::id())?;
    let [plain, batch] = samples;
    Ok(About {
        title: format!("{} in batches of {}", call.name(), args.batch),
        unit: "call",
        all_maps: all_maps()?,
        variants: vec![
            json!({"name": "one by one", "maps": maps, "samples": plain}),
            json!({"name": "batches", "maps": maps, "samples": batch}),
        ],
    })
}

/// Puts loads on two variants of nginx.
fn nginx(args: &ProfileArgs) -> Result<About> {
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
    let stage = Stage::new(&args.places, std::slice::from_ref(&args.size))?;
    let mut servers = Vec::new();
    for variant in [args.baseline, args.variant] {
        let served = stage.start(variant.name(), &Role::nginx(variant))?;
        measure::warm_up(&served.server, &stage.wrk(&served, 0, WARM_CONNECTIONS)?)?;
        servers.push((served, Vec::new()));
    }
    let mut marks = Marks(0);
    for repeat in 0..args.repeats {
        for (served, samples) in &mut servers {
            let client = stage.wrk(served, 0, args.connections)?;
            let amount = Amount::Requests(args.requests);
            let first_mark = marks.0;
            let sample = measure::sample(&served.server, &client, amount, || marks.next())?;
            eprintln!("{} {}: {sample}", served.role.variant.name(), repeat + 1);
            samples.push(json!({
                "first_mark": first_mark,
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
    Ok(About {
        title: format!(
            "nginx, {}, {} connections",
            args.size.name, args.connections
        ),
        unit: "request",
        all_maps,
        variants,
    })
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
