// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters of the preload library: a file with a line of JSON for each process that has ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Sums over all processes, by name. Of a group of counters `outer` is the sum and `outer.inner` one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Value of a counter, 0 if no process has it.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    fn add(&mut self, line: &Value) {
        for (name, value) in line.as_object().into_iter().flatten() {
            self.add_to(name, value);
            for (inner, value) in value.as_object().into_iter().flatten() {
                self.add_to(name, value);
                self.add_to(&format!("{name}.{inner}"), value);
            }
        }
    }

    fn add_to(&mut self, name: &str, value: &Value) {
        if let Some(value) = value.as_u64() {
            *self.0.entry(name.to_owned()).or_default() += value;
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
        stats.add(&serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?);
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
    fn broken_lines_are_errors() {
        assert!(parse("{\"deferred\": 3").is_err());
        assert_eq!(parse("").unwrap(), Stats::default());
    }
}
