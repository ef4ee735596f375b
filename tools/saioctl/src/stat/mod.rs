// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl stat`: what rings and pools do.

pub mod counts;
mod fdinfo;
mod human;
mod json;
mod sample;
mod scan;
mod why;

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{bail, Result};
use clap::Args;

use crate::output;
use crate::process::{Absent, Proc};
use sample::Sample;

/// Longest interval in seconds: a day.
const MAX_INTERVAL: f64 = 86_400.0;

/// Arguments of `saioctl stat`.
#[derive(Args)]
pub struct StatArgs {
    /// Goes on, with a sample every SECS seconds: first what was counted since the start, then rates
    #[arg(short = 'i', long, value_name = "SECS", value_parser = seconds)]
    interval: Option<Duration>,

    /// Ends after COUNT samples
    #[arg(short = 'n', long, requires = "interval", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Only rings of this process and of all that descends from it, and their pools
    #[arg(short, long)]
    pid: Option<u32>,

    /// Says of each ring where its entries ran, and why; on with --pid
    #[arg(long)]
    verbose: bool,

    /// Writes a line of JSON for each sample
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_INTERVAL => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("a number of seconds above 0, up to {MAX_INTERVAL}")),
    }
}

/// Prints samples. Returns the exit status.
///
/// # Errors
///
/// The process does not exist, the kernel has no SAIO, or stdout cannot be written.
pub fn stat(args: &StatArgs) -> Result<u8> {
    if let Some(pid) = args.pid.filter(|&pid| !Proc::default().has(pid)) {
        return Err(Absent(pid).into());
    }
    if saio::sys::probe() == libc::ENOSYS {
        bail!("this kernel has no SAIO; saioctl doctor says what to do");
    }
    output::until_closed(samples(args))
}

fn samples(args: &StatArgs) -> Result<u8> {
    let mut before = None;
    let mut taken = 0;
    loop {
        let Some(sample) = unless_ended(Sample::take(args.pid), before.is_none())? else {
            return Ok(0);
        };
        let text = if args.json {
            json::line(&sample, before.as_ref())?
        } else {
            let verbose = args.verbose || args.pid.is_some();
            let gap = if before.is_some() { "\n" } else { "" };
            format!("{gap}{}", human::text(&sample, before.as_ref(), verbose))
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        taken += 1;
        let Some(interval) = args.interval.filter(|_| args.count != Some(taken)) else {
            return Ok(0);
        };
        before = Some(sample);
        sleep(interval);
        if args.pid.is_some_and(|pid| !Proc::default().has(pid)) {
            return Ok(0);
        }
    }
}

/// `None`: the process was there at the first sample, and has ended since.
fn unless_ended(sample: Result<Sample>, first: bool) -> Result<Option<Sample>> {
    match sample {
        Err(error) if error.is::<Absent>() && !first => Ok(None),
        sample => sample.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_the_process_is_the_end() {
        assert!(unless_ended(Err(Absent(7).into()), true).is_err());
        assert!(unless_ended(Err(Absent(7).into()), false)
            .unwrap()
            .is_none());
        assert!(unless_ended(Err(anyhow::anyhow!("else")), false).is_err());
    }

    #[test]
    fn intervals() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        for bad in ["0", "-1", "x", "1e9", "NaN", "inf"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
