// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line; what it runs needs root and a kernel with SAIO.

use std::process::{Command, Output};

fn saio_bench(args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("saio-bench"))
        .env_remove("SAIO_OUT")
        .env_remove("SAIO_PRELOAD_PATH")
        .args(args)
        .output()
        .unwrap()
}

fn help(args: &[&str]) -> String {
    String::from_utf8(saio_bench(args).stdout).unwrap()
}

#[test]
fn help_names_what_there_is() {
    let text = help(&["--help"]);
    for word in ["demo", "run", "verify", "Examples:"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    let text = help(&["demo", "--help"]);
    for word in [
        "--out",
        "--requests",
        "--repeats",
        "--connections",
        "--sizes",
        "--variants",
        "--instrument",
        "--quick",
        "[default: 1,16,64,256]",
    ] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    let text = help(&["verify", "nginx", "--help"]);
    for word in ["--json", "--quick", "--seed", "--only"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}

#[test]
fn bad_values_name_their_option() {
    for (option, value) in [
        ("--sizes", "1g"),
        ("--connections", "0"),
        ("--variants", "outline"),
        ("--requests", "0"),
    ] {
        let output = saio_bench(&["demo", "--out", "x.json", option, value]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(option), "{option} is not in:\n{text}");
    }
}

#[test]
fn figures_are_listed() {
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/bench");
    let caches = format!("{configs}/caches.toml");
    let text = help(&["run", &caches, "--figure", "redis", "--list"]);
    assert!(text.starts_with("redis: Redis"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let output = saio_bench(&["run", &caches, "--figure", "radish", "--list"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--figure radish: there are redis,"), "{text}");
}

#[test]
fn a_bad_file_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.toml");
    std::fs::write(&file, "[[figure]]\nname = \"f\"\ncolour = 3\n").unwrap();
    for (file, word) in [
        (file.as_path(), "f.toml:3: unknown field `colour`"),
        (dir.path(), "cannot read"),
    ] {
        let output = saio_bench(&["run", file.to_str().unwrap()]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn calls_are_measured_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("calls.toml");
    let figure =
        "[[figure]]\nname = \"calls\"\ntitle = \"Calls\"\ncalls = [\"getppid\", \"write\"]\n\
                  batch = [1, 8]\nvariants = [\"default\"]\nrequests = 1000\nrepeats = 3\n";
    std::fs::write(&file, figure).unwrap();
    let out = dir.path().join("out.json");
    let words = [
        "run",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--json",
    ];
    let output = saio_bench(&words);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("12/12: "), "{errors}");
    let results = bench_report::results::Results::load(&out).unwrap();
    assert_eq!(results.runs.len(), 4);
    assert!(results.runs.iter().all(|run| run.samples.len() == 3));
    let printed: bench_report::results::Results = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, results);
}

#[test]
fn unknown_tests_are_named_before_anything_starts() {
    let output = saio_bench(&["verify", "nginx", "--only", "no-such-test"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("range-multi"), "{text}");
    assert!(output.stdout.is_empty());
}
