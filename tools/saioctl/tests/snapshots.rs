// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the command line says is part of it: a change shows up in review. To accept one:
//! `INSTA_UPDATE=always cargo test -p saioctl --test snapshots`.

use std::path::Path;

fn said(args: &[&str]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    saio_test_cli::stdout(assert_cmd::cargo::cargo_bin!("saioctl"), dir, args)
}

#[test]
fn help() {
    insta::assert_snapshot!("help", said(&["--help"]));
    insta::assert_snapshot!("help_run", said(&["run", "--help"]));
    insta::assert_snapshot!("help_doctor", said(&["doctor", "--help"]));
    insta::assert_snapshot!("help_stat", said(&["stat", "--help"]));
    insta::assert_snapshot!("help_trace", said(&["trace", "--help"]));
    for action in ["set", "list", "show", "rm", "apply", "import"] {
        let help = said(&["pool", action, "--help"]);
        insta::assert_snapshot!(format!("help_pool_{action}"), help);
    }
}

/// What was seen depends on the machine, what is looked at does not.
#[test]
fn doctor_json() {
    let json: serde_json::Value = serde_json::from_str(&said(&["doctor", "--json"])).expect("JSON");
    let mut shape = String::new();
    for (key, value) in json.as_object().expect("an object") {
        shape += &format!("{key}\n");
        for check in value.as_array().into_iter().flatten() {
            let keys: Vec<&String> = check.as_object().expect("an object").keys().collect();
            shape += &format!("    {} {keys:?}\n", check["name"]);
        }
    }
    insta::assert_snapshot!("doctor_json", shape);
}
