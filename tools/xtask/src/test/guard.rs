// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an entry and a request take, beside what they took before.

use super::{failure, Report};
use crate::guard::{self, Row};
use crate::ktap::Outcome;
use crate::paths::Context;

/// First part of the tests' names.
const GROUP: &str = "guard";

/// Boots once and compares with the reference.
pub fn run(ctx: &Context, report: &mut Report) {
    if !report.may_want(GROUP) {
        return;
    }
    let names = match guard::names(ctx) {
        Ok(names) => names,
        Err(error) => {
            report.record("guard::reference", failure(format!("{error:#}")));
            return;
        }
    };
    let wanted = |name: &String| report.wants(&full(name));
    let wanted: Vec<String> = names.into_iter().filter(wanted).collect();
    if wanted.is_empty() {
        return;
    }
    match guard::report(ctx) {
        Ok(Some(judged)) => {
            for difference in &judged.differences {
                println!("     {difference}");
            }
            let is_other = !judged.differences.is_empty();
            for row in &judged.rows {
                // What is new was not asked for by its name.
                if row.status == "new" || wanted.contains(&row.name) {
                    report.record(&full(&row.name), outcome(row, is_other));
                }
            }
        }
        // A dry run
        Ok(None) => {}
        Err(error) => report.record("guard::boot", failure(format!("{error:#}"))),
    }
}

fn full(name: &str) -> String {
    format!("{GROUP}::{name}")
}

fn outcome(row: &Row, is_other: bool) -> Outcome {
    let Row {
        reference, seen, ..
    } = row;
    match row.status.as_str() {
        "same" => Outcome::Pass,
        "better" => {
            println!("     reference {reference}, seen {seen}: {}", guard::RENEW);
            Outcome::Pass
        }
        "not-judged" => Outcome::Skip("the reference was made with other versions".to_string()),
        _ => {
            let times = row.ratio.map_or(String::new(), |ratio| {
                format!(": {:.1} % lost", (1.0 / ratio - 1.0) * 100.0)
            });
            let how = match is_other {
                true => "\ncompared by the gain, as versions are not those of the reference",
                false => "",
            };
            failure(format!(
                "reference {reference}, seen {seen}{times}{how}\n{}",
                guard::RENEW
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str, ratio: Option<f64>) -> Row {
        Row {
            name: "write.batch=64.inline".to_string(),
            reference: "729.0 instructions/call".to_string(),
            seen: "760.0 instructions/call".to_string(),
            ratio,
            status: status.to_string(),
        }
    }

    #[test]
    fn a_loss_says_what_it_was_and_what_to_do() {
        let Outcome::Fail(detail) = outcome(&row("worse", Some(729.0 / 760.0)), false) else {
            panic!("no failure");
        };
        for words in ["729.0", "760.0", "4.3 % lost", "--guard --accept"] {
            assert!(detail.contains(words), "{detail}");
        }
        assert!(!detail.contains("compared by the gain"));
        let Outcome::Fail(detail) = outcome(&row("gone", None), true) else {
            panic!("no failure");
        };
        assert!(detail.contains("compared by the gain"));
    }

    #[test]
    fn the_rest_passes_or_is_skipped_with_a_reason() {
        assert_eq!(outcome(&row("same", Some(1.0)), false), Outcome::Pass);
        assert_eq!(outcome(&row("better", Some(1.1)), false), Outcome::Pass);
        assert!(matches!(
            outcome(&row("not-judged", None), true),
            Outcome::Skip(reason) if reason.contains("versions")
        ));
        assert!(matches!(
            outcome(&row("new", None), false),
            Outcome::Fail(_)
        ));
    }
}
