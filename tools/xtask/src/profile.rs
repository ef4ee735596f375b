// SPDX-License-Identifier: MIT OR Apache-2.0

//! `./x profile`: where the instructions of a request, or a system call, go in
//! two variants, counted one by one by the plugin tools/iprof.

mod counts;
mod symbols;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use saio_init::OUT_DIR;

use crate::boot::{self, Guest, MachineArgs};
use crate::exec;
use crate::kbuild;
use crate::paths::{self, Context};
use crate::qemu::escape;
use crate::tools;
use counts::{Loads, Report};
use symbols::Symbols;
use table::{Comparison, Sample, Side};

/// Names of the files that a profile is made from.
const COUNTS: &str = "counts.jsonl";
const LOADS: &str = "profile.json";
const SYSTEM_MAP: &str = "System.map";

/// Options of the profile.
#[derive(Debug, Clone, Args)]
pub struct ProfileArgs {
    /// Size of the file that is served, such as 1k
    #[arg(long, value_name = "SIZE", default_value = "1k")]
    size: String,

    /// Connections of the load
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,

    /// Requests, or calls, of one sample
    #[arg(long, value_name = "N", default_value_t = 2000)]
    requests: u64,

    /// Samples of each variant
    #[arg(long, value_name = "N", default_value_t = 2)]
    repeats: u8,

    /// Another server than nginx, as saio-bench cost has them, without SAIO
    /// and under it
    #[arg(long, value_name = "NAME", requires = "way", conflicts_with_all = ["size", "repeats", "baseline", "variant"])]
    server: Option<String>,

    /// How to run that server
    #[arg(long, value_name = "WAY", requires = "server")]
    way: Option<String>,

    /// Who runs that server's calls under SAIO: inline, auto or pool. What
    /// threads of a pool run is not counted
    #[arg(
        long,
        value_name = "MODE",
        requires = "server",
        default_value = "inline"
    )]
    mode: String,

    /// A system call that is made one by one and in batches, instead of nginx
    #[arg(long, value_name = "CALL", conflicts_with_all = ["size", "connections", "server", "baseline", "variant"])]
    call: Option<String>,

    /// Calls of a batch
    #[arg(long, value_name = "N", default_value_t = 64, requires = "call")]
    batch: u32,

    /// What to compare with: default, nopush or inline
    #[arg(long, value_name = "NAME", default_value = "nopush")]
    baseline: String,

    /// What to compare
    #[arg(long, value_name = "NAME", default_value = "inline")]
    variant: String,

    /// Functions to show
    #[arg(long, value_name = "N", default_value_t = 60)]
    top: usize,

    /// Show each instruction of the functions with this name instead
    #[arg(long, value_name = "NAME")]
    function: Option<String>,

    /// File to write all functions to, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Show an earlier profile instead of making one: the directory that it
    /// named
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,

    /// Seconds until the guest is ended
    #[arg(long, value_name = "SECS", default_value_t = 1800)]
    time_limit: u64,
}

/// The plugin with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The shared library.
    pub library: PathBuf,
    /// Addresses of the kernel's code that switches stacks; none in a dry run.
    pub switch: Option<String>,
}

impl Plugin {
    /// The value of QEMU's option `-plugin`.
    pub fn option(&self, report: &Path) -> String {
        let switch = self.switch.as_deref().unwrap_or("START-END");
        format!(
            "{},report={},switch={switch}",
            escape(&self.library),
            escape(report)
        )
    }
}

/// Addresses of the code with which a kernel switches stacks, as the plugin
/// takes them.
///
/// # Errors
///
/// The kernel's symbol table is not there or does not have it.
pub fn switch_code(image: &Path) -> Result<String> {
    let file = kbuild::system_map(image)?;
    switch_range(&paths::read(&file)?)
        .with_context(|| format!("no __switch_to_asm in {}", file.display()))
}

fn switch_range(symbols: &str) -> Option<String> {
    // The file is sorted by addresses.
    let mut lines = symbols.lines();
    let start = lines.find_map(|line| line.strip_suffix(" __switch_to_asm"))?;
    let start = start.split(' ').next()?;
    let next = lines.find_map(|line| line.split(' ').next().filter(|next| *next != start))?;
    Some(format!("{start}-{next}"))
}

/// Name of the plugin's report in a run's directory.
pub const REPORT: &str = COUNTS;

