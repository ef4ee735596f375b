// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::group::Source;
use crate::results::Results;

const SAMPLE: &str = include_str!("../../tests/data/sample.json");
const INLINE: &str = "nginx-1k.connections=64.inline";
const THRESHOLDS: Thresholds = Thresholds {
    same: 0.02,
    others: 0.05,
};
const NOPUSH: &str = "nginx-1k.connections=64.nopush";

fn made_with(nginx: &str) -> MadeWith {
    BTreeMap::from([("nginx".to_owned(), nginx.to_owned())])
}

/// The sample, where a variant costs so many times as much.
fn sample(variant: &str, times: f64, nginx: &str) -> Reference {
    let file = PathBuf::from("sample.json");
    let mut results = Results::parse(&file, SAMPLE).unwrap();
    for run in &mut results.runs {
        if run.variant == variant || variant == "all" {
            run.samples.iter_mut().for_each(|sample| *sample *= times);
        }
    }
    let collection = Collection::of(vec![Source { file, results }]);
    Reference::of(&collection, made_with(nginx))
}

fn status(report: &Report, name: &str) -> Status {
    report
        .rows
        .iter()
        .find(|row| row.name == name)
        .unwrap()
        .status
}

#[test]
fn only_what_repeats_is_guarded() {
    let reference = sample("all", 1.0, "1");
    assert_eq!(reference.values.len(), 9);
    let value = &reference.values[INLINE];
    assert_eq!((value.median, value.baseline), (40_100.0, Some(44_600.0)));
    assert_eq!(reference.values[NOPUSH].baseline, None);
    assert_eq!(value.unit, "instructions/request");
}

#[test]
fn a_loss_is_seen_by_its_own_value_where_versions_are_the_same() {
    let reference = sample("all", 1.0, "1");
    let judged = |variant, times| reference.judge(&sample(variant, times, "1"), THRESHOLDS);
    assert!(judged("all", 1.0)
        .rows
        .iter()
        .all(|row| row.status == Status::Same));
    assert_eq!(status(&judged("inline", 1.019), INLINE), Status::Same);
    let report = judged("inline", 1.021);
    assert_eq!(status(&report, INLINE), Status::Worse);
    assert_eq!(status(&report, NOPUSH), Status::Same);
    assert!(report.differences.is_empty());
    assert_eq!(status(&judged("inline", 0.97), INLINE), Status::Better);
    // What SAIO's hooks cost those who do not use it
    let report = judged("all", 1.03);
    assert_eq!(status(&report, NOPUSH), Status::Worse);
    assert!(report.rows.iter().all(Row::is_failure));
}

#[test]
fn with_other_versions_the_relation_counts() {
    let reference = sample("all", 1.0, "1.22");
    let judged = |variant, times| reference.judge(&sample(variant, times, "1.26"), THRESHOLDS);
    let report = judged("all", 1.3);
    assert_eq!(status(&report, INLINE), Status::Same);
    assert_eq!(status(&report, NOPUSH), Status::NotJudged);
    assert_eq!(
        report.differences,
        ["nginx: the reference has 1.22, here is 1.26"]
    );
    assert_eq!(status(&judged("inline", 1.04), INLINE), Status::Same);
    let report = judged("inline", 1.06);
    assert_eq!(status(&report, INLINE), Status::Worse);
    let row = report.rows.iter().find(|row| row.name == INLINE).unwrap();
    assert_eq!(row.reference, "1.112× (40100.0 instructions/request)");
}

#[test]
fn what_is_gone_or_new_does_not_pass() {
    let reference = sample("all", 1.0, "1");
    let mut fewer = reference.clone();
    fewer.values.remove(INLINE);
    let report = reference.judge(&fewer, THRESHOLDS);
    assert_eq!(status(&report, INLINE), Status::Gone);
    assert_eq!(report.rows.iter().filter(|row| row.is_failure()).count(), 1);
    let report = fewer.judge(&reference, THRESHOLDS);
    assert_eq!(status(&report, INLINE), Status::New);
    assert!(table(&report.rows).contains("40100.0 instructions/request"));
}

#[test]
fn a_reference_is_what_was_saved() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("reference.json");
    let reference = sample("all", 1.0, "1");
    reference.save(&file).unwrap();
    assert_eq!(Reference::load(&file).unwrap(), reference);
    fs::write(&file, "{}").unwrap();
    let error = Reference::load(&file).unwrap_err().to_string();
    assert!(error.contains("--accept"), "{error}");
}

#[test]
fn the_trees_own_reference_is_good() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/bench");
    let reference = Reference::load(&dir.join("guard-reference.json")).unwrap();
    let of_saio = reference
        .values
        .iter()
        .filter(|(_, v)| v.baseline.is_some());
    assert!(of_saio.count() >= 6);
    assert!(reference.made_with.contains_key("kernel"));
}
