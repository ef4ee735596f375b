// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results, written after each sample: who interrupts a measurement keeps what it has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use bench_report::results::{timestamp, Better, Instrument, InstrumentKind, Results, Run, SCHEMA};
use clap::{Args, ValueEnum};

use crate::machine;
use crate::vtime::{self, Interval};

/// What cannot be known inside of a machine, for the results file.
#[derive(Args, Clone)]
pub struct Origin {
    /// What time is on this machine
    #[arg(long, value_enum, env = "SAIO_INSTRUMENT", default_value = "wall")]
    pub instrument: Clock,

    /// What runs this machine, for the results file: kvm, tcg, or none for bare hardware
    #[arg(long, value_name = "NAME", default_value = "none")]
    accel: String,

    /// Name of the kernel's configuration, for the results file
    #[arg(long, value_name = "NAME", default_value = "unknown")]
    kernel_config: String,

    /// The command that repeats the measurement, for the results file [default: this one]
    #[arg(long, value_name = "TEXT")]
    command: Option<String>,
}

/// What a clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// Real time
    Wall,
    /// An instruction a nanosecond (QEMU's -icount shift=0)
    Icount,
    /// Known outside of this machine only (QEMU's plugin vtime)
    VirtualTime,
}

impl Clock {
    /// Unit of processor time of a thing, and what nanoseconds are multiplied with.
    pub fn cpu_unit(self, thing: &str) -> (String, f64) {
        let (unit, scale) = self.time_unit();
        (format!("{unit}/{thing}"), scale)
    }

    /// Whether its seconds are those of who waits.
    pub fn is_wall(self) -> bool {
        self == Self::Wall
    }

    /// Unit of time, and what nanoseconds are multiplied with.
    pub fn time_unit(self) -> (&'static str, f64) {
        match self {
            Self::Wall => ("seconds", 1e-9),
            Self::Icount | Self::VirtualTime => ("instructions", 1.0),
        }
    }

    fn instrument(self) -> Instrument {
        let (kind, detail) = match self {
            Self::Wall => (InstrumentKind::Wall, "the system's clock"),
            Self::Icount => (
                InstrumentKind::Icount,
                "the clock counts instructions, one a nanosecond",
            ),
            Self::VirtualTime => (
                InstrumentKind::VirtualTime,
                "not known inside of the machine",
            ),
        };
        Instrument {
            kind,
            detail: detail.to_owned(),
        }
    }
}

/// Place of a run in the file.
pub type Rank = [usize; 4];

/// What a run is of.
pub struct Named<'a> {
    /// Heading of its pictures, if the workload's name is not enough
    pub heading: Option<String>,
    /// What was run
    pub workload: &'a str,
    /// The load
    pub parameters: &'a BTreeMap<String, f64>,
    /// What is compared
    pub variant: &'a str,
    /// Whether it is one that the others have to beat
    pub baseline: bool,
}

/// A results file that grows.
pub struct Record {
    file: PathBuf,
    head: Results,
    runs: BTreeMap<Rank, (Run, Vec<Interval>)>,
}

/// What a run shows: metric, unit, and which direction is better.
pub type Metric<'a> = (&'a str, &'a str, Better);

impl Record {
    /// An empty one.
    pub fn new(file: PathBuf, title: &str, notes: Vec<String>, origin: &Origin) -> Self {
        let command = origin.command.clone().unwrap_or_else(|| {
            let words: Vec<String> = std::env::args().collect();
            words.join(" ")
        });
        Self {
            file,
            head: Results {
                schema: SCHEMA,
                title: title.to_owned(),
                created: timestamp(SystemTime::now()),
                instrument: origin.instrument.instrument(),
                machine: machine::machine(&origin.accel),
                kernel: machine::kernel(&origin.kernel_config),
                command,
                notes,
                runs: Vec::new(),
            },
            runs: BTreeMap::new(),
        }
    }

    /// Where it is written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What a reader has to know besides.
    pub fn note(&mut self, text: String) {
        self.head.notes.push(text);
    }

    /// Adds a sample to the run of this place.
    pub fn add(&mut self, rank: Rank, of: &Named, metric: Metric, sample: f64) {
        self.run(rank, of, metric).0.samples.push(sample);
    }

    /// Adds a sample whose value is known outside of this machine only.
    pub fn add_interval(&mut self, rank: Rank, of: &Named, metric: Metric, interval: Interval) {
        self.run(rank, of, metric).1.push(interval);
    }

    fn run(
        &mut self,
        rank: Rank,
        of: &Named,
        (metric, unit, better): Metric,
    ) -> &mut (Run, Vec<Interval>) {
        self.runs.entry(rank).or_insert_with(|| {
            let run = Run {
                figure: of.heading.clone(),
                workload: of.workload.to_owned(),
                parameters: of.parameters.clone(),
                variant: of.variant.to_owned(),
                baseline: Some(of.baseline),
                metric: metric.to_owned(),
                unit: unit.to_owned(),
                better,
                samples: Vec::new(),
            };
            (run, Vec::new())
        })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All of it.
    pub fn results(&self) -> Results {
        Results {
            runs: self.runs.values().map(|(run, _)| run.clone()).collect(),
            ..self.head.clone()
        }
    }

    /// Writes it. Who reads it meanwhile sees the whole file as it was.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self) -> Result<()> {
        let intervals: Vec<Vec<Interval>> =
            self.runs.values().map(|(_, all)| all.clone()).collect();
        if intervals.iter().any(|all| !all.is_empty()) {
            return vtime::save(&self.file, &self.results(), &intervals);
        }
        Ok(self.results().save(&self.file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            instrument: Clock::Icount,
            accel: "tcg".into(),
            kernel_config: "plain".into(),
            command: Some("./x bench".into()),
        }
    }

    #[test]
    fn what_was_measured_is_in_the_file_at_any_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f.json");
        let mut record = Record::new(file.clone(), "A figure", vec!["so".into()], &origin());
        let parameters = BTreeMap::from([("batch".to_owned(), 8.0)]);
        let named = |variant| Named {
            heading: None,
            workload: "write",
            parameters: &parameters,
            variant,
            baseline: variant == "default",
        };
        assert!(record.is_empty() && record.save().is_err());
        let (unit, scale) = Clock::Icount.cpu_unit("call");
        let metric = ("cpu", unit.as_str(), Better::Lower);
        record.add([0, 0, 1, 0], &named("inline"), metric, 200.0 * scale);
        record.save().unwrap();
        assert_eq!(Results::load(&file).unwrap().runs.len(), 1);
        record.add([0, 0, 0, 0], &named("default"), metric, 300.0);
        record.add([0, 0, 1, 0], &named("inline"), metric, 201.0);
        record.save().unwrap();
        let results = Results::load(&file).unwrap();
        let of: Vec<&str> = results
            .runs
            .iter()
            .map(|run| run.variant.as_str())
            .collect();
        assert_eq!(of, ["default", "inline"]);
        assert_eq!(results.runs[1].samples, [200.0, 201.0]);
        assert_eq!(results.runs[0].baseline, Some(true));
        assert_eq!(results.runs[0].unit, "instructions/call");
    }
}
