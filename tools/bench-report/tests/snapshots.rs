// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the command line says is part of it: a change shows up in review. To accept one:
//! `INSTA_UPDATE=always cargo test -p bench-report --test snapshots`.

use std::path::Path;

fn said(args: &[&str]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    saio_test_cli::stdout(assert_cmd::cargo::cargo_bin!("bench-report"), dir, args)
}

#[test]
fn help() {
    insta::assert_snapshot!("help", said(&["--help"]));
    for verb in ["generate", "check", "compare", "guard"] {
        insta::assert_snapshot!(format!("help_{verb}"), said(&[verb, "--help"]));
    }
}

#[test]
fn check_json() {
    let sample = "tests/data/sample.json";
    let goals = "tests/data/goals.toml";
    insta::assert_snapshot!(
        "check_json",
        said(&["check", sample, "--goals", goals, "--json"])
    );
}
