// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two variants side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{json, Value};

use super::symbols::Symbol;

/// Instructions with how often each was executed in one sample: function and
/// offset in it.
pub type Counts = BTreeMap<(Symbol, u64), i64>;

/// One variant.
#[derive(Debug)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// At least one.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Debug)]
pub struct Sample {
    /// What the counts are divided by.
    pub requests: u64,
    /// Instructions a request by the kernel's account of the server.
    pub account: f64,
    /// What was counted.
    pub counts: Counts,
}

/// Instructions a request: means of each side's samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    baseline: f64,
    variant: f64,
    /// From the smallest to the largest sample of one side.
    spread: f64,
}

impl Figures {
    fn new(samples: [Vec<f64>; 2]) -> Figures {
        let spread = |of: &Vec<f64>| {
            of.iter().copied().fold(f64::MIN, f64::max)
                - of.iter().copied().fold(f64::MAX, f64::min)
        };
        let mean = |of: &Vec<f64>| of.iter().sum::<f64>() / of.len() as f64;
        Figures {
            baseline: mean(&samples[0]),
            variant: mean(&samples[1]),
            spread: spread(&samples[0]).max(spread(&samples[1])),
        }
    }

    fn change(&self) -> f64 {
        self.variant - self.baseline
    }

    fn line(&self) -> String {
        format!(
            "{:>11.2} {:>11.2} {:>+11.2} {:>9.2}",
            self.baseline,
            self.variant,
            self.change(),
            self.spread
        )
    }
}

/// The baseline and what is compared with it.
#[derive(Debug)]
pub struct Comparison(pub [Side; 2]);

impl Comparison {
    /// Sums of what has the same key, the largest change first. What has no key
    /// is left out.
    fn sums<K: Ord>(&self, key: impl Fn(&Symbol, u64) -> Option<K>) -> Vec<(K, Figures)> {
        let mut sums: BTreeMap<K, [Vec<f64>; 2]> = BTreeMap::new();
        for (side, Side { samples, .. }) in self.0.iter().enumerate() {
            for (index, sample) in samples.iter().enumerate() {
                for ((symbol, offset), count) in &sample.counts {
                    let Some(key) = key(symbol, *offset) else {
                        continue;
                    };
                    let values = sums.entry(key).or_insert_with(|| {
                        [0, 1].map(|side: usize| vec![0.0; self.0[side].samples.len()])
                    });
                    values[side][index] += *count as f64 / sample.requests as f64;
                }
            }
        }
        let mut sums: Vec<(K, Figures)> = sums
            .into_iter()
            .map(|(key, samples)| (key, Figures::new(samples)))
            .collect();
        sums.sort_by(|(_, a), (_, b)| b.change().abs().total_cmp(&a.change().abs()));
        sums
    }

    fn account(&self) -> Figures {
        let of = |side: &Side| side.samples.iter().map(|sample| sample.account).collect();
        Figures::new([of(&self.0[0]), of(&self.0[1])])
    }

    fn header(&self, last: &str) -> String {
        format!(
            "{:>11} {:>11} {:>11} {:>9}  {last}\n",
            self.0[0].name, self.0[1].name, "change", "spread"
        )
    }

    /// Totals, and the `top` functions whose figures differ most.
    pub fn text(&self, top: usize) -> String {
        let mut text = self.header("all");
        // A String takes everything.
        let line = |text: &mut String, figures: &Figures, name: &str| {
            let _ = writeln!(text, "{}  {name}", figures.line());
        };
        for (_, figures) in self.sums(|_, _| Some(())) {
            line(&mut text, &figures, "counted");
        }
        line(&mut text, &self.account(), "by the kernel's account");
        for (object, figures) in self.sums(|symbol, _| Some(symbol.object.clone())) {
            line(&mut text, &figures, &object);
        }
        text.push('\n');
        text.push_str(&self.header("    calls         function"));
        let calls = self.calls();
        for (symbol, figures) in self.functions().into_iter().take(top) {
            let calls = calls.get(&symbol).map_or_else(
                || format!("{:13}", ""),
                |calls| format!("{:6.2} {:6.2}", calls.baseline, calls.variant),
            );
            let name = format!("{calls}  {} [{}]", symbol.name, symbol.object);
            line(&mut text, &figures, &name);
        }
        text
    }

    /// How often each function was entered at its beginning.
    fn calls(&self) -> BTreeMap<Symbol, Figures> {
        let begins = |symbol: &Symbol, offset| (offset == 0).then(|| symbol.clone());
        self.sums(begins).into_iter().collect()
    }

