// SPDX-License-Identifier: GPL-2.0-or-later

//! The plugin's arguments.
//!
//! | argument | meaning |
//! |---|---|
//! | `report=FILE` | where the report goes |
//! | `switch=START-END` | addresses of the kernel's `__switch_to_asm`, hexadecimal |
//!
//! Both must be given.

use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

/// What the arguments say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Addresses of the code with which the guest's kernel switches stacks.
    pub switch: Range<u64>,
    /// Where the report goes.
    pub report: PathBuf,
}

/// What is wrong with the arguments.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadOption {
    /// No argument has this name.
    #[error("{0}: there is no such argument; there are report and switch")]
    Unknown(String),
    /// A value cannot be used.
    #[error("switch={0}: not two hexadecimal addresses with a - between them")]
    Switch(String),
    /// One that is needed.
    #[error("{0} is missing")]
    Missing(&'static str),
}

impl Options {
    /// Reads `NAME=VALUE` texts.
    ///
    /// # Errors
    ///
    /// [`BadOption`]; it names the argument.
    pub fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Self, BadOption> {
        let (mut report, mut switch) = (None, None);
        for argument in arguments {
            match argument.split_once('=') {
                Some(("report", file)) if !file.is_empty() => report = Some(PathBuf::from(file)),
                Some(("switch", range)) => {
                    let range = addresses(range).ok_or(BadOption::Switch(range.to_owned()))?;
                    switch = Some(range);
                }
                _ => return Err(BadOption::Unknown(argument.to_owned())),
            }
        }
        Ok(Self {
            switch: switch.ok_or(BadOption::Missing("switch=START-END"))?,
            report: report.ok_or(BadOption::Missing("report=FILE"))?,
        })
    }
}

fn addresses(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    let range = address(start)?..address(end)?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, BadOption> {
        Options::parse(text.split_whitespace())
    }

    #[test]
    fn both_are_read() {
        let options = parse("switch=ffffffff81000000-ffffffff81000100 report=r").unwrap();
        assert_eq!(options.switch, 0xffff_ffff_8100_0000..0xffff_ffff_8100_0100);
        assert_eq!(options.report, PathBuf::from("r"));
    }

    #[test]
    fn bad_ones_are_named() {
        for (text, word) in [
            ("report=r", "switch=START-END"),
            ("switch=10-20", "report=FILE"),
            ("report=r switch=12", "switch=12"),
            ("report=r switch=20-10", "switch=20-10"),
            ("switch=10-20 report=", "report="),
            ("report=r switch=10-20 quantum=7", "quantum=7"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
