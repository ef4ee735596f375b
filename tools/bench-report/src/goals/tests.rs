// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::group::Source;
use crate::results::Results;

const SAMPLE: &str = include_str!("../../tests/data/sample.json");

const HEAD: &str = "[[goal]]\nname = \"n\"\nworkload = \"nginx-1k\"\nvariant = \"inline\"\n";

fn sample() -> Collection {
    let file = PathBuf::from("sample.json");
    let results = Results::parse(&file, SAMPLE).unwrap();
    Collection::of(vec![Source { file, results }])
}

fn judge(rest: &str) -> Outcome {
    let goals = parse(Path::new("goals.toml"), &format!("{HEAD}{rest}")).unwrap();
    check(&goals, &sample(), &[]).remove(0)
}

fn refuse(rest: &str) -> String {
    match parse(Path::new("goals.toml"), &format!("{HEAD}{rest}")) {
        Ok(_) => panic!("accepted: {rest}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_ratio_takes_the_better_baseline() {
    let cpu = "metric = \"server_cpu\"\nparameters = { connections = 64 }\n";
    let outcome = judge(&format!("{cpu}at_least = 1.08"));
    assert_eq!(outcome.status, Status::Ok);
    assert!((outcome.seen.unwrap() - 44_600.0 / 40_100.0).abs() < 1e-9);
    assert_eq!(outcome.at, "connections = 64");
    let outcome = judge(&format!("{cpu}against = \"default\"\nat_least = 1.2"));
    assert_eq!(outcome.status, Status::Short);
    assert_eq!(outcome.found, "1.195×");
}

#[test]
fn several_opponents_mean_the_best_of_them() {
    let outcome = judge(
        "metric = \"server_cpu\"\nparameters = { connections = 64 }\n\
         against = [\"default\", \"nopush\"]\nat_least = 1",
    );
    assert_eq!(outcome.found, "1.112×");
}

#[test]
fn parameters_left_out_mean_all_of_them() {
    let outcome = judge("metric = \"throughput\"\nat_least = 0.99");
    assert_eq!(outcome.status, Status::Ok);
    assert_eq!(outcome.at, "connections = 1");
    let outcome = judge("metric = \"crossings\"\nat_most = 3.1");
    assert_eq!(outcome.status, Status::Short);
    assert_eq!(outcome.found, "4.000 calls/request");
    let outcome = judge("metric = \"throughput\"\nat_least_value = 1000");
    assert_eq!(outcome.status, Status::Ok);
}

#[test]
fn what_was_not_measured_is_no_data() {
    let outcome = judge("metric = \"latency\"\nat_most = 1");
    assert_eq!((outcome.status, outcome.seen), (Status::NoData, None));
    let outcome = judge("metric = \"crossings\"\nparameters = { workers = 2 }\nat_most = 9");
    assert_eq!(outcome.status, Status::NoData);
    let outcome = judge("metric = \"throughput\"\nagainst = \"pool\"\nat_least = 1");
    assert_eq!(outcome.status, Status::NoData);
    assert_eq!(outcome.found, "pool was not measured");
    let outcome = judge("metric = \"throughput\"\ninstrument = \"wall\"\nat_least = 1");
    assert_eq!(outcome.status, Status::NoData);
}

#[test]
fn a_figure_is_the_results_file_of_its_name() {
    let of = |figure: &str, left_out: &[(String, String)]| {
        let text = format!("{HEAD}figure = \"{figure}\"\nmetric = \"crossings\"\nat_most = 9");
        let goals = parse(Path::new("goals.toml"), &text).unwrap();
        check(&goals, &sample(), left_out).remove(0)
    };
    assert_eq!(of("sample", &[]).status, Status::Ok);
    let outcome = of("other", &[]);
    assert_eq!(outcome.status, Status::NoData);
    assert_eq!(outcome.found, "no crossings of nginx-1k, inline");
    // What lies there is of another time.
    let left_out = [("sample".to_owned(), "QEMU is too old".to_owned())];
    let outcome = of("sample", &left_out);
    assert_eq!(outcome.status, Status::NoData);
    assert_eq!(outcome.found, "QEMU is too old");
}

#[test]
fn growth_is_against_itself_at_other_parameters() {
    let grown = |at_least: f64, than: &str| {
        judge(&format!(
            "metric = \"throughput\"\nparameters = {{ connections = 64 }}\n\
             than = {{ connections = {than} }}\nat_least = {at_least}"
        ))
    };
    let outcome = grown(1.0, "1");
    let values = sample();
    let sheet = values.sheets.iter().find(|s| s.metric == "throughput");
    let at = |x| sheet.unwrap().at("inline", x).unwrap().median;
    assert_eq!(outcome.status, Status::Ok);
    assert!((outcome.seen.unwrap() - at(64.0) / at(1.0)).abs() < 1e-9);
    assert_eq!(grown(99.0, "1").status, Status::Short);
    let outcome = grown(1.0, "7");
    assert_eq!(outcome.status, Status::NoData);
    assert_eq!(outcome.found, "inline was not measured at connections = 7");
}

#[test]
fn goals_that_make_no_sense_are_refused() {
    assert!(refuse("metric = \"m\"").contains("exactly one of"));
    assert!(refuse("metric = \"m\"\nat_most = 1\nat_least = 1").contains("exactly one of"));
    assert!(refuse("metric = \"m\"\nat_most = 1\nagainst = \"x\"").contains("against needs"));
    assert!(refuse("metric = \"m\"\nthan = { a = 1 }\nat_most = 1").contains("than needs"));
    let both = "metric = \"m\"\nthan = { a = 1 }\nagainst = \"x\"\nat_least = 1";
    assert!(refuse(both).contains("not both"));
    assert!(refuse("metric = \"m\"\nat_leest = 1").contains("goals.toml"));
}

#[test]
fn the_trees_own_goals_are_good() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/bench");
    for name in ["goals.toml", "demo-goals.toml"] {
        let goals = load(&dir.join(name)).unwrap();
        assert!(goals.len() > 5, "{name}");
    }
}
