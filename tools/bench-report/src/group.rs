// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs, gathered into the sheets that figures, tables and goals are made of.
//!
//! A sheet is one metric of one workload, measured with one instrument on one
//! machine under one kernel, over one parameter that varies.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::results::{files, Better, Instrument, Kernel, Machine, Results, ResultsError, Run};
use crate::stats::{ratio, verdict, Summary, Verdict};
use crate::units;

/// The parameter that figures are drawn against where several vary.
const FAVOURITE_AXIS: &str = "connections";

/// A results file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it was.
    pub file: PathBuf,
    /// What it says.
    pub results: Results,
}

/// What a value depends on besides workload and variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it was measured with.
    pub instrument: Instrument,
    /// What it was measured on.
    pub machine: Machine,
    /// The kernel.
    pub kernel: Kernel,
}

/// Everything that was read.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The files.
    pub sources: Vec<Source>,
    /// The settings that occur, in the order of the files.
    pub settings: Vec<Setting>,
    /// The sheets, in the order in which their first runs were met.
    pub sheets: Vec<Sheet>,
}

/// The values of one variant.
#[derive(Clone, Debug)]
pub struct Series {
    /// The variant's name.
    pub variant: String,
    /// Whether the others have to beat it.
    pub baseline: bool,
    /// Position on the axis and values, in ascending order.
    pub points: Vec<(f64, Summary)>,
}

/// What one figure shows.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Index into [`Collection::settings`].
    pub setting: usize,
    /// Heading asked for by the runs.
    pub heading: Option<String>,
    /// The workload.
    pub workload: String,
    /// The metric.
    pub metric: String,
    /// Unit of all values.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
    /// The parameter that varies; `None` if the runs have no parameter.
    pub axis: Option<String>,
    /// The parameters that do not vary.
    pub fixed: BTreeMap<String, f64>,
    /// Every position on the axis that a variant has, ascending.
    pub xs: Vec<f64>,
    /// The variants, baselines first.
    pub series: Vec<Series>,
}

/// A value beside the best baseline at the same position.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Times better than the baseline.
    pub ratio: f64,
    /// Whether that is more than noise.
    pub verdict: Verdict,
}

/// What the runs of a group have in common.
#[derive(PartialEq)]
struct Key<'a> {
    setting: usize,
    heading: Option<&'a str>,
    workload: &'a str,
    metric: &'a str,
    unit: &'a str,
    better: Better,
}

impl Collection {
    /// Reads the files, and the directories of files, in `paths`.
    ///
    /// # Errors
    ///
    /// [`ResultsError`] for the first file that is unusable.
    pub fn load(paths: &[PathBuf]) -> Result<Self, ResultsError> {
        let sources = files(paths)?
            .into_iter()
            .map(|file| {
                let results = Results::load(&file)?;
                Ok(Source { file, results })
            })
            .collect::<Result<Vec<_>, ResultsError>>()?;
        Ok(Self::of(sources))
    }

    /// What the results file of this name holds.
    pub fn of_figure(&self, name: &str) -> Self {
        let is_it = |source: &&Source| source.file.file_stem().is_some_and(|stem| stem == name);
        Self::of(self.sources.iter().filter(is_it).cloned().collect())
    }

    /// Gathers the runs of `sources`.
    pub fn of(sources: Vec<Source>) -> Self {
        let mut settings = Vec::new();
        let mut groups: Vec<(Key<'_>, Vec<&Run>)> = Vec::new();
        for source in &sources {
            let setting = index_of(&mut settings, Setting::of(&source.results));
            for run in &source.results.runs {
                let key = Key {
                    setting,
                    heading: run.figure.as_deref(),
                    workload: &run.workload,
                    metric: &run.metric,
                    unit: &run.unit,
                    better: run.better,
                };
                push(&mut groups, key, run);
            }
        }
        let sheets = groups
            .into_iter()
            .flat_map(|(key, runs)| sheets(&key, &runs))
            .collect();
        Self {
            sources,
            settings,
            sheets,
        }
    }
}

impl Setting {
    /// The setting that `results` were measured in.
    pub fn of(results: &Results) -> Self {
        Self {
            instrument: results.instrument.clone(),
            machine: results.machine.clone(),
            kernel: results.kernel.clone(),
        }
    }
}

impl Sheet {
    /// The heading: `nginx-1k: server cpu, workers = 2`.
    pub fn title(&self) -> String {
        let name = self.heading.as_ref().unwrap_or(&self.workload);
        let mut title = format!("{name}: {}", self.metric_name());
        for (name, value) in &self.fixed {
            title.push_str(&format!(", {name} = {}", units::parameter(*value)));
        }
        title
    }

