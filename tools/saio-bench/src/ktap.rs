// SPDX-License-Identifier: MIT OR Apache-2.0

//! Test results in the kernel's Test Anything Protocol, version 1.

use std::io::{self, Write};

/// Writer of results.
pub struct Ktap<W> {
    out: W,
    number: usize,
    failed: usize,
}

impl<W: Write> Ktap<W> {
    /// Announces `total` tests.
    ///
    /// # Errors
    ///
    /// `out` cannot be written.
    pub fn start(mut out: W, total: usize) -> io::Result<Self> {
        writeln!(out, "KTAP version 1\n1..{total}")?;
        out.flush()?;
        Ok(Self {
            out,
            number: 0,
            failed: 0,
        })
    }

    /// Writes diagnostic lines.
    ///
    /// # Errors
    ///
    /// `out` cannot be written.
    pub fn comment(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            writeln!(self.out, "# {line}")?;
        }
        self.out.flush()
    }

    /// Writes the result of the next test; `problem` says why it failed.
    ///
    /// # Errors
    ///
    /// `out` cannot be written.
    pub fn result(&mut self, name: &str, problem: Option<&str>) -> io::Result<()> {
        self.number += 1;
        if let Some(problem) = problem {
            self.failed += 1;
            self.comment(problem)?;
        }
        let verdict = if problem.is_none() { "ok" } else { "not ok" };
        writeln!(self.out, "{verdict} {} {name}", self.number)?;
        self.out.flush()
    }

    /// Writes that the next test was not run, and why.
    ///
    /// # Errors
    ///
    /// `out` cannot be written.
    pub fn skip(&mut self, name: &str, reason: &str) -> io::Result<()> {
        self.number += 1;
        writeln!(self.out, "ok {} {name} # SKIP {reason}", self.number)?;
        self.out.flush()
    }

    /// Number of tests that failed so far.
    pub fn failed(&self) -> usize {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut text = Vec::new();
        let mut ktap = Ktap::start(&mut text, 3).unwrap();
        ktap.comment("seed 1").unwrap();
        ktap.result("a.b", None).unwrap();
        ktap.result("a.c", Some("one\ntwo")).unwrap();
        ktap.skip("a.d", "no disk").unwrap();
        assert_eq!(ktap.failed(), 1);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "KTAP version 1\n1..3\n# seed 1\nok 1 a.b\n# one\n# two\nnot ok 2 a.c\nok 3 a.d # SKIP no disk\n"
        );
    }
}
