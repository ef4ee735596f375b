// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the program as its users do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use bench_report::fonts;
use bench_report::results::Results;
use bench_report::style;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-report"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// A results file like the sample, after `change`.
fn changed(directory: &Path, change: impl Fn(&mut Results)) -> PathBuf {
    let mut results = Results::load(&data("sample.json")).unwrap();
    change(&mut results);
    let file = directory.join("changed.json");
    results.save(&file).unwrap();
    file
}

/// Generates a report of the sample into `directory`.
fn report(directory: &Path, more: &[&str]) -> Output {
    let font = fonts::find(None).unwrap_or_else(|error| panic!("{error}"));
    let sample = data("sample.json");
    let mut arguments = vec!["generate", text(&sample), "-o", text(directory)];
    arguments.extend(["--font", text(&font)]);
    arguments.extend(more);
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

#[test]
fn generate_writes_page_figures_and_data() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("new/report");
    let output = report(&out, &["--title", "A <title>", "--png-scale", "1"]);
    let page = out.join("index.html");
    assert_eq!(stdout(&output).trim_end(), text(&page));
    assert!(stderr(&output).contains("drawing 1/3: nginx-1k: throughput"));

    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<h1>A &lt;title&gt;</h1>"));
    assert!(html.contains("figures/nginx-1k-throughput.svg"));
    assert!(html.contains("Instrument: icount"));

    let svg = fs::read_to_string(out.join("figures/nginx-1k-throughput.svg")).unwrap();
    for wanted in [
        "nginx-1k: throughput",
        "Instrument: icount (QEMU TCG",
        "throughput (requests/second)",
        "connections",
        "higher is better",
        "default (baseline)",
        "inline",
        "25 k",
    ] {
        assert!(svg.contains(wanted), "{wanted} is not in the SVG");
    }

    let png = fs::read(out.join("figures/nginx-1k-crossings.png")).unwrap();
    assert_eq!(dimensions(&png), style::SIZE);

    let copy = Results::load(&out.join("data/sample.json")).unwrap();
    assert_eq!(copy, Results::load(&data("sample.json")).unwrap());
}