    /// The metric as words: `server cpu`.
    pub fn metric_name(&self) -> String {
        self.metric.replace('_', " ")
    }

    /// The values of `variant` at the position `x`.
    pub fn at(&self, variant: &str, x: f64) -> Option<Summary> {
        self.series.iter().find(|s| s.variant == variant)?.at(x)
    }

    /// The baseline with the best median at the position `x`: its name and values.
    pub fn best_baseline(&self, x: f64) -> Option<(&str, Summary)> {
        self.series
            .iter()
            .filter(|series| series.baseline)
            .filter_map(|series| Some((series.variant.as_str(), series.at(x)?)))
            .reduce(|best, next| {
                if ratio(self.better, next.1.median, best.1.median) > 1.0 {
                    next
                } else {
                    best
                }
            })
    }

    /// How `variant` stands against the best baseline at the position `x`.
    pub fn standing(&self, variant: &str, x: f64) -> Option<Standing> {
        let value = self.at(variant, x)?;
        let (_, base) = self.best_baseline(x)?;
        Some(Standing {
            ratio: ratio(self.better, value.median, base.median),
            verdict: verdict(self.better, &value, &base),
        })
    }

    /// All parameters of the runs at the position `x`.
    pub fn parameters(&self, x: f64) -> BTreeMap<String, f64> {
        let mut parameters = self.fixed.clone();
        if let Some(axis) = &self.axis {
            parameters.insert(axis.clone(), x);
        }
        parameters
    }

    /// What the axis says at the position `x`.
    pub fn x_label(&self, x: f64) -> String {
        match self.axis {
            Some(_) => units::parameter(x),
            None => String::new(),
        }
    }
}

impl Series {
    /// The values at the position `x`.
    pub fn at(&self, x: f64) -> Option<Summary> {
        self.points
            .iter()
            .find(|(position, _)| *position == x)
            .map(|(_, summary)| *summary)
    }
}

/// The position of `item` in `list`, where it is put if it is not there.
fn index_of<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter()
        .position(|other| *other == item)
        .unwrap_or_else(|| {
            list.push(item);
            list.len() - 1
        })
}

/// Adds `item` to the group of `key`, in order of first appearance.
fn push<K: PartialEq, T>(groups: &mut Vec<(K, Vec<T>)>, key: K, item: T) {
    match groups.iter_mut().find(|(other, _)| *other == key) {
        Some((_, items)) => items.push(item),
        None => groups.push((key, vec![item])),
    }
}

/// The sheets of one group: one for each combination of the parameters that
/// are not the axis.
fn sheets(key: &Key<'_>, runs: &[&Run]) -> Vec<Sheet> {
    let axis = axis_of(runs);
    let mut parts = Vec::new();
    for run in runs {
        let mut fixed = run.parameters.clone();
        let x = axis.as_ref().and_then(|axis| fixed.remove(axis));
        push(&mut parts, (fixed, x.is_some()), (x.unwrap_or(0.0), *run));
    }
    parts
        .into_iter()
        .map(|((fixed, has_axis), runs)| {
            let mut xs: Vec<f64> = runs.iter().map(|(x, _)| *x).collect();
            xs.sort_by(f64::total_cmp);
            xs.dedup();
            Sheet {
                setting: key.setting,
                heading: key.heading.map(str::to_owned),
                workload: key.workload.to_owned(),
                metric: key.metric.to_owned(),
                unit: key.unit.to_owned(),
                better: key.better,
                axis: axis.clone().filter(|_| has_axis),
                fixed,
                series: series(&runs, &xs),
                xs,
            }
        })
        .collect()
}

/// The parameter to draw `runs` against.
fn axis_of(runs: &[&Run]) -> Option<String> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in runs {
        for (name, value) in &run.parameters {
            index_of(values.entry(name).or_default(), *value);
        }
    }
    let most = values.values().map(Vec::len).max()?;
    let favourite = values.get(FAVOURITE_AXIS).map(Vec::len);
    if favourite.is_some_and(|count| count > 1 || count == most) {
        return Some(FAVOURITE_AXIS.to_owned());
    }
    values
        .into_iter()
        .find(|(_, values)| values.len() == most)
        .map(|(name, _)| name.to_owned())
}

