// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the suites print, as results.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ktap::{self, Outcome, TestResult};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// The Test Anything Protocol.
    Tap,
    /// Lines that begin with `[ok]:`, `[err]:` and so on.
    Redis,
}

/// Results of one file of tests.
///
/// A test whose name comes several times passes if it passes every time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// By name.
    pub tests: BTreeMap<String, Verdict>,
    /// Why it did not come to its end; none: it did.
    pub broken: Option<String>,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passed.
    Pass,
    /// It did not run.
    Skip,
    /// It failed; with what there is to say about it.
    Fail(String),
}

impl File {
    /// Number of tests that passed.
    pub fn passed(&self) -> usize {
        let passed = |verdict: &&Verdict| **verdict == Verdict::Pass;
        self.tests.values().filter(passed).count()
    }

    fn add(&mut self, name: String, verdict: Verdict) {
        let known = self.tests.entry(name).or_insert(Verdict::Skip);
        if !matches!(known, Verdict::Fail(_)) && verdict != Verdict::Skip {
            *known = verdict;
        }
    }

    fn take(&mut self, result: TestResult) {
        let name = match result.name.as_str() {
            "" => "(no name)".to_string(),
            name => name.to_string(),
        };
        let verdict = match result.outcome {
            Outcome::Pass => Verdict::Pass,
            Outcome::Skip(_) => Verdict::Skip,
            Outcome::Fail(detail) => Verdict::Fail(detail),
        };
        self.add(name, verdict);
    }
}

/// Reads what the guest's script prints.
#[derive(Debug)]
pub struct Reader {
    syntax: Syntax,
    limit: u64,
    current: Option<(File, Parser)>,
}

#[derive(Debug)]
enum Parser {
    Tap(ktap::Parser),
    /// The test whose failure is being explained.
    Redis(Option<TestResult>),
}

impl Reader {
    /// `limit` is the time that a file may take, in seconds.
    pub fn new(syntax: Syntax, limit: u64) -> Reader {
        Reader {
            syntax,
            limit,
            current: None,
        }
    }

    /// Takes a line; returns the file that it completes.
    pub fn line(&mut self, line: &str) -> Option<File> {
        if let Some(name) = line.strip_prefix("suite: begin ") {
            let unfinished = self.end();
            let file = File {
                name: name.to_string(),
                ..File::default()
            };
            let parser = match self.syntax {
                Syntax::Tap => Parser::Tap(ktap::Parser::default()),
                Syntax::Redis => Parser::Redis(None),
            };
            self.current = Some((file, parser));
            return unfinished;
        }
        if let Some(status) = line.strip_prefix("suite: end ") {
            let mut file = self.close()?;
            file.broken = broken(status, self.limit, &file).or(file.broken);
            return Some(file);
        }
        let (file, parser) = self.current.as_mut()?;
        match parser {
            Parser::Tap(parser) => {
                for result in parser.line(line) {
                    file.take(result);
                }
            }
            Parser::Redis(failed) => redis_line(file, failed, line),
        }
        None
    }

    /// The file that was running when the guest ended, if any.
    pub fn end(&mut self) -> Option<File> {
        let mut file = self.close()?;
        file.broken = Some("the guest ended".to_string());
        Some(file)
    }

    fn close(&mut self) -> Option<File> {
        let (mut file, parser) = self.current.take()?;
        match parser {
            Parser::Tap(mut parser) => {
                if let Some(result) = parser.complete() {
                    file.take(result);
                }
                file.broken = parser.missing();
            }
            Parser::Redis(failed) => {
                if let Some(result) = failed {
                    file.take(result);
                }
            }
        }
        Some(file)
    }
}

/// What an exit status says, besides that tests failed.
fn broken(status: &str, limit: u64, file: &File) -> Option<String> {
    match status {
        "0" => None,
        "124" | "137" => Some(format!("ran into its time limit of {limit} s")),
        _ if file
            .tests
            .values()
            .any(|verdict| matches!(verdict, Verdict::Fail(_))) =>
        {
            None
        }
        status => Some(format!("ended with status {status}")),
    }
}

