// SPDX-License-Identifier: MIT OR Apache-2.0
//! The results file: what a benchmark writes and everything here reads.
//!
//! One file holds the runs of one instrument on one machine under one kernel.
//! Values are raw samples in base units (seconds, bytes, calls), never
//! averages, never thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::stats::Summary;
use crate::time::is_timestamp;
pub use crate::time::timestamp;

/// The schema version written and read here.
pub const SCHEMA: u32 = 1;

/// A results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// What was measured, in a few words.
    pub title: String,
    /// When, as RFC 3339 in UTC: see [`timestamp`].
    pub created: String,
    /// What it was measured with.
    pub instrument: Instrument,
    /// What it was measured on.
    pub machine: Machine,
    /// The kernel that the measured program ran on.
    pub kernel: Kernel,
    /// The command that repeats the measurement.
    pub command: String,
    /// What a reader has to know besides.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The measurements.
    pub runs: Vec<Run>,
}

/// What values were measured with. Different instruments never share a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// The kind.
    pub kind: InstrumentKind,
    /// How it was set up, in half a sentence.
    pub detail: String,
}

/// Kinds of instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstrumentKind {
    /// An emulated machine whose clock counts instructions.
    Icount,
    /// Real time.
    Wall,
    /// Emulated processors kept in step by executed instructions, with a set
    /// price for each kernel crossing.
    VirtualTime,
    /// Events that were counted; no time in them.
    Counts,
}

impl InstrumentKind {
    /// The name that results files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Icount => "icount",
            Self::Wall => "wall",
            Self::VirtualTime => "virtual-time",
            Self::Counts => "counts",
        }
    }

    /// What a reader has to know to judge its values.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Icount => {
                "An emulated machine (QEMU's TCG) whose clock advances with the instructions that \
                 its processor executes, not with the time of day. Values repeat closely and do \
                 not depend on how busy the host is. They are not seconds of real hardware: every \
                 instruction costs the same, and caches, pipelines and the true price of entering \
                 the kernel are not in them."
            }
            Self::Wall => {
                "Real time on the machine named below. Whatever else the machine did is in the \
                 values too, so look at the spread before you believe a small difference."
            }
            Self::VirtualTime => {
                "Emulated processors that are kept in step with one another by the instructions \
                 they execute, with a set price for each kernel crossing. It can show more \
                 processors than the host has. It does not price cache lines and interrupts that \
                 move between processors."
            }
            Self::Counts => {
                "Events counted while the workload ran. There is no time in these values, so they \
                 say how much was done, not how fast."
            }
        }
    }
}

/// The machine measured on; for an emulated one, the emulated one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Processors online.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Distribution or image.
    pub os: String,
    /// What runs it: `kvm`, `tcg`, or `none` for bare hardware.
    pub accel: String,
}

/// The kernel measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: String,
    /// Name of the configuration.
    pub config: String,
    /// The boot command line.
    pub commandline: String,
}

/// The samples of one metric of one workload under one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Heading of the figure that the run belongs to, where the workload's
    /// name is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
    /// What was run, such as `nginx-1k`.
    pub workload: String,
    /// The load, such as `connections`: 64. The same names for every variant;
    /// what a variant does differently belongs in [`Run::variant`].
    #[serde(default)]
    pub parameters: BTreeMap<String, f64>,
    /// What is compared, such as `default`, `nopush` or `inline`.
    pub variant: String,
    /// Whether this variant is one that the others have to beat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<bool>,
    /// What was measured, such as `throughput`, `server_cpu` or `crossings`.
    pub metric: String,
    /// Base unit of the samples, such as `requests/second`.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
    /// The raw values: at least one, each finite and not negative.
    pub samples: Vec<f64>,
}

impl Run {
    /// Median and range of the samples; `None` if they are not valid.
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.samples)
    }
}

/// Which direction of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Better {
    /// `higher is better` or `lower is better`.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Higher => "higher is better",
            Self::Lower => "lower is better",
        }
    }
}

/// What is wrong with the contents of a results file.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Invalid(String);

/// What can go wrong with a results file.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// It cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not JSON of the right shape.
    #[error("{} is not a results file", .file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error(
        "{} has schema version {found}, but this program supports version {} only: \
         use the bench-report that belongs to the program that wrote it",
        .file.display(),
        SCHEMA
    )]
    Schema {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Its contents make no sense.
    #[error("{} is not valid", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Invalid,
    },
    /// A directory without results.
    #[error("no *.json in {}: name results files, or the directory that holds them", .0.display())]
    NoFiles(PathBuf),
}

/// The part of a results file that every version has.
#[derive(Deserialize)]
struct Versioned {
    schema: u64,
}

