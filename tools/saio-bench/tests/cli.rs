// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line; what it runs needs root and a kernel with SAIO.

use std::process::{Command, Output};

fn saio_bench(args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("saio-bench"))
        .env_remove("SAIO_OUT")
        .env_remove("SAIO_PRELOAD_PATH")
        .args(args)
        .output()
        .unwrap()
}

fn help(args: &[&str]) -> String {
    String::from_utf8(saio_bench(args).stdout).unwrap()
}

#[test]
fn help_names_what_there_is() {
    let text = help(&["--help"]);
    for word in ["demo", "verify", "Examples:"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    let text = help(&["demo", "--help"]);
    for word in [
        "--out",
        "--requests",
        "--repeats",
        "--connections",
        "--sizes",
        "--variants",
        "--instrument",
        "--quick",
        "[default: 1,16,64,256]",
    ] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    let text = help(&["verify", "nginx", "--help"]);
    for word in ["--json", "--quick", "--seed", "--only"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}

#[test]
fn bad_values_name_their_option() {
    for (option, value) in [
        ("--sizes", "1g"),
        ("--connections", "0"),
        ("--variants", "pool"),
        ("--requests", "0"),
    ] {
        let output = saio_bench(&["demo", "--out", "x.json", option, value]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(option), "{option} is not in:\n{text}");
    }
}

#[test]
fn unknown_tests_are_named_before_anything_starts() {
    let output = saio_bench(&["verify", "nginx", "--only", "no-such-test"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("range-multi"), "{text}");
    assert!(output.stdout.is_empty());
}
