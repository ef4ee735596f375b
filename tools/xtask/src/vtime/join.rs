// SPDX-License-Identifier: MIT OR Apache-2.0

//! Puts instructions into results that have marks instead.
//!
//! A run that was measured in virtual time comes out of the guest with
//!
//! ```json
//! "samples": [], "marks": [{"begin": 0, "end": 1, "requests": 1000}]
//! ```
//!
//! for each sample: the numbers of the marks before and after it, and what to
//! divide by. Here it becomes a run of the same name whose samples are the time
//! between the marks; one for each virtual CPU, with the metric `busy_cpuN`: the
//! part of it that the CPU did not spend on waiting for work; one with their
//! sum, `busy`; and, where the marks say by `"server": [0, 1]` which CPUs are the
//! server's, one with the sum of these, `busy_server`.

use std::path::Path;

use anyhow::{bail, ensure, Context as _, Result};
use serde::Deserialize;
use serde_json::{json, Value};

use super::{Mark, Report};
use crate::exec;
use crate::paths;

/// What a sample lies between.
#[derive(Debug, Deserialize)]
struct Interval {
    begin: u8,
    end: u8,
    requests: u64,
    #[serde(default)]
    server: Vec<usize>,
}

/// Joins a results file with the report; one without marks stays as it is.
///
/// # Errors
///
/// It cannot be read or written, or its marks are not those of the report.
pub fn file(path: &Path, report: &Report) -> Result<()> {
    let mut results: Value = serde_json::from_str(&paths::read(path)?)
        .with_context(|| format!("{} is not JSON", path.display()))?;
    if !join(&mut results, report).with_context(|| path.display().to_string())? {
        return Ok(());
    }
    paths::write(path, serde_json::to_string_pretty(&results)? + "\n")?;
    for line in summary(&results) {
        exec::step(&line);
    }
    Ok(())
}

/// Returns whether there were marks.
fn join(results: &mut Value, report: &Report) -> Result<bool> {
    let Some(runs) = results.get_mut("runs").and_then(Value::as_array_mut) else {
        return Ok(false);
    };
    if !runs.iter().any(|run| run.get("marks").is_some()) {
        return Ok(false);
    }
    let mut joined = Vec::new();
    for run in runs.drain(..) {
        joined.extend(join_run(run, report)?);
    }
    *runs = joined;
    results["instrument"] = json!({"kind": "virtual-time", "detail": report.detail()});
    Ok(true)
}

/// Returns what a run becomes.
fn join_run(mut run: Value, report: &Report) -> Result<Vec<Value>> {
    let Some(marks) = run.as_object_mut().and_then(|run| run.remove("marks")) else {
        return Ok(vec![run]);
    };
    let intervals: Vec<Interval> = serde_json::from_value(marks).context("marks of a run")?;
    let mut time = Vec::new();
    let mut busy: Vec<Vec<f64>> = Vec::new();
    for interval in &intervals {
        ensure!(interval.requests > 0, "an interval has no requests");
        let (begin, end) = (find(report, interval.begin)?, find(report, interval.end)?);
        let each = |before: u64, after: u64| {
            after.saturating_sub(before) as f64 / interval.requests as f64
        };
        time.push(each(own_time(begin)?, own_time(end)?));
        busy.resize(end.cpus.len(), Vec::new());
        for (samples, (before, after)) in busy.iter_mut().zip(begin.cpus.iter().zip(&end.cpus)) {
            samples.push(each(before.busy(), after.busy()));
        }
    }
    // No CPU is the server's where they are shared.
    let mut of_server = Vec::new();
    for (sample, interval) in intervals.iter().enumerate() {
        if !interval.server.is_empty() {
            let values = interval.server.iter().map(|cpu| {
                let value = busy.get(*cpu).and_then(|samples| samples.get(sample));
                value.with_context(|| format!("there is no CPU {cpu}"))
            });
            of_server.push(values.sum::<Result<f64>>()?);
        }
    }
    let sum: Vec<f64> = (0..time.len())
        .map(|sample| busy.iter().filter_map(|samples| samples.get(sample)).sum())
        .collect();
    let each_cpu = busy.iter().enumerate();
    let derived = each_cpu.map(|(cpu, samples)| (format!("busy_cpu{cpu}"), samples));
    run["samples"] = json!(time);
    let mut runs = vec![run.clone()];
    let sums = [("busy", &sum), ("busy_server", &of_server)];
    let sums = sums.map(|(metric, samples)| (metric.to_string(), samples));
    for (metric, samples) in sums.into_iter().chain(derived) {
        if samples.is_empty() {
            continue;
        }
        run["metric"] = json!(metric);
        run["samples"] = json!(samples);
        runs.push(run.clone());
    }
    Ok(runs)
}

/// The mark of this number: there must be one.
fn find(report: &Report, nr: u8) -> Result<&Mark> {
    let mut marks = report.marks.iter().filter(|mark| mark.nr == nr);
    match (marks.next(), marks.next()) {
        (Some(mark), None) => Ok(mark),
        (None, _) => bail!("mark {nr} was not made"),
        (Some(_), Some(_)) => bail!("mark {nr} was made twice: which one is meant?"),
    }
}