/// The variants of `runs`, baselines first; samples that were taken at the same
/// position count as one run.
fn series(runs: &[(f64, &Run)], xs: &[f64]) -> Vec<Series> {
    let mut variants: Vec<(&str, Vec<&(f64, &Run)>)> = Vec::new();
    for run in runs {
        push(&mut variants, run.1.variant.as_str(), run);
    }
    let mut all: Vec<Series> = variants
        .into_iter()
        .map(|(variant, runs)| Series {
            variant: variant.to_owned(),
            baseline: runs.iter().any(|(_, run)| run.baseline == Some(true)),
            points: xs
                .iter()
                .filter_map(|x| {
                    let samples: Vec<f64> = runs
                        .iter()
                        .filter(|(position, _)| position == x)
                        .flat_map(|(_, run)| run.samples.iter().copied())
                        .collect();
                    Some((*x, Summary::of(&samples)?))
                })
                .collect(),
        })
        .collect();
    all.sort_by_key(|series| !series.baseline);
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../tests/data/sample.json");

    fn sample() -> Results {
        Results::parse(Path::new("sample.json"), SAMPLE).unwrap()
    }

    fn collection(all: Vec<Results>) -> Collection {
        Collection::of(
            all.into_iter()
                .map(|results| Source {
                    file: PathBuf::from("sample.json"),
                    results,
                })
                .collect(),
        )
    }

    #[test]
    fn one_sheet_for_each_workload_and_metric() {
        let sheets = collection(vec![sample()]).sheets;
        let titles: Vec<String> = sheets.iter().map(Sheet::title).collect();
        assert_eq!(
            titles,
            [
                "nginx-1k: throughput",
                "nginx-1k: server cpu",
                "nginx-1k: crossings"
            ]
        );
        let first = &sheets[0];
        assert_eq!(first.axis.as_deref(), Some("connections"));
        assert_eq!(first.xs, [1.0, 64.0, 256.0]);
        let names: Vec<&str> = first.series.iter().map(|s| s.variant.as_str()).collect();
        assert_eq!(names, ["default", "nopush", "inline"]);
    }

    #[test]
    fn the_best_baseline_follows_the_direction() {
        let sheets = collection(vec![sample()]).sheets;
        assert_eq!(sheets[0].best_baseline(64.0).unwrap().0, "nopush");
        assert_eq!(sheets[1].best_baseline(64.0).unwrap().0, "nopush");
        let standing = sheets[0].standing("inline", 64.0).unwrap();
        assert!(standing.ratio > 1.0);
        assert_eq!(standing.verdict, Verdict::Better);
        assert!(sheets[0].standing("absent", 64.0).is_none());
    }

    #[test]
    fn the_same_setting_adds_samples_another_does_not() {
        let same = collection(vec![sample(), sample()]);
        assert_eq!((same.settings.len(), same.sheets.len()), (1, 3));
        let one = collection(vec![sample()]);
        let count = |c: &Collection| c.sheets[0].at("inline", 64.0).unwrap().count;
        assert_eq!(count(&same), 2 * count(&one));

        let mut other = sample();
        other.kernel.release.push_str("-other");
        let apart = collection(vec![sample(), other]);
        assert_eq!((apart.settings.len(), apart.sheets.len()), (2, 6));
    }

    #[test]
    fn further_parameters_make_further_sheets() {
        let mut results = sample();
        results.runs.retain(|run| run.metric == "throughput");
        let mut more = results.runs.clone();
        for run in &mut results.runs {
            run.parameters.insert("workers".to_owned(), 1.0);
        }
        for run in &mut more {
            run.parameters.insert("workers".to_owned(), 2.0);
        }
        results.runs.extend(more);
        let sheets = collection(vec![results]).sheets;
        assert_eq!(sheets.len(), 2);
        assert_eq!(sheets[1].title(), "nginx-1k: throughput, workers = 2");
        assert_eq!(sheets[1].parameters(64.0)["connections"], 64.0);
        assert_eq!(sheets[1].parameters(64.0)["workers"], 2.0);
    }

    #[test]
    fn runs_without_parameters_have_one_position() {
        let mut results = sample();
        results.runs.truncate(1);
        results.runs[0].parameters.clear();
        let sheets = collection(vec![results]).sheets;
        assert_eq!(sheets[0].axis, None);
        assert_eq!(sheets[0].xs, [0.0]);
        assert_eq!(sheets[0].x_label(0.0), "");
    }
}
