// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters of the preload library: a file with a line of JSON for each process that has ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Sums over all processes, by name. Of a group of counters `outer` is the sum and `outer.inner` one of them, or a group
/// again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Value of a counter, 0 if no process has it.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Whether a server really ran under SAIO: it had calls queued, or found that better not done.
    pub fn used(&self) -> bool {
        let alone = |name: &str| name.starts_with("why.") && name.ends_with(".alone");
        self.get("deferred") > 0 || self.0.iter().any(|(name, count)| alone(name) && *count > 0)
    }

    /// Adds the counters of `value`, each to the groups that it is in too.
    fn add(&mut self, groups: &mut Vec<String>, value: &Value) {
        if let Some(value) = value.as_u64() {
            for end in 1..=groups.len() {
                *self.0.entry(groups[..end].join(".")).or_default() += value;
            }
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            groups.push(name.clone());
            self.add(groups, value);
            groups.pop();
        }
    }
}

/// Reads a statistics file.
///
/// # Errors
///
/// It cannot be read, or a line is no JSON.
pub fn read(file: &Path) -> Result<Stats> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("in {}", file.display()))
}

fn parse(text: &str) -> Result<Stats> {
    let mut stats = Stats::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        stats.add(&mut Vec::new(), &line);
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_summed() {
        let text = r#"
            {"pid": 7, "mode": "inline", "crossings": 3, "deferred": {"write": 1, "close": 2}}
            {"pid": 8, "mode": "inline", "crossings": 4, "deferred": {"write": 5}}
        "#;
        let stats = parse(text).unwrap();
        assert_eq!(stats.get("crossings"), 7);
        assert_eq!(stats.get("deferred"), 8);
        assert_eq!(stats.get("deferred.write"), 6);
        assert_eq!(stats.get("mode"), 0);
        assert_eq!(stats.get("absent"), 0);
    }

    #[test]
    fn a_server_that_had_better_queue_nothing_has_run_under_saio() {
        let used = |line: &str| parse(line).unwrap().used();
        assert!(used(r#"{"deferred": {"write": 1}, "why": {}}"#));
        assert!(used(
            r#"{"deferred": {"write": 0}, "why": {"write": {"first": 2, "alone": 3}}}"#
        ));
        assert!(!used(
            r#"{"deferred": {"write": 0}, "why": {"write": {"first": 2}}}"#
        ));
        assert!(!used(r#"{"mode": "off"}"#));
    }

    #[test]
    fn broken_lines_are_errors() {
        assert!(parse("{\"deferred\": 3").is_err());
        assert_eq!(parse("").unwrap(), Stats::default());
    }
}
