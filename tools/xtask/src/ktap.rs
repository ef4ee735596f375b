// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading KTAP, the output of the tests that run in the guest.

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Pass,
    /// It failed; with what there is to say about it.
    Fail(String),
    /// It did not run; with the reason.
    Skip(String),
}

/// One test's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Name of the test.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// Reads results line by line.
///
/// Diagnostics (`# …`) before or after a failure explain it, so a failure is
/// known only when the next line that is none has come. Subtests are indented
/// and count as part of theirs.
#[derive(Debug, Default)]
pub struct Parser {
    planned: Option<usize>,
    seen: usize,
    running: Option<String>,
    failed: Option<String>,
    notes: Vec<String>,
}

impl Parser {
    /// Takes one line; returns the result that it completes.
    ///
    /// A line that completes a failure and is a pass itself completes two.
    pub fn line(&mut self, line: &str) -> Vec<TestResult> {
        let line = line.trim_end();
        if let Some(note) = line.trim_start().strip_prefix('#') {
            let note = note.trim();
            let Some(name) = note.strip_prefix("running ") else {
                self.notes.push(note.to_string());
                return Vec::new();
            };
            let done = self.complete();
            self.notes.clear();
            self.running = Some(name.to_string());
            return done.into_iter().collect();
        }
        if let Some(planned) = plan_line(line) {
            self.planned = Some(planned);
            return Vec::new();
        }
        let Some((passed, name, directive)) = result_line(line) else {
            return Vec::new();
        };

        let mut done: Vec<TestResult> = self.complete().into_iter().collect();
        self.seen += 1;
        self.running = None;
        if let Some(reason) = skipped(directive) {
            self.notes.clear();
            done.push(TestResult {
                name: name.to_string(),
                outcome: Outcome::Skip(reason.to_string()),
            });
        } else if passed {
            self.notes.clear();
            done.push(TestResult {
                name: name.to_string(),
                outcome: Outcome::Pass,
            });
        } else {
            self.failed = Some(name.to_string());
            if !directive.is_empty() {
                self.notes.push(directive.to_string());
            }
        }
        done
    }

    /// Returns a failure that waits for its last diagnostics.
    pub fn complete(&mut self) -> Option<TestResult> {
        let name = self.failed.take()?;
        let notes = std::mem::take(&mut self.notes);
        Some(TestResult {
            name,
            outcome: Outcome::Fail(notes.join("\n")),
        })
    }

    /// The test that was announced (`# running NAME`) and has no result yet.
    pub fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }

    /// Number of tests that the plan announced, if it is not the number seen.
    pub fn missing(&self) -> Option<String> {
        match self.planned {
            None => Some("no plan (1..N) was printed".to_string()),
            Some(planned) if planned != self.seen => {
                Some(format!("{planned} tests were planned, {} ran", self.seen))
            }
            Some(_) => None,
        }
    }
}

/// How many tests `1..N` announces.
pub fn plan_line(line: &str) -> Option<usize> {
    let count = line.strip_prefix("1..")?.split_whitespace().next()?;
    count.parse().ok()
}

/// The reason of a directive that says that the test was skipped.
pub fn skipped(directive: &str) -> Option<&str> {
    let (word, reason) = directive.split_once(' ').unwrap_or((directive, ""));
    word.eq_ignore_ascii_case("skip").then_some(reason.trim())
}

/// Splits `ok 1 - name # directive`.
pub fn result_line(line: &str) -> Option<(bool, &str, &str)> {
    let (passed, rest) = match line.strip_prefix("ok ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("not ok ")?),
    };
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    number.parse::<u32>().ok()?;
    let (name, directive) = rest.split_once(" #").unwrap_or((rest, ""));
    let name = name.trim().trim_start_matches("- ").trim();
    Some((passed, name, directive.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Vec<TestResult> {
        let mut parser = Parser::default();
        let mut results: Vec<_> = text.lines().flat_map(|line| parser.line(line)).collect();
        results.extend(parser.complete());
        results
    }

    fn fail(notes: &str) -> Outcome {
        Outcome::Fail(notes.to_string())
    }

    #[test]
    fn notes_before_and_after_explain_a_failure() {
        let text = "\
KTAP version 1
1..4
ok 1 batch.mixed
# expected 3
not ok 2 links.chain
# got 4
# running memory.limit
not ok 3 memory.limit
# killed by signal 11
ok 4 - memory.cpus # SKIP needs 2 CPUs
";
        let got = results(text);
        assert_eq!(got.len(), 4);
        assert_eq!(got[0].outcome, Outcome::Pass);
        assert_eq!(got[1].name, "links.chain");
        assert_eq!(got[1].outcome, fail("expected 3\ngot 4"));
        assert_eq!(got[2].outcome, fail("killed by signal 11"));
        assert_eq!(got[3].name, "memory.cpus");
        assert_eq!(got[3].outcome, Outcome::Skip("needs 2 CPUs".to_string()));
    }

    #[test]
    fn a_test_that_never_ended_is_known() {
        let mut parser = Parser::default();
        for line in ["1..2", "# running a", "ok 1 a", "# running b"] {
            parser.line(line);
        }
        assert_eq!(parser.running(), Some("b"));
        assert_eq!(
            parser.missing().as_deref(),
            Some("2 tests were planned, 1 ran")
        );
    }

    #[test]
    fn a_complete_run_misses_nothing() {
        let mut parser = Parser::default();
        for line in ["1..1", "ok 1 a"] {
            parser.line(line);
        }
        assert_eq!(parser.missing(), None);
        assert_eq!(parser.running(), None);
    }

    #[test]
    fn subtests_and_other_output_do_not_count() {
        let text = "KTAP version 1\n1..1\n    ok 1 inner\nokay then\nok 1 outer # time=3\n";
        let got = results(text);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].name, "outer");
        assert_eq!(got[0].outcome, Outcome::Pass);
    }
}
