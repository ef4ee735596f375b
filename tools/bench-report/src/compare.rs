// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two sets of results, run by run: what became worse.

use serde::Serialize;

use crate::group::{Collection, Sheet};
use crate::stats::{ratio, Summary};
use crate::table;
use crate::units;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Better by more than the threshold.
    Better,
    /// Within the threshold.
    Same,
    /// Worse by more than the threshold.
    Worse,
    /// Not in the new results.
    Gone,
}

/// One run in both sets.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Heading, variant and parameters.
    pub what: String,
    /// The metric's unit.
    pub unit: String,
    /// The old median, in that unit.
    pub old: f64,
    /// The new median, in that unit.
    pub new: Option<f64>,
    /// Times better than before.
    pub ratio: Option<f64>,
    /// The verdict.
    pub change: Change,
}

impl Row {
    /// Whether it must not pass: worse, or gone.
    pub fn is_regression(&self) -> bool {
        matches!(self.change, Change::Worse | Change::Gone)
    }
}

/// Looks for each run of `old` in `new`. A change up to `threshold` (0.02 is
/// 2 %) does not count. Runs of different instruments are never compared, and
/// runs that only `new` has are left out.
pub fn compare(old: &Collection, new: &Collection, threshold: f64) -> Vec<Row> {
    let mut rows = Vec::new();
    for sheet in &old.sheets {
        for series in &sheet.series {
            for (x, before) in &series.points {
                let after = find(old, sheet, &series.variant, *x, new);
                let times = after.map(|a| ratio(sheet.better, a.median, before.median));
                let change = match times {
                    None => Change::Gone,
                    Some(times) if times < 1.0 - threshold => Change::Worse,
                    Some(times) if times > 1.0 + threshold => Change::Better,
                    Some(_) => Change::Same,
                };
                let mut what = format!("{}, {}", sheet.title(), series.variant);
                if let Some(axis) = &sheet.axis {
                    what.push_str(&format!(", {axis} = {}", units::parameter(*x)));
                }
                rows.push(Row {
                    what,
                    unit: sheet.unit.clone(),
                    old: before.median,
                    new: after.map(|after| after.median),
                    ratio: times,
                    change,
                });
            }
        }
    }
    rows
}

/// The values in `new` of what `sheet` of `old` has for `variant` at `x`.
fn find(
    old: &Collection,
    sheet: &Sheet,
    variant: &str,
    x: f64,
    new: &Collection,
) -> Option<Summary> {
    let kind = old.settings[sheet.setting].instrument.kind;
    let parameters = sheet.parameters(x);
    let same = |other: &&Sheet| {
        new.settings[other.setting].instrument.kind == kind
            && other.heading == sheet.heading
            && other.workload == sheet.workload
            && other.metric == sheet.metric
            && other.unit == sheet.unit
            && other.better == sheet.better
    };
    new.sheets.iter().filter(same).find_map(|other| {
        // The new set may have been drawn against another parameter.
        let series = other.series.iter().find(|s| s.variant == variant)?;
        let found = series
            .points
            .iter()
            .find(|(x, _)| other.parameters(*x) == parameters)?;
        Some(found.1)
    })
}

/// A table of `rows` for the terminal.
pub fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    table::plain(
        &["what", "unit", "old", "new", "times better", "change"],
        rows.into_iter().map(|row| {
            let change = match row.change {
                Change::Better => "better",
                Change::Same => "same",
                Change::Worse => "worse",
                Change::Gone => "gone",
            };
            vec![
                row.what.clone(),
                row.unit.clone(),
                units::quantity(row.old),
                row.new.map_or_else(|| "–".to_owned(), units::quantity),
                row.ratio.map_or_else(|| "–".to_owned(), units::times),
                change.to_owned(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::group::Source;
    use crate::results::{InstrumentKind, Results};

    const SAMPLE: &str = include_str!("../tests/data/sample.json");

    fn sample(change: impl Fn(&mut Results)) -> Collection {
        let file = PathBuf::from("sample.json");
        let mut results = Results::parse(&file, SAMPLE).unwrap();
        change(&mut results);
        Collection::of(vec![Source { file, results }])
    }

    #[test]
    fn equal_results_have_no_regression() {
        let all = sample(|_| ());
        let rows = compare(&all, &all, 0.0);
        assert_eq!(rows.len(), 27);
        assert!(rows.iter().all(|row| row.change == Change::Same));
    }

    #[test]
    fn worse_follows_the_direction_of_the_metric() {
        let slower = sample(|results| {
            for run in &mut results.runs {
                run.samples.iter_mut().for_each(|sample| *sample *= 1.1);
            }
        });
        let rows = compare(&sample(|_| ()), &slower, 0.02);
        for row in &rows {
            let worse = row.unit != "requests/second";
            assert_eq!(row.is_regression(), worse, "{}", row.what);
        }
        let rows = compare(&sample(|_| ()), &slower, 0.2);
        assert!(rows.iter().all(|row| row.change == Change::Same));
    }

    #[test]
    fn what_is_gone_does_not_pass() {
        let fewer = sample(|results| results.runs.retain(|run| run.variant != "inline"));
        let rows = compare(&sample(|_| ()), &fewer, 0.02);
        assert_eq!(rows.iter().filter(|row| row.is_regression()).count(), 9);
        let wall = sample(|results| results.instrument.kind = InstrumentKind::Wall);
        let rows = compare(&sample(|_| ()), &wall, 0.02);
        assert!(rows.iter().all(|row| row.change == Change::Gone));
    }
}