    fn functions(&self) -> Vec<(Symbol, Figures)> {
        self.sums(|symbol, _| Some(symbol.clone()))
    }

    /// Each instruction of the functions of a name, by its offset.
    pub fn instructions(&self, name: &str) -> String {
        let of = |symbol: &Symbol, offset| {
            (symbol.name == name).then(|| (symbol.object.clone(), offset))
        };
        let mut rows = self.sums(of);
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut text = self.header("instruction");
        for ((object, offset), figures) in rows {
            let _ = writeln!(text, "{}  {name}+{offset:#x} [{object}]", figures.line());
        }
        text
    }

    /// Everything, for other programs.
    pub fn json(&self) -> Value {
        let calls = self.calls();
        let row = |symbol: Symbol, figures: Figures| {
            json!({
                "function": symbol.name,
                "object": symbol.object,
                "instructions": figures,
                "calls": calls.get(&symbol),
            })
        };
        let functions = self.functions().into_iter();
        let samples = |side: &Side| -> Vec<Value> {
            let samples = side.samples.iter();
            samples
                .map(|sample| {
                    let counted = sample.counts.values().sum::<i64>() as f64;
                    json!({
                        "requests": sample.requests,
                        "counted": counted / sample.requests as f64,
                        "account": sample.account,
                    })
                })
                .collect()
        };
        json!({
            "schema": 1,
            "unit": "a request",
            "sides": self.0.each_ref().map(|side| json!({
                "name": side.name,
                "samples": samples(side),
            })),
            "functions": functions.map(|(symbol, figures)| row(symbol, figures)).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests: u64, counts: &[(&str, &str, u64, i64)]) -> Sample {
        let counts = counts.iter().map(|(object, name, offset, count)| {
            let (object, name) = (object.to_string(), name.to_string());
            ((Symbol { object, name }, *offset), *count)
        });
        Sample {
            requests,
            account: 1.0,
            counts: counts.collect(),
        }
    }

    fn comparison() -> Comparison {
        let side = |name: &str, samples| Side {
            name: name.to_string(),
            samples,
        };
        Comparison([
            side(
                "nopush",
                vec![
                    sample(
                        10,
                        &[
                            ("kernel", "f", 0, 100),
                            ("kernel", "f", 4, 50),
                            ("nginx", "g", 0, 10),
                        ],
                    ),
                    sample(20, &[("kernel", "f", 0, 220), ("nginx", "g", 0, 20)]),
                ],
            ),
            side("inline", vec![sample(5, &[("nginx", "g", 0, 40)])]),
        ])
    }

    #[test]
    fn functions_are_sorted_by_their_change() {
        let rows = comparison().functions();
        let names: Vec<&str> = rows
            .iter()
            .map(|(symbol, _)| symbol.name.as_str())
            .collect();
        assert_eq!(names, ["f", "g"]);
        // 15 and 11 against nothing, 1 and 1 against 8
        let f = Figures {
            baseline: 13.0,
            variant: 0.0,
            spread: 4.0,
        };
        assert_eq!(rows[0].1, f);
        assert_eq!((rows[1].1.change(), rows[1].1.spread), (7.0, 0.0));
    }

    #[test]
    fn the_text_has_totals_and_as_many_functions_as_asked_for() {
        let text = comparison().text(1);
        let line = |end: &str| {
            let line = text.lines().find(|line| line.ends_with(end)).unwrap();
            line.split_whitespace()
                .take(4)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(line("  counted"), "14.00 8.00 -6.00 4.00");
        assert_eq!(line("  kernel"), "13.00 0.00 -13.00 4.00");
        assert_eq!(line("10.50   0.00  f [kernel]"), "13.00 0.00 -13.00 4.00");
        assert!(!text.contains("g [nginx]"), "{text}");
    }

    #[test]
    fn instructions_of_one_function_are_in_order() {
        let text = comparison().instructions("f");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("f+0x0 [kernel]"), "{text}");
        assert!(lines[1].trim_start().starts_with("2.50"), "{text}");
    }

    #[test]
    fn json_has_all_of_it() {
        let value = comparison().json();
        assert_eq!(value["sides"][0]["samples"][0]["counted"], 16.0);
        assert_eq!(value["functions"][1]["function"], "g");
        assert_eq!(value["functions"][1]["instructions"]["variant"], 8.0);
        assert_eq!(value["functions"][0]["calls"]["baseline"], 10.5);
    }
}
