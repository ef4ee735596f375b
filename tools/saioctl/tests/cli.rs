// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line, on whatever kernel the tests run.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{command, saioctl, stderr, stdout};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde_json::Value;
use tempfile::TempDir;

const CHECKS: [&str; 12] = [
    "kernel", "calls", "config", "sysctl", "memlock", "seccomp", "ring", "batch", "flow",
    "preload", "pools", "attach",
];

/// A file that can be named as the library; the dynamic linker complains about it and goes on.
fn library(dir: &TempDir) -> PathBuf {
    let file = dir.path().join("libsaio_preload.so");
    fs::write(&file, "").unwrap();
    file
}

fn script(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let file = dir.path().join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_names_what_there_is() {
    let help = stdout(&saioctl(&["--help"]));
    for word in ["run", "pool", "doctor", "completions", "Examples:"] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    assert!(!help.contains("probe"), "probe is in:\n{help}");
    let help = stdout(&saioctl(&["run", "--help"]));
    for word in [
        "--mode",
        "--pool",
        "--stats",
        "--preload",
        "--verbose",
        "127",
    ] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn doctor_json_has_every_check() {
    let output = saioctl(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["schema"], 1);
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<&str> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, CHECKS);
    for check in checks {
        let status = check["status"].as_str().unwrap();
        assert!(["ok", "warn", "fail"].contains(&status), "{check}");
        assert!(!check["seen"].as_str().unwrap().is_empty(), "{check}");
        assert_eq!(check["fix"].is_null(), status == "ok", "{check}");
    }
    let works = checks.iter().all(|check| check["status"] != "fail");
    assert_eq!(report["works"], works);
    assert_eq!(output.status.code(), Some(i32::from(!works)));
}

#[test]
fn doctor_says_what_to_do() {
    let output = saioctl(&["doctor"]);
    let text = stdout(&output);
    for name in CHECKS {
        let is_there = |line: &str| line.starts_with('[') && line.contains(&format!(" {name} "));
        assert!(text.lines().any(is_there), "{name} is not in:\n{text}");
    }
    let last = text.lines().last().unwrap();
    if output.status.success() {
        assert!(text.contains("SAIO works here."), "{text}");
    } else {
        assert!(last.contains("First: "), "{text}");
    }
}

#[test]
fn run_sets_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let show = "echo $LD_PRELOAD $SAIO_MODE $SAIO_STATS $SAIO_VERBOSE";
    let args = [
        "run",
        "--preload",
        text(&library),
        "--mode",
        "off",
        "--stats",
        "/run/s",
        "--verbose",
        "--",
        "sh",
        "-c",
        show,
    ];
    let output = saioctl(&args);
    let library = library.canonicalize().unwrap();
    assert_eq!(
        stdout(&output),
        format!("{} off /run/s 1\n", library.display())
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn run_returns_the_exit_status_of_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let status = |command: &[&str]| {
        let args = [&["run", "--preload", text(&library), "--"][..], command].concat();
        saioctl(&args).status.code()
    };
    assert_eq!(status(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["no-such-command-anywhere"]), Some(127));
    assert_eq!(status(&["/etc/passwd"]), Some(126));
    assert_eq!(status(&["/nonexistent/x"]), Some(127));
}

#[test]
fn run_without_the_library_names_the_flag() {
    let output = saioctl(&["run", "--preload", "/nonexistent.so", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("--preload"), "{}", stderr(&output));
}

/// Where the kernel has pools, there is none of this name; where it has none, the command runs without.
#[test]
fn run_looks_for_the_pool() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let run = ["run", "--preload", text(&library), "--pool", "no-such-pool"];
    let show = ["--", "sh", "-c", "echo \"$SAIO_MODE;$SAIO_POOL\""];
    let output = saioctl(&[&run[..], &show].concat());
    if output.status.success() {
        assert_eq!(stdout(&output), "inline;\n");
    } else {
        assert_eq!(output.status.code(), Some(125));
        let said = stderr(&output);
        assert!(said.contains("saioctl pool set no-such-pool"), "{said}");
    }

    let output = saioctl(&[&run[..], &["--mode", "off"], &show].concat());
    assert_eq!(stdout(&output), "off;\n");
    let said = stderr(&output);
    assert!(said.contains("--pool no-such-pool has no effect"), "{said}");
}

/// A pool on the command line counts for more than a mode that was inherited; an empty variable counts for nothing.
#[test]
fn run_takes_variables_of_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let run = |options: &[&str], variables: &[(&str, &str)]| {
        let show = "echo \"$SAIO_MODE;${SAIO_POOL-unset};${SAIO_STATS-unset}\"";
        let rest = ["--", "sh", "-c", show];
        let args = [&["run", "--preload", text(&library)], options, &rest].concat();
        let mut command = command(&args);
        command.envs(variables.iter().copied()).output().unwrap()
    };
    let empty = [("SAIO_MODE", ""), ("SAIO_POOL", ""), ("SAIO_STATS", "")];
    assert_eq!(stdout(&run(&[], &empty)), "inline;unset;unset\n");
    let inherited = [("SAIO_MODE", "off"), ("SAIO_STATS", "stderr")];
    assert_eq!(stdout(&run(&[], &inherited)), "off;unset;stderr\n");

    // It looks for the pool, as mode auto does.
    let output = run(&["--pool", "no-such-pool"], &inherited);
    if output.status.success() {
        assert_eq!(stdout(&output), "inline;unset;stderr\n");
    } else {
        let said = stderr(&output);
        assert!(said.contains("saioctl pool set no-such-pool"), "{said}");
    }
    // Both from the environment: the mode counts.
    let both = [("SAIO_MODE", "off"), ("SAIO_POOL", "no-such-pool")];
    assert_eq!(stdout(&run(&[], &both)), "off;unset;unset\n");
}

#[test]
fn scripts_run_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let file = script(&dir, "hello", "#!/bin/sh\necho hello\n");
    let output = saioctl(&["run", "--preload", text(&library), "--", text(&file)]);
    assert_eq!(stdout(&output), "hello\n");
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
}

#[test]
fn completions_are_written() {
    let output = saioctl(&["completions", "bash"]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("saioctl"));
}

/// What saioctl says and returns if nobody reads its stdout; it returns the same if nobody reads its stderr either.
fn unread(args: &[&str]) -> Output {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    drop(reader);
    let stdout = || writer.try_clone().unwrap();
    let output = command(args).stdout(stdout()).output().unwrap();
    let silent = command(args)
        .stdout(stdout())
        .stderr(stdout())
        .status()
        .unwrap();
    assert_eq!(silent, output.status, "{args:?}");
    output
}

#[test]
fn nobody_has_to_read_the_output() {
    let dir = tempfile::tempdir().unwrap();
    let esca = dir.path().join("esca.conf");
    fs::write(&esca, "max_ker_worker = 1\n").unwrap();
    let read = saioctl(&["doctor"]).status;
    let output = unread(&["doctor"]);
    assert_eq!((output.status, &*stderr(&output)), (read, ""));
    for args in [
        &["completions", "bash"][..],
        &["pool", "import", text(&esca)],
        &["--help"],
    ] {
        let output = unread(args);
        assert!(output.status.success(), "{args:?}");
        assert_eq!(stderr(&output), "", "{args:?}");
    }
    // An error that nobody reads is one all the same.
    let output = unread(&["pool", "import", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(2));
}
