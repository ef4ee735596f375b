// SPDX-License-Identifier: MIT OR Apache-2.0

//! `./x fuzz`: random cases in a guest that may break, and what the kernel says to that.

mod coverage;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;

use crate::boot::{self, Guest, MachineArgs};
use crate::exec;
use crate::guestlog;
use crate::kconfig::Config;
use crate::paths::Context;
use crate::qemu::Outcome;
use crate::tools;
use coverage::Coverage;

/// What a kernel with checks takes longer, under emulation.
pub const DEBUG_FACTOR: u64 = 20;

/// Seconds beyond those of the cases: the boot, and what the fuzzer waits for at its end.
const MARGIN: u64 = 240;

/// With this the fuzzer says in the kernel's log which case begins.
const MARK: &str = "saio-fuzz: case ";

/// Options of `./x fuzz`.
#[derive(Debug, Clone, Args)]
pub struct FuzzArgs {
    /// How long cases are run, in the guest
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,

    /// What all cases follow from [default: the time, which is printed]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,

    /// Kernel to boot; debug finds more, and is slower
    #[arg(long, value_enum, default_value_t = Config::Plain)]
    pub config: Config,

    /// Virtual CPUs, and cases at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cpus: usize,

    /// Run only this case
    #[arg(long, value_name = "C", requires = "seed")]
    pub case: Option<u64>,

    /// Run the case of --case so often
    #[arg(long, value_name = "N", requires = "case")]
    pub repeat: Option<u64>,

    /// Of the case of --case, run only these steps: numbers as saio-fuzz --show has them
    #[arg(long, value_name = "STEPS", requires = "case")]
    pub only: Option<String>,

    /// Also say which code of SAIO was reached; emulates the guest
    #[arg(long)]
    pub coverage: bool,
}

impl FuzzArgs {
    /// A run of cases that are always the same.
    pub fn always(seconds: u64, config: Config) -> Self {
        FuzzArgs {
            seconds,
            seed: Some(1),
            config,
            cpus: 2,
            case: None,
            repeat: None,
            only: None,
            coverage: false,
        }
    }

    fn debug(&self) -> bool {
        self.config == Config::Debug
    }

    fn machine(&self) -> MachineArgs {
        let factor = if self.debug() { DEBUG_FACTOR / 4 } else { 1 };
        MachineArgs {
            cpus: self.cpus,
            memory: if self.debug() { "4G" } else { "2G" }.to_string(),
            time_limit: Some(self.seconds + MARGIN * factor),
            config: self.config,
            accel: if self.coverage {
                boot::AccelChoice::Tcg
            } else {
                boot::AccelChoice::Auto
            },
            ..MachineArgs::default()
        }
    }

    fn command(&self, ctx: &Context, seed: u64) -> Vec<String> {
        let mut argv = vec![ctx.program("saio-fuzz").display().to_string()];
        let mut add = |option: &str, value: &dyn ToString| {
            argv.extend([option.to_string(), value.to_string()]);
        };
        add("--seconds", &self.seconds);
        add("--seed", &seed);
        if self.debug() {
            add("--time-factor", &DEBUG_FACTOR);
        }
        for (option, value) in [("--case", self.case), ("--repeat", self.repeat)] {
            if let Some(value) = value {
                add(option, &value);
            }
        }
        if let Some(only) = &self.only {
            add("--only", only);
        }
        argv
    }
}

/// Boots and runs the fuzzer; the exit status, 0 if neither it nor the kernel's log complains.
///
/// # Errors
///
/// Something does not build, or QEMU cannot be run.
pub fn run(ctx: &Context, args: &FuzzArgs) -> Result<i32> {
    Ok(outcome(ctx, args, &mut boot::pass_through)?.map_or(0, |outcome| boot::judge(&outcome)))
}

/// As [`run`], for who wants to judge; none after a dry run. Which cases may be to blame, and how
/// to repeat them, is said already.
///
/// # Errors
///
/// As [`run`].
pub fn outcome(
    ctx: &Context,
    args: &FuzzArgs,
    stdout: &mut dyn FnMut(&[u8]),
) -> Result<Option<Outcome>> {
    let seed = args.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |time| time.as_secs())
    });
    tools::build(ctx)?;
    let mut guest = Guest::prepare(ctx, &args.machine(), "fuzz")?;
    let coverage = match args.coverage && !ctx.dry_run {
        true => Some(Coverage::prepare(ctx, &mut guest)?),
        false => None,
    };
    exec::step(&format!("fuzzing Linux {}, seed {seed}", guest.release()));
    let outcome = guest.run(ctx, &args.command(ctx, seed), stdout)?;
    if let Some(outcome) = &outcome {
        if let Some(coverage) = coverage {
            coverage.report()?;
        }
        blame(outcome, args, seed);
    }
    Ok(outcome)
}

/// Says which cases ran when the kernel complained or died.
fn blame(outcome: &Outcome, args: &FuzzArgs, seed: u64) {
    let died = outcome.status.is_none();
    if outcome.complaints.is_empty() && !died {
        return;
    }
    let first = outcome.complaints.first();
    let cases = cases_before(&outcome.log, first.map(String::as_str), args.cpus);
    if cases.is_empty() {
        return;
    }
    eprintln!("x: one of these cases may be to blame, or what earlier ones have left:");
    for case in cases {
        let config = args.config.name();
        eprintln!("    ./x fuzz --config {config} --seed {seed} --case {case}");
    }
}

/// The numbers of the last `count` cases that began before a line of the log; without a line,
/// before its end.
fn cases_before<'a>(log: &'a str, line: Option<&str>, count: usize) -> Vec<&'a str> {
    let end = line.and_then(|line| log.find(line)).unwrap_or(log.len());
    let mut cases: Vec<&str> = log[..end]
        .lines()
        .filter_map(|line| Some(line.split_once(MARK)?.1.trim()))
        .collect();
    cases.drain(..cases.len().saturating_sub(count));
    cases
}

/// The summary of a run as the kernel's log is judged, for who shows results and no output.
pub fn problem(outcome: &Outcome, output: &str) -> Option<String> {
    if outcome.status == Some(0) && outcome.complaints.is_empty() && !outcome.timed_out {
        return None;
    }
    let status = match outcome.status {
        _ if outcome.timed_out => "the guest ran into its time limit".to_string(),
        Some(status) => format!("the fuzzer ended with status {status}"),
        None => "the guest died".to_string(),
    };
    Some(format!(
        "{status}\n{}\n{output}{}\nfull log: {}",
        outcome.complaints.join("\n"),
        guestlog::tail(&outcome.log, boot::TAIL),
        outcome.log_path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cases_before_a_complaint_are_named() {
        let log = "[ 1.0] saio-fuzz: case 7\n[ 1.1] saio-fuzz: case 8\n\
                   [ 1.2] WARNING: CPU: 0\n[ 1.3] saio-fuzz: case 9\n";
        assert_eq!(cases_before(log, Some("WARNING: CPU: 0"), 1), ["8"]);
        assert_eq!(cases_before(log, Some("WARNING: CPU: 0"), 4), ["7", "8"]);
        assert_eq!(cases_before(log, None, 2), ["8", "9"]);
    }

    #[test]
    fn a_slow_kernel_gets_more_time() {
        let mut args = FuzzArgs::always(20, Config::Plain);
        assert_eq!(args.machine().time_limit, Some(20 + MARGIN));
        args.config = Config::Debug;
        assert!(args.machine().time_limit > Some(20 + MARGIN));
    }
}
