// SPDX-License-Identifier: GPL-2.0-or-later

//! The report: a JSON file that is whole at any time.
//!
//! It is written anew for each mark, so a QEMU that is killed leaves all marks
//! that were made. All times are instructions.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::clock::Times;
use crate::options::Options;

/// The version of the format.
const SCHEMA: u32 = 1;

/// The file's contents.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    schema: u32,
    /// Whether QEMU came to its end.
    complete: bool,
    quantum: u64,
    crossing: u64,
    pause: u64,
    /// Quanta that all vCPUs did.
    quanta: u64,
    /// Quanta after which a vCPU went on although it was ahead.
    broken: u64,
    cpus: Vec<CpuReport>,
    /// In the order in which they were made.
    marks: Vec<Mark>,
}

/// How far one vCPU is.
#[derive(Clone, Copy, Debug, Serialize)]
struct CpuReport {
    /// Virtual time: the sum of what it executed and was charged and what it
    /// slept.
    time: u64,
    /// What it slept.
    halted: u64,
    /// Instructions in the kernel's idle code.
    polling: u64,
}

/// One execution of the marker.
#[derive(Clone, Debug, Serialize)]
struct Mark {
    nr: u8,
    /// The vCPU that executed it.
    cpu: usize,
    /// All vCPUs at that time.
    cpus: Vec<CpuReport>,
}

/// What is counted where no lock is: each vCPU has a counter of its own.
pub trait Counters {
    /// Instructions of the quantum that is under way.
    fn quantum(&self, cpu: usize) -> u64;
    /// Instructions in the kernel's idle code.
    fn polling(&self, cpu: usize) -> u64;
}

impl Report {
    /// A report without marks.
    pub fn new(options: &Options) -> Self {
        Self {
            schema: SCHEMA,
            complete: false,
            quantum: options.quantum,
            crossing: options.crossing,
            pause: options.pause,
            quanta: 0,
            broken: 0,
            cpus: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Brings everything but the marks up to date.
    pub fn update(&mut self, times: &Times, counters: &impl Counters) {
        self.quanta = times.quanta();
        self.broken = times.broken();
        let cpus = times.cpus().iter().enumerate();
        self.cpus = cpus
            .map(|(index, cpu)| CpuReport {
                time: cpu.time + counters.quantum(index),
                halted: cpu.halted,
                polling: counters.polling(index),
            })
            .collect();
    }

    /// Adds a mark at the time of the last [`Report::update`].
    pub fn mark(&mut self, nr: u8, cpu: usize) {
        self.marks.push(Mark {
            nr,
            cpu,
            cpus: self.cpus.clone(),
        });
    }

    /// Nothing comes any more.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// Writes it: a reader sees this one or the one before.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut name = OsString::from(file);
        name.push(".new");
        let text = serde_json::to_string(self)? + "\n";
        fs::write(&name, text)?;
        fs::rename(&name, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, PATIENCE};
    use serde_json::{json, Value};

    struct Fixed;

    impl Counters for Fixed {
        fn quantum(&self, cpu: usize) -> u64 {
            cpu as u64 + 1
        }
        fn polling(&self, cpu: usize) -> u64 {
            cpu as u64 * 10
        }
    }

    #[test]
    fn a_report_is_whole_after_each_mark() {
        let options = Options::parse(["report=r", "crossing=7"].into_iter()).unwrap();
        let clock = Clock::new(options.quantum, PATIENCE);
        clock.add(1);
        clock.advance(0, || 100);
        clock.resume(1);
        let mut report = Report::new(&options);
        report.update(&clock.times(), &Fixed);
        report.mark(3, 0);

        let file = std::env::temp_dir().join(format!("vtime-{}.json", std::process::id()));
        report.write(&file).unwrap();
        let read = || serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap();
        let cpus = json!([
            {"time": 101, "halted": 0, "polling": 0},
            {"time": 102, "halted": 100, "polling": 10},
        ]);
        let wanted = json!({
            "schema": 1, "complete": false, "quantum": 10_000, "crossing": 7, "pause": 1,
            "quanta": 1, "broken": 0,
            "cpus": cpus,
            "marks": [{"nr": 3, "cpu": 0, "cpus": cpus}],
        });
        assert_eq!(read(), wanted);

        report.complete();
        report.write(&file).unwrap();
        assert_eq!(read()["complete"], json!(true));
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let options = Options::parse(["report=r"].into_iter()).unwrap();
        assert!(Report::new(&options)
            .write(Path::new("/nowhere/at/all.json"))
            .is_err());
    }
}
