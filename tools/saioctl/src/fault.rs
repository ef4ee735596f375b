// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is wrong with a TOML file that the user wrote.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

/// Something that is wrong in a file. Displayed it comes directly behind `FILE:`.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1; `None`: no particular one.
    pub line: Option<usize>,
    /// What, beginning with the key if there is one.
    pub text: String,
}

impl Fault {
    /// One at a place of the text.
    pub fn at(text: &str, span: &Range<usize>, what: impl Into<String>) -> Self {
        Self {
            line: Some(line(text, span)),
            text: what.into(),
        }
    }

    /// One of the file as a whole.
    pub fn of_file(what: impl Into<String>) -> Self {
        Self {
            line: None,
            text: what.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}: {}", self.text),
            None => write!(f, " {}", self.text),
        }
    }
}

/// Reads TOML.
///
/// # Errors
///
/// It is none, or has other keys or types.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    toml::from_str(text).map_err(|error| Fault {
        line: error.span().map(|span| line(text, &span)),
        text: error.message().replace('\n', " "),
    })
}

/// The line that a span of the text begins in, counted from 1.
fn line(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|&&b| b == b'\n').count() + 1
}
