// SPDX-License-Identifier: MIT OR Apache-2.0

//! The supervisor: starts workers, watches the clock, looks after what cases leave behind.

mod clean;
mod guest;
mod report;
mod worker;

use std::process::exit;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use saio_leaks::Baseline;

use crate::plan::{self, Case};
use crate::run;
use crate::stats::{Stats, WORKERS};
use crate::Cli;

/// A round may take so long beyond the time limits of its cases.
const ROUND_GRACE: Duration = Duration::from_secs(120);

/// The case of a number, with the steps that were asked for.
pub fn chosen(cli: &Cli, number: u64) -> Case {
    let mut case = plan::case(cli.seed, number);
    if let Some(only) = &cli.only {
        let mut place = 0..;
        case.ops
            .retain(|_| place.next().is_some_and(|place| only.contains(&place)));
    }
    case
}

/// Runs cases until time is up; whether the kernel has stood it.
///
/// # Errors
///
/// This is no machine for that.
pub fn run(cli: &Cli) -> Result<bool> {
    guest::check(cli.i_know)?;
    guest::prepare()?;
    run::set_pace(cli.time_factor);
    let stats = Stats::shared().context("no memory for counters")?;
    let workers = match cli.workers {
        Some(workers) => workers,
        None => {
            std::thread::available_parallelism().map_or(1, |count| count.get().min(WORKERS) as u64)
        }
    };
    let workers = if cli.case.is_some() { 1 } else { workers };
    let baseline = Baseline::now()?;
    let deadline = Instant::now() + Duration::from_secs(cli.seconds);
    println!(
        "saio-fuzz: seed {}, {} workers, {} s",
        cli.seed, workers, cli.seconds
    );

    let mut next = 0;
    let mut sound = true;
    loop {
        let round = match cli.case {
            Some(case) => Round {
                cases: vec![case; cli.repeat as usize],
                workers,
                deadline: None,
            },
            None => Round {
                cases: (next..next + cli.check_every).collect(),
                workers,
                deadline: Some(deadline),
            },
        };
        guest::trace((next / cli.check_every) % 4 == 1);
        sound &= round.run(cli, stats)?;
        if sound {
            if let Err(left) = clean::check(&baseline, cli.time_factor) {
                let (first, last) = (round.cases[0], next + cli.check_every - 1);
                println!("saio-fuzz: FAILED: after cases {first} to {last}: {left}");
                println!(
                    "repeat with: ./x fuzz --seed {} --case C, C one of these",
                    cli.seed
                );
                sound = false;
            }
        }
        next += cli.check_every;
        if !sound || cli.case.is_some() || Instant::now() >= deadline {
            break;
        }
    }
    if sound {
        look_for_leaks();
    }
    report::summary(stats);
    Ok(sound)
}

/// Has the kernel look for memory that nobody points to. It tells its log, which fails the run.
fn look_for_leaks() {
    match saio_leaks::unreferenced() {
        Ok(Some(text)) => {
            let number = text.matches("unreferenced object").count();
            println!("saio-fuzz: kmemleak has {number} reports\n{text}");
        }
        Ok(None) => {}
        Err(error) => println!("saio-fuzz: no look for memory that nobody points to: {error:#}"),
    }
}

/// Cases that run before the next look at what is left.
struct Round {
    cases: Vec<u64>,
    workers: u64,
    deadline: Option<Instant>,
}

impl Round {
    /// Runs them; false: one has failed, which has been said.
    fn run(&self, cli: &Cli, stats: &'static Stats) -> Result<bool> {
        let mut pids = Vec::new();
        for number in 0..self.workers {
            let pid = run::fork();
            if pid < 0 {
                bail!("cannot fork: {}", std::io::Error::last_os_error());
            }
            if pid == 0 {
                let cases = self
                    .cases
                    .iter()
                    .copied()
                    .skip(number as usize)
                    .step_by(self.workers as usize);
                exit(worker::run(
                    cli,
                    number as usize,
                    cases,
                    self.deadline,
                    stats,
                ));
            }
            pids.push(pid);
        }
        let cases = self.cases.len() as u32;
        let patience = ROUND_GRACE * cli.time_factor + worker::case_limit(cli.time_factor) * cases;
        let last = Instant::now() + patience;
        let mut sound = true;
        let mut said = Instant::now();
        let mut turn = 0;
        while !pids.is_empty() {
            let mut status = 0i32;
            let args = [
                usize::MAX,
                &raw mut status as usize,
                libc::WNOHANG as usize,
                0,
            ];
            let pid = run::call(libc::SYS_wait4, &args) as i32;
            if pid > 0 {
                pids.retain(|one| *one != pid);
                if status != 0 && sound {
                    sound = false;
                    if libc::WIFSIGNALED(status) {
                        println!(
                            "saio-fuzz: FAILED: signal {} ended a worker",
                            libc::WTERMSIG(status)
                        );
                    }
                    // Let the others finish what they are at.
                    stats.stop.store(1, Relaxed);
                }
                continue;
            }
            if said.elapsed() >= Duration::from_secs(1) {
                said = Instant::now();
                report::progress(stats);
                turn += 1;
                if turn % 2 == 0 {
                    guest::disturb(turn / 2);
                }
            }
            if Instant::now() > last {
                println!("saio-fuzz: FAILED: workers do not end");
                worker::show_stacks();
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(sound)
    }
}
