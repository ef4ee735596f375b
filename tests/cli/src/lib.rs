// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the tools' command lines for their tests.

use std::path::Path;
use std::process::Command;

/// Width in columns that help is wrapped to.
const COLUMNS: &str = "80";

/// Standard output of a program run in a directory.
///
/// The environment is empty but for the width: help shows variables and is as wide as the
/// terminal, and what is said must not depend on who runs the test.
///
/// # Panics
///
/// If the program does not start or prints something other than text.
pub fn stdout(program: &Path, dir: &Path, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("COLUMNS", COLUMNS)
        .output()
        .expect("the program runs");
    String::from_utf8(output.stdout).expect("text")
}
