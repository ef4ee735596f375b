// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inline or pool, and why.

use super::counts::{Ring, Why};
use crate::output::percent;

/// In a few words: where most entries of flows ran, and if that is inline, the largest reason. Percentages are of
/// all entries of flows.
pub fn short(counts: &Ring<f64>, why: &Why<f64>) -> String {
    let all = flow_entries(counts);
    if all == 0.0 {
        return "-".to_owned();
    }
    if counts.inline < counts.pooled.max(counts.queued) {
        let (place, count) = if counts.pooled >= counts.queued {
            ("pool", counts.pooled)
        } else {
            ("workqueue", counts.queued)
        };
        return format!("{place} ({})", percent(count, all));
    }
    match ranked(why).first() {
        Some(&(count, reason)) => format!("inline: {reason} ({})", percent(count, all)),
        None => format!("inline ({})", percent(counts.inline, all)),
    }
}

/// In a sentence, with every reason.
pub fn long(counts: &Ring<f64>, why: &Why<f64>) -> String {
    let all = flow_entries(counts);
    if all == 0.0 {
        return "no entries of flows".to_owned();
    }
    let places = [
        (counts.inline, "inline"),
        (counts.pooled, "by the pool"),
        (counts.queued, "by the workqueue"),
    ];
    let mut text = format!("entries of flows ran {}", list(&places, all));
    let reasons = ranked(why);
    if !reasons.is_empty() {
        text += &format!("; inline because: {}", list(&reasons, all));
    }
    text
}

fn flow_entries(counts: &Ring<f64>) -> f64 {
    counts.inline + counts.pooled + counts.queued
}

/// The reasons that there were, the largest first.
fn ranked(why: &Why<f64>) -> Vec<(f64, &'static str)> {
    let mut reasons = why.reasons().to_vec();
    reasons.retain(|&(count, _)| count > 0.0);
    reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
    reasons
}

fn list(parts: &[(f64, &str)], all: f64) -> String {
    let parts: Vec<String> = parts
        .iter()
        .filter(|&&(count, _)| count > 0.0)
        .map(|&(count, name)| format!("{name} {}", percent(count, all)))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(inline: f64, pooled: f64, queued: f64) -> Ring<f64> {
        Ring {
            inline,
            pooled,
            queued,
            ..Default::default()
        }
    }

    #[test]
    fn largest_reason_is_named() {
        let why = Why {
            idle: 83.0,
            small: 7.0,
            ..Default::default()
        };
        let counts = ring(90.0, 10.0, 0.0);
        assert_eq!(short(&counts, &why), "inline: no idle CPU (83 %)");
        assert_eq!(
            long(&counts, &why),
            "entries of flows ran inline 90 %, by the pool 10 %; inline because: no idle CPU 83 %, batch too small 7 %"
        );
    }

    #[test]
    fn places_without_a_reason() {
        let none = Why::default();
        assert_eq!(short(&ring(0.0, 0.0, 0.0), &none), "-");
        assert_eq!(short(&ring(1.0, 999.0, 0.0), &none), "pool (100 %)");
        assert_eq!(short(&ring(1.0, 0.0, 3.0), &none), "workqueue (75 %)");
        assert_eq!(short(&ring(3.0, 1.0, 0.0), &none), "inline (75 %)");
        assert_eq!(long(&ring(0.0, 0.0, 0.0), &none), "no entries of flows");
        assert!(long(&ring(1.0, 999.0, 0.0), &none).contains("inline <1 %"));
    }
}
