// SPDX-License-Identifier: MIT OR Apache-2.0

//! `saioctl pool`, as far as it needs no kernel with pools.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{saioctl, stderr, stdout};
use serde_json::Value;
use tempfile::TempDir;

/// As it lies in the original's repository, with a comment and a key that it does not know.
const ESCA: &str = "# two processes, two threads each
esca_localize = 0
max_table_entry = 64
max_table_len = 10
max_usr_worker = 2
max_ker_worker = 4
default_idle_time = 1500
affinity_offset = 2
turbo = 1
";

fn file(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let file = dir.path().join(name);
    fs::write(&file, text).unwrap();
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn has_pools() -> bool {
    saioctl(&["pool", "list"]).status.success()
}

/// Exit status and stderr.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let output = saioctl(args);
    assert_eq!(stdout(&output), "");
    (output.status.code(), stderr(&output))
}

#[test]
fn bad_usage_names_the_flag() {
    let cases = [
        ("--workers", "0"),
        ("--workers", "4..2"),
        ("--cpus", "5-2"),
        ("--cpus", "8191"),
        ("--idle", "500"),
        ("--idle", "2s"),
        ("--group", "no-such-group"),
    ];
    for (flag, value) in cases {
        let (status, said) = refused(&["pool", "set", "web", flag, value]);
        assert_eq!(status, Some(2), "{flag} {value}: {said}");
        assert!(said.contains(flag), "{flag} {value}: {said}");
    }
    let (status, said) = refused(&["pool", "set", "a/b"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("letters"), "{said}");
    let (status, said) = refused(&["pool", "rm", "--force", "default"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("cannot be removed"), "{said}");
}

#[test]
fn kernel_without_pools_is_named() {
    if has_pools() {
        eprintln!("skipped: this kernel has pools");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let good = file(&dir, "pools.toml", "[pool.web]\nworkers = 1\n");
    let commands: [&[&str]; 6] = [
        &["pool", "list"],
        &["pool", "show", "web"],
        &["pool", "set", "web"],
        &["pool", "rm", "web"],
        &["pool", "apply", text(&good)],
        &["pool", "apply", "--dry-run", text(&good)],
    ];
    for command in commands {
        let (status, said) = refused(command);
        assert_eq!(status, Some(1), "{command:?}: {said}");
        assert!(said.contains("has no worker pools"), "{command:?}: {said}");
        assert!(said.contains("saioctl doctor"), "{command:?}: {said}");
    }
}

#[test]
fn bad_file_is_refused_before_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let bad = file(&dir, "pools.toml", "[pool.web]\nworkers = 1\ncpu = \"2\"\n");
    let (status, said) = refused(&["pool", "apply", text(&bad)]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("pools.toml:3: unknown field `cpu`"), "{said}");
    let (status, said) = refused(&["pool", "apply", "/nonexistent.toml"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("/nonexistent.toml"), "{said}");
}

#[test]
fn esca_conf_becomes_toml() {
    let dir = tempfile::tempdir().unwrap();
    let esca = file(&dir, "esca.conf", ESCA);
    let output = saioctl(&["pool", "import", text(&esca), "--name", "web"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!("import", stdout(&output));
    let said = stderr(&output);
    assert!(said.contains("esca.conf:9: unknown key turbo"), "{said}");

    // What is written to a file is the same.
    let toml = dir.path().join("web.toml");
    let args = [
        "pool",
        "import",
        text(&esca),
        "--name",
        "web",
        "-o",
        text(&toml),
    ];
    let words = stdout(&saioctl(&args));
    assert!(
        words.contains("max_ker_worker = 4: workers = 4;"),
        "{words}"
    );
    assert_eq!(fs::read_to_string(&toml).unwrap(), stdout(&output));
}

#[test]
fn esca_conf_becomes_json() {
    let dir = tempfile::tempdir().unwrap();
    let esca = file(&dir, "esca.conf", ESCA);
    let output = saioctl(&["pool", "import", text(&esca), "--json"]);
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["pool"], "esca");
    assert_eq!(json["applied"], Value::Null);
    // A machine with few CPUs has one more.
    let first = &json["warnings"].as_array().unwrap()[0];
    assert!(first.as_str().unwrap().contains("turbo"), "{first}");
    let keys = json["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 7);
    assert_eq!(keys[4]["key"], "max_ker_worker");
    assert_eq!(keys[4]["became"], "workers = 4");
    assert_eq!(keys[1]["became"], Value::Null);
    assert!(json["toml"].as_str().unwrap().contains("[pool.esca]"));
}

/// The kernel may have no pools, or the user no rights: the file is there, and one may go on by hand.
#[test]
fn translation_is_written_before_it_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let esca = file(
        &dir,
        "esca.conf",
        "max_ker_worker = 1\naffinity_offset = 8000\n",
    );
    let toml = dir.path().join("web.toml");
    let import = ["pool", "import", text(&esca), "-o", text(&toml)];
    let output = saioctl(&[&import[..], &["--apply"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("CPUs 8000 do not exist here"), "{said}");
    let written = fs::read_to_string(&toml).unwrap();
    assert!(written.contains("cpus = \"8000\""), "{written}");
    // Without --apply it may be for another machine.
    let output = saioctl(&import);
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(
        said.contains("warning") && said.contains("CPUs 8000"),
        "{said}"
    );
}

#[test]
fn bad_esca_conf_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let esca = file(
        &dir,
        "esca.conf",
        "max_ker_worker = 1\nmax_usr_worker = one\n",
    );
    let (status, said) = refused(&["pool", "import", text(&esca)]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("esca.conf:2: max_usr_worker"), "{said}");
}
