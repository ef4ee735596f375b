// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs saioctl.

use std::process::{Command, Output};

/// What saioctl says and returns, with none of its variables set.
pub fn saioctl(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// saioctl with none of its variables set.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("saioctl"));
    for name in [
        "SAIO_MODE",
        "SAIO_POOL",
        "SAIO_STATS",
        "SAIO_VERBOSE",
        "SAIO_PRELOAD_PATH",
        "SAIO_RULES",
        "LD_PRELOAD",
    ] {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// What it wrote to stdout.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it wrote to stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
