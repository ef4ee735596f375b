// SPDX-License-Identifier: MIT OR Apache-2.0

//! `./x demo`: nginx with and without SAIO, measured in one boot, and drawn.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context as _, Result};
use clap::Args;
use saio_init::OUT_DIR;
use serde_json::Value;

use crate::boot::{self, Guest, MachineArgs};
use crate::exec;
use crate::paths::{self, Context};
use crate::report;
use crate::tools;

/// The load that the summary shows.
const CONNECTIONS: f64 = 64.0;

/// What the figures have to show; `bench-report check` reads it.
const GOALS: &str = "configs/bench/demo-goals.toml";

/// Options of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Fewer samples and requests: minutes less, figures less exact
    #[arg(long)]
    quick: bool,

    /// Seconds until the guest is ended
    #[arg(long, value_name = "SECS", default_value_t = 3600)]
    time_limit: u64,
}

/// Builds everything, measures, draws the report and prints where it is.
///
/// Instructions are counted, whatever the machine could do: such figures repeat
/// on a busy machine and compare between machines.
///
/// # Errors
///
/// Something does not build, or there are no results.
pub fn run(ctx: &Context, args: &DemoArgs) -> Result<i32> {
    tools::build(ctx)?;
    let machine = MachineArgs {
        cpus: 1,
        icount: true,
        time_limit: Some(args.time_limit),
        ..MachineArgs::default()
    };
    let guest = Guest::prepare(ctx, &machine, "demo")?;
    exec::step(&format!("measuring nginx on Linux {}", guest.release()));
    let out = format!("{OUT_DIR}/demo.json");
    let program = ctx.program("saio-bench").display().to_string();
    let mut argv = vec![program, "demo".into(), "--out".into(), out];
    argv.extend(guest.described(machine.config, "./x demo"));
    if args.quick {
        argv.push("--quick".to_string());
    }
    let outcome = guest.run(ctx, &argv, &mut boot::pass_through)?;
    if let Some(outcome) = &outcome {
        let status = boot::judge(outcome);
        if status != 0 {
            return Ok(status);
        }
    }

    let results = report::results(ctx);
    if !ctx.dry_run {
        paths::make_dir(&results)?;
        let from = guest.out_dir().join("demo.json");
        fs::copy(&from, results.join("demo.json"))
            .with_context(|| format!("the guest brought no results back: {}", from.display()))?;
    }
    let page = report::draw(ctx)?;
    if ctx.dry_run {
        return Ok(0);
    }
    println!("{}", summary(&results.join("demo.json"))?);
    // Missing one is no failure of the demo.
    report::check_goals(ctx, GOALS, &[]);
    println!("report: {}", page.display());
    Ok(0)
}

/// A table of the medians at one load, six lines for two sizes.
fn summary(file: &Path) -> Result<String> {
    let results: Value = serde_json::from_str(&paths::read(file)?)
        .with_context(|| format!("{} is no results file", file.display()))?;
    let runs = results["runs"]
        .as_array()
        .with_context(|| format!("{} has no runs", file.display()))?;
    let rows = rows(runs);
    if rows.is_empty() {
        bail!(
            "{} has no runs at {CONNECTIONS} connections",
            file.display()
        );
    }
    let load = format!("{CONNECTIONS} connections");
    let mut table = format!(
        "{load:<23} {:>14} {:>19} {:>22}\n",
        "requests/s", "crossings/request", "instructions/request",
    );
    for row in rows {
        table.push_str(&format!(
            "{:<12} {:<10} {:>14} {:>19} {:>22}\n",
            row.workload,
            row.variant,
            number(row.throughput, 0),
            number(row.crossings, 2),
            number(row.server_cpu, 0),
        ));
    }
    Ok(table)
}

/// One workload under one variant.
#[derive(Debug, PartialEq)]
struct Row {
    workload: String,
    variant: String,
    throughput: Option<f64>,
    crossings: Option<f64>,
    server_cpu: Option<f64>,
}

fn rows(runs: &[Value]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for run in runs {
        let connections = run["parameters"]["connections"].as_f64();
        if connections != Some(CONNECTIONS) {
            continue;
        }
        let workload = run["workload"].as_str().unwrap_or_default();
        let variant = run["variant"].as_str().unwrap_or_default();
        let known = rows
            .iter()
            .position(|row| row.workload == workload && row.variant == variant);
        let index = known.unwrap_or_else(|| {
            rows.push(Row {
                workload: workload.to_string(),
                variant: variant.to_string(),
                throughput: None,
                crossings: None,
                server_cpu: None,
            });
            rows.len() - 1
        });
        let value = median(&run["samples"]);
        match run["metric"].as_str() {
            Some("throughput") => rows[index].throughput = value,
            Some("crossings_apart_from_wait") => rows[index].crossings = value,
            Some("server_cpu") => rows[index].server_cpu = value,
            _ => {}
        }
    }
    rows
}

fn median(samples: &Value) -> Option<f64> {
    let mut values: Vec<f64> = samples
        .as_array()?
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        return values.get(middle).copied();
    }
    let low = values.get(middle.checked_sub(1)?)?;
    Some((low + values.get(middle)?) / 2.0)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_median_of_few_samples() {
        assert_eq!(median(&json!([3.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(&json!([1, 2])), Some(1.5));
        assert_eq!(median(&json!([])), None);
    }

    #[test]
    fn rows_gather_the_metrics_of_one_load() {
        let run = |metric: &str, connections: u32, value: f64| {
            json!({"workload": "nginx-1k", "variant": "inline", "metric": metric,
                   "parameters": {"connections": connections}, "samples": [value]})
        };
        let runs = [
            run("throughput", 64, 10.0),
            run("throughput", 1, 99.0),
            run("server_cpu", 64, 30.0),
        ];
        assert_eq!(
            rows(&runs),
            [Row {
                workload: "nginx-1k".to_string(),
                variant: "inline".to_string(),
                throughput: Some(10.0),
                crossings: None,
                server_cpu: Some(30.0),
            }]
        );
    }
}
