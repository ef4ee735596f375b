// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the command line says is part of it: a change shows up in review. To accept one:
//! `INSTA_UPDATE=always cargo test -p saio-bench --test snapshots`.

use std::process::Command;

/// Standard output of the program.
fn said(args: &[&str]) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("saio-bench"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Help shows what they are set to.
        .env_remove("SAIO_MODE")
        .env_remove("SAIO_STATS")
        .env_remove("SAIO_PRELOAD_PATH")
        .output()
        .expect("the program runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn help() {
    insta::assert_snapshot!("help", said(&["--help"]));
    insta::assert_snapshot!("help_demo", said(&["demo", "--help"]));
    insta::assert_snapshot!("help_verify", said(&["verify", "--help"]));
}