/// Width and height of a PNG, from its header.
fn dimensions(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(&png[12..16], b"IHDR");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn generate_names_its_files_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let output = report(directory.path(), &["--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["figures"].as_array().unwrap().len(), 3);
    assert_eq!(value["figures"][1]["title"], "nginx-1k: server cpu");
    for path in [
        &value["report"],
        &value["figures"][2]["svg"],
        &value["figures"][2]["png"],
    ] {
        assert!(Path::new(path.as_str().unwrap()).is_file(), "{path}");
    }
    let png = fs::read(value["figures"][0]["png"].as_str().unwrap()).unwrap();
    assert_eq!(dimensions(&png), (2 * style::SIZE.0, 2 * style::SIZE.1));
}

#[test]
fn a_report_can_be_drawn_again_from_its_data() {
    let directory = tempfile::tempdir().unwrap();
    report(directory.path(), &[]);
    let before = fs::read(directory.path().join("data/sample.json")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench-report"))
        .current_dir(directory.path())
        .args(["generate", "data", "-o", "."])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let after = fs::read(directory.path().join("data/sample.json")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn generate_refuses_what_it_cannot_use() {
    let directory = tempfile::tempdir().unwrap();
    let newer = directory.path().join("newer.json");
    fs::write(&newer, r#"{"schema": 9}"#).unwrap();
    let output = run(&["generate", text(&newer), "-o", "/nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("newer.json has schema version 9"),
        "{message}"
    );
    assert!(message.contains("supports version 1"), "{message}");

    let sample = data("sample.json");
    let out = directory.path().join("out");
    let arguments = ["generate", text(&sample), "-o", text(&out), "--font"];
    let output = run(&[&arguments[..], &["/no/font.ttf"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("/no/font.ttf (--font)"), "{message}");
}

#[test]
fn check_passes_when_every_goal_is_reached() {
    let (sample, goals) = (data("sample.json"), data("goals.toml"));
    let output = run(&["check", text(&sample), "--goals", text(&goals)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    for wanted in [
        "server CPU at 64 connections",
        "1.112×",
        "≥ 1.080× best-baseline",
        "3.020 calls/request",
        "≤ 3.100",
        "connections = 64",
        "ok",
    ] {
        assert!(table.contains(wanted), "{wanted} is not in\n{table}");
    }
}

#[test]
fn check_fails_when_a_goal_is_missed_or_unmeasured() {
    let directory = tempfile::tempdir().unwrap();
    let poor = changed(directory.path(), |results| {
        results.runs.retain(|run| run.metric != "crossings");
        for run in &mut results.runs {
            if run.variant == "inline" && run.metric == "server_cpu" {
                run.samples.iter_mut().for_each(|sample| *sample *= 1.2);
            }
        }
    });
    let goals = data("goals.toml");
    let output = run(&["check", text(&poor), "--goals", text(&goals), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("2 of 3 goals not reached, 1 of them for want of data"));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value[0]["status"], "short");
    assert_eq!(value[1]["status"], "no-data");
    assert_eq!(value[2]["status"], "ok");
}

#[test]
fn check_refuses_goals_that_make_no_sense() {
    let directory = tempfile::tempdir().unwrap();
    let goals = directory.path().join("goals.toml");
    fs::write(&goals, "[[goal]]\nname = \"nothing wanted\"\n").unwrap();
    let sample = data("sample.json");
    let output = run(&["check", text(&sample), "--goals", text(&goals)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("goals.toml is not a goals file (--goals)"));
}

#[test]
fn compare_names_regressions() {
    let directory = tempfile::tempdir().unwrap();
    let worse = changed(directory.path(), |results| {
        for run in &mut results.runs {
            if run.variant == "inline" && run.metric == "throughput" {
                run.samples.iter_mut().for_each(|sample| *sample *= 0.95);
            }
        }
    });
    let sample = data("sample.json");
    let output = run(&["compare", text(&sample), text(&worse)]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(table.contains("nginx-1k: throughput, inline, connections = 64"));
    assert!(!table.contains("nopush"), "{table}");

    let output = run(&["compare", text(&sample), text(&worse), "--threshold", "6%"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("none of 27 runs became worse"));
}

#[test]
fn compare_refuses_results_with_nothing_in_common() {
    let directory = tempfile::tempdir().unwrap();
    let other = changed(directory.path(), |results| {
        for run in &mut results.runs {
            run.workload = "redis".to_owned();
        }
    });
    let output = run(&["compare", text(&data("sample.json")), text(&other)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("have no run in common"));
}

#[test]
fn help_says_how_to_start() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = stdout(&output);
    for wanted in [
        "bench-report generate results/ -o report",
        "check",
        "compare",
        "Exit status",
    ] {
        assert!(help.contains(wanted), "{wanted} is not in\n{help}");
    }
    let help = stdout(&run(&["generate", "--help"]));
    for wanted in [
        "--output <DIR>",
        "--png-scale <N>",
        "--font <FILE>",
        "--json",
    ] {
        assert!(help.contains(wanted), "{wanted} is not in\n{help}");
    }
    let help = stdout(&run(&["check", "--help"]));
    for wanted in [
        "--goals <FILE>",
        "[[goal]]",
        "best-baseline",
        "at_least_value",
    ] {
        assert!(help.contains(wanted), "{wanted} is not in\n{help}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["generate"]).status.code(), Some(2));
}

#[test]
fn guard_fails_on_a_loss_and_accepts_what_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let slower = changed(directory.path(), |results| {
        for run in &mut results.runs {
            run.samples.iter_mut().for_each(|sample| *sample *= 1.03);
        }
    });
    let (sample, reference) = (data("sample.json"), directory.path().join("ref.json"));
    let guard = |results: &Path, more: &[&str]| {
        let reference = ["--reference", text(&reference)];
        run(&[&["guard", text(results)], &reference[..], more].concat())
    };
    let output = guard(&sample, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("ref.json (--reference)"));
    let version = ["--made-with", "nginx=1.22"];
    let accepted = guard(&sample, &[&version[..], &["--accept"]].concat());
    assert_eq!(accepted.status.code(), Some(0), "{}", stderr(&accepted));
    assert!(guard(&sample, &version).status.success());
    let output = guard(&slower, &version);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("worse"));
    // Everything is slower, so SAIO gains as much as before.
    let output = guard(&slower, &["--made-with", "nginx=1.26"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("nginx: the reference has 1.22, here is 1.26"));
}