fn redis_line(file: &mut File, failed: &mut Option<TestResult>, line: &str) {
    let marked = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "));
    let Some((mark, rest)) = marked else {
        if let Some(TestResult {
            outcome: Outcome::Fail(detail),
            ..
        }) = failed
        {
            detail.push_str(line);
            detail.push('\n');
        }
        return;
    };
    if let Some(result) = failed.take() {
        file.take(result);
    }
    match mark {
        "ok" => {
            // "name (12 ms)"
            let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
            file.add(name.to_string(), Verdict::Pass);
        }
        "skip" => file.add(rest.to_string(), Verdict::Skip),
        "ignore" => {
            // "name: why"; of a whole group of tests only why.
            if let Some((name, _)) = rest.rsplit_once(": ") {
                file.add(name.to_string(), Verdict::Skip);
            }
        }
        "err" | "exception" => {
            let name = rest
                .rsplit_once(" in tests/")
                .map_or(rest, |(name, _)| name);
            *failed = Some(TestResult {
                name: name.to_string(),
                outcome: Outcome::Fail(String::new()),
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(syntax: Syntax, text: &str) -> Vec<File> {
        let mut reader = Reader::new(syntax, 9);
        let mut files: Vec<File> = text.lines().filter_map(|line| reader.line(line)).collect();
        files.extend(reader.end());
        files
    }

    fn fail(detail: &str) -> Verdict {
        Verdict::Fail(detail.to_string())
    }

    #[test]
    fn redis() {
        let text = "\
suite: begin unit/dump
Starting test server at port 21079
[ready]: 827
Testing unit/dump
[ok]: DUMP (of a key) (0 ms)
[err]: RESTORE fails in tests/unit/dump.tcl
Expected 'a' to equal 'b'
[ok]: MIGRATE (7 ms)
[ignore]: Large one: large memory flag not provided
[ignore]: large memory flag not provided
[skip]: left out
[1/1 done]: unit/dump (3 seconds)
*** [err]: RESTORE fails in tests/unit/dump.tcl
suite: end 1
suite: begin unit/auth
[exception]: Executing test client: couldn't open socket.
 while executing
suite: end 1
suite: begin unit/quit
suite: end 124
";
        let files = read(Syntax::Redis, text);
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["unit/dump", "unit/auth", "unit/quit"]);
        let tests = &files[0].tests;
        assert_eq!(tests["DUMP (of a key)"], Verdict::Pass);
        assert_eq!(tests["RESTORE fails"], fail("Expected 'a' to equal 'b'\n"));
        assert_eq!(tests["Large one"], Verdict::Skip);
        assert_eq!(tests["left out"], Verdict::Skip);
        assert_eq!((tests.len(), files[0].passed()), (5, 2));
        assert_eq!(files[0].broken, None);
        assert_eq!(
            files[1].tests["Executing test client: couldn't open socket."],
            fail(" while executing\n")
        );
        let why = files[2].broken.as_deref();
        assert_eq!(why, Some("ran into its time limit of 9 s"));
    }

    #[test]
    fn tap() {
        let text = "\
suite: begin cas
1..5
ok 1 - stored
ok 2
not ok 3 - stored
#   Failed test 'stored'
ok 4 - tls # skip no TLS
ok 5 - stored
suite: end 1
suite: begin quit
1..2
ok 1 - one
suite: end 0
suite: begin proxy
1..0 # SKIP not built
suite: end 0
suite: begin stats
ok 1 - one
";
        let files = read(Syntax::Tap, text);
        let tests = &files[0].tests;
        assert_eq!(tests["stored"], fail("Failed test 'stored'"));
        assert_eq!(tests["(no name)"], Verdict::Pass);
        assert_eq!(tests["tls"], Verdict::Skip);
        assert_eq!(files[0].broken, None);
        let why = files[1].broken.as_deref();
        assert_eq!(why, Some("2 tests were planned, 1 ran"));
        assert_eq!(
            (files[2].tests.len(), files[2].broken.as_deref()),
            (0, None)
        );
        assert_eq!(files[3].broken.as_deref(), Some("the guest ended"));
    }
}
