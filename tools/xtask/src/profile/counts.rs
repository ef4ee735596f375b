// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the plugin counted and what the guest says about it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{bail, ensure, Context as _, Result};
use serde::Deserialize;

use crate::paths;

/// Version of the plugin's report that is read here.
const SCHEMA: u32 = 1;

/// The plugin's report, by the marks of its intervals.
#[derive(Debug, Default)]
pub struct Report(BTreeMap<(u8, u8), Interval>);

#[derive(Debug, Deserialize)]
struct Header {
    schema: u32,
}

/// What was executed between two marks.
#[derive(Debug, Deserialize)]
struct Interval {
    begin: u8,
    end: u8,
    tasks: Vec<Task>,
}

/// What one task executed.
#[derive(Debug, Deserialize)]
struct Task {
    /// Addresses of instructions, rising, and how often each was executed.
    counts: Vec<(u64, u64)>,
}

impl Task {
    fn runs(&self, code: &[Range<u64>]) -> bool {
        code.iter().any(|range| {
            let first = self.counts.partition_point(|(at, _)| *at < range.start);
            self.counts
                .get(first)
                .is_some_and(|(at, _)| *at < range.end)
        })
    }
}

impl Report {
    /// Reads the plugin's report.
    ///
    /// # Errors
    ///
    /// It cannot be read or has another version.
    pub fn read(file: &Path) -> Result<Report> {
        let text = paths::read(file)?;
        Report::parse(&text).with_context(|| format!("the plugin's report {}", file.display()))
    }

    fn parse(text: &str) -> Result<Report> {
        let mut lines = text.lines();
        let Header { schema } = serde_json::from_str(lines.next().unwrap_or_default())?;
        ensure!(
            schema == SCHEMA,
            "it has version {schema}, and {SCHEMA} is supported: run cargo clean -p iprof"
        );
        let mut intervals = BTreeMap::new();
        for line in lines {
            let interval: Interval = serde_json::from_str(line)?;
            intervals.insert((interval.begin, interval.end), interval);
        }
        Ok(Report(intervals))
    }

    /// How often each instruction was executed from one mark to the next, by
    /// tasks that run some of this code.
    fn between(&self, begin: u8, code: &[Range<u64>]) -> Result<BTreeMap<u64, i64>> {
        let end = begin.wrapping_add(1);
        let Some(interval) = self.0.get(&(begin, end)) else {
            bail!("the plugin has nothing between marks {begin} and {end}");
        };
        let mut counts = BTreeMap::new();
        for task in interval.tasks.iter().filter(|task| task.runs(code)) {
            for (address, count) in &task.counts {
                *counts.entry(*address).or_default() += *count as i64;
            }
        }
        Ok(counts)
    }
}

/// What the guest says about its loads.
#[derive(Debug, Deserialize)]
pub struct Loads {
    /// What was run.
    pub title: String,
    /// What the counts are divided by.
    pub unit: String,
    /// `/proc/PID/maps` of all processes of the guest.
    pub all_maps: String,
    /// The baseline and what is compared with it.
    pub variants: [Variant; 2],
}

/// Loads of one variant.
#[derive(Debug, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// `/proc/PID/maps` of the server.
    pub maps: String,
    /// At least one.
    pub samples: Vec<Sample>,
}

/// One sample: a short and a long run, with marks where each begins and ends.
#[derive(Debug, Deserialize)]
pub struct Sample {
    first_mark: u8,
    /// Requests by which the longer run was longer.
    pub requests: u64,
    /// Instructions a request by the kernel's account of the server.
    pub cpu_ns: f64,
}

impl Loads {
    /// Reads the guest's file.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(file: &Path) -> Result<Loads> {
        let text = paths::read(file)?;
        serde_json::from_str(&text).with_context(|| format!("{} is not understood", file.display()))
    }
}

impl Sample {
    /// How often a server executed each instruction in the requests by which the
    /// longer run was longer. Opening connections and the like cancels out, and
    /// so a count can be a little below zero.
    ///
    /// `code` is where the server has its program.
    ///
    /// # Errors
    ///
    /// A mark is missing, or the server was not seen.
    pub fn counts(&self, report: &Report, code: &[Range<u64>]) -> Result<BTreeMap<u64, i64>> {
        let short = report.between(self.first_mark, code)?;
        let mut counts = report.between(self.first_mark.wrapping_add(2), code)?;
        ensure!(
            !short.is_empty() && !counts.is_empty(),
            "the server has executed nothing from mark {} on",
            self.first_mark
        );
        for (address, count) in short {
            *counts.entry(address).or_default() -= count;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"schema":1}
{"begin":4,"end":5,"marked_by":1,"tasks":[{"task":1,"counts":[[16,9]]},{"task":2,"counts":[[32,2],[48,1],[99,5]]}]}
{"begin":5,"end":6,"marked_by":1,"tasks":[]}
{"begin":6,"end":7,"marked_by":1,"tasks":[{"task":2,"counts":[[32,10],[99,5]]},{"task":3,"counts":[[33,1]]}]}
"#;

    fn sample(first_mark: u8) -> Sample {
        Sample {
            first_mark,
            requests: 4,
            cpu_ns: 0.0,
        }
    }

    #[test]
    fn the_servers_short_run_is_subtracted_from_its_long_one() {
        let report = Report::parse(REPORT).unwrap();
        // 16 is the load's; both 2 and 3 run the server's code.
        let counts = sample(4).counts(&report, &[100..200, 32..40]).unwrap();
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [(32, 8), (33, 1), (48, -1), (99, 0)]
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let report = Report::parse(REPORT).unwrap();
        let error = |sample: Sample, code| {
            let code: Range<u64> = code;
            let error = sample.counts(&report, &[code]).unwrap_err();
            error.to_string()
        };
        assert!(error(sample(5), 32..40).contains("marks 7 and 8"));
        assert!(error(sample(8), 32..40).contains("marks 8 and 9"));
        assert!(error(sample(4), 200..300).contains("nothing from mark 4"));
        let newer = REPORT.replace("\"schema\":1", "\"schema\":2");
        assert!(Report::parse(&newer).is_err());
        assert!(Report::parse("").is_err());
    }

    #[test]
    fn the_guests_file_is_read() {
        let variant = |name: &str| {
            format!(
                r#"{{"name": "{name}", "maps": "", "samples":
                    [{{"first_mark": 4, "requests": 7, "cpu_ns": 1.5}}]}}"#
            )
        };
        let text = format!(
            r#"{{"title": "nginx, 1k, 64 connections", "unit": "request", "all_maps": "", "variants": [{}, {}]}}"#,
            variant("nopush"),
            variant("inline")
        );
        let loads: Loads = serde_json::from_str(&text).unwrap();
        assert_eq!(loads.variants[1].name, "inline");
        assert_eq!(loads.variants[0].samples[0].requests, 7);
    }
}
