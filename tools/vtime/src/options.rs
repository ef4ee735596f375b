// SPDX-License-Identifier: GPL-2.0-or-later

//! The plugin's arguments.
//!
//! | argument | meaning | default |
//! |---|---|---|
//! | `report=FILE` | where the report goes | none, it must be given |
//! | `quantum=N` | instructions that a vCPU may be ahead | 10000 |
//! | `crossing=N` | instructions that each `syscall` adds | 0 |
//! | `pause=N` | instructions that a `pause` counts as | 1 |
//! | `polling=START-END` | addresses of the kernel's idle code, hexadecimal | none |

use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

/// What the arguments say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Instructions that a vCPU may be ahead of another.
    pub quantum: u64,
    /// Instructions that are added for each `syscall`.
    pub crossing: u64,
    /// Instructions that a `pause` counts as.
    pub pause: u64,
    /// Addresses of the guest kernel's idle code; empty if not known.
    pub polling: Range<u64>,
    /// Where the report goes.
    pub report: PathBuf,
}

/// What is wrong with the arguments.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadOption {
    /// No argument has this name.
    #[error(
        "{0}: there is no such argument; there are quantum, crossing, pause, polling and report"
    )]
    Unknown(String),
    /// A value cannot be used.
    #[error("{name}={value}: {wanted}")]
    Value {
        /// The argument.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The report has no place.
    #[error("report=FILE is missing")]
    NoReport,
}

impl Options {
    /// Reads `NAME=VALUE` texts.
    ///
    /// # Errors
    ///
    /// [`BadOption`]; it names the argument.
    pub fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Self, BadOption> {
        let mut quantum = 10_000;
        let mut crossing = 0;
        let mut pause = 1;
        let mut polling = 0..0;
        let mut report = None;
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            let bad = |name, wanted| BadOption::Value {
                name,
                value: value.to_owned(),
                wanted,
            };
            match name {
                "quantum" => {
                    let wanted = "not a number of instructions from 100 to 100000000";
                    quantum = number(value, 100..=100_000_000).ok_or(bad("quantum", wanted))?;
                }
                "crossing" => {
                    let wanted = "not a number of instructions from 0 to 1000000";
                    crossing = number(value, 0..=1_000_000).ok_or(bad("crossing", wanted))?;
                }
                "pause" => {
                    let wanted = "not a number of instructions from 1 to 1000";
                    pause = number(value, 1..=1000).ok_or(bad("pause", wanted))?;
                }
                "polling" => {
                    let wanted = "not two hexadecimal addresses with a - between them";
                    polling = addresses(value).ok_or(bad("polling", wanted))?;
                }
                "report" if value.is_empty() => return Err(bad("report", "not a file")),
                "report" => report = Some(PathBuf::from(value)),
                _ => return Err(BadOption::Unknown(argument.to_owned())),
            }
        }
        Ok(Self {
            quantum,
            crossing,
            pause,
            polling,
            report: report.ok_or(BadOption::NoReport)?,
        })
    }
}

fn number(text: &str, valid: std::ops::RangeInclusive<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| valid.contains(number))
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
    fn defaults() {
        let options = parse("report=/tmp/r.json").unwrap();
        assert_eq!((options.quantum, options.crossing), (10_000, 0));
        assert_eq!(options.pause, 1);
        assert!(options.polling.is_empty());
    }

    #[test]
    fn all_of_them() {
        let text = "quantum=500 crossing=1000 pause=40 \
            polling=ffffffff81000000-ffffffff81000100 report=r";
        let options = parse(text).unwrap();
        assert_eq!((options.quantum, options.crossing), (500, 1000));
        assert_eq!(options.pause, 40);
        assert!(options.polling.contains(&0xffff_ffff_8100_00ff));
        assert!(!options.polling.contains(&0xffff_ffff_8100_0100));
        assert_eq!(options.report, PathBuf::from("r"));
    }

    #[test]
    fn bad_ones_are_named() {
        for (text, word) in [
            ("report=r quantum=0", "quantum=0"),
            ("report=r quantum=many", "quantum=many"),
            ("report=r crossing=-1", "crossing=-1"),
            ("report=r crossing", "crossing="),
            ("report=r pause=0", "pause=0"),
            ("report=r polling=12", "polling=12"),
            ("report=r polling=20-10", "polling=20-10"),
            ("report=", "report="),
            ("report=r sys=7", "sys=7"),
            ("quantum=1000", "report=FILE"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
