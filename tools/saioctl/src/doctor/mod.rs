// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl doctor`: whether SAIO works here, and what to do if not.

mod checks;
mod pools;
pub mod probe;
mod system;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::output;

/// Version of the JSON output; changes when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Arguments of `saioctl doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Writes the checks as JSON: name, status, what was seen, and the fix or null
    #[arg(long)]
    json: bool,

    /// The preload library to check [default: as for saioctl run]
    #[arg(long, value_name = "FILE", env = "SAIO_PRELOAD_PATH")]
    preload: Option<PathBuf>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    seen: String,
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, seen: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            seen: seen.into(),
            fix: None,
        }
    }

    fn warn(name: &'static str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Warn,
            seen: seen.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(name: &'static str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Fail,
            seen: seen.into(),
            fix: Some(fix.into()),
        }
    }
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    works: bool,
    checks: Vec<Check>,
}

/// Makes every check and prints the result. Returns the exit status: 0 if nothing failed, 1 otherwise.
///
/// # Errors
///
/// Only if stdout cannot be written; what is wrong with the system is a check's result.
pub fn doctor(args: &DoctorArgs) -> Result<u8> {
    let checks = checks::all(args.preload.as_deref());
    let report = Report {
        schema: SCHEMA,
        works: checks.iter().all(|check| check.status != Status::Fail),
        checks,
    };
    let text = if args.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        human(&report)
    };
    output::print(&text)?;
    Ok(u8::from(!report.works))
}

fn human(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let mark = match check.status {
            Status::Ok => "[ok]  ",
            Status::Warn => "[warn]",
            Status::Fail => "[FAIL]",
        };
        text += &format!("{mark} {:<8} {}\n", check.name, check.seen);
    }
    let first = |status| report.checks.iter().find(|check| check.status == status);
    if let Some(fix) = first(Status::Fail).and_then(|check| check.fix.as_ref()) {
        text += &format!("\nSAIO does not work here. First: {fix}\n");
    } else {
        text += "\nSAIO works here.\n";
        if let Some(fix) = first(Status::Warn).and_then(|check| check.fix.as_ref()) {
            text += &format!("It would be better to: {fix}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: Vec<Check>) -> Report {
        Report {
            schema: SCHEMA,
            works: checks.iter().all(|check| check.status != Status::Fail),
            checks,
        }
    }

    #[test]
    fn first_failure_says_what_to_do() {
        let text = human(&report(vec![
            Check::warn("memlock", "small", "raise it"),
            Check::fail("calls", "ENOSYS", "boot another kernel"),
            Check::fail("ring", "not tried", "see calls"),
        ]));
        assert!(text.contains("[FAIL] calls    ENOSYS\n"));
        assert!(text.ends_with("First: boot another kernel\n"));
    }

    #[test]
    fn all_well() {
        let text = human(&report(vec![Check::ok("calls", "present")]));
        assert!(text.ends_with("SAIO works here.\n"));
    }

    #[test]
    fn json_has_every_key() {
        let json = serde_json::to_value(Check::ok("calls", "present")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"name": "calls", "status": "ok", "seen": "present", "fix": null})
        );
    }
}
