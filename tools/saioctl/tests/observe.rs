// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl stat` and `saioctl trace`, on whatever kernel the tests run.

mod common;

use std::fs;
use std::sync::mpsc;
use std::thread;

use common::{saioctl, stderr, stdout};
use serde_json::Value;

/// No process has it.
const NOBODY: &str = "4294967295";

/// A sample where the kernel has SAIO; where it has not, what to do.
#[test]
fn stat_gives_a_sample_or_says_why_not() {
    let output = saioctl(&["stat", "--json"]);
    if output.status.success() {
        let sample: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(sample["schema"], 1);
        assert!(sample["rings"].is_array() && sample["pools"].is_array());
    } else {
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains("no SAIO; saioctl doctor"), "{said}");
    }
}

#[test]
fn wrong_usage_names_the_option() {
    for (args, word) in [
        (&["stat", "--interval", "0"][..], "--interval"),
        (&["stat", "--count", "2"], "--interval"),
        (&["stat", "-i", "1", "-n", "0"], "--count"),
        (&["stat", "--pid", NOBODY], "--pid"),
        (&["trace", "--pid", NOBODY], "--pid"),
        (&["trace", "--raw", "--json"], "--json"),
        (&["trace", "--pid", "1", "--", "true"], "--pid"),
        (&["trace", "--buffer-size", "0"], "--buffer-size"),
    ] {
        let output = saioctl(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = stderr(&output);
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

/// It traces the command where the kernel and the user's rights allow that, and says what is missing otherwise.
#[test]
fn trace_of_a_command_or_what_is_missing() {
    let output = saioctl(&["trace", "--json", "--", "sh", "-c", "exit 7"]);
    let said = stderr(&output);
    if output.status.code() == Some(7) {
        let lines = stdout(&output);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["type"], "start");
        assert!(said.contains("no entries were seen"), "{said}");
    } else {
        assert_eq!(output.status.code(), Some(1), "{said}");
        let fixes = ["as root", "saioctl doctor", "boot a kernel"];
        assert!(fixes.iter().any(|fix| said.contains(fix)), "{said}");
    }
}

/// A file is opened once there will be a trace: where there can be none, an older one stays.
#[test]
fn file_is_overwritten_by_a_trace_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    fs::write(&file, "older").unwrap();
    let file = file.to_str().unwrap();
    let output = saioctl(&["trace", "-o", file, "--", "true"]);
    let traced = output.status.success();
    assert_eq!(fs::read_to_string(file).unwrap() == "older", !traced);

    let output = saioctl(&["trace", "--output", "/nonexistent/file", "--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert_eq!(said.contains("/nonexistent/file"), traced, "{said}");
}

/// Another thread than the first is no process.
#[test]
fn threads_are_no_processes() {
    let (send, receive) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        send.send(nix::unistd::gettid()).unwrap();
        let _ = ended.recv();
    });
    let tid = receive.recv().unwrap().to_string();
    for command in ["stat", "trace"] {
        let output = saioctl(&[command, "--pid", &tid]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(stderr(&output).contains("there is no process"), "{command}");
    }
    drop(end);
    thread.join().unwrap();
}
