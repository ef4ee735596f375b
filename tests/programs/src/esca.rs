// SPDX-License-Identifier: MIT OR Apache-2.0

//! A server that is patched for ESCA, with clients in it that check each byte.

use std::env;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Requests of each client.
const ROUNDS: u64 = 40;

/// Clients, each with a connection of its own.
pub const CLIENTS: u64 = 8;

/// How many answers the server gives.
pub const ANSWERS: u64 = CLIENTS * ROUNDS;

/// The command that runs the server, without settings of the library.
pub fn command(server: &Path) -> Command {
    let mut command = Command::new(server);
    command.arg(ROUNDS.to_string());
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("SAIO_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the server; what was said on stderr.
///
/// # Panics
///
/// If an answer is wrong, or `interface`, `shim` or `library`, is not who the server talked to.
pub fn check(command: &mut Command, interface: &str) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{stdout}{stderr}");
    let wanted = format!("{ANSWERS} answers, interface of the {interface}\n");
    assert_eq!(stdout, wanted, "{stderr}");
    stderr
}

/// The server's line of statistics in what was said on stderr.
///
/// # Panics
///
/// If there is none.
pub fn statistics(said: &str) -> Value {
    said.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|line: &Value| line["program"] == "server")
        .unwrap_or_else(|| panic!("no line of statistics:\n{said}"))
}