impl Results {
    /// Reads and checks `file`.
    ///
    /// # Errors
    ///
    /// [`ResultsError`]; it names the file.
    pub fn load(file: &Path) -> Result<Self, ResultsError> {
        let text = fs::read_to_string(file).map_err(|source| ResultsError::Read {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Reads and checks `text`, the contents of `file`.
    ///
    /// # Errors
    ///
    /// [`ResultsError`]; it names the file.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ResultsError> {
        let malformed = |source| ResultsError::Parse {
            file: file.to_owned(),
            source,
        };
        // The version first: a newer file may have any other shape.
        let found = serde_json::from_str::<Versioned>(text)
            .map_err(malformed)?
            .schema;
        if found != u64::from(SCHEMA) {
            return Err(ResultsError::Schema {
                file: file.to_owned(),
                found,
            });
        }
        let results: Self = serde_json::from_str(text).map_err(malformed)?;
        results.validate().map_err(|source| ResultsError::Invalid {
            file: file.to_owned(),
            source,
        })?;
        Ok(results)
    }

    /// Checks, then writes to `file`: a reader sees all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`ResultsError`]; it names the file.
    pub fn save(&self, file: &Path) -> Result<(), ResultsError> {
        self.validate().map_err(|source| ResultsError::Invalid {
            file: file.to_owned(),
            source,
        })?;
        let failed = |source| ResultsError::Write {
            file: file.to_owned(),
            source,
        };
        let mut text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        text.push('\n');
        write_atomically(file, text.as_bytes()).map_err(failed)
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// [`Invalid`]; it names the first run that is wrong and what is wrong with it.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.schema != SCHEMA {
            let found = self.schema;
            return Err(Invalid(format!("schema is {found}, not {SCHEMA}")));
        }
        if self.title.trim().is_empty() {
            return Err(Invalid("title is empty".to_owned()));
        }
        if !is_timestamp(&self.created) {
            return Err(Invalid(format!(
                "created is {:?}, not a UTC time such as 2026-01-31T12:00:00Z",
                self.created
            )));
        }
        if self.runs.is_empty() {
            return Err(Invalid("there are no runs".to_owned()));
        }
        for (index, run) in self.runs.iter().enumerate() {
            run.validate().map_err(|problem| {
                Invalid(format!(
                    "runs[{index}] ({}, {}, {}): {problem}",
                    run.workload, run.variant, run.metric
                ))
            })?;
        }
        Ok(())
    }
}

impl Run {
    fn validate(&self) -> Result<(), String> {
        let texts = [
            ("workload", &self.workload),
            ("variant", &self.variant),
            ("metric", &self.metric),
            ("unit", &self.unit),
        ];
        if let Some((name, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(format!("{name} is empty"));
        }
        if let Some((name, value)) = self.parameters.iter().find(|(_, v)| !v.is_finite()) {
            return Err(format!("parameter {name} is {value}"));
        }
        if self.samples.is_empty() {
            return Err("there are no samples".to_owned());
        }
        match self.samples.iter().find(|s| !s.is_finite() || **s < 0.0) {
            Some(sample) => Err(format!(
                "sample {sample} is not a finite number of at least 0"
            )),
            None => Ok(()),
        }
    }
}

/// The files that `paths` name: files as they are, directories as the `*.json`
/// in them, sorted, each once.
///
/// # Errors
///
/// [`ResultsError`] if a path does not exist or a directory has no results.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ResultsError> {
    let mut found = BTreeSet::new();
    for path in paths {
        let failed = |source| ResultsError::Read {
            file: path.clone(),
            source,
        };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            found.insert(path.clone());
            continue;
        }
        let mut empty = true;
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                found.insert(file);
                empty = false;
            }
        }
        if empty {
            return Err(ResultsError::NoFiles(path.clone()));
        }
    }
    Ok(found.into_iter().collect())
}

/// Writes `bytes` beside `file`, then renames: `file` is never half written.
pub(crate) fn write_atomically(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        // The umask still applies; without this only the owner could read it.
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../tests/data/sample.json");

    fn sample() -> Results {
        Results::parse(Path::new("sample.json"), SAMPLE).unwrap()
    }

    #[test]
    fn saved_results_load_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("results.json");
        sample().save(&file).unwrap();
        assert_eq!(Results::load(&file).unwrap(), sample());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o400, 0o400);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unknown_version_names_file_and_versions() {
        let text = r#"{"schema": 7, "anything": "else"}"#;
        let error = Results::parse(Path::new("new.json"), text).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("new.json"), "{text}");
        assert!(text.contains("version 7"), "{text}");
        assert!(text.contains("supports version 1"), "{text}");
    }

    #[test]
    fn bad_samples_are_refused() {
        for samples in [vec![], vec![f64::NAN], vec![f64::INFINITY], vec![-1.0]] {
            let mut results = sample();
            results.runs[1].samples = samples;
            let text = results.validate().unwrap_err().to_string();
            assert!(text.starts_with("runs[1] (nginx-1k,"), "{text}");
            assert!(results.save(Path::new("/nowhere/x.json")).is_err());
        }
    }

    #[test]
    fn empty_texts_are_refused() {
        let mut results = sample();
        results.runs[0].unit.clear();
        let text = results.validate().unwrap_err().to_string();
        assert!(text.ends_with("unit is empty"), "{text}");
        results = sample();
        results.created = "yesterday".to_owned();
        assert!(results.validate().is_err());
        results = sample();
        results.runs.clear();
        assert!(results.validate().is_err());
    }

    #[test]
    fn misspelt_fields_are_refused() {
        let text = SAMPLE.replacen("\"baseline\"", "\"base_line\"", 1);
        assert!(Results::parse(Path::new("x.json"), &text).is_err());
    }

    #[test]
    fn directories_stand_for_their_results() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        assert!(matches!(
            files(std::slice::from_ref(&path)),
            Err(ResultsError::NoFiles(_))
        ));
        fs::write(path.join("b.json"), "").unwrap();
        fs::write(path.join("a.json"), "").unwrap();
        fs::write(path.join("notes.txt"), "").unwrap();
        let found = files(std::slice::from_ref(&path)).unwrap();
        assert_eq!(found, [path.join("a.json"), path.join("b.json")]);
        assert!(files(&[path.join("absent")]).is_err());
    }
}
