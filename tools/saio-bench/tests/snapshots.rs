// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the command line says is part of it: a change shows up in review. To accept one:
//! `INSTA_UPDATE=always cargo test -p saio-bench --test snapshots`.

use std::path::Path;

fn said(args: &[&str]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    saio_test_cli::stdout(assert_cmd::cargo::cargo_bin!("saio-bench"), dir, args)
}

#[test]
fn help() {
    insta::assert_snapshot!("help", said(&["--help"]));
    insta::assert_snapshot!("help_demo", said(&["demo", "--help"]));
    insta::assert_snapshot!("help_verify", said(&["verify", "--help"]));
}
