// SPDX-License-Identifier: MIT OR Apache-2.0

//! Values of a file that describes figures: what is wrong is said with file, line, key and the fix.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::Spanned;

/// A file that cannot be used.
#[derive(Debug, Error)]
pub enum Bad {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Read {
        /// The file
        file: PathBuf,
        /// What the system says
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {problem}", .file.display())]
    Content {
        /// The file
        file: PathBuf,
        /// The line, from 1
        line: usize,
        /// The key, what is wrong, and the fix
        problem: String,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    Missing(String),
}

/// A list whose values have places.
pub type List<T> = Option<Spanned<Vec<Spanned<T>>>>;

/// Where the text is from.
pub struct Place<'a> {
    /// The file
    pub file: &'a Path,
    /// All of it
    pub text: &'a str,
}

impl Place<'_> {
    /// What is wrong at a place.
    pub fn bad(&self, span: &Range<usize>, problem: String) -> Bad {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        Bad::Content {
            file: self.file.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            problem,
        }
    }

    /// The line that a place is in.
    pub fn line_at(&self, span: &Range<usize>) -> &str {
        let start = span.start.min(self.text.len());
        let begin = self.text[..start].rfind('\n').map_or(0, |end| end + 1);
        self.text[begin..].lines().next().unwrap_or_default().trim()
    }
}

/// Reads one figure.
pub struct Reader<'a> {
    /// Where the figure is from
    pub place: &'a Place<'a>,
    /// Where it is there
    pub span: Range<usize>,
}

impl Reader<'_> {
    /// Refuses what is at a place.
    pub fn bad<T>(&self, span: &Range<usize>, problem: String) -> Result<T, Bad> {
        Err(self.place.bad(span, problem))
    }

    /// A value that is not there and has to be.
    pub fn missing<T>(&self, key: &str, fix: &str) -> Result<T, Bad> {
        self.bad(&self.span, format!("{key} is missing: {fix}"))
    }

    /// The place of a value among names.
    pub fn one_of(&self, key: &str, value: &Spanned<String>, names: &[&str]) -> Result<usize, Bad> {
        let found = names.iter().position(|name| name == value.get_ref());
        match found {
            Some(index) => Ok(index),
            None => {
                let problem = format!("{key} = {:?}: use {}", value.get_ref(), names.join(", "));
                self.bad(&value.span(), problem)
            }
        }
    }

    /// The places of a list's values among names, each once.
    pub fn chosen(
        &self,
        key: &str,
        list: &List<String>,
        names: &[&str],
    ) -> Result<Vec<usize>, Bad> {
        let Some(list) = list else {
            return self.missing(key, &format!("name some of {}", names.join(", ")));
        };
        let mut chosen = Vec::new();
        for value in list.get_ref() {
            let index = self.one_of(key, value, names)?;
            if chosen.contains(&index) {
                let problem = format!("{key}: {:?} is there twice", value.get_ref());
                return self.bad(&value.span(), problem);
            }
            chosen.push(index);
        }
        match chosen.is_empty() {
            true => self.bad(&list.span(), format!("{key} is empty: give a value")),
            false => Ok(chosen),
        }
    }

    /// A number in a range.
    pub fn number(
        &self,
        key: &str,
        value: &Spanned<i64>,
        range: RangeInclusive<i64>,
    ) -> Result<i64, Bad> {
        let number = *value.get_ref();
        if range.contains(&number) {
            return Ok(number);
        }
        let (least, most) = range.into_inner();
        self.bad(
            &value.span(),
            format!("{key}: {number}: give {least} to {most}"),
        )
    }

    /// Numbers from 1 on; 1 if the file names none.
    pub fn numbers(&self, key: &str, list: &List<i64>, most: i64) -> Result<Vec<u32>, Bad> {
        let Some(list) = list else {
            return Ok(vec![1]);
        };
        if list.get_ref().is_empty() {
            return self.bad(&list.span(), format!("{key} is empty: give a value"));
        }
        let number = |value| Ok(self.number(key, value, 1..=most)? as u32);
        list.get_ref().iter().map(number).collect()
    }
}