/// Measures, or takes an earlier measurement, and prints the comparison.
///
/// # Errors
///
/// Something does not build, or there are no counts.
pub fn run(ctx: &Context, args: &ProfileArgs) -> Result<i32> {
    let dir = match &args.from {
        Some(dir) => dir.clone(),
        None => {
            let dir = ctx.out().join("profile");
            match measure(ctx, args, &dir)? {
                Some(0) => dir,
                Some(status) => return Ok(status),
                None => return Ok(0),
            }
        }
    };
    let (loads, comparison) = compare(&dir)?;
    println!("{}: instructions a {}\n", loads.title, loads.unit);
    match &args.function {
        Some(name) => println!("{}", comparison.instructions(name)),
        None => println!("{}", comparison.text(args.top)),
    }
    if let Some(file) = &args.json {
        paths::write(file, format!("{:#}\n", comparison.json()))?;
    }
    println!(
        "once more, without measuring: ./x profile --from {}",
        dir.display()
    );
    Ok(0)
}

/// Boots and runs the loads; brings what is needed to show them to a directory.
/// Returns the exit status of the run, none for a dry one.
fn measure(ctx: &Context, args: &ProfileArgs, dir: &Path) -> Result<Option<i32>> {
    tools::build(ctx)?;
    let machine = MachineArgs {
        cpus: 1,
        profile: true,
        time_limit: Some(args.time_limit),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &machine, "profile")?;
    let words = words(ctx, args);
    let Some(outcome) = guest.run(ctx, &words, &mut boot::pass_through)? else {
        return Ok(None);
    };
    let status = boot::judge(&outcome);
    if status == 0 {
        paths::make_dir(dir)?;
        for (from, name) in [
            (guest.report(REPORT), COUNTS),
            (guest.out_dir().join(LOADS), LOADS),
            (kbuild::system_map(guest.image())?, SYSTEM_MAP),
        ] {
            let to = dir.join(name);
            fs::copy(&from, &to)
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
    }
    exec::step(&format!("console: {}", outcome.log_path.display()));
    Ok(Some(status))
}

/// What runs in the guest.
fn words(ctx: &Context, args: &ProfileArgs) -> Vec<String> {
    let mut words = vec![ctx.program("saio-bench").display().to_string()];
    words.extend(match (&args.server, &args.way, &args.call) {
        (Some(server), Some(way), _) => vec![
            "cost".to_string(),
            server.clone(),
            format!("--way={way}"),
            format!("--mode={}", args.mode),
            format!("--profile={OUT_DIR}/{LOADS}"),
            format!("--connections={}", args.connections),
        ],
        (_, _, Some(call)) => vec![
            "profile".to_string(),
            format!("--call={call}"),
            format!("--batch={}", args.batch),
            format!("--out={OUT_DIR}/{LOADS}"),
            format!("--repeats={}", args.repeats),
        ],
        _ => vec![
            "profile".to_string(),
            format!("--out={OUT_DIR}/{LOADS}"),
            format!("--size={}", args.size),
            format!("--connections={}", args.connections),
            format!("--repeats={}", args.repeats),
            format!("--baseline={}", args.baseline),
            format!("--variant={}", args.variant),
        ],
    });
    words.push(format!("--requests={}", args.requests));
    words
}

/// Joins what was counted with what the guest says and with the symbols.
fn compare(dir: &Path) -> Result<(Loads, Comparison)> {
    let report = Report::read(&dir.join(COUNTS))?;
    let loads = Loads::read(&dir.join(LOADS))?;
    let symbols = Symbols::new(&dir.join(SYSTEM_MAP), &loads.all_maps)?;
    // One variant's server has nothing to do while the other's has a load, and
    // QEMU may know the code of both by the addresses of one.
    let variants = loads.variants.iter();
    let code: Vec<_> = variants.flat_map(|it| symbols::program(&it.maps)).collect();
    let side = |variant: &counts::Variant| -> Result<Side> {
        let samples = variant.samples.iter().map(|sample| {
            let counted = sample.counts(&report, &code)?;
            let mut counts = table::Counts::new();
            for (address, count) in counted {
                *counts.entry(symbols.get(address)).or_default() += count;
            }
            Ok(Sample {
                requests: sample.requests,
                account: sample.cpu_ns,
                counts,
            })
        });
        Ok(Side {
            name: variant.name.clone(),
            samples: samples.collect::<Result<_>>()?,
        })
    };
    let sides = [side(&loads.variants[0])?, side(&loads.variants[1])?];
    Ok((loads, Comparison(sides)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_that_switches_ends_where_the_next_begins() {
        let map = "f0 T __pfx___switch_to_asm\nff T __switch_to_asm\nff t alias\n\
                   ff70 T ret_from_fork_asm\n";
        assert_eq!(switch_range(map), Some("ff-ff70".to_string()));
        assert_eq!(switch_range("ff T __pfx___switch_to_asm\n"), None);
    }

    #[test]
    fn options_of_the_plugin() {
        let plugin = Plugin {
            library: "/p,1/libiprof.so".into(),
            switch: Some("ff00-ff80".to_string()),
        };
        assert_eq!(
            plugin.option(Path::new("/d,1/c")),
            "/p,,1/libiprof.so,report=/d,,1/c,switch=ff00-ff80"
        );
    }
}
