// SPDX-License-Identifier: MIT OR Apache-2.0

//! Building programs, for tests on the host. Those of the guest are built before it boots.

use std::env;
use std::path::Path;
use std::process::Command;

/// Makes goals of this crate's Makefile in `out`, in the profile of the test that calls.
///
/// # Panics
///
/// If that does not work; with what was said.
pub fn make(out: &Path, goals: &[&str]) {
    // A test lies in TARGET/PROFILE/deps.
    let exe = env::current_exe().expect("/proc is mounted");
    let built = exe.ancestors().nth(2).expect("below cargo's directory");
    let profile = match built.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} names no profile", built.display()),
    };
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-C", env!("CARGO_MANIFEST_DIR")])
        .args(goals)
        .arg(format!("OUT={}", out.display()))
        .arg(format!("PROFILE={profile}"))
        .env("CARGO_TARGET_DIR", built.with_file_name(""));
    output(&mut make);
}

/// Runs a command that has to succeed; what it said on stdout.
///
/// # Panics
///
/// If it fails; with what it said.
pub fn output(command: &mut Command) -> String {
    let out = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{command:?}:\n{said}{complained}");
    said.into_owned()
}
