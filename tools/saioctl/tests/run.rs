// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `saioctl run` reads and says besides starting a command, on whatever kernel the tests run.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{saioctl, stderr, stdout};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with something that can be named as the library.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        place.file("libsaio_preload.so", "");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.at(name), text).unwrap();
        self.at(name)
    }

    fn run(&self, options: &[&str], command: &[&str]) -> Output {
        let library = self.at("libsaio_preload.so");
        let run = ["run", "--preload", text(&library)];
        saioctl(&[&run[..], options, &["--"], command].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A shell script that does what the library does at the end of a process.
const COUNTS: &str = r#"echo "{\"pid\":$$,\"program\":\"web\",\"mode\":\"inline\",\"rings\":1,\"accepted\":2,\"flows\":1,\
\"deferred\":{\"write\":30},\"why\":{\"write\":{\"size\":70}},\"rules\":[\"web*\"]}" >> "$SAIO_STATS"; "#;

#[test]
fn explain_waits_and_says_what_became_of_the_calls() {
    let place = Place::new();
    let config = place.file(
        "rules.toml",
        "[program.\"web*\"]\npass = [\"close\"]\nreason = \"for a test\"\n",
    );
    let options = ["--explain", "--preload-config", text(&config)];
    let script = format!("{COUNTS} echo out; exit 7");
    let output = place.run(&options, &["sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(stdout(&output), "out\n");
    let said = stderr(&output);
    for part in [
        "web ",
        "inline: 1 of 2 connections became flows",
        "size 70 %",
        "nothing to gain",
        "web*: close straight through (1 process): for a test",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }

    let file = place.at("report.json");
    let options = ["--explain", "--json", "-o", text(&file)];
    let output = place.run(&options, &["sh", "-c", COUNTS]);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["total"]["calls"]["write"]["through"], 70);
    assert_eq!(report["reasons"][0]["why"], "size");
    // Without the file of rules there is none for it.
    assert_eq!(report["rules"], Value::Array(Vec::new()));
}

/// What a command leaves behind belongs to it.
#[test]
fn explain_waits_for_daemons() {
    let place = Place::new();
    // The line of an earlier run is not counted.
    let earlier = r#"{"pid":1,"program":"earlier","mode":"inline","rings":1}"#;
    let stats = place.file("stats", &format!("{earlier}\n"));
    let options = ["--explain", "--stats", text(&stats)];
    let script = format!("(sleep 0.3; {COUNTS}) & exit 5");
    let output = place.run(&options, &["sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(5));
    let said = stderr(&output);
    assert!(said.contains("write    100      30"), "{said}");
    assert!(!said.contains("earlier"), "{said}");
    assert_eq!(fs::read_to_string(&stats).unwrap().lines().count(), 2);
}

#[test]
fn explain_without_counters_says_so() {
    let place = Place::new();
    let output = place.run(&["--explain"], &["true"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(said.contains("No process has left counters"), "{said}");
    let output = place.run(&["--explain"], &["no-such-command-anywhere"]);
    assert_eq!(output.status.code(), Some(127));
}

#[test]
fn explain_and_its_options_belong_together() {
    let place = Place::new();
    for options in [&["--json"][..], &["-o", "/x"]] {
        let output = place.run(options, &["true"]);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(stderr(&output).contains("--explain"), "{options:?}");
    }
    let output = place.run(&["--explain", "--stats", "stderr"], &["true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("--stats stderr"));
}

#[test]
fn rules_are_handed_to_the_library() {
    let place = Place::new();
    let show = ["sh", "-c", "echo \"${SAIO_RULES-unset}\""];
    let shipped = stdout(&place.run(&[], &show));
    assert!(shipped.contains("bash=off;"), "{shipped}");

    let config = place.file(
        "rules.toml",
        "[program.\"/opt/*/x\"]\npass = [\"close\", \"send\"]\nreason = \"r\"\n",
    );
    let output = place.run(&["--preload-config", text(&config)], &show);
    assert_eq!(stdout(&output), "/opt/*/x=close,send\n");
    let none = place.file("none.toml", "");
    let output = place.run(&["--preload-config", text(&none)], &show);
    assert_eq!(stdout(&output), "unset\n");
}

#[test]
fn bad_rules_name_file_line_key_and_what_is_known() {
    let place = Place::new();
    let config = place.file(
        "rules.toml",
        "[program.x]\npass = [\"recv\"]\nreason = \"r\"\n",
    );
    let output = place.run(&["--preload-config", text(&config)], &["true"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("rules.toml:2: pass: \"recv\""), "{said}");
    assert!(said.contains("known ones: write, writev, send"), "{said}");
    let output = place.run(&["--preload-config", "/nonexistent"], &["true"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--preload-config"));
}

/// Where the kernel has no pools, that is said, and the command runs without.
#[test]
fn esca_conf_is_explained_key_by_key() {
    let place = Place::new();
    let show = ["sh", "-c", "echo \"$SAIO_MODE;$SAIO_POOL\""];
    let esca = place.file(
        "saioctl test.conf",
        "max_ker_worker = 1\nmax_table_len = 10\nturbo = 1\n",
    );
    let option = ["--esca-conf", text(&esca)];
    let output = place.run(&option, &show);
    let said = stderr(&output);
    for part in [
        "saioctl test.conf: max_ker_worker = 1: workers = 1; ",
        "saioctl test.conf: max_table_len = 10: nothing; ",
        "saioctl test.conf:3: unknown key turbo",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    if output.status.success() {
        let there = "auto;saioctl-test\n";
        assert!(["inline;\n", there].contains(&&*stdout(&output)), "{said}");
        if stdout(&output) == there {
            let removed = saioctl(&["pool", "rm", "saioctl-test"]);
            assert!(removed.status.success(), "{}", stderr(&removed));
        }
    } else {
        // The kernel has pools, and this user may not make them.
        assert_eq!(output.status.code(), Some(125));
        assert!(said.contains("CAP_SYS_ADMIN"), "{said}");
    }

    let output = place.run(&[&option[..], &["--mode", "inline"]].concat(), &show);
    assert_eq!(stdout(&output), "inline;\n");
    let said = stderr(&output);
    assert!(
        said.contains("--esca-conf") && said.contains("no effect"),
        "{said}"
    );

    let bad = place.file("esca.conf", "max_ker_worker = 1\nmax_usr_worker = one\n");
    let output = place.run(&["--esca-conf", text(&bad)], &show);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("esca.conf:2: max_usr_worker: \"one\""),
        "{said}"
    );
    assert_eq!(stdout(&output), "");
}
