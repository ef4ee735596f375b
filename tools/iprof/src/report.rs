// SPDX-License-Identifier: GPL-2.0-or-later

//! The report: a line of JSON for the version, and one for each interval
//! between two marks, written when it ends.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// The version of the format.
const SCHEMA: u32 = 1;

/// What was executed between two marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// The number of the first mark.
    pub begin: u8,
    /// The number of the second.
    pub end: u8,
    /// The task that made the second.
    pub marked_by: u64,
    /// All tasks that ran.
    pub tasks: Vec<Task>,
}

/// What one task executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// An address that is the task's own.
    pub task: u64,
    /// Addresses of instructions, rising, and how often each was executed.
    pub counts: Vec<(u64, u64)>,
}

/// The file that is written.
#[derive(Debug)]
pub struct Report(File);

impl Report {
    /// Makes the file, with its first line.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn create(file: &Path) -> io::Result<Self> {
        let mut file = File::create(file)?;
        writeln!(file, "{}", serde_json::json!({ "schema": SCHEMA }))?;
        Ok(Self(file))
    }

    /// Adds an interval.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn add(&mut self, interval: &Interval) -> io::Result<()> {
        let line = serde_json::to_string(interval)? + "\n";
        self.0.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_line_for_each_interval() {
        let path = std::env::temp_dir().join(format!("iprof-{}.jsonl", std::process::id()));
        let mut report = Report::create(&path).unwrap();
        let interval = Interval {
            begin: 1,
            end: 2,
            marked_by: 9,
            tasks: vec![Task {
                task: u64::MAX,
                counts: vec![(16, 3)],
            }],
        };
        report.add(&interval).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"schema\":1}\n{\"begin\":1,\"end\":2,\"marked_by\":9,\
             \"tasks\":[{\"task\":18446744073709551615,\"counts\":[[16,3]]}]}\n"
        );
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        assert!(Report::create(Path::new("/nowhere/at/all")).is_err());
    }
}
