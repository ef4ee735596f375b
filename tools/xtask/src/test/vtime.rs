// SPDX-License-Identifier: MIT OR Apache-2.0

//! Virtual time: does a guest's program take as many instructions as it should?

use anyhow::{ensure, Context as _, Result};
use saio_init::OUT_DIR;
use serde_json::Value;

use super::{failure, Report};
use crate::boot::{self, Guest, MachineArgs};
use crate::ktap::Outcome;
use crate::paths::{self, Context};
use crate::tools;
use crate::vtime;

/// The same loop takes the same time on two boots.
const REPEATS: &str = "guest::vtime.repeats";

/// A system call costs its price more.
const CROSSING: &str = "guest::vtime.crossing";

/// Instructions that a system call costs more in one of the boots.
const PRICE: u64 = 1000;

/// Deviation of the loop between boots that passes: timer ticks come by the
/// host's clock.
const LOOP_TOLERANCE: f64 = 0.01;

/// Deviation from the price that passes, of two figures with such ticks.
const PRICE_TOLERANCE: f64 = 0.03;

/// Times in instructions, the smallest that were seen: timer ticks only add.
#[derive(Debug, Clone, Copy)]
struct Calibration {
    /// An iteration of a loop.
    iteration: f64,
    /// An iteration of a loop with a system call.
    call: f64,
}

/// Boots twice and compares, if there is a QEMU that can do it.
pub fn run(ctx: &Context, report: &mut Report) {
    let wanted: Vec<&str> = [REPEATS, CROSSING]
        .into_iter()
        .filter(|name| report.wants(name))
        .collect();
    if wanted.is_empty() {
        return;
    }
    if let Err(error) = vtime::check(&ctx.qemu) {
        for name in wanted {
            report.record(name, Outcome::Skip(format!("{error:#}")));
        }
        return;
    }
    let both = || -> Result<Option<(Calibration, Calibration)>> {
        tools::build(ctx)?;
        Ok(calibrate(ctx, 0)?.zip(calibrate(ctx, PRICE)?))
    };
    match both() {
        Ok(Some((free, priced))) => {
            for name in wanted {
                let result = match name {
                    REPEATS => same_loop(free, priced),
                    _ => same_price(free, priced),
                };
                let outcome = match result {
                    Ok(()) => Outcome::Pass,
                    Err(error) => failure(error),
                };
                report.record(name, outcome);
            }
        }
        // A dry run
        Ok(None) => {}
        Err(error) => {
            for name in wanted {
                report.record(name, failure(format!("{error:#}")));
            }
        }
    }
}

/// Measures in a guest; a dry run returns none.
fn calibrate(ctx: &Context, crossing: u64) -> Result<Option<Calibration>> {
    let args = MachineArgs {
        cpus: 3,
        virtual_time: true,
        crossing,
        time_limit: Some(600),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &args, "vtime")?;
    let argv = [
        ctx.program("saio-bench").display().to_string(),
        "vtime".to_string(),
        "--calibrate".to_string(),
        "--out".to_string(),
        format!("{OUT_DIR}/vtime.json"),
    ];
    let Some(outcome) = guest.run(ctx, &argv, &mut boot::pass_through)? else {
        return Ok(None);
    };
    let status = guest.close(&outcome)?;
    let log = outcome.log_path.display();
    ensure!(status == 0, "the guest ended with status {status}: {log}");
    let text = paths::read(&guest.out_dir().join("vtime.json"))?;
    let results: Value = serde_json::from_str(&text)?;
    Ok(Some(Calibration {
        iteration: smallest(&results, "loop")?,
        call: smallest(&results, "getppid")?,
    }))
}

/// The smallest sample of a workload's time.
fn smallest(results: &Value, workload: &str) -> Result<f64> {
    let samples = || {
        let mut runs = results["runs"].as_array()?.iter();
        let run = runs.find(|run| run["workload"] == workload && run["metric"] == "time")?;
        let samples: Option<Vec<f64>> = run["samples"]
            .as_array()?
            .iter()
            .map(Value::as_f64)
            .collect();
        samples.filter(|samples| !samples.is_empty())
    };
    let samples = samples().with_context(|| format!("no times of {workload}"))?;
    Ok(samples.into_iter().fold(f64::INFINITY, f64::min))
}

fn same_loop(first: Calibration, second: Calibration) -> Result<(), String> {
    let ratio = second.iteration / first.iteration;
    if (ratio - 1.0).abs() <= LOOP_TOLERANCE {
        return Ok(());
    }
    Err(format!(
        "an iteration of the same loop took {:.4} instructions and {:.4}",
        first.iteration, second.iteration
    ))
}

fn same_price(free: Calibration, priced: Calibration) -> Result<(), String> {
    let price = priced.call - free.call;
    if (price / PRICE as f64 - 1.0).abs() <= PRICE_TOLERANCE {
        return Ok(());
    }
    Err(format!(
        "a system call took {:.0} instructions, and {:.0} where {PRICE} are added",
        free.call, priced.call
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FREE: Calibration = Calibration {
        iteration: 3.02,
        call: 270.0,
    };

    #[test]
    fn loops_are_compared() {
        let other = |iteration| Calibration { iteration, ..FREE };
        assert!(same_loop(FREE, other(3.03)).is_ok());
        assert!(same_loop(FREE, other(3.06)).is_err());
        assert!(same_loop(FREE, other(2.98)).is_err());
    }

    #[test]
    fn prices_are_compared() {
        let other = |call| Calibration { call, ..FREE };
        assert!(same_price(FREE, other(1275.0)).is_ok());
        assert!(same_price(FREE, other(270.0)).is_err());
        assert!(same_price(FREE, other(2270.0)).is_err());
    }

    #[test]
    fn times_are_found() {
        let results = json!({"runs": [
            {"workload": "loop", "metric": "busy_cpu0", "samples": [9.0]},
            {"workload": "loop", "metric": "time", "samples": [3.0, 1.0, 2.0]},
            {"workload": "getppid", "metric": "time", "samples": []},
        ]});
        assert_eq!(smallest(&results, "loop").unwrap(), 1.0);
        assert!(smallest(&results, "getppid").is_err());
        assert!(smallest(&results, "none").is_err());
    }
}