/// Time of the virtual CPU that made the mark.
fn own_time(mark: &Mark) -> Result<u64> {
    let cpu = mark.cpus.get(mark.cpu);
    cpu.map(|cpu| cpu.time)
        .with_context(|| format!("mark {}: CPU {} is not in it", mark.nr, mark.cpu))
}

/// A line for each run, with the medians.
fn summary(results: &Value) -> Vec<String> {
    let text = |run: &Value, key: &str| run[key].as_str().unwrap_or("?").to_string();
    let runs = results["runs"].as_array().cloned().unwrap_or_default();
    runs.iter()
        .map(|run| {
            let mut samples: Vec<f64> = run["samples"]
                .as_array()
                .map(|samples| samples.iter().filter_map(Value::as_f64).collect())
                .unwrap_or_default();
            samples.sort_by(f64::total_cmp);
            let median = samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN);
            format!(
                "{} {} {}: {median:.1} {}",
                text(run, "workload"),
                text(run, "variant"),
                text(run, "metric"),
                text(run, "unit")
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let cpu = |time: u64, polling: u64| json!({"time": time, "halted": 50, "polling": polling});
        let mark = |nr: u8, cpu_nr: usize, cpus: [Value; 2]| json!({"nr": nr, "cpu": cpu_nr, "cpus": cpus});
        let text = json!({
            "schema": 1, "complete": true, "quantum": 10, "crossing": 7, "pause": 40,
            "quanta": 1000, "broken": 1, "cpus": [],
            "marks": [
                mark(0, 0, [cpu(100, 20), cpu(101, 0)]),
                // The marking program has moved to the other CPU.
                mark(1, 1, [cpu(502, 320), cpu(501, 10)]),
                mark(2, 0, [cpu(600, 320), cpu(600, 10)]),
                mark(3, 0, [cpu(700, 320), cpu(700, 110)]),
                mark(9, 0, [cpu(800, 320), cpu(800, 110)]),
                mark(9, 0, [cpu(900, 320), cpu(900, 110)]),
            ],
        });
        Report::parse(&text.to_string()).unwrap()
    }

    fn results(marks: Value) -> Value {
        json!({
            "schema": 1, "title": "t", "instrument": {"kind": "wall", "detail": ""},
            "runs": [
                {"workload": "w", "variant": "v", "metric": "time", "unit": "u",
                 "better": "lower", "samples": [], "marks": marks},
                {"workload": "other", "samples": [5.0]},
            ],
        })
    }

    #[test]
    fn marks_become_instructions() {
        let mut results = results(json!([
            {"begin": 0, "end": 1, "requests": 4},
            {"begin": 2, "end": 3, "requests": 1},
        ]));
        assert!(join(&mut results, &report()).unwrap());
        let runs = results["runs"].as_array().unwrap();
        let seen: Vec<(&Value, &Value)> = runs
            .iter()
            .map(|run| (&run["metric"], &run["samples"]))
            .collect();
        assert_eq!(seen[0], (&json!("time"), &json!([100.25, 100.0])));
        assert_eq!(seen[1], (&json!("busy"), &json!([123.0, 100.0])));
        assert_eq!(seen[2], (&json!("busy_cpu0"), &json!([25.5, 100.0])));
        assert_eq!(seen[3], (&json!("busy_cpu1"), &json!([97.5, 0.0])));
        assert_eq!(runs[4], json!({"workload": "other", "samples": [5.0]}));
        assert!(runs.iter().all(|run| run.get("marks").is_none()));
        assert_eq!(results["instrument"]["kind"], json!("virtual-time"));
        assert_eq!(summary(&results)[0], "w v time: 100.2 u");
    }

    #[test]
    fn a_server_has_cpus_of_its_own() {
        let mut results = results(json!([
            {"begin": 0, "end": 1, "requests": 4, "server": [0, 1]},
            {"begin": 2, "end": 3, "requests": 1, "server": [1]},
        ]));
        assert!(join(&mut results, &report()).unwrap());
        let run = &results["runs"][2];
        assert_eq!(run["metric"], json!("busy_server"));
        assert_eq!(run["samples"], json!([123.0, 0.0]));
    }

    #[test]
    fn results_without_marks_stay_as_they_are() {
        let mut results = json!({"schema": 1, "runs": [{"samples": [1.0]}]});
        let before = results.clone();
        assert!(!join(&mut results, &report()).unwrap());
        assert!(!join(&mut json!({"passed": 3}), &report()).unwrap());
        assert_eq!(results, before);
    }

    #[test]
    fn marks_that_do_not_fit_are_named() {
        for (marks, word) in [
            (json!([{"begin": 0, "end": 7, "requests": 1}]), "mark 7"),
            (json!([{"begin": 0, "end": 9, "requests": 1}]), "twice"),
            (
                json!([{"begin": 0, "end": 1, "requests": 0}]),
                "no requests",
            ),
            (json!([0, 1]), "marks of a run"),
            (
                json!([{"begin": 0, "end": 1, "requests": 1, "server": [2]}]),
                "no CPU 2",
            ),
        ] {
            let error = join(&mut results(marks), &report()).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
    }
}
