// SPDX-License-Identifier: MIT OR Apache-2.0

//! What passes without SAIO and fails with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::output::{File, Verdict};

/// Stands for a test: that the file comes to its end.
const END: &str = "(comes to its end)";

/// How a test ended in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passed,
    Failed,
    Skipped,
}

/// A test that is not there passed if its file came to its end: some names and
/// numbers of tests are random.
fn state(file: &File, test: &str) -> State {
    match file.tests.get(test) {
        Some(Verdict::Pass) => State::Passed,
        Some(Verdict::Skip) => State::Skipped,
        Some(Verdict::Fail(_)) => State::Failed,
        None if file.broken.is_some() => State::Failed,
        None => State::Passed,
    }
}

/// Names of the tests of a file that do not end with SAIO as without.
fn differences(without: &File, with: &File) -> Vec<String> {
    let mut names: BTreeSet<&str> = without.tests.keys().map(String::as_str).collect();
    names.extend(with.tests.keys().map(String::as_str));
    names.insert(END);
    let differs = |test: &&str| match (state(without, test), state(with, test)) {
        (State::Failed, _) => false,
        (_, State::Failed) => true,
        (before, State::Skipped) => before == State::Passed,
        (_, State::Passed) => false,
    };
    names
        .into_iter()
        .filter(differs)
        .map(str::to_string)
        .collect()
}

/// A test that failed with SAIO and not without, when it was first looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// Its file of tests.
    pub file: String,
    /// Its name.
    pub test: String,
    /// What was said about the failure.
    pub detail: String,
    /// Runs of it, and how many of them passed: without SAIO.
    pub without: Tally,
    /// With SAIO.
    pub with: Tally,
}

/// Runs of a test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    /// All of them.
    pub runs: u32,
    /// Those that passed.
    pub passed: u32,
}

impl Tally {
    fn count(&mut self, state: State) {
        self.runs += 1;
        self.passed += u32::from(state == State::Passed);
    }
}

impl Suspect {
    /// Whether it never passed with SAIO. It passed without at least once, or it
    /// would be no suspect.
    pub fn fails(&self) -> bool {
        self.with.passed == 0
    }

    fn count(&mut self, without: &File, with: &File) {
        self.without.count(state(without, &self.test));
        self.with.count(state(with, &self.test));
    }
}

/// All differences between two runs of the same files.
pub fn suspects(without: &[File], with: &[File]) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (before, after) in without.iter().zip(with) {
        for test in differences(before, after) {
            let detail = match after.tests.get(&test) {
                Some(Verdict::Fail(detail)) => detail.trim_end().to_string(),
                Some(Verdict::Skip) => "was left out".to_string(),
                _ => after.broken.clone().unwrap_or_default(),
            };
            let mut suspect = Suspect {
                file: after.name.clone(),
                test,
                detail,
                without: Tally::default(),
                with: Tally::default(),
            };
            suspect.count(before, after);
            suspects.push(suspect);
        }
    }
    suspects
}

/// Counts another two runs of files with suspects.
pub fn again(suspects: &mut [Suspect], without: &[File], with: &[File]) {
    for (before, after) in without.iter().zip(with) {
        for suspect in suspects.iter_mut().filter(|one| one.file == after.name) {
            suspect.count(before, after);
        }
    }
}

/// Files of which a test still seems to fail with SAIO only.
pub fn unsettled(suspects: &[Suspect]) -> Vec<String> {
    let files: BTreeSet<&String> = suspects
        .iter()
        .filter(|suspect| suspect.fails())
        .map(|suspect| &suspect.file)
        .collect();
    files.into_iter().cloned().collect()
}

/// The results in the order of `names`; files that were not reached are broken.
pub fn complete(names: &[String], files: Vec<File>) -> Vec<File> {
    let mut known: BTreeMap<String, File> = files
        .into_iter()
        .map(|file| (file.name.clone(), file))
        .collect();
    let file = |name: &String| {
        known.remove(name).unwrap_or_else(|| File {
            name: name.clone(),
            broken: Some("the guest ended before it".to_string()),
            ..File::default()
        })
    };
    names.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tests: &[(&str, Verdict)], broken: Option<&str>) -> File {
        File {
            name: "f".to_string(),
            tests: tests
                .iter()
                .map(|(name, verdict)| (name.to_string(), verdict.clone()))
                .collect(),
            broken: broken.map(str::to_string),
        }
    }

    fn fail() -> Verdict {
        Verdict::Fail("why\n".to_string())
    }

    #[test]
    fn only_what_passes_without_counts() {
        let without = file(
            &[
                ("good", Verdict::Pass),
                ("bad", fail()),
                ("left out", Verdict::Skip),
                ("random 1", Verdict::Pass),
                ("lost", Verdict::Pass),
            ],
            None,
        );
        let with = file(
            &[
                ("good", fail()),
                ("bad", fail()),
                ("left out", fail()),
                ("random 2", fail()),
                ("lost", Verdict::Skip),
            ],
            None,
        );
        let names = differences(&without, &with);
        assert_eq!(names, ["good", "left out", "lost", "random 2"]);
        assert_eq!(differences(&with, &without), [""; 0]);
    }

    #[test]
    fn a_file_that_does_not_end_loses_its_tests() {
        let without = file(&[("a", Verdict::Pass), ("b", Verdict::Pass)], None);
        let with = file(&[("a", Verdict::Pass)], Some("hung"));
        assert_eq!(differences(&without, &with), [END, "b"]);
        assert_eq!(differences(&with, &without), [""; 0]);
        let suspects = suspects(&[without], &[with]);
        assert_eq!(suspects[0].detail, "hung");
    }

    #[test]
    fn a_test_that_passes_once_is_unstable() {
        let good = [file(&[("a", Verdict::Pass)], None)];
        let bad = [file(&[("a", fail())], None)];
        let mut found = suspects(&good, &bad);
        assert_eq!(found[0].detail, "why");
        assert_eq!(unsettled(&found), ["f"]);
        again(&mut found, &good, &bad);
        assert!(found[0].fails());
        again(&mut found, &good, &good);
        assert!(!found[0].fails());
        assert_eq!(unsettled(&found), [""; 0]);
        assert_eq!(found[0].with, Tally { runs: 3, passed: 1 });

        // That it fails without now and then is no excuse.
        let mut other = suspects(&good, &bad);
        again(&mut other, &bad, &bad);
        assert!(other[0].fails());
    }

    #[test]
    fn files_that_were_not_reached_are_broken() {
        let names = ["e", "f"].map(str::to_string);
        let files = complete(&names, vec![file(&[], None)]);
        assert!(files[0].broken.is_some());
        assert_eq!(files[1], file(&[], None));
    }
}
