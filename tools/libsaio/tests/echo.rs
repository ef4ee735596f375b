// SPDX-License-Identifier: MIT OR Apache-2.0

//! The example, on whatever kernel this is.

mod common;

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Another server to check: program and arguments, with spaces in between.
const OTHER: &str = "SAIO_TEST_ECHO";

#[test]
fn example_answers() {
    let mut command = match env::var(OTHER) {
        Ok(words) => {
            let mut words = words.split_whitespace();
            let mut command = Command::new(words.next().unwrap());
            command.args(words);
            command
        }
        Err(_) => Command::new(example()),
    };
    let saio = saio::sys::probe() == libc::EINVAL;
    common::check(&mut command, saio);
}

fn example() -> PathBuf {
    // Beside the directory of the tests.
    let mut program = env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/echo");
    assert!(
        program.exists(),
        "{} is not there: cargo build --package libsaio --example echo",
        program.display()
    );
    program
}
